# SPDX-License-Identifier: Apache-2.0
"""What every instrument below missions/ must be able to do, found there by itself: its packets decode, its tables have
makers, its products keep the rules, and it can be simulated.

So must be what `swxlake new` makes of the template, and of the field table and the XTCE file of the tutorial, and
instruments of records with a `timestamp` as clock and no product.
"""

from __future__ import annotations

import shutil
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest

from exports.istp.structure import compile_product
from ingest.unpack import Ragged, compile_plan, unpack
from lake.clock import NS, day_bounds
from lake.config import CHECKOUT, Settings
from lake.definition_files import read_definitions
from lake.definition_rules import metrics_of
from lake.definitions import Definitions, Instrument, Mission, Table
from lake.ledger import read_ops
from lake.reading import scan
from lake.store import Lake
from simulate.generic.instrument import Generic, packet_types
from simulate.generic.packets import PacketType
from simulate.generic.records import RecordType
from swxlake.doctor_watch import examine_limits
from swxlake.new.instrument import Wanted
from swxlake.new.making import Request, make_instrument
from swxlake.night import run_night
from tests.referees import UNASSIGNED, istp_findings
from transforms.code import transform_of

TUTORIAL = CHECKOUT / "docs" / "tutorial-new-instrument"
WANTED = Wanted(epoch="2000-01-01T00:00:00", checksum="crc16_ccitt", cadence_seconds=8)
CURVES = tuple(TUTORIAL / f"pdu_{kind}.csv" for kind in ("polynomial", "linear", "states"))
NEW = {
    "template/thermo": Request("template", "thermo"),
    "template/pdu": Request("template", "pdu", (TUTORIAL / "hk.csv",), None, CURVES, (1210,), WANTED),
    "template/xpdu": Request("template", "xpdu", xtce=TUTORIAL / "pdu.xml", wanted=WANTED),
}
FORMATS = ("csv", "jsonl", "parquet")
RECORDS = {
    "instrument.yaml": """name: INSTRUMENT
short_name: INSTRUMENT
title: Log
description: Rows that say their own time
status: ground
clock: {epoch: "1970-01-01T00:00:00", policy: posix, coarse: stamp, coarse_ticks_per_second: 1000000}
records:
  rows: {format: FORMAT, cadence_seconds: 0.75}
cdf: {Descriptor: "LOG>Log", Instrument_type: Housekeeping}
""",
    "names.yaml": """short_name: INSTRUMENT
families:
  - {extension: FORMAT, pattern: "{mission}_INSTRUMENT_{time}", time: archive}
""",
    "tables.yaml": """tables:
  INSTRUMENT_l0_rows: {title: Log, grain: one row per line, records: rows, description: All there is}
""",
    "records/rows.csv": """name,type,list,description
stamp,timestamp,,Time of the row
day_of_row,date,,Day of the row
seen,timestamp,true,Times of what was seen
level,float64,,Level
""",
}
REAL = read_definitions(CHECKOUT / "missions")
NAMES = [
    *(f"{m.name}/{i.name}" for m in REAL.missions for i in m.instruments), *NEW,
    *(f"template/log{form}" for form in FORMATS),
]  # fmt: skip
FROM_DEFINITION = [name for name in NAMES if not (CHECKOUT / "simulate" / f"{name}.py").exists()]
DAY, SEED, HOURS = date(2026, 8, 1), 3, 0.05
START, STOP = day_bounds(DAY)[0], day_bounds(DAY)[0] + int(HOURS * 3600) * NS
# L0 tables that nothing is made of, and why.
ENDS_AT_L0 = {"padre.meddea_l0_register": "answers to commands, no series in time"}


@pytest.fixture(scope="session")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> Definitions:
    """Everything below missions/, and what `swxlake new` adds."""
    missions = tmp_path_factory.mktemp("conformance") / "missions"
    shutil.copytree(CHECKOUT / "missions", missions, ignore=shutil.ignore_patterns("_template"))
    notes = [make_instrument(missions, request).notes for request in NEW.values()]
    limits = "limit_low and limit_high of bus_v, board_t are read in the unit of the converted column"
    assert [[note.partition(". ")[0] for note in own] for own in notes] == [[], [f"hk.csv: {limits}"], []]
    for form in FORMATS:
        for name, text in RECORDS.items():
            path = missions / "template" / f"log{form}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("INSTRUMENT", f"log{form}").replace("FORMAT", form))
    return read_definitions(missions)


@pytest.fixture(params=NAMES)
def pair(request: pytest.FixtureRequest, definitions: Definitions) -> tuple[Mission, Instrument]:
    mission, instrument = str(request.param).split("/")
    return definitions.mission(mission), definitions.mission(mission).instrument(instrument)


