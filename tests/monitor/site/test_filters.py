# SPDX-License-Identifier: Apache-2.0
"""Values are written as people read them, and places hold no name from outside."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from monitor.site import places
from monitor.site.filters import day, duration, number, share, size, utc


def test_times_are_told_in_utc_whatever_zone_they_came_in() -> None:
    assert utc(datetime(2026, 8, 1, 2, 30, tzinfo=timezone(timedelta(hours=2)))) == "2026-08-01 00:30:00"
    assert day(date(2026, 8, 1)) == "2026-08-01"


def test_what_is_not_there_is_a_dash() -> None:
    assert {utc(None), day(None), number(None), number(math.nan), size(None), share(None), duration(None)} == {"-"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234567, "1,234,567"),
        (0.123456, "0.1235"),
        (2.0, "2"),
        (-1e-9, "-1e-09"),
        (9999.4, "9,999"),
        (9999.6, "10,000"),
        (-84601.7, "-84,602"),
        (1e300, "1e+300"),
        (math.inf, "inf"),
    ],
)
def test_numbers_have_four_digits_and_all_before_the_point_with_thousands_set_apart(value: float, text: str) -> None:
    assert number(value) == text


def test_numbers_have_as_many_digits_as_asked_for() -> None:
    assert [number(value, 7) for value in (84601.75, 123456789.5, 0.5)] == ["84,601.75", "123,456,790", "0.5"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (8e-6, "0 s"),
        (0.1234, "0.123 s"),
        (119.4, "119 s"),
        (119.96, "2 min"),
        (120, "2 min"),
        (7260, "2 h 1 min"),
        (172_800, "2 d 0 h"),
        (9_791_062, "113 d 7 h"),
    ],
)
def test_durations_have_their_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_share_is_100_percent_only_if_nothing_is_missing() -> None:
    assert [share(value) for value in (1.0, 0.999999, 0.5, 0.0)] == ["100 %", "99.99 %", "50 %", "0 %"]


def test_sizes_have_units_of_a_thousand() -> None:
    assert [size(value) for value in (999, 1000, 2_500_000, 3e15)] == ["999 B", "1 kB", "2.5 MB", "3e+03 TB"]
    assert [size(value) for value in (999_400, 999_900, 999_999_999)] == ["999 kB", "1 MB", "1 GB"]


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "", "-x", "x" * 200, 'a"b', "a\nb", "javascript:x"])
def test_names_from_outside_become_hashes_in_places(name: str) -> None:
    for place in (places.alert(name), places.files(name), places.matrix(name), places.file(name, name)):
        folder, _, file = place.partition("/")
        assert folder in ("alerts", "files", "matrix")
        assert file.removesuffix(".html").replace("-", "").isalnum()


def test_names_of_two_files_with_the_same_bytes_have_two_pages() -> None:
    assert places.file("ab" * 32, "one.dat") != places.file("ab" * 32, "two.dat")
    assert utc(datetime(2026, 8, 1, tzinfo=UTC), "%H:%M") == "00:00"
