# SPDX-License-Identifier: Apache-2.0
"""Maintenance keeps rows, releases and the time-travel window, removes the rest in time, and may end at any moment."""

from __future__ import annotations

import itertools
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.table import TableAlterer, TableOptimizer

from lake.definitions import Table
from lake.errors import ConfigurationError, StorageError, SwxlakeError, TableError
from lake.ledger import read_ops
from lake.maintenance import maintain, parquet_files, released_states, storage_time
from lake.reading import arrow_schema, open_table, scan
from lake.storage import Folder
from lake.store import Journal, Lake
from lake.tables import append_ops, replace_day
from tests.toy import DAY, L1, toy_lake

WEEK = 7 * 86_400
RUN = {"table_name": L1, "day": DAY, "rows": 1, "new_rows": 1, "definition": "", "table_id": ""}


def write_day(lake: Lake, *volts: float) -> None:
    """Replace the day of L1 by these values."""
    table = lake.definitions.tables[L1]
    schema = arrow_schema(table, stored=True)
    values = {"epoch_tt2000": range(len(volts)), "voltage_v": volts, "halves_v": [[v / 2, v / 2] for v in volts]}
    replace_day(lake, table, DAY, pa.table({n: list(values[n]) for n in schema.names}, schema=schema), {})


def volts(lake: Lake) -> list[float]:
    return scan(lake, lake.definitions.tables[L1]).collect()["voltage_v"].to_list()


def make_release(lake: Lake, name: str) -> None:
    opened = ((t, open_table(lake, t)) for t in (*lake.definitions.tables.values(), *lake.definitions.ops))
    tables = {t.address: {"version": d.version(), "id": str(d.metadata().id)} for t, d in opened if d is not None}
    Journal(lake).write_once("releases", name, {"tables": tables, "products": []})


def at_release(lake: Lake) -> Lake:
    (state,) = released_states(lake)
    return Lake(lake.root, lake.definitions, state)


def fill(lake: Lake) -> Lake:
    """Three writes of one day, a release of the first, a dozen small files in ops.contents, and a file left behind."""
    write_day(lake, 1, 2)
    make_release(lake, "first")
    write_day(lake, 3)
    write_day(lake, 4, 5, 6)
    for number in range(12):
        append_ops(lake, "contents", [RUN | {"file_sha256": f"{number}", "run_id": f"{number:02}"}])
    lake.storage.put(f"{lake.table_key(lake.definitions.tables[L1])}/day={DAY}/part-left.parquet", b"half")
    return lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return fill(toy_lake(tmp_path))


def state(lake: Lake) -> tuple[list[float], list[float], pl.DataFrame]:
    """What everybody may rely on: rows now, rows of the release, books."""
    return volts(lake), volts(at_release(lake)), read_ops(lake, "contents").sort("file_sha256")


def same(
    one: tuple[list[float], list[float], pl.DataFrame], other: tuple[list[float], list[float], pl.DataFrame]
) -> bool:
    return one[:2] == other[:2] and one[2].equals(other[2])


def names(lake: Lake, address: str) -> set[str]:
    tables = {t.address: t for t in (*lake.definitions.tables.values(), *lake.definitions.ops)}
    return {entry.key for entry in parquet_files(lake, tables[address])}


def in_days(days: float) -> float:
    return time.time() + days * 86_400


# ---- what it does ----------------------------------------------------------------------------------------------------
def test_rows_stay_and_small_files_of_the_lake_s_own_tables_become_one(lake: Lake) -> None:
    before = state(lake)
    kept = maintain(lake)
    assert same(state(lake), before)
    assert (kept.compacted, kept.removed) == ({"ops.contents": 12}, [])
    contents = open_table(lake, lake.ops("contents"))
    assert contents is not None
    assert len(contents.file_uris()) == 1
    assert read_ops(lake, "contents")["run_id"].to_list() == [f"{number:02}" for number in range(12)]