# ---- definitions ---------------------------------------------------------------------------------------------------
def test_every_field_is_documented(pair: tuple[Mission, Instrument]) -> None:
    _, instrument = pair
    fields = [(p.name, f.name, f.description) for p in instrument.packets for f in p.fields if f.kind != "fill"]
    fields += [(r.name, field.name, field.description) for r in instrument.records for field in r.fields]
    assert [(source, name) for source, name, text in fields if not text.strip()] == []


def test_every_table_of_level_0_is_made_into_another_one_or_has_a_reason(
    definitions: Definitions, pair: tuple[Mission, Instrument]
) -> None:
    mission, instrument = pair
    used = {name for i in mission.instruments for table in i.tables for name in table.inputs.values()}
    sources = {table.packet or table.records for table in instrument.tables if table.name in used}
    left = [
        table.address
        for table in instrument.tables
        if table.level == "l0" and table.name not in used and not table.experimental and not table.description
        and (table.packet or table.records) not in sources and instrument.clock.policy != "none"
    ]  # fmt: skip
    assert [address for address in left if address not in ENDS_AT_L0] == []


def test_every_table_that_is_not_decoded_has_a_maker(pair: tuple[Mission, Instrument]) -> None:
    _, instrument = pair
    assert all(callable(transform_of(table)) for table in instrument.tables if table.inputs)


def test_every_limit_can_be_broken_and_kept(definitions: Definitions) -> None:
    examine_limits(definitions)


def test_every_measured_quantity_that_is_watched_has_a_unit(pair: tuple[Mission, Instrument]) -> None:
    _, instrument = pair
    tables = {table.name: table for table in instrument.tables}
    analog = [tables[c.table].by_name[c.column] for c in instrument.channels if c.kind == "analog"]
    assert [column.name for column in analog if not column.unit] == []


def test_every_product_keeps_the_rules(definitions: Definitions, pair: tuple[Mission, Instrument]) -> None:
    mission, instrument = pair
    for product in instrument.products:
        table = definitions.on_day(definitions.tables[f"{mission.name}.{product.table}"], date.max)
        assumptions = definitions.assumptions(table, date.max)
        assert compile_product(product, table, instrument, mission, assumptions).variables


# ---- packets -------------------------------------------------------------------------------------------------------
def test_packets_made_from_the_definition_are_read_back(pair: tuple[Mission, Instrument]) -> None:
    mission, instrument = pair
    for packet in instrument.packets:
        kind = PacketType(mission, instrument, packet, packet.apids[0], DAY, SEED)
        if kind.problem(STOP) is not None:
            assert packet.unpacker, kind.problem(STOP)
            continue
        index = np.arange(60)
        for number, made in enumerate(kind.packets(index, index)):
            read = unpack(compile_plan(packet), made.data, made.offsets, made.sizes)
            assert not (read.short | read.overflow).any()
            sent = kind.values(index[index % len(kind.layouts) == number], kind.layouts[number])
            assert sent.keys() <= read.columns.keys()
            for name, values in sent.items():
                assert cells(read.columns[name], len(values)) == plain(values), (packet.name, name)


def cells(column: Any, rows: int) -> list[list[Any]]:
    """A decoded column as lists of numbers, or of the bytes of texts and bytes."""
    if isinstance(column, Ragged):
        return [part.tolist() for part in np.split(column.values, column.offsets[1:-1])]
    if column.dtype.kind in "VSUO":
        return [[octet for cell in np.atleast_1d(row) for octet in octets(cell)] for row in column]
    return column.reshape(rows, -1).tolist()  # type: ignore[no-any-return]


def octets(cell: Any) -> bytes:
    return str(cell).encode() if isinstance(cell, str) else bytes(cell)


def plain(values: Any) -> list[list[Any]]:
    return values.tolist()  # type: ignore[no-any-return]


# ---- from raw files to products ------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def night(definitions: Definitions, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with a few minutes of every instrument that has no simulator of its own."""
    folder = tmp_path_factory.mktemp("night")
    for name in FROM_DEFINITION:
        mission = definitions.mission(name.split("/")[0])
        instrument = mission.instrument(name.split("/")[1])
        if can_be_made(mission, instrument):
            Generic(instrument).simulate_day(mission, instrument, DAY, folder / "drop", seed=SEED, hours=HOURS)
    lake = Lake(folder / "lake", definitions)
    run_night(lake, Settings(root=lake.root, settle_seconds=0), folder / "drop")
    return lake


def can_be_made(mission: Mission, instrument: Instrument) -> bool:
    records = [RecordType(mission, instrument, r, DAY, SEED) for r in instrument.records]
    return bool(packet_types(mission, instrument, DAY, SEED, STOP)) or any(
        kind.problem(STOP) is None and kind.file_name() for kind in records
    )


@pytest.fixture(params=FROM_DEFINITION)
def made(request: pytest.FixtureRequest, definitions: Definitions) -> tuple[Mission, Instrument]:
    mission = definitions.mission(str(request.param).split("/")[0])
    instrument = mission.instrument(str(request.param).split("/")[1])
    if not can_be_made(mission, instrument):
        pytest.skip("its definition alone is not enough to simulate it")
    return mission, instrument


