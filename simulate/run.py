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


class Simulator(Protocol):
    """A module `simulate.<mission>.<instrument>`."""

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

    Raises ConfigurationError if there is no simulator, DefinitionError if the faults cannot be read, StorageError if
    `out` holds other data under the same names.
    """
    available = available_simulators(definitions)
    wanted = [name for name in available if name.split("/") == [mission, instrument or name.split("/")[1]]]
    if not wanted:
        asked = f"{mission}/{instrument}" if instrument else mission
        raise ConfigurationError(f"{asked}: has no simulator. Use one of {', '.join(available) or '(none)'}.")
    faults = read_faults(faults_path) if faults_path else ()
    done = [_simulate_one(definitions.mission(mission), name, day, out, seed, faults, hours) for name in wanted]
    return Simulated(
        files=tuple(path for d in done for path in d.files),
        packets=sum(d.packets for d in done),
        bytes=sum(d.bytes for d in done),
        faults=tuple(fault for d in done for fault in d.faults),
    )


def _simulate_one(
    mission: Mission, name: str, day: date, out: Path, seed: int, faults: tuple[Fault, ...], hours: float
) -> Simulated:
    simulator = cast("Simulator", import_module(f"simulate.{name.replace('/', '.')}"))
    instrument = mission.instrument(name.split("/")[1])
    return simulator.simulate_day(mission, instrument, day, out, seed=seed, faults=faults, hours=hours)
