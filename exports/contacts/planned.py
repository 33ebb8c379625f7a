# SPDX-License-Identifier: Apache-2.0
"""Plans that were read, in journal/passes: they cannot be derived. A later plan supersedes passes by their name.

An entry is one file as it was read, with its hash. A file that the settings name is read again when its bytes are
others than when it was read last, so what was given by hand since then stands until somebody changes that file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from exports.contacts.plans import Pass, Plan
from lake.store import Journal, Lake

KIND = "passes"
TIMES = ("start", "end", "due")
TUPLES = ("names", "instruments")


@dataclass(frozen=True)
class Planned:
    """A pass as the newest plan that has it says, and the entry of the journal that is that plan."""

    one: Pass
    plan: str


@dataclass(frozen=True)
class Plans:
    """All that was planned.

    passes : in order of their start. wrong : what is wrong in the newest plan of each name, with when that was read.
    newest : the hash of the newest plan, by the name of its file. configured : the same of those that settings name.
    """

    passes: tuple[Planned, ...]
    wrong: tuple[tuple[datetime, str], ...]
    newest: Mapping[str, str]
    configured: Mapping[str, str]


class PlanBook:
    """The plans of a lake."""

    def __init__(self, lake: Lake) -> None:
        self.journal = Journal(lake)
        self.entries = self.journal.entries(KIND)

    def keep(self, plan: Plan, now: datetime, by_hand: bool = False) -> str | None:
        """Keep a plan as the newest one; the key of its entry, or None if the newest of its name has the same bytes.

        One that the settings name is compared with those that settings named, not with what was given `by_hand`.
        """
        while self._known(by_hand).get(plan.name) != plan.sha256:
            key = f"{max(map(int, self.entries), default=0) + 1:08}"
            entry = _entry(plan, now) | ({"by_hand": True} if by_hand else {})
            if self.journal.write_once(KIND, key, entry):
                self.entries[key] = entry
                return key
            self.entries = self.journal.entries(KIND)  # another process was here
        return None

    def _known(self, by_hand: bool) -> Mapping[str, str]:
        return self.plans().newest if by_hand else self.plans().configured

    def plans(self) -> Plans:
        """What all plans together say."""
        passes: dict[tuple[str, str], Planned] = {}
        wrong: dict[str, list[tuple[datetime, str]]] = {}
        newest, configured = dict[str, str](), dict[str, str]()
        for key, entry in sorted(self.entries.items()):
            newest[entry["name"]], read_at = entry["sha256"], datetime.fromisoformat(entry["read_at"])
            if not entry.get("by_hand"):
                configured[entry["name"]] = entry["sha256"]
            wrong[entry["name"]] = [(read_at, line) for line in entry["wrong"]]
            passes |= {one.key: Planned(one, key) for one in map(_pass, entry["passes"])}
        ordered = sorted(passes.values(), key=lambda each: (each.one.start, each.one.key))
        return Plans(tuple(ordered), tuple(line for lines in wrong.values() for line in lines), newest, configured)


def with_plan(plans: Plans, plan: Plan, now: datetime) -> Plans:
    """The plans as they would be with another one; nothing is kept. Its passes have no entry."""
    passes = {each.one.key: each for each in plans.passes} | {one.key: Planned(one, "") for one in plan.passes}
    ordered = sorted(passes.values(), key=lambda each: (each.one.start, each.one.key))
    return replace(plans, passes=tuple(ordered), wrong=(*plans.wrong, *((now, line) for line in plan.wrong)))


def _entry(plan: Plan, now: datetime) -> dict[str, Any]:
    content = {"name": plan.name, "sha256": plan.sha256, "read_at": now.isoformat(), "wrong": list(plan.wrong)}
    return content | {"passes": [_row(one) for one in plan.passes]}


def _row(one: Pass) -> dict[str, Any]:
    times = {name: time.isoformat() if (time := getattr(one, name)) else None for name in TIMES}
    return asdict(one) | times | {name: list(getattr(one, name)) for name in TUPLES}


def _pass(row: dict[str, Any]) -> Pass:
    times = {name: datetime.fromisoformat(row[name]) if row[name] else None for name in TIMES}
    return Pass(**(row | times | {name: tuple(row[name]) for name in TUPLES}))
