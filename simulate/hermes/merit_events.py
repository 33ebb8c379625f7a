# SPDX-License-Identifier: Apache-2.0
"""Pulse-height events of MERiT: a sample of the particles counted in each second, laid out as their packet says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lake.errors import DefinitionError
from lake.packet_definitions import Packet, PacketField
from simulate.hermes.merit_response import Float64, Response
from simulate.hermes.merit_scenario import Events
from simulate.packets import Int64, Words

EVENT_BITS = 64
HEIGHTS = ("pha_apd", "pha_ssd1", "pha_ssd2", "pha_ssd3")  # in the order of the scenario's detectors


@dataclass(frozen=True)
class EventLayout:
    """The fields of an event from the highest bit to the lowest, and how many 16-bit words they fill."""

    fields: tuple[PacketField, ...]

    @property
    def words(self) -> int:
        """16-bit words of an event."""
        return sum(field.bits for field in self.fields) // 16

    def ends(self, name: str) -> int:
        """The first number that a field does not hold."""
        return 1 << next(field.bits for field in self.fields if field.name == name)

    def packed(self, values: dict[str, Int64]) -> Words:
        """The words of all events; fields without values are 0."""
        word = np.zeros(len(next(iter(values.values()))), np.int64)
        for field in self.fields:
            word = word << field.bits | values.get(field.name, 0)
        return word.astype(">i8").view(">u2").astype(np.uint16)


def event_layout(packet: Packet) -> EventLayout:
    """The layout of the events of a packet. Raises DefinitionError if an event is not 64 bits long."""
    layout = EventLayout(tuple(field for field in packet.fields if field.variable))
    bits = sum(field.bits for field in layout.fields)
    if bits != EVENT_BITS:
        raise DefinitionError(
            f"packet {packet.name}: its events have {bits} bits. Simulate {EVENT_BITS} or extend simulate/."
        )
    return layout


def as_one_field(packet: Packet) -> Packet:
    """The packet with its events as one field of variable length, whose parts stand event by event."""
    parts = [field for field in packet.fields if field.variable]
    if not parts:
        return packet
    whole = parts[0].model_copy(update={"name": "events", "kind": "uint", "bits": sum(field.bits for field in parts)})
    fields = tuple(whole if field is parts[0] else field for field in packet.fields if field not in parts[1:])
    return packet.model_copy(update={"fields": fields})


def event_words(
    counts: Int64, layout: EventLayout, response: Response, events: Events, random: np.random.Generator
) -> tuple[Words, Int64]:
    """The 16-bit words of all events, packet after packet, and the number of events of each packet.

    `counts` are those of each second, head and bin; the events of a second are in the order of their time.
    """
    second, head, bin_ = _sample(counts, events.most_per_head, random)
    offset = random.integers(0, layout.ends("t_offset"), len(second))
    order = np.lexsort((offset, second))
    second, head, bin_, offset = second[order], head[order], bin_[order], offset[order]
    heights, species = _pulse_heights(bin_, response, events, random)
    values = {"head": head, "species": species, "t_offset": offset}
    for name, height in zip(HEIGHTS, heights.T, strict=True):
        values[name] = np.minimum(height, layout.ends(name) - 1)
    return layout.packed(values), np.bincount(second, minlength=len(counts)).astype(np.int64)


def _sample(counts: Int64, most: int, random: np.random.Generator) -> tuple[Int64, Int64, Int64]:
    """Second, head and bin of at most so many events of each second and head, drawn from its counts."""
    _, heads, bins = counts.shape
    flat = counts.reshape(-1, bins)
    taken = np.minimum(flat.sum(axis=1), most)
    row = np.repeat(np.arange(len(flat)), taken)
    ends = np.cumsum(flat.reshape(-1))
    first = np.concatenate([[0], ends])[::bins][:-1]
    place = first[row] + (random.random(len(row)) * flat.sum(axis=1)[row]).astype(np.int64)
    bin_ = np.searchsorted(ends, place, side="right") - row * bins
    return row // heads, row % heads, bin_.astype(np.int64)


def _pulse_heights(bin_: Int64, response: Response, events: Events, random: np.random.Generator) -> tuple[Int64, Int64]:
    """Pulse heights [n, detectors] in adu, and the species identifiers, of events of these bins."""
    uniform, spread = random.random(len(bin_)), random.standard_normal((len(bin_), len(events.adu_per_mev)))
    parts, species = np.zeros(spread.shape), np.zeros(len(bin_), np.int64)
    energy: Float64 = np.zeros(len(bin_))
    for name, bins in response.bins.items():
        found = np.isin(bin_, bins.index)
        place = np.searchsorted(bins.index, bin_[found])
        energy[found] = bins.low[place] * (bins.high[place] / bins.low[place]) ** uniform[found]
        parts[found], species[found] = events.species[name].parts, events.species[name].id
    signal = energy[:, np.newaxis] * parts * np.array(events.adu_per_mev) * (1 + events.spread * spread)
    heights: npt.NDArray[np.int64] = np.maximum(np.rint(signal), 0).astype(np.int64)
    return heights, species
