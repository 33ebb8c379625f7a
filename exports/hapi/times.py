# SPDX-License-Identifier: Apache-2.0
"""Times of HAPI: text to TT2000 and back, exact to the nanosecond, with leap seconds.

Source: HAPI Data Access Specification 3.3, section 3.7.6, a subset of ISO 8601.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np

from lake.clock import NS, Int64, day_number, tt2000_of_day

LENGTH = len("2026-08-01T00:00:00.000000000Z")
# What ISTP writes for the fill value of TT2000; as long as any other time, as HAPI demands.
FILL = "9999-12-31T23:59:59.999999999Z"
UNIX_EPOCH = date(1970, 1, 1)
LAST_SECOND = 86_399  # of a day; what comes after it is a leap second
# 64 bits of nanoseconds reach from 1707 (TT2000) to 2262 (Unix time). No data are outside, so that the first and last
# year stand for all beyond.
YEARS = (1708, 2261)
TIME = re.compile(
    r"(?P<year>\d{4})"
    r"(?:-(?P<doy>\d{3})|-(?P<month>\d\d)(?:-(?P<day>\d\d))?)?"
    r"(?:T(?:(?P<hour>\d\d)(?::(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,30})?)?)?)?)?)?Z?",
    re.ASCII,
)

Texts = np.ndarray[Any, np.dtype[np.bytes_]]


def parse_time(text: str) -> int:
    """TT2000 [ns] of a time that may lack its end and its Z; below a nanosecond it is rounded up.

    Rounded up, since of the records of whole nanoseconds those from it on, and those before it, are then the same.
    Raises ValueError if it is none, such as 23:59:60 on a day without a leap second.
    """
    match = TIME.fullmatch(text)
    if match is None:
        raise ValueError("is no yyyy-mm-ddThh:mm:ss.sssZ or yyyy-dddThh:mm:ss.sssZ, whole or shortened from its end")
    parts = match.groupdict()
    if parts["hour"] and not (parts["doy"] or parts["day"]):
        raise ValueError("has an hour without a day")
    day = _day(parts)
    hour, minute, second = (int(parts[name] or 0) for name in ("hour", "minute", "second"))
    fraction = (parts["fraction"] or "").ljust(9, "0")
    ns = int(fraction[:9]) + bool(fraction[9:].strip("0"))
    if hour == 24 and not (minute or second or ns):
        return tt2000_of_day(day + timedelta(days=1))
    length = (tt2000_of_day(day + timedelta(days=1)) - tt2000_of_day(day)) // NS
    elapsed = hour * 3600 + minute * 60 + second
    if hour > 23 or minute > 59 or (second > 59 and not LAST_SECOND < elapsed < length):
        raise ValueError("is no time of that day")
    return tt2000_of_day(day) + elapsed * NS + ns


def _day(parts: dict[str, str | None]) -> date:
    year = int(parts["year"] or 0)
    if year == 0:
        raise ValueError("has no year of the calendar")
    near = min(max(year, YEARS[0]), YEARS[1])
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if parts["doy"]:
        number = int(parts["doy"])
        if not 1 <= number <= 365 + leap:
            raise ValueError("has no such day")
        return date(near, 1, 1) + timedelta(days=number - 1)
    month, day = int(parts["month"] or 1), int(parts["day"] or 1)
    try:
        return date(near, month, day) if near == year else date(near, month, min(day, 28))
    except ValueError:
        raise ValueError("has no such day") from None


def texts(tt2000: Int64) -> Texts:
    """Times of TT2000 [ns] as bytes of one length, such as 2026-08-01T00:00:00.000000000Z; the fill value as FILL."""
    if not len(tt2000):
        return np.empty(0, f"S{LENGTH}")
    days = day_number(tt2000[[0, -1]])
    first, last = int(tt2000.min()), int(tt2000.max())
    if days[0] == days[1] and (first, last) == (int(tt2000[0]), int(tt2000[-1])):
        return _of_day(int(days[0]), tt2000)
    return _of_any_days(tt2000)


def text(tt2000: int) -> str:
    """One time."""
    return str(texts(np.array([tt2000], np.int64))[0].decode())


def _of_any_days(tt2000: Int64) -> Texts:
    result = np.full(len(tt2000), FILL.encode(), f"S{LENGTH}")
    known = np.flatnonzero(tt2000 != np.iinfo(np.int64).min)
    numbers = day_number(tt2000[known])
    for number in np.unique(numbers):
        where = known[numbers == number]
        result[where] = _of_day(int(number), tt2000[where])
    return result


def _of_day(number: int, tt2000: Int64) -> Texts:
    """Times of one UTC day, each put together from ready texts of its second and of its thousands of nanoseconds."""
    day = UNIX_EPOCH + timedelta(days=number)
    seconds, ns = np.divmod(tt2000 - tt2000_of_day(day), NS)
    clock, thousands = _clock_texts(), _thousands()
    result = np.empty((len(tt2000), LENGTH), np.uint8)
    result[:, :11] = np.frombuffer(f"{day.isoformat()}T".encode(), np.uint8)
    result[:, 11:19] = clock[seconds]
    result[:, 19] = ord(".")
    micros, nanos = np.divmod(ns.astype(np.int32), 1000)
    millis, micros = np.divmod(micros, 1000)
    for at, number_of in ((20, millis), (23, micros), (26, nanos)):
        result[:, at : at + 3] = thousands[number_of]
    result[:, 29] = ord("Z")
    return result.view(f"S{LENGTH}")[:, 0]


@cache
def _clock_texts() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """hh:mm:ss of each second of a day, and 23:59:60."""
    seconds, two = np.arange(LAST_SECOND + 2), _thousands()[:, 1:]
    result = np.full((len(seconds), 8), ord(":"), np.uint8)
    for at, numbers in ((0, seconds // 3600), (3, seconds // 60 % 60), (6, seconds % 60)):
        result[:, at : at + 2] = two[numbers]
    result[-1] = np.frombuffer(b"23:59:60", np.uint8)
    return result


@cache
def _thousands() -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.frombuffer("".join(f"{number:03d}" for number in range(1000)).encode(), np.uint8).reshape(-1, 3)
