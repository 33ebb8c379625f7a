# SPDX-License-Identifier: Apache-2.0
"""What a test of endurance found: a row of the table that `python -m bench.torture` prints."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """One row: what was done, what must come out, what came out; `details` are lines for the page."""

    test: str
    target: str
    figure: str
    met: bool = True
    details: tuple[str, ...] = field(default=())


def unmeasured(test: str, target: str, reason: str) -> Figure:
    """A row that could not be measured here; that misses no target."""
    return Figure(test, target, f"not measured: {reason}")


def table(figures: list[Figure]) -> str:
    """The rows as a Markdown table."""
    lines = ["| test | target | figure | |", "|---|---|---|---|"]
    verdict = {True: "met", False: "**missed**"}
    return "\n".join([*lines, *(f"| {f.test} | {f.target} | {f.figure} | {verdict[f.met]} |" for f in figures)])
