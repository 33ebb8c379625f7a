# SPDX-License-Identifier: Apache-2.0
"""`swxlake report`: what checks, limits, anomalies, alerts and the accounting of packets say of some days, as pages.

`report.html` is written aside and renamed, and `data_docs/` beside it, so that nobody reads half a page.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl

from lake.errors import StorageError
from lake.ledger import read_contents, read_ops, release, standing_checks
from lake.store import Lake
from quality.checks import table_day_rules
from quality.data_docs import write_data_docs
from quality.judge import Case
from quality.report import Report, Section, Verdict, page
from swxlake.outcome import Outcome

SHOWN_DAYS = 31  # of a matrix that is still read without scrolling far
SHOWN_ROWS = 500  # of each section
RANKS: dict[str, Verdict] = {"fail": "fail", "warn": "warn", "info": "info"}
ORDER: tuple[Verdict, ...] = ("ok", "info", "warn", "fail")


def write_report(lake: Lake, out: Path, days: set[date] | None, now: datetime, data_docs: bool = True) -> Outcome:
    """Write the report of some days, or of the last month of data, to a folder.

    Raises StorageError if the folder cannot be written.
    """
    checks = standing_checks(lake)
    told = _days(lake, days)
    report = _report(lake, checks.filter(pl.col("day").is_in(told)), told, now)
    try:
        out.mkdir(parents=True, exist_ok=True)
        _write(out / "report.html", page(report))
        if data_docs:
            _write_docs(lake, checks.filter(pl.col("day").is_in(told)), out)
    except OSError as error:
        raise StorageError(
            f"{error.filename or out}: {error.strerror}. Give --out a folder that can be written."
        ) from None
    broken = checks.filter(pl.col("day").is_in(told), ~pl.col("passed"))
    facts = {"days": len(told), "tables": len(report.tables), "broken_rules": broken.height}
    written = [str(out / "report.html"), *([str(out / "data_docs" / "index.html")] if data_docs else [])]
    return Outcome(facts={"report": facts, "written": written})


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _write_docs(lake: Lake, checks: pl.DataFrame, out: Path) -> None:
    """Great Expectations' pages, made in a folder aside, in place of those that were there."""
    aside, target, old = out / ".data_docs.partial", out / "data_docs", out / ".data_docs.old"
    for left_over in (aside, old):
        shutil.rmtree(left_over, ignore_errors=True)
    write_data_docs(list(_cases(lake, checks)), aside)
    if target.exists():
        target.rename(old)
    aside.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def _cases(lake: Lake, checks: pl.DataFrame) -> Iterator[Case]:
    """The standing checks as their judge was given them, of the rules that there are now."""
    for address, table in lake.definitions.tables.items():
        own = checks.filter(pl.col("table_name") == address)
        rules = {rule.name: rule for rule in table_day_rules(lake.definitions, table)}
        known = own.filter(pl.col("rule").is_in(list(rules)))
        metrics = known.select("day", column_name=pl.lit(""), metric="rule", value="value")
        present = tuple(rules[name] for name in rules if name in set(known["rule"]))
        if present:
            yield Case(table, present, metrics)


# ---- what is told --------------------------------------------------------------------------------------------------
def _days(lake: Lake, days: set[date] | None) -> list[date]:
    """The days asked for that have data; without any asked for, the last month of data."""
    known = sorted({day for _, day in read_contents(lake).known})
    if days is not None:
        return [day for day in known if day in days]
    first = known[-1] - timedelta(days=SHOWN_DAYS - 1) if known else date.min
    return [day for day in known if day >= first]


