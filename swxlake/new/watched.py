# SPDX-License-Identifier: Apache-2.0
"""Limits and channels of a new instrument: what stands beside its fields, and what their units and names tell."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from lake.definition_tables import field_column
from lake.packet_definitions import INTEGER_BITS, PacketField
from swxlake.new.sources import Given
from swxlake.new.tables import Converted

COUNTER = r"(^|_)(cnts?|counts?|counters?|cmds?|commands?|errors?|resets?)($|_)"
STATE_BITS = 8  # a whole number without unit and as narrow as this is likely a mode or a switch

LIMITS = ("table", "column", "severity", "low", "high", "when", "samples", "seconds", "source")
CHANNELS = ("table", "column", "kind", "mode")
ByPacket = Mapping[str, list[Converted]]


def limits_csv(name: str, sources: list[Given], converted: ByPacket) -> str:
    """Alarm limits that stand beside the fields, in the unit that the column has: red, for nothing else is said."""
    rows = []
    for given in sources:
        column_of = {c.field.name: c.column for c in converted[given.name] if c.kind != "states"}
        listed = _not_single(given)
        rows += [
            (
                f"{name}_l1_{given.name}",
                column_of.get(f, f),
                "red",
                f"{low:g}",
                f"{high:g}",
                "",
                "",
                "",
                given.path.name,
            )
            for f, low, high in given.limits
            if f not in listed
        ]
    return _csv(LIMITS, rows)


def channels_csv(name: str, sources: list[Given], converted: ByPacket, clock: Iterable[str | None]) -> str:
    """The columns that look like housekeeping, each as what it seems to be."""
    left_out = set(clock)
    rows = []
    for given in sources:
        by_field = {c.field.name: c for c in converted[given.name]}
        fields = [f for f in given.fields if f.name not in left_out | _not_single(given)]
        rows += [
            (f"{name}_l1_{given.name}", column, kind, "")
            for field in fields
            for column, kind in _channel(field, by_field.get(field.name))
        ]
    return _csv(CHANNELS, rows)


def _channel(field: PacketField, converted: Converted | None) -> Iterator[tuple[str, str]]:
    """Column and kind of the channel that a field is, if it looks like one."""
    if converted is not None and converted.kind != "states":
        yield converted.column, "analog"
    elif converted is not None or (not field.unit and field.bits <= STATE_BITS):
        yield field.name, "state"
    elif field.unit == "count" or re.search(COUNTER, field.name):
        yield field.name, "counter"
    elif field.unit or field.kind == "float":
        yield field.name, "analog"


def _not_single(given: Given) -> set[str]:
    """The fields of a packet whose columns have no single number in a row."""
    columns = [field_column(field) for field in given.fields if field.kind != "fill"]
    fill = {field.name for field in given.fields if field.kind == "fill"}
    return fill | {c.name for c in columns if c.is_list or c.type not in (*INTEGER_BITS, "float32", "float64")}


def list_notes(sources: list[Given]) -> list[str]:
    """What is told of limits that no column can have."""
    notes = []
    for given in sources:
        names = [field for field, _, _ in given.limits if field in _not_single(given)]
        if names:
            shown = ", ".join(names)
            notes.append(f"{given.path.name}: limits of {shown} are not used, for its column has no single number.")
    return notes


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([header, *rows])
    return text.getvalue()
