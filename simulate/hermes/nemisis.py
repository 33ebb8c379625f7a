# SPDX-License-Identifier: Apache-2.0
"""A simulated day of NEMISIS: a packet every 4 s with 40 samples of three magnetometers, driven by the plasma scenario.

The instrument is switched on at the run's start and then runs freely. The day is made in short pieces, one after the
other; the same seed gives the same bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lake.clock import (
    DAY_NS,
    NS,
    met_from_tt2000,
    tt2000_from_met,
    tt2000_from_unix_ns,
    tt2000_of_day,
    unix_ns_from_tt2000,
)
from lake.definitions import Instrument, Mission
from lake.errors import ConfigurationError
from simulate.faults import Fault
from simulate.files import Simulated, write_table
from simulate.hermes.nemisis_clock import PACKET_S, Tones, clock_bytes, shown_times
from simulate.hermes.nemisis_scenario import NemisisScenario, read_nemisis_scenario
from simulate.hermes.nemisis_sensors import SENSORS, Sensor, parameter, read_sensors, temperature_words
from simulate.hermes.plasma import PlasmaScenario, attitude_at, plasma_at, read_scenario
from simulate.hermes.span import Recorder, Span, finish
from simulate.packets import Int64, Packets, SequenceCounts, assemble
from simulate.request import check_request

Float64 = npt.NDArray[np.float64]

log = logging.getLogger(__name__)

STREAM = "nemisis"
SYNC = 0xE7F3
SAMPLES = 40
CHUNK = 225  # packets made at once: 15 minutes
TRUTH_HEADER = (
    *("pkt_id", "timed_by_tone", "slot_dropped_before", "tone_tt2000", "first_sample_tt2000", "last_sample_tt2000"),
    *(f"{name}_{axis}_nt" for name in ("b_gse", "host_pni1_bus") for axis in "xyz"),
)


def stream_names() -> tuple[str, ...]:
    """Names of its streams of files."""
    return (STREAM,)


def simulate_day(
    mission: Mission,
    instrument: Instrument,
    day: date,
    out: Path,
    *,
    seed: int,
    faults: tuple[Fault, ...] = (),
    hours: float = 24,
) -> Simulated:
    """Raw files from the day's first midnight on, with the truth in `truth/`; more than 24 hours run on without a seam.

    `truth/attitude_<yyyymmdd>.csv` has the form of the instrument's calibration of that name.
    Raises ConfigurationError, CalibrationError, or StorageError if `out` holds other data under these names.
    """
    check_request(mission, instrument, day, seed, hours, faults, stream_names())
    run = Run(instrument, day, seed, hours)
    recorder = Recorder(STREAM, "NEM", out, run.scenario.file_cap_bytes, faults)
    stream = recorder.record(run.span, run.packets(), run.random(0, 100))
    _write_truth(run, out / "truth")
    return finish(run.span, stream, run.around, {})


class Run:
    """One simulation from midnight on: its tones, its sensors, its sequence counts and its truth."""

    def __init__(self, instrument: Instrument, day: date, seed: int, hours: float) -> None:
        self.instrument, self.day, self.seed = instrument, day, seed
        self.scenario: NemisisScenario = read_nemisis_scenario()
        self.around: PlasmaScenario = read_scenario()
        self.span = Span(day, hours)
        self.midnight, self.seconds, self.stop = self.span.midnight, self.span.seconds, self.span.stop
        self.tones = self._tones()
        self.isr_count = self.tones.isr_count(parameter(instrument, day, "isr_phase_ticks"))
        self.truth: list[list[object]] = []
        self.sequence = SequenceCounts({instrument.packet("mag").apids[0]: 0})
        self._sensors_day, self._sensors = day, read_sensors(instrument, day, self.scenario, self.around)

    def _tones(self) -> Tones:
        """The tones whose packets are sent before the run ends."""
        tick = parameter(self.instrument, self.day, "isr_tick_ns")
        sent = self.scenario.sent_after_tone_s + self.scenario.sent_jitter_s
        most = Tones(self.scenario, self.midnight, self.seconds // (PACKET_S - 1) + 1, tick)
        packets = int(np.count_nonzero(most.times + round(sent * NS) < self.stop))
        if not packets:
            raise ConfigurationError(
                f"hours {self.seconds / 3600:g}: the first packet comes later. Choose 0.01 hours or more."
            )
        return Tones(self.scenario, self.midnight, packets, tick)

    def random(self, packet: int, purpose: int) -> np.random.Generator:
        """The random numbers of one purpose from one packet on."""
        return np.random.default_rng([self.seed, self.day.toordinal(), packet, purpose])

    def packets(self) -> Iterator[Packets]:
        """Packets in order of time, a quarter of an hour at once."""
        for first in range(0, self.tones.packets, CHUNK):
            yield self._chunk(first, min(first + CHUNK, self.tones.packets))

    def _chunk(self, first: int, stop: int) -> Packets:
        number = np.arange(first, stop, dtype=np.int64)
        times = self.tones.sample_times(first, stop, SAMPLES)
        fields = self._clock_fields(number)
        clock = self.instrument.clock
        sent = tt2000_from_met(clock, fields[clock.coarse], fields[str(clock.fine)])
        degrees = {name: quantity.at(sent) for name, quantity in self.scenario.temperatures_degc.items()}
        good = self._timed_by_tone(number)
        counts, truth = self._sense(times, int(sent[0]), first)
        self._note(number, times, good, truth)
        values = {
            **fields,
            **temperature_words(self.instrument, self._sensors_day, degrees),
            "sync": np.full(len(number), SYNC, np.int64),
            "pkt_id": number + 1,
            "acq_pos_num": np.where(number > 0, self.scenario.acq_pos_num, 0),
            "xsum": (good | ((number > 0) & (number < self.scenario.relay_off_packets))).astype(np.int64),
            "start_flag": (number == 0).astype(np.int64),
            "relay_state": (number >= self.scenario.relay_off_packets).astype(np.int64),
            "isr_count": np.where(number >= self.scenario.relay_off_packets, self.isr_count[first:stop], 0),
            "mag_data": counts,
        }
        packet = self.instrument.packet("mag")
        return assemble(packet, self.sequence.take(packet.apids[0], len(number)), sent, values)

    def _clock_fields(self, number: Int64) -> dict[str, Int64]:
        """Time of sending, tone, and real-time clock of some packets."""
        clock, scenario, part = self.instrument.clock, self.scenario, slice(int(number[0]), int(number[-1]) + 1)
        jitter = self.random(int(number[0]), 1).uniform(-scenario.sent_jitter_s, scenario.sent_jitter_s, len(number))
        sent = self.tones.times[part] + np.rint((scenario.sent_after_tone_s + jitter) * NS).astype(np.int64)
        met = met_from_tt2000(clock, sent)
        shown = shown_times(scenario, sent, number, self.midnight)
        return {
            clock.coarse: met // NS,
            str(clock.fine): met % NS * clock.fine_ticks_per_second // NS,
            **{name: values[part] for name, values in self.tones.fields().items()},
            **clock_bytes(shown),
        }

    def _timed_by_tone(self, number: Int64) -> npt.NDArray[np.bool_]:
        """Packets whose tone is good: the relay is engaged and the command packet came through."""
        failed = self.random(int(number[0]), 2).random(len(number)) < self.scenario.command_failures
        return (number >= max(self.scenario.relay_off_packets, 1)) & ~failed

    def _sensors_at(self, tt2000: int) -> dict[str, Sensor]:
        """The sensors by the calibrations of the UTC day that holds a time."""
        day = date(1970, 1, 1) + timedelta(days=int(unix_ns_from_tt2000(tt2000)) // DAY_NS)
        if day != self._sensors_day:
            self._sensors_day = day
            self._sensors = read_sensors(self.instrument, day, self.scenario, self.around)
        return self._sensors

    def _sense(self, times: Int64, sent: int, first: int) -> tuple[Int64, Float64]:
        """Counts [packets, 360], and ambient (GSE) and host's field (bus, at PNI 1) of each packet's first sample."""
        moments = times.reshape(-1)
        plasma = plasma_at(self.around, moments, self.midnight)
        ambient = attitude_at(self.around, moments).inv().apply(plasma.b_gse_nt)
        counts = np.empty((len(moments), len(SENSORS), 3), np.int64)
        random = self.random(first, 3)
        sensors = self._sensors_at(sent)
        for i, (name, sensor) in enumerate(sensors.items()):
            extra = self._disturbance(name, sensor.noise_nt, random)[: len(moments)]
            degrees = self.scenario.temperatures_degc[f"{name}_temp"].at(moments)
            host = plasma.host_source_nt @ sensor.couplings
            counts[:, i] = sensor.counts(ambient + host, degrees, extra)
        host = plasma.host_source_nt[::SAMPLES] @ sensors["pni1"].couplings
        truth = np.concatenate([plasma.b_gse_nt[::SAMPLES], host], axis=1)
        return counts.reshape(len(times), -1), truth

    def _disturbance(self, sensor: str, noise_nt: float, random: np.random.Generator) -> Float64:
        """Noise, and spikes of either sign, of a whole chunk in pseudo-nT [n, 3], also where the run ends within it."""
        spikes, count = self.scenario.spikes, CHUNK * SAMPLES
        noise = noise_nt * random.standard_normal((count, 3))
        hit = random.random(count) < spikes.per_hour / (3600 / PACKET_S * SAMPLES)
        size = float(getattr(spikes, f"{sensor}_nt"))
        return np.asarray(noise + np.where(hit, size * random.choice([-1, 1], count), 0.0)[:, None], np.float64)

    def _note(self, number: Int64, times: Int64, good: npt.NDArray[np.bool_], truth: Float64) -> None:
        part = slice(int(number[0]), int(number[-1]) + 1)
        steps = np.diff(self.tones.slots, prepend=self.tones.slots[0] - SAMPLES)
        dropped = steps[part] > SAMPLES
        columns = (number + 1, good.astype(int), dropped.astype(int), self.tones.times[part], times[:, 0], times[:, -1])
        for row, field in zip(zip(*columns, strict=True), truth, strict=True):
            self.truth.append([*map(int, row), *(f"{value:.5f}" for value in field)])

    def attitude_rows(self, day: date) -> list[list[object]]:
        """Rows of the calibration `attitude` of a UTC day, with a margin on both sides."""
        margin, step = self.scenario.attitude_margin_s, self.scenario.attitude_step_s
        midnight = int(unix_ns_from_tt2000(tt2000_of_day(day)))
        unix_s = midnight // NS + np.arange(-margin, 86_400 + margin + 1, step, dtype=np.int64)
        tt2000 = tt2000_from_unix_ns(unix_s * NS)
        quaternions = attitude_at(self.around, tt2000).as_quat(canonical=True)
        stamps = np.datetime_as_string(unix_s.astype("datetime64[s]"))
        rows = zip(stamps, quaternions, strict=True)
        return [[f"{stamp}Z", *(f"{value:.12f}" for value in q)] for stamp, q in rows]


def _write_truth(run: Run, folder: Path) -> None:
    write_table(folder / f"nemisis_{run.day:%Y%m%d}.csv", TRUTH_HEADER, run.truth)
    for number in range(-(-run.seconds // 86_400)):
        day = run.day + timedelta(days=number)
        write_table(folder / f"attitude_{day:%Y%m%d}.csv", ("time", "qx", "qy", "qz", "qw"), run.attitude_rows(day))
