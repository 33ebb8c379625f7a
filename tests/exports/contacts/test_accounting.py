# SPDX-License-Identifier: Apache-2.0
"""Which files belong to which pass, and what state a pass is in: facts of a plan and of what came."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from exports.contacts.accounting import Accounted, CameFile, Contact, Trouble, account
from exports.contacts.plans import Pass
from exports.contacts.settings import MissionContacts

NOON = datetime(2026, 8, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=10)
DUE = NOON + timedelta(minutes=70)  # ten minutes of contact, and an hour
RULES = MissionContacts()


def minutes(number: float) -> datetime:
    return NOON + timedelta(minutes=number)


def one_pass(key: str = "p", start: float = 0, **facts: Any) -> Pass:
    return Pass("toy", key, "A", minutes(start), minutes(start + 10), **facts)


def came(name: str = "a", at: float = 20, packets: int = 10, **facts: Any) -> CameFile:
    """A file that came so many minutes after noon."""
    row: dict[str, Any] = {"mission": "toy", "instrument": "box", "bytes": 100, "sha256": f"{name}@{at}"}
    return CameFile(**(row | {"name": name, "received_at": minutes(at), "packets": packets} | facts))


def found(
    passes: Sequence[Pass], files: Sequence[CameFile], now: datetime, rules: MissionContacts = RULES, **facts: Any
) -> Accounted:
    return account(passes, files, facts.get("missing", {}), facts.get("troubles", ()), lambda _: rules, now)


def contact(one: Pass, *files: CameFile, now: datetime = LATER, **facts: Any) -> Contact:
    (only,) = found([one], files, now, **facts).contacts
    return only


def names(accounted: Accounted) -> dict[str, list[str]]:
    return {pass_id: [file.name for file in files] for (_, pass_id), files in accounted.files.items()}


# ---- states --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("now", "state"),
    [(-1, "planned"), (0, "running"), (9.9, "running"), (10, "waiting"), (69.9, "waiting"), (70, "missing")],
)
def test_a_pass_of_which_nothing_came_goes_by_the_clock(now: float, state: str) -> None:
    assert contact(one_pass(files=1), now=minutes(now)).state == state


def test_all_that_was_announced_is_complete_before_it_is_due() -> None:
    assert contact(one_pass(files=2), came("a"), came("b"), now=minutes(30)).state == "complete"


def test_without_an_announcement_more_may_come_until_it_is_due() -> None:
    assert contact(one_pass(), came(), now=minutes(30)).state == "waiting"
    assert contact(one_pass(), came(), now=DUE).state == "complete"


def test_what_is_due_to_the_minute_is_on_time_and_a_minute_later_is_late() -> None:
    assert contact(one_pass(files=1), came(at=70)).state == "complete"
    assert contact(one_pass(files=1), came(at=71)).state == "late"


def test_a_correction_after_it_was_due_makes_no_complete_pass_late() -> None:
    done = contact(one_pass(files=1), came(at=20), came(at=100))
    assert (done.state, done.files, done.packets, done.bytes) == ("complete", 1, 10, 100)
    assert (done.first_received_at, done.last_received_at) == (minutes(20), minutes(100))


def test_a_file_that_cannot_be_decoded_does_not_count_and_says_why() -> None:
    broken = contact(one_pass(files=1), came(whole=False, reason="JUNK: no packet"))
    assert (broken.state, broken.detail) == ("incomplete", "0 of 1 file came; a: JUNK: no packet")


def test_a_pass_that_announces_no_file_is_complete_when_it_is_over() -> None:
    assert contact(one_pass(files=0), now=minutes(5)).state == "running"
    assert contact(one_pass(files=0), now=minutes(10)).state == "complete"


def test_every_announced_name_needs_a_file() -> None:
    lacking = contact(one_pass(names=("a*.dat", "b*.dat")), came("a1.dat"), came("a2.dat"))
    assert (lacking.state, lacking.detail) == ("incomplete", "no file of b*.dat")
    assert contact(one_pass(names=("a*.dat", "b*.dat")), came("a1.dat"), came("b.dat")).state == "complete"


@pytest.mark.parametrize(("packets", "state"), [(100, "complete"), (95, "complete"), (94, "incomplete")])
def test_a_tolerance_of_five_percent_allows_for_five_of_a_hundred_packets(packets: int, state: str) -> None:
    rules = MissionContacts(tolerance_percent=5)
    assert contact(one_pass(packets=100), came(packets=packets), rules=rules).state == state


def test_a_tolerance_is_not_missed_by_a_rounding_error() -> None:
    rules = MissionContacts(tolerance_percent=0.29)  # times 100 as a float it is less than 29
    assert contact(one_pass(packets=10_000), came(packets=9_971), rules=rules).state == "complete"
    assert contact(one_pass(packets=10_000), came(packets=9_970), rules=rules).state == "incomplete"


def test_gaps_count_where_no_number_of_packets_was_announced() -> None:
    gaps = {"a@20": 3}
    lacking = contact(one_pass(), came(), missing=gaps)
    assert (lacking.state, lacking.detail, lacking.packets_missing) == ("incomplete", "3 packets missing in gaps", 3)
    assert contact(one_pass(packets=10), came(), missing=gaps).state == "complete"


def test_what_a_source_says_of_a_missing_file_is_told_until_it_comes() -> None:
    trouble = Trouble("a", "toy", minutes(15), "waiting at source moc: for its digest")
    lacking = contact(one_pass(files=1), troubles=[trouble])
    assert lacking.detail == "0 of 1 file came; a: waiting at source moc: for its digest"
    assert contact(one_pass(files=1), came("a"), troubles=[trouble]).detail == ""


def test_more_files_than_announced_are_told_and_complete_a_pass() -> None:
    more = contact(one_pass(files=1), came("a"), came("b"))
    assert (more.state, more.detail) == ("complete", "1 file more than announced")


# ---- what belongs to which pass ------------------------------------------------------------------------------------
def test_a_name_goes_before_the_time_of_arrival() -> None:
    passes = [one_pass("p", 0, names=("a",)), one_pass("q", 100)]
    assert names(found(passes, [came("a", 120), came("b", 121)], LATER)) == {"p": ["a"], "q": ["b"]}


def test_without_a_name_a_file_is_of_the_nearest_earlier_pass() -> None:
    passes = [one_pass("p", 0), one_pass("q", 30), one_pass("r", 300)]
    files = [came("a", 20), came("b", 30), came("c", 80), came("d", 200), came("e", -1)]
    accounted = found(passes, files, LATER)
    assert names(accounted) == {"p": ["a"], "q": ["b", "c", "d"]}
    assert accounted.strays == ()  # e came before the first pass that is looked at


def test_a_pass_that_awaits_files_goes_before_one_whose_files_are_late() -> None:
    passes = [one_pass("p", 0, due=minutes(400)), one_pass("q", 30, due=minutes(60))]
    assert names(found(passes, [came("a", 100)], LATER)) == {"p": ["a"]}


def test_a_file_that_comes_too_late_belongs_to_no_pass() -> None:
    accounted = found([one_pass()], [came("a", 70 + 24 * 60), came("b", 71 + 24 * 60)], minutes(6000))
    assert names(accounted) == {"p": ["a"]}
    assert [file.name for file in accounted.strays] == ["b"]


def test_a_file_may_come_early_by_as_much_as_the_settings_allow() -> None:
    early = MissionContacts(early_minutes=5)
    assert names(found([one_pass()], [came("a", -5)], LATER, early)) == {"p": ["a"]}
    assert names(found([one_pass()], [came("a", -6)], LATER, early)) == {}


def test_a_pass_takes_files_of_its_mission_and_instruments_alone() -> None:
    files = [came("a"), came("b", instrument="other"), came("c", mission="mine")]
    accounted = found([one_pass(instruments=("box",))], files, LATER)
    assert names(accounted) == {"p": ["a"]}
    assert [file.name for file in accounted.strays] == ["b"]


def test_of_two_passes_that_announce_a_name_the_nearest_one_that_had_begun_gets_it() -> None:
    passes = [one_pass("p", 0, names=("a*",)), one_pass("q", 100, names=("a*",))]
    files = [came("a1", -20), came("a2", 50), came("a3", 100)]
    assert names(found(passes, files, LATER)) == {"p": ["a1", "a2"], "q": ["a3"]}


def test_a_pattern_of_a_plan_is_no_regular_expression() -> None:
    assert names(found([one_pass(names=("a.(b|c)+",))], [came("a.b"), came("a.(b|c)+")], LATER)) == {"p": ["a.(b|c)+"]}
