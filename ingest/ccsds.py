# SPDX-License-Identifier: Apache-2.0
"""CCSDS space packets in a stream of bytes: where each one is, and what every other byte is.

The scan is optimistic: it follows the length fields, then judges all packets of a batch at once, and searches byte by
byte only where the batch breaks. What an item is depends on the bytes after it and never on where chunks are cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ingest.checksums import DETAILS
from ingest.resync import HeaderTable, Mask, Positions, Window, header_table
from lake.packet_definitions import Packet

CHUNK_BYTES = 6 << 20
_SMALL_BATCH = 1 << 16
_SAME_BEFORE_GALLOP = 32


class Reason(StrEnum):
    """Why bytes are no good packet."""

    JUNK = "JUNK"
    TRUNCATED = "TRUNCATED"
    BAD_LENGTH = "BAD_LENGTH"
    CHECKSUM = "CHECKSUM"
    ALL_ZERO = "ALL_ZERO"
    UNKNOWN_APID = "UNKNOWN_APID"
    BAD_LAYOUT = "BAD_LAYOUT"
    NO_DEFINITION = "NO_DEFINITION"
    BAD_RECORD = "BAD_RECORD"
    INCOMPLETE = "INCOMPLETE"
    FRAME_GAP = "FRAME_GAP"
    BAD_FRAME = "BAD_FRAME"


@dataclass(frozen=True)
class Stretch:
    """Bytes that are no good packet; `offset` counts from the start of the file, `packets` are those it holds."""

    offset: int
    length: int
    reason: Reason
    detail: str
    apid: int | None = None
    packets: int = 0


@dataclass(frozen=True)
class Chunk:
    """Good packets of a piece of a file, and the stretches that were completed with it.

    `offsets` (in `data`) and `lengths` are in bytes, `types` index the packet definitions; one of each per packet, in
    file order. `base` is the offset of `data[0]` in the file. Stretches may lie before `base`. Where `data` is no piece
    of the file, `places` are the offsets of the packets in it. `overhead` are bytes of the file that carry no packet
    and are as they should be: markers, headers and fill. `segments` are the numbers of packets on the wire that each
    packet was joined from, 1 if it is None.
    """

    base: int
    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    lengths: NDArray[np.int64]
    types: NDArray[np.int16]
    stretches: tuple[Stretch, ...]
    places: NDArray[np.int64] | None = None
    overhead: int = 0
    segments: NDArray[np.int64] | None = None

    @property
    def at(self) -> NDArray[np.int64]:
        """Offset of each packet in the file."""
        return self.base + self.offsets if self.places is None else self.places

    @property
    def empty(self) -> bool:
        """True if it holds no packet, no stretch and no overhead."""
        return not (len(self.offsets) or self.stretches or self.overhead)


def scan_packets(stream: BinaryIO, packets: tuple[Packet, ...], chunk_bytes: int = CHUNK_BYTES) -> Iterator[Chunk]:
    """Chunks of good packets of these types, in file order; every byte is in one packet or one stretch.

    Memory is bounded by `chunk_bytes` plus a look-ahead of at most 330 kB; the packets and the stretches found do not
    depend on it. An empty stream gives no chunk.
    Raises: PacketError if two packet types claim the same APID.
    """
    table = header_table(packets)
    scanner = _Scanner()
    carry, base, last = bytearray(), 0, False
    while not last:
        window = _read_window(stream, table, carry, base, chunk_bytes)
        last = window.last
        used = scanner.scan(window)
        chunk = scanner.chunk(window, used)
        if len(chunk.offsets) or chunk.stretches:
            yield chunk
        carry, base = window.buffer[used : window.end], base + used


class PacketScan:
    """The same scan of bytes that are handed over in parts, whose offsets count from the first byte handed over."""

    def __init__(self, packets: tuple[Packet, ...]) -> None:
        self.table = header_table(packets)
        self.scanner = _Scanner()
        self.carry, self.base = bytearray(), 0

    def feed(self, octets: bytes, last: bool) -> Chunk:
        """What the bytes complete; `last` if no packet continues behind them: what follows is scanned anew."""
        end = len(self.carry) + len(octets)
        buffer = Window.allocate(end)
        buffer[: len(self.carry)] = self.carry
        buffer[len(self.carry) : end] = octets
        window = Window(self.table, buffer, self.base, end, last)
        used = self.scanner.scan(window)
        chunk = self.scanner.chunk(window, used)
        self.carry, self.base = window.buffer[used:end], self.base + used
        return chunk

    @property
    def open_from(self) -> int:
        """Everything before this offset has been told."""
        pending = self.scanner.stretches
        return pending[0].offset if pending else self.base


def _read_window(stream: BinaryIO, table: HeaderTable, carry: bytearray, base: int, chunk_bytes: int) -> Window:
    """The bytes carried over and the next ones, enough to decide at least one item."""
    size = len(carry) + max(chunk_bytes, table.look_ahead + chunk_bytes - len(carry))
    buffer = Window.allocate(size)
    buffer[: len(carry)] = carry
    end = len(carry)
    with memoryview(buffer) as view:
        while end < size:
            count = stream.readinto(view[end:size])  # type: ignore[attr-defined]
            if not count:
                break
            end += count
    return Window(table, buffer, base, end, last=end < size)


@dataclass(frozen=True)
class _Batch:
    """Consecutive items from `starts[0]` to `stop`, their types (-1 unknown), and which failed their checksum.

    `broken` tells that something is wrong at `stop`; `target` is the next good packet if it is known already.
    """

    starts: Positions
    stop: int
    kinds: NDArray[np.int16]
    failed: Mask
    broken: bool
    target: int | None = None

    @property
    def stops(self) -> Positions:
        return np.append(self.starts[1:], self.stop)[: len(self.starts)]


class _Scanner:
    """The state that runs through a file: what was found since the last chunk, and whether the trail is lost."""

    def __init__(self) -> None:
        self.batches: list[_Batch] = []
        self.stretches: list[Stretch] = []
        self.lost: Stretch | None = None
        self.batch_bytes = _SMALL_BATCH

    def scan(self, window: Window) -> int:
        """Decide all items that start before the window's limit; the position where the next one starts."""
        position = 0
        while position < window.limit:
            target = None
            if self.lost is None:
                wanted = min(position + self.batch_bytes, window.limit)
                batch = _judge(window, *_walk(window, position, wanted), wanted)
                self._note_batch(window, batch)
                position, target = batch.stop, batch.target
                self.batch_bytes = _SMALL_BATCH if batch.broken else self.batch_bytes * 4
                if not batch.broken:
                    continue
            position = self._recover(window, position, target)
        return position

    def chunk(self, window: Window, used: int) -> Chunk:
        """What was found, all but the last stretch while it may still grow."""
        starts, lengths, kinds = _good_packets(self.batches)
        open_end = 0 if window.last else 1
        done = self.stretches[: len(self.stretches) - open_end]
        self.batches, self.stretches = [], self.stretches[len(done) :]
        return Chunk(window.base, window.octets[:used], starts, lengths, kinds, tuple(done))

    def _note(self, stretch: Stretch) -> None:
        """Add a stretch, or lengthen the last one by it."""
        last = self.stretches[-1] if self.stretches else None
        if last is None or not _continues(last, stretch):
            self.stretches.append(stretch)
            return
        count = last.packets + stretch.packets
        detail = _unknown_detail(stretch.apid, count) if stretch.reason is Reason.UNKNOWN_APID else last.detail
        self.stretches[-1] = replace(last, length=last.length + stretch.length, detail=detail, packets=count)

    def _note_batch(self, window: Window, batch: _Batch) -> None:
        """Keep the batch's packets, and note its damaged packets and its unknown APIDs."""
        self.batches.append(batch)
        unusual = np.flatnonzero(batch.failed | (batch.kinds < 0))
        if not len(unusual):
            return
        words, stops = window.first_words(batch.starts), batch.stops
        same = (np.diff(unusual) == 1) & (np.diff(words[unusual].astype(np.int32)) == 0) & ~batch.failed[unusual[1:]]
        same &= ~batch.failed[unusual[:-1]]
        for run in np.split(unusual, np.flatnonzero(~same) + 1):
            start, stop = int(batch.starts[run[0]]), int(stops[run[-1]])
            apid = int(words[run[0]]) & 0x7FF
            offset, length = window.base + start, stop - start
            if batch.failed[run[0]]:
                detail = DETAILS[str(window.table.packets[batch.kinds[run[0]]].checksum)].format(apid=apid)
                self._note(Stretch(offset, length, Reason.CHECKSUM, detail, apid, 1))
            else:
                detail = _unknown_detail(apid, len(run))
                self._note(Stretch(offset, length, Reason.UNKNOWN_APID, detail, apid, len(run)))

    def _recover(self, window: Window, position: int, target: int | None) -> int:
        """Get past the bytes at `position` that start no packet; the position behind them."""
        if self.lost is None and (zeros := window.zero_run(position)) > position:
            length = zeros - position
            self._note(Stretch(window.base + position, length, Reason.ALL_ZERO, "zero bytes where a packet should be"))
            return zeros
        if target is None:
            target = window.next_good(position + (self.lost is None))
        stop = max(window.horizon, position) if target is None else target
        stretch = self.lost or self._diagnose(window, position, target)
        self._note(replace(stretch, offset=window.base + position, length=stop - position))
        self.lost = replace(stretch, packets=0) if target is None and not window.last else None
        return stop

    def _diagnose(self, window: Window, position: int, target: int | None) -> Stretch:
        """What is wrong at a position; offset and length are left open."""
        kind, length = window.kind_at(position), window.length_at(position)
        word = int(window.first_words(np.array([position]))[0])
        apid = word & 0x7FF
        cut = target is None and window.last and (length == 0 or position + length > window.end)
        if kind < 0 and not (cut and self._follows_unknown(window, position, apid)):
            return Stretch(0, 0, Reason.JUNK, "no packet starts here")
        low, high = int(window.table.shortest[word]), int(window.table.longest[word])
        if cut and (length == 0 or low <= length <= high):
            return Stretch(0, 0, Reason.TRUNCATED, f"the file ends in a packet of APID {apid}", apid, 1)
        detail = f"APID {apid}, length field says {length} bytes, allowed {low} to {high}"
        if low <= length <= high:
            detail = f"APID {apid}, length field says {length} bytes, but a good packet starts before that"
        return Stretch(0, 0, Reason.BAD_LENGTH, detail, apid, 1)

    def _follows_unknown(self, window: Window, position: int, apid: int) -> bool:
        last = self.stretches[-1] if self.stretches else None
        return (
            last is not None
            and last.reason is Reason.UNKNOWN_APID
            and last.apid == apid
            and last.offset + last.length == window.base + position
        )


