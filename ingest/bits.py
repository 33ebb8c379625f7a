# SPDX-License-Identifier: Apache-2.0
"""Numbers out of bits: big-endian fields of any width at any bit, taken from many packets at once.

Bit 0 is the most significant bit of byte 0. Every load is a strided view that ends at the last byte of the field, so
that nothing behind a packet is read; the primary header leaves room in front.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lake.packet_definitions import PacketField

Numbers = NDArray[Any]
Octets = NDArray[np.uint8]
Positions = NDArray[np.int64]

COLUMN_DTYPES: dict[str, np.dtype[Any]] = {
    "int8": np.dtype(np.int8),
    "int16": np.dtype(np.int16),
    "int32": np.dtype(np.int32),
    "int64": np.dtype(np.int64),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}
_LITTLE_HOST = sys.byteorder == "little"


@dataclass(frozen=True)
class Rows:
    """`count` packets of the same layout: packet i starts at byte `start + i * stride` of `data`."""

    data: Octets
    start: int
    stride: int
    count: int

    def words(self, byte: int, dtype: str) -> Numbers:
        """The number at a byte of each packet, shape [count]; a view."""
        return np.ndarray((self.count,), dtype, self.data.data, self.start + byte, (self.stride,))

    def table(self, byte: int, dtype: str, items: int, step: int) -> Numbers:
        """`items` numbers of each packet, `step` bytes apart, shape [count, items]; a view."""
        return np.ndarray((self.count, items), dtype, self.data.data, self.start + byte, (self.stride, step))

    def block(self, first: int, last: int) -> Rows:
        """Packets first to last, the latter excluded."""
        return Rows(self.data, self.start + first * self.stride, self.stride, last - first)


class LaneStep:
    """Takes one field out of 64-bit lanes in which it starts `up` bits below the top.

    Everything that does not depend on the packets is computed once, since a plan may have hundreds of steps.
    """

    def __init__(self, field: PacketField, up: int) -> None:
        self.name = field.name
        self._field = field
        self._shift = np.uint64(64 - up - field.bits)
        self._up, self._down = np.uint64(up), np.int64(64 - field.bits)
        dtype = COLUMN_DTYPES[field.column_type]
        # Masks and copies work on the pattern of a float and on the full width of a 64-bit number.
        self._pattern = np.dtype(f"u{dtype.itemsize}") if field.kind == "float" or field.bits == 64 else dtype
        whole = field.kind == "int" or field.bits == 8 * dtype.itemsize
        self._mask = None if whole else self._pattern.type((1 << field.bits) - 1)
        self._swapped = field.byte_order == "little" and field.bits > 8

    def store(self, lane: NDArray[np.uint64], scratch: NDArray[np.uint64], out: Numbers) -> None:
        """Write the field of each lane to `out`; `scratch` is as long as the lanes."""
        if self._field.kind == "int" and not self._swapped:
            np.left_shift(lane, self._up, out=scratch)
            signed = scratch.view(np.int64)
            np.right_shift(signed, self._down, out=signed)
        else:
            np.right_shift(lane, self._shift, out=scratch)
        if self._swapped:
            out[:] = typed(scratch, self._field)
        elif self._mask is None:
            out.view(self._pattern)[:] = _low_part(scratch, self._pattern)
        else:
            np.bitwise_and(_low_part(scratch, self._pattern), self._mask, out=out)


def _low_part(values: Numbers, dtype: np.dtype[Any]) -> Numbers:
    """The low bytes of 64-bit numbers as a narrower type; a view, half the memory traffic of a cast."""
    step = 8 // dtype.itemsize
    return values.view(dtype)[(0 if _LITTLE_HOST else step - 1) :: step]


def typed(values: NDArray[np.uint64], field: PacketField) -> Numbers:
    """Bit patterns, right-aligned in 64 bits with anything above them, as numbers of the field's column type."""
    dtype = COLUMN_DTYPES[field.column_type]
    width = np.uint64(64 - field.bits)
    values = (values << width) >> width
    if field.byte_order == "little" and field.bits > 8:
        values = values.byteswap() >> width
    if field.kind == "int":
        return ((values << width).view(np.int64) >> np.int64(width)).astype(dtype)
    if field.kind == "float":
        return values.astype(f"u{field.bits // 8}").view(dtype)
    return values.view(np.int64).astype(dtype)


