# SPDX-License-Identifier: Apache-2.0
"""What the viewer answers, as JSON says it: series of a channel, rows of a table, the channels that there are.

Numbers are exact: what JavaScript would round (integers beyond 2^53) is text. What is no number is null.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from lake.answers import Answers
from lake.definitions import Definitions, Table
from lake.watch_definitions import QUALITY_FLAG
from monitor.envelopes.channels import Viewed, viewed_of, viewed_tables
from monitor.envelopes.reading import series
from monitor.viewer.questions import FIRST, RowsAsked, SeriesAsked
from monitor.viewer.telling import told

EXACT = 2**53  # integers up to here are exact in a double, which is all that JavaScript has
JsonValue = float | int | str | bool | None


def answer_series(answers: Answers, asked: SeriesAsked) -> dict[str, Any]:
    """The channel at the level that fits the points: buckets with least, greatest and mean value, or rows."""
    found = series(answers, asked.viewed, asked.start_us, asked.stop_us, asked.points)
    answer: dict[str, Any] = {
        "table": asked.viewed.table.address,
        "channel": asked.viewed.name,
        "unit": asked.viewed.unit,
        "start": iso(asked.start_us),
        "stop": iso(asked.stop_us),
        "level": found.level,
        "width_s": found.width_s,
        "rows": int(found.count.sum()),
        "time": found.time.tolist(),
    }
    if found.level == "raw":
        return answer | {"value": _numbers(found.mean)}
    envelope = {"low": found.low, "high": found.high, "mean": found.mean}
    return answer | {name: _numbers(values) for name, values in envelope.items()} | {"count": found.count.tolist()}


def answer_rows(answers: Answers, asked: RowsAsked) -> dict[str, Any]:
    """Rows as they are in the table, in the order of time, with their flags by name; `more` if there are others."""
    flagged = QUALITY_FLAG in asked.table.by_name
    columns = [_value_of(channel) for channel in asked.channels] + ([QUALITY_FLAG] if flagged else [])
    rows = answers.ask(_select(asked.table, columns), _bounds(asked))
    values = [rows.column(place).to_pylist() for place in range(rows.num_columns)]
    values[0] = [iso(time) for time in values[0]]
    if flagged:
        values[-1] = [flags(asked.table, bits) for bits in values[-1]]
    told_rows = [[_exact(value) for value in row] for row in zip(*values, strict=True)]
    return {
        "table": asked.table.address,
        "start": iso(asked.start_us),
        "stop": iso(asked.stop_us),
        "columns": [{"name": c.name, "unit": c.unit, "type": c.column.type} for c in asked.channels]
        + ([{"name": QUALITY_FLAG, "unit": "", "type": "string"}] if flagged else []),
        "rows": told_rows[: asked.limit],
        "more": len(told_rows) > asked.limit,
    }


def answer_channels(definitions: Definitions, only: Table | None) -> dict[str, Any]:
    """Tables that have channels, with those."""
    tables = [only] if only else viewed_tables(definitions)
    return {"tables": [_table(definitions, table) for table in tables]}


def flags(table: Table, bits: int | None) -> str:
    """Names of the flags that are set; a bit that has no name by its number."""
    names = {flag.bit: flag.name for flag in table.flags}
    return ", ".join(names.get(bit, f"bit {bit}") for bit in range(64) if (bits or 0) >> bit & 1)


def iso(microseconds: int) -> str:
    """A time with its microseconds, such as 2026-08-01T00:00:00.000000Z."""
    return f"{FIRST + timedelta(microseconds=microseconds):%Y-%m-%dT%H:%M:%S.%fZ}"


def _table(definitions: Definitions, table: Table) -> dict[str, Any]:
    channels = [told(definitions, channel) for channel in viewed_of(definitions, table)]
    return {"table": table.address, "title": table.title, "grain": table.grain, "channels": channels}


def _select(table: Table, columns: list[str]) -> str:
    """Time in microseconds, then the columns; names are those of definitions."""
    return (
        f'SELECT epoch_us("time"), {", ".join(columns)} FROM "{table.mission}"."{table.name}" '  # noqa: S608
        'WHERE day BETWEEN $first AND $last AND "time" >= make_timestamptz($start) AND "time" < make_timestamptz($stop)'
        ' ORDER BY "time" LIMIT $limit'
    )


def _bounds(asked: RowsAsked) -> dict[str, object]:
    return {
        "first": _day(asked.start_us),
        "last": _day(asked.stop_us - 1),
        "start": asked.start_us,
        "stop": asked.stop_us,
        "limit": asked.limit + 1,
    }


def _day(microseconds: int) -> date:
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).date()


def _value_of(channel: Viewed) -> str:
    name = '"' + channel.column.name + '"'
    return name if channel.place is None else f"{name}[{channel.place + 1}]"


def _numbers(values: npt.NDArray[np.float64]) -> list[float | None]:
    """Numbers as JSON has them: NaN and the infinite are null."""
    finite = np.isfinite(values)
    return (
        values.tolist() if finite.all() else [v if ok else None for v, ok in zip(values.tolist(), finite, strict=True)]
    )


def _exact(value: Any) -> JsonValue:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > EXACT:
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    found: JsonValue = value
    return found
