# SPDX-License-Identifier: Apache-2.0
"""The daily health report: passes, files, packets, housekeeping, alerts, products and latency of one UTC day.

It is made of the books alone, so that the same lake and day give the same bytes, as HTML, as JSON and as CSV.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from html import escape
from pathlib import Path
from typing import Any

import polars as pl

from lake.errors import StorageError
from lake.ledger import read_contents, read_ops, release, standing_checks
from lake.reading import scan
from lake.store import Lake
from quality.report import Section, document, section_html
from swxlake.outcome import Outcome
from swxlake.sql_output import json_value

FORM = "swxlake health report 1"
SHOWN_ROWS = 500  # of each section of the page; JSON and CSV have all
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet takes a text that begins with one for a formula
OWN = ("mission", "instrument", "apid")


@dataclass(frozen=True)
class Part:
    """A part of the report: its key in JSON and CSV, heading, what it is about, and its rows."""

    key: str
    title: str
    about: str
    rows: pl.DataFrame


def write_health_report(lake: Lake, out: Path, day: date | None = None) -> Outcome:
    """Write health_<day>.html, .json and .csv to a folder; without a day, of the newest one with packets or passes.

    Raises StorageError if the folder cannot be written.
    """
    day = newest_day(lake) if day is None else day
    if day is None:
        return Outcome(notes=["there is no day with packets or passes yet; nothing was written"])
    parts = parts_of(lake, day)
    forms = {"html": as_html(lake, day, parts), "json": as_json(day, parts), "csv": as_csv(parts)}
    try:
        out.mkdir(parents=True, exist_ok=True)
        written = [_write(out / f"health_{day}.{form}", text) for form, text in forms.items()]
    except OSError as error:
        raise StorageError(
            f"{error.filename or out}: {error.strerror}. Give --out a folder that can be written."
        ) from None
    counts = {part.key: part.rows.height for part in parts}
    return Outcome(facts={"day": day.isoformat(), "report": counts, "written": [str(path) for path in written]})


def _write(path: Path, text: str) -> Path:
    """Write a file aside and rename it, so that nobody reads half of it."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8", newline="")
    return partial.replace(path)


def newest_day(lake: Lake) -> date | None:
    """The newest UTC day with packets, or with a pass that has begun; None if there is none."""
    packets = scan(lake, lake.ops("packets")).select(pl.col("day").max()).collect().item()
    begun = read_ops(lake, "contacts").filter(pl.col("state") != "planned")["day"].max()
    return max((day for day in (packets, begun) if isinstance(day, date)), default=None)


# ---- forms ---------------------------------------------------------------------------------------------------------
def as_html(lake: Lake, day: date, parts: Sequence[Part]) -> str:
    """The page. It runs no script and asks no host for anything."""
    words = f"Lake {lake.root}, read by swxlake {release()[0]}. All times are UTC."
    body = [f"<p>{escape(words)}</p>", f"<p>{escape(summary(parts))}</p>", *map(_html, parts)]
    return document(f"Health of {day}", body)


def _html(part: Part) -> str:
    rows = tuple(part.rows.head(SHOWN_ROWS).rows())
    return section_html(Section(part.title, part.about, tuple(part.rows.columns), rows, part.rows.height))


def summary(parts: Sequence[Part]) -> str:
    """The day in a sentence."""
    found = {part.key: part.rows for part in parts}
    passes, packets = found["passes"], found["packets"]
    states = ", ".join(f"{count} {state}" for state, count in passes.group_by("state").len().sort("state").iter_rows())
    return (
        f"Passes: {states or 'none'}. Files: {int(found['files']['files'].sum())}. "
        f"Packets: {int(packets['received'].sum())} received, {int(packets['missing'].sum())} missing. "
        f"Limits and rules broken: {found['broken'].height}. Alerts that stand: {found['alerts'].height}."
    )


def as_json(day: date, parts: Sequence[Part]) -> str:
    """One document with all rows."""
    content: dict[str, Any] = {"form": FORM, "day": day.isoformat(), "summary": summary(parts)}
    content |= {part.key: part.rows.to_dicts() for part in parts}
    return json.dumps(content, indent=1, default=json_value, allow_nan=False) + "\n"