def _continues(last: Stretch, stretch: Stretch) -> bool:
    adjacent = last.offset + last.length == stretch.offset
    return adjacent and last.reason is stretch.reason is not Reason.CHECKSUM and last.apid == stretch.apid


def _unknown_detail(apid: int | None, count: int) -> str:
    return f"{count} {'packet' if count == 1 else 'packets'} of APID {apid}, which no definition names"


def _good_packets(batches: list[_Batch]) -> tuple[Positions, Positions, NDArray[np.int16]]:
    """Starts, lengths and types of the good packets of all batches."""
    if not batches:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int16)
    starts = np.concatenate([batch.starts for batch in batches])
    stops = np.concatenate([batch.stops for batch in batches])
    kinds = np.concatenate([batch.kinds for batch in batches])
    good = (kinds >= 0) & ~np.concatenate([batch.failed for batch in batches])
    if good.all():
        return starts, stops - starts, kinds
    return starts[good], (stops - starts)[good], kinds[good]


def _walk(window: Window, start: int, stop: int) -> tuple[Positions, int]:
    """Starts of the items that follow each other by their length fields, and where the next one would start."""
    data, (shortest, longest) = window.buffer, window.table.bounds
    parts: list[Positions] = []
    starts: list[int] = []
    position, previous, same = start, 0, 0
    while position < stop:
        length = (data[position + 4] << 8 | data[position + 5]) + 7
        word = data[position] << 8 | data[position + 1]
        if not shortest[word] <= length <= longest[word]:
            break
        starts.append(position)
        position += length
        if length != previous:
            previous, same = length, 0
            continue
        same += 1
        if same == _SAME_BEFORE_GALLOP:
            more = _gallop(window, position, length, stop)
            parts += [np.array(starts, np.int64), position + length * np.arange(more, dtype=np.int64)]
            starts, same = [], 0
            position += length * more
    found = np.concatenate([*parts, np.array(starts, np.int64)]) if parts else np.array(starts, np.int64)
    if position > window.end:  # the last item is cut off by the end of the file
        return found[:-1], int(found[-1])
    return found, position


