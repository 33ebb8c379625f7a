# SPDX-License-Identifier: Apache-2.0
"""Requests to send packets again: which gaps are asked for, how often, and when a request is closed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from exports.contacts.requests import Asked, Gap, asked, close, to_ask, write_request
from exports.contacts.settings import Requests
from lake.ledger import read_ops
from lake.tables import append_ops
from tests.toy import toy_lake

NOON = datetime(2026, 8, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SETTINGS = Requests()


def row(start: float, end: float, first: int = 1, missing: int = 5, **facts: Any) -> dict[str, Any]:
    """A gap of APID 7 between two times in minutes after noon."""
    found = {"mission": "toy", "instrument": "box", "apid": 7, "missing": missing, "day": NOON.date(), "kind": "loss",
             "start_time": NOON + timedelta(minutes=start), "end_time": NOON + timedelta(minutes=end),
             "sequence_from": first, "sequence_to": first + missing - 1}  # fmt: skip
    return found | facts


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    kinds = {"apid": pl.Int16, "missing": pl.Int32, "sequence_from": pl.Int32, "sequence_to": pl.Int32}
    kinds |= {"mission": pl.String, "instrument": pl.String, "kind": pl.String, "day": pl.Date}
    times = dict.fromkeys(("start_time", "end_time"), pl.Datetime("us", "UTC"))
    return pl.DataFrame(list(rows), {**kinds, **times})


def request(at: datetime, *gaps: dict[str, Any]) -> Asked:
    return Asked("00000001", "retransmit-x-00000001", at, tuple(map(Gap.of, gaps)))


def firsts(rows: pl.DataFrame) -> list[int]:
    return rows["sequence_from"].to_list()


NO_TIME: dict[str, Any] = {"start_time": None, "end_time": None}


def test_a_gap_is_asked_for_again_when_the_hours_are_over() -> None:
    gaps = frame(row(0, 10))
    before = [request(NOON + HOUR, row(0, 10))]
    assert firsts(to_ask(gaps, [], SETTINGS, NOON + HOUR)) == [1]
    assert firsts(to_ask(gaps, before, SETTINGS, NOON + 24.9 * HOUR)) == []
    assert firsts(to_ask(gaps, before, SETTINGS, NOON + 25 * HOUR)) == [1]


def test_what_is_left_of_a_gap_was_asked_for_with_it() -> None:
    before = [request(NOON, row(0, 30), row(50, 60))]
    left = frame(row(0, 5, 1), row(20, 30, 20), row(30, 40, 30), row(0, 5, 40, apid=8), row(45, 50, 50))
    assert firsts(to_ask(left, before, SETTINGS, NOON + HOUR)) == [30, 50, 40]


def test_without_a_time_a_gap_is_known_by_its_counts() -> None:
    before = [request(NOON, row(0, 0, 1, **NO_TIME))]
    assert firsts(to_ask(frame(row(0, 0, 1, **NO_TIME), row(0, 0, 9, **NO_TIME)), before, SETTINGS, NOON)) == [9]


def test_what_is_old_is_nothing_or_is_not_counted_is_not_asked_for() -> None:
    old = NOON.date() - timedelta(days=15)
    gaps = frame(row(0, 1, 1, day=old), row(2, 3, 2, kind="disorder"), row(4, 5, 3, 0), row(6, 7, 4, kind="wrapped"))
    assert firsts(to_ask(gaps, [], SETTINGS, NOON + HOUR)) == [4]


def test_a_gap_that_ended_just_now_may_wait_for_the_next_file() -> None:
    patient = Requests(wait_hours=6)
    gaps = frame(row(0, 60, 1), row(0, 61, 9, apid=8), row(0, 0, 17, **NO_TIME))
    assert firsts(to_ask(gaps, [], patient, NOON + 7 * HOUR)) == [17, 1]


def test_a_request_is_closed_when_no_part_of_its_gaps_is_left(tmp_path: Path) -> None:
    lake = toy_lake(tmp_path)
    name = write_request(lake, frame(row(0, 10), row(20, 30, 20)), '{"form": "x"}', "a,b\n", NOON)
    assert name == "retransmit-20260801T120000Z-00000001"
    counted = frame(row(0, 0)).select("mission", "instrument", "apid", "day")
    (one,) = asked(lake)
    assert one.gaps == (Gap.of(row(0, 10)), Gap.of(row(20, 30, 20)))
    assert close(lake, frame(row(22, 25, 22)), counted, [one], NOON) == []
    assert close(lake, frame(), counted.clear(), [one], NOON) == []  # nothing is known of that day
    assert close(lake, frame(row(40, 50)), counted, [one], NOON + HOUR) == [name]
    assert asked(lake)[0].closed_at == NOON + HOUR
    assert close(lake, frame(), counted, asked(lake), NOON) == []


def test_requests_have_numbers_that_go_on(tmp_path: Path) -> None:
    lake = toy_lake(tmp_path)
    append_ops(lake, "gaps", [row(0, 10)])
    for _ in range(2):
        write_request(lake, read_ops(lake, "gaps"), "{}", "", NOON)
    assert [one.id[-8:] for one in asked(lake)] == ["00000001", "00000002"]
