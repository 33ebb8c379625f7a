# SPDX-License-Identifier: Apache-2.0
"""What the doctor says about limits, channels, rules and orbits."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lake.definition_text import build, numbered_rows
from lake.definitions import Definitions, Instrument, Mission, Table
from lake.errors import DefinitionError
from lake.watch_definitions import Limit

XTCE_LINE = re.compile(r"packets/.+\.xml line \d+")


def examine_limits(definitions: Definitions) -> str:
    """Raises DefinitionError for a limit that no value of its column, within its valid range, can break or keep."""
    found: Counter[str] = Counter()
    for mission, instrument in _instruments(definitions):
        for limit in instrument.limits:
            if (problem := _limit_problem(definitions.tables[f"{mission.name}.{limit.table}"], limit)) is not None:
                place = _place(definitions.path / mission.name / instrument.name, limit)
                raise DefinitionError(f"{place} ({limit.table}.{limit.column}): {problem}")
            found[limit.severity] += 1
            found["mode"] += limit.when is not None
    return (
        f"{found['red']} red and {found['yellow']} yellow, {found['mode']} of them in a mode; "
        "values within the valid ranges can break and keep each"
    )


def _limit_problem(table: Table, limit: Limit) -> str | None:
    low, high = table.by_name[limit.column].valid or (-math.inf, math.inf)
    told = f"{limit.low:g} to {limit.high:g}"
    if limit.high < low or limit.low > high:
        return f"{told} lies outside the valid range {low:g} to {high:g}. Correct one."
    if limit.low <= low and limit.high >= high:
        return f"no value of the valid range {low:g} to {high:g} lies outside {told}. Correct one."
    return None


def _place(folder: Path, limit: Limit) -> str:
    """Where a limit stands: one of an XTCE file has that and the line as its source."""
    if XTCE_LINE.fullmatch(limit.source):
        return str(folder / limit.source)
    path = folder / "limits.csv"
    rows = (number for number, row in numbered_rows(path) if build(Limit, row, f"{path} row {number}") == limit)
    return f"{path} row {next(rows)}"


def examine_channels(definitions: Definitions) -> str:
    """How many channels of each kind there are, and how many tables are watched."""
    kinds = Counter(channel.kind for _, instrument in _instruments(definitions) for channel in instrument.channels)
    watched = sum(table.watch is not None for table in definitions.tables.values())
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "no channels"
    return f"{told}; watched tables: {watched}"


def examine_rules(definitions: Definitions) -> str:
    """How many rules tables have beyond those that follow from their columns."""
    rules = [rule for table in definitions.tables.values() for rule in table.rules]
    tables = sum(bool(table.rules) for table in definitions.tables.values())
    failing = sum(rule.severity == "fail" for rule in rules)
    return f"{len(rules)} of {tables} tables, {failing} of them keep a product back"


def examine_orbits(definitions: Definitions) -> str:
    """The length of the orbit of each mission."""
    told = (
        f"{mission.name} {mission.orbit_seconds:.1f} s" if mission.orbit_seconds else f"{mission.name} not told"
        for mission in definitions.missions
    )
    return ", ".join(told)


def _instruments(definitions: Definitions) -> Iterator[tuple[Mission, Instrument]]:
    return ((mission, instrument) for mission in definitions.missions for instrument in mission.instruments)
