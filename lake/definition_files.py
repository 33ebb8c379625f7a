# SPDX-License-Identifier: Apache-2.0
"""Reading missions/: the CSV and YAML files there, and nothing else, become the nouns of lake/definitions.py.

Every complaint is a DefinitionError that names file, row or line, field, and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field

from lake.definition_calibrations import read_calibrations
from lake.definition_tables import SHARED_COLUMNS, Entries, TableReader
from lake.definition_text import build, build_at, numbered_rows, read_yaml, yaml_line
from lake.definitions import Column, Definitions, Flag, Instrument, Limit, Mission, Product, Table
from lake.errors import CalibrationError, DefinitionError
from lake.names import NameRules
from lake.packet_definitions import Clock, Packet, PacketField

OPS_TABLES = Path(__file__).with_name("ops.yaml")
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
    clock = values["clock"] = _read_clock(file, values)
    for packet in packets:
        _check_packet(file, packet, clock)
    reader = TableReader(folder / "tables.yaml", mission, folder.name, shared, values["flags"], packets)
    values["tables"] = reader.read()
    values["products"] = _read_products(folder / "cdf.yaml", values["tables"])
    values["limits"] = _read_limits(folder / "limits.csv", values["tables"])
    instrument = build_at(Instrument, values, file, ())
    _check_calibrations(instrument, folder)
    return instrument


def _read_clock(file: Path, values: dict[str, Any]) -> Clock:
    """The entry `clock`, or, where that is a name, the one of that name under `clocks`."""
    clocks, clock = values.pop("clocks", {}), values.get("clock")
    if not isinstance(clock, str):
        return build_at(Clock, clock, file, ("clock",))
    if clock not in clocks:
        line = yaml_line(file, ("clock",))
        raise DefinitionError(f"{file} line {line} (clock): there is no {clock} under clocks. Add or correct it.")
    return build_at(Clock, clocks[clock], file, ("clocks", clock))


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
    if packet.checksum in ("byte_sum", "fletcher255") and not _ends_in_checksum(packet):
        line = yaml_line(file, ("packets", packet.name, "checksum"))
        raise DefinitionError(
            f"{file} line {line} (checksum): {packet.checksum} needs a last field of 16 bits, and checksum_first_byte "
            "before it. Correct the packet's CSV or the number."
        )
    for name in packet.identity:
        if name not in names:
            line = yaml_line(file, ("packets", packet.name, "identity"))
            raise DefinitionError(f"{file} line {line} (identity): the packet has no field {name}. Correct the name.")


def _ends_in_checksum(packet: Packet) -> bool:
    last = packet.fields[-1]
    alone = last.kind == "uint" and last.bits == 16 and last.items == 1 and not last.variable
    return alone and packet.checksum_first_byte < packet.min_bytes - 2


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
    _check_axes(instrument)
    known = {c.name for c in instrument.calibrations}
    for table in instrument.tables:
        for name in (*table.calibrations, *table.axis_calibrations):
            if name not in known:
                path = folder / "tables.yaml"
                line = yaml_line(path, ("tables", table.name, "calibrations"))
                raise DefinitionError(
                    f"{path} line {line} ({table.name}): there is no calibration {name}. "
                    f"Add {folder / 'calibration' / name}_<yyyymmdd>.csv or correct the name."
                )


def _check_axes(instrument: Instrument) -> None:
    """Every file that gives an axis its values must fit it, whatever day it is valid from."""
    axes = {axis.name: axis for table in instrument.tables for axis in table.axes if axis.calibration}
    for axis in axes.values():
        for calibration in instrument.calibrations:
            if calibration.name == axis.calibration:
                try:
                    axis.resolved(calibration)
                except CalibrationError as error:
                    raise DefinitionError(str(error)) from None


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
    deltas = {"delta_minus": product.delta_minus, "delta_plus": product.delta_plus}
    named = [("omit", column) for column in product.omit] + [(key, column) for key, column in deltas.items() if column]
    for key, column in named:
        if column not in table.by_name:
            line = yaml_line(path, ("products", name, key))
            raise DefinitionError(f"{path} line {line} ({key}): {name} has no column {column}. Correct the name.")
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


class _Packets(Entries):
    packets: dict[str, dict[str, Any]] = Field(default_factory=dict)


class _Products(Entries):
    products: dict[str, dict[str, Any]] = Field(default_factory=dict)
