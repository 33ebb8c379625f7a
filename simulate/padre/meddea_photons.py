# SPDX-License-Identifier: Apache-2.0
"""Photon packets as MeDDEA closes them: by time or by size, thinned by the decimation level that the rate demands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from simulate.packets import Int64, Words
from simulate.padre.meddea_detector import Events, join_events, no_events
from simulate.padre.meddea_scenario import FillTime, PhotonRules

DROPPED_MAX = 0xFFF
NO_BASELINE_FLAG = 0x8000  # set in all ground packets without baseline; its meaning is unknown


@dataclass(frozen=True)
class Decimation:
    """Keep and discard counts, [level, energy range], and the upper ADC of each range."""

    upper: Int64
    keep: Int64
    discard: Int64

    @property
    def top(self) -> int:
        """The highest level."""
        return len(self.keep) - 1

    def kept(self, adc: Int64, level: int) -> Int64:
        """Indices of the events that pass: of each range the first `keep` of every `keep + discard`."""
        edge = np.searchsorted(self.upper, adc)
        passes = np.empty(len(adc), np.bool_)
        for e in range(len(self.upper)):
            here = np.flatnonzero(edge == e)
            cycle = self.keep[level, e] + self.discard[level, e]
            passes[here] = np.arange(len(here)) % cycle < self.keep[level, e]
        return np.flatnonzero(passes)


def read_decimation(frame: pl.DataFrame) -> Decimation:
    """The decimation table of a calibration frame."""
    table = frame.sort("level", "edge")
    levels = table["level"].n_unique()
    keep, discard = (table[name].to_numpy().reshape(levels, -1).astype(np.int64) for name in ("keep", "discard"))
    upper = table.filter(pl.col("level") == 0)["adc_upper"].to_numpy().astype(np.int64)
    return Decimation(upper, keep, discard)


@dataclass(frozen=True)
class PhotonPackets:
    """Closed packets: start [ns], integration [units], level, photons dropped, and the events that were kept."""

    start_ns: Int64
    integration: Int64
    level: Int64
    dropped: Int64
    sizes: Int64
    events: Events

    def clocks(self, unit_ns: int) -> Int64:
        """Time of each event since its packet's start, in units; what came between packets counts as 0."""
        since = self.events.time_ns - np.repeat(self.start_ns, self.sizes)
        return np.maximum(since // unit_ns, 0)

    def live_time(self, unit_ns: int) -> Int64:
        """Integration less the dead time of the events, in units."""
        total = np.concatenate([[0.0], np.cumsum(self.events.dead_us)])
        ends = np.cumsum(self.sizes)
        dead = (total[ends] - total[ends - self.sizes]) * 1000 / unit_ns
        return np.asarray(np.maximum(self.integration - np.rint(dead).astype(np.int64), 0), np.int64)

    def flags(self, baseline: bool) -> Int64:
        """The flags word: level in bits 14-12, dropped photons below; bit 15 marks packets without baseline."""
        word = self.level << 12 | np.minimum(self.dropped, DROPPED_MAX)
        return np.asarray(word if baseline else word | NO_BASELINE_FLAG, np.int64)

    def event_words(self, unit_ns: int, baseline: npt.NDArray[np.int64] | None) -> Words:
        """Words of all events, row by row: clock, pixel id, baseline if there is one, ADC."""
        columns = [self.clocks(unit_ns), self.events.pixel_id, self.events.adc]
        if baseline is not None:
            columns.insert(2, baseline)
        return np.stack(columns, axis=1).astype(np.uint16).reshape(-1)


class Packer:
    """Cuts a stream of events into packets. Keeps the open packet and the decimation level between batches."""

    def __init__(self, rules: PhotonRules, words_per_event: int) -> None:
        self.rules = rules
        self.full = -(-rules.full_bytes // (2 * words_per_event))
        self.start_ns = 0
        self.level = 0
        self.waiting = no_events()

    def pack(self, new: Events, until_ns: int, decimation: Decimation, fill: FillTime) -> PhotonPackets:
        """All packets that are closed for certain before a time; the rest of the events wait."""
        events = join_events(self.waiting, new)
        kept: dict[int, Int64] = {}
        rows: list[tuple[int, int, int, int, int]] = []
        chosen: list[Int64] = []
        position = 0
        while self.start_ns + self.rules.max_integration * self.rules.time_unit_ns <= until_ns:
            if self.level not in kept:
                kept[self.level] = decimation.kept(events.adc, self.level)
            stop, sent, integration = self._close(events.time_ns, kept[self.level], position)
            rows.append((self.start_ns, integration, self.level, stop - position - len(sent), len(sent)))
            chosen.append(sent)
            self.start_ns += (integration + self.rules.turnaround_units) * self.rules.time_unit_ns
            self.level = self._next_level(integration, len(sent), decimation, fill)
            position = stop
        self.waiting = events.part(slice(position, None))
        starts, lengths, levels, dropped, sizes = np.array(rows, np.int64).reshape(-1, 5).T
        photons = events.part(np.concatenate([np.empty(0, np.int64), *chosen]))
        return PhotonPackets(starts, lengths, levels, dropped, sizes, photons)

    def _close(self, times: Int64, kept: Int64, position: int) -> tuple[int, Int64, int]:
        """Index behind the packet's last event, the events that it sends, and its integration time."""
        unit, limit = self.rules.time_unit_ns, self.rules.max_integration
        deadline = self.start_ns + limit * unit
        first = int(kept.searchsorted(position))
        last = first + self.full - 1
        if last < len(kept) and times[kept[last]] < deadline:
            since = max(int(times[kept[last]]) - self.start_ns, 0)
            return int(kept[last]) + 1, kept[first : last + 1], since // unit + 1
        stop = int(times.searchsorted(deadline))
        return stop, kept[first : int(kept.searchsorted(stop))], limit

    def _next_level(self, integration: int, sent: int, decimation: Decimation, fill: FillTime) -> int:
        """A packet that fills faster than `up` raises the level, one that takes longer than `down` lowers it."""
        if sent == self.full and integration < fill.up:
            return min(self.level + 1, decimation.top)
        return max(self.level - 1, 0) if integration > fill.down else self.level