def _gallop(window: Window, start: int, length: int, stop: int) -> int:
    """Number of further packets of the same length and APID: guess it, verify all at once, guess higher."""
    first, count, guess = window.header_words(start - length, 0, 1, length), 0, 128
    possible = max(0, min((stop - start + length - 1) // length, (window.end - start) // length))
    while count < possible:
        size = min(guess, possible - count)
        at = start + count * length
        same = window.header_words(at, 0, size, length) == first
        same &= window.header_words(at, 4, size, length) == length - 7
        if not same.all():
            return count + int(same.argmin())
        count, guess = count + size, guess * 8
    return count


def _judge(window: Window, starts: Positions, stop: int, wanted: int) -> _Batch:
    """Check the items of a walk that should reach `wanted`; cut it before the first one that cannot be believed."""
    table = window.table
    kinds = table.kinds[window.first_words(starts)]
    known = kinds >= 0
    stops = np.append(starts[1:], stop)[: len(starts)]
    failed = np.zeros(len(starts), bool)
    checked = known & table.checked[kinds] if table.checked.any() else failed
    if table.checked.all() and known.all():
        failed = ~window.checksum_good(starts, stops, kinds)
    elif checked.any():
        failed[checked] = ~window.checksum_good(starts[checked], stops[checked], kinds[checked])
    next_plausible, next_known = window.continues_at(stop)
    batch = _Batch(starts, stop, kinds, failed, broken=stop < wanted)
    if known.all() and next_known and not failed.any():
        return batch
    followed = np.append(known[1:], next_known)[: len(starts)]
    suspects = np.flatnonzero(failed | ~known | (~checked & ~followed))
    return _cut(window, batch, suspects, next_plausible) if len(suspects) else batch


def _cut(window: Window, batch: _Batch, suspects: Positions, next_plausible: bool) -> _Batch:
    """The batch up to the first suspect item in which another good packet starts.

    A failed checksum or an unknown APID can mean a wrong length field, which would lead past good packets.
    """
    inside = _first_inside(window, batch.starts[suspects], batch.stops[suspects])
    unbelievable = inside >= 0
    if not next_plausible and suspects[-1] == len(batch.starts) - 1 and batch.kinds[-1] < 0:
        unbelievable[-1] = True
    if not unbelievable.any():
        return batch
    first = int(unbelievable.argmax())
    index, target = int(suspects[first]), int(inside[first])
    return _Batch(
        batch.starts[:index],
        int(batch.starts[index]),
        batch.kinds[:index],
        batch.failed[:index],
        broken=True,
        target=target if target >= 0 else None,
    )


def _first_inside(window: Window, starts: Positions, stops: Positions) -> Positions:
    """The first good packet that starts inside each item, behind its first byte; -1 if there is none."""
    found = window.candidates(int(starts[0]) + 1, int(stops[-1]))
    item = np.searchsorted(starts, found, side="left") - 1
    item_of = np.clip(item, 0, len(starts) - 1)
    found = window.acceptable(found[(found > starts[item_of]) & (found < stops[item_of])])
    first = np.searchsorted(found, starts, side="right")
    padded = np.append(found, np.iinfo(np.int64).max)
    return np.where(padded[first] < stops, padded[first], -1)
