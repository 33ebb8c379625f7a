# SPDX-License-Identifier: Apache-2.0
"""Alarm ranges of XTCE types: those of the default, and those of contexts, which come before it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import get_args

from lake.watch_definitions import Color
from lake.xtce.elements import Element
from lake.xtce.spaces import Space

# XTCE has five levels of concern, limits have two colors. A value outside any range of a color is of that color.
COLORS: dict[str, Color] = {
    "WatchRange": "yellow",
    "WarningRange": "yellow",
    "DistressRange": "red",
    "CriticalRange": "red",
    "SevereRange": "red",
}


@dataclass(frozen=True)
class AlarmRange:
    """Between which values, themselves included, there is no alarm of a color; `element` is the first that says so."""

    element: Element
    severity: Color
    low: float
    high: float


@dataclass(frozen=True)
class Alarm:
    """The ranges of an alarm, how many samples in a row have to lie outside, and in which context, if not always.

    A context is an element with comparisons, whose parameters are found in `space`.
    """

    element: Element
    space: Space
    ranges: tuple[AlarmRange, ...]
    samples: int
    context: Element | None = None


def read_alarms(space: Space, element: Element) -> tuple[Alarm, ...]:
    """The alarms of a type: of its contexts in their order, then the default. Raises DefinitionError."""
    listed = element.first("ContextAlarmList")
    contexts = [_alarm(space, child, child.needed("ContextMatch")) for child in listed.children] if listed else []
    default = element.first("DefaultAlarm")
    return (*contexts, *([_alarm(space, default, None)] if default else []))


def _alarm(space: Space, element: Element, context: Element | None) -> Alarm:
    static = element.needed("StaticAlarmRanges")
    static.one_of("rangeForm", "outside")
    if element.whole("minConformance", 1) != 1:
        raise element.error("an alarm that ends after several samples is not supported. Remove minConformance.")
    samples = element.whole("minViolations", 1)
    if samples < 1:
        raise element.error(f"minViolations {samples} is not 1 or more. Correct it.")
    if context is None and not static.children:
        raise static.error("has no range. Add a CriticalRange or WarningRange.")
    return Alarm(element, space, tuple(_ranges(static)), samples, context)


def _ranges(static: Element) -> Iterator[AlarmRange]:
    """The range that all of a color have in common; none for a color without an end.

    A yellow end at or behind the red one is left out: where it is broken the red one is, too. XTCE files often give
    all levels of concern the same range.
    """
    ranges = {color: found for color in get_args(Color) if (found := _range(static, color)) is not None}
    if "yellow" in ranges and "red" in ranges:
        yellow, red = ranges["yellow"], ranges["red"]
        low = yellow.low if yellow.low > red.low else -math.inf
        high = yellow.high if yellow.high < red.high else math.inf
        ranges["yellow"] = replace(yellow, low=low, high=high)
    yield from (found for found in ranges.values() if math.isfinite(found.low) or math.isfinite(found.high))


def _range(static: Element, color: Color) -> AlarmRange | None:
    given = [found for name, own in COLORS.items() if own == color and (found := static.first(name)) is not None]
    ends = [read_range(element) for element in given]
    if not ends:
        return None
    low, high = max(low for low, _ in ends), min(high for _, high in ends)
    if low > high:
        raise given[-1].error(f"has nothing in common with {given[0].name}. Correct one.")
    return AlarmRange(given[0], color, low, high)


def read_range(element: Element) -> tuple[float, float]:
    """Both ends of a range, themselves included; infinite where none is given. Raises DefinitionError."""
    low, high = _end(element, "min", -math.inf), _end(element, "max", math.inf)
    if low > high:
        raise element.error(f"its lower end {low:g} > its upper end {high:g}. Swap or correct them.")
    return low, high


def _end(element: Element, end: str, infinite: float) -> float:
    inclusive, exclusive = f"{end}Inclusive", f"{end}Exclusive"
    if inclusive in element.attributes and exclusive in element.attributes:
        raise element.error(f"has {inclusive} and {exclusive}. Leave one.")
    if exclusive in element.attributes:
        value = math.nextafter(element.number(exclusive), -infinite)
        if math.isinf(value):
            raise element.error(f"no number lies beyond {exclusive}. Correct it.")
        return value
    return element.number(inclusive, infinite)
