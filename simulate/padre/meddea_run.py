# SPDX-License-Identifier: Apache-2.0
"""One run of the MeDDEA simulation: its clock, its sequence counts, its packets piece by piece, and its truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from lake.clock import DAY_NS, NS, met_from_tt2000, tt2000_of_day, unix_ns_from_tt2000
from lake.definitions import Instrument
from simulate.files import time_text
from simulate.orbit import Orbit
from simulate.packets import SEQUENCE_MODULUS, Int64, Packets, SequenceCounts, assemble, in_time_order
from simulate.padre.meddea_detector import Events, Response, calibration_frame, count_photons, histograms, read_response
from simulate.padre.meddea_housekeeping import (
    Inverse,
    contact_times,
    error_mask,
    housekeeping_values,
    read_inverses,
    register_addresses,
)
from simulate.padre.meddea_photons import Decimation, Packer, PhotonPackets, read_decimation
from simulate.padre.meddea_scenario import FillTime, Scenario
from simulate.sun import Flare, Float64, flares_of_day, light_curves

CHUNK_S = 900  # made at once; short enough that a flare fits into memory
SPECTRUM_S = 10
U16_MAX = 0xFFFF


@dataclass(frozen=True)
class Calibrations:
    """What the definitions say for one day, ready for use."""

    day: date
    response: Response
    decimation: Decimation
    fill: FillTime
    inverses: dict[str, Inverse]
    error_mask: int
    addresses: Int64


def read_calibrations(instrument: Instrument, scenario: Scenario, day: date) -> Calibrations:
    """The calibrations of a day. Raises CalibrationError if one is missing."""
    return Calibrations(
        day=day,
        response=read_response(instrument, scenario.detector, day),
        decimation=read_decimation(calibration_frame(instrument, "decimation", day)),
        fill=scenario.photon.fill_time(day),
        inverses=read_inverses(instrument, day),
        error_mask=error_mask(instrument, scenario.housekeeping, day),
        addresses=register_addresses(instrument, scenario.contacts, day),
    )


@dataclass(frozen=True)
class Rates:
    """What happened in each second of the run."""

    expected: Float64
    counted: Int64
    sent: Int64
    dropped: Int64


class Run:
    """One simulation from midnight on: its clock, its sequence counts and its truth."""

    def __init__(
        self,
        instrument: Instrument,
        scenario: Scenario,
        orbit: Orbit,
        day: date,
        seed: int,
        hours: float,
        baseline: bool,
    ) -> None:
        self.orbit = orbit
        self.instrument, self.scenario, self.day, self.seed, self.baseline = instrument, scenario, day, seed, baseline
        self.midnight = tt2000_of_day(day)
        self.seconds = max(int(hours * 3600) // SPECTRUM_S, 1) * SPECTRUM_S
        self.stop = self.midnight + self.seconds * NS
        self.grid = self.midnight + round(scenario.clock.first_packet_s * NS)
        self.unix_s = (self.grid_unix + np.arange(self.seconds)).astype(np.float64)
        self.calibrations = read_calibrations(instrument, scenario, day)
        self.flares = [flare for number in range(-1, self.days) for flare in self._flares(number)]
        none = np.zeros(self.seconds + 1, np.int64)
        self.rates = Rates(np.zeros(self.seconds), none, none.copy(), none.copy())
        self.sequence = self._first_counts()
        words = scenario.photon.words_with_baseline if baseline else scenario.photon.words_without_baseline
        self.packer, self.event_words = Packer(scenario.photon, words), words

    @property
    def grid_unix(self) -> float:
        """Unix seconds at which the 10 s grid begins."""
        return int(unix_ns_from_tt2000(self.grid)) / NS

    @property
    def days(self) -> int:
        """UTC days that the run touches."""
        return -(-self.seconds * NS // DAY_NS)

    def random(self, second: int, purpose: int) -> np.random.Generator:
        """The random numbers of one purpose from one second on, the same on whichever day the run begins."""
        return np.random.default_rng([self.seed, self.day.toordinal() * 86_400 + second, purpose])

    def packets(self) -> Iterator[tuple[str, Packets]]:
        """Packets of the three streams, a quarter of an hour at a time."""
        for first in range(0, self.seconds, CHUNK_S):
            stop = min(first + CHUNK_S, self.seconds)
            self._turn_day(first)
            events = self._photons(first, stop)
            yield "photon", self._photon_packets(events, first, stop)
            yield "spectrum", self._spectrum_packets(events, first, stop)
            yield "housekeeping", self._housekeeping_packets(first, stop)

    def _flares(self, number: int) -> list[Flare]:
        unix_s = int(unix_ns_from_tt2000(self.midnight)) / NS + 86_400 * number
        return flares_of_day(self.scenario.flares, self.orbit, unix_s, self.random(86_400 * number, 50))

    def _first_counts(self) -> SequenceCounts:
        """Streams of fixed cadence count from 1970 on, so that days made apart fit together; others begin anywhere."""
        photon, spectrum, housekeeping, register = (
            self.instrument.packet(name).apids[0] for name in ("photon", "spectrum", "housekeeping", "register")
        )
        grid = int(self.grid_unix)
        anywhere = self.random(0, 60).integers(0, SEQUENCE_MODULUS, 2)
        counts = {spectrum: grid // SPECTRUM_S, housekeeping: grid // self.scenario.housekeeping.cadence_s}
        counts |= {photon: int(anywhere[0]), register: int(anywhere[1])}
        return SequenceCounts({apid: count % SEQUENCE_MODULUS for apid, count in counts.items()})

    def _turn_day(self, second: int) -> None:
        """Reads the calibrations that hold for the piece that begins at this second."""
        day = self.day + timedelta(days=second // 86_400)
        if day != self.calibrations.day:
            self.calibrations = read_calibrations(self.instrument, self.scenario, day)

    def _reading(self, since_grid_ns: Int64) -> Int64:
        """TT2000 [ns] that the free-running clock shows, in whole ticks."""
        clock, error = self.instrument.clock, self.scenario.clock
        tick = NS // clock.fine_ticks_per_second
        ticks = since_grid_ns // tick
        drift = ticks * error.drift_ticks // (error.drift_over_s * clock.fine_ticks_per_second)
        return self.grid + (ticks + drift) * tick

    def _clock_fields(self, reading: Int64) -> dict[str, Int64]:
        """The clock's fields at readings of it."""
        clock = self.instrument.clock
        met = met_from_tt2000(clock, reading)
        return {clock.coarse: met // NS, clock.fine or "": met % NS // (NS // clock.fine_ticks_per_second)}

    def _assemble(self, name: str, since_grid_ns: Int64, values: dict[str, Int64]) -> Packets:
        packet = self.instrument.packet(name)
        reading = self._reading(since_grid_ns)
        sequence = self.sequence.take(packet.apids[0], len(reading))
        return assemble(packet, sequence, reading, {**self._clock_fields(reading), **values})

    def _photons(self, first: int, stop: int) -> Events:
        """All photons counted between two seconds of the grid; their times count from the first."""
        scenario = self.scenario
        curves = light_curves(scenario.sources, self.flares, self.orbit, self.unix_s[first:stop])
        random = self.random(first, 1)
        events = count_photons(curves, scenario.band, scenario.detector, self.calibrations.response, random)
        self.rates.expected[first:stop] = sum(rate for _, rate in curves)
        self.rates.counted[first:stop] = np.bincount(events.time_ns // NS, minlength=stop - first)
        return events

    def _photon_packets(self, events: Events, first: int, stop: int) -> Packets:
        """Photon packets that end before the chunk does; the last ones of the run end before its last midnight."""
        rules, known = self.scenario.photon, self.calibrations
        until = min(stop * NS, self.stop - self.grid)
        made = self.packer.pack(events.later(first * NS), until, known.decimation, known.fill)
        self._count(made)
        packet, unit = self.instrument.packet("photon"), rules.time_unit_ns
        reading = self._reading(made.start_ns)
        values = {
            **self._clock_fields(reading),
            "integration_time": made.integration,
            "live_time": made.live_time(unit),
            "flags": made.flags(self.baseline),
        }
        words = made.event_words(unit, self._baselines(len(made.events), first))
        sequence = self.sequence.take(packet.apids[0], len(reading))
        return assemble(packet, sequence, reading, values, (words, made.sizes * self.event_words))

    def _baselines(self, count: int, first: int) -> Int64 | None:
        if not self.baseline:
            return None
        detector = self.scenario.detector
        noise = self.random(first, 2).standard_normal(count)
        return np.rint(detector.baseline_adu + detector.baseline_sigma_adu * noise).astype(np.int64)

    def _count(self, made: PhotonPackets) -> None:
        self.rates.sent[:] += np.bincount(made.events.time_ns // NS, minlength=len(self.rates.sent))
        seconds = made.start_ns // NS
        self.rates.dropped[:] += np.bincount(seconds, made.dropped, len(self.rates.dropped)).astype(np.int64)

    def _spectrum_packets(self, events: Events, first: int, stop: int) -> Packets:
        intervals = (stop - first) // SPECTRUM_S
        which = events.time_ns // (SPECTRUM_S * NS)
        dead = np.bincount(which, events.dead_us, intervals) * 1000 / self.scenario.photon.time_unit_ns
        integration = np.full(intervals, self.scenario.spectrum.integration, np.int64)
        values = {
            "integration_time": integration,
            "live_time": np.maximum(integration - np.rint(dead).astype(np.int64), 0),
            "slots": histograms(events, self.calibrations.response, intervals, SPECTRUM_S).astype(np.int64),
        }
        starts = (first + SPECTRUM_S * np.arange(intervals, dtype=np.int64)) * NS
        return self._assemble("spectrum", starts, values)

    def _housekeeping_packets(self, first: int, stop: int) -> Packets:
        """Housekeeping and register reads of a chunk, in time order."""
        reads = self._read_times()
        now = reads[(reads >= first * NS) & (reads < stop * NS)]
        return in_time_order([self._housekeeping(reads, first, stop), self._registers(now)])

    def _housekeeping(self, reads: Int64, first: int, stop: int) -> Packets:
        rules, random = self.scenario.housekeeping, self.random(first, 3)
        times = (
            first * NS + round(rules.first_s * NS) + np.arange(0, stop - first, rules.cadence_s, dtype=np.int64) * NS
        )
        phase = self.orbit.phase(self.grid_unix + times / NS)
        values = housekeeping_values(rules, self.calibrations.inverses, phase, random)
        latest = np.maximum(times // NS - 1, 0)
        values |= {
            "hit_rate": np.minimum(self.rates.counted[latest], U16_MAX),
            "decimation_rate": np.minimum(self.rates.dropped[latest], U16_MAX),
            "good_cmd_cnt": np.searchsorted(reads, times).astype(np.int64),
            "error_cnt": np.full(len(times), rules.command_errors, np.int64),
            "error_summary": self.calibrations.error_mask * (random.random(len(times)) < rules.error_chance),
        }
        return self._assemble("housekeeping", times, values)

    def _read_times(self) -> Int64:
        """When registers are read in the whole run, ns since the grid began."""
        midnight = int(unix_ns_from_tt2000(self.midnight)) / NS
        days = [midnight + 86_400 * number for number in range(self.days)]
        unix = contact_times(self.scenario.contacts, self.orbit, days)
        return np.rint((unix - self.grid_unix) * 1000).astype(np.int64) * (NS // 1000)

    def _registers(self, times: Int64) -> Packets:
        contacts = self.scenario.contacts
        addresses = self.calibrations.addresses
        which = np.searchsorted(self._read_times(), times) % max(len(addresses), 1)
        answers = np.array(list(contacts.registers.values()), np.int64)
        return self._assemble("register", times, {"address": addresses[which], "value": answers[which]})

    def rate_rows(self) -> list[list[object]]:
        """The truth in steps of 10 s: expected rate, photons counted, sent and dropped, sunlight, flares."""
        rates, unix = self.rates, self.unix_s
        lit = self.orbit.sunlit(unix)
        flare = np.zeros(self.seconds, np.bool_)
        for begin, end in (f.span for f in self.flares):
            flare |= (unix >= begin) & (unix < end)
        rows: list[list[object]] = []
        for first in range(0, self.seconds, SPECTRUM_S):
            step = slice(first, first + SPECTRUM_S)
            counts = [int(x[step].sum()) for x in (rates.counted, rates.sent, rates.dropped)]
            marks = [int(lit[step].any()), int(flare[step].any())]
            rows.append([time_text(self.grid + first * NS), f"{rates.expected[step].mean():.3f}", *counts, *marks])
        return rows

    def flare_rows(self) -> list[list[object]]:
        """Begin, peak and end of the flares of the run, and the sum of their peak rates [count/s]."""
        begin, end = self.grid_unix, self.grid_unix + self.seconds
        seen = [f for f in self.flares if f.span[0] < end and f.span[1] > begin]
        return [
            [*map(_unix_text, (f.span[0], f.peak_unix_s, f.span[1])), sum(p.peak_rate for p in f.pulses)] for f in seen
        ]


def _unix_text(unix_s: float) -> str:
    return f"{np.datetime64(round(unix_s * 1000), 'ms')}Z"
