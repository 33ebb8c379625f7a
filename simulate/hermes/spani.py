# SPDX-License-Identifier: Apache-2.0
"""A simulated day of SPAN-I: raw files of H+, He++, O+ and rates packets in the plasma that all instruments see.

A day is made in short pieces, one after the other; the same seed gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl

from lake.clock import NS, met_from_tt2000
from lake.definitions import Instrument, Mission
from simulate.faults import Fault
from simulate.files import Simulated
from simulate.hermes import plasma
from simulate.hermes.span import Recorder, Span, finish
from simulate.hermes.spani_ions import (
    Analyser,
    Float64,
    Int64,
    Wind,
    compress,
    counted,
    draw_events,
    peak_rate,
    read_analyser,
)
from simulate.hermes.spani_scenario import Scenario, read_scenario
from simulate.packets import SEQUENCE_MODULUS, Packets, assemble, in_time_order
from simulate.request import check_request

STREAM = "spani"
PIECE = 256  # accumulations; their true events take 25 MB
U16_MAX = 65535


@dataclass(frozen=True)
class Run:
    """One run: the instrument, its scenario, the accumulations from the first to before the last, and their truth."""

    instrument: Instrument
    scenario: Scenario
    analyser: Analyser
    span: Span
    first: int
    stop: int
    seed: int
    truth: list[pl.DataFrame] = field(default_factory=list)

    def times(self, number: Int64) -> Int64:
        """TT2000 [ns] at which accumulations start, counted from J2000."""
        cycle = self.scenario.cycle
        exact = Fraction(cycle.ticks * NS, cycle.hertz)  # in lowest terms the product stays below 2**63 up to 2100
        return np.asarray(number * exact.numerator // exact.denominator, np.int64)


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
    """Raw files from the day's first midnight on, with the truth in `truth/`.

    Raises ConfigurationError, CalibrationError, or StorageError if `out` holds other data under these names.
    """
    check_request(mission, instrument, day, seed, hours, faults, stream_names())
    run = _run(instrument, Span(day, hours), seed)
    files = Recorder(STREAM, "SPANI", out, run.scenario.file_bytes, faults)
    stream = files.record(run.span, _pieces(run), np.random.default_rng([seed, day.toordinal(), 1]))
    return finish(run.span, stream, plasma.read_scenario(), {"spani": pl.concat(run.truth).write_csv().encode()})


def _run(instrument: Instrument, span: Span, seed: int) -> Run:
    scenario = read_scenario()
    period = scenario.cycle.ticks / scenario.cycle.hertz
    first = int(np.ceil(span.midnight / NS / period))
    stop = first + max(int(span.hours * 3600 / period), 1)
    return Run(instrument, scenario, read_analyser(instrument, span.day), span, first, stop, seed)


def _pieces(run: Run) -> Iterator[Packets]:
    """Packets of a few minutes at a time; their truth is noted."""
    for first in range(run.first, run.stop, PIECE):
        number = np.arange(first, min(first + PIECE, run.stop), dtype=np.int64)
        random = np.random.default_rng([run.seed, first, 2])
        winds = _winds(run, number)
        attenuator = _attenuator(run, winds["h"])
        counts = _counts(run, winds, attenuator, random)
        run.truth.append(_truth(run, number, winds, attenuator))
        yield _packets(run, number, counts, attenuator, random)


def _winds(run: Run, number: Int64) -> dict[str, Wind]:
    """The three species in the instrument's frame in the middle of each accumulation."""
    scenario, half = plasma.read_scenario(), (run.times(number + 1) - run.times(number)) // 2
    tt2000 = run.times(number) + half
    state = plasma.plasma_at(scenario, tt2000, run.span.midnight)
    bus = plasma.attitude_at(scenario, tt2000).inv().apply(state.velocity_gse_km_s)
    velocity = np.asarray(bus @ run.analyser.to_bus, np.float64)
    parts = {"h": np.ones(len(number)), "he": state.alpha_ratio, "o": state.oxygen_ratio}
    heat = run.scenario.temperature_ratio
    return {
        name: Wind(state.density_cm3 * part, velocity, state.proton_temperature_ev * heat[name])
        for name, part in parts.items()
    }


