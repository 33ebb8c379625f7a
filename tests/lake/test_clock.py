# SPDX-License-Identifier: Apache-2.0
"""Time is exact: TT2000, UTC and the clocks of instruments, also across leap seconds."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from math import floor

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.unpack import compile_plan, unpack
from lake.clock import (
    DAY_NS,
    NS,
    believable,
    day_bounds,
    day_number,
    met_from_tt2000,
    possible,
    rounded_ns,
    tt2000_from_met,
    tt2000_from_unix_ns,
    tt2000_of_day,
    unix_ns_from_tt2000,
)
from lake.definitions import ValidTime
from lake.leap_seconds import LEAP_SECONDS
from lake.packet_definitions import Clock, Packet, PacketField
from tests.packets import pack

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

    def believed(fine: npt.NDArray[np.int64] | None) -> list[bool]:
        return believable(clock("leap"), valid, times, (times * 0, fine, None)).tolist()

    assert believed(ticks) == [False, True, True, False]
    assert believed(None) == [False, True, True, False]
    assert believed(ticks + 20_000_000) == [False] * 4
    assert believed(ticks - 1) == [False, False, True, False]


def test_seconds_that_would_wrap_to_a_time_of_the_mission_are_not_believed() -> None:
    valid = ValidTime(start=date(2024, 1, 1), stop=date(2050, 1, 1))
    # 2**55 turns of a billion nanoseconds are a whole number of 64-bit ranges.
    coarse = np.array([800_000_000, 800_000_000 + 2**55, -(2**63), 2**32], np.int64)
    times = tt2000_from_met(clock("leap"), coarse, None)
    assert times[0] == times[1]
    assert believable(clock("leap"), valid, times, (coarse, None, None)).tolist() == [True, False, False, False]
    assert possible(clock("leap"), np.array([2**32 - 1, -(2**32) + 1])).all()


# ---- CUC and CDS (CCSDS 301.0-B-4) ---------------------------------------------------------------------------------
def cuc(fine_octets: int) -> Clock:
    """An unsegmented time code with so many octets of fine time, counting SI seconds from 2000-01-01."""
    fine = {"fine": "fine", "fine_ticks_per_second": 256**fine_octets} if fine_octets else {}
    return Clock.model_validate({"epoch": "2000-01-01T00:00:00", "policy": "leap", "coarse": "coarse", **fine})


def cds(below_ms: int) -> Clock:
    """A day-segmented time code from 1958-01-01, with so many decimal places below a millisecond."""
    fine = {"fine": "below", "fine_ticks_per_second": 1000 * 10**below_ms} if below_ms else {}
    return Clock.model_validate(
        {
            "epoch": "1958-01-01T00:00:00",
            "policy": "posix",
            "days": "day",
            "coarse": "ms",
            "coarse_ticks_per_second": 1000,
            **fine,
        }
    )


def only(value: int) -> npt.NDArray[np.int64]:
    return np.array([value], np.int64)


@pytest.mark.parametrize(
    ("octets", "fine", "ns"),
    [
        (1, 0x80, 500_000_000),
        (1, 0xFF, 996_093_750),
        (2, 0x0001, 15_259),  # 15258.79 ns
        (2, 0xFFFF, 999_984_741),
        (3, 0x000001, 60),  # 59.6 ns
        (3, 0xC00000, 750_000_000),
        (3, 0xFFFFFF, 999_999_940),
        (4, 0x8000_0000, 500_000_000),
        (4, 0x0000_0005, 1),  # 1.16 ns
        (5, 0xFF_FFFF_FFFF, 1_000_000_000),
        (5, 0x40_0000_0000, 250_000_000),
        (6, 0xC000_0000_0000, 750_000_000),
        (7, 0xFF_FFFF_FFFF_FFFF, 1_000_000_000),
        (7, 0x40_0000_0000_0000, 250_000_000),
    ],
)
def test_a_cuc_time_counts_octets_of_a_second(octets: int, fine: int, ns: int) -> None:
    # The leap second 2016-12-31T23:59:60 is 6210 days and 4 leap seconds after 2000-01-01T00:00:00 UTC.
    found = tt2000_from_met(cuc(octets), only(6210 * 86_400 + 4), only(fine))
    assert found.tolist() == [536_500_869_184_000_000 - NS + ns]


@given(st.sampled_from([3, 7, 1000, 32_768, 20_000_000, 10**9, 256**4, 10**12, 256**5, 256**6, 256**7]), st.data())
def test_ticks_are_rounded_to_the_nearest_nanosecond(per_second: int, data: st.DataObject) -> None:
    ticks = data.draw(st.integers(0, per_second - 1))
    exact = Fraction(ticks * NS, per_second)
    assert int(rounded_ns(only(ticks), per_second)[0]) == floor(exact + Fraction(1, 2))


@pytest.mark.parametrize(
    ("below_ms", "below", "ns"),
    [
        (0, None, 0),
        (3, 999, 999_000),
        (9, 999_999_999, 1_000_000),
        (9, 1_499, 1),
        (9, 1_500, 2),
        (9, 123_456_000, 123_456),
    ],
)
def test_a_cds_time_has_days_milliseconds_and_what_is_below(below_ms: int, below: int | None, ns: int) -> None:
    # 2026-01-01 is day 24837 from 1958-01-01: 68 years of which 17 are leap years.
    assert 68 * 365 + 17 == 24_837
    fine = None if below is None else only(below)
    found = tt2000_from_met(cds(below_ms), only(43_200_123), fine, only(24_837))
    assert found.tolist() == [820_497_669_184_000_000 + 43_200_123_000_000 + ns]
    valid = ValidTime(start=date(2020, 1, 1), stop=date(2030, 1, 1))
    assert believable(cds(below_ms), valid, found, (only(43_200_123), fine, only(24_837))).all()


def test_what_is_below_a_millisecond_fills_it_and_no_more() -> None:
    valid = ValidTime(start=date(2020, 1, 1), stop=date(2030, 1, 1))
    for places, most in ((3, 999), (9, 999_999_999)):
        times = tt2000_from_met(cds(places), only(0), only(most), only(24_837))
        assert believable(cds(places), valid, times, (only(0), only(most), only(24_837))).all()
        assert not believable(cds(places), valid, times, (only(0), only(most + 1), only(24_837))).any()


def test_a_cds_time_beyond_its_day_or_its_days_is_not_believed() -> None:
    valid = ValidTime(start=date(2024, 1, 1), stop=date(2050, 1, 1))
    ms = np.array([0, 86_399_999, 86_400_000, 1000 + 2**31, -1, 1000], np.int64)
    days = np.array([24_837] * 5 + [24_700 + 2**23], np.int64)
    times = tt2000_from_met(cds(0), ms, None, days)
    assert believable(cds(0), valid, times, (ms, None, days)).tolist() == [True, True, False, False, False, False]
    assert possible(cds(0), only(0), None, only(65_535)).all()


def test_a_cuc_time_from_the_epoch_of_the_standard_counts_tai() -> None:
    # 1958-01-01 TAI; UTC is 10 s behind TAI before 1972 here, and 37 s behind in 2026.
    level_1 = cuc(2).model_copy(update={"epoch": "1957-12-31T23:59:50"})
    found = tt2000_from_met(level_1, only(24_837 * 86_400 + 37), only(0))
    assert found.tolist() == [tt2000_of_day(date(2026, 1, 1))]


@pytest.mark.parametrize("bits", [16, 24])
def test_a_secondary_header_with_a_cds_time_is_read_as_plain_fields(bits: int) -> None:
    widths = {"preamble": 8, "day": bits, "ms": 32, "below": 16}
    fields = tuple(PacketField(name=name, kind="uint", bits=width) for name, width in widths.items())
    packet = Packet(name="timed", apids=(9,), fields=fields, max_bytes=32, secondary_header=1)
    # 65,536 days reach to 2137-06-06; 24 bits of days go on from there.
    day = 24_837 if bits == 16 else 65_600
    values = {"preamble": 0x40, "day": day, "ms": 1_500, "below": 250}
    octets = pack(packet, list(values.values()))
    columns = unpack(compile_plan(packet), octets, only(0), only(len(octets))).columns
    ms, below, days = (np.asarray(columns[name]).astype(np.int64) for name in ("ms", "below", "day"))
    midnight = tt2000_of_day(date(1958, 1, 1) + timedelta(days=day))
    assert tt2000_from_met(cds(3), ms, below, days).tolist() == [midnight + NS + 500_250_000]


@pytest.mark.oracle
@given(st.integers(5_200, 25_600), st.integers(0, 86_399_999), st.integers(0, 999))  # 1972 to 2028
@settings(max_examples=60)
def test_cds_times_are_those_of_astropy(days: int, ms: int, us: int) -> None:
    from astropy.time import Time  # type: ignore[import-untyped]  # noqa: PLC0415  slow to import

    day = (date(1958, 1, 1) + timedelta(days=days)).isoformat()
    midnight = Time(day, scale="utc")
    since = midnight.tt - Time("2000-01-01T12:00:00", scale="tt")
    theirs = int(since.jd1) * DAY_NS + round(since.jd2 * DAY_NS) + ms * 1_000_000 + us * 1000
    assert abs(int(tt2000_from_met(cds(3), only(ms), only(us), only(days))[0]) - theirs) < 1000


@pytest.mark.oracle
@given(st.integers(0, 900_000_000), st.integers(0, 2**24 - 1))
@settings(max_examples=60)
def test_cuc_times_are_those_of_astropy(coarse: int, fine: int) -> None:
    from astropy.time import Time, TimeDelta  # type: ignore[import-untyped]  # noqa: PLC0415  slow to import

    theirs = Time("2000-01-01", scale="utc").tai + TimeDelta(coarse, fine / 2**24, format="sec", scale="tai")
    since = theirs.tt - Time("2000-01-01T12:00:00", scale="tt")
    exact = int(since.jd1) * DAY_NS + round(since.jd2 * DAY_NS)
    assert abs(int(tt2000_from_met(cuc(3), only(coarse), only(fine))[0]) - exact) < 1000
