# SPDX-License-Identifier: Apache-2.0
"""The completeness calendar: a square for each APID and UTC day, filled as far as packets came."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import Any

import polars as pl

from monitor.site.facts import Facts

CALENDAR_DAYS = 60
WHOLE = 0.9995  # less than a packet in two thousand missing is told on the page of completeness, not by a picture
WELL = 0.99  # less than a packet in a hundred missing hurts no analysis: it is seen, and alarms nobody
POOR = 0.9  # a tenth of the packets missing: analyses of the day go wrong


def calendar(facts: Facts) -> dict[str, Any]:
    """Months with their number of days, days, and a row for each APID; about the 60 days to the last one with data."""
    days = last_days(facts, CALENDAR_DAYS)
    found = dict[tuple[str, str, int], dict[date, tuple[int, int]]]()
    rows = facts.ops("packets").filter(pl.col("day").is_in(days)).sort("mission", "instrument", "apid", "day")
    columns = ("mission", "instrument", "apid", "day", "distinct", "expected")
    for mission, instrument, apid, day, received, expected in rows.select(columns).iter_rows():
        found.setdefault((mission, instrument, apid), {})[day] = (received, expected)
    return {
        "months": months(days),
        "days": days,
        "rows": [_row(name, days, counts) for name, counts in found.items()],
    }


def last_days(facts: Facts, number: int) -> list[date]:
    """So many days up to the last one with data, whether they have data or not; none without data."""
    if not facts.days:
        return []
    last = facts.days[-1]
    return [last - timedelta(days=before) for before in reversed(range(number))]


def months(days: Sequence[date]) -> list[tuple[str, int]]:
    """The months of days in their order, with how many of the days are in each."""
    return [(f"{month:%b %Y}", len(list(own))) for month, own in groupby(days, lambda day: day.replace(day=1))]


def _row(name: tuple[str, str, int], days: Sequence[date], counts: dict[date, tuple[int, int]]) -> dict[str, Any]:
    mission, instrument, apid = name
    came = [day for day, (received, _) in counts.items() if received > 0]
    between = set(days[days.index(min(came)) : days.index(max(came))]) if came else set()
    cells = [square(day, *counts.get(day, (0, 0)), silent=day in between) for day in days]
    return {"name": f"{mission} {instrument} {apid}", "cells": cells}


def square(day: date, received: int, expected: int, silent: bool = False) -> tuple[str, str]:
    """Class and title of the square of a day; the class tells how many tenths of it are filled, if not all are.

    A day without packets is `silent` if some came before and after it.
    """
    if expected <= 0 and silent:
        return ("warn p0", f"{day}: no packets, but some before and after")
    if expected <= 0:
        return ("none", "")
    share = received / expected
    if share >= WHOLE:
        return ("ok", "")
    words = f"{day}: {expected - received:,} of {expected:,} packets missing"
    # A hole is seen even if it is less than a tenth; a day of which little came is not empty.
    tenths = max(1, min(9, int(share * 10)))
    return (f"{graded(share)} p{tenths}", words)


def graded(share: float) -> str:
    """The state of a share of packets that came: ok, warn or fail."""
    return "ok" if share >= WELL else "warn" if share >= POOR else "fail"
