# SPDX-License-Identifier: Apache-2.0
"""CPU time of planning on lakes of many days, with nothing changed and with one late file.

python -m bench.planning --days 30 90 365

The lakes have all tables of missions/, and books and Delta logs as a year of nights would leave them; their Parquet
files have no rows, as planning does not look into them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from deltalake import CommitProperties, Transaction
from deltalake.transaction import AddAction, RemoveAction

from lake.config import CHECKOUT, read_settings
from lake.day_files import structure
from lake.definition_files import read_definitions
from lake.definitions import Table
from lake.labels import Labels
from lake.ledger import Contents, file_list, l0_definition, read_contents
from lake.margins import Seen, rows_about
from lake.reading import arrow_schema, files_by_day, open_table, table_id
from lake.snapshots import Snapshot
from lake.store import Lake, iso_day
from lake.tables import append_ops, replace_day
from transforms.plan import Planner, Step, Wish, as_json, built_tables, plan_all

LAST_DAY = date(2026, 8, 1)
FILES_A_DAY = 3  # raw files that contribute to a day of an L0 table
RECENT = 25  # nights since the last checkpoint and compaction, of 50 between checkpoints
LATE = {"hermes.nemisis_l0_mag": 3, "padre.meddea_l0_photon": 10}  # tables with a late file, days before the last
SWXLAKE = str(Path(sys.executable).with_name("swxlake"))
TABLE = """| days | table-days | plan, CPU s | one late file: plan, CPU s | steps | `transform --dry-run`, CPU s |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """Figures of one lake: CPU seconds, and the number of steps after a late file."""

    days: int
    table_days: int
    quiet: float
    late: float
    steps: int
    command: float


def make_lake(root: Path, number: int) -> Lake:
    """A lake of `number` days in which everything is up to date."""
    lake = Lake(root, read_definitions(read_settings().missions))
    days = [LAST_DAY - timedelta(days=number - 1 - i) for i in range(number)]
    for table in lake.definitions.tables.values():
        _fill(lake, table, days)
    _append_by_night(lake, "contents", _contents(lake, days))
    _append_by_night(lake, "runs", _runs(lake))
    return lake


def add_day(lake: Lake, day: date) -> None:
    """One more day in a lake of `make_lake`, with everything up to date."""
    for table in lake.definitions.tables.values():
        _commit(lake, table, next(Path(lake.table_uri(table)).rglob("*.parquet")), [day])
    append_ops(lake, "contents", _contents(lake, [day]))
    append_ops(lake, "runs", _runs(lake))


def _fill(lake: Lake, table: Table, days: Sequence[date]) -> None:
    """Give a table a file for each day: most in one commit before a checkpoint, the last ones a commit each."""
    definition = structure(table) if table.inputs else _l0_definition(lake, table)
    empty = arrow_schema(table, stored=True).empty_table()
    replace_day(lake, table, days[0], empty, {}, definition)
    root = Path(lake.table_uri(table))
    first = next(root.rglob("*.parquet"))
    early = max(1, len(days) - RECENT)
    _commit(lake, table, first, days[1:early])
    if (delta := open_table(lake, table)) is not None:
        delta.create_checkpoint()
    for day in days[early:]:
        _commit(lake, table, first, [day])


def _commit(lake: Lake, table: Table, first: Path, days: Sequence[date]) -> None:
    """Add links to the first file, one for each day, as `replace_day` would add files."""
    delta = open_table(lake, table)
    if delta is None or not days:
        return
    adds: list[AddAction | RemoveAction] = []
    root = Path(lake.table_uri(table))
    for day in days:
        path = f"day={iso_day(day)}/part-{_sha256(str(day))[:32]}.parquet"
        (root / path).parent.mkdir()
        (root / path).hardlink_to(first)
        size = first.stat().st_size
        adds.append(AddAction(path, size, {"day": iso_day(day)}, 0, data_change=True, stats='{"numRecords":0}'))
    done = [Transaction(f"day/{iso_day(day)}@{delta.metadata().id}", 1) for day in days]
    properties = CommitProperties(app_transactions=done)
    delta.create_write_transaction(adds, "append", delta.schema(), partition_by=["day"], commit_properties=properties)


def _l0_definition(lake: Lake, table: Table) -> str:
    return l0_definition(lake.definitions.mission(table.mission), lake.definitions.instrument(table))


def _contents(lake: Lake, days: Sequence[date]) -> list[dict[str, Any]]:
    """Rows of ops.contents, by day."""
    rows = []
    for table in lake.definitions.tables.values():
        if not table.inputs:
            books = {"definition": _l0_definition(lake, table), "table_id": table_id(lake, table)}
            rows += [_content(table, day, str(number)) | books for day in days for number in range(FILES_A_DAY)]
    return sorted(rows, key=lambda row: str(row["run_id"]))


def _content(table: Table, day: date, name: str) -> dict[str, Any]:
    sha256 = _sha256(f"{table.instrument} {day} {name}")
    row = {"table_name": table.address, "day": day, "file_sha256": sha256, "rows": 1, "new_rows": 1}
    return row | {"run_id": _run_id(day)}


