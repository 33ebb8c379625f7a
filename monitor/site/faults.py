# SPDX-License-Identifier: Apache-2.0
"""The pages of what went wrong: quarantine, late files and passes, rules, products and runs."""

from __future__ import annotations

from collections.abc import Collection, Container
from datetime import date
from typing import Any

import polars as pl

from monitor.site import places, queries
from monitor.site.arrivals import late_files
from monitor.site.descent import versions
from monitor.site.facts import Facts
from monitor.site.figures import Figures, product_days, quarantined_rows
from monitor.site.filters import day as day_word
from monitor.site.filters import duration, number, size, utc
from monitor.site.judged import severity
from monitor.site.page import Page
from monitor.site.sections import SHOWN_ROWS, Cell, amount, bounded, link, mark, record, section, told

BAD_PASSES = ("late", "incomplete", "missing")
NO_QUARANTINE = "Nothing is in quarantine."
SHOWN_RULES = 500
SEVERITIES = {"fail": "fail", "warn": "warn", "info": "quiet"}


def quarantine(facts: Facts, known: Figures) -> Page:
    """What was not decoded, and why."""
    found = quarantined_rows(facts)
    return record(
        places.QUARANTINE,
        "Quarantine",
        [("stretches", number(known.quarantined_stretches)), ("bytes", size(known.quarantined_bytes))],
        [_reasons(found), _stretches(facts, found)],
        lead="Bytes and files that were not decoded: of files of the window and later; those whose name tells no day "
        "go by that of the run. The bytes are kept; nothing is thrown away.",
    )


def _reasons(found: pl.DataFrame) -> dict[str, Any]:
    sums = found.group_by("reason").agg(pl.len(), pl.col("bytes").sum(), pl.col("packets").sum()).sort("reason")
    rows = [[told(reason), *(amount(number(count)) for count in counts)] for reason, *counts in sums.iter_rows()]
    return section("By reason", ("reason", "stretches", "bytes", "packets"), rows, none=NO_QUARANTINE)


def _stretches(facts: Facts, found: pl.DataFrame) -> dict[str, Any]:
    paged = set(facts.ops("files").select("file_sha256", "name").iter_rows())
    rows, more = bounded(found.rows(named=True))
    return section(
        "Stretches",
        ("day", "file", "from byte", "bytes", "packets", "reason", "what was found"),
        [_stretch(row, paged) for row in rows],
        note=more,
        query=queries.quarantine(facts),
        finder="stretches",
        none=NO_QUARANTINE,
    )


def _stretch(row: dict[str, Any], paged: Collection[tuple[str, str]]) -> list[Cell]:
    """A row of the quarantine; a file that was refused at the door has no page."""
    key = (row["file_sha256"], row["name"])
    return [
        day_word(row["day"]),
        link(told(row["name"], 120), places.file(*key) if key in paged else ""),
        amount(number(row["byte_offset"])),
        amount(number(row["bytes"])),
        amount(number(row["packets"])),
        mark(told(row["reason"], 60), "warn"),
        told(row["detail"]),
    ]


def late(facts: Facts, known: Figures) -> Page:
    """Late files, and passes that were late or not complete."""
    passes = bad_passes(facts)
    allowed = ", ".join(f"{number(m.late_after_hours)} h for {m.name}" for m in facts.definitions.missions)
    return record(
        places.LATE,
        "Late files and passes",
        [("late files", number(known.late_files)), ("passes", number(passes.height))],
        [_late_files(facts.once(late_files)), _passes(passes)],
        lead=f"{facts.span} A file is late if it is received more than so long after the end of the day in its name: "
        f"{allowed}.",
    )


def _late_files(found: pl.DataFrame) -> dict[str, Any]:
    shown = found.head(SHOWN_ROWS)
    more = found.height - shown.height
    return section(
        "Late files",
        ("file", "day in its name", "received", "after the end of the day", "size", "status"),
        [_late(row) for row in shown.iter_rows(named=True)],
        note=f"The newest {shown.height} of {number(found.height)}, which the query gives too." if more else "",
        query=queries.late_files(shown["receipt"]),
        finder="late",
        none="No file came late.",
    )


def bad_passes(facts: Facts) -> pl.DataFrame:
    """Passes that were late or are not complete though they were due, the newest first."""
    rows = facts.ops("contacts").filter(pl.col("state").is_in(BAD_PASSES))
    return rows.sort("start_time", "mission", "pass_id", descending=[True, False, False])


