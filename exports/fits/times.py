# SPDX-License-Identifier: Apache-2.0
"""TT2000 as FITS counts: days of the Modified Julian Date, and seconds since a UTC day began."""

from __future__ import annotations

from datetime import date

import numpy as np

from exports.cdf.spec import Values
from lake.clock import NS, tt2000_of_day

MJD_EPOCH = date(1858, 11, 17)  # day 0 of the Modified Julian Date
NO_TIME = -(2**63)  # fill value of TT2000


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
