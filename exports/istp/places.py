# SPDX-License-Identifier: Apache-2.0
"""Where in missions/ what is wrong with a product stands, so that an error can name file and line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from lake.definition_tables import column_line
from lake.definition_text import yaml_line
from lake.definitions import Axis, Column, Instrument, Table
from lake.errors import DefinitionError, ExportError

OWN = ("Descriptor", "Instrument_type")  # of an instrument, never of a mission
# Global attributes that are made of what a product says under a key.
MADE_OF = {
    "TITLE": "title",
    "Data_type": "title",
    "Logical_source_description": "title",
    "TEXT": "text",
    "MODS": "mods",
    "Time_resolution": "time_resolution",
    "DOI": "doi",
    "spase_DatasetResourceID": "spase_id",
}


@dataclass(frozen=True)
class Place:
    """What a complaint is about, in words, and the file and keys of an instrument's folder under which it stands.

    With a `column` it is that column of the table that `keys` name.
    """

    text: str
    file: str
    keys: tuple[str | int, ...]
    column: str = ""

    def __str__(self) -> str:
        return self.text

    def found(self, folder: Path) -> str:
        """File and line, the folder being that of the instrument, and what stands there."""
        path = (folder.parent if self.file == "mission.yaml" else folder) / self.file
        line = column_line(path, str(self.keys[1]), self.column) if self.column else yaml_line(path, self.keys)
        name = ".".join(str(key) for key in (*self.keys[-2:], *((self.column,) if self.column else ())))
        return f"{path} line {line} ({name})"


Where: TypeAlias = Place | str


class TemplateError(DefinitionError, ExportError):
    """A definition of which no file could be made that SPDF takes: a mistake of the definition, or of the day's export.

    Alone it tells the product and the column or attribute; `located` tells file and line.
    """

    def __init__(self, place: Where, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place, self.problem = place, problem

    def located(self, folder: Path) -> TemplateError:
        """The same with file and line, for definitions that were read from the folder of an instrument."""
        return self if isinstance(self.place, str) else TemplateError(self.place.found(folder), self.problem)


def of_column(table: Table, column: Column) -> Place:
    """A column of a table."""
    text = f"product {table.address}, column {column.name}"
    return Place(text, "tables.yaml", ("tables", table.name), column.name)


def of_axis(table: Table, axis: Axis) -> Place:
    """An axis of a table."""
    return Place(f"product {table.address}, axis {axis.name}", "tables.yaml", ("axes", axis.name))


def of_table(table: Table) -> Place:
    """A table itself, of which something is missing."""
    return Place(f"product {table.address}", "tables.yaml", ("tables", table.name))


def of_product(table: Table, key: str = "") -> Place:
    """A product in cdf.yaml, or what it says under a key."""
    text = f"product {table.address}" + (f", {key}" if key else "")
    return Place(text, "cdf.yaml", ("products", table.name, *((key,) if key else ())))


def of_typed(table: Table, name: str, instrument: Instrument) -> Place:
    """A global attribute that is typed by hand, or should be: in instrument.yaml, or in mission.yaml for all."""
    own = name in instrument.cdf or name in OWN
    file = "instrument.yaml" if own else "mission.yaml"
    return Place(f"product {table.address}: global attribute {name}", file, ("cdf", name))


def of_attribute(table: Table, name: str, instrument: Instrument, text: str) -> Place:
    """A global attribute, typed or made of what the product or the instrument says, with this text in it."""
    place = of_typed(table, name, instrument)
    if name == "TEXT" and (keys := _of_instrument(instrument, text)):
        return replace(place, file="instrument.yaml", keys=keys)
    if name in MADE_OF:
        return replace(place, file="cdf.yaml", keys=("products", table.name, MADE_OF[name]))
    return place


def _of_instrument(instrument: Instrument, text: str) -> tuple[str | int, ...]:
    """The keys in instrument.yaml that a paragraph of TEXT comes from; none if it is the product's own."""
    said: dict[tuple[str | int, ...], str] = {("unknowns", i): words for i, words in enumerate(instrument.unknowns)}
    said |= {("assumed", name): reason for name, reason in instrument.assumed.items()}
    said |= {("status_reason",): instrument.status_reason}
    return next((keys for keys, words in said.items() if words and " ".join(words.split()) in text), ())
