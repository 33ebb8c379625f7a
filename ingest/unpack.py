# SPDX-License-Identifier: Apache-2.0
"""Columns out of packets: a packet definition is compiled to a plan once, and the plan unpacks many packets at once.

Fields at a fixed place are taken from strided views, several scalars from each 64-bit lane. What lies behind a field of
variable length is taken from each packet's own bit position.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.bits import (
    COLUMN_DTYPES,
    LaneStep,
    Numbers,
    Octets,
    Positions,
    Rows,
    bits_at,
    numbers_at,
    octets_at,
    store_array,
    text,
    texts,
    typed,
)
from ingest.limits import MOST_BYTES
from lake.errors import PacketError
from lake.packet_definitions import HEADER_BITS, Packet, PacketField

# Bytes of packets per pass, so that a pass stays in the cache, and packets at least, so that calls do not dominate.
_BLOCK_BYTES = 1 << 17
_BLOCK_ROWS, _BLOCK_ROWS_WITH_ARRAYS = 8192, 32
_MOST_ITEMS = 16 * MOST_BYTES  # more than the bits of the longest packet
_HEADER_FIELDS = {
    "apid": (5, PacketField(name="apid", kind="uint", bits=11)),
    "sequence_flags": (16, PacketField(name="sequence_flags", kind="uint", bits=2)),
    "sequence_count": (18, PacketField(name="sequence_count", kind="uint", bits=14)),
}


Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Ragged:
    """Any number of values per packet: all `values` one after the other, `counts` of each packet (int64)."""

    values: Numbers
    counts: NDArray[np.int64]

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where each packet's values start, and where the last ones end: n + 1 numbers, as Arrow lists want them."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.counts)])


Column = Numbers | Ragged


@dataclass(frozen=True)
class Unpacked:
    """Columns with one row for each packet that is neither `short` nor in `overflow`.

    Both masks have one element for each packet given: `short` packets end before their fields do, hold a part of an
    item, or, by a plan for whole ones, go on behind them; packets in `overflow` hold an unsigned 64-bit number of
    2**63 or more, which no column type can.
    """

    columns: dict[str, Column]
    short: Mask
    overflow: Mask


@dataclass(frozen=True)
class _Placed:
    """A field at a fixed bit of the packet."""

    field: PacketField
    bit: int

    @property
    def single(self) -> bool:
        """True for a number that is no array and that one 64-bit lane can cover."""
        number = self.field.kind in ("uint", "int", "float")
        return number and not self.field.shape and self.bit % 8 + self.field.bits <= 64


@dataclass(frozen=True)
class Plan:
    """How to unpack one packet type.

    `head` are the fields at fixed places, `lanes` their scalars by the byte at which a 64-bit lane starts, `tail` the
    fields from the first one of variable length on. Packets must be `whole` if nothing may stand behind the last one.
    """

    packet: Packet
    head: tuple[_Placed, ...]
    lanes: tuple[tuple[int, tuple[LaneStep, ...]], ...]
    tail: tuple[PacketField, ...]
    head_bits: int
    whole: bool

    @property
    def head_bytes(self) -> int:
        """Bytes up to the tail, as many as a lane has at least."""
        return max(8, (self.head_bits + 7) // 8)


def compile_plan(packet: Packet, whole: bool = False) -> Plan:
    """The plan for a packet definition; if `whole`, packets that go on behind their last field do not fit it.

    Raises: PacketError if two fields have the same name, if a count does not precede what it counts, or if more than
    one field fills the rest of the packet.
    """
    _check_names(packet)
    _check_counts(packet)
    first = next((i for i, field in enumerate(packet.fields) if field.variable), len(packet.fields))
    head = [_Placed(field, bit) for bit, field in _HEADER_FIELDS.values()]
    bit = HEADER_BITS
    for field in packet.fields[:first]:
        head.append(_Placed(field, bit))
        bit += field.bits * field.items
    placed = tuple(place for place in head if place.field.kind != "fill")
    head_bytes = max(8, (bit + 7) // 8)
    return Plan(
        packet, placed, tuple(_lanes(placed, head_bytes)), packet.fields[first:], bit, whole and not packet.unpacker
    )


def _check_names(packet: Packet) -> None:
    seen = set(_HEADER_FIELDS)
    for field in packet.fields:
        if field.kind != "fill" and field.name in seen:
            raise PacketError(f"packet {packet.name}: the name {field.name} is taken. Rename the field")
        seen.add(field.name)


def _check_counts(packet: Packet) -> None:
    counts: set[str] = set()
    expanded = False
    for field in packet.fields:
        if field.length_field is not None and field.length_field not in counts:
            where = "before the field that fills the rest" if expanded else "before it"
            raise PacketError(
                f"packet {packet.name}: {field.name} takes its length from {field.length_field}, "
                f"which is no single whole number {where}. Correct the definition"
            )
        if field.expand and expanded:
            raise PacketError(f"packet {packet.name}: {field.name} cannot fill the rest too. Let one field expand")
        expanded |= field.expand
        if field.kind in ("uint", "int") and not field.shape and not field.variable and not expanded:
            counts.add(field.name)


def _lanes(head: tuple[_Placed, ...], head_bytes: int) -> Iterator[tuple[int, tuple[LaneStep, ...]]]:
    """Scalars in groups that one load of 64 bits covers."""
    lane: list[LaneStep] = []
    start = 0
    for place in sorted((p for p in head if p.single), key=lambda p: p.bit):
        if lane and place.bit + place.field.bits > start * 8 + 64:
            yield start, tuple(lane)
            lane = []
        if not lane:
            start = min(place.bit // 8, head_bytes - 8)
        lane.append(LaneStep(place.field, place.bit - start * 8))
    if lane:
        yield start, tuple(lane)


def unpack(plan: Plan, data: Octets | bytes, offsets: Positions, lengths: Positions) -> Unpacked:
    """Columns of packets at byte `offsets` of `data`, in the order of the definition, primary header first.

    Scalars have shape [n], fixed arrays [n, items] (row-major), variable ones are Ragged. `bytes` become np.void, or
    Ragged uint8 if variable; `str` become text. Fields of variable length that the definition leaves to an
    unpacker are left out.
    """
    octets = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else np.ascontiguousarray(data)
    offsets, lengths = np.asarray(offsets, np.int64), np.asarray(lengths, np.int64)
    short, overflow = lengths * 8 < plan.head_bits, np.zeros(len(offsets), bool)
    if not short.any():
        columns = _unpack_head(plan, octets, offsets)
        short = _unpack_tail(plan, octets, offsets, lengths, columns)
        overflow = _overflow(plan, columns, len(offsets))
        if not (short.any() or overflow.any()):
            return Unpacked(_in_order(plan, columns), short, overflow)
    return _unpack_rest(plan, octets, (offsets, lengths), short, overflow & ~short)


def _unpack_rest(
    plan: Plan, data: Octets, packets: tuple[Positions, Positions], short: Mask, overflow: Mask
) -> Unpacked:
    """Unpack again without the packets that are known to be bad."""
    good = np.flatnonzero(~(short | overflow))
    again = unpack(plan, data, packets[0][good], packets[1][good])
    short[good], overflow[good] = again.short, again.overflow
    return Unpacked(again.columns, short, overflow)


def _in_order(plan: Plan, columns: dict[str, Column]) -> dict[str, Column]:
    names = ["sequence_count", "sequence_flags", "apid", *(field.name for field in plan.packet.fields)]
    return {name: columns[name] for name in names if name in columns}


def _overflow(plan: Plan, columns: Mapping[str, Column], count: int) -> Mask:
    """True for packets with an unsigned 64-bit number that wrapped to a negative one."""
    overflow: Mask = np.zeros(count, np.bool_)
    for field in plan.packet.fields:
        if field.kind != "uint" or field.bits != 64 or field.name not in columns:
            continue
        column = columns[field.name]
        if isinstance(column, Ragged):
            packet = np.repeat(np.arange(len(column.counts)), column.counts)
            overflow[packet[column.values < 0]] = True
        else:
            overflow |= (column < 0).reshape(len(column), -1).any(axis=1)
    return overflow


def _unpack_head(plan: Plan, data: Octets, offsets: Positions) -> dict[str, Column]:
    """Columns of the fields at fixed places."""
    columns = {place.field.name: _empty(place.field, len(offsets)) for place in plan.head}
    arrays = any(place.field.shape for place in plan.head)
    size = max(_BLOCK_ROWS_WITH_ARRAYS if arrays else _BLOCK_ROWS, _BLOCK_BYTES // plan.head_bytes)
    lane, scratch = np.empty(size, np.uint64), np.empty(size, np.uint64)
    for first, rows in _blocks(plan, data, offsets, size):
        out = {name: column[first : first + rows.count] for name, column in columns.items()}
        _unpack_lanes(plan, rows, lane[: rows.count], scratch[: rows.count], out)
        for place in plan.head:
            if not place.single:
                _unpack_wide(rows, place, out[place.field.name])
    return {place.field.name: _finish(place.field, columns[place.field.name]) for place in plan.head}


def _unpack_lanes(
    plan: Plan, rows: Rows, lane: NDArray[np.uint64], scratch: NDArray[np.uint64], out: Mapping[str, Numbers]
) -> None:
    for start, steps in plan.lanes:
        lane[:] = rows.words(start, ">u8")
        for step in steps:
            step.store(lane, scratch, out[step.name])


def _unpack_wide(rows: Rows, place: _Placed, out: Numbers) -> None:
    """Arrays, texts, and numbers that span nine bytes."""
    field = place.field
    if field.kind not in ("str", "bytes"):
        store_array(rows, field, place.bit, out.reshape(rows.count, field.items))
        return
    octets = PacketField(name=field.name, kind="uint", bits=8, shape=(out.shape[1],))
    store_array(rows, octets, place.bit, out)


def _empty(field: PacketField, count: int) -> Numbers:
    """Room for a column; texts and bytes as [count, bytes] for now."""
    if field.kind in ("str", "bytes"):
        return np.empty((count, field.items * field.bits // 8), np.uint8)
    shape = (count, field.items) if field.shape else (count,)
    return np.empty(shape, COLUMN_DTYPES[field.column_type])


def _finish(field: PacketField, column: Numbers) -> Numbers:
    """Bytes [count, width] of texts and bytes fields as strings or voids; other columns as they are."""
    if field.kind not in ("str", "bytes"):
        return column
    items = np.ascontiguousarray(column).reshape(-1, field.bits // 8)
    values = text(items) if field.kind == "str" else items.view(f"V{field.bits // 8}")[:, 0]
    return values.reshape(-1, field.items) if field.shape else values


def _blocks(plan: Plan, data: Octets, offsets: Positions, size: int) -> Iterator[tuple[int, Rows]]:
    """Groups of packets with the index of their first one: a view if they lie evenly, else a copy of their heads."""
    steps = np.diff(offsets)
    stride = int(steps[0]) if len(steps) else plan.head_bytes
    padded = (plan.head_bits + 7) // 8 < plan.head_bytes
    even = not padded and stride > 0 and bool((steps == stride).all())
    whole = Rows(data, int(offsets[0]), stride, len(offsets)) if even and len(offsets) else None
    for first in range(0, len(offsets), size):
        last = min(first + size, len(offsets))
        yield first, whole.block(first, last) if whole else _gather(plan, data, offsets[first:last])


def _gather(plan: Plan, data: Octets, offsets: Positions) -> Rows:
    """Copies of the heads of scattered packets, one after the other."""
    used, size = (plan.head_bits + 7) // 8, plan.head_bytes
    heads: NDArray[np.void] = np.ndarray((len(data) - used + 1,), f"V{used}", data.data, 0, (1,))
    rows = heads[offsets].view(np.uint8).reshape(-1, used)
    if used < size:
        rows = np.pad(rows, ((0, 0), (0, size - used)))
    return Rows(rows.reshape(-1), 0, size, len(offsets))


def _unpack_tail(plan: Plan, data: Octets, offsets: Positions, lengths: Positions, columns: dict[str, Column]) -> Mask:
    """Add the columns from the first field of variable length on; true for packets too short for their fields."""
    at, stops = offsets * 8 + plan.head_bits, (offsets + lengths) * 8
    short = np.zeros(len(offsets), bool)
    if plan.tail and len(data) < 8:
        data = np.pad(data, (0, 8 - len(data)))
    for index, field in enumerate(plan.tail):
        left = stops - at
        if field.expand:
            left -= _bits_behind(plan.tail[index + 1 :], columns)
        counts = _counts(field, columns, left)
        short |= (counts < 0) | (at + counts * field.bits > stops)
        if field.expand and field.bits % 8 == 0:
            short |= left % field.bits >= 8  # a part of an item
        at, counts = np.where(short, offsets * 8, at), np.where(short, 0, counts)
        if field.kind != "fill" and not (field.variable and plan.packet.unpacker):
            columns[field.name] = _column_at(data, field, at, counts)
        at += counts * field.bits
    if plan.whole and not any(field.expand for field in plan.tail):
        short |= stops - at >= 8
    return short


def _bits_behind(fields: tuple[PacketField, ...], columns: Mapping[str, Column]) -> Positions:
    """Number of bits that fields behind a field take up in each packet."""
    total = np.zeros(1, np.int64)
    for field in fields:
        if not field.expand:
            total = total + _counts(field, columns, total) * field.bits
    return total


def _counts(field: PacketField, columns: Mapping[str, Column], left: Positions) -> Positions:
    """Number of items in each packet, with `left` bits for a field that fills the rest; -1 where it is not whole."""
    if field.expand:
        return left // field.bits
    if field.length_field is None:
        return np.full(len(left), field.items, np.int64)
    # More than a packet holds is too much, however much it is; the clip keeps the products below from overflowing.
    values = np.clip(np.asarray(columns[field.length_field], np.int64), -_MOST_ITEMS, _MOST_ITEMS)
    if field.length_bits is None:
        return values
    slope, intercept = field.length_bits
    bits = slope * values + intercept
    return np.where(bits % field.bits == 0, bits // field.bits, -1)


def _column_at(data: Octets, field: PacketField, at: Positions, counts: Positions) -> Column:
    """The column of a field that starts at a different bit in each packet."""
    if field.variable:
        return _ragged(data, field, at, counts)
    if field.kind in ("str", "bytes"):
        return _finish(field, octets_at(data, at, field.items * field.bits // 8))
    items = at[:, None] + field.bits * np.arange(field.items, dtype=np.int64)
    values = typed(bits_at(data, items, field.bits), field)
    return values if field.shape else values[:, 0]


def _ragged(data: Octets, field: PacketField, at: Positions, counts: Positions) -> Column:
    """Values of any number per packet; of texts and bytes each packet's bytes, the texts as a column of objects."""
    if field.kind not in ("str", "bytes"):
        return Ragged(numbers_at(data, field, at, counts), counts)
    octet = PacketField(name=field.name, kind="uint", bits=8)
    counts = counts * (field.bits // 8)
    octets = numbers_at(data, octet, at, counts).astype(np.uint8)
    return texts(octets, counts) if field.kind == "str" else Ragged(octets, counts)
