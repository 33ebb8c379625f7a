# SPDX-License-Identifier: Apache-2.0
"""Time is exact: TT2000, UTC and the clocks of instruments, also across leap seconds."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake.clock import (
    DAY_NS,
    NS,
    believable,
    day_bounds,
    day_number,
    met_from_tt2000,
    tt2000_from_met,
    tt2000_from_unix_ns,
    tt2000_of_day,
    unix_ns_from_tt2000,
)
from lake.definitions import ValidTime
from lake.leap_seconds import LEAP_SECONDS
from lake.packet_definitions import Clock

# Inserted seconds: the second before each of these days is 23:59:60. 1972-01-01 begins the system.
LEAP_DAYS = [date.fromisoformat(day) for day, _ in LEAP_SECONDS[1:]]
NAMES = [day.isoformat() for day in LEAP_DAYS]
# From 1972-01-01 to 2200, the span of the system and of any mission here.
UNIX_NS = st.integers(63_072_000 * NS, 7_258_118_400 * NS)


def unix_ns(text: str) -> int:
    return int(np.datetime64(text, "ns").astype(np.int64))


def clock(policy: str, epoch: str = "2000-01-01T00:00:00") -> Clock:
    return Clock.model_validate(
        {
            "epoch": epoch,
            "policy": policy,
            "coarse": "time_s",
            "fine": "time_clocks",
            "fine_ticks_per_second": 20_000_000,
        }
    )


@pytest.mark.parametrize(
    ("utc", "tt2000"),
    [
        ("2000-01-01T12:00:00", 64_184_000_000),
        ("2017-01-01T00:00:00", 536_500_869_184_000_000),
        ("2016-12-31T23:59:59.999999999", 536_500_869_184_000_000 - NS - 1),
        ("2026-01-01T00:00:00", 820_497_669_184_000_000),
        ("1972-01-01T00:00:00", -883_655_957_816_000_000),
    ],
)
def test_known_answers_of_tt2000(utc: str, tt2000: int) -> None:
    assert int(tt2000_from_unix_ns(unix_ns(utc))) == tt2000
    assert int(unix_ns_from_tt2000(tt2000)) == unix_ns(utc)


def test_the_leap_second_of_2016_stays_on_its_day() -> None:
    half_past_60 = 536_500_868_684_000_000  # 2016-12-31T23:59:60.5
    assert int(unix_ns_from_tt2000(half_past_60)) == unix_ns("2017-01-01") - 1
    assert day_number([half_past_60]).tolist() == [(date(2016, 12, 31) - date(1970, 1, 1)).days]


@pytest.mark.parametrize("day", LEAP_DAYS, ids=NAMES)
def test_a_day_with_a_leap_second_has_86401_seconds(day: date) -> None:
    start, stop = day_bounds(day - timedelta(days=1))
    assert stop - start == 86_401 * NS
    first, last = day_number([start, stop - 1]).tolist()
    assert first == last == (day - date(1970, 1, 1)).days - 1
    assert day_number([stop]).tolist() == [last + 1]


def test_other_days_have_86400_seconds() -> None:
    start, stop = day_bounds(date(2024, 9, 16))
    assert stop - start == DAY_NS


@pytest.mark.oracle
@pytest.mark.parametrize("day", LEAP_DAYS, ids=NAMES)
def test_tt2000_agrees_with_cdflib_at_every_leap_second(day: date) -> None:
    from cdflib import cdfepoch  # noqa: PLC0415  slow to import

    before = day - timedelta(days=1)
    for seconds in ([23, 59, 58], [23, 59, 59], [23, 59, 60]):
        theirs = int(cdfepoch.compute_tt2000([before.year, before.month, before.day, *seconds, 250, 0, 0]))
        second_of_day = seconds[0] * 3600 + seconds[1] * 60 + seconds[2]
        assert tt2000_of_day(before) + second_of_day * NS + 250_000_000 == theirs
    assert tt2000_of_day(day) == int(cdfepoch.compute_tt2000([day.year, day.month, day.day, 0, 0, 0, 0, 0, 0]))


@pytest.mark.oracle
def test_tai_minus_utc_agrees_with_astropy() -> None:
    from astropy.utils.iers import LeapSeconds  # type: ignore[import-untyped]  # noqa: PLC0415  slow to import

    table = LeapSeconds.from_erfa()
    theirs = [(f"{r['year']}-{r['month']:02d}-01", int(r["tai_utc"])) for r in table if r["year"] >= 1972]
    assert list(LEAP_SECONDS) == theirs


@pytest.mark.oracle
@given(st.integers(63_072_000, 1_860_000_000))  # ERFA doubts later years
def test_tt2000_agrees_with_astropy_at_any_second(second: int) -> None:
    from astropy.time import Time  # type: ignore[import-untyped]  # noqa: PLC0415  slow to import

    utc = Time(np.datetime64(second, "s").astype(str), scale="utc")
    since = utc.tt - Time("2000-01-01T12:00:00", scale="tt")
    # Days and their fraction are kept apart; astropy is good to a nanosecond or so.
    theirs = int(since.jd1) * DAY_NS + round(since.jd2 * DAY_NS)
    assert abs(int(tt2000_from_unix_ns(second * NS)) - theirs) < 1000


@given(UNIX_NS)
def test_utc_to_tt2000_and_back_is_exact(unix: int) -> None:
    assert int(unix_ns_from_tt2000(tt2000_from_unix_ns(unix))) == unix


@given(st.lists(UNIX_NS, max_size=5), st.sampled_from(LEAP_DAYS), st.integers(-2 * NS, 2 * NS))
def test_many_times_at_once_give_what_each_gives_alone(times: list[int], day: date, shift: int) -> None:
    tt2000 = np.array([*(int(tt2000_from_unix_ns(t)) for t in times), tt2000_of_day(day) + shift], np.int64)
    together = unix_ns_from_tt2000(tt2000).tolist()
    assert together == [int(unix_ns_from_tt2000(t)) for t in tt2000]
    assert together == [slow_unix_ns(int(t)) for t in tt2000]


def slow_unix_ns(tt2000: int) -> int:
    """Written without the table of segments: the latest day whose first instant is not after the time."""
    starts = [(tt2000_of_day(date.fromisoformat(day)), unix_ns(day)) for day, _ in LEAP_SECONDS]
    following = [unix for _, unix in starts[1:]] + [2**63 - 1]
    begun = [i for i, (start, _) in enumerate(starts) if start <= tt2000] or [0]
    start, unix = starts[begun[-1]]
    return min(unix + tt2000 - start, following[begun[-1]] - 1)


def test_no_time_at_all_is_no_error() -> None:
    assert unix_ns_from_tt2000(np.array([], np.int64)).tolist() == []
    assert day_number(np.array([], np.int64)).tolist() == []


# ---- instruments' clocks -----------------------------------------------------------------------------------------
def met(policy: str, coarse: int, fine: int | None = None) -> int:
    ticks = None if fine is None else np.array([fine], np.int64)
    return int(tt2000_from_met(clock(policy), np.array([coarse], np.int64), ticks)[0])


def test_a_clock_that_counts_si_seconds_runs_through_leap_seconds() -> None:
    # 2000-01-01T00:00:00 is 43,200 s before J2000 in UTC, and TT is 64.184 s ahead of UTC.
    assert met("leap", 0) == (64_184 - 43_200_000) * 1_000_000
    assert met("leap", 779_719_745, 2) == 779_719_745 * NS + 100 + (64_184 - 43_200_000) * 1_000_000


def test_a_clock_that_counts_as_unix_does_gains_a_second_at_each_leap_second() -> None:
    # Five leap seconds lie between 2000 and 2024.
    assert met("posix", 779_719_745) - met("leap", 779_719_745) == 5 * NS
    assert met("posix", 366 * 86_400) == tt2000_of_day(date(2001, 1, 1))


@pytest.mark.parametrize("policy", ["leap", "posix"])
@given(coarse=st.integers(0, 2**32 - 1), fine=st.integers(0, 19_999_999))
def test_what_a_clock_showed_is_got_back(policy: str, coarse: int, fine: int) -> None:
    assert int(met_from_tt2000(clock(policy), met(policy, coarse, fine))) == coarse * NS + fine * 50


@pytest.mark.parametrize("day", LEAP_DAYS[-5:], ids=NAMES[-5:])
def test_a_si_clock_tells_the_leap_second_from_its_neighbours(day: date) -> None:
    midnight = tt2000_of_day(day)
    shown = met_from_tt2000(clock("leap"), [midnight - NS, midnight]).tolist()
    assert shown[1] - shown[0] == NS
    assert tt2000_from_met(clock("leap"), np.array(shown) // NS, None).tolist() == [midnight - NS, midnight]


def test_only_times_of_the_mission_and_possible_ticks_are_believed() -> None:
    valid = ValidTime(start=date(2024, 2, 1), stop=date(2050, 1, 1))
    start, stop = tt2000_of_day(valid.start), tt2000_of_day(valid.stop)
    times = np.array([start - 1, start, stop - 1, stop], np.int64)
    ticks = np.array([0, 0, 19_999_999, 0], np.int64)
    assert believable(clock("leap"), valid, times, ticks).tolist() == [False, True, True, False]
    assert believable(clock("leap"), valid, times, None).tolist() == [False, True, True, False]
    assert believable(clock("leap"), valid, times, ticks + 20_000_000).tolist() == [False] * 4
    assert believable(clock("leap"), valid, times, ticks - 1).tolist() == [False, False, True, False]
