# SPDX-License-Identifier: Apache-2.0
"""Packets of one type made from its definition: clocks count right, other fields have values that they may have."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import islice

import numpy as np

from lake.clock import NS, tt2000_of_day
from lake.definitions import Instrument, Mission
from lake.packet_definitions import HEADER_FIELDS, Clock, Condition, Packet, PacketField
from simulate.generic.clock import counters, shows, tick_ns
from simulate.generic.values import (
    Int64,
    Numbers,
    Reach,
    key_of,
    letters,
    numbers,
    octets,
    reach_of_field,
    whole,
)
from simulate.packets import Packets, assemble

OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
DEFAULT_CADENCE = 10.0  # s, where a definition gives none
MOST_ITEMS = 16  # of a field of variable length
LAYOUTS = 5  # different lengths of a packet type


@dataclass(frozen=True)
class Layout:
    """A packet type with the lengths that its variable fields have in some of its packets, and what counts them."""

    packet: Packet
    counts: dict[str, int]


@dataclass(frozen=True)
class PacketType:
    """What is sent of one packet type under one APID, at a steady rate from the first midnight of a run on."""

    mission: Mission
    instrument: Instrument
    packet: Packet
    apid: int
    day: date
    seed: int
    place: float = 0.0

    @property
    def clock(self) -> Clock:
        """Its own clock, or the instrument's."""
        return self.packet.clock or self.instrument.clock

    @property
    def step(self) -> int:
        """Nanoseconds from packet to packet."""
        cadence = self.packet.cadence_seconds or DEFAULT_CADENCE
        return round(max(cadence * NS, tick_ns(self.clock)))

    @property
    def start(self) -> int:
        """TT2000 [ns] of the run's first midnight."""
        return tt2000_of_day(self.day)

    def indices(self, first: int, stop: int) -> Int64:
        """The packets between two times, by their place in the run."""
        begin = self.start + round(self.place * self.step)
        edges = [max(-((begin - time) // self.step), 0) for time in (first, stop)]
        return np.arange(*edges, dtype=np.int64)

    def times(self, index: Int64) -> Int64:
        """TT2000 [ns] of packets by their place in the run."""
        return np.asarray(self.start + round(self.place * self.step) + index * self.step, np.int64)

    def problem(self, stop: int) -> str | None:
        """Why packets of this type cannot be made; None if they can."""
        if self.packet.unpacker:
            return f"its payload is for the unpacker {self.packet.unpacker}, of which the definition says nothing"
        if not all(self._met(c) for c in self.packet.when if c.field in HEADER_FIELDS):
            return "no whole packet of this APID meets its conditions on the primary header"
        if not self.layouts:
            return "no lengths of its variable fields give whole bytes"
        bits = {f.name: f.bits for f in self.packet.fields}
        return shows(self.clock, self.mission, bits, stop, self.start)

    def _met(self, condition: Condition) -> bool:
        """True if every packet, being whole, meets a condition on the primary header; never for its count."""
        shown = {"apid": self.apid, "sequence_flags": 3}.get(condition.field)
        return shown is not None and OPERATORS[condition.operator](shown, condition.value)

    # ---- lengths ---------------------------------------------------------------------------------------------------
    @cached_property
    def layouts(self) -> tuple[Layout, ...]:
        """The lengths that packets of this type take by turns."""
        if not self.packet.variable:
            return (Layout(self.packet, {}),)
        found = (layout for n in range(4 * MOST_ITEMS) if (layout := self._layout(n)) is not None)
        return tuple(islice(found, LAYOUTS))

    def _layout(self, wanted: int) -> Layout | None:
        """The layout in which counting fields have their `wanted`-th value, and what expands as many items."""
        counts = {}
        for name in {f.length_field for f in self.packet.fields if f.length_field}:
            values = list(islice(self._counts(str(name)), MOST_ITEMS))
            if not values:
                return None
            counts[str(name)] = values[wanted % len(values)]
        fields = tuple(_fixed(f, _items(f, counts, wanted)) for f in self.packet.fields)
        fixed = self.packet.model_copy(update={"fields": tuple(f for f in fields if f is not None)})
        bits = sum(f.bits * f.items for f in fixed.fields)
        whole_words = bits % (16 if self.packet.checksum == "xor16" else 8) == 0
        return Layout(fixed, counts) if whole_words and 0 < bits // 8 <= self.packet.max_bytes - 6 else None

    def _counts(self, name: str) -> Iterator[int]:
        """Values of a field that give whole numbers of items, not too many, to all that take their length from it."""
        counted = [f for f in self.packet.fields if f.length_field == name]
        reach = self.reach(next(f for f in self.packet.fields if f.name == name))
        for value in range(max(int(reach.low), 0), min(int(reach.high), 8 * MOST_ITEMS * 64) + 1):
            items = [_items(f, {name: value}, 0) for f in counted]
            if all(0 <= n <= MOST_ITEMS * 8 for n in items) and all(
                f.length_bits is None or n * f.bits == f.length_bits[0] * value + f.length_bits[1]
                for f, n in zip(counted, items, strict=True)
            ):
                yield value

    # ---- values ----------------------------------------------------------------------------------------------------
    def reach(self, field: PacketField) -> Reach:
        """What a field may be so that the packet is of this type."""
        reach = reach_of_field(self.instrument, self.packet.name, field, self.day)
        for condition in self.packet.when:
            reach = reach.where(condition) if condition.field == field.name else reach
        for other in self._others():
            if other.when and other.when[0].field == field.name and other.when[0].operator == "==":
                reach = reach.without(other.when[0].value)
        return reach

    def _others(self) -> list[Packet]:
        """Packet types before this one that share the APID: a packet that meets their conditions would be theirs."""
        named = {condition.field for condition in self.packet.when}
        packets = self.instrument.packets[: self.instrument.packets.index(self.packet)]
        return [p for p in packets if self.apid in p.apids and not named & {c.field for c in p.when}]

    def values(self, index: Int64, layout: Layout) -> dict[str, Numbers]:
        """The values of all fields but the checksum, [n, items], in packets by their place in the run."""
        values: dict[str, Numbers] = {}
        for field in layout.packet.fields:
            if field.kind == "fill" or (field.name == "checksum" and self.packet.checksum == "xor16"):
                continue
            values[field.name] = self._drawn(field, index)
        for name, count in layout.counts.items():
            values[name] = np.full((len(index), 1), count, np.int64)
        shown = counters(self.clock, self.times(index), self.start)
        values |= {name: ticks[:, None] for name, ticks in shown.items() if name in values}
        if self.packet.checksum not in (None, "xor16"):
            del values[layout.packet.fields[-1].name]
        return values

    def _drawn(self, field: PacketField, index: Int64) -> Numbers:
        key = key_of(self.seed, self.instrument.name, self.packet.name, self.apid, field.name)
        if field.kind in ("str", "bytes"):
            return (letters if field.kind == "str" else octets)(key, index, field.items * field.bits // 8)
        if field.kind == "float":
            drawn = numbers(key, index, field.items, self.reach(field))
            return drawn.astype(np.float32) if field.bits == 32 else drawn
        return whole(key, index, field.items, self.reach(field))

    def packets(self, index: Int64, sequence: Int64) -> list[Packets]:
        """Packets with these sequence counts, those of one layout together."""
        made = []
        for number, layout in enumerate(self.layouts):
            own = np.flatnonzero(index % len(self.layouts) == number)
            if len(own):
                values = self.values(index[own], layout)
                times = self.times(index[own])
                made.append(assemble(layout.packet, sequence[own], times, values, apid=self.apid))  # type: ignore[arg-type]
        return made


def _items(field: PacketField, counts: dict[str, int], wanted: int) -> int:
    """Number of items of a field, given the values of counting fields and the items of what expands."""
    if field.length_field is None:
        return wanted if field.expand else field.items
    value = counts.get(field.length_field, 0)
    return value if field.length_bits is None else (field.length_bits[0] * value + field.length_bits[1]) // field.bits


def _fixed(field: PacketField, items: int) -> PacketField | None:
    """The field with so many items, None without any; a field that is not variable as it is."""
    if not field.variable:
        return field
    unbound = {"shape": (items,), "length_field": None, "length_bits": None, "expand": False}
    return field.model_copy(update=unbound) if items else None
