# SPDX-License-Identifier: Apache-2.0
"""Reads CDF files of any origin, variable by variable, in parts of a known size; nothing is converted or guessed.

This is a reader of its own, because cdflib reads a whole block for one record of it, drops dimensions, and believes
whatever length a damaged file names. Read are single-file CDFs of versions 2 and 3, compressed or not, of either
majority, in all encodings but those of VAX and of Alpha's D and G floats; Huffman codes are refused.
"""

from __future__ import annotations

import struct
import tempfile
import weakref
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

import numpy as np

from exports.cdf.blocks import MAX_BLOCK_BYTES, MAX_FILE_BYTES, Storage, index, read_values, unpack
from exports.cdf.checksum import checksum_is_right
from exports.cdf.descriptors import (
    COMPRESSED,
    MAGIC_2,
    MAGIC_3,
    MAGIC_26,
    PLAIN,
    DamagedError,
    EntryRecord,
    Records,
    VariableRecord,
    integers,
)
from exports.cdf.records import CDF_TYPES, TEXT_TYPES, Block, CdfType
from lake.errors import ExportError

Values = np.ndarray[Any, np.dtype[Any]]

# Encodings of numbers by their code in the header. VAX, Alpha's D and G floats and IA64's of the same kind are missing.
BIG_ENDIAN = {1: "NETWORK", 2: "SUN", 5: "SGi", 7: "IBMRS", 9: "PPC", 11: "HP", 12: "NeXT", 18: "ARM_BIG"}
LITTLE_ENDIAN = {
    4: "DECSTATION",
    6: "IBMPC",
    13: "ALPHAOSF1",
    16: "ALPHAVMSi",
    17: "ARM_LITTLE",
    19: "IA64VMSi",
}
ROW_MAJORITY, HAS_CHECKSUM = 1, 4  # flags of the file
PREVIOUS_RECORDS = 2  # a kind of sparse records
RECORD_VARIANCE, HAS_PAD, IS_COMPRESSED = 1, 2, 4  # flags of a variable
# The largest variable with records left out that is filled up. A file stores nothing of them, so its size is no limit.
MAX_SPARSE_BYTES = 8 * 1024**3
TYPES: dict[str, CdfType] = dict(CDF_TYPES.items())
TYPE_NAMES = {cdf_type.code: name for name, cdf_type in TYPES.items()}


@dataclass(frozen=True)
class Entry:
    """An entry of an attribute: its CDF type, and a text or numbers of it.

    Several strings of one entry are one text with the separator of the format between them, a backslash and `N `.
    `number` is that of a global entry; numbers usually begin with 0, and may be left out. Entries of one type and value
    are equal.
    """

    type: str
    value: str | tuple[Any, ...]
    number: int = field(default=0, compare=False)


class AttributeInfo(NamedTuple):
    """An attribute as the file declares it, of the file or of variables, and its number of entries; it may be 0."""

    name: str
    is_global: bool
    entries: int


