# SPDX-License-Identifier: Apache-2.0
"""A simulated day of MERiT: raw files of counts and pulse heights each second, driven by the plasma scenario.

The day is made in short pieces, one after the other; the same seed gives the same bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from lake.clock import DAY_NS, NS, met_from_tt2000, tt2000_from_met, tt2000_of_day, unix_ns_from_tt2000
from lake.definitions import Instrument, Mission
from simulate.faults import Fault
from simulate.files import Simulated, Stream, write_faults, write_once
from simulate.hermes.l0_names import l0_name
from simulate.hermes.merit_events import event_words
from simulate.hermes.merit_response import Counted, Response, count, read_response, true_rates
from simulate.hermes.merit_scenario import MeritScenario, read_merit_scenario
from simulate.hermes.plasma import Plasma, PlasmaScenario, plasma_at, read_scenario, write_truth
from simulate.packets import SEQUENCE_MODULUS, Int64, Packets, SequenceCounts, Words, assemble, in_time_order
from simulate.request import check_request, whole_seconds

log = logging.getLogger(__name__)

STREAM = "merit"
CHUNK_S = 1800  # made at once
EVENT_WORDS = 4


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
    run = Run(instrument, day, seed, hours)
    stream = Stream(
        name=STREAM,
        folder=out,
        file_name=partial(l0_name, "MERIT"),
        cap=run.scenario.file_cap_bytes,
        faults=faults,
        start=run.midnight,
        stop=run.stop,
        random=run.random(0, 100),
    )
    for packets in run.packets():
        stream.add(packets)
    stream.close()
    return _finish(run, stream, out)


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

    def __init__(self, instrument: Instrument, day: date, seed: int, hours: float) -> None:
        self.instrument, self.day, self.seed = instrument, day, seed
        self.scenario: MeritScenario = read_merit_scenario()
        self.around: PlasmaScenario = read_scenario()
        self.midnight = tt2000_of_day(day)
        self.seconds = whole_seconds(hours)
        self.stop = self.midnight + self.seconds * NS
        self.truth = Truth()
        self._response_day, self._response = day, read_response(instrument, day)
        first = int(unix_ns_from_tt2000(self.midnight)) // NS % SEQUENCE_MODULUS
        # Both packets come each second, so that days made apart fit together.
        self.sequence = SequenceCounts({packet.apids[0]: first for packet in instrument.packets})

    def random(self, second: int, purpose: int) -> np.random.Generator:
        """The random numbers of one purpose from one second on, the same on whichever day the run begins."""
        return np.random.default_rng([self.seed, self.day.toordinal() * 86_400 + second, purpose])

    def packets(self) -> Iterator[Packets]:
        """Packets of both kinds in order of time, some of an hour at once."""
        for first in range(0, self.seconds, CHUNK_S):
            stop = min(first + CHUNK_S, self.seconds)
            clock, times = self._clock(first, stop)
            plasma = plasma_at(self.around, times, self.midnight)
            response = self._response_at(int(times[0]))
            rates = true_rates(plasma, self.around, self.scenario, response)
            counted = count(rates, self.scenario, response, self.random(first, 1))
            words, events = event_words(counted.counts, response, self.scenario.events, self.random(first, 2))
            self.truth.add(times, plasma, counted, events, self.scenario.truth_step_s)
            pha = self._assemble("pha", times, {**clock, "n_events": events}, (words, EVENT_WORDS * events))
            yield in_time_order([self._assemble("counts", times, {**clock, **self._values(times, counted)}), pha])

    def _clock(self, first: int, stop: int) -> tuple[dict[str, Int64], Int64]:
        """The clock's fields in each second, and the TT2000 [ns] that they say."""
        clock = self.instrument.clock
        start = self.midnight + round(self.scenario.first_packet_s * NS)
        met = met_from_tt2000(clock, start + np.arange(first, stop, dtype=np.int64) * NS)
        # The next tick, so that no packet of a day begins before it.
        rate = clock.fine_ticks_per_second
        ticks = met // NS * rate - (-(met % NS) * rate // NS)
        fields = {clock.coarse: ticks // rate, str(clock.fine): ticks % rate}
        return fields, tt2000_from_met(clock, ticks // rate, ticks % rate)

    def _response_at(self, tt2000: int) -> Response:
        """The calibrations of the UTC day that holds a time."""
        day = date(1970, 1, 1) + timedelta(days=int(unix_ns_from_tt2000(tt2000)) // DAY_NS)
        if day != self._response_day:
            self._response_day, self._response = day, read_response(self.instrument, day)
        return self._response

    def _values(self, times: Int64, counted: Counted) -> dict[str, Int64]:
        """The fields of the counts packets beside their clock."""
        scenario, elapsed = self.scenario, (times - self.midnight) / NS
        burst = (elapsed >= scenario.burst.after_s) & (elapsed < scenario.burst.after_s + scenario.burst.seconds)
        degrees = np.stack([quantity.at(times) for quantity in scenario.head_temperature_degc], axis=1)
        unit = self._response.counters["temperature_unit"]
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
        packet = self.instrument.packet(name)
        return assemble(packet, self.sequence.take(packet.apids[0], len(times)), times, values, tail)


def _finish(run: Run, stream: Stream, out: Path) -> Simulated:
    name = f"{run.day:%Y%m%d}"
    write_once(out / "truth" / f"merit_{name}.csv", run.truth.csv())
    write_truth(run.around, run.midnight, run.seconds, out)
    write_faults(out / "truth" / f"merit_faults_{name}.csv", stream.done)
    log.info("simulate day=%s files=%d packets=%d bytes=%d", run.day, len(stream.files), stream.packets, stream.written)
    return Simulated(tuple(stream.files), stream.packets, stream.written, tuple(stream.done))
