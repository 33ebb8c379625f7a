# SPDX-License-Identifier: Apache-2.0
"""status.json: the figures, the last night, open alerts and states for machines; docs/reference/status-json.md."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

import polars as pl

from lake.ledger import fingerprint, release
from monitor.site import places
from monitor.site.facts import Facts
from monitor.site.figures import Night, figures
from monitor.site.matrix import noteworthy
from monitor.site.page import Asset
from monitor.site.states import states

FORM = "swxlake status 1"
LISTED = 1000  # table-days to look at: whoever has more of them looks for what they have in common
ALERT_COLUMNS = (
    "alert_id", "severity", "state", "subject", "mission", "instrument", "table_name", "column_name", "rules",
    "start_time", "since_time", "message",
)  # fmt: skip


def parts(facts: Facts) -> Iterator[Asset]:
    """The one file."""
    content = status(facts)
    body = json.dumps(content, indent=1, default=_plain, allow_nan=False).encode() + b"\n"
    yield Asset(places.STATUS, fingerprint(body.decode()), lambda: body)


def status(facts: Facts) -> dict[str, Any]:
    """All of it, with times as ISO 8601 in UTC and null for what is not known."""
    known = figures(facts)
    numbers = {name: value for name, value in asdict(known).items() if name not in ("last_night", "window")}
    first, after = known.window or (None, None)
    odd = [row for rows in noteworthy(facts.once(states)).values() for row in rows]
    return {
        "form": FORM,
        "generated_at": facts.now,
        "code_version": release()[0],
        "lake": facts.name,
        "window": {"first": first, "after": after},
        "figures": numbers,
        "last_night": _night(known.last_night),
        "alerts": _alerts(facts),
        "to_look_at": [
            {"state": word, "table": address, "day": day, "why": why} for word, address, day, why in odd[:LISTED]
        ],
        "to_look_at_count": len(odd),
    }


def _night(night: Night | None) -> dict[str, Any] | None:
    return asdict(night) if night else None


def _alerts(facts: Facts) -> list[dict[str, Any]]:
    rows = facts.ops("alerts").filter(pl.col("state") != "resolved").sort("start_time", "alert_id")
    return [row | {"page": places.alert(row["alert_id"])} for row in rows.select(ALERT_COLUMNS).iter_rows(named=True)]


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{value!r} has no form in JSON")
