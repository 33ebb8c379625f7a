# SPDX-License-Identifier: Apache-2.0
"""Times in FITS: UTC with leap seconds, and exact seconds of the day."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from astropy.time import Time
from astropy.utils.iers import conf

from exports.fits.times import modified_julian_date, seconds_of_day
from exports.utc import day_of, iso_utc
from lake.clock import tt2000_of_day
from tests.exports.conftest import DAY, MIDNIGHT

# 2017-01-01T00:00:00 UTC follows the last leap second: 6209.5 days after J2000, 64.184 s of 1999, 5 leap seconds since.
NEW_YEAR = 6209 * 86_400_000_000_000 + 43_200_000_000_000 + 64_184_000_000 + 5_000_000_000


def test_a_time_is_written_to_the_nanosecond() -> None:
    assert iso_utc(MIDNIGHT + 44_941_000_000_123) == "2024-09-16T12:29:01.000000123"


def test_the_leap_second_is_second_60_of_the_old_day() -> None:
    assert iso_utc(NEW_YEAR - 1) == "2016-12-31T23:59:60.999999999"
    assert iso_utc(NEW_YEAR - 1_000_000_000) == "2016-12-31T23:59:60.000000000"
    assert iso_utc(NEW_YEAR - 1_000_000_001) == "2016-12-31T23:59:59.999999999"
    assert iso_utc(NEW_YEAR) == "2017-01-01T00:00:00.000000000"


def test_the_day_with_a_leap_second_has_86401_seconds() -> None:
    last = np.array([NEW_YEAR - 1_000_000_000, NEW_YEAR])
    assert seconds_of_day(last, date(2016, 12, 31)).tolist() == [86_400.0, 86_401.0]
    assert day_of(NEW_YEAR - 1) == date(2016, 12, 31)


@pytest.mark.parametrize("day", [date(2016, 12, 31), date(2017, 1, 1), DAY])
def test_astropy_has_the_same_times(day: date) -> None:
    ours = tt2000_of_day(day) + 86_399_123_456_789
    with conf.set_temp("auto_download", False):
        theirs = Time(iso_utc(ours), scale="utc").tt - Time("2000-01-01T12:00:00", scale="tt")
    assert round(theirs.to_value("s") * 1e6) == round(ours / 1e3)
    assert modified_julian_date(day) == Time(str(day)).mjd


def test_a_missing_time_is_not_a_number() -> None:
    times = np.array([MIDNIGHT, -(2**63), MIDNIGHT + 1])
    np.testing.assert_array_equal(seconds_of_day(times, DAY), [0.0, np.nan, 1e-9])