def _report(lake: Lake, checks: pl.DataFrame, days: list[date], now: datetime) -> Report:
    verdicts = _verdicts(lake, checks, days)
    tables = tuple(address for address in lake.definitions.tables if any(table == address for table, _ in verdicts))
    broken = checks.filter(~pl.col("passed"))
    rules = broken.filter(pl.col("severity") != "info")
    sections = (
        _checks("Rules that do not hold", "fail keeps a day from being exported, warn asks a person to look.", rules),
        _checks("Limits that are broken", "Limits are shown and stop nothing.", broken.filter(severity="info")),
        _anomalies(lake, days),
        _alerts(lake, days),
        _packets(lake, days),
    )
    made = f"Made {now:%Y-%m-%d %H:%M:%S} UTC by swxlake {release()[0]}."
    return Report(str(lake.root), made, tuple(days), tables, verdicts, sections)


def _verdicts(lake: Lake, checks: pl.DataFrame, days: list[date]) -> dict[tuple[str, date], Verdict]:
    """The worst verdict of each table-day; failed where it could not be built."""
    contents, wanted = read_contents(lake), set(days)
    found: dict[tuple[str, date], Verdict] = {key: "unchecked" for key in contents.known if key[1] in wanted}
    for table, day, severity, passed in checks.select("table_name", "day", "severity", "passed").iter_rows():
        if (table, day) in found:
            told, word = found[table, day], "ok" if passed else RANKS[severity]
            found[table, day] = max(told, word, key=ORDER.index) if told in ORDER else word
    failed = (key for key, run in contents.runs.items() if run["status"] == "failed" and key[1] in wanted)
    return found | dict.fromkeys(failed, "failed")


def _section(title: str, about: str, frame: pl.DataFrame, columns: Iterable[str]) -> Section:
    chosen = frame.select(*columns)
    return Section(title, about, tuple(chosen.columns), tuple(chosen.head(SHOWN_ROWS).rows()), chosen.height)


def _checks(title: str, about: str, broken: pl.DataFrame) -> Section:
    ranks = pl.col("severity").replace_strict({"fail": 0, "warn": 1, "info": 2}, return_dtype=pl.Int8)
    place = pl.concat_str("table_name", pl.lit("@"), pl.col("day").cast(pl.String))
    command = pl.concat_str(pl.lit("swxlake check "), place, pl.lit(" --rows --rule "), "rule")
    rows = broken.sort(ranks, "table_name", "day", "rule").with_columns(
        table=pl.col("table_name"), expected=pl.col("detail").str.strip_prefix("Expected: "), command=command
    )
    return _section(title, about, rows, ("severity", "table", "day", "rule", "value", "expected", "command"))


def _anomalies(lake: Lake, days: list[date]) -> Section:
    rows = read_ops(lake, "anomalies").filter(pl.col("day").is_in(days))
    rows = rows.sort("start_time", "table_name", "column_name", "rule").rename({"table_name": "table"})
    about = "Stretches of time in which a channel, or a table, was not as usual."
    names = (
        "severity",
        "table",
        "column_name",
        "rule",
        "start_time",
        "end_time",
        "value",
        "baseline",
        "score",
        "detail",
    )
    return _section("Anomalies", about, rows, names)


def _alerts(lake: Lake, days: list[date]) -> Section:
    """Alerts that stand, and those that were about the days."""
    rows = read_ops(lake, "alerts")
    about_days = pl.col("start_time").dt.date().is_in(days) | pl.col("end_time").dt.date().is_in(days)
    rows = rows.filter((pl.col("state") != "resolved") | about_days).sort("start_time", "alert_id")
    names = (
        "alert_id",
        "severity",
        "state",
        "subject",
        "rules",
        "start_time",
        "end_time",
        "message",
        "acknowledged_by",
    )
    return _section("Alerts", "Those that stand now, and those of these days.", rows, names)


def _packets(lake: Lake, days: list[date]) -> Section:
    rows = read_ops(lake, "packets").filter(pl.col("day").is_in(days)).sort("mission", "instrument", "apid", "day")
    about = "What was received, and what the sequence counts tell is missing; `swxlake gaps` lists the gaps."
    names = (
        "mission", "instrument", "apid", "day", "received", "expected", "missing", "gaps", "duplicates",
        "checksum_failures", "bytes",
    )  # fmt: skip
    return _section("Accounting of packets", about, rows, names)
