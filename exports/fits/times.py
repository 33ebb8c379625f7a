# SPDX-License-Identifier: Apache-2.0
"""TT2000 as FITS writes times: ISO 8601 in UTC with leap seconds, and seconds since a UTC day began."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np

from exports.cdf.spec import Values
from lake.clock import NS, day_number, tt2000_of_day

UNIX_EPOCH = date(1970, 1, 1)
MJD_EPOCH = date(1858, 11, 17)  # day 0 of the Modified Julian Date
LAST_SECOND = 86_399  # of a day; what comes after it is a leap second
NO_TIME = -(2**63)  # fill value of TT2000


def day_of(tt2000: int) -> date:
    """The UTC day of a TT2000."""
    return UNIX_EPOCH + timedelta(days=int(day_number(tt2000)))


def iso_utc(tt2000: int) -> str:
    """The time as `2024-09-16T12:29:01.000000123`; 23:59:60 in a leap second (FITS standard 4.0, section 9.1.1)."""
    day = day_of(tt2000)
    second, ns = divmod(tt2000 - tt2000_of_day(day), NS)
    beyond = max(0, second - LAST_SECOND)
    clock = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(seconds=second - beyond)
    return f"{clock:%Y-%m-%dT%H:%M}:{clock.second + beyond:02d}.{ns:09d}"


def modified_julian_date(day: date) -> int:
    """The Modified Julian Date at which a UTC day begins."""
    return (day - MJD_EPOCH).days


def seconds_of_day(tt2000: Values, day: date) -> Values:
    """Seconds since the UTC day began, a leap second counted like any other; NaN for the fill value.

    The difference in nanoseconds is exact in 64 bits and in a double, so that one rounding is all there is.
    """
    midnight, missing = tt2000_of_day(day), tt2000 == NO_TIME
    elapsed = np.where(missing, midnight, tt2000).astype(np.int64) - midnight
    return np.where(missing, np.nan, elapsed / NS)
