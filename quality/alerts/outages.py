# SPDX-License-Identifier: Apache-2.0
"""Gaps of several tables of one instrument that begin together: one outage, told once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

from lake.definitions import Table
from quality.alerts.stretches import Stretch, merged, nearness, root, union

SILENCE = {"gap", "stale", "silent"}

Key = tuple[str, str]


def with_outages(found: list[Stretch], tables: Mapping[str, Table]) -> tuple[list[Stretch], list[Stretch]]:
    """The stretches that stand alone, and the gaps of two and more tables of an instrument that began together."""
    alone: list[Stretch] = []
    together: list[Stretch] = []
    by_instrument: dict[Key, list[Stretch]] = {}
    for stretch in found:
        silent = all(root(row.rule) in SILENCE for row in stretch.rows)
        (by_instrument.setdefault(instrument_of(stretch, tables), []) if silent else alone).append(stretch)
    for _, members in sorted(by_instrument.items()):
        single, several = _split(members, tables)
        alone += single
        together += several
    return alone, merged(together, lambda stretch: instrument_of(stretch, tables))


def instrument_of(stretch: Stretch, tables: Mapping[str, Table]) -> Key:
    """Mission and instrument of the table that a stretch is of."""
    table = tables[stretch.rows[0].table]
    return table.mission, table.instrument


def _split(found: list[Stretch], tables: Mapping[str, Table]) -> tuple[list[Stretch], list[Stretch]]:
    """Go through gaps in order of their start, and take those together that begin near the first one."""
    left = sorted(found, key=lambda stretch: (stretch.start, stretch.rows[0].table))
    starts = [stretch.start for stretch in left]
    near = max(nearness(tables[address]) for address in {stretch.rows[0].table for stretch in left})
    alone, several, at = [], [], 0
    while at < len(left):
        near_first = left[at : bisect_right(starts, starts[at] + near)]
        together = len({stretch.rows[0].table for stretch in near_first}) > 1
        if together:
            several.append(union(near_first))
        else:
            alone.append(left[at])
        at += len(near_first) if together else 1
    return alone, several
