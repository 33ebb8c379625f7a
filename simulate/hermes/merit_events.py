# SPDX-License-Identifier: Apache-2.0
"""Pulse-height events of MERiT: a sample of the particles counted in each second, as 64-bit words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulate.hermes.merit_response import Float64, Response
from simulate.hermes.merit_scenario import Events
from simulate.packets import Int64, Words

PHA_BITS, PHA_FULL = 10, 1023
OFFSET_TICKS = 1 << 16


def event_words(counts: Int64, response: Response, events: Events, random: np.random.Generator) -> tuple[Words, Int64]:
    """The 16-bit words of all events, packet after packet, and the number of events of each packet.

    `counts` are those of each second, head and bin; the events of a second are in the order of their time.
    """
    second, head, bin_ = _sample(counts, events.most_per_head, random)
    offset = random.integers(0, OFFSET_TICKS, len(second))
    order = np.lexsort((offset, second))
    second, head, bin_, offset = second[order], head[order], bin_[order], offset[order]
    heights, species = _pulse_heights(bin_, response, events, random)
    word = head << 63 | species << 61 | offset << 40
    for detector in range(heights.shape[1]):
        word |= heights[:, detector] << PHA_BITS * (heights.shape[1] - 1 - detector)
    words = word.astype(">i8").view(">u2").astype(np.uint16)
    return words, np.bincount(second, minlength=len(counts)).astype(np.int64)


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
    heights: npt.NDArray[np.int64] = np.clip(np.rint(signal), 0, PHA_FULL).astype(np.int64)
    return heights, species
