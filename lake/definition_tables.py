# SPDX-License-Identifier: Apache-2.0
"""Reading a tables.yaml: tables, columns and axes, with every name looked up where it was defined."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field

from lake.definition_text import build_at, read_yaml, yaml_line
from lake.definitions import Axis, Column, Flag, Level, Table
from lake.errors import DefinitionError
from lake.packet_definitions import Packet, PacketField

ORIGIN_COLUMNS = ("epoch_tt2000", "time", "quality_flag", "file_sha256", "byte_offset", "sequence_count")
SHARED_COLUMNS = {*ORIGIN_COLUMNS, "day", "packet_bytes", "apid", "sequence_flags"}


LONGEST_MARGIN_S = 86_400  # only the neighbouring day is read


class Entries(BaseModel):
    """Mappings of mappings, before their entries are read."""

    model_config = ConfigDict(extra="forbid")


class _TableEntry(BaseModel):
    """What refers to something else in an entry of tables.yaml; the rest is checked when the table is made."""

    model_config = ConfigDict(extra="allow")

    columns: list[str | dict[str, Any]] = Field(default_factory=list)
    packet: str | None = None
    inputs: dict[str, str] = Field(default_factory=dict)


class _Tables(Entries):
    axes: dict[str, dict[str, Any]] = Field(default_factory=dict)
    tables: dict[str, _TableEntry]


class TableReader:
    """Reads one tables.yaml. A plain column name is a shared column, a packet field, or a column of an input."""

    def __init__(
        self,
        path: Path,
        mission: str,
        instrument: str,
        shared: dict[str, Column],
        flags: tuple[Flag, ...],
        packets: list[Packet],
    ) -> None:
        self.path, self.mission, self.instrument = path, mission, instrument
        self.shared, self.flags = shared, flags
        self.packets = {packet.name: packet for packet in packets}
        self.tables: dict[str, Table] = {}

    def read(self) -> list[Table]:
        """All tables of the file, in its order. An input must stand above the tables that use it."""
        content = build_at(_Tables, read_yaml(self.path), self.path, ())
        axes = [
            build_at(Axis, {"name": name, **entry}, self.path, ("axes", name)) for name, entry in content.axes.items()
        ]
        for name, entry in content.tables.items():
            self.tables[name] = self._table(name, entry.model_dump(exclude_unset=True), axes)
        return list(self.tables.values())

    def _table(self, name: str, entry: dict[str, Any], axes: list[Axis]) -> Table:
        columns = [self._column(name, i, c, entry) for i, c in enumerate(entry.get("columns") or [])]
        if self.mission != "ops":
            columns = [*self._leading_columns(name, entry), *columns]
            columns = [c for c in columns if c.name != "day"] + [self.shared["day"]]
        sources = [self.tables[t] for t in (entry.get("inputs") or {}).values() if t in self.tables]
        used = {name for column in columns for name in column.axes} | {a.name for t in sources for a in t.axes}
        packet = self.packets.get(entry.get("packet", ""))
        axes = [*axes, *(axis for f in (packet.fields if packet else ()) for axis in field_axes(f))]
        values = {
            **entry,
            "mission": self.mission,
            "instrument": self.instrument,
            "name": name,
            "level": self._level(name),
            "columns": columns,
            "identity": ("sequence_count", *packet.identity) if packet else sources[0].identity if sources else (),
            "axes": [axis for axis in axes if axis.name in used],
            "flags": self.flags,
        }
        table = build_at(Table, values, self.path, ("tables", name))
        self._check(table)
        return table

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
        """Columns that every L0 table has: time, where the packet came from, and, per packet, its fields."""
        if "packet" not in entry:
            return []
        if entry["packet"] not in self.packets:
            line = yaml_line(self.path, ("tables", name, "packet"))
            raise DefinitionError(
                f"{self.path} line {line} (packet): there is no packet {entry['packet']}. Correct the name."
            )
        if entry.get("rows") == "event":
            return [self.shared[c] for c in ORIGIN_COLUMNS]
        packet = self.packets[entry["packet"]]
        fields = [f for f in packet.fields if f.kind != "fill" and not (packet.unpacker and (f.variable or f.shape))]
        return [self.shared[c] for c in (*ORIGIN_COLUMNS, "packet_bytes", "apid", "sequence_flags")] + [
            field_column(f) for f in fields
        ]

    def _column(self, table: str, index: int, entry: Any, values: dict[str, Any]) -> Column:
        keys = ("tables", table, "columns", index)
        if isinstance(entry, dict):
            return build_at(Column, entry, self.path, keys)
        if entry in ("epoch_tt2000", "time") and "packet" not in values and self.mission != "ops":
            return self.shared[entry].model_copy(update={"nullable": False})
        for known in (self.shared, self._packet_columns(values), *self._input_columns(table, values)):
            if entry in known:
                return known[entry]
        line = yaml_line(self.path, keys)
        raise DefinitionError(
            f"{self.path} line {line} (tables.{table}): {entry!r} is no shared column, packet field or column of an "
            "input. Correct the name or write {name: ..., type: ..., description: ...}."
        )

    def _packet_columns(self, values: dict[str, Any]) -> dict[str, Column]:
        packet = self.packets.get(values.get("packet", ""))
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
                line = self._column_line(table, column.name)
                raise DefinitionError(f"{self.path} line {line} ({table.name}.{column.name}): {problem}")
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
            return f"{keyword} reaches farther than the neighbouring day. Give at most {LONGEST_MARGIN_S} s."
        if "epoch_tt2000" not in self.tables[table.inputs[keyword]].by_name:
            return f"{table.inputs[keyword]} has no column epoch_tt2000 by which rows could be within one. Remove it."
        return None

    def _column_line(self, table: Table, column: str) -> int:
        """The line of the last entry of that name; the columns of a packet or of every L0 table have none."""
        entries = read_yaml(self.path)["tables"][table.name].get("columns", [])
        at = [i for i, e in enumerate(entries) if column in (e, e.get("name") if isinstance(e, dict) else None)]
        return yaml_line(self.path, ("tables", table.name, *(("columns", at[-1]) if at else ())))

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
        sources = [self.tables[name].by_name for name in table.inputs.values()]
        if column.conversion and not column.source:
            return "has a conversion but no source. Add `source: <input column>`."
        if column.source and not any(column.source in source for source in sources):
            return f"its source {column.source} is no column of an input. Correct the name."
        return None


def field_column(field: PacketField) -> Column:
    """The L0 column of a packet field. Arrays without a named axis stay flat lists."""
    valid = (field.valid_min or 0, field.valid_max) if field.valid_max is not None else _range(field)
    return Column(
        name=field.name,
        type=field.column_type,
        unit=field.unit,
        description=field.description or f"Field {field.name} of the packet",
        label=field.label,
        valid=None if field.shape or field.variable else valid,
        nullable=field.bits == 64,
        axes=tuple(axis.name for axis in field_axes(field)),
        ragged=field.variable,
    )


def field_axes(field: PacketField) -> tuple[Axis, ...]:
    """Index axes of a packet field with a fixed shape."""
    return tuple(
        Axis(name=f"{field.name}_{i}", size=size, first=0, step=1, type="int16", description="Index", label="Index")
        for i, size in enumerate(field.shape)
    )


def _range(field: PacketField) -> tuple[float, float] | None:
    if field.kind == "uint":
        return (0, 2 ** min(field.bits, 63) - 1)
    return None
