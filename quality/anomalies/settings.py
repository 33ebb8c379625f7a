# SPDX-License-Identifier: Apache-2.0
"""Counters, settings and constants: resets and jumps, unusual values, changes."""

from __future__ import annotations

import numpy as np

from quality.anomalies.lessons import increases
from quality.anomalies.nouns import Anomaly, Severity
from quality.anomalies.series import Series, Texts, Words, joined, stretches, utc
from quality.anomalies.usual import Usual

RARE = 0.001  # of all rows of the trailing days; a setting seen less often is unusual
LASTING = 3  # rows in a row: fewer may be a bit that flipped
NEAR = 60  # rows between two stretches of one trouble, as for levels
JUMP = 5.0  # times the largest usual increase
LEAST_JUMP = 10.0  # counts: a counter that usually stands still may well move a little


def counted(series: Series, usual: Usual) -> list[Anomaly]:
    """Resets of a counter, where the trailing days had none, and increases far beyond the usual ones."""
    if not usual.modes:
        return []
    steps, found = increases(series), []
    most = max(JUMP * usual.largest, LEAST_JUMP)
    for row in np.flatnonzero((steps < 0) & (usual.resets == 0)):
        words = f"falls from {series.values[row]:g} to {series.values[row + 1]:g}; it began anew"
        found.append(_step(series, int(row), "reset", usual.largest, words))
    for row in np.flatnonzero(steps > most):
        words = f"rises by {steps[row]:g} in the time of a row; the largest usual increase is {usual.largest:g}"
        found.append(_step(series, int(row), "jump", usual.largest, words))
    return sorted(found, key=lambda anomaly: anomaly.start)


def _step(series: Series, row: int, rule: str, baseline: float, detail: str) -> Anomaly:
    step = float(series.values[row + 1] - series.values[row])
    at = utc(series.times[row + 1])
    return Anomaly(series.column, rule, "yellow", at, at, True, step, baseline, abs(step), 1, detail)


def unusual(texts: Texts, usual: Usual, kind: str) -> list[Anomaly]:
    """Stretches with values of a setting that are not usual; of a constant, that are not the usual one."""
    total = sum(usual.counts.values())
    if not total or not len(texts.values):
        return []
    common = max(usual.counts, key=lambda value: (usual.counts[value], value))
    known = [common] if kind == "constant" else [v for v, n in usual.counts.items() if n >= RARE * total]
    odd = ~np.isin(texts.values, known)
    lasting = [run for run in stretches(odd) if run[1] - run[0] + 1 >= LASTING]
    found = []
    for first, last in joined(lasting, NEAR):
        found.append(_odd(texts, (first, last), usual, common, kind, "yellow"))
    inside = np.zeros(len(odd), bool)
    for first, last in joined(lasting, NEAR):
        inside[first : last + 1] = True
    rest = stretches(odd & ~inside)
    if rest:
        found.append(_odd(texts, (rest[0][0], rest[-1][1]), usual, common, kind, "info", int((odd & ~inside).sum())))
    return found


def _odd(
    texts: Texts,
    run: tuple[int, int],
    usual: Usual,
    common: str,
    kind: str,
    severity: Severity,
    rows: int | None = None,
) -> Anomaly:
    first, last = run
    part = texts.values[first : last + 1]
    value = _commonest_other(part, usual)
    total = sum(usual.counts.values())
    seen = usual.counts.get(value, 0)
    words = "was never seen" if not seen else f"was seen in {seen} of {total} rows"
    rows = int(np.sum(part == value)) if rows is None else rows
    return Anomaly(
        column=texts.column,
        rule="change" if kind == "constant" else "state",
        severity=severity,
        start=utc(texts.times[first]),
        end=utc(texts.times[last]),
        ended=last < len(texts.times) - 1,
        value=_number(value),
        baseline=_number(common),
        score=seen / total,
        samples=rows,
        detail=f"is {value} in {rows} rows, which {words} of the trailing days; usual is {common}",
    )


def _commonest_other(values: Words, usual: Usual) -> str:
    """The value that is least usual, of those the commonest."""
    names, counts = np.unique(values, return_counts=True)
    ranked = zip((usual.counts.get(str(name), 0) for name in names), -counts, map(str, names), strict=True)
    return min(ranked)[2]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
