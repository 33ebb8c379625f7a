# SPDX-License-Identifier: Apache-2.0
"""One cell of a record as a value of its field's type: exactly, or not at all."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np

from lake.errors import RecordError
from lake.leap_seconds import LEAP_SECONDS
from lake.packet_definitions import INTEGER_BITS, ColumnType
from lake.source_definitions import RecordField

# Text without a value. Other words, such as a lone hyphen, are refused: they may mean something.
NULLS = frozenset({"", "null", "none", "na", "n/a"})
BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
LONGEST_NUMBER = 400  # letters; the longest double written out has 327

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_WORD = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,12}))?)?)?(Z|[+-]\d\d:?\d\d)?", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Unix seconds of the midnights behind the seconds 23:59:60; the table begins with a midnight behind none.
_AFTER_LEAP_SECONDS = frozenset(
    datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp() for day, _ in LEAP_SECONDS[1:]
)


def value_of(field: RecordField, cell: object) -> Any:
    """The value of a cell, which is text or what JSON has; None if it has none.

    Times are microseconds since 1970 UTC; without a zone they are UTC. A leap second is the last microsecond before it
    ends. Text of a field that may be null is null if it
    has no letter. Raises RecordError: what is wrong with the cell, without its place.
    """
    if isinstance(cell, str) and (field.type != "string" or field.list):
        cell = cell.strip()
        cell = None if cell.lower() in NULLS else cell
    if cell is None or (cell == "" and field.nullable):
        if not field.nullable:
            raise RecordError("has no value, and the field needs one")
        return None
    if field.list:
        return [_item(field, item) for item in _items(cell)]
    return _READERS[field.type](cell, field.type)


def _item(field: RecordField, item: object) -> Any:
    if item is None and not field.nullable:
        raise RecordError("has an item without a value")
    return None if item is None else _READERS[field.type](item, field.type)


def _items(cell: object) -> list[Any]:
    """The items of a list, or of one written as text: `[66, 69, 83]`."""
    if isinstance(cell, str) and cell.startswith("[") and cell.endswith("]"):
        try:
            cell = json.loads(cell, parse_float=_finite)
        except (ValueError, RecursionError):
            cell = None
    if not isinstance(cell, list):
        raise RecordError("is no list such as [1, 2]")
    return cell


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise RecordError(f"{shown(text)} does not fit float64")
    return value


def _number(cell: object) -> str | float:
    """A number as JSON has it, or the text of one."""
    if isinstance(cell, (int, float)) and not isinstance(cell, bool):
        return cell
    if isinstance(cell, str) and len(cell) <= LONGEST_NUMBER and (_NUMBER.fullmatch(cell) or _WORD.fullmatch(cell)):
        return cell
    raise RecordError("is no number")


def _integer(cell: object, kind: ColumnType) -> int:
    number = _number(cell)
    if not isinstance(number, int):
        if abs(float(number)) >= 2**64:  # before a number with a thousand digits is made of 1e1000
            raise RecordError(f"does not fit {kind}")
        exact = Decimal(number)
        if exact != exact.to_integral_value():
            raise RecordError("is no whole number")
        number = int(exact)
    half = 1 << INTEGER_BITS[kind] - 1
    if not -half <= number < half:
        raise RecordError(f"does not fit {kind}")
    return number


def _real(cell: object, kind: ColumnType) -> float:
    number = _number(cell)
    try:
        value = float(number)
    except OverflowError:  # a JSON integer
        value = math.inf
    finite = not (isinstance(number, str) and _WORD.fullmatch(number)) and number not in (math.inf, -math.inf)
    with np.errstate(over="ignore"):
        stored = value if kind == "float64" else float(np.float32(value))
    if math.isinf(stored) and finite:
        raise RecordError(f"does not fit {kind}")
    return stored


def _boolean(cell: object, kind: ColumnType) -> bool:
    found = cell if isinstance(cell, bool) else BOOLEANS.get(str(cell).lower())
    if found is None:
        raise RecordError("is neither true nor false")
    return found


def _string(cell: object, kind: ColumnType) -> str:
    if not isinstance(cell, str):
        raise RecordError("is no text")
    try:
        cell.encode()
    except UnicodeEncodeError:  # JSON may name half of a pair of surrogates
        raise RecordError("is no text that UTF-8 can hold") from None
    return cell


def _binary(cell: object, kind: ColumnType) -> bytes:
    if not isinstance(cell, str):  # the digits of a number are no bytes
        raise RecordError("is not whole bytes in hexadecimal")
    try:
        return bytes.fromhex(cell.removeprefix("0x"))
    except ValueError:
        raise RecordError("is not whole bytes in hexadecimal") from None


def _date(cell: object, kind: ColumnType) -> date:
    try:
        return datetime.strptime(str(cell), "%Y-%m-%d").date()
    except ValueError:
        raise RecordError("is no date; dates are written 2024-09-16") from None


def _timestamp(cell: object, kind: ColumnType) -> int:
    found = _TIME.fullmatch(cell) if isinstance(cell, str) else None
    try:
        if found is None:
            raise ValueError
        *parts, fraction, zone = found.groups(default="")
        *minute, second = (int(part or 0) for part in parts)
        whole = datetime(*minute, min(second, 59), tzinfo=_zone(zone))  # type: ignore[misc,arg-type]
        if second == 60 and (whole - _EPOCH).total_seconds() + 1 in _AFTER_LEAP_SECONDS:
            fraction = "999999"  # the last microsecond of its day, for Unix time has no more
        elif second > 59:
            raise ValueError
    except ValueError:
        raise RecordError("is no time; times are written 2024-09-16T12:00:00.5Z") from None
    if fraction[6:].strip("0"):
        raise RecordError("is finer than a microsecond, which timestamp cannot hold")
    return (whole - _EPOCH) // timedelta(microseconds=1) + int(fraction[:6].ljust(6, "0"))


def _zone(text: str) -> timezone:
    if text in ("", "Z"):
        return UTC
    ahead = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    if int(text[-2:]) > 59:
        raise ValueError
    return timezone(-ahead if text[0] == "-" else ahead)


_READERS: dict[ColumnType, Callable[[object, ColumnType], Any]] = {
    **dict.fromkeys(INTEGER_BITS, _integer),
    "float32": _real,
    "float64": _real,
    "bool": _boolean,
    "string": _string,
    "binary": _binary,
    "date": _date,
    "timestamp": _timestamp,
}


def shown(cell: object) -> str:
    """A cell in a message: one line, not long."""
    text = ascii(cell)
    return text if len(text) <= 60 else f"{text[:50]}... ({len(text)} letters)"
