# SPDX-License-Identifier: Apache-2.0
"""What the checks say of each table-day: how many rules there are, which do not hold, and of which rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from monitor.site.facts import Facts
from monitor.site.sections import Cell, mark

Row = Mapping[str, Any]
Key = tuple[str, date]
SEVERITIES = {"fail": "fail", "warn": "warn", "info": "none", "alarm": "fail"}
RED = "red_"  # what the names of rules of red limits begin with; they keep no day from being exported


@dataclass(frozen=True)
class Judged:
    """The standing verdicts about a table-day: how many rules there are, those that do not hold, whether rows changed.

    `old` verdicts are about rows that were there before.
    """

    rules: int = 0
    broken: tuple[Row, ...] = ()
    old: bool = False

    @property
    def gates(self) -> bool:
        """Whether a rule that does not hold keeps the day from being exported."""
        return any(row["severity"] == "fail" for row in self.broken)

    def cell(self, to: str = "") -> Cell:
        """What came of it, in a word."""
        if not self.rules:
            return mark("not checked", "none", to)
        if self.old:
            return mark("not checked since", "warn", to)
        if not self.broken:
            return mark("passed", "ok", to)
        alarms = [row for row in self.broken if worth(row) == "alarm"]
        words = [f"{len(self.broken)} not held", f"{len(alarms)} alarms" if len(alarms) > 1 else "1 alarm"]
        return mark(", ".join(words if alarms else words[:1]), "fail" if self.gates or alarms else "warn", to)


def worth(row: Row) -> str:
    """The severity of a rule that does not hold; `alarm` of a red limit, which is an info to exports alone."""
    return "alarm" if row["severity"] == "info" and row["rule"].startswith(RED) else str(row["severity"])


def severity(row: Row) -> Cell:
    """The same as a state."""
    return mark(worth(row), SEVERITIES[worth(row)])


def judged(facts: Facts) -> dict[Key, Judged]:
    """The standing verdicts about each table-day."""
    broken = defaultdict[Key, list[Row]](list)
    for row in facts.broken.sort("severity", "rule").iter_rows(named=True):
        broken[row["table_name"], row["day"]].append(row)
    now = facts.contents.known
    return {
        key: Judged(count, tuple(broken.get(key, ())), key in now and now[key] != content)
        for key, (count, content) in facts.rules.items()
    }