def as_csv(parts: Sequence[Part]) -> str:
    """All values in one long table: part, row, column, value. What is null is left out."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("part", "row", "column", "value"))
    for part in parts:
        for number, row in enumerate(part.rows.iter_rows(named=True), 1):
            writer.writerows((part.key, number, name, _cell(value)) for name, value in row.items() if value is not None)
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    return value if isinstance(value, int | float) else json_value(value)


# ---- parts ---------------------------------------------------------------------------------------------------------
def parts_of(lake: Lake, day: date) -> list[Part]:
    """All parts of the report of a day, each in an order of its own facts."""
    checks = standing_checks(lake, pl.col("day") == day)
    metrics = _metrics(lake, day)
    parts = [
        _passes(lake, day),
        _files(lake, day),
        _sources(lake, day),
        _packets(lake, day),
        _gaps(lake, day),
        _housekeeping(lake, metrics, checks),
        _broken(checks),
        _anomalies(lake, day),
        _alerts(lake),
        _products(lake, day, checks),
        _latency(metrics),
    ]
    return [replace(part, rows=_finite(part.rows)) for part in parts]


def _finite(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with null for what is no number: JSON has no word for it."""
    names = [name for name, kind in rows.schema.items() if kind.is_float()]
    return rows.with_columns(pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in names)


def _passes(lake: Lake, day: date) -> Part:
    names = (
        "mission", "pass_id", "station", "start_time", "end_time", "due_time", "state", "files_expected", "files",
        "packets_expected", "packets", "packets_missing", "last_received_at", "detail",
    )  # fmt: skip
    rows = read_ops(lake, "contacts").filter(pl.col("day") == day).sort("start_time", "mission", "pass_id")
    return Part("passes", "Passes", "Contacts that began on the day, as they were last accounted for.", rows[names])


def _files(lake: Lake, day: date) -> Part:
    rows = read_ops(lake, "files").filter(pl.col("received_at").dt.date() == day)
    counted = rows.group_by("mission", "instrument", "status").agg(
        files=pl.len(),
        bytes=pl.col("bytes").sum(),
        bytes_quarantined=pl.col("bytes_quarantined").sum(),
        packets=pl.col("packets").sum(),
        duplicates=pl.col("duplicates").sum(),
    )
    about = "Raw files that arrived on the day, by what became of them."
    return Part("files", "Files received", about, counted.sort("mission", "instrument", "status"))


def _sources(lake: Lake, day: date) -> Part:
    rows = read_ops(lake, "receptions").sort("noted_at", "run_id", maintain_order=True)
    newest = rows.unique(["source", "path"], keep="last").filter(pl.col("noted_at").dt.date() == day)
    counted = newest.group_by("source", "state").agg(files=pl.len()).sort("source", "state")
    return Part("sources", "Sources", "Files of sources whose state changed on the day, by that state.", counted)


def _packets(lake: Lake, day: date) -> Part:
    names = (
        *OWN,
        "received",
        "expected",
        "missing",
        "gaps",
        "duplicates",
        "checksum_failures",
        "longest_gap_s",
        "bytes",
    )
    rows = read_ops(lake, "packets").filter(pl.col("day") == day).sort(OWN)
    return Part(
        "packets", "Packets", "Packets of the day by APID, and what sequence counts tell is missing.", rows[names]
    )


def _gaps(lake: Lake, day: date) -> Part:
    names = (*OWN, "kind", "missing", "sequence_from", "sequence_to", "start_time", "end_time")
    rows = read_ops(lake, "gaps").filter(pl.col("day") == day).sort(*OWN, "end_time", "sequence_from")
    return Part("gaps", "Gaps", "Gaps that end on the day.", rows[names])


def _metrics(lake: Lake, day: date) -> pl.DataFrame:
    """The newest metrics of each table of the day."""
    rows = scan(lake, lake.ops("metrics")).filter(pl.col("day") == day).collect()
    return rows.filter(pl.col("run_id") == pl.col("run_id").max().over("table_name"))


def _housekeeping(lake: Lake, metrics: pl.DataFrame, checks: pl.DataFrame) -> Part:
    """Least, mean and greatest value of each watched channel that has values, with its unit and its broken rules."""
    broken = checks.filter(~pl.col("passed"))
    values = {(table, column, name): value for table, column, name, value in _values(metrics).iter_rows()}
    found = []
    for address, column, unit in _channels(lake):
        own = {name: values.get((address, column, name)) for name in ("min", "mean", "max")}
        if any(value is not None for value in own.values()):
            about = broken.filter(table_name=address).filter(pl.col("rule").str.contains(rf"\b{column}\b"))
            rules = ", ".join(sorted(about["rule"]))
            found.append({"table": address, "channel": column, "unit": unit, **own, "broken": rules})
    schema = dict.fromkeys(("table", "channel", "unit"), pl.String)
    numbers = dict.fromkeys(("min", "mean", "max"), pl.Float64)
    rows = pl.DataFrame(found, {**schema, **numbers, "broken": pl.String})
    return Part("housekeeping", "Housekeeping", "Watched channels: least, mean and greatest value.", rows)


