# SPDX-License-Identifier: Apache-2.0
"""A simulated day of MERiT: raw files of counts and pulse heights each second, driven by the plasma scenario.

The day is made in short pieces, one after the other; the same seed gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cache, partial
from pathlib import Path

import numpy as np
import polars as pl

from lake.clock import NS, met_from_tt2000, tt2000_from_met, unix_ns_from_tt2000
from lake.definitions import Instrument, Mission
from simulate.faults import Fault
from simulate.files import Simulated
from simulate.hermes.merit_events import as_one_field, event_layout, event_words
from simulate.hermes.merit_response import Counted, Response, count, read_response, true_rates
from simulate.hermes.merit_scenario import MeritScenario, read_merit_scenario
from simulate.hermes.plasma import Plasma, PlasmaScenario, plasma_at, read_scenario
from simulate.hermes.span import Recorder, Span, day_of, finish
from simulate.packets import SEQUENCE_MODULUS, Int64, Packets, SequenceCounts, Words, assemble, in_time_order
from simulate.request import check_request

STREAM = "merit"
CHUNK_S = 1800  # made at once


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
    files = Recorder(STREAM, "MERIT", out, run.scenario.file_cap_bytes, faults)
    stream = files.record(run.span, run.packets(), run.random(0, 100))
    return finish(run.span, stream, run.around, {"merit": run.truth.csv()})


@dataclass
class Truth:
    """What was shown to the instrument and what it counted, a row for each step of the scenario."""

    frames: list[pl.DataFrame] = field(default_factory=list)

    def add(self, tt2000: Int64, plasma: Plasma, counted: Counted, events: Int64, step: int) -> None:
        """Notes the seconds of a piece; fluxes are those at the start of each step."""
        starts = np.arange(0, len(tt2000), step)
        numbers = {name: getattr(plasma, name)[starts] for name in FLUX_COLUMNS}
        counts = np.add.reduceat(counted.counts.sum(axis=2), starts)
        columns = {"epoch_tt2000": tt2000[starts], **numbers}
        columns |= {f"counts_head_{head}": counts[:, head] for head in range(counts.shape[1])}
        columns |= {"events": np.add.reduceat(events, starts)}
        columns |= {"saturated_s": np.add.reduceat((counted.saturation != 0).astype(np.int64), starts)}
        self.frames.append(pl.DataFrame(columns))

    def csv(self) -> bytes:
        """The table with the UTC of each row."""
        rows = pl.concat(self.frames)
        unix_us = unix_ns_from_tt2000(rows["epoch_tt2000"].to_numpy()) // 1000
        time = pl.Series("time", unix_us).cast(pl.Datetime("us")).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
        return rows.insert_column(0, time).write_csv().encode()


FLUX_COLUMNS = ("proton_j0", "proton_index", "electron_j0", "electron_index")


class Run:
    """One simulation from midnight on: its clock, its sequence counts and its truth."""

    def __init__(self, instrument: Instrument, span: Span, seed: int) -> None:
        self.instrument, self.span, self.seed = instrument, span, seed
        self.scenario: MeritScenario = read_merit_scenario()
        self.around: PlasmaScenario = read_scenario()
        self.truth = Truth()
        self.layout = event_layout(instrument.packet("pha"))
        self.response_of = cache(partial(read_response, instrument))
        first = int(unix_ns_from_tt2000(self.span.midnight)) // NS % SEQUENCE_MODULUS
        # Both packets come each second, so that days made apart fit together.
        self.sequence = SequenceCounts({packet.apids[0]: first for packet in instrument.packets})

    def random(self, second: int, purpose: int) -> np.random.Generator:
        """The random numbers of one purpose from one second on, the same on whichever day the run begins."""
        return np.random.default_rng([self.seed, self.span.day.toordinal() * 86_400 + second, purpose])

    def packets(self) -> Iterator[Packets]:
        """Packets of both kinds in order of time, some of an hour at once."""
        for first in range(0, self.span.seconds, CHUNK_S):
            stop = min(first + CHUNK_S, self.span.seconds)
            clock, times = self._clock(first, stop)
            plasma = plasma_at(self.around, times, self.span.midnight)
            response = self.response_of(day_of(int(times[0])))
            rates = true_rates(plasma, self.around, self.scenario, response)
            counted = count(rates, self.scenario, response, self.random(first, 1))
            words, events = event_words(
                counted.counts, self.layout, response, self.scenario.events, self.random(first, 2)
            )
            self.truth.add(times, plasma, counted, events, self.scenario.truth_step_s)
            pha = self._assemble("pha", times, {**clock, "n_events": events}, (words, self.layout.words * events))
            yield in_time_order(
                [self._assemble("counts", times, {**clock, **self._values(times, counted, response)}), pha]
            )

    def _clock(self, first: int, stop: int) -> tuple[dict[str, Int64], Int64]:
        """The clock's fields in each second, and the TT2000 [ns] that they say."""
        clock = self.instrument.clock
        start = self.span.midnight + round(self.scenario.first_packet_s * NS)
        met = met_from_tt2000(clock, start + np.arange(first, stop, dtype=np.int64) * NS)
        # The next tick, so that no packet of a day begins before it.
        rate = clock.fine_ticks_per_second
        ticks = met // NS * rate - (-(met % NS) * rate // NS)
        fields = {clock.coarse: ticks // rate, str(clock.fine): ticks % rate}
        return fields, tt2000_from_met(clock, ticks // rate, ticks % rate)

    def _values(self, times: Int64, counted: Counted, response: Response) -> dict[str, Int64]:
        """The fields of the counts packets beside their clock."""
        scenario, elapsed = self.scenario, (times - self.span.midnight) / NS
        burst = (elapsed >= scenario.burst.after_s) & (elapsed < scenario.burst.after_s + scenario.burst.seconds)
        degrees = np.stack([quantity.at(times) for quantity in scenario.head_temperature_degc], axis=1)
        unit = response.counters["temperature_unit"]
        return {
            "mode": np.where(burst, scenario.burst.mode, scenario.mode),
            "lut_version": np.full(len(times), scenario.lut_version, np.int64),
            "live_time": counted.live_time,
            "triggers": counted.triggers,
            "temperature": np.rint(degrees / unit).astype(np.int64),
            "counts": counted.counts.reshape(len(times), -1),
            "saturation": counted.saturation,
        }

    def _assemble(
        self, name: str, times: Int64, values: dict[str, Int64], tail: tuple[Words, Int64] | None = None
    ) -> Packets:
        packet = as_one_field(self.instrument.packet(name))
        return assemble(packet, self.sequence.take(packet.apids[0], len(times)), times, values, tail)