@dataclass(frozen=True)
class VariableInfo:
    """A variable as the file describes it; `compression` is 0 or a gzip level, `dims` the shape of a record.

    `codec` is none, gzip, rle, huffman or adaptive huffman. Where records are sparse, a missing one repeats the one
    before it (`repeats`) or is the pad value, which is None if the file has none of its own.
    """

    name: str
    type: str
    dims: tuple[int, ...]
    elements: int
    record_variance: bool
    dim_variances: tuple[bool, ...]
    records: int
    compression: int
    block_records: int
    sparse: bool
    pad: Any
    attributes: dict[str, Entry] = field(default_factory=dict)
    codec: str = "none"
    repeats: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type of the values, little-endian."""
        return np.dtype(f"S{self.elements}") if self.type in TEXT_TYPES else TYPES[self.type].dtype

    @property
    def record_bytes(self) -> int:
        """Size of one record in the file, uncompressed."""
        stored = [size for size, varies in zip(self.dims, self.dim_variances, strict=True) if varies]
        parts = TYPES[self.type].parts
        return self.dtype.itemsize * parts * prod(stored)


class CdfReader:
    """An open CDF file, closed with the block of `with` or with the object. ExportError if it cannot be read.

    Attributes
    ----------
    variables : VariableInfo by name, in the order of the file; rVariables stand behind zVariables
    globals : entries of each global attribute, by its name, in the order of the file
    attributes : all attributes that the file declares
    checksum_is_right : None if `verify` is False or the file has no checksum
    has_checksum, file_compression : of the file as a whole
    majority : "row" or "column"; values are always returned in the order of the dimensions
    version : of the CDF library that wrote the file, such as "3.9.0"
    encoding : of numbers, such as "IBMPC"
    leap_second_last_updated : day of the last leap second that the writer knew, yyyymmdd; 0 if it did not say
    r_variables : names of the rVariables
    """

    def __init__(self, path: Path, verify: bool = True) -> None:
        self.path = path
        with self._readable():
            stream, self._records, self.file_compression = _open(path)
            self.close = weakref.finalize(self, stream.close)
            header = self._records.header()
            self._directory = self._records.directory(header.gdr)
        self._order = _byte_order(path, header.encoding)
        self._cache: dict[int, bytes] = {}  # the block that was unpacked last
        self._found: dict[str, list[Block]] = {}
        self.majority: Literal["row", "column"] = "row" if header.flags & ROW_MAJORITY else "column"
        self.version = f"{header.version}.{header.release}.{header.increment}"
        self.encoding = (BIG_ENDIAN | LITTLE_ENDIAN)[header.encoding]
        self.leap_second_last_updated = self._directory.leap_second if self._records.wide else 0
        self.has_checksum = bool(header.flags & HAS_CHECKSUM)
        self.checksum_is_right = checksum_is_right(path) if verify and self.has_checksum else None

    def __enter__(self) -> CdfReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def globals(self) -> dict[str, tuple[Entry, ...]]:
        """Global attributes."""
        with self._readable():
            return {
                _text(attribute.name): tuple(self._entry(entry) for entry in entries)
                for attribute, entries in self._attributes
                if attribute.is_global and entries
            }

    @cached_property
    def attributes(self) -> tuple[AttributeInfo, ...]:
        """All attributes in the order of the file, also those without entries."""
        with self._readable():
            return tuple(
                AttributeInfo(_text(a.name), a.is_global, len(entries) if a.is_global else a.gr_count + a.z_count)
                for a, entries in self._attributes
            )

    @cached_property
    def variables(self) -> dict[str, VariableInfo]:
        """The variables."""
        with self._readable():
            return {name: self._info(record) for name, record in self._variables.items()}

    @cached_property
    def r_variables(self) -> tuple[str, ...]:
        """Names of the rVariables, which share their dimensions."""
        with self._readable():
            return tuple(name for name, record in self._variables.items() if record.is_r)

    def values(self, name: str, start: int = 0, stop: int | None = None) -> Values:
        """Records `start` to `stop` (not included) of a variable in its own type, of shape (n, *dims).

        Constants have one record. Texts are numpy bytes (S) as they stand in the file, padding included; CDF_EPOCH16
        has a last dimension of 2. Takes the memory of these records and of one block of the file.
        """
        info = self.variables.get(name)
        if info is None:
            raise ExportError(f"{self.path}: has no variable {name}. It has {', '.join(self.variables) or 'none'}")
        stop = info.records if stop is None else min(stop, info.records)
        start = min(max(start, 0), stop)
        with self._readable():
            return read_values(self._records, self._storage(info), start, stop, self._cache)

    def _storage(self, info: VariableInfo) -> Storage:
        cdf_type = TYPES[info.type]
        return Storage(
            blocks=self._blocks(info.name),
            dtype=info.dtype if info.type in TEXT_TYPES else info.dtype.newbyteorder(self._order),
            dims=info.dims,
            varying=info.dim_variances,
            parts=cdf_type.parts,
            column=self.majority == "column",
            codec=info.codec,
            pad=default_pad(info.type, info.elements) if info.pad is None else info.pad,
            sparse=info.sparse,
            repeats=info.repeats,
        )

    def _blocks(self, name: str) -> list[Block]:
        if name not in self._found:
            self._found[name] = index(self._records, self._variables[name].index_head)
        return self._found[name]

    @cached_property
    def _variables(self) -> dict[str, VariableRecord]:
        found = list(self._records.variables(self._directory))
        named = {_text(record.name): record for record in found}
        if len(named) < len(found):
            raise DamagedError("two variables have one name")
        return named

    @cached_property
    def _attributes(self) -> list[tuple[Any, list[EntryRecord]]]:
        """Each attribute with its entries of the file or of rVariables, by number."""
        read = self._records
        return [
            (attribute, sorted(read.entries(attribute.gr_head, attribute.gr_count), key=lambda entry: entry.number))
            for attribute in read.attributes(self._directory)
        ]

    @cached_property
    def _local(self) -> dict[tuple[bool, int], dict[str, Entry]]:
        """Attributes of each variable, by its kind (True for rVariables) and number."""
        found: dict[tuple[bool, int], dict[str, Entry]] = {}
        for attribute, entries in self._attributes:
            if attribute.is_global:
                continue
            z_entries = self._records.entries(attribute.z_head, attribute.z_count)
            for is_r, chain in ((True, entries), (False, z_entries)):
                for entry in chain:
                    found.setdefault((is_r, entry.number), {})[_text(attribute.name)] = replace(
                        self._entry(entry), number=0
                    )
        return found

    def _entry(self, record: EntryRecord) -> Entry:
        return Entry(_type_name(record.type), self._value(record.type, record.elements, record.value), record.number)

    def _value(self, code: int, elements: int, data: bytes) -> str | tuple[Any, ...]:
        name = _type_name(code)
        cdf_type = TYPES[name]
        size = elements * cdf_type.parts * cdf_type.dtype.itemsize
        if not 0 <= size <= len(data):
            raise DamagedError(f"{elements} values of {name} in {len(data)} bytes")
        if name in TEXT_TYPES:
            return _text(data[:size])
        return tuple(np.frombuffer(data[:size], cdf_type.dtype.newbyteorder(self._order)).tolist())

    def _info(self, record: VariableRecord) -> VariableInfo:
        dims, varying, rest = self._dimensions(record)
        codec, level = self._records.codec(record.compression) if record.flags & IS_COMPRESSED else ("none", 0)
        pad = self._value(record.type, record.elements, rest) if record.flags & HAS_PAD else None
        if record.elements < 1 or record.max_record < -1:
            raise DamagedError(
                f"variable {_text(record.name)} has {record.elements} elements, {record.max_record} records"
            )
        info = VariableInfo(
            name=_text(record.name),
            type=_type_name(record.type),
            dims=dims,
            elements=record.elements,
            record_variance=bool(record.flags & RECORD_VARIANCE),
            dim_variances=varying,
            records=record.max_record + 1,
            compression=level if codec == "gzip" else 0,
            block_records=record.block_records,
            sparse=bool(record.sparse),
            pad=pad[0] if isinstance(pad, tuple) and len(pad) == 1 else pad,
            attributes=self._local.get((record.is_r, record.number), {}),
            codec=codec,
            repeats=record.sparse == PREVIOUS_RECORDS,
        )
        _check_sizes(info)
        return info

    def _dimensions(self, record: VariableRecord) -> tuple[tuple[int, ...], tuple[bool, ...], bytes]:
        """Sizes and variances of the dimensions, and the bytes behind them.

        An rVariable has those of the file's dimensions that it varies by; the others are not its own.
        """
        if record.is_r:
            varies = [bool(v) for v in integers(record.rest, 0, self._directory.r_dimensions)]
            dims = tuple(size for size, v in zip(self._directory.r_sizes, varies, strict=True) if v)
            return _sizes(dims), (True,) * len(dims), record.rest[4 * len(varies) :]
        (count,) = integers(record.rest, 0, 1)
        dims = integers(record.rest, 4, count)
        varying = tuple(bool(v) for v in integers(record.rest, 4 + 4 * count, count))
        return _sizes(dims), varying, record.rest[4 + 8 * count :]

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, KeyError, IndexError, EOFError, MemoryError, struct.error, zlib.error) as error:
            why = getattr(error, "strerror", None) or error
            raise ExportError(f"{self.path}: cannot be read as a CDF ({why}). Fetch or write it again") from error


def _open(path: Path) -> tuple[BinaryIO, Records, bool]:
    """The stream of an uncompressed file, its records, and whether the file was compressed as a whole."""
    stream = path.open("rb")
    try:
        magic, state = stream.read(4), stream.read(4)
        if magic not in (MAGIC_3, MAGIC_26, MAGIC_2) or state not in (PLAIN, COMPRESSED):
            raise DamagedError("it does not begin as a CDF does" if magic else "it is empty")
        records = Records(stream, path.stat().st_size, magic == MAGIC_3, magic == MAGIC_2)
        if state == PLAIN:
            return stream, _of_release(records), False
        with stream:
            opened = _uncompressed(records, magic)
        return opened.stream, _of_release(opened), True
    except BaseException:
        stream.close()
        raise


def _of_release(records: Records) -> Records:
    """The same, with the layouts of the release that wrote the file."""
    header = records.header()
    is_old = not records.wide and (header.version, header.release) < (2, 5)
    return Records(records.stream, records.size, records.wide, is_old)


def _uncompressed(records: Records, magic: bytes) -> Records:
    """The records of a file that is compressed as a whole, unpacked into a file without a name."""
    start, length, codec, size = records.compressed_file()
    if size > MAX_FILE_BYTES:
        raise DamagedError(f"it would have {size} bytes unpacked, more than the {MAX_FILE_BYTES} that are read")
    stream: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115  closed with the reader
    try:
        stream.write(magic + PLAIN)
        records.stream.seek(start)
        for part in unpack(records.stream, length, codec, size):
            stream.write(part)
        return Records(stream, stream.tell(), records.wide)
    except BaseException:
        stream.close()
        raise


def _byte_order(path: Path, encoding: int) -> Literal["<", ">"]:
    if encoding in BIG_ENDIAN:
        return ">"
    if encoding in LITTLE_ENDIAN:
        return "<"
    raise ExportError(f"{path}: has the encoding {encoding}, which is not read here. Convert it with NASA's cdfconvert")


def _type_name(code: int) -> str:
    if code not in TYPE_NAMES:
        raise DamagedError(f"type {code}")
    return TYPE_NAMES[code]


def _check_sizes(info: VariableInfo) -> None:
    """Before memory is asked for: what a file of a few kilobytes says of itself would take any amount."""
    record = info.dtype.itemsize * TYPES[info.type].parts * prod(info.dims)
    if record > MAX_BLOCK_BYTES:
        raise DamagedError(f"{info.name} has records of {record} bytes, more than the {MAX_BLOCK_BYTES} that are read")
    if info.sparse and record * info.records > MAX_SPARSE_BYTES:
        raise DamagedError(f"{info.name} leaves out records of {record * info.records} bytes in all")


def _sizes(dims: tuple[int, ...]) -> tuple[int, ...]:
    if any(size < 1 for size in dims):
        raise DamagedError(f"dimensions {dims}")
    return dims


def _text(data: bytes) -> str:
    """Text without what fills it up with NUL; what is not UTF-8 as Latin-1, so that no character is lost."""
    data = data.rstrip(b"\0")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def default_pad(kind: str, elements: int) -> Any:
    """What stands for a record that was never written, if the file does not say: as NASA's library has it."""
    if kind in TEXT_TYPES:
        return " " * elements
    dtype, fill = TYPES[kind].dtype, TYPES[kind].fill
    if dtype.kind == "f" or fill is None:
        return dtype.type(-1.0e30).item()
    return fill - 1 if dtype.kind == "u" else fill + 1
