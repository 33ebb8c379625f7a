# SPDX-License-Identifier: Apache-2.0
"""How templates write values: times in UTC, sizes, shares. What is not there is a dash."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

NOTHING = "-"
ROUNDED_UP = 999.5  # from here on three digits give 1000, which is one of the next unit
HUGE = 1e15  # from here on a float64 has no digit behind the point, and nobody counts the ones before it


def utc(value: datetime | None, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A time in UTC; pages say once that all times are."""
    return NOTHING if value is None else f"{value.astimezone(UTC):{form}}"


def day(value: date | None) -> str:
    """A UTC date such as 2026-08-01."""
    return NOTHING if value is None else f"{value:%Y-%m-%d}"


def number(value: float | None, digits: int = 4) -> str:
    """A number with at most so many significant digits, but no fewer than it has before the point; thousands set apart.

    Floats from 1e15 on, and those nearer to zero than 1e-4, have an exponent.
    """
    if value is None or math.isnan(value):
        return NOTHING
    if isinstance(value, int):
        return f"{value:,}"
    if abs(value) < HUGE and (value.is_integer() or abs(value) >= 10**digits - 0.5):
        return f"{value:,.0f}"
    return f"{value:,.{digits}g}"


def size(value: float | None) -> str:
    """Bytes in the largest unit of 1000 that is not above them."""
    if value is None:
        return NOTHING
    if abs(value) < 1000:
        return f"{int(value)} B"
    for unit in ("kB", "MB", "GB"):
        value /= 1000
        if abs(value) < ROUNDED_UP:
            return f"{value:.3g} {unit}"
    return f"{value / 1000:.3g} TB"


def share(value: float | None) -> str:
    """A share in percent; 100 % only if nothing is missing."""
    if value is None:
        return NOTHING
    return "100 %" if value >= 1 else f"{min(value * 100, 99.99):.4g} %"


def duration(seconds: float | None) -> str:
    """A time span in its two largest units."""
    if seconds is None:
        return NOTHING
    if seconds < 119.5:  # from there on three digits give 120
        return f"{round(seconds, 3):.3g} s"
    minutes = int(max(seconds, 120) // 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


FILTERS: dict[str, Callable[..., Any]] = {
    "utc": utc,
    "day": day,
    "number": number,
    "size": size,
    "share": share,
    "duration": duration,
}