def test_a_data_table_keeps_its_files(lake: Lake) -> None:
    for number in range(10):
        write_day(lake, number)
    before = open_table(lake, lake.definitions.tables[L1])
    maintain(lake)
    after = open_table(lake, lake.definitions.tables[L1])
    assert before is not None
    assert after is not None
    assert (before.version(), before.file_uris()) == (after.version(), after.file_uris())


def test_a_second_time_there_is_nothing_to_do(lake: Lake) -> None:
    maintain(lake)
    versions = [entry.key for entry in lake.storage.entries("tables/")]
    kept = maintain(lake)
    assert (kept.compacted, kept.checkpoints, kept.settings, kept.removed, kept.leftovers) == ({}, [], [], [], [])
    assert [entry.key for entry in lake.storage.entries("tables/")] == versions


def test_a_checkpoint_is_written_where_ten_commits_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lake.tables.CHECKPOINT_EVERY", "100")
    lake = fill(toy_lake(tmp_path))
    assert maintain(lake).checkpoints == ["ops.contents"]
    log = f"{lake.table_key(lake.ops('contents'))}/_delta_log/"
    assert [e.key.removeprefix(log) for e in lake.storage.entries(log) if "checkpoint." in e.key] == [
        "00000000000000000013.checkpoint.parquet"
    ]


def test_an_older_table_learns_to_keep_its_log(lake: Lake) -> None:
    delta = open_table(lake, lake.ops("contents"))
    assert delta is not None
    delta.alter.set_table_properties({"delta.enableExpiredLogCleanup": "true"})
    assert maintain(lake).settings == ["ops.contents"]
    delta = open_table(lake, lake.ops("contents"))
    assert delta is not None
    assert delta.metadata().configuration["delta.enableExpiredLogCleanup"] == "false"


# ---- what it removes -------------------------------------------------------------------------------------------------
def test_nothing_younger_than_the_retention_is_removed(lake: Lake) -> None:
    before = names(lake, L1)
    assert len(before) == 4
    assert maintain(lake, now=in_days(6)).removed == []
    assert names(lake, L1) == before


def test_what_no_version_within_the_retention_and_no_release_needs_is_removed(lake: Lake) -> None:
    before, gone = state(lake), names(lake, L1)
    kept = maintain(lake, now=in_days(8))
    assert same(state(lake), before)
    left = names(lake, L1)
    assert len(left) == 2  # of the release, and of today
    assert {entry.key for entry in kept.removed if L1.rpartition(".")[2] in entry.key} == gone - left
    assert f"tables/toy/box_l1_tick/day={DAY}/part-left.parquet" in gone - left
    assert kept.bytes == sum(entry.bytes for entry in kept.removed)


def test_a_version_that_was_the_newest_within_the_retention_can_still_be_read(lake: Lake) -> None:
    table = lake.definitions.tables[L1]
    uri = lake.table_uri(table)
    for log in Path(uri, "_delta_log").glob("*.json"):
        if int(log.stem) <= 2:  # the first two writes are old; the third replaced the second just now
            os.utime(log, (time.time() - 2 * WEEK,) * 2)
    for entry in parquet_files(lake, table):
        os.utime(Path(lake.storage.uri(entry.key)), (time.time() - 2 * WEEK,) * 2)
    maintain(lake)
    second = DeltaTable(uri, version=2).to_pyarrow_table()
    assert second["voltage_v"].to_pylist() == [3]
    assert f"tables/toy/box_l1_tick/day={DAY}/part-left.parquet" not in names(lake, L1)


def test_a_dry_run_says_the_same_and_changes_nothing(lake: Lake) -> None:
    before = [entry for entry in lake.storage.entries("") if not entry.key.startswith("locks/")]
    planned = maintain(lake, dry_run=True, now=in_days(8))
    assert [entry for entry in lake.storage.entries("") if not entry.key.startswith("locks/")] == before
    done = maintain(lake, now=in_days(8))
    assert (planned.compacted, planned.settings) == (done.compacted, done.settings)
    removed = {entry.key for entry in planned.removed}
    assert removed <= {entry.key for entry in done.removed}
    assert len(removed) == 2


