# SPDX-License-Identifier: Apache-2.0
"""status.json has the keys that its reference names, with the values of the figures."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from lake.config import CHECKOUT
from monitor.site.facts import Facts
from monitor.site.figures import figures
from monitor.site.states import State, states
from monitor.site.status import LISTED, parts
from tests.monitor.site.toy_books import HOSTILE, NEXT, NOW
from tests.toy import DAY, L1, QL, toy_lake

TEXT, NUMBER, COUNT = {"type": "string"}, {"type": ["number", "null"]}, {"type": "integer", "minimum": 0}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
DATE = {"type": ["string", "null"], "pattern": r"^\d{4}-\d\d-\d\d$"}


def exactly(**properties: Any) -> dict[str, Any]:
    """An object with just these keys."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


COUNTS = {"type": "object", "additionalProperties": COUNT}
FIGURES = exactly(
    **dict.fromkeys(("received", "expected", "packets_missing", "quarantined_stretches", "quarantined_bytes"), COUNT),
    **dict.fromkeys(("products", "products_passed", "acknowledged_alerts", "late_files", "failed_runs"), COUNT),
    **dict.fromkeys(("silent_days", "future_days"), COUNT),
    **dict.fromkeys(("completeness", "latency_p50_s", "latency_p95_s"), NUMBER),
    open_alerts=COUNTS,
    table_days=COUNTS,
)
STATE = {"enum": ["ok", "warn", "failed"]}
TEXTS = {"type": "array", "items": TEXT}
STAGE = exactly(
    name=TEXT, state=STATE, started_at=TIME, seconds=NUMBER, facts={"type": "object"}, notes=TEXTS, problems=TEXTS
)
NIGHT = exactly(
    id=TEXT,
    started_at=TIME,
    seconds=NUMBER,
    state=STATE,
    code_version=TEXT,
    stages={"type": "array", "minItems": 1, "items": STAGE},
)
WORDS = {"enum": ["failed", "missing", "withheld", "stale", "waiting"]}
ALERT = exactly(
    **dict.fromkeys(("alert_id", "subject", "mission", "instrument", "table_name", "column_name", "rules"), TEXT),
    severity={"enum": ["yellow", "red"]},
    state={"enum": ["open", "acknowledged"]},
    start_time=TIME,
    since_time=TIME,
    message=TEXT,
    page=TEXT,
)
SCHEMA = exactly(
    form={"const": "swxlake status 1"},
    generated_at=TIME,
    code_version=TEXT,
    lake=TEXT,
    window=exactly(first=DATE, after=DATE),
    figures=FIGURES,
    last_night={"anyOf": [{"type": "null"}, NIGHT]},
    alerts={"type": "array", "items": ALERT},
    to_look_at_count=COUNT,
    to_look_at={"type": "array", "items": exactly(state=WORDS, table=TEXT, day=DATE, why=TEXT)},
)


def status(facts: Facts) -> dict[str, Any]:
    (asset,) = parts(facts)
    found: dict[str, Any] = json.loads(asset.make())
    return found


def test_it_has_its_form_and_is_as_true_as_the_figures(facts: Facts) -> None:
    found = status(facts)
    Draft202012Validator(SCHEMA).validate(found)
    known = figures(facts)
    assert found["generated_at"] == "2024-09-20T06:00:00Z"
    assert found["window"] == {"first": "2024-09-16", "after": "2024-09-18"}
    assert found["figures"]["completeness"] == pytest.approx(known.completeness)
    assert found["figures"]["open_alerts"] == {"red": 1}
    assert [alert["message"] for alert in found["alerts"]] == [HOSTILE, ""]
    assert [(row["state"], row["table"], row["day"]) for row in found["to_look_at"]] == [
        ("failed", L1, f"{NEXT}"),
        ("stale", QL, f"{DAY}"),
        ("waiting", QL, f"{NEXT}"),
    ]


def test_it_lists_no_more_table_days_than_one_reads_but_counts_them_all(facts: Facts) -> None:
    for before in range(LISTED + 5):
        facts.once(states)[L1, DAY - timedelta(days=before + 1)] = State("stale", "code changed")
    found = status(facts)
    assert (len(found["to_look_at"]), found["to_look_at_count"]) == (LISTED, LISTED + 8)
    assert found["to_look_at"][0]["state"] == "failed"


def test_that_of_an_empty_lake_has_the_same_form(tmp_path: Path) -> None:
    found = status(Facts(toy_lake(tmp_path), NOW))
    Draft202012Validator(SCHEMA).validate(found)
    assert (found["window"], found["last_night"]) == ({"first": None, "after": None}, None)


def test_its_reference_names_each_key() -> None:
    named = set(re.findall(r"`(\w+)`", (CHECKOUT / "docs/reference/status-json.md").read_text()))
    keys = {*SCHEMA["required"], *FIGURES["required"], *NIGHT["required"], *STAGE["required"], *ALERT["required"]}
    assert keys <= named
