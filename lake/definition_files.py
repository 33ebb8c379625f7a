# SPDX-License-Identifier: Apache-2.0
"""Reading missions/: the CSV and YAML files there, and nothing else, become the nouns of lake/definitions.py.

Every complaint is a DefinitionError that names file, row or line, field, and what to do.
"""

from __future__ import annotations

import hashlib
import re
from datetime import date, datetime
from pathlib import Path
from typing import Any, get_args

import polars as pl

from lake.definition_text import build, build_at, read_rows, read_yaml, yaml_line
from lake.definitions import (
    Axis,
    Calibration,
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
FIELD_KINDS = {"uint": "uint", "int": "int", "float": "float", "str": "str", "bytes": "bytes", "fill": "fill"}


def read_definitions(path: Path) -> Definitions:
    """Everything below missions/, checked. Raises DefinitionError."""
    folders = sorted(p.parent for p in path.glob("[a-z]*/mission.yaml"))
    if not folders:
        raise DefinitionError(f"{path}: holds no <mission>/mission.yaml. Run from the checkout or set SWXLAKE_MISSIONS.")
    shared = _shared_columns(path)
    flags = _read_flags(path / "flags.csv")
    missions = tuple(_read_mission(folder, shared, flags) for folder in folders)
    return Definitions(path=path, missions=missions, ops=_read_ops(shared))


def _read_mission(folder: Path, shared: dict[str, Column], flags: tuple[Flag, ...]) -> Mission:
    file = folder / "mission.yaml"
    values = read_yaml(file)
    names = build_at(NameRules, read_yaml(folder / "names.yaml"), folder / "names.yaml", ())
    instruments = [
        _read_instrument(p.parent, folder.name, shared, flags) for p in sorted(folder.glob("[a-z]*/instrument.yaml"))
    ]
    mission = build_at(Mission, {**values, "names": names, "instruments": instruments}, file, ())
    if mission.name != folder.name:
        raise DefinitionError(f"{file} (name): {mission.name!r} is not the folder's name. Write {folder.name!r}.")
    return mission


def _read_instrument(folder: Path, mission: str, shared: dict[str, Column], flags: tuple[Flag, ...]) -> Instrument:
    file = folder / "instrument.yaml"
    values = read_yaml(file)
    if values.get("name") != folder.name:
        raise DefinitionError(f"{file} (name): {values.get('name')!r} is not the folder's name. Write {folder.name!r}.")
    packets = [_read_packet(folder, name, entry) for name, entry in values.pop("packets", {}).items()]
    values["flags"] = (*flags, *_read_flags(folder / "flags.csv"))
    _check_flags(folder / "flags.csv", values["flags"])
    values["calibrations"] = _read_calibrations(folder / "calibration")
    values["packets"] = packets
    clock = build_at(Clock, values.get("clock") or {}, file, ("clock",))
    for packet in packets:
        _check_packet(file, packet, clock)
    reader = TableReader(folder / "tables.yaml", mission, folder.name, shared, values["flags"], packets)
    values["tables"] = reader.read()
    values["products"] = _read_products(folder / "cdf.yaml", values["tables"])
    values["limits"] = _read_limits(folder / "limits.csv", values["tables"])
    instrument = build_at(Instrument, values, file, ())
    _check_calibrations(instrument, folder)
    return instrument


def _check_packet(file: Path, packet: Packet, clock: Clock) -> None:
    names = {f.name for f in packet.fields}
    if clock.coarse not in names:
        csv_file = file.parent / "packets" / f"{packet.name}.csv"
        raise DefinitionError(f"{csv_file}: has no field {clock.coarse}, the clock's `coarse`. Add it or correct {file}.")
    for name in packet.identity:
        if name not in names:
            line = yaml_line(file, ("packets", packet.name, "identity"))
            raise DefinitionError(f"{file} line {line} (identity): the packet has no field {name}. Correct the name.")


def _read_packet(folder: Path, name: str, entry: dict[str, Any]) -> Packet:
    path = folder / "packets" / f"{name}.csv"
    fields = [_read_field(path, number, row) for number, row in enumerate(read_rows(path), start=2)]
    _check_repeats(path, [f.name for f in fields], "field")
    for number, f in enumerate(fields, start=2):
        if f.length_field and f.length_field not in [g.name for g in fields[: number - 2]]:
            raise DefinitionError(
                f"{path} row {number} ({f.name}): its length field {f.length_field} does not stand before it. "
                "Name an earlier field, a number or `expand`."
            )
    if sum(f.expand for f in fields) > 1:
        raise DefinitionError(f"{path}: two fields expand. Only one field may take the rest of the packet.")
    entry = dict(entry)
    bits = sum(f.bits * f.items for f in fields if not f.variable)
    entry.setdefault("max_bytes", 65542 if any(f.variable for f in fields) else 6 + (bits + 7) // 8)
    keys = ("packets", name)
    return build_at(Packet, {"name": name, "fields": fields, **entry}, folder / "instrument.yaml", keys)


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
            f"{where} ({name}): valid_min {row['valid_min']} > valid_max {row['valid_max']}. Swap or correct them."
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


def _read_flags(path: Path) -> tuple[Flag, ...]:
    if not path.exists():
        return ()
    rows = enumerate(read_rows(path), start=2)
    return tuple(build(Flag, dict(row), f"{path} row {number}") for number, row in rows)


def _check_flags(path: Path, flags: tuple[Flag, ...]) -> None:
    _check_repeats(path, [flag.name for flag in flags], "flag")
    _check_repeats(path, [str(flag.bit) for flag in flags], "bit")


def _check_repeats(path: Path, names: list[str], what: str) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DefinitionError(f"{path}: {what} {', '.join(repeated)} is there twice. Rename or remove one.")


def _read_limits(path: Path, tables: list[Table]) -> tuple[Limit, ...]:
    if not path.exists():
        return ()
    columns = {(table.name, column.name) for table in tables for column in table.columns}
    limits = []
    for number, row in enumerate(read_rows(path), start=2):
        limit = build(Limit, dict(row), f"{path} row {number} ({row.get('column', '')})")
        if (limit.table, limit.column) not in columns:
            raise DefinitionError(
                f"{path} row {number} ({limit.column}): table {limit.table} has no such column. Correct the name."
            )
        limits.append(limit)
    return tuple(limits)


def _read_calibrations(folder: Path) -> tuple[Calibration, ...]:
    return tuple(_read_calibration(path) for path in sorted(folder.glob("*.csv")))


def _read_calibration(path: Path) -> Calibration:
    match = re.fullmatch(r"([a-z][a-z0-9_]*)_(\d{8})", path.stem)
    try:
        valid_from = datetime.strptime(match[2], "%Y%m%d").date() if match else None  # noqa: DTZ007  a plain date
    except ValueError:
        valid_from = None
    if match is None or valid_from is None:
        raise DefinitionError(f"{path}: is not <name>_<yyyymmdd>.csv. Name it after the first day it is valid for.")
    read_rows(path)
    frame = pl.read_csv(path, infer_schema_length=None)
    return Calibration(match[1], valid_from, path, hashlib.sha256(path.read_bytes()).hexdigest(), frame)


def _check_calibrations(instrument: Instrument, folder: Path) -> None:
    known = {c.name for c in instrument.calibrations}
    for table in instrument.tables:
        for name in table.calibrations:
            if name not in known:
                raise DefinitionError(
                    f"{folder / 'tables.yaml'} ({table.name}): there is no calibration {name}. "
                    f"Add {folder / 'calibration' / name}_<yyyymmdd>.csv or correct the name."
                )


def _read_products(path: Path, tables: list[Table]) -> tuple[Product, ...]:
    if not path.exists():
        return ()
    products = []
    for name, entry in read_yaml(path).get("products", {}).items():
        product = build_at(Product, {"table": name, **entry}, path, ("products", name))
        if name not in {table.name for table in tables}:
            line = yaml_line(path, ("products", name))
            raise DefinitionError(f"{path} line {line} ({name}): there is no such table. Correct the name.")
        products.append(product)
    return tuple(products)


def _shared_columns(path: Path) -> dict[str, Column]:
    file = path / "columns.csv"
    columns = [_shared_column(file, number, row) for number, row in enumerate(read_rows(file), start=2)]
    return {column.name: column for column in columns}


def _shared_column(file: Path, number: int, row: dict[str, str]) -> Column:
    values: dict[str, Any] = {k: v for k, v in row.items() if v and k not in ("valid_min", "valid_max")}
    if row["valid_min"]:
        values["valid"] = (row["valid_min"], row["valid_max"] or 2**62)
    return build(Column, values, f"{file} row {number} ({row['name']})")


def _read_ops(shared: dict[str, Column]) -> tuple[Table, ...]:
    return tuple(TableReader(OPS_TABLES, "ops", "ops", shared, (), []).read())


class TableReader:
    """Reads one tables.yaml; plain column names resolve to shared columns, packet fields, then columns of the inputs."""

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
        content = read_yaml(self.path)
        axes = [
            build_at(Axis, {"name": name, **entry}, self.path, ("axes", name))
            for name, entry in (content.get("axes") or {}).items()
        ]
        for name, entry in (content.get("tables") or {}).items():
            self.tables[name] = self._table(name, dict(entry), axes)
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
            "axes": [axis for axis in axes if axis.name in used],
            "flags": self.flags,
        }
        table = build_at(Table, values, self.path, ("tables", name))
        self._check(table)
        return table

    def _level(self, name: str) -> str:
        word = name.removeprefix(f"{self.instrument}_").split("_")[0]
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
            raise DefinitionError(f"{self.path} line {line} (packet): there is no packet {entry['packet']}. Correct it.")
        origin = ["epoch_tt2000", "time", "quality_flag", "file_sha256", "byte_offset", "sequence_count"]
        if entry.get("rows") == "event":
            return [self.shared[c] for c in origin]
        packet = self.packets[entry["packet"]]
        fields = [f for f in packet.fields if f.kind != "fill" and not (packet.unpacker and (f.variable or f.shape))]
        return [self.shared[c] for c in (*origin, "packet_bytes", "apid", "sequence_flags")] + [
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
        _check_repeats(self.path, [f"{table.name}.{n}" for n in names], "column")
        axes = {axis.name for axis in table.axes}
        for index, column in enumerate(table.columns):
            problem = self._column_problem(column, names, axes)
            if problem:
                line = yaml_line(self.path, ("tables", table.name, "columns", index))
                raise DefinitionError(f"{self.path} line {line} ({table.name}.{column.name}): {problem}")
        for name in table.key:
            if name not in names:
                line = yaml_line(self.path, ("tables", table.name, "key"))
                raise DefinitionError(f"{self.path} line {line} (key): there is no column {name}. Correct the name.")

    @staticmethod
    def _column_problem(column: Column, names: list[str], axes: set[str]) -> str | None:
        if column.valid and column.valid[0] > column.valid[1]:
            return f"valid {column.valid[0]:g} > {column.valid[1]:g}. Swap them or correct one."
        if column.uncertainty and column.uncertainty not in names:
            return f"its uncertainty {column.uncertainty} is no column of the table. Correct the name."
        if set(column.axes) - axes:
            return f"axis {', '.join(sorted(set(column.axes) - axes))} is not under `axes`. Add or correct it."
        if column.conversion and not column.source:
            return "has a conversion but no source. Add `source: <input column>`."
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


def validity(calibrations: tuple[Calibration, ...], name: str) -> list[date]:
    """First days of all calibrations of that name, oldest first."""
    return sorted(c.valid_from for c in calibrations if c.name == name)
