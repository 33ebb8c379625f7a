# SPDX-License-Identifier: Apache-2.0
"""The state of the lake at a glance: tables by day with their verdicts, and whatever does not add up."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl

from lake.ledger import read_contents, read_ops, standing_checks
from lake.store import Lake, RawArchive
from swxlake.outcome import Outcome

SHOWN_DAYS = 14


def lake_status(lake: Lake) -> Outcome:
    """Matrix of tables and days, totals of raw files, and problems: unbalanced files, quarantine, failed days."""
    files, quarantine = read_ops(lake, "files"), read_ops(lake, "quarantine")
    outcome = Outcome(facts={"lake": str(lake.root), "files": _totals(files)})
    matrix = _matrix(lake)
    if matrix:
        outcome.tables["table by day (the last days; ok, warn, fail, - none)"] = matrix
    outcome.problems += _unbalanced(files)
    outcome.notes += _unread(lake, files)
    outcome.problems += _failed(lake)
    outcome.notes += _quarantined(quarantine)
    outcome.notes += _missing(read_ops(lake, "gaps"))
    outcome.notes += _alarms(lake)
    outcome.notes += _alerts(lake)
    return outcome


def _totals(files: pl.DataFrame) -> dict[str, int]:
    columns = ("bytes", "bytes_decoded", "bytes_quarantined", "packets", "duplicates")
    return {"raw_files": files.height, **{name: int(files[name].sum()) for name in columns}}


def _unread(lake: Lake, files: pl.DataFrame) -> list[str]:
    """Archived files that the books do not know: ingest has not seen them yet, or tables/ was lost."""
    unread = RawArchive(lake).keys().keys() - set(files["receipt"])
    return [f"{len(unread)} archived raw files are not in ops.files; run `swxlake night`"] if unread else []


def _matrix(lake: Lake) -> list[dict[str, Any]]:
    verdicts = _verdicts(lake)
    days = sorted({day for _, day in verdicts})[-SHOWN_DAYS:]
    rows = []
    for address in lake.definitions.tables:
        words = {day.isoformat(): verdicts.get((address, day), "-") for day in days}
        rows.append({"table": address, **words})
    return rows if days else []


def _verdicts(lake: Lake) -> dict[tuple[str, date], str]:
    """ok, warn or fail by table-day; `unchecked` where nothing has been judged yet; alarms do not count."""
    contents = read_contents(lake)
    verdicts = dict.fromkeys(contents.known, "unchecked")
    ranks = pl.col("severity").replace_strict({"fail": 2, "warn": 1, "info": 0}, return_dtype=pl.Int8)
    worst = standing_checks(lake).with_columns(rank=pl.when(pl.col("passed")).then(0).otherwise(ranks))
    for table, day, rank in worst.group_by("table_name", "day").agg(pl.col("rank").max()).iter_rows():
        if (table, day) in verdicts:
            verdicts[table, day] = ("ok", "warn", "fail")[rank]
    failed = {key: "fail" for key, run in contents.runs.items() if run["status"] == "failed"}
    return verdicts | failed


def _unbalanced(files: pl.DataFrame) -> list[str]:
    """Files whose bytes are not all accounted for. There is none unless the decoder is wrong."""
    odd = files.filter(pl.col("bytes_decoded") + pl.col("bytes_quarantined") != pl.col("bytes"))
    columns = ["name", "bytes", "bytes_decoded", "bytes_quarantined"]
    return [f"{n}: {b} bytes, but {d} decoded and {q} quarantined" for n, b, d, q in odd.select(columns).iter_rows()]


def _quarantined(quarantine: pl.DataFrame) -> list[str]:
    counted = quarantine.group_by("reason").agg(pl.len().alias("count"), pl.col("bytes").sum()).sort("reason")
    return [f"quarantine: {count} x {reason}, {size} bytes" for reason, count, size in counted.iter_rows()]


def _failed(lake: Lake) -> list[str]:
    runs = sorted(read_contents(lake).runs.items())
    failed = [f"{table}@{day}: {run['error']}" for (table, day), run in runs if run["status"] == "failed"]
    broken = (
        standing_checks(lake).filter(~pl.col("passed"), pl.col("severity") == "fail").sort("table_name", "day", "rule")
    )
    rules = broken.select("table_name", "day", "rule").iter_rows()
    return failed + [f"{t}@{d}: {r}; `swxlake check {t}@{d} --rows` lists the rows" for t, d, r in rules]


def _missing(gaps: pl.DataFrame) -> list[str]:
    keys = ["mission", "instrument", "apid"]
    rows = (
        gaps.filter(pl.col("missing") > 0).group_by(keys).agg(pl.len(), pl.col("missing").sum()).sort(keys).iter_rows()
    )
    return [f"{m}/{i} APID {apid}: {missing} packets missing in {count} gaps" for m, i, apid, count, missing in rows]


def _alarms(lake: Lake) -> list[str]:
    alarms = (
        standing_checks(lake).filter(~pl.col("passed"), pl.col("severity") == "info").sort("table_name", "day", "rule")
    )
    columns = ["table_name", "day", "rule", "value"]
    return [f"alarm {t}@{d} {r}: {v:g} values" for t, d, r, v in alarms.select(columns).iter_rows()]


def _alerts(lake: Lake) -> list[str]:
    """A line for all alerts that are not over: how many nobody knows of, and how many are known."""
    alerts = read_ops(lake, "alerts")
    told = [f"{words} {state}" for state in ("open", "acknowledged") if (words := _severities(alerts, state))]
    return [f"alerts: {', '.join(told)}; see `swxlake alerts`"] if told else []


def _severities(alerts: pl.DataFrame, state: str) -> str:
    counts = sorted(alerts.filter(state=state).group_by("severity").len().iter_rows())
    return " and ".join(f"{count} {severity}" for severity, count in counts)
