# SPDX-License-Identifier: Apache-2.0
"""A simulated day of EEA: raw files of science packets, one step of a sweep each, as the mission names them.

Sweeps run freely over midnight: the first and the last of a run are cut by its ends. A day is made in short pieces, one
after the other; the same seed gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from lake.clock import NS, met_from_tt2000
from lake.definitions import Instrument, Mission
from simulate.faults import Fault
from simulate.files import Simulated
from simulate.hermes import plasma
from simulate.hermes.eea_sweeps import (
    Analyser,
    EeaScenario,
    Electrons,
    Int64,
    draw,
    draw_totals,
    electrons_at,
    expected_counts,
    read_analyser,
    read_scenario,
)
from simulate.hermes.span import Recorder, Span, finish
from simulate.packets import SEQUENCE_MODULUS, Packets, assemble
from simulate.request import check_request

STREAM = "eea"
SCIENCE = 1  # SHEID
US_NS = 1000


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

    Raises ConfigurationError, CalibrationError, or StorageError if `out` holds other data under these names.
    """
    check_request(mission, instrument, day, seed, hours, faults, stream_names())
    run = Run(instrument, Span(day, hours), seed)
    files = Recorder(STREAM, "EEA", out, run.scenario.file_bytes, faults)
    stream = files.record(run.span, run.packets(), np.random.default_rng([seed, day.toordinal(), 100]))
    return finish(run.span, stream, plasma.read_scenario(), {"eea_sweeps": pl.concat(run.truth).write_csv().encode()})


@dataclass
class Run:
    """One simulation from midnight on: its sweeps piece by piece, and its truth."""

    instrument: Instrument
    span: Span
    seed: int
    scenario: EeaScenario = field(init=False)
    analyser: Analyser = field(init=False)
    truth: list[pl.DataFrame] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.scenario = read_scenario()
        self.analyser = read_analyser(self.instrument, self.span.day)

    def packets(self) -> Iterator[Packets]:
        """The packets of the run, some hundred sweeps at a time."""
        period, phase = self.analyser.period_us * US_NS, self.scenario.phase_us * US_NS
        first, stop = (self.span.midnight - phase) // period, -(-(self.span.stop - phase) // period)
        for start in range(first, stop, self.scenario.sweeps_at_once):
            numbers = np.arange(start, min(start + self.scenario.sweeps_at_once, stop), dtype=np.int64)
            yield self._packets_of(numbers, phase + numbers * period)

    def _packets_of(self, numbers: Int64, starts: Int64) -> Packets:
        """The packets of these sweeps, counted from J2000, that are stamped within the run."""
        random = np.random.default_rng([self.seed, int(numbers[0]) % 2**62])
        electrons = electrons_at(plasma.read_scenario(), self.scenario, starts, self.span.midnight)
        expected = expected_counts(self.analyser, electrons, self.scenario.background_counts)
        anodes = draw(self.analyser, expected, random)
        scenario = self.scenario
        extras = {"counter1": scenario.counter1_extra, "counter2": scenario.counter2_extra}
        totals = {name: draw_totals(self.analyser, anodes, extra, random) for name, extra in extras.items()}
        self.truth.append(_truth_rows(starts, electrons, expected.sum(axis=(1, 2)), anodes.sum(axis=(1, 2))))
        times = (starts[:, None] + self.analyser.stamp_us * US_NS).reshape(-1)
        sent = (times >= self.span.midnight) & (times < self.span.stop)
        values = {**totals, "accum": _with_pulses(anodes)}
        columns = {name: value.reshape(len(times), -1)[sent] for name, value in values.items()}
        return self._assemble(numbers, times, sent, columns)

    def _assemble(
        self, numbers: Int64, times: Int64, sent: np.typing.NDArray[np.bool_], columns: dict[str, Int64]
    ) -> Packets:
        clock, steps = self.instrument.clock, self.analyser.steps
        step = np.tile(np.arange(steps, dtype=np.int64), len(numbers))[sent]
        sequence = (np.repeat(numbers, steps)[sent] * steps + step) % SEQUENCE_MODULUS
        met = met_from_tt2000(clock, times[sent])
        ticks = met % NS * clock.fine_ticks_per_second // NS
        fields = {clock.coarse: met // NS, str(clock.fine): ticks, "sheid": np.full_like(step, SCIENCE), "step": step}
        return assemble(self.instrument.packet("sci"), sequence, times[sent], {**fields, **columns})


def _with_pulses(anodes: Int64) -> Int64:
    """The counts of the anodes followed by pulse counters A and B, which the real file shows as 0."""
    return np.concatenate([anodes, np.zeros((*anodes.shape[:-1], 2), np.int64)], axis=-1)


def _truth_rows(
    starts: Int64, electrons: Electrons, expected: np.typing.NDArray[np.float64], counted: Int64
) -> pl.DataFrame:
    """The electrons that each sweep saw; its epoch is the stamp of step 0."""
    velocity = {f"v{axis}_km_s": electrons.velocity_km_s[:, i] for i, axis in enumerate("xyz")}
    numbers = {"density_cm3": electrons.density_cm3, "temperature_ev": electrons.temperature_ev, **velocity}
    frame = pl.DataFrame({"epoch_tt2000": starts, **numbers, "expected_counts": expected, "counts": counted})
    return frame.with_columns(pl.col(*numbers, "expected_counts").round_sig_figs(7))
