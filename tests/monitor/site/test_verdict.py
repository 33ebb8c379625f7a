# SPDX-License-Identifier: Apache-2.0
"""The front page says in one sentence whether all is well, and never that it is while something else on it is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lake.store import Lake
from monitor.site.facts import Facts
from monitor.site.figures import Figures, Night, Stage, figures
from monitor.site.overview import parts
from monitor.site.verdict import five, verdict
from tests.monitor.site.toy_books import put
from tests.toy import DAY, toy_lake

OWN = {"mission": "toy", "instrument": "box", "apid": 7}
MORNING = datetime(2024, 9, 17, 6, tzinfo=UTC)  # of the day after the first day with data


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake of one whole day."""
    made = toy_lake(tmp_path)
    put(made, "packets", whole(DAY))
    return made


def whole(day: date, **more: Any) -> dict[str, Any]:
    return OWN | {"day": day, "received": 100, "distinct": 100, "expected": 100} | more


def stage(name: str, state: str, *told: str, **facts: object) -> Stage:
    problems, notes = (told, ()) if state == "failed" else ((), told)
    return Stage(name, state, MORNING, 1.0, facts, notes, problems)


def night(*stages: Stage, at: datetime = MORNING) -> Night:
    worst = "failed" if any(found.state == "failed" for found in stages) else "ok"
    return Night("n", at, 1.0, worst, "1", stages)


def judged(lake: Lake, now: datetime = MORNING, **changed: Any) -> tuple[str, str]:
    """Word and text of the verdict, of figures of which some are changed."""
    facts = Facts(lake, now)
    found = verdict(facts, replace(figures(facts), **changed), [])
    return found["word"], found["text"]


def front(facts: Facts) -> dict[str, Any]:
    (page,) = parts(facts)
    return dict(page.about)


def test_all_is_well_of_a_whole_day_and_a_good_night(lake: Lake) -> None:
    good = night(stage("ingest", "ok"), stage("check", "ok"))
    assert judged(lake, last_night=good) == ("All is well", "nothing failed, stale, missing or late, and no open alert")
    assert judged(lake, window=None)[0] == "No data yet"


def test_the_worst_decides_and_is_told_first(lake: Lake) -> None:
    assert judged(lake, open_alerts={"red": 1, "yellow": 2}) == ("Something is wrong", "1 red alert, 2 yellow alerts")
    assert judged(lake, open_alerts={"yellow": 1}) == ("Look at this", "1 yellow alert")
    assert judged(lake, open_alerts={"yellow": 1}, completeness=0.5) == (
        "Something is wrong",
        "only 50 % of the telemetry came, 1 yellow alert",
    )


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"completeness": 0.95}, "95 % of the telemetry came"),
        ({"packets_missing": 1}, "1 packet is missing"),
        ({"packets_missing": 900}, "900 packets are missing"),
        ({"quarantined_stretches": 2, "quarantined_bytes": 5000}, "5 kB in quarantine"),
        ({"products": 3, "products_passed": 2}, "1 product does not pass"),
        ({"latency_p50_s": 9.0, "latency_p95_s": 9e5}, "data took up to 10 d 10 h to level 1"),
        ({"silent_days": 7}, "7 silent days"),
    ],
)
def test_no_number_is_orange_beside_a_verdict_that_all_is_well(lake: Lake, changed: dict[str, Any], text: str) -> None:
    assert judged(lake, **changed) == ("Look at this", text)
    facts = Facts(lake, MORNING)
    odd = [item for item in five(facts, replace(figures(facts), **changed)) if item["state"] == "warn"]
    assert [item["told"] for item in odd] == [text]


def test_each_number_that_is_not_well_says_so_in_the_verdict(facts: Facts) -> None:
    for item in five(facts, figures(facts)):
        assert bool(item["told"]) == (item["state"] in ("fail", "warn")), item["label"]


def test_a_completeness_with_silent_days_is_no_more_than_what_came(lake: Lake) -> None:
    facts = Facts(lake, MORNING)
    complete = five(facts, replace(figures(facts), silent_days=1))[0]
    assert (complete["value"], complete["about"]) == ("< 100 %", "100 of 100 packets; 1 silent day")


