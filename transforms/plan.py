# SPDX-License-Identifier: Apache-2.0
"""The plan: which table-days are out of date and why, and in which order they are built.

A table-day is out of date when its fingerprint differs from that of the last good run: the definition of its table, the
code of its transform, the calibrations valid on the day, and the contents of its inputs. A rebuild that gives the same
content does not make its dependents out of date.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from graphlib import TopologicalSorter
from heapq import heappop, heappush

from lake.definitions import Table
from lake.labels import Labels
from lake.ledger import Contents, fingerprint, read_contents
from lake.margins import PLANNED, days_within
from lake.store import Lake

TableDay = tuple[str, date]


@dataclass(frozen=True)
class Wish:
    """What is asked of a table: its days, None for all, and why they are built even if nothing changed, if so."""

    table: Table
    days: set[date] | None = None
    forced: str | None = None


@dataclass(frozen=True)
class Step:
    """One table-day to build: what it depends on, why it is out of date, and why it is built in any case, if so."""

    table: Table
    day: date
    reason: str
    depends_on: dict[str, str]
    forced: str | None = None

    @property
    def fingerprint(self) -> str:
        """sha256 of everything the result depends on."""
        return fingerprint(self.depends_on)

    @property
    def key(self) -> TableDay:
        """Address and day."""
        return self.table.address, self.day

    def __str__(self) -> str:
        return f"{self.table.address}@{self.day}"


def built_tables(lake: Lake) -> list[Table]:
    """Tables that have a transform, inputs before dependents."""
    return [table for table in lake.definitions.tables.values() if table.inputs]


def wishes(
    lake: Lake, tables: list[Table] | None = None, days: set[date] | None = None, force: bool = False
) -> list[Wish]:
    """What is asked of each table: all or some of them, all of their days or some."""
    chosen = [table for table in built_tables(lake) if tables is None or table in tables]
    return [Wish(table, days, "forced" if force else None) for table in chosen]


def plan_all(
    lake: Lake,
    tables: list[Table] | None = None,
    days: set[date] | None = None,
    force: bool = False,
    contents: Contents | None = None,
) -> list[Step]:
    """What `build_all` would build, with reasons, in its order; dependents of a step as if it succeeded and changed.

    Whoever has the contents need not have them read again.
    """
    return Planner(lake, contents or read_contents(lake)).plan(wishes(lake, tables, days, force))


def plan_hash(steps: Iterable[Step]) -> str:
    """sha256 of a plan: its table-days with the reason for each and what it will depend on."""
    return fingerprint([(step.table.address, str(step.day), step.reason, step.fingerprint) for step in steps])


class Planner:
    """Finds steps, given what is known of the lake. Whoever builds notes in `contents` what came of a step."""

    def __init__(self, lake: Lake, contents: Contents) -> None:
        self.lake, self.contents = lake, contents
        self._labels: dict[str, Labels] = {}

    def labels(self, table: Table) -> Labels:
        """What the days of a table depend on."""
        if table.address not in self._labels:
            self._labels[table.address] = Labels(self.lake.definitions, table)
        return self._labels[table.address]

    def plan(self, wanted: Iterable[Wish]) -> list[Step]:
        """All steps in the order in which they are built, as if each succeeded and changed its table-day."""
        actual, self.contents = self.contents, self.contents.copy()
        try:
            steps = []
            for wish in wanted:
                found = self.steps(wish)
                steps += found
                for step in found:
                    self.contents.known[step.key] = f"{PLANNED}{step.fingerprint}"
                    self.contents.runs[step.key] = {"status": "planned", "depends_on": as_json(step.depends_on)}
            return list(Schedule(steps, self.reads))
        finally:
            self.contents = actual

    def steps(self, wish: Wish) -> list[Step]:
        """Days of one table that are out of date, oldest first. Its inputs must be up to date in `contents`."""
        table, labels = wish.table, self.labels(wish.table)
        there = self.contents.tables[table.address]
        anew = not there.keeps_rows  # the first day that is written drops all others, so all are built
        forced = wish.forced or ("table made anew" if anew else None)
        present = self._days(self.contents.known, set(labels.inputs.values()))
        if table.margins:  # a neighbour's rows may reach over midnight: the end of a packet's samples, for example
            present |= {day + timedelta(days=step) for day in present for step in _reach(table)}
        # A day that lost its inputs is still built, to nothing: its old rows must not stay.
        stale = self._days(self.contents.runs, {table.address}) | set(there.files)
        days = present | stale if wish.days is None or anew else (present | stale) & wish.days
        found = (self._step(table, day, forced) for day in sorted(days))
        return [step for step in found if step is not None]

    def again(self, step: Step) -> Step | None:
        """A step as it is now that what it reads is built; None if it is not, or gave what it was before."""
        return self._step(step.table, step.day, step.forced)

    def reads(self, step: Step) -> dict[str, TableDay]:
        """The table-days that a step is made from, by the label of each in what it depends on."""
        return self.labels(step.table).reads(step.day)

    def _step(self, table: Table, day: date, forced: str | None) -> Step | None:
        labels = self.labels(table)
        if self._waits(labels, day):
            return None
        depends_on = labels.depends_on(self.lake, self.contents, day)
        there = (table.address, day) in self.contents.runs or day in self.contents.tables[table.address].files
        if not there and not labels.makes_something(depends_on):
            return None
        reason = self._reason(table, day, depends_on) or forced
        return Step(table, day, reason, depends_on, forced) if reason else None

    def _waits(self, labels: Labels, day: date) -> bool:
        """True if an input failed, or it is not settled what a table-day holds that would be read."""
        runs, inputs = self.contents.runs, [(address, day) for address in labels.inputs.values()]
        if any(key in runs and runs[key]["status"] == "failed" for key in inputs):
            return True  # a day that failed still holds the rows of its last good run
        beside = ((margin.source.address, margin.day) for margin in labels.margins(day))
        return any(map(self._unsettled, inputs)) or any(map(self._unsettled, beside))

    def _unsettled(self, key: TableDay) -> bool:
        """True for a table-day that is decoded again first, or has rows that it should not have or no run tells of."""
        address, day = key
        there = self.contents.tables[address]
        if key in self.contents.outdated:
            return True
        if not there.table.inputs or self.contents.known.get(key, "").startswith(PLANNED):
            return False
        return not there.keeps_rows or (day in there.files and key not in self.contents.runs)

    def _reason(self, table: Table, day: date, depends_on: dict[str, str]) -> str | None:
        run = self.contents.runs.get((table.address, day))
        if run is None:
            return "written without record" if day in self.contents.tables[table.address].files else "new"
        before: dict[str, str] = json.loads(str(run["depends_on"]))
        if before != depends_on:
            changed = [key for key in sorted(before | depends_on) if before.get(key) != depends_on.get(key)]
            return ", ".join(f"{key} changed" for key in changed)
        return "failed before" if run["status"] == "failed" else None

    @staticmethod
    def _days(known: Iterable[TableDay], addresses: set[str]) -> set[date]:
        return {day for address, day in known if address in addresses}


def _reach(table: Table) -> range:
    """Distances in days, from a day with rows, of the days that may see some of them."""
    before = max(days_within(before) for before, _ in table.margins.values())
    after = max(days_within(after) for _, after in table.margins.values())
    return range(-after, before + 1)


class Schedule:
    """Steps in the order in which they may be built: each after the steps that it reads, else the newest day first,
    and of a day the steps that most others wait for.

    As an iterator it gives them one after the other; whoever builds several at a time takes those that are ready.
    """

    def __init__(self, steps: Iterable[Step], reads: Callable[[Step], Mapping[str, TableDay]]) -> None:
        self.steps = {step.key: step for step in steps}
        self.places = {key: number for number, key in enumerate(self.steps)}
        wanted = {
            key: {read for read in reads(step).values() if read in self.steps} for key, step in self.steps.items()
        }
        self.follow = _longest_chains(wanted)
        self.sorter = TopologicalSorter(wanted)
        self.sorter.prepare()
        self.ready: list[tuple[int, int, int, TableDay]] = []
        self._collect()

    def take(self) -> Step | None:
        """The next step that is ready; None if it has to be waited for, or there is none."""
        return self.steps[heappop(self.ready)[3]] if self.ready else None

    def goes_on(self) -> bool:
        """True as long as a step is not finished."""
        return self.sorter.is_active()

    def put_back(self, step: Step) -> None:
        """Make a step that was taken ready again."""
        place = (-step.day.toordinal(), -self.follow[step.key], self.places[step.key])
        heappush(self.ready, (*place, step.key))

    def finished(self, step: Step) -> None:
        """Make steps ready that read this one."""
        self.sorter.done(step.key)
        self._collect()

    def _collect(self) -> None:
        for key in self.sorter.get_ready():
            self.put_back(self.steps[key])

    def __iter__(self) -> Iterator[Step]:
        while (step := self.take()) is not None:
            yield step
            self.finished(step)


def _longest_chains(reads: Mapping[TableDay, set[TableDay]]) -> dict[TableDay, int]:
    """How many steps follow each other after a step: what much waits for is begun first."""
    follow = dict.fromkeys(reads, 0)
    for key in reversed(list(TopologicalSorter(reads).static_order())):
        for read in reads[key]:
            follow[read] = max(follow[read], follow[key] + 1)
    return follow


def as_json(depends_on: dict[str, str]) -> str:
    """What a step depends on, as ops.runs has it."""
    return json.dumps(depends_on, sort_keys=True)
