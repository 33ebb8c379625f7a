# SPDX-License-Identifier: Apache-2.0
"""TT2000 as UTC, with leap seconds: the day, and the text of ISO 8601."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from lake.clock import NS, day_number, tt2000_of_day

UNIX_EPOCH = date(1970, 1, 1)
LAST_SECOND = 86_399  # of a day; what comes after it is a leap second


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
