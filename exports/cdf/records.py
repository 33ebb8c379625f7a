# SPDX-License-Identifier: Apache-2.0
"""The parts of a CDF file that hold data: types, compressed blocks, and the tree of records that finds them again.

Layouts are those of the CDF Internal Format Description, version 3.9. Lengths, offsets and record numbers are
big-endian in every file; only values follow the file's encoding (IBMPC, little-endian).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, NamedTuple

import deflate
import numpy as np

CdfTypeName = Literal[
    "CDF_INT1",
    "CDF_INT2",
    "CDF_INT4",
    "CDF_INT8",
    "CDF_UINT1",
    "CDF_UINT2",
    "CDF_UINT4",
    "CDF_REAL4",
    "CDF_REAL8",
    "CDF_EPOCH",
    "CDF_EPOCH16",
    "CDF_TIME_TT2000",
    "CDF_BYTE",
    "CDF_FLOAT",
    "CDF_DOUBLE",
    "CDF_CHAR",
    "CDF_UCHAR",
]

VXR, VVR, CVVR = 6, 7, 13
VVR_HEADER = struct.Struct(">qi")
CVVR_HEADER = struct.Struct(">qiiq")
VXR_HEADER = struct.Struct(">qiqii")
# NASA's library calls a file with more entries to an index record corrupted (CORRUPTED_V3_CDF, -2223).
MAX_FAN_OUT = 10
# Deflate, no flags, no time, no hint at speed, unknown operating system.
GZIP_HEADER = bytes.fromhex("1f8b 08 00 00000000 00 ff")


@dataclass(frozen=True)
class CdfType:
    """A CDF type: its code in the file, the values it holds, and its ISTP fill value (None for text).

    `parts` is the number of numbers that make one value: 2 for CDF_EPOCH16, seconds and picoseconds.
    """

    code: int
    dtype: np.dtype[Any]
    fill: int | float | None
    parts: int = 1

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and largest finite value of a numeric type."""
        if self.dtype.kind == "f":
            return float(np.finfo(self.dtype).min), float(np.finfo(self.dtype).max)
        return int(np.iinfo(self.dtype).min), int(np.iinfo(self.dtype).max)


# Fill values: ISTP Metadata Guidelines 1.0, table of FILLVAL by type.
CDF_TYPES: dict[CdfTypeName, CdfType] = {
    "CDF_INT1": CdfType(1, np.dtype("<i1"), -(2**7)),
    "CDF_INT2": CdfType(2, np.dtype("<i2"), -(2**15)),
    "CDF_INT4": CdfType(4, np.dtype("<i4"), -(2**31)),
    "CDF_INT8": CdfType(8, np.dtype("<i8"), -(2**63)),
    "CDF_UINT1": CdfType(11, np.dtype("<u1"), 2**8 - 1),
    "CDF_UINT2": CdfType(12, np.dtype("<u2"), 2**16 - 1),
    "CDF_UINT4": CdfType(14, np.dtype("<u4"), 2**32 - 1),
    "CDF_REAL4": CdfType(21, np.dtype("<f4"), -1e31),
    "CDF_REAL8": CdfType(22, np.dtype("<f8"), -1e31),
    "CDF_EPOCH": CdfType(31, np.dtype("<f8"), -1e31),
    "CDF_EPOCH16": CdfType(32, np.dtype("<f8"), -1e31, parts=2),
    "CDF_TIME_TT2000": CdfType(33, np.dtype("<i8"), -(2**63)),
    "CDF_BYTE": CdfType(41, np.dtype("<i1"), -(2**7)),
    "CDF_FLOAT": CdfType(44, np.dtype("<f4"), -1e31),
    "CDF_DOUBLE": CdfType(45, np.dtype("<f8"), -1e31),
    "CDF_CHAR": CdfType(51, np.dtype("S1"), None),
    "CDF_UCHAR": CdfType(52, np.dtype("S1"), None),
}
TEXT_TYPES = ("CDF_CHAR", "CDF_UCHAR")
# SPDF refuses files in which one of these is compressed.
TIME_TYPES = ("CDF_TIME_TT2000", "CDF_EPOCH", "CDF_EPOCH16")


class Block(NamedTuple):
    """Records `first` to `last` (both included) of a variable, or an index of them, at `offset` in the file."""

    first: int
    last: int
    offset: int


def gzip_block(data: bytes | bytearray | memoryview, level: int) -> bytes:
    """The data as one gzip member without time or operating system, so that equal data give equal bytes (RFC 1952).

    The codec is libdeflate, always: at level 1 it takes half the time of zlib and packs counts a tenth smaller. The
    bytes therefore depend on its version alone, whatever other libraries are installed.
    """
    body = deflate.deflate_compress(data, level)
    return GZIP_HEADER + body + struct.pack("<II", deflate.crc32(data), len(data) & 0xFFFFFFFF)


def open_values(stream: BinaryIO, size: int) -> int:
    """Write the header of an uncompressed block of `size` bytes that will follow; returns the block's offset."""
    offset = stream.tell()
    stream.write(VVR_HEADER.pack(VVR_HEADER.size + size, VVR))
    return offset


def write_block(stream: BinaryIO, data: bytes | bytearray | memoryview, level: int) -> int:
    """Write one compressed block, or a plain one if it would not shrink; returns the block's offset."""
    packed = gzip_block(data, level)
    if len(packed) >= len(data):
        offset = open_values(stream, len(data))
        stream.write(data)
        return offset
    offset = stream.tell()
    stream.write(CVVR_HEADER.pack(CVVR_HEADER.size + len(packed), CVVR, 0, len(packed)))
    stream.write(packed)
    return offset


def write_index(stream: BinaryIO, blocks: Sequence[Block]) -> int:
    """Write the index of a variable's blocks as a tree, at most ten entries to a record; returns the root's offset."""
    level = list(blocks)
    while True:
        groups = [level[i : i + MAX_FAN_OUT] for i in range(0, len(level), MAX_FAN_OUT)]
        level = [Block(group[0].first, group[-1].last, _write_index_record(stream, group)) for group in groups]
        if len(level) == 1:
            return level[0].offset


def _write_index_record(stream: BinaryIO, entries: Sequence[Block]) -> int:
    offset, count = stream.tell(), len(entries)
    stream.write(VXR_HEADER.pack(VXR_HEADER.size + 16 * count, VXR, 0, count, count))
    stream.write(struct.pack(f">{count}i", *(entry.first for entry in entries)))
    stream.write(struct.pack(f">{count}i", *(entry.last for entry in entries)))
    stream.write(struct.pack(f">{count}q", *(entry.offset for entry in entries)))
    return offset
