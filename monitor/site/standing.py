# SPDX-License-Identifier: Apache-2.0
"""How each product-day stands: exported with the rows that there are now, or why it is not, and what refused it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from typing import NamedTuple

from monitor.site.descent import versions
from monitor.site.facts import Facts
from monitor.site.figures import product_tables
from monitor.site.states import ABSENT, State, exported, states

Key = tuple[str, date]
PROBLEM = re.compile(r"([a-z0-9_]+\.[a-z0-9_]+)@(\d{4}-\d{2}-\d{2}): (.*)", re.DOTALL)  # as a night tells of an export
BLOCKED = "not exported, "  # its rows may not go out; anything else is about the file that was to be made
FINE = ("made", "delivered")
OLD_ROWS = "its file has other rows than the table-day has now"


class Refusal(NamedTuple):
    """What the last night said of a product-day that it did not export: `refused` or `blocked`, and why."""

    word: str
    why: str


class Standing(NamedTuple):
    """A product-day in a word, its state as pages mark it, and why it is so."""

    word: str
    state: str
    why: str = ""


def refusals(facts: Facts) -> dict[Key, Refusal]:
    """Product-days that the newest night did not export, but those which were exported since.

    A stage of a night keeps its first hundred problems: of more, the others are only in its log.
    """
    stages = facts.ops("nights").filter(stage="export").sort("night_id").tail(1)
    files, found = facts.once(versions), dict[Key, list[str]]()
    for began, problems in stages.select("started_at", "problems").iter_rows():
        for address, day, why in _told(problems):
            rows = files.get((address, day), [])
            if all(row["created_at"] <= began for row in rows):
                found.setdefault((address, day), []).append(why)
    return {key: Refusal(_word(reasons), "; ".join(reasons)) for key, reasons in found.items()}


def _told(problems: str) -> list[tuple[str, date, str]]:
    matches = [PROBLEM.fullmatch(str(problem)) for problem in json.loads(problems)]
    parts = [match.groups() for match in matches if match]
    return [(address, date.fromisoformat(day), why) for address, day, why in parts]


def _word(reasons: list[str]) -> str:
    return "blocked" if all(why.startswith(BLOCKED) for why in reasons) else "refused"


def standings(facts: Facts) -> Mapping[Key, Standing]:
    """All product-days that were exported, or that have rows, or of which a run or an export failed."""
    known, tables = facts.once(states), product_tables(facts)
    files, refused, current = facts.once(versions), facts.once(refusals), facts.once(exported)
    made = {key for key, state in known.items() if key[0] in tables and state.word not in ABSENT}
    return {
        key: _standing(known.get(key), refused.get(key), key in files, key in current)
        for key in sorted(made | files.keys() | refused.keys())
    }


def _standing(state: State | None, refusal: Refusal | None, is_file: bool, is_current: bool) -> Standing:
    """The worst first. A block says no more than the state of a table-day that is not as it should be."""
    fine = state is not None and state.shown in FINE
    if refusal and (refusal.word == "refused" or fine or state is None):
        return Standing(refusal.word, refusal.word, "; ".join(filter(None, (refusal.why, "" if fine else _why(state)))))
    if state is not None and not fine:
        return Standing(state.shown, state.shown, state.reasons)
    if not is_file:
        return Standing("waiting", "none", "the next export makes it")
    if state is None:
        return Standing("exported", "none", "its table-day is not there any more")
    return Standing("exported", "exported") if is_current else Standing("exported", "warn", OLD_ROWS)


def _why(state: State | None) -> str:
    return f"its table-day is {state.shown}" if state else ""
