# SPDX-License-Identifier: Apache-2.0
"""Values of a CDF variable from the blocks they lie in: found by the index, unpacked, in the order of dimensions."""

from __future__ import annotations

import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any, BinaryIO

import numpy as np

from exports.cdf.descriptors import DamagedError, Records
from exports.cdf.records import Block
from exports.cdf.spec import Values

READ_BYTES = 1024 * 1024
# A record or a compressed block is unpacked as one. Products have blocks of some megabytes at most; a damaged file
# of some kilobytes may name any size, and gzip packs a gigabyte of zeros into one megabyte.
MAX_BLOCK_BYTES = 256 * 1024**2
MAX_FILE_BYTES = 16 * 1024**3  # of a file that is compressed as a whole, which is unpacked to disk
GZIP_WINDOW = 16 + zlib.MAX_WBITS  # zlib's way to say: with the header of gzip


@dataclass(frozen=True)
class Storage:
    """How the records of a variable lie in the file: `dtype` as stored, `varying` dimensions, first index of `column`
    majority fastest; `repeats` if a missing record is the one before it, else it is `pad`."""

    blocks: Sequence[Block]
    dtype: np.dtype[Any]
    dims: tuple[int, ...]
    varying: tuple[bool, ...]
    parts: int
    column: bool
    codec: str
    pad: Any
    sparse: bool
    repeats: bool

    @property
    def stored(self) -> tuple[int, ...]:
        """Sizes of the dimensions that are in the file; along the others, the values are the same."""
        return tuple(size for size, varies in zip(self.dims, self.varying, strict=True) if varies)

    @property
    def record_bytes(self) -> int:
        """Size of a record in the file."""
        return self.dtype.itemsize * self.parts * prod(self.stored)


def index(records: Records, head: int) -> list[Block]:
    """All blocks of a variable by record number. DamagedError if two hold the same record, or are one place."""
    blocks = sorted(records.blocks(head))
    for one, other in pairwise(blocks):
        if other.first <= one.last:
            raise DamagedError(f"record {other.first} is in two places")
    if len({block.offset for block in blocks}) < len(blocks):
        raise DamagedError("two parts of the index lead to one place")
    if blocks and (blocks[0].first < 0 or any(block.last < block.first for block in blocks)):
        raise DamagedError("the index has no order")
    return blocks


def read_values(records: Records, storage: Storage, start: int, stop: int, cache: dict[int, bytes]) -> Values:
    """Records `start` to `stop` of shape (n, *dims), little-endian; `cache` keeps the last block between calls."""
    _check_all_there(storage, start, stop)
    raw = np.empty((stop - start, storage.record_bytes), np.uint8)
    done = start
    for block in storage.blocks[bisect_left(storage.blocks, start, key=lambda block: block.last) :]:
        if block.first >= stop:
            break
        if block.first > done:
            _fill(records, storage, raw, start, (done, block.first), cache)
        first, last = max(block.first, start), min(block.last + 1, stop)
        raw[first - start : last - start] = _block(records, storage, block, first, last, cache)
        done = last
    if done < stop:
        _fill(records, storage, raw, start, (done, stop), cache)
    return _shaped(storage, raw)


def _check_all_there(storage: Storage, start: int, stop: int) -> None:
    """Before memory is asked for: a damaged number of records would ask for any amount."""
    held = sum(max(0, min(block.last + 1, stop) - max(block.first, start)) for block in storage.blocks)
    if not storage.sparse and held < stop - start:
        raise DamagedError(f"records {start} to {stop} are not all there")


