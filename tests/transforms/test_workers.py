# SPDX-License-Identifier: Apache-2.0
"""Days that are built by several processes are those that one process builds, and so are the books."""

from __future__ import annotations

import pickle
from datetime import timedelta
from pathlib import Path

from lake.ledger import read_ops
from lake.parallel import executor
from lake.reading import scan
from lake.store import Lake
from tests.toy import DAY, L1, QL, TRANSFORMS, receive, toy_lake
from tests.toy_workers import WithTransforms
from tests.transforms.test_books import task_for
from tests.transforms.test_engine import code, done, lake, planned, rewrite, values
from transforms.day import make_day
from transforms.engine import build_all

__all__ = ["code", "lake"]  # fixtures

DAYS = [DAY - timedelta(days=n) for n in range(6)]
# The oldest day has no calibration; a day with a 13 breaks its transform.
BREAKS = TRANSFORMS.replace(
    "    # In time order.", "    assert 13 not in tick.collect()['value']\n    # In time order."
)


def fill(lake: Lake) -> Lake:
    for number, day in enumerate(DAYS):
        receive(lake, f"file{number}", [number, 7, 13 if number == 3 else 1], day)
    receive(lake, "early", [1], DAY.replace(year=2023))
    return lake


def state(lake: Lake) -> list[list[tuple[object, ...]]]:
    """Rows of all tables, and what the books say about each day but for times and the names of files."""
    tables = [scan(lake, lake.definitions.tables[address]).sort("day", "voltage_v").collect() for address in (L1, QL)]
    about = ["table_name", "day", "fingerprint", "reason", "rows", "input_rows", "status", "error", "content", "plan"]
    runs = read_ops(lake, "runs").select(about).sort("table_name", "day")
    return [table.rows() for table in (*tables, runs)]


def test_two_processes_build_what_one_builds(tmp_path: Path, code: Path) -> None:
    rewrite(code, BREAKS)
    alone = fill(toy_lake(tmp_path))
    together = fill(Lake(tmp_path / "together", alone.definitions))
    one = build_all(alone, "run")
    with executor(2) as pool:
        two = build_all(together, "run", executor=WithTransforms(pool, code.parents[1]))
    assert sorted(done(one)) == sorted(done(two))
    assert {(str(step), error) for step, error in one.failed} == {(str(step), error) for step, error in two.failed}
    assert (len(two.done), len(two.failed)) == (10, 2)
    assert state(together) == state(alone)
    assert planned(together) == planned(alone)


def test_a_task_is_small_and_survives_pickling(lake: Lake) -> None:
    receive(lake, "a", [1])
    task = task_for(lake, L1, DAY)
    text = pickle.dumps(task)
    assert make_day(pickle.loads(text))["status"] == "done"  # noqa: S301  our own bytes
    assert values(lake, L1) == [2.0]
    assert len(text) < 100_000
