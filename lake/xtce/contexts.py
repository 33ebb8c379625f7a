# SPDX-License-Identifier: Apache-2.0
"""Alarms of the fields of a packet: in which values of another field, their context, each of them holds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from lake.packet_definitions import Condition, number_range
from lake.watch_definitions import Color, Mode
from lake.xtce.alarms import Alarm
from lake.xtce.conditions import compared, condition
from lake.xtce.elements import Element
from lake.xtce.layout import Layout
from lake.xtce.parameter_types import FieldType

Ranges = tuple[tuple[int, int], ...]  # whole numbers, first and last of each range included


class ChannelLimit(NamedTuple):
    """An alarm range of a field of a packet, of what was sent or of what that is `calibrated` to.

    An end may be infinite. `place` is the file, below the instrument's folder, and the line. `when` says which values
    of a field, as they were sent, it holds for.
    """

    packet: str
    field: str
    low: float
    high: float
    calibrated: bool
    place: str
    severity: Color = "red"
    samples: int = 1
    when: Mode | None = None


def channel_limits(packet: str, layout: Layout) -> Iterator[ChannelLimit]:
    """The alarm ranges of all fields of a packet. Raises DefinitionError, with the line, for what is not supported."""
    for _, parameter, kind in layout.entries:
        if kind.alarms and (kind.size or math.prod(kind.shape) > 1):
            raise kind.alarms[0].element.error("alarms of arrays are not supported. Remove it.")
        for alarm, when in _modes(layout, kind.alarms):
            for found in alarm.ranges:
                yield ChannelLimit(
                    packet, parameter.name, found.low, found.high, kind.calibrator is not None, _place(found.element),
                    found.severity, alarm.samples, when,
                )  # fmt: skip


def _place(element: Element) -> str:
    return f"{element.path.parent.name}/{element.path.name} line {element.line}"


def _modes(layout: Layout, alarms: tuple[Alarm, ...]) -> Iterator[tuple[Alarm, Mode | None]]:
    """Each alarm with its mode. The first context that holds counts, and the default where none does."""
    name, left = "", None
    for alarm in alarms:
        if alarm.context is None:
            if left == ():
                raise alarm.element.error("its contexts have all values, so it never holds. Remove it.")
            yield alarm, _mode(name, left)
            continue
        field, kind, conditions = _context(layout, alarm)
        low, high = number_range(kind.kind, kind.bits)
        if name and field != name:
            raise alarm.context.error(f"compares {field}, and a context before it {name}. Compare one parameter.")
        before: Ranges = ((int(low), int(high)),) if left is None else left
        held = before
        for each in conditions:
            held = _meeting(held, each)
        if not held:
            raise alarm.context.error(f"no value of {field} is left that meets it. Correct or remove it.")
        name, left = field, _without(before, held)
        yield alarm, _mode(field, held)


def _context(layout: Layout, alarm: Alarm) -> tuple[str, FieldType, list[Condition]]:
    """The field that a context compares, and the conditions on it, which all must hold."""
    assert alarm.context is not None  # noqa: S101  the caller asks for alarms of a context
    found = alarm.context.needed("Comparison", "ComparisonList", "BooleanExpression")
    fields = {parameter.element: (parameter.name, kind) for _, parameter, kind in layout.entries}
    conditions: list[Condition] = []
    named: dict[str, FieldType] = {}
    for comparison in compared(alarm.space, found):
        if comparison.parameter not in fields:
            raise comparison.element.error("the parameter is no field of the packet. Compare another one.")
        name, kind = fields[comparison.parameter]
        named[name] = kind
        conditions += condition(comparison, name, kind)
    if len(named) != 1:
        raise alarm.context.error(f"compares {' and '.join(named)}. Compare one parameter.")
    ((name, kind),) = named.items()
    return name, kind, conditions


def _meeting(ranges: Ranges, each: Condition) -> Ranges:
    """What of some ranges meets a condition."""
    value = each.value
    kept: dict[str, Ranges] = {
        "==": ((value, value),),
        "<": ((-(2**63), value - 1),),
        "<=": ((-(2**63), value),),
        ">": ((value + 1, 2**63),),
        ">=": ((value, 2**63),),
    }
    if each.operator == "!=":
        return _without(ranges, ((value, value),))
    return _common(ranges, kept[each.operator])


def _common(ranges: Ranges, others: Ranges) -> Ranges:
    both = ((max(low, first), min(high, last)) for low, high in ranges for first, last in others)
    return tuple((low, high) for low, high in both if low <= high)


def _without(ranges: Ranges, others: Ranges) -> Ranges:
    for first, last in others:
        ranges = _common(ranges, ((-(2**63), first - 1), (last + 1, 2**63)))
    return ranges


def _mode(field: str, ranges: Ranges | None) -> Mode | None:
    if ranges is None:
        return None
    texts = (f"{low}..{high}" if low < high else f"{low}" for low, high in sorted(ranges))
    return Mode(column=field, any_of=tuple(texts))
