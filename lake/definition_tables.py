# SPDX-License-Identifier: Apache-2.0
"""Reading a tables.yaml: tables, columns and axes, with every name looked up where it was defined."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field

from lake.definition_text import build_at, read_yaml, yaml_line
from lake.definitions import Axis, Column, Flag, Level, Table
from lake.errors import DefinitionError
from lake.packet_definitions import INTEGER_BITS, Packet, PacketField, number_range
from lake.source_definitions import RecordField, Records

RECORD_COLUMNS = ("epoch_tt2000", "time", "quality_flag", "file_sha256", "byte_offset", "row_id")
ORIGIN_COLUMNS = (*RECORD_COLUMNS[:-1], "sequence_count")
SHARED_COLUMNS = {*ORIGIN_COLUMNS, *RECORD_COLUMNS, "day", "packet_bytes", "apid", "sequence_flags", "packet_segments"}

LONGEST_MARGIN_S = 31 * 86_400


class Entries(BaseModel):
    """Mappings of mappings, before their entries are read."""

    model_config = ConfigDict(extra="forbid")


class _TableEntry(BaseModel):
    """What refers to something else in an entry of tables.yaml; the rest is checked when the table is made."""

    model_config = ConfigDict(extra="allow")

    columns: list[str | dict[str, Any]] = Field(default_factory=list)
    packet: str | None = None
    records: str | None = None
    inputs: dict[str, str] = Field(default_factory=dict)


class _Tables(Entries):
    axes: dict[str, dict[str, Any]] = Field(default_factory=dict)
    tables: dict[str, _TableEntry]


class TableReader:
    """Reads one tables.yaml. A plain column name is a shared column, a field of the source, or a column of an input.

    `sources` are what L0 tables are decoded from, `others` are tables of other instruments that may be inputs.
    """

    def __init__(
        self,
        path: Path,
        mission: str,
        instrument: str,
        shared: dict[str, Column],
        flags: tuple[Flag, ...],
        sources: tuple[Packet | Records, ...] = (),
        others: Mapping[str, Table] | None = None,
    ) -> None:
        self.path, self.mission, self.instrument = path, mission, instrument
        self.shared, self.flags = shared, flags
        self.packets = {source.name: source for source in sources if isinstance(source, Packet)}
        self.records = {source.name: source for source in sources if isinstance(source, Records)}
        self.tables: dict[str, Table] = dict(others or {})

    def read(self) -> list[Table]:
        """All tables of the file, in its order. An input must stand above the tables that use it."""
        content = build_at(_Tables, read_yaml(self.path), self.path, ())
        axes = [
            build_at(Axis, {"name": name, **_in_each_cell(entry)}, self.path, ("axes", name))
            for name, entry in content.axes.items()
        ]
        for name, entry in content.tables.items():
            self.tables[name] = self._table(name, entry.model_dump(exclude_unset=True), axes)
        return [self.tables[name] for name in content.tables]

    def _table(self, name: str, entry: dict[str, Any], axes: list[Axis]) -> Table:
        columns = [self._column(name, i, c, entry) for i, c in enumerate(entry.get("columns") or [])]
        if self.mission != "ops":
            columns = [*self._leading_columns(name, entry), *columns]
            columns = [c for c in columns if c.name != "day"] + [self.shared["day"]]
        sources = [self.tables[t] for t in (entry.get("inputs") or {}).values() if t in self.tables]
        used = {name for column in columns for name in column.axes} | {a.name for t in sources for a in t.axes}
        packet = self.packets.get(entry.get("packet") or "")
        axes = [*axes, *(axis for f in (packet.fields if packet else ()) for axis in field_axes(f))]
        named = {name for column in columns for name in column.axes} - {axis.name for axis in axes}
        axes = [*axes, *{axis.name: axis for t in sources for axis in t.axes if axis.name in named}.values()]
        values = {
            **entry,
            "mission": self.mission,
            "instrument": self.instrument,
            "name": name,
            "level": self._level(name),
            "columns": columns,
            "identity": self._identity(entry, sources),
            "axes": [axis for axis in axes if axis.name in used],
            "flags": self.flags,
        }
        table = build_at(Table, values, self.path, ("tables", name))
        self._check(table)
        return table

    def _identity(self, entry: dict[str, Any], inputs: list[Table]) -> tuple[str, ...]:
        if packet := self.packets.get(entry.get("packet") or ""):
            return ("sequence_count", *packet.identity)
        if entry.get("records"):
            return ("row_id",)
        return inputs[0].identity if inputs else ()

    def _level(self, name: str) -> str:
        word = name.removeprefix(f"{self.instrument}_").split("_", maxsplit=1)[0]
        if self.mission == "ops":
            return "l0"
        if not name.startswith(f"{self.instrument}_") or word not in get_args(Level):
            line = yaml_line(self.path, ("tables", name))
            raise DefinitionError(
                f"{self.path} line {line} ({name}): is not <instrument>_<level>_<words>. "
                f"Begin with {self.instrument}_ and one of {', '.join(get_args(Level))}."
            )
        return word

    def _leading_columns(self, name: str, entry: dict[str, Any]) -> list[Column]:
        """Columns that every L0 table has: time, where the row came from, and the fields of its packet or record."""
        for key, known in (("packet", self.packets), ("records", self.records)):
            if entry.get(key) and entry[key] not in known:
                line = yaml_line(self.path, ("tables", name, key))
                raise DefinitionError(
                    f"{self.path} line {line} ({key}): there is no {key.rstrip('s')} {entry[key]}. Correct the name."
                )
        if entry.get("records"):
            fields = self.records[entry["records"]].fields
            return [self.shared[c] for c in RECORD_COLUMNS] + [record_column(f) for f in fields]
        if not entry.get("packet"):
            return []
        if entry.get("rows") == "event":
            return [self.shared[c] for c in ORIGIN_COLUMNS]
        packet = self.packets[entry["packet"]]
        kept = [f for f in packet.fields if f.kind != "fill" and not (packet.unpacker and (f.variable or f.shape))]
        leading = (*ORIGIN_COLUMNS, "packet_bytes", "apid", "sequence_flags", *["packet_segments"] * packet.segmented)
        return [self.shared[c] for c in leading] + [field_column(f) for f in kept]

    def _column(self, table: str, index: int, entry: Any, values: dict[str, Any]) -> Column:
        keys = ("tables", table, "columns", index)
        if isinstance(entry, dict):
            return build_at(Column, self._inherited(table, entry, values) | entry, self.path, keys)
        decoded = values.get("packet") or values.get("records")
        if entry in ("epoch_tt2000", "time") and not decoded and self.mission != "ops":
            return self.shared[entry].model_copy(update={"nullable": False})
        for known in (self.shared, self._packet_columns(values), *self._input_columns(table, values)):
            if entry in known:  # a column that an input has converted is taken over as it is
                return known[entry].model_copy(update={"source": None, "conversion": None})
        line = yaml_line(self.path, keys)
        raise DefinitionError(
            f"{self.path} line {line} (tables.{table}): {entry!r} is no shared column, packet field or column of an "
            "input. Correct the name or write {name: ..., type: ..., description: ...}."
        )

    def _inherited(self, table: str, entry: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
        """Description and label of the column that another one is converted from, unless it has its own."""
        source = entry.get("source")
        if not isinstance(source, str):
            return {}
        sources = [known[source] for known in self._input_columns(table, values) if source in known]
        return {
            key: value for key in ("description", "label") for value in [getattr(s, key) for s in sources[:1]] if value
        }

    def _packet_columns(self, values: dict[str, Any]) -> dict[str, Column]:
        packet = self.packets.get(values.get("packet") or "")
        return {f.name: field_column(f) for f in packet.fields if not f.variable} if packet else {}

    def _input_columns(self, table: str, values: dict[str, Any]) -> list[dict[str, Column]]:
        found = []
        for name in (values.get("inputs") or {}).values():
            if name not in self.tables:
                line = yaml_line(self.path, ("tables", table, "inputs"))
                raise DefinitionError(
                    f"{self.path} line {line} (inputs): {name!r} is no table above this one. Correct or move it."
                )
            found.append(self.tables[name].by_name)
        return found

    def _check(self, table: Table) -> None:
        names = [column.name for column in table.columns]
        for column in table.columns:
            problem = self._column_problem(column, table)
            if problem:
                line = column_line(self.path, table.name, column.name)
                raise DefinitionError(f"{self.path} line {line} ({table.name}.{column.name}): {problem}")
        if table.method and [self.tables[name].level for name in table.inputs.values()] != ["l0"]:
            line = yaml_line(self.path, ("tables", table.name, "method"))
            raise DefinitionError(
                f"{self.path} line {line} (method): it makes a table of one input of level 0. Name just that."
            )
        for name in table.key:
            if name not in names:
                line = yaml_line(self.path, ("tables", table.name, "key"))
                raise DefinitionError(f"{self.path} line {line} (key): there is no column {name}. Correct the name.")
        for name in table.margins:
            problem = self._margin_problem(table, name)
            if problem:
                line = yaml_line(self.path, ("tables", table.name, "margins"))
                raise DefinitionError(f"{self.path} line {line} (margins): {problem}")

    def _margin_problem(self, table: Table, keyword: str) -> str | None:
        if keyword not in table.inputs:
            return f"there is no input {keyword}. Correct the name."
        if max(table.margins[keyword]) > LONGEST_MARGIN_S:
            return f"{keyword} reaches farther than a month. Give at most {LONGEST_MARGIN_S} s."
        if "epoch_tt2000" not in self.tables[table.inputs[keyword]].by_name:
            return f"{table.inputs[keyword]} has no column epoch_tt2000 by which rows could be within one. Remove it."
        return None

    def _column_problem(self, column: Column, table: Table) -> str | None:
        names, axes = [c.name for c in table.columns], {axis.name for axis in table.axes}
        if names.count(column.name) > 1:
            return "the column is there twice. Rename or remove one."
        if column.valid and column.valid[0] > column.valid[1]:
            return f"valid {column.valid[0]:g} > {column.valid[1]:g}. Swap them or correct one."
        if column.uncertainty and column.uncertainty not in names:
            return f"its uncertainty {column.uncertainty} is no column of the table. Correct the name."
        if set(column.axes) - axes:
            return f"axis {', '.join(sorted(set(column.axes) - axes))} is not under `axes`. Add or correct it."
        if column.frame and len(column.axes) != 1:
            return "has a frame but is no vector. Give it one axis, or remove the frame."
        return self._source_problem(column, table)

    def _source_problem(self, column: Column, table: Table) -> str | None:
        if column.conversion and not column.source:
            return "has a conversion but no source. Add `source: <input column>`."
        inputs = [self.tables[name].by_name for name in table.inputs.values()]
        sources = [known[column.source] for known in inputs if column.source in known]
        if column.source and not sources:
            return f"its source {column.source} is no column of an input. Correct the name."
        return self._conversion_problem(column, sources[0], table) if column.conversion else None

    def _conversion_problem(self, column: Column, source: Column, table: Table) -> str | None:
        kind = column.conversion
        if not any(column.is_converted_by(name) for name in (*table.calibrations, *table.optional_calibrations)):
            return f"the table has no calibration of kind {kind}. Add one named ..._{kind} to its `calibrations`."
        if "adc_out_of_range" not in {flag.name for flag in self.flags}:
            return "the instrument has no flag adc_out_of_range for values that are not converted. Add it to flags.csv."
        if not column.nullable:
            return "has no value where its calibration does not hold. Add `nullable: true`."
        if (kind == "states") != (column.type == "string"):
            return f"{kind} give {'text' if kind == 'states' else 'numbers'}, not {column.type}. Correct the type."
        if kind == "states" and source.type not in INTEGER_BITS:
            return f"its source {source.name} is {source.type}, and states are of whole numbers. Correct one."
        return None


def column_line(path: Path, table: str, column: str) -> int:
    """The line of a column's entry in tables.yaml, the last one of that name; of one that has none that of its table.

    The columns of a packet or of every L0 table have none.
    """
    entries = read_yaml(path)["tables"][table].get("columns") or []
    at = [i for i, e in enumerate(entries) if column in (e, e.get("name") if isinstance(e, dict) else None)]
    return yaml_line(path, ("tables", table, *(("columns", at[-1]) if at else ())))


def field_name(text: str) -> str:
    """The column name of a field: lower case, `_` for other characters, `packet_` before names that all tables use."""
    name = re.sub(r"\W+", "_", text.strip().lower(), flags=re.ASCII).strip("_") or text
    return f"packet_{name}" if name in SHARED_COLUMNS or name[:1].isdigit() else name


def field_column(field: PacketField) -> Column:
    """The L0 column of a packet field. Arrays without a named axis stay flat lists."""
    return Column(
        name=field.name,
        type=field.column_type,
        unit=field.unit,
        description=field.description or f"Field {field.name} of the packet",
        label=field.label,
        valid=None if field.shape or field.variable else _range(field),
        nullable=field.bits == 64 or field.kind == "float",
        axes=tuple(axis.name for axis in field_axes(field)),
        ragged=field.variable and field.kind not in ("str", "bytes"),
    )


def record_column(field: RecordField) -> Column:
    """The L0 column of a field of a record."""
    low, high = field.valid_min, field.valid_max
    valid = (
        None
        if low is None and high is None
        else (-(2.0**63) if low is None else low, 2.0**63 if high is None else high)
    )
    return Column(
        name=field.name,
        type=field.type,
        unit=field.unit,
        description=field.description or f"Column {field.header} of the file",
        label=field.label,
        valid=None if field.list else valid,
        nullable=field.nullable,
        ragged=field.list,
    )


def _in_each_cell(axis: dict[str, Any]) -> dict[str, Any]:
    """An axis as written, with one distance to the borders of its cells as that of each cell."""
    size = axis.get("size")
    given = {name: axis[name] for name in ("minus", "plus") if isinstance(axis.get(name), int | float)}
    return axis | {name: [number] * size for name, number in given.items()} if isinstance(size, int) else axis


def field_axes(field: PacketField) -> tuple[Axis, ...]:
    """Index axes of a packet field with a fixed shape."""
    return tuple(
        Axis(name=f"{field.name}_{i}", size=size, first=0, step=1, type="int16", description="Index", label="Index")
        for i, size in enumerate(field.shape)
    )


def _range(field: PacketField) -> tuple[float, float] | None:
    """The valid range of a field, where one of its ends is not given that of its bits; None if nothing is known."""
    told = field.valid_min is not None or field.valid_max is not None
    if field.kind != "uint" and not (told and field.kind in ("int", "float")):
        return None
    low, high = number_range(field.kind, field.bits)
    return low if field.valid_min is None else field.valid_min, high if field.valid_max is None else field.valid_max
