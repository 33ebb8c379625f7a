# SPDX-License-Identifier: Apache-2.0
"""Gaps of several tables of one instrument that begin together: one outage, told once."""

from __future__ import annotations

from collections.abc import Mapping

from lake.definitions import Table
from quality.alerts.stretches import Stretch, merged, nearness, root, together

SILENCE = {"gap", "stale", "silent"}

Key = tuple[str, str]


def with_outages(found: list[Stretch], tables: Mapping[str, Table]) -> tuple[list[Stretch], list[Stretch]]:
    """The stretches that stand alone, and the gaps of two and more tables of an instrument that began together."""
    alone: list[Stretch] = []
    wholes: list[Stretch] = []
    by_instrument: dict[Key, list[Stretch]] = {}
    for stretch in found:
        silent = all(root(row.rule) in SILENCE for row in stretch.rows)
        (by_instrument.setdefault(instrument_of(stretch, tables), []) if silent else alone).append(stretch)
    for _, members in sorted(by_instrument.items()):
        near = max(nearness(tables[address]) for address in {stretch.rows[0].table for stretch in members})
        single, several = together(members, near, lambda stretch: [stretch.rows[0].table], least=2)
        alone += single
        wholes += several
    return alone, merged(wholes, lambda stretch: instrument_of(stretch, tables))


def instrument_of(stretch: Stretch, tables: Mapping[str, Table]) -> Key:
    """Mission and instrument of the table that a stretch is of."""
    table = tables[stretch.rows[0].table]
    return table.mission, table.instrument