def test_a_stage_that_failed_is_wrong_and_bytes_kept_aside_want_a_look(lake: Lake) -> None:
    kept = ("x.dat: 30 bytes at offset 0 quarantined as BAD_CHECKSUM (so)", "thumbs.db: no name")
    look = ("Look at this", "the last night could not use all that came")
    taken = {"refused_files": 1, "damaged_files": 0}
    assert judged(lake, last_night=night(stage("ingest", "failed", *kept, ingest=taken))) == look
    wrong = ("Something is wrong", "the last night failed in ingest")
    damaged = taken | {"damaged_files": 1}
    assert judged(lake, last_night=night(stage("ingest", "failed", *kept, "raw/x: damaged", ingest=damaged))) == wrong
    assert judged(lake, last_night=night(stage("ingest", "failed", "ended by an error: no disk"))) == wrong
    assert judged(lake, last_night=night(stage("transform", "failed", "no disk")))[0] == "Something is wrong"


def test_notes_of_the_last_night_want_a_look(lake: Lake) -> None:
    assert judged(lake, last_night=night(stage("check", "warn", "a", "b"))) == (
        "Look at this",
        "the last night has 2 notes",
    )


def test_a_night_a_day_and_a_half_ago_is_wrong(lake: Lake) -> None:
    old = night(stage("ingest", "ok"), at=MORNING - timedelta(hours=37))
    assert judged(lake, last_night=old) == ("Something is wrong", "no night for 37 h 0 min")


def test_nothing_new_for_longer_than_files_may_take_wants_a_look(lake: Lake) -> None:
    assert judged(lake, MORNING + timedelta(hours=65))[0] == "All is well"
    assert judged(lake, MORNING + timedelta(hours=67)) == ("Look at this", f"nothing of toy since {DAY}")


def test_an_instrument_that_fell_silent_among_others_is_named(lake: Lake) -> None:
    put(lake, "packets", whole(DAY + timedelta(days=5), instrument="other", apid=9))
    assert judged(lake, MORNING + timedelta(days=5)) == ("Look at this", f"nothing of toy box since {DAY}")


def test_a_pass_that_was_missed_is_on_the_front_page_and_in_the_verdict(lake: Lake) -> None:
    passes = {"missing": DAY, "late": DAY, "complete": DAY, "incomplete": DAY - timedelta(days=300)}
    put(lake, "contacts", *({"mission": "toy", "pass_id": s, "state": s, "day": day} for s, day in passes.items()))
    told = front(Facts(lake, MORNING))
    assert told["verdict"]["text"] == "2 passes late or not complete"
    assert {row["text"] for listed in told["lists"] for row in listed["rows"]} == {"toy missing", "toy late"}


def test_a_packet_of_the_future_is_told_and_hides_nothing(lake: Lake) -> None:
    put(lake, "packets", whole(date(2049, 12, 31), received=1, distinct=1, expected=1))
    facts = Facts(lake, MORNING)
    known = figures(facts)
    assert (known.window, known.received, known.future_days) == ((DAY, DAY + timedelta(days=1)), 100, 1)
    told = front(facts)
    assert told["verdict"] == {"state": "warn", "word": "Look at this", "text": "1 day of the future has data"}
    assert told["calendar"]["days"][-1] == DAY
    assert [row["text"] for listed in told["lists"] for row in listed["rows"]] == ["2049-12-31"]


def test_a_week_of_silence_is_not_complete(lake: Lake) -> None:
    put(lake, "packets", *(whole(DAY + timedelta(days=after)) for after in (1, 9, 10)))
    facts = Facts(lake, MORNING + timedelta(days=10))
    known: Figures = figures(facts)
    assert known.silent_days == 7
    assert front(facts)["verdict"]["word"] == "Look at this"


def test_books_in_which_much_is_wrong_say_so(facts: Facts) -> None:
    told = front(facts)["verdict"]
    assert told["word"] == "Something is wrong"
    assert told["text"].startswith("1 red alert, 1 failed run, ")
    for words in (
        "93.33 % of the telemetry came",
        "10 packets are missing",
        "42 B in quarantine",
        "1 product does not pass",
        "1 late file",
        "1 pass ",
    ):
        assert words in told["text"]
