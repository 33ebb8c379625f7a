# SPDX-License-Identifier: Apache-2.0
"""Margins: the rows at the end of the day before and at the beginning of the day after that a table-day depends on."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from lake.clock import NS, day_bounds
from lake.definitions import Definitions, Table
from lake.snapshots import Source, rows_of
from lake.store import Lake

if TYPE_CHECKING:
    import polars as pl

    from lake.ledger import Contents

EPOCH = "epoch_tt2000"
ORDER = (EPOCH, "file_sha256", "byte_offset")
PLANNED = "planned "  # begins the content of a table-day that a plan would build
UNREADABLE = "cannot be read"  # the fingerprint of a margin that is to be tried again


@dataclass(frozen=True)
class Margin:
    """Rows of an input on a neighbouring day from TT2000 `start` up to, not including, `stop` [ns]."""

    name: str
    keyword: str
    source: Table
    day: date
    start: int
    stop: int

    @property
    def key(self) -> tuple[str, int, int]:
        """What identifies it in ops.margins."""
        return self.source.address, self.start, self.stop


@dataclass(frozen=True)
class Seen:
    """What a margin held when its day had a certain content: fingerprint, empty for no rows, and raw files if L0."""

    content: str
    fingerprint: str
    files: tuple[str, ...] = ()


def margins(definitions: Definitions, table: Table, day: date) -> Iterator[Margin]:
    """The margins of a table-day, one for each neighbouring day that it sees something of."""
    for keyword, (before, after) in table.margins.items():
        source = definitions.tables[f"{table.mission}.{table.inputs[keyword]}"]
        for word, seconds, direction in (("before", before, -1), ("after", after, 1)):
            for distance in range(1, days_within(seconds) + 1):
                other = day + timedelta(days=direction * distance)
                start, stop = _span(day, other, int(seconds * NS))
                number = f" {distance}" if distance > 1 else ""
                yield Margin(f"margin {word} {keyword}{number}", keyword, source, other, start, stop)


def days_within(seconds: float) -> int:
    """Number of neighbouring days that so many seconds reach into."""
    return math.ceil(seconds / 86_400)


def _span(day: date, other: date, reach: int) -> tuple[int, int]:
    """The part of another day that lies within `reach` ns of a day, TT2000 [ns]."""
    (first, last), (start, stop) = day_bounds(day), day_bounds(other)
    return (max(start, first - reach), stop) if other < day else (start, min(stop, last + reach))


def rows_within(lake: Lake, margin: Margin, source: Source) -> pl.LazyFrame:
    """The rows of a margin, of those of its day."""
    import polars as pl  # noqa: PLC0415  costs a second; decoding does without it

    return rows_of(lake, source).filter(pl.col(EPOCH).is_between(margin.start, margin.stop, closed="left"))


def seen(lake: Lake, contents: Contents, margin: Margin) -> Seen:
    """What a margin holds. It is read only if its day has another content than when it was read last.

    What cannot be read ends no plan: whoever builds from it will say what is wrong with which file.
    """
    content = contents.known.get((margin.source.address, margin.day), "")
    if not content or content.startswith(PLANNED):
        return Seen(content, content)
    known = contents.margins.get(margin.key)
    if known is None or known.content != content:
        known = _read(lake, margin, content, contents.source(margin.source.address, margin.day))
        if known.fingerprint != UNREADABLE:
            contents.margins[margin.key] = known
            contents.read.append(margin)
    return known


def _read(lake: Lake, margin: Margin, content: str, source: Source) -> Seen:
    """Fingerprint of the rows, whatever order they came in."""
    import polars as pl  # noqa: PLC0415

    try:
        found = rows_within(lake, margin, source).collect()
    except (pl.exceptions.PolarsError, OSError):
        return Seen(content, UNREADABLE)
    if found.is_empty():
        return Seen(content, "")
    text = found.sort([name for name in ORDER if name in found.columns], maintain_order=True).write_ndjson()
    files = sorted(found["file_sha256"].unique()) if margin.source.level == "l0" else []
    return Seen(content, hashlib.sha256(text.encode()).hexdigest(), tuple(files))


def rows_about(contents: Contents, run_id: str) -> list[dict[str, object]]:
    """Rows for ops.margins about the margins that were read."""
    about = {margin.key: margin for margin in contents.read}
    return [
        {
            "source": margin.source.address,
            "day": margin.day,
            "start_tt2000": margin.start,
            "stop_tt2000": margin.stop,
            "content": contents.margins[key].content,
            "fingerprint": contents.margins[key].fingerprint,
            "files": json.dumps(contents.margins[key].files),
            "run_id": run_id,
        }
        for key, margin in about.items()
    ]


def files_of_margins(
    definitions: Definitions, known: dict[tuple[str, int, int], Seen], table: Table, day: date
) -> set[str]:
    """Hashes of raw files of neighbouring days with packets that a table-day, or what it descends from, saw."""
    return {
        sha256
        for ancestor in definitions.ancestors(table)
        for margin in margins(definitions, ancestor, day)
        for sha256 in (known[margin.key].files if margin.key in known else ())
    }