def store_array(rows: Rows, field: PacketField, bit: int, out: Numbers) -> None:
    """Write the fixed array that starts at `bit` to `out`, shape [count, items].

    Items whose bit offsets agree modulo 8 form one phase, and each phase is one strided view.
    """
    phases = 8 // math.gcd(field.bits, 8)
    step = phases * field.bits // 8
    if _pairs_fit(field, bit, out):
        _store_pairs(rows, field, bit, out)
        return
    for phase in range(min(phases, field.items)):
        start = bit + phase * field.bits
        items = -(-(field.items - phase) // phases)
        out[:, phase::phases] = _phase(rows, field, start, items, step)


def _pairs_fit(field: PacketField, bit: int, out: Numbers) -> bool:
    """True if 32 bits always cover two neighbouring items, and two items of the column are as long as that."""
    plain = _LITTLE_HOST and field.kind == "uint" and field.byte_order == "big" and field.bits % 8 != 0
    widest = (7 if math.gcd(field.bits, 8) == 1 else max((bit + k * field.bits) % 8 for k in range(8))) + 2 * field.bits
    return plain and out.itemsize == 2 and field.items % 2 == 0 and widest <= 32


def _store_pairs(rows: Rows, field: PacketField, bit: int, out: Numbers) -> None:
    """Write an array two items at a time, which halves the number of loads and stores."""
    phases, bits = 8 // math.gcd(field.bits, 8), field.bits
    pairs = out.view(np.uint32)
    for phase in range(0, min(phases, field.items), 2):
        stop = bit + (phase + 2) * bits
        items = -(-(field.items - phase) // phases)
        second = rows.table((stop + 7) // 8 - 4, ">u4", items, phases * bits // 8).astype(np.uint32)
        first = second >> np.uint32(-stop % 8 + bits)
        first &= np.uint32((1 << bits) - 1)
        second <<= np.uint32(16 - -stop % 8)
        second &= np.uint32(((1 << bits) - 1) << 16)
        np.bitwise_or(first, second, out=pairs[:, phase // 2 :: phases // 2])


def _phase(rows: Rows, field: PacketField, bit: int, items: int, step: int) -> Numbers:
    """One phase of an array, shape [count, items]."""
    size = _load_size(bit, field.bits)
    end = (bit + field.bits + 7) // 8
    shift = -(bit + field.bits) % 8
    if shift == 0 and size * 8 == field.bits:
        letter = {"uint": "u", "int": "i", "float": "f"}[field.kind]
        order = "<" if field.byte_order == "little" else ">"
        return rows.table(end - size, f"{order}{letter}{size}", items, step)
    if size > 8:
        high = rows.table(end - 9, "u1", items, step).astype(np.uint64) << np.uint64(64 - shift)
        low = rows.table(end - 8, ">u8", items, step).astype(np.uint64) >> np.uint64(shift)
        return typed(high | low, field)
    values = rows.table(end - size, f">u{size}", items, step).astype(f"u{size}")
    values >>= values.dtype.type(shift)
    if field.kind == "uint" and field.byte_order == "big":
        values &= values.dtype.type((1 << field.bits) - 1)
        return values
    return typed(values.astype(np.uint64), field)


def _load_size(bit: int, bits: int) -> int:
    """Bytes to load for a field: 1, 2, 4 or 8, or 9 if no 64-bit word covers it."""
    span = (bit % 8 + bits + 7) // 8
    return next((size for size in (1, 2, 4, 8) if size >= span), 9)


def bits_at(data: Octets, at: Positions, bits: int) -> NDArray[np.uint64]:
    """The patterns of `bits` bits at any bit positions of `data` (8 bytes or more), in the shape of `at`."""
    if bits > 57:
        high, low = bits_at(data, at, bits - 32), bits_at(data, at + bits - 32, 32)
        return high << np.uint64(32) | low
    byte = np.clip(at >> 3, 0, len(data) - 8)
    windows: NDArray[np.uint64] = np.ndarray((len(data) - 7,), ">u8", data.data, 0, (1,))
    up = (at - byte * 8).astype(np.uint64)
    patterns: NDArray[np.uint64] = windows[byte].astype(np.uint64) << up >> np.uint64(64 - bits)
    return patterns


def octets_at(data: Octets, at: Positions, count: int) -> Octets:
    """`count` bytes from any bit positions, shape [len(at), count]."""
    items = at[:, None] + 8 * np.arange(count, dtype=np.int64)
    return bits_at(data, items, 8).astype(np.uint8)


def join(data: Octets, starts: Positions, stops: Positions) -> Octets:
    """The bytes of all ranges [start, stop), one after the other."""
    view = data.data
    pieces = [view[start:stop] for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)]
    return np.frombuffer(b"".join(pieces), np.uint8)


def numbers_at(data: Octets, field: PacketField, at: Positions, counts: Positions) -> Numbers:
    """`counts` numbers of each packet from bit `at` on, all of them one after the other."""
    if not (at % 8).any() and field.bits in (8, 16, 32, 64):
        octets = join(data, at >> 3, (at >> 3) + counts * (field.bits // 8))
        letter = {"uint": "u", "int": "i", "float": "f"}[field.kind]
        order = "<" if field.byte_order == "little" else ">"
        return octets.view(f"{order}{letter}{field.bits // 8}").astype(COLUMN_DTYPES[field.column_type])
    first = np.cumsum(counts) - counts
    items = np.repeat(at - first * field.bits, counts) + field.bits * np.arange(int(counts.sum()), dtype=np.int64)
    return typed(bits_at(data, items, field.bits), field)


def texts(octets: Octets, counts: Positions) -> NDArray[Any]:
    """One UTF-8 string of `counts` bytes for each packet, shape [n], dtype object."""
    stops, raw = np.cumsum(counts).tolist(), octets.tobytes()
    out = np.empty(len(stops), object)
    out[:] = [raw[stop - n : stop].decode("utf-8", "replace") for stop, n in zip(stops, counts.tolist(), strict=True)]
    return out


def text(octets: Octets) -> NDArray[np.str_]:
    """UTF-8 text of the rows of [n, width] bytes; what is none becomes U+FFFD, and trailing NULs are dropped."""
    width = octets.shape[1]
    if (octets > 127).any():
        return np.array([row.tobytes().decode("utf-8", "replace") for row in octets], f"U{width}")
    return octets.astype(np.uint32).view(f"U{width}")[:, 0]
