# SPDX-License-Identifier: Apache-2.0
"""The front page: whether all is well, in five seconds, and from there to what is not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

import polars as pl

from monitor.site import places
from monitor.site.arrivals import late_files
from monitor.site.calendars import calendar
from monitor.site.facts import Facts
from monitor.site.faults import bad_passes
from monitor.site.figures import Night, Stage, figures, product_days
from monitor.site.filters import day as day_word
from monitor.site.filters import duration, number, utc
from monitor.site.matrix import RANKS, noteworthy, other_months
from monitor.site.page import Page
from monitor.site.sections import Cell, amount, link, mark, told
from monitor.site.states import states
from monitor.site.verdict import five, verdict

SHOWN = 6  # of each list: what is more is a click away, and the page stays one that is seen at a glance
SHOWN_PRODUCTS = 10
SHOWN_PROBLEMS = 8
SHOWN_NOTES = 20
LISTED = {
    "failed": ("Failed runs", "failed run"),
    "missing": ("Missing table-days", "missing table-day"),
    "withheld": ("Kept back by checks", "kept back export"),
    "stale": ("Stale table-days", "stale table-day"),
}
COUNTED = re.compile("[a-z][a-z_]{0,39}")  # names of counts that are words


def parts(facts: Facts) -> Iterator[Page]:
    """The overview."""
    known = figures(facts)
    lists = _lists(facts)
    about = {
        "title": "Are we fine?",
        "lake": facts.name,
        "verdict": verdict(facts, known, lists),
        "span": facts.span,
        "figures": five(facts, known),
        "night": _night(known.last_night),
        "alerts": _alerts(facts),
        "acknowledged": known.acknowledged_alerts,
        "lists": [found for found in lists if found["count"]],
        "calendar": calendar(facts),
        "products": _products(facts),
        "newest": _newest(facts),
    }
    yield Page(places.INDEX, "overview.html", about)


# ---- night and alerts ----------------------------------------------------------------------------------------------
def _night(night: Night | None) -> dict[str, Any] | None:
    if night is None:
        return None
    problems = [(stage.name, told(text)) for stage in night.stages for text in stage.problems]
    notes = [(stage.name, told(text)) for stage in night.stages for text in stage.notes]
    return {
        "id": night.id,
        "state": night.state,
        "started_at": utc(night.started_at, "%Y-%m-%d %H:%M"),
        "seconds": duration(night.seconds),
        "stages": [_stage(stage) for stage in night.stages],
        "problems": problems[:SHOWN_PROBLEMS],
        "more": max(0, len(problems) - SHOWN_PROBLEMS),
        "notes": notes[:SHOWN_NOTES],
        "all_notes": len(notes),
    }


def _stage(stage: Stage) -> list[Cell]:
    return [
        stage.name,
        mark(stage.state, stage.state),
        done(stage.name, stage.facts),
        {"text": duration(round(stage.seconds, 1)), "class": "number", "sort": stage.seconds},
        {"text": utc(stage.started_at, "%H:%M:%S"), "class": "time"},
    ]


def done(stage: str, facts: Mapping[str, object]) -> str:
    """What a stage did, in words: its counts that are not 0; those of another part of the program with its name."""
    found = {name: inner for name, inner in facts.items() if isinstance(inner, dict)}
    plain = {name: value for name, value in facts.items() if name not in found}
    words = [(name, _counts(inner)) for name, inner in {stage: plain, **found}.items()]
    return "; ".join(text if name == stage else f"{told(name, 40)}: {text}" for name, text in words if text) or "-"


def _counts(found: Mapping[str, object]) -> str:
    counts = [(key, value) for key, value in found.items() if type(value) is int and value and COUNTED.fullmatch(key)]
    return ", ".join(f"{number(value)} {key.replace('_', ' ')}" for key, value in counts)


def _alerts(facts: Facts) -> list[dict[str, Any]]:
    """Open alerts, the worst first, with where each has its page."""
    rows = facts.ops("alerts").filter(state="open").with_columns(calm=pl.col("severity") != "red")
    rows = rows.sort("calm", "since_time", "alert_id", descending=[False, True, False])
    return [
        {
            "severity": row["severity"],
            "subject": told(row["subject"], 120),
            "message": told(row["message"], 300),
            "since": utc(row["since_time"], "%Y-%m-%d %H:%M"),
            "to": places.alert(row["alert_id"]),
        }
        for row in rows.iter_rows(named=True)
    ]


# ---- what wants a look ---------------------------------------------------------------------------------------------
def _lists(facts: Facts) -> list[dict[str, Any]]:
    """Table-days by what is the matter with them, late files and passes: the first few of each, and where all are."""
    found = noteworthy(facts.once(states))
    days = [_table_days(word, title, one, found[word]) for word, (title, one) in LISTED.items()]
    return [*days, _late_files(facts), _passes(facts), _future(facts)]


def _table_days(word: str, title: str, one: str, found: list[tuple[str, str, date, str]]) -> dict[str, Any]:
    rows = [
        _item(f"{address} {day_word(day)}", places.table(address), told(why, 200) if why else "")
        for _, address, day, why in found[:SHOWN]
    ]
    return _list(word, title, (one, ""), RANKS[word], len(found), rows, f"{places.MATRIX}#look")


def _late_files(facts: Facts) -> dict[str, Any]:
    late = facts.once(late_files)
    rows = [
        _item(
            told(row["name"], 100),
            places.file(row["file_sha256"], row["name"]),
            f"received {utc(row['received_at'], '%Y-%m-%d %H:%M')}, {duration(row['late_s'])} after its day",
        )
        for row in late.head(SHOWN).iter_rows(named=True)
    ]
    return _list("late", "Late files", ("late file", ""), "warn", late.height, rows, f"{places.LATE}#late")


def _passes(facts: Facts) -> dict[str, Any]:
    bad = facts.in_window(bad_passes(facts)) if facts.window else bad_passes(facts)
    rows = [
        _item(f"{row['mission']} {told(row['pass_id'], 60)}", f"{places.LATE}#passes", row["state"])
        for row in bad.head(SHOWN).iter_rows(named=True)
    ]
    words = ("pass late or not complete", "passes late or not complete")
    return _list("passes", "Passes", words, "warn", bad.height, rows, f"{places.LATE}#passes")


def _future(facts: Facts) -> dict[str, Any]:
    """Days that are not yet and have data; their table-days are in the matrix of their months."""
    months = other_months(facts)
    rows = [
        _item(
            day_word(day),
            places.matrix(f"{day:%Y-%m}") if day.replace(day=1) in months else places.COMPLETENESS,
            "a clock, or a packet, was wrong",
        )
        for day in facts.future[:SHOWN]
    ]
    words = ("day of the future has data", "days of the future have data")
    return _list("future", "Days of the future", words, "warn", len(facts.future), rows, places.MATRIX)


def _item(text: str, to: str, why: str) -> dict[str, str]:
    return {"text": text, "to": to, "why": why}


def _list(
    word: str, title: str, words: tuple[str, str], state: str, count: int, rows: list[dict[str, str]], to: str
) -> dict[str, Any]:
    return {"id": word, "title": title, "words": words, "state": state, "count": count, "rows": rows, "to": to}


# ---- products and newest data --------------------------------------------------------------------------------------
def _products(facts: Facts) -> list[list[Cell]]:
    """The last exported product-days."""
    rows = facts.ops("exports").sort("created_at", "product", "day", descending=True)
    rows = rows.unique(["product", "day"], keep="first", maintain_order=True).head(SHOWN_PRODUCTS)
    passed = set(facts.once(product_days).filter("passed").select("product", "day").iter_rows())
    return [
        [
            link(row["product"], places.product(row["product"], row["day"])),
            day_word(row["day"]),
            row["version"],
            amount(number(row["records"])),
            mark("passed", "ok") if (row["product"], row["day"]) in passed else mark("exported", "none"),
            {"text": utc(row["created_at"], "%Y-%m-%d %H:%M"), "class": "time"},
        ]
        for row in rows.iter_rows(named=True)
    ]


def _newest(facts: Facts) -> list[tuple[str, str]]:
    """Until when there are packets of each mission, and how long ago that is."""
    known = facts.ops("packets").filter(pl.col("day") <= facts.latest)
    rows = known.group_by("mission").agg(pl.col("last_time").max()).sort("mission").iter_rows()
    return [(f"newest packet of {mission}", _ago(last, facts.now)) for mission, last in rows if last]


def _ago(last: datetime, now: datetime) -> str:
    return f"{utc(last, '%Y-%m-%d %H:%M')}, {duration(max(0.0, (now - last).total_seconds()))} ago"
