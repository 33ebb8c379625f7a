# SPDX-License-Identifier: Apache-2.0
"""Reading missions/: the CSV and YAML files there, and nothing else, become the nouns of lake/definitions.py.

Every complaint is a DefinitionError that names file, row or line, field, and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from lake.definition_axes import check_axes, check_product_axes
from lake.definition_calibrations import read_calibrations
from lake.definition_clocks import clock_of, read_clocks
from lake.definition_order import in_order, read_names
from lake.definition_packets import check_packet, read_packets
from lake.definition_quicklooks import FILE as QUICKLOOK_FILE
from lake.definition_quicklooks import read_quicklooks, read_summary
from lake.definition_records import check_records, read_records
from lake.definition_rules import check_expectations, check_orbits
from lake.definition_tables import SHARED_COLUMNS, Entries, TableReader
from lake.definition_text import build, build_at, check_repeats, numbered_rows, read_yaml, yaml_line
from lake.definition_watch import alarm_limits, check_limits, read_channels, read_limits
from lake.definitions import Calibration, Column, Definitions, Flag, Instrument, Mission, Product, Table
from lake.errors import DefinitionError
from lake.packet_definitions import Clock, Packet
from lake.watch_definitions import Limit
from lake.xtce.reading import Xtce

OPS_TABLES = Path(__file__).with_name("ops.yaml")


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
    folders = in_order(_folders(folder))
    names = read_names(folder, folders)
    _check_name(file, values)
    instruments: list[Instrument] = []
    for below in folders:
        instruments.append(_read_instrument(below, folder.name, shared, flags, instruments))
    summary = read_summary(folder / QUICKLOOK_FILE, instruments)
    values |= {"names": names, "instruments": instruments, "summary": summary}
    mission = build_at(Mission, values, file, ())
    check_orbits(folder, mission)
    return mission


def _check_name(file: Path, values: dict[str, Any]) -> None:
    folder, name = file.parent.name, values.get("name")
    if name != folder:
        line = yaml_line(file, ("name",))
        raise DefinitionError(f"{file} line {line} (name): {name!r} is not the folder's name. Write {folder!r}.")


def _read_instrument(
    folder: Path, mission: str, shared: dict[str, Column], flags: tuple[Flag, ...], before: list[Instrument]
) -> Instrument:
    file = folder / "instrument.yaml"
    values = read_yaml(file)
    _check_name(file, values)
    clocks = read_clocks(file, values.pop("clocks", {}))
    clock = values["clock"] = clock_of(file, ("clock",), values.get("clock"), clocks)
    packets, trees = read_packets(file, values.get("packets"), clocks)
    records = read_records(file, values.get("records"), clocks)
    for packet in packets:
        check_packet(file, packet, packet.clock or clock)
    for record in records:
        check_records(file, record, record.clock or clock)
    _check_fine(file, [source for source in packets if source.clock is None], clock)
    values |= {"packets": packets, "records": records}
    values["flags"] = (*flags, *_read_flags(folder / "flags.csv", flags))
    borrowed = _borrowed(file, values.pop("borrows", {}), before)
    from_xtce = [calibration for tree in trees for calibration in tree.calibrations]
    values["calibrations"] = (*read_calibrations(folder / "calibration"), *from_xtce, *borrowed)
    others = {table.name: table for instrument in before for table in instrument.tables}
    reader = TableReader(
        folder / "tables.yaml", mission, folder.name, shared, values["flags"], (*packets, *records), others
    )
    values["tables"] = reader.read()
    values["products"] = _read_products(folder / "cdf.yaml", values["tables"])
    own = {table.name: table for table in values["tables"]}
    values["quicklooks"] = read_quicklooks(folder / QUICKLOOK_FILE, own)
    values["limits"] = _limits(folder, own, values["calibrations"], trees)
    values["channels"] = read_channels(folder / "channels.csv", own)
    instrument = build_at(Instrument, values, file, ())
    _check_calibrations(instrument, folder)
    check_expectations(folder / "tables.yaml", instrument)
    return instrument


def _check_fine(file: Path, packets: list[Packet], clock: Clock) -> None:
    """A packet may lack the fine field of its clock; where all do, its name is misspelt and times would lose a part."""
    names = {field.name for packet in packets for field in packet.fields}
    if clock.fine and packets and clock.fine not in names:
        line = yaml_line(file, ("clock", "fine"))
        raise DefinitionError(f"{file} line {line} (clock.fine): no packet has a field {clock.fine}. Correct the name.")


def _borrowed(file: Path, borrows: dict[str, list[str]], before: list[Instrument]) -> list[Calibration]:
    """Calibrations of other instruments of the mission, as `borrows: {instrument: [calibration]}` says."""
    found = []
    for name, wanted in build_at(_Borrows, {"borrows": borrows}, file, ()).borrows.items():
        lender = next((instrument for instrument in before if instrument.name == name), None)
        for calibration in wanted:
            files = [c for c in lender.calibrations if c.name == calibration] if lender else []
            if not files:
                line = yaml_line(file, ("borrows", name))
                raise DefinitionError(
                    f"{file} line {line} (borrows): {name} has no calibration {calibration}. Correct the name."
                )
            found += files
    return found


def _limits(
    folder: Path, tables: dict[str, Table], calibrations: Sequence[Calibration], trees: list[Xtce]
) -> tuple[Limit, ...]:
    """The limits of limits.csv, and alarm ranges of XTCE files for the columns that it does not name."""
    own = read_limits(folder / "limits.csv", tables, calibrations)
    known = {(limit.table, limit.column) for _, limit in own}
    alarms = [alarm for tree in trees for alarm in tree.limits]
    told = [(place, x) for place, x in alarm_limits(folder, alarms, tables) if (x.table, x.column) not in known]
    check_limits([*own, *told])
    return tuple(limit for _, limit in (*own, *told))


def _read_flags(path: Path, shared: tuple[Flag, ...] = ()) -> tuple[Flag, ...]:
    if not path.exists():
        return ()
    flags = [(number, build(Flag, row, f"{path} row {number}")) for number, row in numbered_rows(path)]
    check_repeats(path, "name", ((n, flag.name) for n, flag in flags), {flag.name for flag in shared})
    check_repeats(path, "bit", ((n, str(flag.bit)) for n, flag in flags), {str(flag.bit) for flag in shared})
    return tuple(flag for _, flag in flags)


def _check_calibrations(instrument: Instrument, folder: Path) -> None:
    check_axes(instrument)
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
    if table.experimental:
        line = yaml_line(path, ("products", name))
        raise DefinitionError(f"{path} line {line} ({name}): is experimental and no product. Remove it.")
    deltas = {"delta_minus": product.delta_minus, "delta_plus": product.delta_plus}
    named = [("omit", column) for column in product.omit] + [(key, column) for key, column in deltas.items() if column]
    for key, column in named:
        if column not in table.by_name:
            line = yaml_line(path, ("products", name, key))
            raise DefinitionError(f"{path} line {line} ({key}): {name} has no column {column}. Correct the name.")
    check_product_axes(path.parent / "tables.yaml", table, product)
    return product


def _shared_columns(path: Path) -> dict[str, Column]:
    file = path / "columns.csv"
    columns = [(number, _shared_column(file, number, row)) for number, row in numbered_rows(file)]
    check_repeats(file, "name", ((number, column.name) for number, column in columns))
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
    return tuple(TableReader(OPS_TABLES, "ops", "ops", shared, ()).read())


class _Borrows(Entries):
    borrows: dict[str, list[str]] = Field(default_factory=dict)


class _Products(Entries):
    products: dict[str, dict[str, Any]] = Field(default_factory=dict)
