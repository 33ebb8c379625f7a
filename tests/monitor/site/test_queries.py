# SPDX-License-Identifier: Apache-2.0
"""Each number leads to its rows: the query that a page shows gives the number that the front page has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lake.answers import Answers
from lake.store import Lake
from monitor.site import queries
from monitor.site.arrivals import late_files, latencies
from monitor.site.facts import Facts
from monitor.site.figures import figures, quarantined_rows
from monitor.site.filters import number
from monitor.site.places import CHECKS, COMPLETENESS, LATE, LATENCY, NIGHTS, QUARANTINE
from tests.monitor.site.html_pages import page
from tests.monitor.site.toy_books import HOSTILE
from tests.toy import DAY, L1

Rows = list[dict[str, Any]]


@pytest.fixture
def asked(told: Lake) -> Callable[[str], Rows]:
    """The rows of a query on the catalog."""
    answers = Answers(told)
    return lambda sql: answers.ask(sql).to_pylist()


def test_packets(facts: Facts, asked: Callable[[str], Rows]) -> None:
    rows, known = asked(queries.packets(facts)), figures(facts)
    assert [sum(row[name] for row in rows) for name in ("received", "expected", "missing")] == [
        known.received,
        known.expected,
        known.packets_missing,
    ]
    assert sum(row["silent_days"] for row in rows) == known.silent_days
    assert sum(row["missing"] for row in asked(queries.gaps(facts))) == known.packets_missing


def test_latencies(facts: Facts, asked: Callable[[str], Rows]) -> None:
    columns = ("table_name", "day", "latency_p50_s", "latency_p95_s", "build_s", "p50_s", "p95_s")
    expected = latencies(facts).select(columns).rows(named=True)
    found = [{name: row[name] for name in columns} for row in asked(queries.latencies(facts))]
    assert found == [
        {name: pytest.approx(value, abs=1e-5) if isinstance(value, float) else value for name, value in row.items()}
        for row in expected
    ]


def test_quarantine(facts: Facts, asked: Callable[[str], Rows]) -> None:
    rows = asked(queries.quarantine(facts))
    assert [row["name"] for row in rows] == quarantined_rows(facts)["name"].to_list() == ["nameless", HOSTILE]
    assert sum(row["bytes"] for row in rows) == figures(facts).quarantined_bytes


def test_late_files(facts: Facts, asked: Callable[[str], Rows]) -> None:
    rows = asked(queries.late_files(late_files(facts)["receipt"]))
    assert [row["name"] for row in rows] == late_files(facts)["name"].to_list()
    assert asked(queries.late_files([])) == []


def test_passes_that_were_not_complete(asked: Callable[[str], Rows], facts: Facts) -> None:
    assert [row["pass_id"] for row in asked(queries.contacts())] == ["missing"]
    assert "missing" in _text(facts, LATE)
    assert "All passes" not in _text(facts, LATE)


def test_products(facts: Facts, asked: Callable[[str], Rows]) -> None:
    rows, known = asked(queries.product_days(facts)), figures(facts)
    assert (len(rows), sum(row["passed"] for row in rows)) == (known.products, known.products_passed)
    assert [(row["product"], row["day"]) for row in rows if row["passed"]] == [(L1, DAY)]


def test_failed_runs_and_broken_rules(facts: Facts, asked: Callable[[str], Rows]) -> None:
    assert [row["error"] for row in asked(queries.failed_runs())] == [HOSTILE]
    assert len(asked(queries.broken())) == facts.broken.height


def test_nights(facts: Facts, asked: Callable[[str], Rows]) -> None:
    assert len(asked(queries.nights(60))) == 4
    assert {row["night_id"] for row in asked(queries.nights(1))} == {facts.last_night}


@pytest.mark.parametrize("path", [COMPLETENESS, LATENCY, QUARANTINE, LATE, CHECKS, NIGHTS])
def test_each_query_that_a_page_shows_can_be_asked(path: str, facts: Facts, asked: Callable[[str], Rows]) -> None:
    shown = _queries(facts, path)
    assert shown
    for sql in shown:
        asked(sql)


def test_a_name_with_quotes_stays_a_text_of_sql(asked: Callable[[str], Rows]) -> None:
    assert asked(f"SELECT {queries.quoted(HOSTILE)} AS name") == [{"name": HOSTILE}]


def test_numbers_of_the_front_page_are_those_of_the_pages_behind_them(facts: Facts) -> None:
    known = figures(facts)
    front = _text(facts, "index.html")
    for shown in (f"{known.received} of {known.expected} packets", f"{known.products_passed}/{known.products}"):
        assert shown in front
    assert number(known.packets_missing) in _text(facts, COMPLETENESS)
    assert f"{known.products_passed} of {known.products}" in _text(facts, CHECKS)


def _queries(facts: Facts, path: str) -> list[str]:
    text = page(facts.lake.root / "site" / path)  # type: ignore[operator]  # a folder
    return [fragment for fragment in text.texts if fragment.lstrip().startswith(("SELECT", "WITH"))]


def _text(facts: Facts, path: str) -> str:
    return page(facts.lake.root / "site" / path).text  # type: ignore[operator]  # a folder
