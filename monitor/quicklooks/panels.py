# SPDX-License-Identifier: Apache-2.0
"""What a panel shows on a day: its columns, the axis that is left, labels, units, scales, all from the definitions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lake.definition_quicklooks import cell_number, panel_problem, seen_axes
from lake.definitions import PLACES, Axis, Column, Definitions, Table
from lake.quicklook_definitions import Panel, PanelKind, Quicklook
from monitor.quicklooks.bins import Floats

LINES_OF_AN_AXIS = 6  # more cannot be told apart by color
HISTOGRAM_CELLS = 128
DERIVED_PANELS = 5  # as many as can be read in one picture
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Line:
    """One line of a panel: a column, the cell of its axis if it has one, and what it is called."""

    column: Column
    cell: int | None
    label: str


@dataclass(frozen=True)
class View:
    """A panel of a table whose axes have the values of a day."""

    table: Table
    panel: Panel

    @property
    def columns(self) -> tuple[Column, ...]:
        """Its columns."""
        return tuple(self.table.by_name[name] for name in self.panel.columns)

    @property
    def axis(self) -> Axis | None:
        """The axis that is not reduced: that of a spectrogram, or of the lines."""
        left = seen_axes(self.table, self.panel, self.columns[0])
        return left[0] if left else None

    @property
    def scale(self) -> str:
        """Scale of the values: the panel's if it has one, else the column's."""
        return self.panel.scale or self.columns[0].scale

    @property
    def is_net(self) -> bool:
        """Whether lines on a log axis are of what may be below zero, such as a flux without its background."""
        below = any(column.valid is not None and column.valid[0] < 0 for column in self.columns)
        return below and self.panel.kind == "lines" and self.scale == "log"

    @property
    def basis(self) -> str:
        """What a number of counts or events is of, and what it is not corrected for; empty for all else."""
        if self.panel.kind == "histogram":
            return f"events as recorded, per second and {self._cell_width}; not corrected for dead time or decimation"
        if self.panel.kind != "spectrogram" or self.columns[0].unit != "count" or self.axis is None:
            return ""
        grain = self.table.grain.split(",")[0].removeprefix("one row ")
        step = f"{self.axis.step:g} {pretty(self.axis.unit)}" if self.axis.step and self.axis.unit else "cell"
        return f"counts as recorded, {grain} and {step}; not corrected for live time"

    @property
    def _cell_width(self) -> str:
        edges = histogram_edges(self.columns[0])
        return f"{edges[1] - edges[0]:.3g} {pretty(self.columns[0].unit)}".rstrip()

    @property
    def title(self) -> str:
        """What is written above the panel."""
        return self.panel.title or self.columns[0].description

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """The lines of a panel of lines or states."""
        return tuple(self._lines())

    def _lines(self) -> Iterator[Line]:
        for column in self.columns:
            name = column.label or column.name
            if self._units > 1 and self.panel.kind == "lines":
                name = labeled(name, column.unit)
            left = seen_axes(self.table, self.panel, column)
            if not left:
                yield Line(column, None, name)
                continue
            for cell in self.panel.cells or _some_cells(left[0]):
                place = cell_label(left[0], cell)
                shown = place if len(self.columns) == 1 else f"{name} {place}"
                yield Line(column, cell, f"{shown} ({column.frame})" if column.frame else shown)

    @property
    def _units(self) -> int:
        return len({column.unit for column in self.columns})

    @property
    def value_label(self) -> str:
        """What the values are, with their unit."""
        if self.panel.kind == "histogram":
            return f"Events [1/s per {self._cell_width}]"
        columns = self.columns
        if self._units > 1:
            return ""
        alone = len(columns) == 1
        return labeled((columns[0].label or columns[0].name) if alone else "", columns[0].unit)

    @property
    def vertical_label(self) -> str:
        """What stands along the vertical axis, with its unit."""
        if self.panel.kind == "histogram":
            return labeled(self.columns[0].label or self.columns[0].name, self.columns[0].unit)
        if self.panel.kind == "spectrogram" and self.axis is not None:
            return labeled(self.axis.label, self.axis.unit)
        return "" if self.panel.kind == "states" else self.value_label

    @property
    def words(self) -> str:
        """What the panel shows, in a sentence for those who do not see it."""
        shown = ", ".join(f"{c.label or c.name} ({c.description[:1].lower()}{c.description[1:]})" for c in self.columns)
        unit = f" in {self.columns[0].unit}" if self.columns[0].unit not in ("", "1") else ""
        along = f" over {self.axis.label}" if self.panel.kind == "spectrogram" and self.axis else ""
        basis = f" {self.basis.capitalize()}." if self.basis else ""
        return f"{self.title}. {self.panel.kind.capitalize()} of {shown}{unit}{along}, {self.scale} scale.{basis}"


def _some_cells(axis: Axis) -> list[int]:
    """All cells of a short axis, evenly chosen ones of a long one."""
    if axis.size <= LINES_OF_AN_AXIS:
        return list(range(axis.size))
    return [round(place) for place in np.linspace(0, axis.size - 1, LINES_OF_AN_AXIS)]


def cell_label(axis: Axis, cell: int) -> str:
    """A cell of an axis as legends name it."""
    return axis.labels[cell] if axis.labels else f"{axis.values[cell]:.3g} {pretty(axis.unit)}".rstrip()


def pretty(unit: str) -> str:
    """A unit as it is printed: cm-3 with the exponent raised, degC as °C; nothing for 1."""
    raised = re.sub(r"(?<=[A-Za-z])-?\d+", lambda found: found.group().translate(SUPERSCRIPTS), unit)
    words = {"degC": "°C", "deg": "°", "us": "µs", "percent": "%"}
    return "" if unit == "1" else re.sub(r"[A-Za-z]+", lambda found: words.get(found.group(), found.group()), raised)


def labeled(name: str, unit: str) -> str:
    """A name with its unit in brackets."""
    shown = pretty(unit)
    return f"{name} [{shown}]".strip() if shown else name


def histogram_edges(column: Column) -> Floats:
    """Borders of even cells over the valid range of a column; each holds as many whole numbers as any other."""
    low, high = column.valid or (0.0, 1.0)
    if column.type.startswith("int"):
        width = max(1, int(np.ceil((high - low + 1) / HISTOGRAM_CELLS)))
        return low - 0.5 + width * np.arange(HISTOGRAM_CELLS + 1, dtype=np.float64)
    return np.linspace(low, high, HISTOGRAM_CELLS + 1)


def fixed_cell(view: View, axis: str) -> int | None:
    """The number of the cell that a panel takes of an axis; None if it takes not one."""
    found = view.panel.at.get(axis)
    return None if found is None else cell_number(view.table.axis(axis), found)


# ---- which pictures there are ----------------------------------------------------------------------------------------
def quicklooks(definitions: Definitions) -> dict[str, Quicklook]:
    """The quick look of each table that has one, by address; products without one have one that is derived."""
    found: dict[str, Quicklook] = {}
    for mission in definitions.missions:
        for instrument in mission.instruments:
            declared = {entry.table: entry for entry in instrument.quicklooks}
            products = {product.table for product in instrument.products}
            for table in instrument.tables:
                entry = declared.get(table.name) or (derived(table) if table.name in products else None)
                if entry is not None:
                    found[table.address] = entry
    return found


def derived(table: Table) -> Quicklook | None:
    """A picture of the first columns of a table that can be drawn; None if none can, or there are no times."""
    if "time" not in table.by_name:
        return None
    panels = [panel for panel in _possible_panels(table) if panel_problem(table, panel) is None]
    return Quicklook(table=table.name, panels=tuple(panels[:DERIVED_PANELS])) if panels else None


def _possible_panels(table: Table) -> Iterator[Panel]:
    """Arrays each for itself, then scalars of one unit together, then states."""
    uncertain = {column.uncertainty for column in table.columns}
    scalars: dict[tuple[PanelKind, str], list[str]] = {}
    for column in table.columns:
        support = column.name in (*PLACES, "quality_flag", "time") or column.name in uncertain or not column.export
        if support or column.ragged:
            continue
        if column.axes:
            yield _array_panel(table, column)
        elif column.type not in ("string", "binary", "date", "timestamp"):
            kind: PanelKind = "states" if column.type == "bool" else "lines"
            scalars.setdefault((kind, column.unit), []).append(column.name)
    for (kind, _), names in sorted(scalars.items(), key=lambda found: found[0][0] == "states"):
        shown = tuple(names[:LINES_OF_AN_AXIS])
        named = [table.by_name[name] for name in shown]
        title = named[0].description if len(named) == 1 else ", ".join(column.label or column.name for column in named)
        yield Panel(name=shown[0], kind=kind, columns=shown, title=title)


def _array_panel(table: Table, column: Column) -> Panel:
    """The array over its first axis with a log scale, or else its first one, and the mean over all others."""
    axes = [table.axis(name) for name in column.axes]
    seen = next((axis for axis in axes if axis.scale == "log"), axes[0])
    others = tuple(axis.name for axis in axes if axis is not seen)
    kind = "lines" if seen.labels else "spectrogram"
    return Panel.model_validate({"name": column.name, "kind": kind, "columns": (column.name,), "mean": others})
