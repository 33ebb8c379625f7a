# SPDX-License-Identifier: Apache-2.0
"""Plan and books agree: a run does its plan in order; what was interrupted, lost or overtaken is done again."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from lake.errors import ConfigurationError, StorageError
from lake.files import sha256_of
from lake.ledger import last_runs, read_contents, read_ops
from lake.reading import open_table, scan, table_id
from lake.snapshots import snapshot
from lake.store import Journal, Lake, RawArchive, Receipt
from lake.tables import append_ops
from tests.toy import DAY, L0, L1, QL, TRANSFORMS, receive
from tests.transforms.test_engine import NEXT_DAY, build, code, done, lake, planned, rewrite, values
from transforms import engine
from transforms.day import Task, make_day
from transforms.engine import build_all, rebuild
from transforms.plan import Planner, Wish, plan_all, plan_hash

__all__ = ["code", "lake"]  # fixtures


def days_back(count: int) -> list[date]:
    return [DAY - timedelta(days=n) for n in range(count)]


def task_for(lake: Lake, address: str, day: date) -> Task:
    """What a worker is given for a table-day, as the lake is now."""
    planner = Planner(lake, read_contents(lake))
    builder = engine._Builder(lake, "run-by-hand", "plan", planner, lambda *_: None)
    (step,) = planner.steps(Wish(lake.definitions.tables[address], {day}, "forced"))
    engine.make_claims(lake, planner.contents, [step])
    return builder._task(step)


# ---- the plan ----------------------------------------------------------------------------------------------------
def test_a_run_stores_the_hash_that_the_dry_run_printed(lake: Lake) -> None:
    receive(lake, "a", [1])
    receive(lake, "b", [1], NEXT_DAY)
    shown = plan_hash(plan_all(lake))
    assert build_all(lake, "run").plan == shown
    assert set(read_ops(lake, "runs")["plan"]) == {shown}


def test_another_reason_or_another_input_is_another_plan(lake: Lake) -> None:
    receive(lake, "a", [1])
    first = plan_hash(plan_all(lake))
    assert plan_hash(plan_all(lake)) == first
    receive(lake, "b", [2])
    assert plan_hash(plan_all(lake)) != first
    build(lake)
    assert plan_hash(plan_all(lake)) == plan_hash([])
    assert plan_hash(plan_all(lake, force=True)) != plan_hash([])


def test_the_newest_day_is_built_first_and_through_all_levels(lake: Lake) -> None:
    for number, day in enumerate(days_back(3)):
        receive(lake, f"{number}", [1], day)
    order = [(table, day) for table, day, _ in planned(lake)]
    assert order == [(table, day) for day in days_back(3) for table in (L1, QL)]
    assert [(table, day) for table, day, _ in done(build(lake))] == order


def test_a_plan_ends_where_content_did_not_change(lake: Lake) -> None:
    receive(lake, "a", [1])
    build(lake)
    assert [table for table, _, _ in planned(lake)] == []
    forced = plan_all(lake, [lake.definitions.tables[L1]], force=True)
    assert [str(step) for step in forced] == [f"{L1}@{DAY}"]
    assert done(build_all(lake, "run-z", [lake.definitions.tables[L1]], force=True)) == [(L1, DAY, "forced")]
    assert planned(lake) == []


def test_a_late_file_touches_its_day_alone_however_long_the_lake(lake: Lake) -> None:
    for number, day in enumerate(days_back(6)):
        receive(lake, f"{number}", [1], day)
    build(lake)
    late = days_back(6)[4]
    files = {address: snapshot(lake, lake.definitions.tables[address]).files for address in (L1, QL)}
    receive(lake, "late", [5], late)
    assert [(table, day) for table, day, _ in done(build(lake))] == [(L1, late), (QL, late)]
    for address, before in files.items():
        now = snapshot(lake, lake.definitions.tables[address]).files
        assert {day for day in now if now[day] != before[day]} == {late}


def test_progress_counts_the_steps_of_the_plan(lake: Lake) -> None:
    receive(lake, "a", [1])
    told: list[tuple[int, int, str]] = []
    build_all(lake, "run", progress=lambda *what: told.append(what))
    assert told == [(1, 2, f"{L1}@{DAY}"), (2, 2, f"{QL}@{DAY}")]


# ---- the books ---------------------------------------------------------------------------------------------------
def test_a_run_names_the_files_of_its_day(lake: Lake) -> None:
    receive(lake, "a", [1])
    build(lake)
    for address in (L1, QL):
        (run,) = read_ops(lake, "runs").filter(table_name=address).to_dicts()
        assert json.loads(run["files"]) == list(snapshot(lake, lake.definitions.tables[address]).files[DAY])


def test_a_day_whose_row_was_lost_is_built_again_and_its_dependents_are_not(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(lake, "a", [1])
    build(lake)
    receive(lake, "b", [3])
    with monkeypatch.context() as patch:
        patch.setattr(engine, "append_ops", lambda *_: None)  # the process dies before it writes its books
        build(lake)
    assert values(lake, QL) == [4.0]
    assert (L1, DAY) not in last_runs(lake)  # its row is about the files that were there before
    assert planned(lake) == [(L1, DAY, "written without record"), (QL, DAY, "written without record")]
    build(lake)
    assert values(lake, QL) == [4.0]
    assert planned(lake) == []


def test_rows_that_nobody_made_from_anything_do_not_stay(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    receive(lake, "a", [1])
    with monkeypatch.context() as patch:
        patch.setattr(engine, "append_ops", lambda *_: None)
        build(lake)
    books = Path(lake.table_uri(lake.ops("contents")))
    books.rename(books.with_name("away"))  # as after a decoding that put the packets on another day
    assert done(build(lake)) == [(L1, DAY, "written without record"), (QL, DAY, "written without record")]
    assert values(lake, L1) == []


def test_a_row_about_other_files_does_not_count_however_new_it_is(lake: Lake) -> None:
    receive(lake, "a", [1])
    build(lake)
    standing = last_runs(lake)[L1, DAY]
    (row,) = read_ops(lake, "runs").filter(table_name=L1).to_dicts()
    append_ops(lake, "runs", [row | {"run_id": "run-z", "content": "of another", "files": '["gone.parquet"]'}])
    assert last_runs(lake)[L1, DAY] == standing
    assert planned(lake) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, StorageError])
def test_what_was_built_before_an_interruption_is_in_the_books(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    for number, day in enumerate(days_back(3)):
        receive(lake, f"{number}", [1], day)
    last = days_back(3)[-1]

    def until_then(task: Task) -> dict[str, Any]:
        if task.day == last:
            raise error
        return make_day(task)

    monkeypatch.setattr(engine, "make_day", until_then)
    with pytest.raises(error):
        build(lake)
    monkeypatch.setattr(engine, "make_day", make_day)
    assert set(read_ops(lake, "runs")["day"]) == set(days_back(2))
    assert done(build(lake)) == [(L1, last, "new"), (QL, last, "new")]


def test_rows_are_written_in_batches(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, day in enumerate(days_back(5)):
        receive(lake, f"{number}", [1], day)
    monkeypatch.setattr(engine, "BATCH", 4)
    build(lake)
    delta = open_table(lake, lake.ops("runs"))
    assert delta is not None
    assert len(delta.file_uris()) == 3
    assert read_ops(lake, "runs").height == 10


def test_one_process_at_a_time_builds(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWXLAKE_WAIT_SECONDS", "0")
    receive(lake, "a", [1])
    with lake.storage.alone("build"), pytest.raises(StorageError, match="is at work"):
        build(lake)
    assert planned(lake) != []  # a dry run waits for nobody


# ---- two builders ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("before", [[], [7]], ids=["an empty day", "a day with rows"])
def test_a_stale_builder_never_wins(lake: Lake, before: list[int]) -> None:
    receive(lake, "a", [1])
    if before:
        receive(lake, "b", before)
        build(lake)
    stale = task_for(lake, L1, DAY)
    receive(lake, "c", [3])
    build(lake)
    fresh = snapshot(lake, lake.definitions.tables[L1]).files
    row = make_day(stale)
    assert (row["status"], row["files"]) == ("overtaken", None)
    assert snapshot(lake, lake.definitions.tables[L1]).files == fresh
    assert sorted(values(lake, L1)) == sorted(2.0 * value for value in [1, *before, 3])
    assert planned(lake) == []


def test_a_builder_that_was_overtaken_looks_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    receive(lake, "a", [1])
    met: list[str] = []

    def meanwhile(task: Task) -> dict[str, Any]:
        if not met:
            receive(lake, "b", [3])
            make_day(task_for(lake, L1, DAY))  # another process, whose row is not in the books yet
        row = make_day(task)
        met.append(row["status"])
        return row

    monkeypatch.setattr(engine, "make_day", meanwhile)
    built = build(lake)
    assert met == ["overtaken", "done", "done"]
    assert built.failed == []
    assert sorted(values(lake, L1)) == [2.0, 6.0]
    assert planned(lake) == []


def test_a_builder_that_is_overtaken_by_the_same_finds_nothing_left(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(lake, "a", [1])
    met: list[str] = []

    def meanwhile(task: Task) -> dict[str, Any]:
        if not met:
            append_ops(lake, "runs", [make_day(task_for(lake, L1, DAY))])
        row = make_day(task)
        met.append(row["status"])
        return row

    monkeypatch.setattr(engine, "make_day", meanwhile)
    assert done(build(lake)) == [(QL, DAY, "new")]
    assert met == ["overtaken", "done"]


def test_a_builder_that_is_always_overtaken_gives_up(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    receive(lake, "a", [1])

    def busy(task: Task) -> dict[str, Any]:
        make_day(task_for(lake, L1, DAY))
        return make_day(task)

    monkeypatch.setattr(engine, "make_day", busy)
    built = build(lake)
    [(step, message)] = built.failed
    assert str(step) == f"{L1}@{DAY}"
    assert message == f"{L1}@{DAY}: another process has written it. Repeat."
    assert done(built) == []  # what depends on it waits
    monkeypatch.setattr(engine, "make_day", make_day)
    assert done(build(lake)) == [(L1, DAY, "failed before"), (QL, DAY, "new")]


def test_a_day_waits_for_an_input_that_no_run_tells_of(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    receive(lake, "a", [1])
    build(lake)
    receive(lake, "b", [3])
    with monkeypatch.context() as patch:
        patch.setattr(engine, "append_ops", lambda *_: None)
        build_all(lake, "run-z", [lake.definitions.tables[L1]])
    assert plan_all(lake, [lake.definitions.tables[QL]], force=True) == []
    assert [(table, reason) for table, _, reason in done(build(lake))] == [
        (L1, "written without record"),
        (QL, "input toy.box_l1_tick changed"),
    ]


def test_a_file_that_is_gone_fails_its_day_and_says_so(lake: Lake) -> None:
    receive(lake, "a", [1])
    receive(lake, "b", [1], NEXT_DAY)
    (name,) = snapshot(lake, lake.definitions.tables[L0]).files[DAY]
    path = Path(lake.table_uri(lake.definitions.tables[L0])) / f"day={DAY}" / name
    path.rename(path.with_name("away"))
    built = build(lake)
    assert done(built) == [(L1, NEXT_DAY, "new"), (QL, NEXT_DAY, "new")]
    [(step, message)] = built.failed
    assert str(step) == f"{L1}@{DAY}"
    assert message.startswith(f"{L1}@{DAY}: a file of its inputs is gone (")
    assert message.endswith("Run `swxlake fsck`.")
    path.with_name("away").rename(path)
    assert done(build(lake)) == [(L1, DAY, "failed before"), (QL, DAY, "new")]


def test_a_file_that_cannot_be_read_fails_its_day_and_says_so(lake: Lake) -> None:
    receive(lake, "a", [1])
    (name,) = snapshot(lake, lake.definitions.tables[L0]).files[DAY]
    path = Path(lake.table_uri(lake.definitions.tables[L0])) / f"day={DAY}" / name
    path.unlink()
    path.symlink_to(path)  # a loop, which the operating system refuses to follow
    [(_, message)] = build(lake).failed
    assert message.startswith(f"{L1}@{DAY}: its inputs cannot be read (")
    assert message.endswith("Check the storage, repeat.")
    assert read_ops(lake, "runs")["error"].to_list() == [message]


def test_inputs_are_read_as_the_plan_saw_them(lake: Lake) -> None:
    receive(lake, "a", [1])
    build(lake)
    task = task_for(lake, QL, DAY)
    receive(lake, "b", [3])
    build_all(lake, "run-z", [lake.definitions.tables[L1]])  # another process is half way
    append_ops(lake, "runs", [make_day(task)])
    assert values(lake, QL) == [2.0]  # as its label says
    assert planned(lake) == [(QL, DAY, "input toy.box_l1_tick changed")]


# ---- rebuild -----------------------------------------------------------------------------------------------------
def test_a_rebuild_builds_its_days_and_says_why(lake: Lake) -> None:
    for number, day in enumerate(days_back(3)):
        receive(lake, f"{number}", [1], day)
    build(lake)
    built = rebuild(lake, "run-z", lake.definitions.tables[L1], "gain looks odd", set(days_back(2)))
    assert done(built) == [(L1, day, "rebuild: gain looks odd") for day in days_back(2)]  # QL is what it was
    entry = {"table": L1, "why": "gain looks odd", "days": [str(days_back(2)[1]), str(DAY)]}
    assert Journal(lake).entries("rebuilds") == {"run-z": entry}
    assert planned(lake) == []


def test_what_changes_by_a_rebuild_follows(lake: Lake, code: Path) -> None:
    receive(lake, "a", [1])
    build(lake)
    rewrite(code, TRANSFORMS.replace("float(factor)", "float(factor) * 10"))
    built = rebuild(lake, "run-z", lake.definitions.tables[L1], "new code")
    assert [table for table, _, _ in done(built)] == [L1, QL]
    assert values(lake, QL) == [20.0]


def archived(lake: Lake, folder: Path) -> tuple[str, Path]:
    """Hash of a raw file of the toy's instrument, and where raw/ has its bytes."""
    source = folder / "tick.dat"
    source.write_bytes(b"ticks")
    digest = sha256_of(source)
    receipt = Receipt(source.name, digest, 5, "2024-09-17T00:00:00+00:00", "", "toy", "box", str(DAY))
    archive = RawArchive(lake)
    archive.add(receipt, source)
    return digest, Path(lake.storage.uri(archive.bytes_key(receipt)))


