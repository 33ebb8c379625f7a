# SPDX-License-Identifier: Apache-2.0
"""Reading the clocks of an instrument: one by one, or by the name that each has under `clocks`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from lake.definition_tables import Entries
from lake.definition_text import build_at, yaml_line
from lake.errors import DefinitionError
from lake.packet_definitions import Clock


class _Clocks(Entries):
    clocks: dict[str, dict[str, Any]] = Field(default_factory=dict)


def read_clocks(file: Path, entries: object) -> dict[str, Clock]:
    """The clocks under `clocks`, by name. Raises DefinitionError."""
    clocks = build_at(_Clocks, {"clocks": entries}, file, ()).clocks
    return {name: build_at(Clock, clock, file, ("clocks", name)) for name, clock in clocks.items()}


def clock_of(file: Path, keys: tuple[str, ...], entry: object, clocks: dict[str, Clock]) -> Clock:
    """The clock that an entry under `keys` is, or, where it is a name, the one of that name. Raises DefinitionError."""
    if not isinstance(entry, str):
        return build_at(Clock, entry, file, keys)
    if entry not in clocks:
        line = yaml_line(file, keys)
        raise DefinitionError(f"{file} line {line} (clock): there is no {entry} under clocks. Add or correct it.")
    return clocks[entry]
