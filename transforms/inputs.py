# SPDX-License-Identifier: Apache-2.0
"""What a transform is given to read: the rows of the day, and of the neighbouring days those within a margin."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import polars as pl

from lake.clock import NS, day_bounds
from lake.definitions import Table
from lake.ledger import Contents
from lake.reading import scan
from lake.store import Lake
from transforms.rows import ORIGIN

SEEN = "seen "  # begins the name of a neighbouring day's content, which tells only whether a margin must be read again
EPOCH = "epoch_tt2000"
Margin = tuple[str, Table, date, int, int]


def inputs_of(lake: Lake, contents: Contents, table: Table, day: date) -> dict[str, pl.LazyFrame]:
    """The rows of each input by the transform's keyword; none of a day of an input that has no content.

    Rows that an earlier definition may have left in a day without content do not count.
    """
    frames: dict[str, pl.LazyFrame] = {}
    for keyword, name in table.inputs.items():
        source = lake.definitions.tables[f"{table.mission}.{name}"]
        days = [day] if contents.known.get((source.address, day)) else []
        parts = [scan(lake, source, days)]
        parts += [
            _within(lake, source, neighbour, start, stop)
            for _, source_of, neighbour, start, stop in _margins(lake, table, day)
            if source_of is source and contents.known.get((source.address, neighbour))
        ]
        frames[keyword] = pl.concat(parts) if len(parts) > 1 else parts[0]
    return frames


def margins_of(lake: Lake, contents: Contents, table: Table, day: date, run: dict[str, Any] | None) -> dict[str, str]:
    """Fingerprints of the rows in the margins of a table-day, empty where there are none.

    They are read only where the neighbouring day's content is not the one that the last run had seen.
    """
    before: dict[str, str] = json.loads(str(run["depends_on"])) if run else {}
    parts: dict[str, str] = {}
    for part, source, neighbour, start, stop in _margins(lake, table, day):
        content = contents.known.get((source.address, neighbour), "")
        parts[f"{SEEN}{part}"] = content
        if part in before and before.get(f"{SEEN}{part}") == content:
            parts[part] = before[part]
        else:
            parts[part] = _fingerprint(_within(lake, source, neighbour, start, stop)) if content else ""
    return parts


def _margins(lake: Lake, table: Table, day: date) -> Iterator[Margin]:
    """Name, source, neighbouring day, first and last TT2000 [ns] (not included) of each margin."""
    first, last = day_bounds(day)
    for keyword, (before, after) in table.margins.items():
        source = lake.definitions.tables[f"{table.mission}.{table.inputs[keyword]}"]
        if before:
            yield f"margin before {source.address}", source, day - timedelta(days=1), first - int(before * NS), first
        if after:
            yield f"margin after {source.address}", source, day + timedelta(days=1), last, last + int(after * NS)


def _within(lake: Lake, source: Table, day: date, start: int, stop: int) -> pl.LazyFrame:
    return scan(lake, source, [day]).filter(pl.col(EPOCH).is_between(start, stop, closed="left"))


def _fingerprint(rows: pl.LazyFrame) -> str:
    """sha256 of the rows, whatever order they came in; empty if there are none."""
    found = rows.collect()
    order = [name for name in (EPOCH, *ORIGIN) if name in found.columns]
    text = found.sort(order, maintain_order=True).write_ndjson()
    return "" if found.is_empty() else hashlib.sha256(text.encode()).hexdigest()