def _values(metrics: pl.DataFrame) -> pl.DataFrame:
    return metrics.select("table_name", "column_name", "metric", "value")


def _channels(lake: Lake) -> list[tuple[str, str, str]]:
    """Address, column and unit of the watched channels, in the order of the definitions."""
    found = []
    for mission in lake.definitions.missions:
        for instrument in mission.instruments:
            for channel in instrument.channels:
                table = lake.definitions.tables[f"{mission.name}.{channel.table}"]
                found.append((table.address, channel.column, table.by_name[channel.column].unit or ""))
    return found


def _broken(checks: pl.DataFrame) -> Part:
    rows = checks.filter(~pl.col("passed")).sort("table_name", "rule")
    named = rows.select("severity", pl.col("table_name").alias("table"), "rule", "value", "detail")
    about = "info: a limit; warn: a person should look; fail: the day is not exported."
    return Part("broken", "Limits and rules that are broken", about, named)


def _anomalies(lake: Lake, day: date) -> Part:
    rows = read_ops(lake, "anomalies").filter(pl.col("day") == day)
    rows = rows.sort("start_time", "table_name", "column_name", "rule").rename({"table_name": "table"})
    names = ("severity", "table", "column_name", "rule", "start_time", "end_time", "value", "baseline", "detail")
    return Part("anomalies", "Anomalies", "Stretches of time in which something was not as usual.", rows[names])


def _alerts(lake: Lake) -> Part:
    rows = read_ops(lake, "alerts").filter(pl.col("state") != "resolved").sort("start_time", "alert_id")
    names = ("alert_id", "severity", "state", "subject", "rules", "start_time", "end_time", "message")
    return Part("alerts", "Alerts that stand", "Open and acknowledged, whenever they began.", rows[names])


def _products(lake: Lake, day: date, checks: pl.DataFrame) -> Part:
    """Products that have data of the day, or were exported for it: their newest version, or why there is none."""
    exports = read_ops(lake, "exports").filter(pl.col("day") == day).sort("run_id", maintain_order=True)
    newest = {row["product"]: row for row in exports.iter_rows(named=True)}
    known = {address for (address, its), _ in read_contents(lake).known.items() if its == day}
    failed = checks.filter(~pl.col("passed"), severity="fail")
    found = []
    for address in _addresses(lake):
        row = newest.get(address)
        if row is None and address not in known:
            continue
        words = ", ".join(sorted(failed.filter(table_name=address)["rule"]))
        state = "exported" if row else "not exported"
        facts = {name: row[name] if row else None for name in ("version", "records", "deliverable", "created_at")}
        found.append({"product": address, "state": state, **facts, "broken": words})
    times = {"created_at": pl.Datetime("us", "UTC")}
    schema = {"product": pl.String, "state": pl.String, "version": pl.String, "records": pl.Int64}
    rows = pl.DataFrame(found, {**schema, "deliverable": pl.Boolean, **times, "broken": pl.String})
    return Part("products", "Products", "Products with data of the day, and their newest version.", rows)


def _addresses(lake: Lake) -> list[str]:
    missions = lake.definitions.missions
    return [f"{m.name}.{product.table}" for m in missions for i in m.instruments for product in i.products]


def _latency(metrics: pl.DataFrame) -> Part:
    """From the time of a row to the arrival of its file."""
    names = {"latency_p50_s": "median_s", "latency_p95_s": "p95_s"}
    found: dict[str, dict[str, Any]] = {}
    for table, _, metric, value in _values(metrics.drop_nulls("value")).iter_rows():
        if metric in names:
            found.setdefault(table, {"table": table})[names[metric]] = value
    schema = {"table": pl.String, "median_s": pl.Float64, "p95_s": pl.Float64}
    rows = pl.DataFrame([found[table] for table in sorted(found)], schema)
    about = "Seconds from the time of the data to the arrival of the file, of watched tables."
    return Part("latency", "Latency", about, rows)
