# SPDX-License-Identifier: Apache-2.0
"""Simulated raw files of a mission: finds the simulator of each instrument by name and runs it."""

from __future__ import annotations

from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from lake.definitions import Definitions, Instrument, Mission
from lake.errors import ConfigurationError
from simulate.faults import Fault, read_faults
from simulate.files import Simulated
from simulate.request import check_faults


class Simulator(Protocol):
    """A module `simulate.<mission>.<instrument>`."""

    def stream_names(self) -> tuple[str, ...]:
        """Names of its streams of files, by which faults are given."""
        ...

    def simulate_day(
        self,
        mission: Mission,
        instrument: Instrument,
        day: date,
        out: Path,
        *,
        seed: int,
        faults: tuple[Fault, ...] = (),
        hours: float = 24,
    ) -> Simulated:
        """Raw files of an instrument from the day's first midnight on."""
        ...


def available_simulators(definitions: Definitions) -> tuple[str, ...]:
    """Every `mission/instrument` that has a simulator."""
    here = Path(__file__).parent
    names = [(m.name, i.name) for m in definitions.missions for i in m.instruments]
    return tuple(f"{m}/{i}" for m, i in names if (here / m / f"{i}.py").exists())


def simulate(  # noqa: PLR0913, PLR0917
    definitions: Definitions,
    mission: str,
    instrument: str | None,
    day: date,
    out: Path,
    seed: int = 1,
    faults_path: Path | None = None,
    hours: float = 24,
) -> Simulated:
    """Raw files of one instrument, or of all that can be simulated, from the day's first midnight on.

    Raises ConfigurationError if there is no simulator, or none with the stream of a fault, DefinitionError if the
    faults cannot be read, StorageError if `out` holds other data under the same names.
    """
    available = available_simulators(definitions)
    wanted = [name for name in available if name.split("/") == [mission, instrument or name.split("/")[1]]]
    if not wanted:
        asked = f"{mission}/{instrument}" if instrument else mission
        raise ConfigurationError(f"{asked}: has no simulator. Use one of {', '.join(available) or '(none)'}.")
    faults = read_faults(faults_path) if faults_path else ()
    simulators = {name: _simulator(name) for name in wanted}
    check_faults(faults, [stream for simulator in simulators.values() for stream in simulator.stream_names()])
    whole = definitions.mission(mission)
    done = [
        simulator.simulate_day(
            whole,
            whole.instrument(name.split("/")[1]),
            day,
            out,
            seed=seed,
            faults=tuple(fault for fault in faults if fault.stream in simulator.stream_names()),
            hours=hours,
        )
        for name, simulator in simulators.items()
    ]
    return Simulated(
        files=tuple(path for d in done for path in d.files),
        packets=sum(d.packets for d in done),
        bytes=sum(d.bytes for d in done),
        faults=tuple(fault for d in done for fault in d.faults),
    )


def _simulator(name: str) -> Simulator:
    return cast("Simulator", import_module(f"simulate.{name.replace('/', '.')}"))
