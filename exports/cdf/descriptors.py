# SPDX-License-Identifier: Apache-2.0
"""The descriptive records of a CDF file, read as they lie there: header, attributes, variables, index.

Layouts are those of the CDF Internal Format Description, version 3.9, and of version 2, whose offsets have 32 bits and
whose names 64 characters. Lengths and offsets come from the file and may be damaged: each is compared with the file's
size before it is used, and no chain of records is followed in a circle.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

from exports.cdf.records import Block

MAGIC_3, MAGIC_26, MAGIC_2 = bytes.fromhex("cdf30001"), bytes.fromhex("cdf26002"), bytes.fromhex("0000ffff")
PLAIN, COMPRESSED = bytes.fromhex("0000ffff"), bytes.fromhex("cccc0001")
CDR, GDR, R_VDR, ADR, VXR, VVR, Z_VDR, CCR, CPR, CVVR = 1, 2, 3, 4, 6, 7, 8, 10, 11, 13
ENTRY_TYPES = (5, 9)  # of global attributes and rVariables, of zVariables
# O is an offset and N a name, whose sizes depend on the version.
LAYOUTS = {
    CDR: "O i i i i 8x i 8x",
    GDR: "O O O O i i i i i O 4x i 4x",
    ADR: "O O i i i 8x O i 8x N",
    R_VDR: "O i i O O i i 12x P i i O i N",
    VXR: "O i i",
    CPR: "i 4x i i",
    CCR: "O O 4x",
    CVVR: "4x O",
}
ENTRY_LAYOUT = "O 4x i i i i 16x"
GLOBAL_SCOPES = (1, 3)
# Files written before version 2.5 keep 128 bytes free in the descriptor of a variable.
RESERVED_BEFORE_25 = "128x"
CODECS = {0: "none", 1: "rle", 2: "huffman", 3: "adaptive huffman", 5: "gzip"}


class DamagedError(ValueError):
    """What a record says cannot be."""


class Header(NamedTuple):
    """The CDR: where the GDR lies, and how values are stored."""

    gdr: int
    version: int
    release: int
    encoding: int
    flags: int
    increment: int


class Directory(NamedTuple):
    """The GDR: where the chains of variables and attributes begin."""

    r_head: int
    z_head: int
    attribute_head: int
    end: int
    r_count: int
    attribute_count: int
    r_max_record: int
    r_dimensions: int
    z_count: int
    unused_head: int
    leap_second: int
    r_sizes: tuple[int, ...]


class AttributeRecord(NamedTuple):
    """An ADR: an attribute and where its entries begin."""

    next: int
    gr_head: int
    scope: int
    number: int
    gr_count: int
    z_head: int
    z_count: int
    name: bytes

    @property
    def is_global(self) -> bool:
        """True for an attribute of the file."""
        return self.scope in GLOBAL_SCOPES


class EntryRecord(NamedTuple):
    """An AEDR: the entry `number` (of the variable of that number), its type and its bytes."""

    next: int
    type: int
    number: int
    elements: int
    strings: int
    value: bytes


class VariableRecord(NamedTuple):
    """A VDR; `rest` holds dimensions and pad value. An rVariable (`is_r`) has no dimensions of its own."""

    next: int
    type: int
    max_record: int
    index_head: int
    index_tail: int
    flags: int
    sparse: int
    elements: int
    number: int
    compression: int
    block_records: int
    name: bytes
    rest: bytes
    is_r: bool


@dataclass(frozen=True)
class Records:
    """The records of an uncompressed CDF file of `size` bytes; raises DamagedError where one says what cannot be."""

    stream: BinaryIO
    size: int
    wide: bool
    old: bool = False

    def header(self) -> Header:
        """The header of the file."""
        found = Header(*self._read(8, (CDR,), LAYOUTS[CDR])[0])
        if not found.flags & 2:
            raise DamagedError("values lie in files of their own, which is not read here")
        return found

    def directory(self, offset: int) -> Directory:
        """The record that finds all others."""
        fields, rest = self._read(offset, (GDR,), LAYOUTS[GDR])
        return Directory._make((*fields, integers(rest, 0, fields[7])))

    def attributes(self, directory: Directory) -> Iterator[AttributeRecord]:
        """All attributes in the order of the file."""
        for offset, fields, _ in self._chain(directory.attribute_head, directory.attribute_count, (ADR,), LAYOUTS[ADR]):
            found = AttributeRecord(*fields)
            if not 1 <= found.scope <= 4:
                raise DamagedError(f"attribute at {offset} has scope {found.scope}")
            yield found

    def entries(self, head: int, count: int) -> Iterator[EntryRecord]:
        """The entries of an attribute."""
        for _, fields, rest in self._chain(head, count, ENTRY_TYPES, ENTRY_LAYOUT):
            yield EntryRecord._make((*fields, rest))

    def variables(self, directory: Directory) -> Iterator[VariableRecord]:
        """The zVariables, then the rVariables, each in the order of the file."""
        for head, count, kind in (
            (directory.z_head, directory.z_count, Z_VDR),
            (directory.r_head, directory.r_count, R_VDR),
        ):
            for _, fields, rest in self._chain(head, count, (kind,), LAYOUTS[R_VDR]):
                yield VariableRecord._make((*fields, rest, kind == R_VDR))

    def codec(self, offset: int) -> tuple[str, int]:
        """Name and parameter (the level of gzip) of a compression."""
        (kind, _, parameter), _ = self._read(offset, (CPR,), LAYOUTS[CPR])
        if kind not in CODECS:
            raise DamagedError(f"compression of type {kind} at {offset}")
        return CODECS[kind], parameter

    def compressed_file(self) -> tuple[int, int, str, int]:
        """Of a file that is compressed as a whole: where its data begin, their length, the codec, the unpacked size."""
        size, _ = self._sizes(8)
        (parameters, unpacked), _ = self._read(8, (CCR,), LAYOUTS[CCR], keep=0)
        start = 8 + self._prefix.size + self.layout(LAYOUTS[CCR]).size
        return start, size - (start - 8), self.codec(parameters)[0], unpacked

    def blocks(self, head: int) -> Iterator[Block]:
        """The blocks of values below an index record, in its order."""
        for _, entries in self.index_records(head):
            yield from (entry for entry in entries if self.kind(entry.offset) != VXR)

    def index_records(self, head: int) -> Iterator[tuple[int, list[Block]]]:
        """Every index record below and behind one: how many entries it has room for, and those that it uses."""
        seen: set[int] = set()
        waiting = [head]
        while waiting:
            offset = waiting.pop()
            if offset <= 0:
                continue
            if offset in seen:
                raise DamagedError(f"the index at {offset} leads back to itself")
            seen.add(offset)
            (following, count, used), rest = self._read(offset, (VXR,), LAYOUTS[VXR])
            firsts, lasts = integers(rest, 0, count), integers(rest, 4 * count, count)
            found = [Block(*b) for b in zip(firsts, lasts, self._offsets(rest, 8 * count, count), strict=True)][:used]
            yield count, found
            below = [entry.offset for entry in found if self.kind(entry.offset) == VXR]
            waiting += [following, *reversed(below)]

    def kind(self, offset: int) -> int:
        """Type of the record at an offset."""
        return int(self._sizes(offset)[1])

    def values_at(self, offset: int) -> tuple[int, int, bool]:
        """Where the bytes of a block of values lie, how many, and whether they are compressed."""
        size, kind = self._sizes(offset)
        start = self._prefix.size
        if kind == VVR:
            return offset + start, size - start, False
        (length,), _ = self._read(offset, (CVVR,), LAYOUTS[CVVR], keep=0)
        start += self.layout(LAYOUTS[CVVR]).size
        if not 0 <= length <= size - start:
            raise DamagedError(f"compressed block at {offset} has {length} bytes in a record of {size}")
        return offset + start, length, True

    def layout(self, text: str) -> struct.Struct:
        """A layout in this file's version."""
        reserved = RESERVED_BEFORE_25 if self.old else ""
        text = text.replace("P", reserved).replace("O", "q" if self.wide else "i")
        return struct.Struct(">" + text.replace("N", "256s" if self.wide else "64s"))

    @property
    def _prefix(self) -> struct.Struct:
        return struct.Struct(">qi" if self.wide else ">ii")

    def _sizes(self, offset: int) -> tuple[int, int]:
        prefix = self._prefix
        if not 8 <= offset <= self.size - prefix.size:
            raise DamagedError(f"a record at {offset} in a file of {self.size} bytes")
        self.stream.seek(offset)
        size, kind = prefix.unpack(self.stream.read(prefix.size))
        if not prefix.size <= size <= self.size - offset:
            raise DamagedError(f"the record at {offset} has {size} bytes in a file of {self.size}")
        return size, kind

    def _read(self, offset: int, kinds: tuple[int, ...], text: str, keep: int = -1) -> tuple[tuple[Any, ...], bytes]:
        """Fields of a record and the bytes behind them (`keep` at most, all if negative)."""
        size, kind = self._sizes(offset)
        layout = self.layout(text)
        left = size - self._prefix.size - layout.size
        if kind not in kinds or left < 0:
            raise DamagedError(f"the record at {offset} is of type {kind} with {size} bytes, not of type {kinds[0]}")
        fields = layout.unpack(self.stream.read(layout.size))
        return fields, self.stream.read(left if keep < 0 else min(keep, left))

    def _chain(
        self, offset: int, count: int, kinds: tuple[int, ...], text: str
    ) -> Iterator[tuple[int, tuple[Any, ...], bytes]]:
        seen: set[int] = set()
        for _ in range(count):
            if offset in seen:
                raise DamagedError(f"the record at {offset} follows itself")
            seen.add(offset)
            fields, rest = self._read(offset, kinds, text)
            yield offset, fields, rest
            offset = fields[0]

    def _offsets(self, data: bytes, start: int, count: int) -> tuple[int, ...]:
        if not self.wide:
            return integers(data, start, count)
        return _unpack(data, start, count, "q")


def integers(data: bytes, start: int, count: int) -> tuple[int, ...]:
    """`count` 32-bit integers; DamagedError if there are fewer."""
    return _unpack(data, start, count, "i")


def _unpack(data: bytes, start: int, count: int, kind: str) -> tuple[int, ...]:
    if not 0 <= count <= len(data) or start + struct.calcsize(f">{count}{kind}") > len(data):
        raise DamagedError(f"{count} numbers in a record of {len(data)} bytes")
    return struct.unpack_from(f">{count}{kind}", data, start)
