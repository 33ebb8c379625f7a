# SPDX-License-Identifier: Apache-2.0
"""Books as nights leave them, for lakes of bench.planning: files, packets, checks, metrics, products, alerts."""

from __future__ import annotations

import hashlib
import json
import struct
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from lake.clock import tt2000_of_day
from lake.day_files import day_files
from lake.definitions import Table
from lake.ledger import read_ops
from lake.reading import arrow_schema, files_by_day, open_table
from lake.store import Lake, name_hash
from lake.tables import append, append_ops
from monitor.envelopes.channels import viewed_tables
from monitor.site.places import SITE, quicklook

RULES = 24  # of a table-day, as missions/ has on the average
METRICS = 70  # of a table-day, likewise
STEP = 600  # seconds between rows of tables with channels
ROWS = 86_400 // STEP
STAGES = ("receive", "ingest", "contacts", "transform", "check", "export", "alerts", "deliver", "forward")
STRETCHES, FAILED_CHECKS, ALERTS = 20, 50, 3  # every so many files, table-days, days has one


def write_books(lake: Lake, days: Sequence[date]) -> None:
    """The books of the nights after these days, in the order of nights."""
    contents = read_ops(lake, "contents").filter(pl.col("day").is_in(days))
    _write_rows(lake, days)
    _write_files(lake, contents)
    _append(lake, "packets", _packets(lake, days))
    _append_checks(lake, days)
    append_ops(lake, "gaps", list(_gaps(lake, days)))
    append_ops(lake, "exports", list(_exports(lake, contents, days)))
    append_ops(lake, "nights", list(_nights(days)))
    for name, rows in _alerts(days).items():
        append_ops(lake, name, rows)


def _run_id(day: date) -> str:
    return f"{day + timedelta(days=1):%Y%m%d}T020000.000000Z-bbbbbb"


def _night(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 2, tzinfo=UTC) + timedelta(days=1)


def _append(lake: Lake, name: str, frame: pl.DataFrame) -> None:
    """Append a frame to an ops table; there are too many rows for a mapping each."""
    table = lake.ops(name)
    wanted = arrow_schema(table)
    rows = frame.select(wanted.names).to_arrow().cast(wanted)
    with day_files(lake, table) as files:
        files.write(rows, None)
        files.close()
        append(lake, files, f"bench/{uuid.uuid4()}")


# ---- rows to plot --------------------------------------------------------------------------------------------------
def _write_rows(lake: Lake, days: Sequence[date]) -> None:
    """Give the files of tables with channels rows; the Delta log goes on to say that they are empty."""
    for table in viewed_tables(lake.definitions):
        files = files_by_day(open_table(lake, table))
        schema = arrow_schema(table, stored=True)
        rows = pa.Table.from_arrays([_column(table, field) for field in schema], schema=schema)
        for day in days:
            path = Path(lake.table_uri(table)) / f"day={day}" / files[day][0]
            path.unlink()  # it was a link to the file of another day
            pq.write_table(_at(rows, day), path)


