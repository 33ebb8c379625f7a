# SPDX-License-Identifier: Apache-2.0
"""Rows outside alarm limits, and for how long.

A limit with a mode looks at the rows in that mode alone: rows of other modes neither count nor interrupt a run. A run
goes on over midnight: rows at the end of the last day with data count with those at the beginning of this one. It does
not go on over a gap, for nobody knows what was in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from lake.watch_definitions import Limit
from quality.anomalies.nouns import Anomaly
from quality.anomalies.series import Bool, Float64, Int64, Stretch, stretches, utc


@dataclass(frozen=True)
class Limited:
    """The rows that a limit is about: in its mode, with a number, in time order. UTC as Unix microseconds.

    `pieces` says how many gaps lie before each of them since the last row of the day before, `gaps` how many the whole
    day has.
    """

    limit: Limit
    times: Int64
    values: Float64
    pieces: Int64
    gaps: int


@dataclass(frozen=True)
class Tail:
    """Rows at the end of a day that lie outside a limit: how many, since when (Unix microseconds)."""

    rows: int
    since: int


def outside(limited: Limited, before: Mapping[str, Tail]) -> tuple[list[Anomaly], dict[str, Tail]]:
    """Stretches outside a limit, and the runs that a next day may go on with, by their key.

    A run that is too short for the limit's samples or seconds is info, and its rule begins with `short:`.
    """
    found: list[Anomaly] = []
    tails: dict[str, Tail] = {}
    for side, mask in _sides(limited):
        key = f"{limited.limit.column} {limited.limit.severity}_{side} {_mode(limited.limit)}"
        runs = stretches(mask, limited.pieces)
        for first, last in runs:
            found.append(_judged(limited, side, (first, last), _earlier(limited, first, before.get(key))))
        if runs and runs[-1][1] == len(mask) - 1 and limited.pieces[-1] == limited.gaps:
            tails[key] = _tail(limited, runs[-1], _earlier(limited, runs[-1][0], before.get(key)))
        elif not len(mask) and not limited.gaps and key in before:  # a day without rows in the mode changes nothing
            tails[key] = before[key]
    return found, tails


def _earlier(limited: Limited, first: int, before: Tail | None) -> Tail | None:
    """The run of the day before that a run goes on with."""
    return before if first == 0 and limited.pieces[0] == 0 else None


def _sides(limited: Limited) -> Iterator[tuple[str, Bool]]:
    if np.isfinite(limited.limit.low):
        yield "low", limited.values < limited.limit.low
    if np.isfinite(limited.limit.high):
        yield "high", limited.values > limited.limit.high


def _mode(limit: Limit) -> str:
    return f"{limit.when.column}={'|'.join(limit.when.any_of)}" if limit.when else ""


def _tail(limited: Limited, run: Stretch, earlier: Tail | None) -> Tail:
    first, last = run
    if earlier is not None:
        return Tail(earlier.rows + last + 1, earlier.since)
    return Tail(last - first + 1, int(limited.times[first]))


def _judged(limited: Limited, side: str, run: Stretch, earlier: Tail | None) -> Anomaly:
    limit, (first, last) = limited.limit, run
    rows = last - first + 1 + (earlier.rows if earlier else 0)
    since = earlier.since if earlier else int(limited.times[first])
    lasting = rows >= limit.samples and (limited.times[last] - since) / 1e6 >= limit.seconds
    values = limited.values[first : last + 1]
    worst, end = (values.max(), limit.high) if side == "high" else (values.min(), limit.low)
    sign = "above" if side == "high" else "below"
    when = f" in mode {_mode(limit)}" if limit.when else ""
    asked = f"{limit.samples} rows" + (f" and {limit.seconds:g} s" if limit.seconds else "")
    short = "" if lasting else f"; an alert takes {asked}"
    return Anomaly(
        column=limit.column,
        rule=f"{'' if lasting else 'short:'}{limit.severity}_{side}",
        severity=limit.severity if lasting else "info",
        start=utc(limited.times[first]),
        end=utc(limited.times[last]),
        ended=last < len(limited.values) - 1,
        value=float(worst),
        baseline=float(end),
        score=float(abs(worst - end)),
        samples=last - first + 1,
        detail=f"{worst:.6g} is {sign} the {limit.severity} limit {end:g}{when}, {rows} rows{short}",
    )
