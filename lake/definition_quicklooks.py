# SPDX-License-Identifier: Apache-2.0
"""Reading quicklook.yaml: which panels a table's picture has, with every column and axis looked up in the tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from lake.definition_tables import Entries
from lake.definition_text import build_at, read_yaml, yaml_line
from lake.definition_watch import NUMBERS, remedy, table_problem
from lake.definitions import Axis, Column, Instrument, Table
from lake.errors import DefinitionError
from lake.quicklook_definitions import Panel, Quicklook, SummaryPanel

FILE = "quicklook.yaml"


class _Quicklooks(Entries):
    quicklooks: dict[str, dict[str, dict[str, Any]]] = Field(default_factory=dict)


class _Summary(Entries):
    summary: list[str] = Field(default_factory=list)


def read_quicklooks(path: Path, tables: Mapping[str, Table]) -> tuple[Quicklook, ...]:
    """The quick looks in an instrument's quicklook.yaml, in its order; none without it. Raises DefinitionError."""
    if not path.exists():
        return ()
    content = build_at(_Quicklooks, read_yaml(path), path, ())
    return tuple(_quicklook(path, name, entry, tables) for name, entry in content.quicklooks.items())


def _quicklook(path: Path, name: str, entry: dict[str, dict[str, Any]], tables: Mapping[str, Table]) -> Quicklook:
    keys = ("quicklooks", name)
    if (problem := table_problem(tables, name)) is not None:
        raise DefinitionError(f"{path} line {yaml_line(path, keys)} ({name}): {problem}")
    panels = []
    for panel_name, values in entry.items():
        panel = build_at(Panel, {"name": panel_name, **values}, path, (*keys, panel_name))
        if (problem := panel_problem(tables[name], panel)) is not None:
            line = yaml_line(path, (*keys, panel_name))
            raise DefinitionError(f"{path} line {line} ({name}.{panel_name}): {problem}")
        panels.append(panel)
    return build_at(Quicklook, {"table": name, "panels": panels}, path, keys)


def panel_problem(table: Table, panel: Panel) -> str | None:
    """What is wrong with a panel of a table, and what to do."""
    for name in panel.columns:
        column = table.by_name.get(name)
        if column is None:
            return f"table {table.name} has no column {name}. {remedy(name, table.by_name)}"
        if (problem := _column_problem(table, panel, column)) is not None:
            return problem
    return _axes_problem(table, panel)


def _column_problem(table: Table, panel: Panel, column: Column) -> str | None:
    if column.type not in (*NUMBERS, "bool"):
        return f"{column.name} of {table.name} is {column.type} and no number. Name a column of numbers."
    if column.ragged:
        return f"{column.name} of {table.name} has lists of any length. Name another column."
    return _seen_problem(panel, column, seen_axes(table, panel, column))


def _seen_problem(panel: Panel, column: Column, left: list[Axis]) -> str | None:
    """What is wrong with the axes of a column that a panel leaves."""
    if panel.kind == "spectrogram" and (len(left) != 1 or left[0].labels):
        return f"a spectrogram of {column.name} needs one axis of values. Name all others in at, sum or mean."
    if panel.kind in ("histogram", "states") and left:
        return f"{column.name} has the axis {left[0].name}. Name it in `at`, or choose another column."
    if panel.kind == "histogram" and (column.valid is None or column.axes):
        return f"a histogram of {column.name} needs one value in each row, and its valid range. Choose another column."
    if len(left) > 1:
        return f"{column.name} has the axes {left[0].name} and {left[1].name}. Name one of them in at, sum or mean."
    far = [cell for cell in panel.cells if not left or not 0 <= cell < left[0].size]
    return f"{column.name} has no cell {far[0]}. Cells are counted from 0; correct the number." if far else None


def _axes_problem(table: Table, panel: Panel) -> str | None:
    used = {axis for name in panel.columns for axis in table.by_name[name].axes}
    for name in sorted(panel.reduced):
        if name not in used:
            return f"none of its columns has an axis {name}. {remedy(name, used)}"
    for name, cell in panel.at.items():
        axis = table.axis(name)
        if cell_number(axis, cell) is None:
            known = ", ".join(axis.labels) or f"0 to {axis.size - 1}"
            return f"axis {name} has no cell {cell}. Write one of {known}."
    return None


def cell_number(axis: Axis, cell: int | str) -> int | None:
    """The number of a cell of an axis, which may be given by its label; None if there is none."""
    if isinstance(cell, str):
        return axis.labels.index(cell) if cell in axis.labels else None
    return cell if 0 <= cell < axis.size else None


def seen_axes(table: Table, panel: Panel, column: Column) -> list[Axis]:
    """The axes of a column that a panel leaves as they are."""
    return [table.axis(name) for name in column.axes if name not in panel.reduced]


def read_summary(path: Path, instruments: list[Instrument]) -> tuple[SummaryPanel, ...]:
    """The panels of a mission's day, `<table>.<panel>` each, in order; none without it. Raises DefinitionError.

    Those of instruments that are not there are left out: one may be tried, or taken away, alone.
    """
    if not path.exists():
        return ()
    content = build_at(_Summary, read_yaml(path), path, ())
    known = {f"{q.table}.{panel.name}" for i in instruments for q in i.quicklooks for panel in q.panels}
    there = tuple(f"{instrument.name}_" for instrument in instruments)
    for index, name in enumerate(content.summary):
        if name not in known and name.startswith(there):
            line = yaml_line(path, ("summary", index))
            raise DefinitionError(
                f"{path} line {line} (summary): there is no panel {name} in a quicklook.yaml. {remedy(name, known)}"
            )
    pairs = [name.split(".", 1) for name in content.summary if name in known]
    return tuple(SummaryPanel(table=table, panel=panel) for table, panel in pairs)
