# SPDX-License-Identifier: Apache-2.0
"""A simulated day of MeDDEA: raw files of photons, spectra and housekeeping as the MOC names them.

All streams come from one population of photons, so that packets, histograms and hit rates agree with each other.
A day is made in short pieces, one after the other; the same seed gives the same bytes.
"""

from __future__ import annotations

import logging
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np

from lake.clock import NS, unix_ns_from_tt2000
from lake.definitions import Instrument, Mission
from lake.errors import ConfigurationError
from simulate.faults import Fault
from simulate.files import Simulated, Stream, write_faults, write_table
from simulate.orbit import Orbit
from simulate.padre.meddea_run import Run
from simulate.padre.meddea_scenario import Scenario, read_scenario
from simulate.request import check_request

log = logging.getLogger(__name__)

RATE_HEADER = ("start_time", "expected_rate", "counted", "sent", "dropped", "sunlit", "flare")


def stream_names() -> tuple[str, ...]:
    """Names of its streams of files."""
    return tuple(read_scenario().files.streams)


def simulate_day(  # noqa: PLR0913
    mission: Mission,
    instrument: Instrument,
    day: date,
    out: Path,
    *,
    seed: int,
    faults: tuple[Fault, ...] = (),
    hours: float = 24,
    baseline: bool = True,
) -> Simulated:
    """Raw files from the day's first midnight on, with the truth in `truth/`; more than 24 hours run on without a seam.

    Raises ConfigurationError, CalibrationError, or StorageError if `out` holds other data under these names.
    """
    scenario = read_scenario()
    check_request(mission, instrument, day, seed, hours, faults, stream_names())
    run = Run(instrument, scenario, _orbit(mission, scenario), day, seed, hours, baseline)
    streams = _streams(run, out, faults)
    for name, packets in run.packets():
        streams[name].add(packets)
    for stream in streams.values():
        stream.close()
    return _finish(run, list(streams.values()), out)


def _orbit(mission: Mission, scenario: Scenario) -> Orbit:
    if mission.orbit_seconds is None:
        raise ConfigurationError(f"{mission.name}: tells no orbit_seconds, which its housekeeping follows. Add it.")
    return Orbit(period_s=mission.orbit_seconds, night_fraction=scenario.night_fraction)


def _streams(run: Run, out: Path, faults: tuple[Fault, ...]) -> dict[str, Stream]:
    return {
        name: Stream(
            name=name,
            folder=out,
            file_name=partial(file_name, prefix),
            cap=run.scenario.files.cap_bytes,
            faults=faults,
            start=run.midnight,
            stop=run.stop,
            random=run.random(0, 100 + number),
        )
        for number, (name, prefix) in enumerate(run.scenario.files.streams.items())
    }


def file_name(prefix: str, tt2000: int) -> str:
    """The MOC's name of a file by the UTC of its first packet: `padreMDA0_240916122901.DAT`."""
    second = np.datetime64(int(unix_ns_from_tt2000(tt2000)) // NS, "s").item()
    return f"{prefix}_{second:%y%m%d%H%M%S}.DAT"


def _finish(run: Run, streams: list[Stream], out: Path) -> Simulated:
    faults = tuple(fault for stream in streams for fault in stream.done)
    truth, day = out / "truth", f"{run.day:%Y%m%d}"
    write_faults(truth / f"faults_{day}.csv", faults)
    write_table(truth / f"rate_{day}.csv", RATE_HEADER, run.rate_rows())
    write_table(truth / f"flares_{day}.csv", ("start_time", "peak_time", "stop_time", "peak_rate"), run.flare_rows())
    files = tuple(path for stream in streams for path in stream.files)
    done = Simulated(files, sum(s.packets for s in streams), sum(s.written for s in streams), faults)
    log.info("simulate day=%s files=%d packets=%d bytes=%d", run.day, len(files), done.packets, done.bytes)
    return done