def _attenuator(run: Run, protons: Wind) -> Int64:
    """The position of the attenuator in each accumulation."""
    rule, analyser = run.scenario.attenuator, run.analyser
    dead = peak_rate(analyser, analyser.species[0], protons) * analyser.dead_time_s
    return np.where(dead > rule.in_above_dead_part, rule.in_position, rule.out_position).astype(np.int64)


def _counts(run: Run, winds: dict[str, Wind], attenuator: Int64, random: np.random.Generator) -> list[Int64]:
    """Counts [n, a, e, d] of each species."""
    analyser = run.analyser
    live = np.full(len(attenuator), (1 << run.scenario.sweeps_log2) * analyser.step_s)
    weakened = live / np.array([analyser.attenuation[int(position)] for position in attenuator])
    events = [draw_events(analyser, s, winds[s.name], weakened, random) for s in analyser.species]
    return counted(analyser, events, live, random)


def _packets(run: Run, number: Int64, counts: list[Int64], attenuator: Int64, random: np.random.Generator) -> Packets:
    """Packets of the three species and of the rates, in time order."""
    analyser, values = run.analyser, _header(run, number, attenuator)
    made = []
    for species, count in zip(analyser.species, counts, strict=True):
        codes = compress(count).reshape(*count.shape[:2], -1)[:, :, analyser.places].reshape(len(count), -1)
        peak = np.argmax(count.sum(axis=(1, 3))[:, ::-1], axis=1)
        own = {"species": np.full(len(number), species.number), "codes": codes, "peak_bin": peak}
        table = {"table_id": np.full(len(number), analyser.table_id)}
        made.append(_assembled(run, species.name, number, {**values, **own, **table}))
    rates = _rates(run, sum(count.sum(axis=(2, 3)) for count in counts), random)
    return in_time_order([*made, _assembled(run, "rates", number, {**values, **rates})])


def _assembled(run: Run, name: str, number: Int64, values: dict[str, Int64]) -> Packets:
    return assemble(run.instrument.packet(name), number % SEQUENCE_MODULUS, run.times(number), values)


def _header(run: Run, number: Int64, attenuator: Int64) -> dict[str, Int64]:
    """Time, flags and status of each accumulation; bits that are not named are 0."""
    clock, ones = run.instrument.clock, np.ones(len(number), np.int64)
    met = met_from_tt2000(clock, run.times(number))
    return {
        clock.coarse: met // NS,
        clock.fine or "": met % NS * clock.fine_ticks_per_second // NS,
        "log_compressed": ones,
        "summed": ones,
        "sweeps_log2": ones * run.scenario.sweeps_log2,
        "cycle": number % (U16_MAX + 1),
        "attenuator": attenuator,
        "high_voltage_on": ones,
        "high_voltage_mode": ones * run.scenario.high_voltage_mode,
    }


def _rates(run: Run, valid: Int64, random: np.random.Generator) -> dict[str, Int64]:
    """Counters of each anode [n, a]: an ion that makes a valid event made a start and a stop; others made only one."""
    rule, cycle = run.scenario.rates, run.scenario.cycle
    noise = rule.noise_per_s * cycle.ticks / cycle.hertz
    lost_stop, lost_start = 1 / rule.stop_efficiency - 1, 1 / rule.start_efficiency - 1
    start = valid + random.poisson(valid * lost_stop + noise)
    stop = valid + random.poisson(valid * lost_start + noise)
    counters = {"start": start, "stop": stop, "valid": valid}
    return {name: np.minimum(values, U16_MAX) for name, values in counters.items()}


def _truth(run: Run, number: Int64, winds: dict[str, Wind], attenuator: Int64) -> pl.DataFrame:
    """What was simulated in each accumulation, by the time of its packets; velocity in the instrument's frame."""
    protons = winds["h"]
    columns: dict[str, Float64 | Int64] = {"epoch_tt2000": run.times(number), "attenuator": attenuator}
    columns |= {f"{name}_density_cm3": wind.density_cm3 for name, wind in winds.items()}
    columns |= {f"{name}_temperature_ev": wind.temperature_ev for name, wind in winds.items()}
    columns |= {f"velocity_{axis}_km_s": protons.velocity_km_s[:, i] for i, axis in enumerate("xyz")}
    return pl.DataFrame(columns).with_columns(pl.col(pl.Float64).round_sig_figs(8))
