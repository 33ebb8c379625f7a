# SPDX-License-Identifier: Apache-2.0
"""The time axis of a picture: all of a day, or what a short session lasted, in bins that clocks have."""

from __future__ import annotations

import numpy as np
import pytest

from monitor.quicklooks.bins import DAY_US, SECOND_US, Bins, Span, bins_for, filled_to, median_step, shown_span
from tests.monitor.quicklooks.sky import DAY, MIDNIGHT

HOUR = 3600 * SECOND_US
WHOLE = Span(MIDNIGHT, MIDNIGHT + DAY_US)


def test_a_day_of_data_is_shown_from_midnight_to_midnight() -> None:
    assert shown_span(DAY, [(MIDNIGHT + HOUR, MIDNIGHT + 5 * HOUR)]) == WHOLE


def test_a_session_of_half_an_hour_is_shown_to_full_five_minutes() -> None:
    start = MIDNIGHT + 7 * HOUR
    found = shown_span(DAY, [(start + 61 * SECOND_US, start + 100 * SECOND_US), (start, start + 1799 * SECOND_US)])
    assert found == Span(start, start + 1800 * SECOND_US)


@pytest.mark.parametrize(("seconds", "start", "width"), [(8, 86390, 10), (45, 86340, 60), (170, 86100, 300)])
def test_a_few_rows_before_midnight_fill_their_picture(seconds: int, start: int, width: int) -> None:
    last = MIDNIGHT + DAY_US - SECOND_US
    found = shown_span(DAY, [(last - seconds * SECOND_US, last)])
    assert found == Span(MIDNIGHT + start * SECOND_US, MIDNIGHT + DAY_US)
    assert found.stop - found.start == width * SECOND_US


def test_one_row_has_a_span_around_it() -> None:
    assert shown_span(DAY, [(MIDNIGHT + 5, MIDNIGHT + 5)]) == Span(MIDNIGHT, MIDNIGHT + 10 * SECOND_US)


def test_a_day_without_rows_of_its_own_is_shown_whole() -> None:
    assert shown_span(DAY, [(MIDNIGHT - HOUR, MIDNIGHT - 1)]) == WHOLE


@pytest.mark.parametrize(
    ("span", "cadence_s", "width_s"),
    [(WHOLE, 0.1, 60), (WHOLE, 10, 60), (WHOLE, 90, 120), (Span(0, HOUR // 2), 1, 2), (Span(0, HOUR // 2), 4, 5)],
)
def test_bins_are_as_wide_as_a_pixel_and_no_narrower_than_a_cadence(span: Span, cadence_s: float, width_s: int) -> None:
    assert bins_for(span, cadence_s * SECOND_US).seconds == width_s


def test_the_usual_step_does_not_care_about_gaps() -> None:
    assert median_step(np.array([0, 10, 20, 5000, 5010])) == 10


def test_a_bin_between_two_rows_shows_the_first_and_a_gap_nothing() -> None:
    held = np.array([True, False, True, False, False, False, True, False])
    assert filled_to(held, 2).tolist() == [0, 0, 2, -1, -1, -1, 6, -1]


def test_the_last_bin_may_reach_beyond_the_span() -> None:
    assert Bins(Span(0, 25), 10).edges.tolist() == [0, 10, 20, 30]
