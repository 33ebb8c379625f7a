# SPDX-License-Identifier: Apache-2.0
"""Reading missions/: the CSV and YAML files there, and nothing else, become the nouns of lake/definitions.py.

Every complaint is a DefinitionError that names file, row or line, field, and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field

from lake.definition_calibrations import read_calibrations
from lake.definition_text import build, build_at, numbered_rows, read_yaml, yaml_line
from lake.definitions import (
    Axis,
    Clock,
    Column,
    Definitions,
    Flag,
    Instrument,
    Level,
    Limit,
    Mission,
    Packet,
    PacketField,
    Product,
    Table,
)
from lake.errors import DefinitionError
from lake.names import NameRules

OPS_TABLES = Path(__file__).with_name("ops.yaml")
ORIGIN_COLUMNS = ("epoch_tt2000", "time", "quality_flag", "file_sha256", "byte_offset", "sequence_count")
SHARED_COLUMNS = {*ORIGIN_COLUMNS, "day", "packet_bytes", "apid", "sequence_flags"}
FIELD_KINDS = ("uint", "int", "float", "str", "bytes", "fill")


def read_definitions(path: Path) -> Definitions:
    """Everything below missions/, checked. Raises DefinitionError."""
    folders = _folders(path)
    if not folders:
        raise DefinitionError(
            f"{path}: holds no <mission>/mission.yaml. Run from the checkout or set SWXLAKE_MISSIONS."
        )
    shared = _shared_columns(path)
    flags = _read_flags(path / "flags.csv")
    missions = tuple(_read_mission(folder, shared, flags) for folder in folders)
    return Definitions(path=path, missions=missions, ops=_read_ops(shared))


def _folders(path: Path) -> list[Path]:
    """Folders of missions or instruments; those that begin with _ or . are none."""
    return sorted(folder for folder in path.glob("[a-z]*/") if folder.is_dir())


def _read_mission(folder: Path, shared: dict[str, Column], flags: tuple[Flag, ...]) -> Mission:
    file = folder / "mission.yaml"
    values = read_yaml(file)
    names = build_at(NameRules, read_yaml(folder / "names.yaml"), folder / "names.yaml", ())
    _check_name(file, values)
    instruments = [_read_instrument(below, folder.name, shared, flags) for below in _folders(folder)]
    return build_at(Mission, {**values, "names": names, "instruments": instruments}, file, ())


def _check_name(file: Path, values: dict[str, Any]) -> None:
    folder, name = file.parent.name, values.get("name")
    if name != folder:
        line = yaml_line(file, ("name",))
        raise DefinitionError(f"{file} line {line} (name): {name!r} is not the folder's name. Write {folder!r}.")


def _read_instrument(folder: Path, mission: str, shared: dict[str, Column], flags: tuple[Flag, ...]) -> Instrument:
    file = folder / "instrument.yaml"
    values = read_yaml(file)
    _check_name(file, values)
    entries = build_at(_Packets, {"packets": values.pop("packets", {})}, file, ()).packets
    packets = [_read_packet(folder, name, entry) for name, entry in entries.items()]
    _check_packet_files(folder, packets)
    values["flags"] = (*flags, *_read_flags(folder / "flags.csv", flags))
    values["calibrations"] = read_calibrations(folder / "calibration")
    values["packets"] = packets
    clock = build_at(Clock, values.get("clock"), file, ("clock",))
    for packet in packets:
        _check_packet(file, packet, clock)
    reader = TableReader(folder / "tables.yaml", mission, folder.name, shared, values["flags"], packets)
    values["tables"] = reader.read()
    values["products"] = _read_products(folder / "cdf.yaml", values["tables"])
    values["limits"] = _read_limits(folder / "limits.csv", values["tables"])
    instrument = build_at(Instrument, values, file, ())
    _check_calibrations(instrument, folder)
    return instrument


def _check_packet_files(folder: Path, packets: list[Packet]) -> None:
    """A packet file that no one names would look defined and never be decoded."""
    names = {packet.name for packet in packets}
    for path in sorted((folder / "packets").glob("*.csv")):
        if path.stem not in names:
            file = folder / "instrument.yaml"
            raise DefinitionError(f"{path}: {file} names no packet {path.stem}. Add it there, or remove the file.")


def _check_packet(file: Path, packet: Packet, clock: Clock) -> None:
    names = {f.name for f in packet.fields}
    if clock.coarse not in names:
        csv_file = file.parent / "packets" / f"{packet.name}.csv"
        line = yaml_line(file, ("clock", "coarse"))
        raise DefinitionError(
            f"{file} line {line} (clock.coarse): {csv_file} has no field {clock.coarse}. Add it or correct the name."
        )
    for name in packet.identity:
        if name not in names:
            line = yaml_line(file, ("packets", packet.name, "identity"))
            raise DefinitionError(f"{file} line {line} (identity): the packet has no field {name}. Correct the name.")


def _read_packet(folder: Path, name: str, entry: dict[str, Any]) -> Packet:
    path = folder / "packets" / f"{name}.csv"
    numbered = [(number, _read_field(path, number, row)) for number, row in numbered_rows(path)]
    fields = [f for _, f in numbered]
    _check_repeats(path, "name", ((number, f.name) for number, f in numbered))
    for number, f in numbered:
        _check_length(f"{path} row {number} ({f.name})", f, fields[: fields.index(f)])
    bits = sum(f.bits * f.items for f in fields if not f.variable)
    if bits % 8 and all(f.bits % 8 == 0 for f in fields if f.variable):
        number, odd = next((n, f) for n, f in numbered if f.bits % 8)
        where = f"{path} row {number} ({odd.name})"
        raise DefinitionError(
            f"{where}: the fields add up to {bits} bits, no whole bytes. Correct it or add a fill field."
        )
    entry.setdefault("max_bytes", 65542 if any(f.variable for f in fields) else 6 + (bits + 7) // 8)
    keys = ("packets", name)
    return build_at(Packet, {"name": name, "fields": fields, **entry}, folder / "instrument.yaml", keys)


def _check_length(where: str, field: PacketField, before: list[PacketField]) -> None:
    if field.length_field and field.length_field not in [f.name for f in before]:
        raise DefinitionError(
            f"{where}: its length field {field.length_field} does not stand before it. "
            "Name an earlier field, a number or `expand`."
        )
    if field.expand and any(f.expand for f in before):
        raise DefinitionError(f"{where}: a field before it expands. Only one may take the rest of the packet.")


def _read_field(path: Path, number: int, row: dict[str, str]) -> PacketField:
    where = f"{path} row {number}"
    for needed in ("name", "data_type", "bit_length"):
        if not row.get(needed):
            raise DefinitionError(f"{where}: {needed} is missing. Fill in name, data_type and bit_length.")
    name = row["name"].lower()
    match = re.fullmatch(r"([a-z]+)\s*(?:\(\s*([\w\s,]+?)\s*\))?", row["data_type"].lower())
    if match is None or match[1] not in FIELD_KINDS:
        raise DefinitionError(
            f"{where} ({name}): data_type {row['data_type']!r} is unknown. "
            f"Use one of {', '.join(FIELD_KINDS)}, with (n), (n, m), (expand) or (a field's name) for arrays."
        )
    values: dict[str, Any] = {"name": name, "kind": match[1], "bits": _whole_number(where, name, row["bit_length"])}
    values |= _field_shape(match[2])
    values |= {k: row[k] for k in ("unit", "description", "label", "byte_order") if row.get(k)}
    values |= {k: _number(where, name, row[k]) for k in ("valid_min", "valid_max") if row.get(k)}
    if values.get("valid_min", 0) > values.get("valid_max", float("inf")):
        raise DefinitionError(
            f"{where} ({name}): valid_min {values['valid_min']:g} > valid_max {values['valid_max']:g}. "
            "Swap or correct them."
        )
    return build(PacketField, values, f"{where} ({name})")


def _field_shape(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    if text == "expand":
        return {"expand": True}
    sizes = [part.strip() for part in text.split(",")]
    if all(size.isdigit() for size in sizes):
        return {"shape": tuple(int(size) for size in sizes)}
    return {"length_field": text}


def _whole_number(where: str, name: str, text: str) -> int:
    if not re.fullmatch(r"[1-9]\d*", text):
        raise DefinitionError(f"{where} ({name}): bit_length {text!r} is no positive whole number. Correct it.")
    return int(text)


def _number(where: str, name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DefinitionError(f"{where} ({name}): {text!r} is no number. Correct it.") from None


def _read_flags(path: Path, shared: tuple[Flag, ...] = ()) -> tuple[Flag, ...]:
    if not path.exists():
        return ()
    flags = [(number, build(Flag, row, f"{path} row {number}")) for number, row in numbered_rows(path)]
    _check_repeats(path, "name", ((n, flag.name) for n, flag in flags), {flag.name for flag in shared})
    _check_repeats(path, "bit", ((n, str(flag.bit)) for n, flag in flags), {str(flag.bit) for flag in shared})
    return tuple(flag for _, flag in flags)


def _check_repeats(path: Path, what: str, cells: Iterable[tuple[int, str]], taken: Iterable[str] = ()) -> None:
    """No cell of a column may be there twice, or be one of those already taken elsewhere."""
    seen = set(taken)
    for number, cell in cells:
        if cell in seen:
            raise DefinitionError(f"{path} row {number} ({what}): {cell} is taken. Choose another, or remove the row.")
        seen.add(cell)


def _read_limits(path: Path, tables: list[Table]) -> tuple[Limit, ...]:
    if not path.exists():
        return ()
    columns = {(table.name, column.name) for table in tables for column in table.columns}
    limits = []
    for number, row in numbered_rows(path):
        limit = build(Limit, row, f"{path} row {number} ({row.get('column', '')})")
        if (limit.table, limit.column) not in columns:
            raise DefinitionError(
                f"{path} row {number} ({limit.column}): table {limit.table} has no such column. Correct the name."
            )
        limits.append((number, limit))
    _check_repeats(path, "column", ((number, f"{limit.table}.{limit.column}") for number, limit in limits))
    return tuple(limit for _, limit in limits)


def _check_calibrations(instrument: Instrument, folder: Path) -> None:
    known = {c.name for c in instrument.calibrations}
    for table in instrument.tables:
        for name in table.calibrations:
            if name not in known:
                path = folder / "tables.yaml"
                line = yaml_line(path, ("tables", table.name, "calibrations"))
                raise DefinitionError(
                    f"{path} line {line} ({table.name}.calibrations): there is no calibration {name}. "
                    f"Add {folder / 'calibration' / name}_<yyyymmdd>.csv or correct the name."
                )


def _read_products(path: Path, tables: list[Table]) -> tuple[Product, ...]:
    if not path.exists():
        return ()
    entries = build_at(_Products, read_yaml(path), path, ()).products
    return tuple(_read_product(path, name, entry, tables) for name, entry in entries.items())


def _read_product(path: Path, name: str, entry: dict[str, Any], tables: list[Table]) -> Product:
    product = build_at(Product, {"table": name, **entry}, path, ("products", name))
    table = next((table for table in tables if table.name == product.table), None)
    if table is None:
        line = yaml_line(path, ("products", name))
        raise DefinitionError(f"{path} line {line} ({name}): there is no such table. Correct the name.")
    for column in product.omit:
        if column not in table.by_name:
            line = yaml_line(path, ("products", name, "omit"))
            raise DefinitionError(f"{path} line {line} (omit): {name} has no column {column}. Correct the name.")
    return product


def _shared_columns(path: Path) -> dict[str, Column]:
    file = path / "columns.csv"
    columns = [(number, _shared_column(file, number, row)) for number, row in numbered_rows(file)]
    _check_repeats(file, "name", ((number, column.name) for number, column in columns))
    missing = sorted(SHARED_COLUMNS - {column.name for _, column in columns})
    if missing:
        raise DefinitionError(f"{file}: lacks {', '.join(missing)}, which every table needs. Add or rename the row.")
    return {column.name: column for _, column in columns}


def _shared_column(file: Path, number: int, row: dict[str, str]) -> Column:
    values: dict[str, Any] = {k: v for k, v in row.items() if v and k not in ("valid_min", "valid_max")}
    if row.get("valid_min"):
        values["valid"] = (row["valid_min"], row.get("valid_max") or 2**62)
    return build(Column, values, f"{file} row {number} ({row.get('name', '')})")


def _read_ops(shared: dict[str, Column]) -> tuple[Table, ...]:
    return tuple(TableReader(OPS_TABLES, "ops", "ops", shared, (), []).read())


class _Entries(BaseModel):
    """Mappings of mappings, before their entries are read."""

    model_config = ConfigDict(extra="forbid")


class _Packets(_Entries):
    packets: dict[str, dict[str, Any]] = Field(default_factory=dict)


class _Products(_Entries):
    products: dict[str, dict[str, Any]] = Field(default_factory=dict)


class _TableEntry(BaseModel):
    """What refers to something else in an entry of tables.yaml; the rest is checked when the table is made."""

    model_config = ConfigDict(extra="allow")

    columns: list[str | dict[str, Any]] = Field(default_factory=list)
    packet: str | None = None
    inputs: dict[str, str] = Field(default_factory=dict)


class _Tables(_Entries):
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
