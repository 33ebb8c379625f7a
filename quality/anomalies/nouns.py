# SPDX-License-Identifier: Apache-2.0
"""What an anomaly is, as all methods give it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Severity = Literal["info", "yellow", "red"]
RANKS: dict[str, int] = {"info": 0, "yellow": 1, "red": 2}


@dataclass(frozen=True)
class Anomaly:
    """A stretch of time in which a channel (`column`), or a table (''), was not as usual. Times are UTC.

    `value` and `baseline` are in the unit of the column or metric, `score` says how far they are apart in the measure
    of the rule. `ended` tells that later rows are as usual again; without any it is not known to have ended.
    """

    column: str
    rule: str
    severity: Severity
    start: datetime
    end: datetime
    ended: bool
    value: float | None
    baseline: float | None
    score: float | None
    samples: int
    detail: str