@pytest.mark.parametrize("damage", ["bytes lost", "bytes changed", "receipt lost", "receipt unreadable"])
def test_a_rebuild_of_level_0_does_not_throw_the_last_copy_away(lake: Lake, tmp_path: Path, damage: str) -> None:
    digest, path = archived(lake, tmp_path)
    receive(lake, digest, [1])
    build(lake)
    (receipt,) = path.parent.glob("*.json")
    target = path if damage.startswith("bytes") else receipt
    if damage.endswith("lost"):
        target.unlink()
    else:
        target.chmod(0o644)
        target.write_bytes(b"tocks")
    before = table_id(lake, lake.definitions.tables[L0])
    with pytest.raises(StorageError, match=f"nothing was changed, for it has the last rows of .*{digest}"):
        rebuild(lake, "run-z", lake.definitions.tables[L0], "a bit was flipped")
    rows = scan(lake, lake.definitions.tables[L0]).collect()
    assert (rows["value"].to_list(), table_id(lake, lake.definitions.tables[L0])) == ([1], before)
    assert Journal(lake).entries("rebuilds") == {}


def test_a_rebuild_of_level_0_empties_it_for_the_next_ingest(lake: Lake, tmp_path: Path) -> None:
    digest, _ = archived(lake, tmp_path)
    receive(lake, digest, [1])
    build(lake)
    assert done(rebuild(lake, "run-z", lake.definitions.tables[L0], "a bit was flipped")) == []
    assert values(lake, L1) == [2.0]  # it stands until there is something to make it from
    assert planned(lake) == []
    receive(lake, digest, [1], run="run-z2")
    assert planned(lake) == []  # the same file gives the same
    assert Journal(lake).entries("rebuilds")["run-z"]["days"] is None


def test_an_impossible_rebuild_is_refused(lake: Lake) -> None:
    with pytest.raises(ConfigurationError, match="give a reason"):
        rebuild(lake, "run", lake.definitions.tables[L1], " ")
    with pytest.raises(ConfigurationError, match=r"as a whole\. Leave out --from and --to"):
        rebuild(lake, "run", lake.definitions.tables[L0], "why", {DAY})
    assert Journal(lake).entries("rebuilds") == {}


def test_a_rebuild_of_days_that_are_not_there_is_refused_and_not_noted(lake: Lake) -> None:
    table, message = lake.definitions.tables[L1], f"{L1}: there is no day to build"
    with pytest.raises(ConfigurationError, match=rf"{message}; it has none yet\. Run `swxlake night`\.$"):
        rebuild(lake, "run-z", table, "why")
    receive(lake, "a", [1])
    receive(lake, "b", [1], NEXT_DAY)
    build(lake)
    with pytest.raises(ConfigurationError, match=rf"{message} in this range; it has {DAY} to {NEXT_DAY}\."):
        rebuild(lake, "run-z", table, "why", {DAY - timedelta(days=1)})
    assert Journal(lake).entries("rebuilds") == {}
