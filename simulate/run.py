# SPDX-License-Identifier: Apache-2.0
"""Simulated raw files of a mission: finds the simulator of each instrument by name, or makes one of its definition."""

from __future__ import annotations

from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from lake.definitions import Definitions, Instrument, Mission
from lake.errors import ConfigurationError
from simulate.faults import Fault, read_faults
from simulate.files import Simulated
from simulate.generic.instrument import Generic
from simulate.request import check_faults


class Simulator(Protocol):
    """A module `simulate.<mission>.<instrument>`, or what stands in for one."""

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
    """Every `mission/instrument`."""
    return tuple(f"{m.name}/{i.name}" for m in definitions.missions for i in m.instruments)


def _has_own(name: str) -> bool:
    """True if a simulator was written for an instrument, `mission/instrument`."""
    return (Path(__file__).parent / f"{name}.py").exists()


def _wanted(definitions: Definitions, mission: str, instrument: str | None) -> list[str]:
    """The instruments to simulate.

    Of a whole mission those with simulators of their own, which agree with each other, or all if there are none.
    """
    available = available_simulators(definitions)
    wanted = [name for name in available if name.split("/") == [mission, instrument or name.split("/")[1]]]
    if not wanted:
        asked = f"{mission}/{instrument}" if instrument else mission
        raise ConfigurationError(f"{asked}: is not defined. Use one of {', '.join(available) or '(none)'}.")
    return wanted if instrument else [name for name in wanted if _has_own(name)] or wanted


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
    """Raw files of one instrument, or of a whole mission, from the day's first midnight on.

    Raises ConfigurationError if there is no such instrument, or none with the stream of a fault, DefinitionError if the
    faults cannot be read, StorageError if `out` holds other data under the same names.
    """
    wanted = _wanted(definitions, mission, instrument)
    faults = read_faults(faults_path) if faults_path else ()
    simulators = {name: _simulator(definitions, name) for name in wanted}
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


def _simulator(definitions: Definitions, name: str) -> Simulator:
    mission, instrument = name.split("/")
    if not _has_own(name):
        return Generic(definitions.mission(mission).instrument(instrument))
    return cast("Simulator", import_module(f"simulate.{mission}.{instrument}"))
