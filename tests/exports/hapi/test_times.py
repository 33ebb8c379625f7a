# SPDX-License-Identifier: Apache-2.0
"""Times as HAPI takes and gives them."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exports.hapi.times import FILL, LENGTH, parse_time, text, texts
from exports.utc import iso_utc
from lake.clock import tt2000_of_day

SECOND = 10**9
# From 1708 to 2261, the years that both TT2000 and Unix time can hold in 64 bits of nanoseconds.
MOMENTS = st.integers(tt2000_of_day(date(1708, 1, 1)), tt2000_of_day(date(2261, 12, 31)))


@pytest.mark.parametrize(
    ("given_text", "whole"),
    [
        ("2026", "2026-01-01T00:00:00"),
        ("2026Z", "2026-01-01T00:00:00"),
        ("2026-08", "2026-08-01T00:00:00"),
        ("2026-213", "2026-08-01T00:00:00"),
        ("2024-366Z", "2024-12-31T00:00:00"),
        ("2026-08-02Z", "2026-08-02T00:00:00"),
        ("2026-08-02T", "2026-08-02T00:00:00"),
        ("2026-08-02T03", "2026-08-02T03:00:00"),
        ("2026-214T03Z", "2026-08-02T03:00:00"),
        ("2026-08-02T03:04", "2026-08-02T03:04:00"),
        ("2026-08-02T03:04:05.", "2026-08-02T03:04:05"),
        ("2026-08-02T24:00:00Z", "2026-08-03T00:00:00"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:60"),
    ],
)
def test_what_is_missing_is_the_least_it_can_be(given_text: str, whole: str) -> None:
    assert text(parse_time(given_text)) == f"{whole}.000000000Z"


@pytest.mark.parametrize(
    "bad",
    [
        "", "Z", "now", "26-08-01", "2026-8-1", "2026-13", "2026-02-29", "2025-366", "2026-000", "0000-01-01",
        "2026-08-01T24:00:01", "2026-08-01T25", "2026-08-01T00:60", "2026-08-01T00:00:60", "2026-08-01T23:59:60",
        "2026-08T01", "2026-08-01 00:00", "2026-08-01T00:00:00+01:00", "2026-08-01T00:00:00ZZ", "2026-08-01T00:00:00,5",
        "\N{FULLWIDTH DIGIT TWO}026-08-01", "2026-08-01\n", "2026-08-01T00:00:00." + "0" * 31,
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match=r"has|is no"):
        parse_time(bad)


def test_below_a_nanosecond_it_is_rounded_up() -> None:
    """A record of that nanosecond is before it, and so is neither from a start on nor kept from a stop."""
    whole = parse_time("2026-08-01T00:00:00.000000001Z")
    assert parse_time("2026-08-01T00:00:00.0000000001Z") == whole
    assert parse_time("2026-08-01T00:00:00.0000000010Z") == whole


def test_years_that_no_data_can_have_lie_on_their_side() -> None:
    assert parse_time("0001") < parse_time("1970")
    assert parse_time("9999-12-31T23:59:59.999Z") > parse_time("2200")


@settings(deadline=None)
@given(MOMENTS)
def test_a_time_is_its_text_and_back(tt2000: int) -> None:
    assert parse_time(text(tt2000)) == tt2000


@settings(deadline=None)
@given(st.lists(MOMENTS, max_size=20))
def test_many_times_are_texts_as_each_by_itself(moments: list[int]) -> None:
    assert [t.decode() for t in texts(np.array(moments, np.int64))] == [f"{iso_utc(m)}Z" for m in moments]


def test_a_leap_second_has_its_own_texts() -> None:
    end = tt2000_of_day(date(2017, 1, 1))
    found = texts(np.arange(end - 2 * SECOND, end + SECOND, SECOND // 2))
    assert [t.decode()[11:21] for t in found] == [
        "23:59:59.0", "23:59:59.5", "23:59:60.0", "23:59:60.5", "00:00:00.0", "00:00:00.5",
    ]  # fmt: skip


def test_no_time_is_a_text_of_the_same_length() -> None:
    found = texts(np.array([np.iinfo(np.int64).min, 0]))
    assert found.tolist() == [FILL.encode(), b"2000-01-01T11:58:55.816000000Z"]
    assert len(FILL) == LENGTH
