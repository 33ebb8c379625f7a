# SPDX-License-Identifier: Apache-2.0
"""The engine: plan what is out of date, then build just that, one day of one table at a time, on any executor.

Workers build days; this process alone keeps the books. If it dies, a day that no row tells of is built again.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field, replace
from datetime import date

from lake.definitions import Table
from lake.errors import ConfigurationError
from lake.ledger import Contents, Run, next_run_id, read_contents
from lake.margins import rows_about
from lake.parallel import SerialExecutor, waiting_room
from lake.raw_rows import verify_raw
from lake.store import Journal, Lake
from lake.tables import append_ops, make_anew
from transforms.day import OVERTAKEN, Task, make_day
from transforms.plan import Planner, Schedule, Step, TableDay, Wish, built_tables, plan_hash, wishes

BOOKS = ("runs", "margins")
BATCH = 64  # rows of ops.runs in a commit
TRIES = 3  # of a table-day that other processes keep writing

Progress = Callable[[int, int, str], None]


@dataclass
class Built:
    """Outcome of building table-days: each with its rows, or with what went wrong, and the hash of the plan."""

    done: list[tuple[Step, int]] = field(default_factory=list)
    failed: list[tuple[Step, str]] = field(default_factory=list)
    plan: str = ""


def build_all(
    lake: Lake,
    run_id: str | None = None,
    tables: list[Table] | None = None,
    days: set[date] | None = None,
    force: bool = False,
    *,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Built:
    """Build everything that is out of date, the newest day first.

    A day that fails is recorded and does not stop the others. `run_id` None is a new one. `executor` does the work
    (default: this process); `progress` is told how many steps are done, of how many, and which.
    """
    with lake.storage.alone("build"):
        run_id = run_id or next_run_id(lake, *BOOKS)
        return _build(lake, run_id, wishes(lake, tables, days, force), executor, progress)


def rebuild(
    lake: Lake,
    run_id: str | None,
    table: Table,
    why: str,
    days: set[date] | None = None,
    *,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Built:
    """Build a table again, all its days or some, whether or not anything changed, then what changes thereby.

    A table of L0 is emptied; the next ingest decodes it again as a whole. The journal keeps who wanted what, and why.
    Raises ConfigurationError if no reason is given, or days of L0, or days that are not there; StorageError if raw/
    does not have what a table of L0 would be decoded from. In these cases nothing is changed, nor noted.
    """
    if not why.strip():
        raise ConfigurationError(f"{table.address}: give a reason for the rebuild with --why.")
    if days is not None and not table.inputs:
        raise ConfigurationError(f"{table.address}: is decoded again as a whole. Leave out --from and --to.")
    with lake.storage.alone("ingest"), lake.storage.alone("build"):
        run_id = run_id or next_run_id(lake, *BOOKS)
        range_ = [str(min(days)), str(max(days))] if days else None
        wish = Wish(table, days, f"rebuild: {why}")
        if table.inputs:
            _refuse_no_day(lake, wish)
        else:
            verify_raw(lake, table)
        # First: a reason for a rebuild that did not happen is better than an emptied table for which nobody has one.
        Journal(lake).write_once("rebuilds", run_id, {"table": table.address, "why": why, "days": range_})
        if not table.inputs:
            make_anew(lake, table)
            return Built()
        followers = [t for t in built_tables(lake) if t != table and table in lake.definitions.ancestors(t)]
        wanted = [wish, *(Wish(follower) for follower in followers)]
        return _build(lake, run_id, wanted, executor, progress)


def _refuse_no_day(lake: Lake, wish: Wish) -> None:
    """Raises ConfigurationError if none of the days can be built."""
    planner, address = Planner(lake, read_contents(lake)), wish.table.address
    if planner.steps(wish):
        return
    there = sorted(planner.contents.tables[address].files)
    has = f"it has {there[0]} to {there[-1]}" if there else "it has none yet"
    where = " in this range" if wish.days is not None else ""
    remedy = "Correct --from and --to." if there and where else "Run `swxlake night`."
    raise ConfigurationError(f"{address}: there is no day to build{where}; {has}. {remedy}")


def _build(
    lake: Lake, run_id: str, wanted: Iterable[Wish], executor: Executor | None, progress: Progress | None
) -> Built:
    planner = Planner(lake, read_contents(lake))
    steps = planner.plan(wanted)
    make_claims(lake, planner.contents, steps)
    builder = _Builder(lake, run_id, plan_hash(steps), planner, progress or (lambda *_: None))
    try:
        builder.run(steps, executor or SerialExecutor())
    finally:
        builder.write_books()
    return builder.built


def make_claims(lake: Lake, contents: Contents, steps: Iterable[Step]) -> None:
    """Claim the days of steps as they stood when the contents were read, now: the steps may wait for hours."""
    days = defaultdict[str, set[date]](set)
    for step in steps:
        days[step.table.address].add(step.day)
    for address, its_days in days.items():
        contents.tables[address].make_claims(lake, its_days)


class _Builder:
    """Builds the steps of a plan and keeps the books."""

    def __init__(self, lake: Lake, run_id: str, plan: str, planner: Planner, progress: Progress) -> None:
        self.lake, self.run_id, self.planner, self.progress = lake, run_id, planner, progress
        self.built = Built(plan=plan)
        self.rows: list[Run] = []
        self.tries: Counter[TableDay] = Counter()
        self.steps_done = 0

    def run(self, steps: list[Step], executor: Executor) -> None:
        """Build each step as soon as what it reads is built; as many at a time as keep the workers busy."""
        schedule = self.schedule = Schedule(steps, self.planner.reads)
        at_work: dict[Future[Run], Step] = {}
        while schedule.goes_on():
            while len(at_work) < waiting_room(executor) and (planned := schedule.take()) is not None:
                step = self.planner.again(planned)
                if step is None:  # it waits, or its inputs came out as they were
                    self._finish(schedule, planned)
                else:
                    at_work[executor.submit(make_day, self._task(step))] = step
            for future in wait(at_work, return_when=FIRST_COMPLETED).done:
                step = at_work.pop(future)
                if self._note(step, future.result()):
                    self._finish(schedule, step)
                else:
                    schedule.put_back(step)

    def write_books(self) -> None:
        """Write what is not in ops.runs yet, and before it what was seen over midnight."""
        contents = self.planner.contents
        append_ops(self.lake, "margins", rows_about(contents, self.run_id))
        contents.read.clear()
        append_ops(self.lake, "runs", self.rows)
        self.rows = []

    def _task(self, step: Step) -> Task:
        contents, address = self.planner.contents, step.table.address
        reads = self.planner.reads(step).items()
        sources = {label: contents.source(*read) for label, read in reads if step.depends_on[label]}
        claim = contents.tables[address].claims[step.day]
        return Task(
            self.lake, address, step.day, step.reason, step.depends_on, sources, claim, self.run_id, self.built.plan
        )

    def _note(self, step: Step, row: Run) -> bool:
        """Take down what came of a step, for those that read it; False if it has to be tried again."""
        if row["status"] == OVERTAKEN:
            return self._overtaken(step, row)
        contents = self.planner.contents
        contents.runs[step.key] = row
        contents.known.pop(step.key, None)
        if row["status"] == "done":
            self._note_files(step, tuple(json.loads(row["files"])))
            if row["content"]:
                contents.known[step.key] = row["content"]
            self.built.done.append((step, row["rows"]))
        else:
            self.built.failed.append((step, row["error"]))
        self.rows.append(row)
        if len(self.rows) >= BATCH:
            self.write_books()
        return True

    def _note_files(self, step: Step, names: tuple[str, ...]) -> None:
        contents, address = self.planner.contents, step.table.address
        there = contents.tables[address]
        if not there.keeps_rows:  # the table is another one now, and holds this day alone
            there = contents.tables[address] = replace(there, keeps_rows=True, files={})
            for key in [key for key in contents.known if key[0] == address]:
                del contents.known[key]
        there.files[step.day] = names

    def _overtaken(self, step: Step, row: Run) -> bool:
        """Plan a step again from fresh books, as another process has written its day; not for ever."""
        self.tries[step.key] += 1
        if self.tries[step.key] < TRIES:
            self.write_books()
            self.planner.contents = read_contents(self.lake)
            make_claims(self.lake, self.planner.contents, self.schedule.steps.values())
            return False
        return self._note(step, row | {"status": "failed"})

    def _finish(self, schedule: Schedule, step: Step) -> None:
        schedule.finished(step)
        self.steps_done += 1
        self.progress(self.steps_done, len(schedule.steps), str(step))