def _at(rows: pa.Table, day: date) -> pa.Table:
    """The rows with the times of a day."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    times = {
        "time": [midnight + timedelta(seconds=STEP * i) for i in range(ROWS)],
        "epoch_tt2000": [tt2000_of_day(day) + STEP * i * 10**9 for i in range(ROWS)],
    }
    for name, values in times.items():
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, rows.schema.field(place), pa.array(values, rows.schema.field(place).type))
    return rows


def _column(table: Table, field: pa.Field) -> pa.Array:
    """Numbers that rise from 0 to 99 and fall back, in every component of a vector the same."""
    numbers = [i * 7 % 100 for i in range(ROWS)]
    if pa.types.is_list(field.type):
        cells = _cells(table, field.name)
        flat = pa.array([n for n in numbers for _ in range(cells)]).cast(field.type.value_type)
        offsets = pa.array([place * cells for place in range(ROWS + 1)], pa.int32())
        return pa.ListArray.from_arrays(offsets, flat).cast(field.type)
    if pa.types.is_integer(field.type) or pa.types.is_floating(field.type):
        return pa.array(numbers).cast(field.type)
    if pa.types.is_timestamp(field.type) or field.nullable:
        return pa.nulls(ROWS, field.type)
    return pa.array([""] * ROWS).cast(field.type)


def _cells(table: Table, name: str) -> int:
    """Cells of a vector; arrays without components are left empty, for no page of the site reads them."""
    column = table.by_name[name]
    return table.axis(column.axes[0]).size if len(column.axes) == 1 and table.axis(column.axes[0]).labels else 0


# ---- raw files -----------------------------------------------------------------------------------------------------
def _write_files(lake: Lake, contents: pl.DataFrame) -> None:
    """ops.files and ops.quarantine about the files that contributed, and their receipts in the archive."""
    files, quarantine = list[dict[str, Any]](), list[dict[str, Any]]()
    names = contents.with_columns(instrument=pl.col("table_name").str.extract(r"\.(.+?)_l0_"))
    for number, row in enumerate(names.unique("file_sha256", maintain_order=True).iter_rows(named=True)):
        mission = row["table_name"].partition(".")[0]
        files.append(_file(row, mission, number))
        folder = Path(str(lake.root)) / "raw" / mission / row["instrument"] / str(row["day"])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{files[-1]['receipt']}.json").touch()
        if files[-1]["bytes_quarantined"]:
            quarantine.append(_stretch(files[-1], row["day"]))
    append_ops(lake, "files", files)
    append_ops(lake, "quarantine", quarantine)


def _file(row: dict[str, Any], mission: str, number: int) -> dict[str, Any]:
    name = f"{mission}{row['instrument'].upper()}_{row['day']:%y%m%d}{number % 10_000:06d}.dat"
    refused = 512 if number % STRETCHES == 0 else 0
    return {
        "file_sha256": row["file_sha256"],
        "name": name,
        "mission": mission,
        "instrument": row["instrument"],
        "received_at": _night(row["day"]),
        "bytes": 1_000_000,
        "bytes_decoded": 1_000_000 - refused,
        "bytes_quarantined": refused,
        "packets": 1000,
        "duplicates": 0,
        "status": "ingested",
        "reason": "",
        "revision": 1,
        "definition": row["definition"],
        "receipt": f"{row['file_sha256']}-{name_hash(name)}",
        "run_id": _run_id(row["day"]),
    }


def _stretch(file: dict[str, Any], day: date) -> dict[str, Any]:
    same = {name: file[name] for name in ("file_sha256", "name", "mission", "instrument", "run_id")}
    return same | {
        "byte_offset": 1024,
        "bytes": 512,
        "reason": "BAD_CHECKSUM",
        "detail": "its checksum is another one",
        "packets": 1,
        "day": day,
    }


def _apids(lake: Lake) -> Iterator[tuple[str, str, int]]:
    for mission in lake.definitions.missions:
        for instrument in mission.instruments:
            for packet in instrument.packets:
                yield from ((mission.name, instrument.name, apid) for apid in packet.apids)


def _packets(lake: Lake, days: Sequence[date]) -> pl.DataFrame:
    apids = pl.DataFrame(list(_apids(lake)), ["mission", "instrument", "apid"], orient="row")
    rows = apids.join(_frame(days), how="cross")
    missing = (pl.col("day").dt.day() % 5).cast(pl.Int64)
    midnight = pl.col("day").cast(pl.Datetime("us", "UTC"))
    counts = {name: pl.lit(0, pl.Int64) for name in ("duplicates", "restarts", "checksum_failures")}
    return rows.with_columns(
        received=pl.lit(1000, pl.Int64),
        distinct=pl.lit(1000, pl.Int64),
        expected=1000 + missing,
        missing=missing,
        gaps=missing.clip(0, 1),
        longest_gap_s=missing.cast(pl.Float64),
        bytes=pl.lit(1_000_000, pl.Int64),
        first_time=midnight,
        last_time=midnight + timedelta(hours=23),
        **counts,
    )


def _frame(days: Sequence[date]) -> pl.DataFrame:
    return pl.DataFrame({"day": list(days), "run_id": [_run_id(day) for day in days]})


def _gaps(lake: Lake, days: Sequence[date]) -> Iterator[dict[str, Any]]:
    for mission, instrument, apid in _apids(lake):
        for day in days:
            if day.day % 5:
                about = {"mission": mission, "instrument": instrument, "apid": apid, "day": day, "kind": "loss"}
                noon = _night(day) - timedelta(hours=14)
                yield about | {"start_time": noon, "end_time": noon + timedelta(seconds=9), "missing": day.day % 5}


# ---- checks, metrics, products -------------------------------------------------------------------------------------
def _append_checks(lake: Lake, days: Sequence[date]) -> None:
    tables = pl.DataFrame({"table_name": list(lake.definitions.tables)})
    table_days = tables.join(_frame(days), how="cross").with_row_index("number")
    rules = pl.DataFrame({"rule": [f"in_range:column_{i}" for i in range(RULES)], "place": range(RULES)})
    broken = (pl.col("number") % FAILED_CHECKS == 0) & (pl.col("place") == 0)
    checks = table_days.join(rules, how="cross").with_columns(
        severity=pl.lit("warn"),
        passed=~broken,
        value=pl.lit(1.0),
        detail=pl.lit("All values lie within the valid range."),
        content=pl.lit(_sha256("content")),
        rules=pl.lit(_sha256("rules")),
        checked_at=pl.col("day").cast(pl.Datetime("us", "UTC")) + timedelta(hours=26),
    )
    _append(lake, "checks", checks)
    latency = ["latency_p50_s", "latency_p95_s"]
    names = [("", name) for name in latency] + [(f"column_{i}", "mean") for i in range(METRICS - len(latency))]
    metrics = pl.DataFrame(names, {"column_name": pl.String, "metric": pl.String}, orient="row")
    measured = table_days.join(metrics, how="cross").with_columns(
        value=pl.lit(7200.0), content=pl.lit(_sha256("content"))
    )
    _append(lake, "metrics", measured)


def _exports(lake: Lake, contents: pl.DataFrame, days: Sequence[date]) -> Iterator[dict[str, Any]]:
    """A version of each product-day; writes their pictures too."""
    files = read_ops(lake, "files").select("file_sha256", "name", "receipt", "mission", "instrument")
    joined = contents.select("file_sha256", "day").unique(maintain_order=True).join(files, on="file_sha256")
    grouped = joined.group_by("mission", "instrument", "day").agg("name", "receipt").iter_rows()
    raw = {(mission, instrument, day): (names, receipts) for mission, instrument, day, names, receipts in grouped}
    pixel = _pixel()
    for mission in lake.definitions.missions:
        for instrument in mission.instruments:
            for product in instrument.products:
                address = f"{mission.name}.{product.table}"
                for day in days:
                    names, receipts = raw.get((mission.name, instrument.name, day), ([], []))
                    _draw(lake, address, day, pixel)
                    yield _export(address, day, f"exports/{address}/{day:%Y%m%d}_v1.0.0.cdf", names, receipts)


def _export(address: str, day: date, path: str, names: list[str], receipts: list[str]) -> dict[str, Any]:
    calibrations = {f"gain_{i}_20240101": _sha256(str(i)) for i in range(5)}
    packages = dict.fromkeys(("cdflib", "deltalake", "numpy", "polars", "pyarrow", "python"), "1.2.3")
    made_from = {"raw": receipts, "calibrations": calibrations, "packages": packages, "commit": _sha256("commit")[:40]}
    return {
        "product": address,
        "day": day,
        "version": "1.0.0",
        "path": path,
        "bytes": 1_000_000,
        "sha256": _sha256(path),
        "records": ROWS,
        "parents": json.dumps(names),
        "created_at": _night(day),
        "run_id": _run_id(day),
        "status": "published",
        "fingerprint": _sha256(path),
        "code_version": "0.1.0",
        "deliverable": True,
        "made_from": json.dumps(made_from),
        "first_epoch_tt2000": tt2000_of_day(day),
        "last_epoch_tt2000": tt2000_of_day(day) + 86_000 * 10**9,
    }


def _draw(lake: Lake, address: str, day: date, pixel: bytes) -> None:
    path = Path(str(lake.root)) / SITE / quicklook(address, day, "png")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pixel)


def _pixel() -> bytes:
    """A PNG of one gray pixel (ISO/IEC 15948, 11.2)."""
    parts = ((b"IHDR", struct.pack(">2I5B", 1, 1, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0\x80")), (b"IEND", b""))
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


# ---- nights and alerts ---------------------------------------------------------------------------------------------
def _nights(days: Iterable[date]) -> Iterator[dict[str, Any]]:
    for day in days:
        for number, stage in enumerate(STAGES, 1):
            yield {
                "night_id": _run_id(day),
                "number": number,
                "stage": stage,
                "started_at": _night(day) + timedelta(minutes=number),
                "seconds": 60.0,
                "state": "ok",
                "facts": json.dumps({stage: {"done": number}}),
                "notes": "[]",
                "problems": "[]",
                "code_version": "0.1.0",
                "run_id": _run_id(day),
            }


def _alerts(days: Sequence[date]) -> dict[str, list[dict[str, Any]]]:
    """An alert on every third day, resolved but for the last ones, with its events and the anomaly it is about."""
    rows: dict[str, list[dict[str, Any]]] = {"alerts": [], "alert_events": [], "anomalies": []}
    for day in days[::ALERTS]:
        alert_id, noon = _sha256(f"alert {day}")[:12], _night(day) - timedelta(hours=14)
        about = {
            "mission": "padre",
            "instrument": "meddea",
            "table_name": "padre.meddea_l1_housekeeping",
            "column_name": "fp_temp_degc",
            "severity": "yellow",
            "start_time": noon,
            "end_time": noon + timedelta(minutes=3),
            "value": 12.5,
            "baseline": 2.5,
            "plot": "SELECT 1",
            "run_id": _run_id(day),
        }
        told = {"message": "12 degC step for 3 min", "opened_at": _night(day), "changed_at": _night(day)}
        state = "open" if (days[-1] - day).days < 2 * ALERTS else "resolved"
        subject = "padre.meddea_l1_housekeeping fp_temp_degc"
        same = {"alert_id": alert_id, "subject": subject, "rules": "spike", "state": state, "episodes": 1}
        rows["alerts"].append(about | told | same | {"since_time": noon})
        found = {"day": day, "rule": "spike", "ended": True, "score": 41.0, "samples": 3, "detail": told["message"]}
        rows["anomalies"].append(about | found)
        event = {
            "alert_id": alert_id,
            "severity": "yellow",
            "detail": told["message"],
            "by": "",
            "run_id": _run_id(day),
        }
        rows["alert_events"].append(event | {"event": "opened", "at": _night(day)})
    return rows


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
