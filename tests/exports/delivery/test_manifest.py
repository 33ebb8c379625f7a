# SPDX-License-Identifier: Apache-2.0
"""Times in manifests and catalogues, and what history makes of changes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from exports.delivery.catalogue import _utc
from exports.delivery.manifest import changes, utc_text

# TT2000 counts from 2000-01-01T12:00:00 TT. 2016-12-31T00:00:00Z is 6208.5 days of 86,400 s later, plus
# TT - UTC = 68.184 s (36 leap seconds and 32.184 s); the leap second 23:59:60 begins 86,400 s after that.
LAST_DAY_OF_2016 = 536_414_400_000_000_000 + 68_184_000_000
LEAP_SECOND = LAST_DAY_OF_2016 + 86_400_000_000_000
TIMES = [
    (LAST_DAY_OF_2016, "2016-12-31T00:00:00.000000000Z"),
    (LEAP_SECOND - 1, "2016-12-31T23:59:59.999999999Z"),
    (LEAP_SECOND, "2016-12-31T23:59:60.000000000Z"),
    (LEAP_SECOND + 250_000_001, "2016-12-31T23:59:60.250000001Z"),
    (LEAP_SECOND + 1_000_000_000, "2017-01-01T00:00:00.000000000Z"),
]


@pytest.mark.parametrize(("tt2000", "text"), TIMES)
def test_a_leap_second_has_a_name(tt2000: int, text: str) -> None:
    assert utc_text(tt2000) == text


def test_a_column_of_times_is_written_as_each_of_them() -> None:
    assert _utc(pl.Series([*(time for time, _ in TIMES), None])).to_list() == [*(text for _, text in TIMES), None]
    assert _utc(pl.Series([None, None], dtype=pl.Int64)).to_list() == [None, None]


def history(*events: tuple[str, str]) -> pl.DataFrame:
    """Events of versions of one product-day, in order."""
    plain = {"product": "toy.box_l1_tick", "day": date(2024, 9, 16), "format": "cdf", "dataset": "d", "detail": "why"}
    facts: dict[str, Any] = plain | {
        "bytes": 1,
        "sha256": "0",
        "batch": "b",
        "attempted_at": datetime(2026, 8, 1, tzinfo=UTC),
    }
    return pl.DataFrame([facts | {"event": event, "version": version, "path": version} for event, version in events])


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([("delivered", "1.0.9"), ("delivered", "1.0.10")], ["added 1.0.9", "superseded 1.0.9", "added 1.0.10"]),
        ([("delivered", "1.0.10"), ("delivered", "1.0.9")], ["added 1.0.10", "added 1.0.9"]),
        ([("delivered", "1.0.0"), ("lost", "1.0.0"), ("delivered", "1.0.0")], ["added 1.0.0", "restored 1.0.0"]),
        (
            [("delivered", "1.0.0"), ("delivered", "1.0.1"), ("lost", "1.0.0"), ("delivered", "1.0.0")],
            ["added 1.0.0", "superseded 1.0.0", "added 1.0.1", "restored 1.0.0"],
        ),
        (
            [("delivered", "1.0.0"), ("withdrawn", "1.0.0"), ("delivered", "1.0.1")],
            ["added 1.0.0", "withdrawn 1.0.0", "added 1.0.1"],
        ),
        ([("failed", "1.0.0"), ("verified", "1.0.0"), ("accepted", "1.0.0")], []),
    ],
)
def test_changes_follow_from_history(events: list[tuple[str, str]], told: list[str]) -> None:
    assert [f"{line['change']} {line['path']}" for line in changes(history(*events))] == told


def test_a_new_version_names_what_it_supersedes_even_if_that_was_withdrawn() -> None:
    events = history(("delivered", "1.0.0"), ("withdrawn", "1.0.0"), ("delivered", "1.0.1"))
    assert list(changes(events))[-1]["supersedes"] == "1.0.0"