def _block(
    records: Records, storage: Storage, block: Block, first: int, last: int, cache: dict[int, bytes]
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Bytes of the records `first` to `last` (not included) of a block, of shape (n, bytes)."""
    size = storage.record_bytes
    begin, length = (first - block.first) * size, (last - first) * size
    offset, available, packed = records.values_at(block.offset)
    whole = (block.last + 1 - block.first) * size
    if not packed:
        if whole > available:
            raise DamagedError(f"the block at {block.offset} is too short for its records")
        records.stream.seek(offset + begin)
        data = memoryview(records.stream.read(length))
    else:
        if block.offset not in cache:
            if whole > MAX_BLOCK_BYTES:
                raise DamagedError(
                    f"a compressed block of {whole} bytes, more than the {MAX_BLOCK_BYTES} that are read"
                )
            records.stream.seek(offset)
            cache.clear()  # before the next one is unpacked
            cache[block.offset] = b"".join(unpack(records.stream, available, storage.codec, whole))
        data = memoryview(cache[block.offset])[begin : begin + length]
    return np.frombuffer(data, np.uint8).reshape(last - first, size)


def _fill(
    records: Records,
    storage: Storage,
    raw: np.ndarray[Any, np.dtype[np.uint8]],
    start: int,
    gap: tuple[int, int],
    cache: dict[int, bytes],
) -> None:
    """Put what stands for missing records into rows of `raw`, whose first is record `start`."""
    first, stop = gap
    earlier = [block for block in storage.blocks if block.last < first] if storage.repeats else []
    if earlier:
        last = earlier[-1].last
        raw[first - start : stop - start] = _block(records, storage, earlier[-1], last, last + 1, cache)
        return
    pad = storage.pad.encode("latin-1") if isinstance(storage.pad, str) else storage.pad
    record = np.empty((prod(storage.stored), storage.parts), storage.dtype)
    record[:] = pad
    raw[first - start : stop - start] = record.reshape(-1).view(np.uint8)


def _shaped(storage: Storage, raw: np.ndarray[Any, np.dtype[np.uint8]]) -> Values:
    n, stored = len(raw), storage.stored
    tail = (storage.parts,) if storage.parts > 1 else ()
    values: Values = raw.reshape(-1).view(storage.dtype)
    values = values.astype(storage.dtype.newbyteorder("<"), copy=False)
    if storage.column:
        axes = (0, *range(len(stored), 0, -1), *(len(stored) + 1 for _ in tail))
        values = values.reshape(n, *reversed(stored), *tail).transpose(axes)
    else:
        values = values.reshape(n, *stored, *tail)
    if all(storage.varying):
        return values
    shape = (size if varies else 1 for size, varies in zip(storage.dims, storage.varying, strict=True))
    return np.broadcast_to(values.reshape(n, *shape, *tail), (n, *storage.dims, *tail))


def unpack(stream: BinaryIO, length: int, codec: str, size: int) -> Iterator[bytes]:
    """`size` bytes in pieces from `length` packed ones at the stream's place. DamagedError if it is another size."""
    codecs: dict[str, Callable[[BinaryIO, int, int], Iterator[bytes]]] = {"gzip": _gzip, "rle": _run_lengths}
    if codec not in codecs:
        raise DamagedError(f"compression {codec!r} is not read here; NASA's cdfconvert changes it to gzip")
    left = size
    for part in codecs[codec](stream, length, size):
        left -= len(part)
        yield part
    if left:
        raise DamagedError(f"a compressed block holds {size - left} bytes, not {size}")


def _gzip(stream: BinaryIO, length: int, size: int) -> Iterator[bytes]:
    engine = zlib.decompressobj(GZIP_WINDOW)
    while not engine.eof and size >= 0:
        data = engine.unconsumed_tail or stream.read(min(length, READ_BYTES))
        length -= 0 if engine.unconsumed_tail else len(data)
        part = engine.decompress(data, min(size + 1, READ_BYTES))
        size -= len(part)
        yield part
        if not data and not part:
            return


def _run_lengths(stream: BinaryIO, length: int, size: int) -> Iterator[bytes]:
    """RLE of the CDF format: a zero is followed by the number of further zeros."""
    data, at = stream.read(length), 0
    while at < len(data) and size >= 0:
        zero = data.find(b"\0", at)
        plain = data[at:] if zero < 0 else data[at:zero]
        part = plain if zero < 0 else plain + bytes(data[zero + 1] + 1)
        at = len(data) if zero < 0 else zero + 2
        size -= len(part)
        yield part
