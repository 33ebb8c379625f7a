# SPDX-License-Identifier: Apache-2.0
"""The time that a simulation of HERMES spans, and what each of its instruments writes in that time in the same way."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import numpy as np

from lake.clock import DAY_NS, NS, tt2000_of_day, unix_ns_from_tt2000
from simulate.faults import Fault
from simulate.files import Simulated, Stream, write_faults, write_once
from simulate.hermes.l0_names import l0_name
from simulate.hermes.plasma import PlasmaScenario, write_truth
from simulate.packets import Packets
from simulate.request import whole_seconds

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Span:
    """So many hours from the first midnight of a UTC day on."""

    day: date
    hours: float

    @property
    def midnight(self) -> int:
        """TT2000 [ns] of the first midnight."""
        return tt2000_of_day(self.day)

    @property
    def seconds(self) -> int:
        """How long it is."""
        return whole_seconds(self.hours)

    @property
    def stop(self) -> int:
        """TT2000 [ns] of the end."""
        return self.midnight + self.seconds * NS


@dataclass(frozen=True)
class Recorder:
    """Where the files of one instrument's stream go, how they are named and cut, and which faults they get."""

    name: str
    target: str
    folder: Path
    file_bytes: int
    faults: tuple[Fault, ...]

    def record(self, span: Span, packets: Iterable[Packets], random: np.random.Generator) -> Stream:
        """Writes the files of all packets, which come in order of time. Raises StorageError."""
        stream = Stream(
            name=self.name,
            folder=self.folder,
            file_name=partial(l0_name, self.target),
            cap=self.file_bytes,
            faults=self.faults,
            start=span.midnight,
            stop=span.stop,
            random=random,
        )
        for batch in packets:
            stream.add(batch)
        stream.close()
        return stream


def finish(span: Span, stream: Stream, around: PlasmaScenario, truth: dict[str, bytes]) -> Simulated:
    """Writes the truth: tables by the beginning of their names, the faults, and the plasma that all instruments see.

    Raises StorageError if a file is there with other content.
    """
    folder = stream.folder / "truth"
    for name, table in truth.items():
        write_once(folder / f"{name}_{span.day:%Y%m%d}.csv", table)
    write_faults(folder / f"{stream.name}_faults_{span.day:%Y%m%d}.csv", stream.done)
    write_truth(around, span.midnight, span.seconds, stream.folder)
    done = Simulated(tuple(stream.files), stream.packets, stream.written, tuple(stream.done))
    log.info(
        "simulate stream=%s day=%s files=%d packets=%d bytes=%d",
        stream.name,
        span.day,
        len(done.files),
        done.packets,
        done.bytes,
    )
    return done


def day_of(tt2000: int) -> date:
    """The UTC day that holds a time, by which calibrations are chosen."""
    return date(1970, 1, 1) + timedelta(days=int(unix_ns_from_tt2000(tt2000)) // DAY_NS)
