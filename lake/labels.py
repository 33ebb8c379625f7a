# SPDX-License-Identifier: Apache-2.0
"""What a table-day depends on: its table's definition and code, calibrations, and the contents of what it reads."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import date

from lake.code import shapes
from lake.definitions import Definitions, Table
from lake.leap_seconds import LEAP_SECONDS
from lake.ledger import Contents, fingerprint, table_definition
from lake.margins import Margin, margins, seen
from lake.store import Lake


def transform_module(table: Table) -> str:
    """The module that makes a table: `transforms.padre.meddea` makes `padre.meddea_l1_photon`.

    Tables with a `method` are made by `transforms.methods`.
    """
    return "transforms.methods" if table.method else f"transforms.{table.mission}.{table.instrument}"


def code_fingerprint(table: Table) -> str:
    """sha256 of the code that makes a table: its module and the transforms modules that this imports."""
    return fingerprint(shapes((transform_module(table),), "transforms"), LEAP_SECONDS)


class Labels:
    """What the days of one table depend on. Days between two calibrations share all but their inputs."""

    def __init__(self, definitions: Definitions, table: Table) -> None:
        self.definitions, self.table = definitions, table
        self.inputs = {f"input {table.mission}.{name}": f"{table.mission}.{name}" for name in table.inputs.values()}
        self.making = self._making()
        self.needed = tuple(f"calibration {name}" for name in (*table.calibrations, *table.axis_calibrations))
        names = {*table.calibrations, *table.axis_calibrations, *table.optional_calibrations}
        valid_from = {c.valid_from for c in definitions.instrument(table).calibrations if c.name in names}
        self.starts = sorted(valid_from)
        self.shared = [self._shared(names, day) for day in (date.min, *self.starts)]

    def _shared(self, names: set[str], day: date) -> dict[str, str]:
        instrument = self.definitions.instrument(self.table)
        valid = {name: instrument.calibration(name, day) for name in names}
        parts = {f"calibration {name}": found.sha256 if found else "" for name, found in valid.items()}
        return parts | {"definition": table_definition(self.table), "code": code_fingerprint(self.table)}

    def _making(self) -> set[str]:
        """Keywords of the inputs whose rows make a day: those of the table's instrument, or all if it has none."""
        named = {
            keyword: self.definitions.tables[f"{self.table.mission}.{n}"] for keyword, n in self.table.inputs.items()
        }
        return {k for k, table in named.items() if table.instrument == self.table.instrument} or set(named)

    def margins(self, day: date) -> Iterator[Margin]:
        """What a day sees of its neighbours."""
        return margins(self.definitions, self.table, day)

    def reads(self, day: date) -> dict[str, tuple[str, date]]:
        """The table-days that a day is made from, by the label of each in what it depends on."""
        beside = {margin.name: (margin.source.address, margin.day) for margin in self.margins(day)}
        return {label: (address, day) for label, address in self.inputs.items()} | beside

    def depends_on(self, lake: Lake, contents: Contents, day: date) -> dict[str, str]:
        """All that a day depends on, by label, as the contents are now."""
        parts = {label: contents.known.get((address, day), "") for label, address in self.inputs.items()}
        beside = {m.name: seen(lake, contents, m).fingerprint for m in self.margins(day)} if self.table.margins else {}
        return self.shared[bisect_right(self.starts, day)] | parts | beside

    def makes_something(self, depends_on: dict[str, str]) -> bool:
        """True if a day has inputs of its instrument, or calibrations and rows of its neighbours.

        A plan may have supposed so, and nothing came of the inputs. Before the first calibration nothing is made.
        """
        if any(depends_on[f"input {self.table.mission}.{self.table.inputs[keyword]}"] for keyword in self.making):
            return True
        margins_of = [(label.split()[2], mark) for label, mark in depends_on.items() if label.startswith("margin ")]
        beside = [mark for keyword, mark in margins_of if keyword in self.making]
        return any(beside) and all(depends_on[label] for label in self.needed)