def test_a_release_of_a_table_that_is_gone_is_told_and_holds_nothing(lake: Lake) -> None:
    for path in sorted(Path(lake.table_uri(lake.definitions.tables[L1])).rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    write_day(lake, 7)
    write_day(lake, 8)
    (told,) = maintain(lake, now=in_days(8)).lost
    assert told.startswith(f"{L1}: was made anew since first")
    assert (volts(lake), len(names(lake, L1))) == ([8], 1)


@pytest.mark.parametrize("reason", ["timed out", "cannot be read"])
def test_where_a_release_cannot_be_read_now_nothing_is_removed(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    before = names(lake, L1)

    def refused(asked: Lake, table: Table) -> DeltaTable | None:
        if asked.as_of is not None:
            raise TableError(reason)
        return open_table(asked, table)

    monkeypatch.setattr("lake.maintenance.open_table", refused)
    with pytest.raises(TableError, match=reason):
        maintain(lake, now=in_days(8))
    assert names(lake, L1) == before


def test_a_release_of_a_version_that_the_log_lacks_holds_nothing(lake: Lake) -> None:
    for address, version in ((L1, 7), ("ops.contents", 99)):
        tables = {address: {"version": version, "id": "any"}}
        Journal(lake).write_once("releases", address, {"tables": tables, "products": []})
    assert len(maintain(lake, now=in_days(8)).lost) == 2
    assert len(names(lake, L1)) == 2


def test_a_clock_far_ahead_of_the_storage_is_refused(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    before, wall = list(lake.storage.entries("tables/")), time.time
    monkeypatch.setattr("lake.maintenance.time.time", lambda: wall() + 2 * WEEK)
    with pytest.raises(StorageError, match=r"clock is 336\.0 h ahead of it\. Set the clock\.$"):
        maintain(lake)
    assert list(lake.storage.entries("tables/")) == before


def test_the_time_is_that_of_the_storage_where_it_is_earlier(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    wall, before = time.time, set(Path(lake.root).iterdir())
    monkeypatch.setattr("lake.maintenance.time.time", lambda: wall() + 600)
    assert storage_time(lake) <= wall()
    monkeypatch.setattr("lake.maintenance.time.time", lambda: wall() - 2 * WEEK)
    assert storage_time(lake) < wall() - WEEK
    assert set(Path(lake.root).iterdir()) == before


def test_leftovers_of_killed_processes_go_when_they_are_old(lake: Lake) -> None:
    root = lake.root
    assert isinstance(root, Path)
    old = [root / ".scratch-a/half.cdf", root / "raw/toy/.b.part", root / "tables/toy/box_l1_tick/c.parquet#1"]
    for path in old:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    young = maintain(lake)
    assert (young.leftovers, all(path.exists() for path in old)) == ([], True)
    kept = maintain(lake, now=in_days(8))
    assert sorted(entry.key for entry in kept.leftovers) == sorted(path.relative_to(root).as_posix() for path in old)
    assert not any(path.exists() for path in (*old, root / ".scratch-a"))


# ---- when it may not ------------------------------------------------------------------------------------------------
def test_a_retention_below_a_day_is_refused(lake: Lake) -> None:
    with pytest.raises(ConfigurationError, match=r"a retention of 0\.5 days is too short\. Give at least 1"):
        maintain(lake, retention_days=0.5)


@pytest.mark.parametrize("work", ["ingest", "build"])
def test_it_waits_for_whoever_is_at_work(lake: Lake, work: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWXLAKE_WAIT_SECONDS", "0")
    with lake.storage.alone(work), pytest.raises(StorageError, match="is at work"):
        maintain(lake)


def test_another_writer_meanwhile_is_told_and_loses_nothing(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    compact = TableOptimizer.compact

    def overtaken(self: TableOptimizer, *args: Any, **kwargs: Any) -> Any:
        table = open_table(lake, lake.ops("contents"))
        assert table is not None
        table.delete("run_id = '00'")
        return compact(self, *args, **kwargs)

    monkeypatch.setattr(TableOptimizer, "compact", overtaken)
    assert maintain(lake).busy == ["ops.contents"]
    assert read_ops(lake, "contents").height == 11


# ---- at any moment ---------------------------------------------------------------------------------------------------
class Killed(BaseException):
    """Stands for the end of the process."""


def counted(function: Callable[..., Any], calls: Iterator[int], at: int, error: BaseException) -> Callable[..., Any]:
    """The function; call number `at` fails: odd numbers before, even ones after the work was done."""

    def call(*args: Any, **kwargs: Any) -> Any:
        number = next(calls)
        if number == at and number % 2:
            raise error
        result = function(*args, **kwargs)
        if number == at:
            raise error
        return result

    return call


PLACES = (
    (Folder, "entries"), (Folder, "read"), (Folder, "remove"), (Folder, "size"), (TableOptimizer, "compact"),
    (TableAlterer, "set_table_properties"), (DeltaTable, "create_checkpoint"),
)  # fmt: skip


def ends_at(lake: Lake, at: int, error: BaseException) -> bool:
    """Maintain a lake with an error at a call; False if there were not so many calls."""
    calls = iter(range(1, 1_000_000))
    with pytest.MonkeyPatch.context() as patched:
        for owner, name in PLACES:
            patched.setattr(owner, name, counted(getattr(owner, name), calls, at, error))
        with suppress(Killed, SwxlakeError, OSError):
            maintain(lake, now=in_days(8))
    return next(calls) > at


@pytest.mark.parametrize("error", [Killed(), StorageError("no disk"), OSError("no disk")], ids=["killed", "ours", "os"])
def test_an_end_at_any_call_does_no_harm_and_a_repeat_completes(
    lake: Lake, tmp_path: Path, error: BaseException
) -> None:
    delta = open_table(lake, lake.definitions.tables[L1])
    assert delta is not None
    delta.alter.set_table_properties({"delta.enableExpiredLogCleanup": "true"})
    before = state(lake)
    for at in itertools.count(1):
        copy = Lake(Path(shutil.copytree(lake.root, tmp_path / f"{at}")), lake.definitions)
        if not ends_at(copy, at, error):
            break
        assert same(state(copy), before), f"call {at}"
        maintain(copy, now=in_days(8))
        assert same(state(copy), before), f"after call {at}"
        assert len(names(copy, L1)) == 2
    assert at > 20


def test_what_delta_lake_refuses_says_where_and_what_to_do(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(TableOptimizer, "compact", full)
    with pytest.raises(
        TableError, match=r"tables/ops/contents: cannot be maintained \(No space left on device\)\. Free"
    ):
        maintain(lake)


def test_in_object_storage_the_remedy_is_another_one(
    tmp_path: Path, s3_root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OSError("403")

    lake = Lake(s3_root, toy_lake(tmp_path).definitions)
    write_day(lake, 1)
    monkeypatch.setattr("lake.maintenance.CHECKPOINT_AFTER", 0)
    monkeypatch.setattr(DeltaTable, "create_checkpoint", refused)
    with pytest.raises(TableError, match=r"\(403\)\. Check the bucket, the rights and the network, then repeat\.$"):
        maintain(lake)


# ---- in object storage -----------------------------------------------------------------------------------------------
def test_the_same_in_object_storage(tmp_path: Path, s3_root: str) -> None:
    lake = fill(Lake(s3_root, toy_lake(tmp_path).definitions))
    before = state(lake)
    kept = maintain(lake, now=in_days(8))
    assert same(state(lake), before)
    assert kept.compacted == {"ops.contents": 12}
    assert len(names(lake, L1)) == 2
    assert maintain(lake, now=in_days(8)).removed == []