def _runs(lake: Lake) -> list[dict[str, Any]]:
    """Rows of ops.runs as if every day had been built, by day; writes ops.margins too."""
    contents = read_contents(lake)
    planner, rows = Planner(lake, contents), []
    for table in built_tables(lake):
        found = contents.tables[table.address]
        _see_margins(contents, planner.labels(table), sorted(found.files))
        steps = list(planner.steps(Wish(table)))
        # A table that sees days of its input after its own has days before the first of these.
        _fill_more(lake, found, [step.day for step in steps if step.day not in found.files])
        for step in steps:
            content = contents.known[step.key] = _sha256(str(step))
            written = {"content": content, "files": file_list(found.files[step.day]), "table_id": found.table_id}
            contents.runs[step.key] = _run(step) | written
            rows.append(contents.runs[step.key])
    append_ops(lake, "margins", rows_about(contents, _run_id(LAST_DAY)))
    return sorted(rows, key=lambda row: str(row["run_id"]))


def _fill_more(lake: Lake, found: Snapshot, days: Sequence[date]) -> None:
    """Give a table a file for each of these days too."""
    root = Path(lake.table_uri(found.table))
    _commit(lake, found.table, next(root.rglob("*.parquet")), days)
    found.files |= files_by_day(open_table(lake, found.table))


def _see_margins(contents: Contents, labels: Labels, days: Sequence[date]) -> None:
    """Something in every margin, but for those that reach days beyond the first and the last."""
    for day in (days[0] - timedelta(days=1), *days, days[-1] + timedelta(days=1)):
        for margin in labels.margins(day):
            if content := contents.known.get((margin.source.address, margin.day)):
                held = _sha256(f"{margin.key}") if days[0] <= day <= days[-1] else ""
                contents.margins[margin.key] = Seen(content, held, (_sha256(content),))
                contents.read.append(margin)


def _run(step: Step) -> dict[str, Any]:
    night = datetime(step.day.year, step.day.month, step.day.day, tzinfo=UTC)
    return {
        "run_id": _run_id(step.day),
        "table_name": step.table.address,
        "day": step.day,
        "fingerprint": step.fingerprint,
        "reason": "new",
        "rows": 1,
        "input_rows": 1,
        "seconds": 1.0,
        "started_at": night,
        "code_version": "0",
        "status": "done",
        "depends_on": as_json(step.depends_on),
        "plan": "",
    }


def _append_by_night(lake: Lake, name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Rows of the last nights in a commit each, all before in one, as after a compaction."""
    nights = sorted({str(row["run_id"]) for row in rows})
    early = set(nights[: max(1, len(nights) - RECENT)])
    append_ops(lake, name, [row for row in rows if row["run_id"] in early])
    for night in (night for night in nights if night not in early):
        append_ops(lake, name, [row for row in rows if row["run_id"] == night])


def _run_id(day: date) -> str:
    return f"{day:%Y%m%d}T020000.000000Z-aaaaaa"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def add_late_files(lake: Lake) -> None:
    """Books of a night that decoded a late file of each of some tables."""
    rows = []
    for address, ago in LATE.items():
        table = lake.definitions.tables[address]
        books = {"definition": _l0_definition(lake, table), "table_id": table_id(lake, table)}
        row = _content(table, LAST_DAY - timedelta(days=ago), "late") | books
        rows.append(row | {"run_id": _run_id(LAST_DAY + timedelta(days=1))})
    append_ops(lake, "contents", rows)


# ---- measuring -------------------------------------------------------------------------------------------------
def plan_once(root: Path) -> dict[str, Any]:
    """CPU seconds of the first plan of this process, all threads, books included, and what it planned."""
    lake = Lake(root, read_definitions(read_settings().missions))
    before = time.process_time()
    steps = plan_all(lake)
    spent = time.process_time() - before
    return {"cpu": spent, "steps": len(steps), "first": [f"{step}: {step.reason}" for step in steps[:3]]}


def _measured(root: Path, rounds: int) -> tuple[float, dict[str, Any]]:
    """Median of the CPU seconds of plans, each in a process of its own, and what was planned."""
    command = [sys.executable, "-m", "bench.planning", "--plan", str(root)]
    found = [
        json.loads(subprocess.run(command, check=True, capture_output=True, cwd=CHECKOUT).stdout) for _ in range(rounds)
    ]
    return statistics.median(one["cpu"] for one in found), found[0]


def _command(root: Path) -> float:
    """CPU seconds of `swxlake transform --dry-run`, user and system."""
    before = os.times()
    command = [SWXLAKE, "transform", "--dry-run", "--root", str(root)]
    subprocess.run(command, check=True, capture_output=True, cwd=CHECKOUT)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def run(days: int, rounds: int = 3) -> Row:
    """Figures of a lake of so many days. Raises AssertionError if something was planned that did not change."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "lake"
        lake = make_lake(root, days)
        quiet, planned = _measured(root, rounds)
        assert planned["steps"] == 0, f"nothing changed, but there are steps: {planned['first']}"
        command = statistics.median(_command(root) for _ in range(rounds))
        add_late_files(lake)
        late, planned = _measured(root, rounds)
        return Row(days, days * len(lake.definitions.tables), quiet, late, planned["steps"], command)


def table(rows: Sequence[Row]) -> str:
    """The figures as a table in Markdown."""
    lines = [
        f"| {r.days} | {r.table_days:,} | {r.quiet:.2f} | {r.late:.2f} | {r.steps} | {r.command:.2f} |" for r in rows
    ]
    return TABLE + "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, nargs="+", default=[30, 90, 365])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--make", type=Path, metavar="ROOT", help="only make a lake of the first number of days there")
    parser.add_argument("--plan", type=Path, metavar="ROOT", help="only plan for the lake there, once")
    options = parser.parse_args()
    if options.plan:
        print(json.dumps(plan_once(options.plan)))
    elif options.make:
        make_lake(options.make, options.days[0])
    else:
        print(table([run(days, options.rounds) for days in options.days]))


if __name__ == "__main__":
    main()
