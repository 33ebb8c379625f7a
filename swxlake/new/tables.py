# SPDX-License-Identifier: Apache-2.0
"""The columns of a level 1 table made for a packet: every field once, converted where there is a calibration."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from lake.definition_tables import field_column
from lake.definitions import Conversion
from lake.packet_definitions import PacketField

WORDS = {"%": "percent", "1": "", "": ""}  # units whose letters are no word


@dataclass(frozen=True)
class Converted:
    """A field that a calibration converts, and into which unit."""

    field: PacketField
    kind: Conversion
    calibration: str
    unit: str

    @property
    def column(self) -> str:
        """The name of its column: the field with the unit, or with what it has become."""
        word = WORDS.get(self.unit, re.sub(r"[^a-z0-9]+", "_", self.unit.lower().replace("/", "_per_")).strip("_"))
        return f"{self.field.name}_{word or ('state' if self.kind == 'states' else 'converted')}"


def l1_columns(fields: list[PacketField], converted: list[Converted]) -> list[str | dict[str, Any]]:
    """The entries of the columns, in the order of the fields. Of a state the number is kept beside the text.

    What the packet's definition describes with the same words gets the name of the field added, because a CDF wants
    different ones.
    """
    by_field = {c.field.name: c for c in converted}
    texts = Counter(field_column(f).description for f in fields if f.kind != "fill")
    columns: list[str | dict[str, Any]] = []
    for field in fields:
        if field.kind == "fill":
            continue
        description = field_column(field).description
        own = {"description": f"{description} ({field.name})"} if texts[description] > 1 else {}
        found = by_field.get(field.name)
        if found is None or found.kind == "states":
            columns.append(_copy(field, own) if own else field.name)
        if found is not None:
            columns.append(
                _converted(found, own or ({"description": _state_text(field)} if found.kind == "states" else {}))
            )
    return columns


def _state_text(field: PacketField) -> str:
    """The description of the text of a state; that of the field may be the list of the states itself."""
    text = field_column(field).description
    return f"State of {field.name}: {text}" if re.match(r"\w+\s*=|\d+\s*:", text) else f"{text} by its name"


def _copy(field: PacketField, own: dict[str, str]) -> dict[str, Any]:
    """A column that only differs from the packet's in its description."""
    kept = field_column(field)
    entry: dict[str, Any] = {"name": field.name, "type": kept.type} | ({"unit": kept.unit} if kept.unit else {})
    entry |= {"source": field.name, **own} | ({"valid": [_plain(v) for v in kept.valid]} if kept.valid else {})
    entry |= {"axes": list(kept.axes)} if kept.axes else {}
    entry |= {"ragged": True} if kept.ragged else {}
    return entry | ({"nullable": True} if kept.nullable else {})


def _plain(value: float) -> float | int:
    return int(value) if float(value).is_integer() else value


def _converted(found: Converted, own: dict[str, str]) -> dict[str, Any]:
    kept = field_column(found.field)
    kind = "string" if found.kind == "states" else "float64"
    entry: dict[str, Any] = {"name": found.column, "type": kind} | ({"unit": found.unit} if found.unit else {})
    entry |= {"source": found.field.name, "conversion": found.kind, "nullable": True, **own}
    entry |= {"axes": list(kept.axes)} if kept.axes else {}
    return entry | ({"ragged": True} if kept.ragged else {})


def omitted(fields: list[PacketField], converted: list[Converted]) -> list[str]:
    """The columns that a CDF cannot hold: texts, bytes, and lists of any length."""
    replaced = {c.field.name for c in converted if c.kind != "states"}
    kept = [field_column(f) for f in fields if f.kind != "fill" and f.name not in replaced]
    plain = [c.name for c in kept if c.type in ("string", "binary") or c.ragged]
    return plain + [c.column for c in converted if c.kind == "states" or c.field.variable]
