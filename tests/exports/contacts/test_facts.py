# SPDX-License-Identifier: Apache-2.0
"""What the lake knows of files: those that did not come, and in which file a gap ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from exports.contacts.facts import mission_of, one_line, troubles
from exports.contacts.planned import PlanBook, with_plan
from exports.contacts.plans import Pass, Plan
from exports.contacts.spans import SPANS, gaps_of_files
from lake.store import Lake
from lake.tables import append_ops
from tests.meddea import DEFINITIONS
from tests.toy import toy_lake

NOON = datetime(2026, 8, 1, 12, tzinfo=UTC)
NAME = "padreMDU8_260801120000.dat"


def minutes(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


# ---- files that did not come ---------------------------------------------------------------------------------------
def reception(path: str, state: str, minute: float = 0) -> dict[str, Any]:
    return {"source": "moc", "path": path, "state": state, "detail": "for its digest", "attempts": 1,
            "first_seen_at": NOON, "noted_at": minutes(minute), "run_id": "run-1"}  # fmt: skip


def test_a_file_is_missed_as_long_as_its_newest_state_says_so(tmp_path: Path) -> None:
    lake = Lake(tmp_path, DEFINITIONS)
    append_ops(lake, "receptions", [reception(f"in/{NAME}", "waiting"), reception("in/b.dat", "failed")])
    (one, other) = sorted(troubles(lake, NOON, minutes(5)), key=lambda each: each.mission, reverse=True)
    assert (one.name, one.mission, one.words) == (NAME, "padre", "waiting at source moc: for its digest")
    assert (other.name, other.mission) == ("b.dat", "")
    append_ops(lake, "receptions", [reception(f"in/{NAME}", "landed", 1), reception("in/b.dat", "ignored", 1)])
    assert troubles(lake, NOON, minutes(5)) == []


def test_files_that_were_seen_long_ago_are_not_missed_now(tmp_path: Path) -> None:
    lake = Lake(tmp_path, DEFINITIONS)
    append_ops(lake, "receptions", [reception(f"in/{NAME}", "waiting")])
    assert troubles(lake, minutes(1), minutes(5)) == []


def test_the_mission_of_a_name_is_that_whose_grammar_accepts_it() -> None:
    assert mission_of(DEFINITIONS, NAME, minutes(60)) == "padre"
    assert mission_of(DEFINITIONS, "../../etc/passwd", NOON) == ""


def test_a_text_of_others_is_one_line_of_bounded_length() -> None:
    assert one_line("a\nb\x1b[0m\u202e") == r"a\nb\x1b[0m\u202e"
    assert one_line("x" * 400) == "x" * 297 + "..."


# ---- gaps of files -------------------------------------------------------------------------------------------------
def span(sha: str, start: float, stop: float, apid: int = 7) -> tuple[Any, ...]:
    return (sha, "toy", "box", apid, 10, minutes(start), minutes(stop), NOON.date())


def ends_in(*spans: tuple[Any, ...], end: float | None, arrivals: dict[str, float]) -> list[str]:
    """The file in which a gap of APID 7 ends."""
    gap = {"mission": "toy", "instrument": "box", "apid": 7, "day": NOON.date(), "kind": "loss", "missing": 3,
           "end_time": None if end is None else minutes(end)}  # fmt: skip
    kinds = {"apid": pl.Int16, "end_time": pl.Datetime("us", "UTC")}
    received = [(sha, minutes(minute)) for sha, minute in arrivals.items()]
    files = pl.DataFrame(received, {"file_sha256": pl.String, "received_at": kinds["end_time"]}, orient="row")
    found = gaps_of_files(
        pl.DataFrame(list(spans), SPANS, orient="row"), pl.DataFrame([gap], schema_overrides=kinds), files
    )
    return found["file_sha256"].to_list()


def test_a_gap_ends_in_the_file_with_the_first_packet_behind_it() -> None:
    spans = span("a", 0, 10), span("b", 20, 30), span("c", 20, 30, apid=8)
    arrivals = {"a": 40, "b": 41, "c": 39}
    assert ends_in(*spans, end=20, arrivals=arrivals) == ["b"]
    assert ends_in(*spans, end=5, arrivals=arrivals) == ["a"]
    assert ends_in(*spans, end=15, arrivals=arrivals) == []


def test_of_files_with_the_same_packets_the_first_to_arrive_has_the_gap() -> None:
    assert ends_in(span("a", 0, 10), span("b", 0, 10), end=5, arrivals={"a": 41, "b": 40}) == ["b"]


def test_without_a_clock_a_gap_is_of_the_day() -> None:
    assert ends_in(span("a", 0, 10), end=None, arrivals={"a": 40}) == ["a"]


# ---- plans that were kept ------------------------------------------------------------------------------------------
def plan(name: str, sha: str, *passes: Pass, wrong: tuple[str, ...] = ()) -> Plan:
    return Plan(name, sha, passes, wrong)


def one_pass(station: str, key: str = "p") -> Pass:
    return Pass("toy", key, station, NOON, minutes(10), files=1, names=("a*",), instruments=("box",))


def stations(lake: Lake) -> list[tuple[str, str, str]]:
    return [(each.one.pass_id, each.one.station, each.plan) for each in PlanBook(lake).plans().passes]


def test_two_processes_that_keep_plans_at_once_keep_both(tmp_path: Path) -> None:
    lake = toy_lake(tmp_path)
    first, second = PlanBook(lake), PlanBook(lake)
    assert first.keep(plan("a.csv", "1", one_pass("A")), NOON) == "00000001"
    assert second.keep(plan("b.csv", "2", one_pass("B", "q")), NOON) == "00000002"
    assert second.keep(plan("a.csv", "1", one_pass("A")), NOON) is None
    assert stations(lake) == [("p", "A", "00000001"), ("q", "B", "00000002")]


def test_a_pass_comes_back_from_the_journal_as_it_was_planned(tmp_path: Path) -> None:
    lake = toy_lake(tmp_path)
    PlanBook(lake).keep(plan("a.csv", "1", one_pass("A")), NOON)
    PlanBook(lake).keep(plan("a.csv", "2", one_pass("B"), wrong=("line 2",)), NOON)
    plans = PlanBook(lake).plans()
    assert [each.one for each in plans.passes] == [one_pass("B")]
    assert (plans.wrong, plans.newest) == (((NOON, "line 2"),), {"a.csv": "2"})
    assert with_plan(plans, plan("b.csv", "3", one_pass("C")), NOON).passes[0].one.station == "C"
