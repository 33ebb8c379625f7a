# SPDX-License-Identifier: Apache-2.0
"""A mission of one instrument that measures one number, for tests of the lake and the engine.

`toy.box_l0_tick` holds raw values, `toy.box_l1_tick` multiplies them by the calibration `gain`, `toy.box_ql_mean` has
their mean. The real missions/columns.csv and flags.csv are used.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from textwrap import dedent

import pyarrow as pa

from lake.clock import tt2000_of_day
from lake.config import CHECKOUT
from lake.day_files import day_files
from lake.definition_files import read_definitions
from lake.definitions import Table
from lake.ledger import l0_definition
from lake.reading import arrow_schema, table_id
from lake.store import Lake
from lake.tables import append, append_ops

DAY = date(2024, 9, 16)
L0, L1, QL = "toy.box_l0_tick", "toy.box_l1_tick", "toy.box_ql_mean"

FILES = {
    "toy/mission.yaml": """\
        name: toy
        title: A mission for tests
        valid_time: {start: 2024-01-01, stop: 2050-01-01}
        """,
    "toy/box/instrument.yaml": """\
        name: box
        short_name: box
        title: A box
        description: It measures one number
        status: flying
        clock: {epoch: "2000-01-01T00:00:00", policy: leap, coarse: time_s}
        packets:
          tick: {apids: [7], identity: [time_s]}
        """,
    "toy/box/packets/tick.csv": """\
        name,data_type,bit_length,unit,description,valid_min,valid_max
        time_s,uint,32,s,Seconds since the clock's epoch,,
        value,uint,16,adu,Measured value,,
        """,
    "toy/box/calibration/gain_20240101.csv": """\
        factor
        2
        """,
    "toy/box/tables.yaml": """\
        axes:
          part: {size: 2, first: 0, step: 1, type: int16, description: Part, label: Part}
        tables:
          box_l0_tick:
            title: Ticks
            grain: one row per packet
            packet: tick
          box_l1_tick:
            title: Ticks in volts
            grain: one row per packet
            inputs: {tick: box_l0_tick}
            calibrations: [gain]
            columns:
              - epoch_tt2000
              - {name: voltage_v, type: float64, unit: V, description: Voltage}
              - {name: halves_v, type: float64, unit: V, description: Halves of it, axes: [part]}
          box_ql_mean:
            title: Mean voltage
            grain: one row per day
            inputs: {tick: box_l1_tick}
            columns:
              - {name: voltage_v, type: float64, unit: V, description: Mean voltage, nullable: true}
        """,
}

TRANSFORMS = '''\
"""A box in volts."""
import polars as pl


def l1_tick(table, *, tick, gain):
    """Volts."""
    factor = gain.frame["factor"][0]
    volts = pl.col("value") * float(factor)
    # In time order.
    rows = tick.sort("epoch_tt2000").select("epoch_tt2000", voltage_v=volts)
    return rows.with_columns(halves_v=pl.concat_list(pl.col("voltage_v") / 2, pl.col("voltage_v") / 2))


def ql_mean(table, *, tick):
    return tick.select(pl.col("voltage_v").mean())
'''


def write_missions(folder: Path) -> Path:
    """The toy's definitions as a folder missions/."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    for name in ("columns.csv", "flags.csv"):
        shutil.copy(CHECKOUT / "missions" / name, folder / name)
    names = (CHECKOUT / "missions/padre/names.yaml").read_text()
    names = names.replace("mission: padre", "mission: toy").replace("  meddea: {", "  box: {")
    (folder / "toy/names.yaml").write_text(names)
    return folder


def toy_lake(folder: Path) -> Lake:
    """An empty lake with the toy's definitions; made in folder/missions and folder/lake."""
    missions = folder / "missions"
    if not missions.exists():
        write_missions(missions)
    root = folder / "lake"
    root.mkdir(exist_ok=True)
    return Lake(root, read_definitions(missions))


def open_to_all(folder: Path) -> None:
    """Let another user pass through pytest's own folders above `folder`, which are closed."""
    for above in folder.parents:
        if above.name.startswith(("pytest-", "popen-")):
            above.chmod(0o755)


def table_rows(table: Table, values: Sequence[int], sha: str = "0" * 64, day: date = DAY) -> pa.Table:
    """L0 rows with these values, one each second from midnight."""
    count, start = len(values), tt2000_of_day(day)
    columns = {
        "epoch_tt2000": [start + i * 10**9 for i in range(count)],
        "time": [datetime(day.year, day.month, day.day, tzinfo=UTC)] * count,
        "file_sha256": [sha] * count,
        "value": list(values),
    }
    schema = arrow_schema(table)
    schema = schema.remove(schema.get_field_index("day"))
    return pa.table({name: columns.get(name, [i % 100 for i in range(count)]) for name in schema.names}, schema=schema)


def receive(lake: Lake, name: str, values: Sequence[int], day: date = DAY, run: str | None = None) -> None:
    """What ingest does with a raw file: append its rows to L0 and note it in ops.contents."""
    mission = lake.definitions.mission("toy")
    table, definition = lake.definitions.tables[L0], l0_definition(mission, mission.instrument("box"))
    sha = name.ljust(64, "0")
    with day_files(lake, table, definition) as files:
        files.write(table_rows(table, values, sha, day), day)
        files.close()
        append(lake, files, f"ingest/{sha}")
    row = {"table_name": L0, "day": day, "file_sha256": sha, "rows": len(values), "new_rows": len(values)}
    books = {"definition": definition, "table_id": table_id(lake, table), "run_id": run or f"run-{name}"}
    append_ops(lake, "contents", [row | books])
