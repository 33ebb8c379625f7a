# SPDX-License-Identifier: Apache-2.0
"""The pages behind the numbers of the front page: the rows that each is counted from, and the SELECT for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from monitor.site import places, queries
from monitor.site.calendars import calendar
from monitor.site.facts import Facts
from monitor.site.faults import checks, late, quarantine
from monitor.site.figures import Figures, Night, figures, nights, silence
from monitor.site.filters import day as day_word
from monitor.site.filters import duration, number, share, utc
from monitor.site.latency import latency
from monitor.site.page import Page
from monitor.site.sections import Cell, amount, bounded, link, mark, record, section, told

SHOWN_NIGHTS = 60


def parts(facts: Facts) -> Iterator[Page]:
    """Completeness, latency, quarantine, late files and passes, checks and products, nights."""
    known = figures(facts)
    yield completeness(facts, known)
    yield latency(facts, known)
    yield quarantine(facts, known)
    yield late(facts, known)
    yield checks(facts, known)
    yield all_nights(facts)


def completeness(facts: Facts, known: Figures) -> Page:
    """Received and expected packets by APID, the calendar, and gaps."""
    return record(
        places.COMPLETENESS,
        "Completeness",
        [
            ("received", number(known.received)),
            ("expected", number(known.expected)),
            ("share", share(known.completeness)),
            ("unaccounted for", number(known.packets_missing)),
            ("silent days", number(known.silent_days)),
        ],
        [_apids(facts), _gaps(facts)],
        lead=f"{facts.span} Expected are the packets received, each once, and those missing by their sequence counts. "
        "What an APID lacks on a silent day, one without packets between days with some, they do not tell.",
        template="completeness.html",
        calendar=calendar(facts),
    )


def _apids(facts: Facts) -> dict[str, Any]:
    packets, keys = facts.in_window(facts.ops("packets")), ["mission", "instrument", "apid"]
    sums = pl.col("distinct", "expected", "missing", "gaps").sum()
    counts = packets.group_by(keys).agg(sums, pl.col("longest_gap_s").max(), days=pl.len())
    counts = counts.join(silence(packets), on=keys, how="left").sort(keys)
    heads = ("instrument", "APID", "days", "silent days", "received", "expected", "share", "missing", "gaps")
    return section(
        "By APID",
        (*heads, "longest gap"),
        [_packets(row) for row in counts.iter_rows(named=True)],
        query=queries.packets(facts),
        finder="apids",
        none="No packets yet.",
    )


def _gaps(facts: Facts) -> dict[str, Any]:
    lost = facts.in_window(facts.ops("gaps").filter(pl.col("missing") > 0))
    order = ["day", "end_time", "mission", "instrument", "apid"]
    listed = lost.sort(order, descending=[True, True, False, False, False], nulls_last=True)
    rows, more = bounded(listed.rows(named=True))
    return section(
        "Gaps",
        ("day", "instrument", "APID", "kind", "last before", "first after", "packets missing"),
        [_gap(row) for row in rows],
        note=more,
        query=queries.gaps(facts),
        finder="gaps",
        none="No packet is missing.",
    )


def _packets(row: dict[str, Any]) -> list[Cell]:
    received, expected, silent = row["distinct"], row["expected"], row["silent_days"] or 0
    word = "warn" if silent or received < expected else "ok"
    came = share(received / expected if expected else None)
    return [
        link(f"{row['mission']} {row['instrument']}", places.instrument(row["mission"], row["instrument"])),
        amount(str(row["apid"])),
        amount(number(row["days"])),
        amount(number(silent)),
        amount(number(received)),
        amount(number(expected)),
        {"text": f"< {came}" if silent else came, "state": word, "class": "number"},
        amount(number(row["missing"])),
        amount(number(row["gaps"])),
        {"text": duration(row["longest_gap_s"]), "class": "number", "sort": row["longest_gap_s"] or 0},
    ]


def _gap(row: dict[str, Any]) -> list[Cell]:
    return [
        day_word(row["day"]),
        f"{row['mission']} {row['instrument']}",
        amount(str(row["apid"])),
        told(row["kind"]),
        {"text": utc(row["start_time"]), "class": "time"},
        {"text": utc(row["end_time"]), "class": "time"},
        amount(number(row["missing"])),
    ]


def all_nights(facts: Facts) -> Page:
    """The last nights by stage, and what they found."""
    found = nights(facts, SHOWN_NIGHTS)
    remarks, more = bounded([row for night in found for row in _remarks(night)])
    return record(
        places.NIGHTS,
        "Nights",
        [("nights shown", number(len(found))), ("last", utc(found[0].started_at) if found else "-")],
        [
            _stages(found),
            section(
                "What they found",
                ("night", "stage", "state", "what"),
                remarks,
                note=more,
                finder="found",
                none="Nothing that a person should see.",
            ),
        ],
        lead=f"The last {SHOWN_NIGHTS} nights that came to their end. One that was ended by force is not among them.",
    )


def _stages(found: Sequence[Night]) -> dict[str, Any]:
    names = list(dict.fromkeys(stage.name for night in found for stage in night.stages))
    return section(
        "By stage",
        ("night", "state", "time", *names),
        [_night(night, names) for night in found],
        query=queries.nights(SHOWN_NIGHTS),
        finder="nights",
        none="No night came to its end yet.",
    )


def _night(night: Night, names: Sequence[str]) -> list[Cell]:
    stages = {stage.name: stage for stage in night.stages}
    cells = [
        {"text": duration(stages[name].seconds), "state": stages[name].state, "sort": stages[name].seconds}
        if name in stages
        else ""
        for name in names
    ]
    total = {"text": duration(night.seconds), "class": "number", "sort": night.seconds}
    return [{"text": utc(night.started_at), "class": "time"}, mark(night.state, night.state), total, *cells]


def _remarks(night: Night) -> Iterator[list[Cell]]:
    for stage in night.stages:
        for word, texts in (("failed", stage.problems), ("warn", stage.notes)):
            for text in texts:
                yield [{"text": utc(night.started_at), "class": "time"}, stage.name, mark(word, word), told(text)]