def _passes(found: pl.DataFrame) -> dict[str, Any]:
    rows, more = bounded(found.rows(named=True))
    return section(
        "Passes that were late or not complete",
        ("pass", "mission", "station", "began", "due", "state", "files", "what is missing"),
        [_pass(row) for row in rows],
        note=more,
        query=queries.contacts(),
        finder="passes",
        none="All passes that were due are complete, or none is planned.",
    )


def _late(row: dict[str, Any]) -> list[Cell]:
    return [
        link(told(row["name"], 120), places.file(row["file_sha256"], row["name"])),
        day_word(row["day"]),
        {"text": utc(row["received_at"]), "class": "time"},
        {"text": duration(row["late_s"]), "class": "number", "sort": row["late_s"]},
        {"text": size(row["bytes"]), "class": "number", "sort": row["bytes"]},
        told(row["status"]),
    ]


def _pass(row: dict[str, Any]) -> list[Cell]:
    expected = row["files_expected"]
    return [
        told(row["pass_id"], 60),
        row["mission"],
        told(row["station"], 60),
        {"text": utc(row["start_time"]), "class": "time"},
        {"text": utc(row["due_time"]), "class": "time"},
        mark(row["state"], row["state"]),
        amount(f"{number(row['files'])} of {number(expected)}" if expected is not None else number(row["files"])),
        told(row["detail"]),
    ]


def checks(facts: Facts, known: Figures) -> Page:
    """Rules that do not hold now, products that did not pass, runs that failed."""
    return record(
        places.CHECKS,
        "Checks and products",
        [
            ("products that pass", f"{number(known.products_passed)} of {number(known.products)}"),
            ("runs that failed", number(known.failed_runs)),
            *(
                (f"rules of severity {word} that do not hold", number(_severe(facts.broken, word)))
                for word in SEVERITIES
            ),
        ],
        [_products(facts), _runs(facts), _rules(facts)],
        lead=f"{facts.span} A rule of severity fail keeps a day from being exported; warn wants a look.",
    )


def _products(facts: Facts) -> dict[str, Any]:
    rows, more = bounded(facts.once(product_days).filter(~pl.col("passed")).rows(named=True))
    return section(
        "Products that do not pass",
        ("product", "day", "state", "exported", "rules that do not hold"),
        [_product(row, facts.once(versions)) for row in rows],
        note=more,
        query=queries.product_days(facts),
        finder="products",
        none="All products of the window pass: their rules hold and they were exported.",
    )


def _runs(facts: Facts) -> dict[str, Any]:
    failed = [run for run in facts.contents.runs.values() if run["status"] == "failed"]
    rows, more = bounded(sorted(failed, key=lambda run: (run["day"], run["table_name"]), reverse=True))
    return section(
        "Runs that failed",
        ("table", "day", "tried", "why"),
        [_run(row) for row in rows],
        note=more,
        query=queries.failed_runs(),
        finder="failed",
        none="The last run of each table-day is good.",
    )


def _rules(facts: Facts) -> dict[str, Any]:
    worst = pl.col("severity").replace_strict({"fail": 0, "warn": 1, "info": 2}, default=3, return_dtype=pl.Int8)
    order = ["rank", "day", "table_name", "rule"]
    held = facts.broken.with_columns(rank=worst).sort(order, descending=[False, True, False, False])
    rows, more = bounded(held.rows(named=True), SHOWN_RULES)
    return section(
        "Rules that do not hold",
        ("severity", "table", "day", "rule", "value", "what must hold"),
        [_rule(row) for row in rows],
        note=more,
        query=queries.broken(),
        finder="rules",
        none="All rules hold.",
    )


def _severe(rows: pl.DataFrame, severity: str) -> int:
    return rows.filter(severity=severity).height


def _product(row: dict[str, Any], exports: Container[tuple[str, date]]) -> list[Cell]:
    before = (row["product"], row["day"]) in exports
    return [
        link(row["product"], places.table(row["product"])),
        day_word(row["day"]),
        mark(row["state"], row["state"]),
        "yes" if row["exported"] else "no, its rows changed since" if before else "no",
        told(row["broken"]),
    ]


def _run(row: dict[str, Any]) -> list[Cell]:
    return [
        link(row["table_name"], places.table(row["table_name"])),
        day_word(row["day"]),
        {"text": utc(row["started_at"]), "class": "time"},
        told(row["error"]),
    ]


def _rule(row: dict[str, Any]) -> list[Cell]:
    return [
        severity(row),
        link(row["table_name"], places.table(row["table_name"])),
        day_word(row["day"]),
        told(row["rule"], 120),
        amount(number(row["value"])),
        told(row["detail"]),
    ]