def rows_of(lake: Lake, table: Table) -> pl.DataFrame:
    return scan(lake, table).collect()


def test_every_packet_and_row_is_decoded_to_what_was_sent(night: Lake, made: tuple[Mission, Instrument]) -> None:
    mission, instrument = made
    files = read_ops(night, "files").filter(pl.col("mission") == mission.name, pl.col("instrument") == instrument.name)
    assert files.height
    assert files.filter(pl.col("bytes_quarantined") > 0).select("name", "bytes_quarantined").rows() == []
    for kind in packet_types(mission, instrument, DAY, SEED, STOP):
        (table,) = (table for table in instrument.l0_tables(kind.packet.name) if table.rows == "packet")
        rows = rows_of(night, table).filter(pl.col("apid") == kind.apid).sort("file_sha256", "byte_offset")
        index = kind.indices(START, STOP)
        assert rows.height == len(index)
        for number, layout in enumerate(kind.layouts):
            own = np.flatnonzero(index % len(kind.layouts) == number)
            for name, sent in kind.values(index[own], layout).items():
                if sent.dtype.kind in "if" and name in rows.columns:
                    got = [cell if isinstance(cell, list) else [cell] for cell in rows[name].gather(own).to_list()]
                    assert got == sent.tolist(), name
    for records in instrument.records:
        row_type = RecordType(mission, instrument, records, DAY, SEED)
        if row_type.problem(STOP) is None and row_type.file_name() is not None:
            (table,) = instrument.l0_tables(records.name)
            rows = rows_of(night, table).sort("byte_offset")
            sent = row_type.columns(np.arange((STOP - START) // row_type.step))
            assert {name: rows[name].to_list() for name in sent} == sent


def test_level_1_is_there_in_order_of_time_with_a_value_for_every_one_sent(
    night: Lake, made: tuple[Mission, Instrument]
) -> None:
    _, instrument = made
    tables = [table for table in instrument.tables if table.method == "calibrated"]
    for table in tables:
        (source,) = table.inputs.values()
        rows, sent = rows_of(night, table), rows_of(night, night.definitions.tables[f"{table.mission}.{source}"])
        assert rows.height == sent["epoch_tt2000"].n_unique() if table.order == "strict" else rows.height == sent.height
        assert rows["epoch_tt2000"].is_sorted()
        converted = [column.name for column in table.columns if column.conversion]
        assert [name for name in converted if rows[name].null_count()] == []


def test_every_metric_that_rules_and_trends_may_name_is_measured(night: Lake, made: tuple[Mission, Instrument]) -> None:
    _, instrument = made
    measured = read_ops(night, "metrics").select("table_name", "column_name", "metric").unique()
    for table in instrument.tables:
        known = set(measured.filter(pl.col("table_name") == table.address).select("column_name", "metric").rows())
        named = {(column, metric) for column, names in metrics_of(instrument, table).items() for metric in names}
        assert named - known == set() or not known, table.address


def test_a_field_table_and_an_xtce_file_of_one_packet_make_the_same_tables(night: Lake) -> None:
    by_csv, by_xtce = (rows_of(night, night.definitions.tables[f"template.{name}_l1_hk"]) for name in ("pdu", "xpdu"))
    assert by_csv.schema == by_xtce.schema
    assert by_csv["epoch_tt2000"].to_list() == by_xtce["epoch_tt2000"].to_list()
    for name, made_of in (("pdu", by_csv), ("xpdu", by_xtce)):  # of what was sent, both make the same
        sent = rows_of(night, night.definitions.tables[f"template.{name}_l0_hk"]).sort("epoch_tt2000")
        assert made_of["bus_v_v"].to_list() == pytest.approx((sent["bus_v"] * 0.00061).to_list(), rel=1e-12)
        degrees = np.interp(sent["board_t"], [200, 800, 1600, 2800, 3900], [95, 51.3, 24.8, -3.1, -48])
        assert made_of["board_t_degc"].to_list() == pytest.approx(degrees.tolist(), abs=1e-9)


@pytest.mark.oracle
def test_its_products_are_written_and_pass_the_istp_checker(night: Lake, made: tuple[Mission, Instrument]) -> None:
    mission, instrument = made
    of_method = {table.name for table in instrument.tables if table.method == "calibrated"}
    expected = {product.table for product in instrument.products if product.table in of_method}
    exports = read_ops(night, "exports").filter(pl.col("product").str.starts_with(f"{mission.name}.{instrument.name}_"))
    assert {name.partition(".")[2] for name in exports["product"]} >= expected
    if exports.is_empty():
        pytest.skip(f"{mission.name}/{instrument.name} has no product that is made of its definition alone")
    findings = istp_findings(night.root / path for path in exports["path"])  # type: ignore[operator]
    assert {found[1:] for found in findings} <= UNASSIGNED
