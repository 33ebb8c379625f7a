# SPDX-License-Identifier: Apache-2.0
"""The nouns of quick looks: which panels a picture of a table-day has, and which of them tell of a mission's day."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from lake.packet_definitions import Name, Noun

PanelKind = Literal["lines", "spectrogram", "histogram", "states"]


class Panel(Noun):
    """One panel over time. Units, labels and axes are those of its columns; `scale` and `limits` only differ if wanted.

    Of the axes of a column `at` takes one cell, by its number or label, `sum` and `mean` take all; one may be left: the
    vertical axis of a spectrogram, or one line for each cell, of which `cells` names some. A histogram counts the rows
    by the value of a column, states are drawn where a column is true or not 0.
    """

    name: Name
    kind: PanelKind
    columns: tuple[Name, ...] = Field(min_length=1)
    title: str = ""
    at: dict[Name, int | str] = Field(default_factory=dict)
    sum: tuple[Name, ...] = ()
    mean: tuple[Name, ...] = ()
    cells: tuple[int, ...] = ()
    scale: Literal["linear", "log"] | None = None
    limits: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _is_drawable(self) -> Panel:
        named = [*self.at, *self.sum, *self.mean]
        if twice := sorted({axis for axis in named if named.count(axis) > 1}):
            raise ValueError(f"{twice[0]} is reduced twice; name it once in at, sum or mean")
        if self.kind in ("spectrogram", "histogram") and len(self.columns) > 1:
            raise ValueError(f"a {self.kind} shows one column; make a panel of each")
        if self.limits is not None and self.limits[0] >= self.limits[1]:
            raise ValueError("the lower of the limits is not below the upper; swap or correct them")
        if self.limits is not None and self.scale == "log" and self.limits[0] <= 0:
            raise ValueError("the lower of the limits is not above 0, as a log scale needs; correct it")
        return self

    @property
    def reduced(self) -> frozenset[str]:
        """The axes that are not seen in the panel."""
        return frozenset((*self.at, *self.sum, *self.mean))


class Quicklook(Noun):
    """The picture of a day of a table: its panels from top to bottom."""

    table: Name
    panels: tuple[Panel, ...] = Field(min_length=1)

    def panel(self, name: str) -> Panel:
        """The panel of that name; KeyError if there is none."""
        return {panel.name: panel for panel in self.panels}[name]


class SummaryPanel(Noun):
    """A panel of the summary of a mission's day: one of a table's quick look."""

    table: Name
    panel: Name
