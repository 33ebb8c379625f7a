# SPDX-License-Identifier: Apache-2.0
"""What a day is built from: rows that the books know, files that can be read, the code of the plan, the claim."""

from __future__ import annotations

import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from lake import snapshots, tables
from lake.day_files import Written
from lake.errors import ConfigurationError, TableError
from lake.ledger import read_contents, read_ops
from lake.reading import table_id
from lake.snapshots import snapshot
from lake.store import Lake
from lake.tables import make_anew, replace_day
from tests.toy import DAY, L0, L1, QL, TRANSFORMS, receive
from tests.transforms.test_books import task_for
from tests.transforms.test_engine import build, code, done, forget, lake, planned, rewrite, values
from tests.transforms.test_margins import AFTER, sums
from transforms import day, engine
from transforms.day import make_day

__all__ = ["code", "lake", "sums"]  # fixtures


def receive_without_books(lake: Lake, name: str, numbers: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """An ingest that dies after a file's rows were committed, before the books were written."""
    with monkeypatch.context() as patch:
        patch.setattr("tests.toy.append_ops", lambda *_: None)
        receive(lake, name, numbers)


def l0_file(lake: Lake, on: date = DAY) -> Path:
    (name,) = snapshot(lake, lake.definitions.tables[L0]).files[on]
    return Path(lake.table_uri(lake.definitions.tables[L0])) / f"day={on}" / name


# ---- rows that the books know ----------------------------------------------------------------------------------
def test_rows_of_a_file_that_is_not_in_the_books_are_not_read(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    receive(lake, "a", [1])
    receive_without_books(lake, "b", [3], monkeypatch)
    build(lake)
    assert values(lake, L1) == [2.0]
    assert read_ops(lake, "runs").filter(table_name=L1)["input_rows"].to_list() == [1]
    receive(lake, "b", [3])  # its rows are there already: only the books follow
    assert done(build(lake))[0] == (L1, DAY, "input toy.box_l0_tick changed")
    assert sorted(values(lake, L1))[:2] == [2.0, 6.0]


def test_a_margin_shows_no_rows_of_a_file_that_is_not_in_the_books(sums: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    receive(sums, "a", [1])
    receive_without_books(sums, "b", [20], monkeypatch)
    receive(sums, "c", [300], AFTER)
    build(sums)
    assert values(sums, L1, AFTER) == [301.0]
    shown = {sha256 for seen in read_contents(sums).margins.values() for sha256 in seen.files}
    assert shown == {"a".ljust(64, "0"), "c".ljust(64, "0")}


def test_rows_are_looked_at_one_by_one_only_where_some_do_not_count(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(lake, "a", [1])
    assert read_contents(lake).source(L0, DAY).raw is None
    receive_without_books(lake, "b", [3], monkeypatch)
    assert read_contents(lake).source(L0, DAY).raw == ("a".ljust(64, "0"),)


# ---- files that can be read ------------------------------------------------------------------------------------
@pytest.mark.parametrize("left", [0, 40, 900])
def test_a_truncated_input_fails_its_day_and_blames_the_file(lake: Lake, left: int) -> None:
    receive(lake, "a", [1])
    receive(lake, "b", [1], AFTER)
    path = l0_file(lake)
    whole = path.read_bytes()
    path.write_bytes(whole[:left])
    built = build(lake)
    assert done(built) == [(L1, AFTER, "new"), (QL, AFTER, "new")]
    [(step, message)] = built.failed
    assert str(step) == f"{L1}@{DAY}"
    assert message.startswith(f"{L1}@{DAY}: the input file {path} is damaged (")
    assert message.endswith("). Run `swxlake fsck`.")
    path.write_bytes(whole)
    assert done(build(lake)) == [(L1, DAY, "failed before"), (QL, DAY, "new")]


def test_damage_that_only_the_transform_meets_is_not_the_transforms_mistake(lake: Lake) -> None:
    receive(lake, "a", list(range(500)))
    path = l0_file(lake)
    content = bytearray(path.read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)  # pages; the footer with the number of rows is whole
    path.write_bytes(content)
    [(_, message)] = build(lake).failed
    assert message.startswith(f"{L1}@{DAY}: the input file {path} is damaged (")
    assert "Correct the transform" not in message


def test_a_margin_that_cannot_be_read_fails_the_days_that_see_it(sums: Lake) -> None:
    receive(sums, "a", [1], DAY - timedelta(days=1))
    receive(sums, "b", [5], AFTER)
    receive(sums, "c", [7], AFTER + timedelta(days=9))
    path = l0_file(sums, AFTER)
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    built = build(sums)
    assert {step.day for step, _ in built.failed} == {DAY, AFTER, AFTER + timedelta(days=1)}
    assert all(f"the input file {path} is damaged (" in message for _, message in built.failed)
    assert (L1, AFTER + timedelta(days=9), "new") in done(built)
    path.write_bytes(whole)
    assert {day for table, day, _ in done(build(sums)) if table == L1} == {step.day for step, _ in built.failed}
    assert planned(sums) == []


# ---- the code of the plan --------------------------------------------------------------------------------------
def test_a_worker_that_knows_other_code_does_not_build(lake: Lake, code: Path) -> None:
    receive(lake, "a", [1])
    build(lake)
    rewrite(code, TRANSFORMS.replace("float(factor)", "float(factor) * 10"))
    task = task_for(lake, L1, DAY)
    rewrite(code, TRANSFORMS)  # a worker that was started before the code changed
    with pytest.raises(ConfigurationError, match=r"other code .* than the plan\. Restart the workers, then repeat"):
        make_day(task)
    assert values(lake, L1) == [2.0]


def test_code_that_changes_between_plan_and_import_is_not_run(lake: Lake, code: Path) -> None:
    receive(lake, "a", [1])
    task = task_for(lake, L1, DAY)
    code.write_text(TRANSFORMS.replace("float(factor)", "float(factor) * 10"))  # somebody gets a new release
    with pytest.raises(ConfigurationError, match="Restart the workers"):
        make_day(task)
    forget()  # restarted
    assert done(build(lake)) == [(L1, DAY, "new"), (QL, DAY, "new")]
    assert values(lake, L1) == [20.0]


def test_code_that_changes_after_it_was_imported_is_the_next_runs(lake: Lake, code: Path) -> None:
    receive(lake, "a", [1])
    build(lake)
    task = task_for(lake, L1, DAY)
    assert "transforms.toy.box" in sys.modules
    code.write_text(TRANSFORMS.replace("float(factor)", "float(factor) * 10"))
    assert make_day(task)["status"] == "done"
    assert values(lake, L1) == [2.0]


# ---- the claim -------------------------------------------------------------------------------------------------
def test_claims_are_made_before_the_first_day_is_built(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    receive(lake, "a", [1])
    receive(lake, "b", [1], AFTER)
    order: list[str] = []
    claim_of = tables.claim_of
    monkeypatch.setattr(snapshots, "claim_of", lambda *given: order.append("claim") or claim_of(*given))
    monkeypatch.setattr(engine, "make_day", lambda task: order.append("build") or make_day(task))
    build(lake)
    assert order == ["claim"] * 4 + ["build"] * 4


def test_a_log_that_cannot_be_read_is_named(lake: Lake) -> None:
    receive(lake, "a", [1])
    build(lake)
    table = lake.definitions.tables[L1]
    seen = snapshot(lake, table)
    log = Path(lake.table_uri(table)) / "_delta_log"
    log.rename(log.with_name("away"))
    with pytest.raises(TableError, match=rf"^{lake.table_uri(table)}: its log cannot be read \(.*File not found"):
        seen.make_claims(lake, [DAY])


def test_a_run_names_the_table_that_it_wrote(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    receive(lake, "a", [1])
    build(lake)
    table = lake.definitions.tables[L1]
    wrote = table_id(lake, table)

    def and_then(*given: Any, **named: Any) -> Written:
        written = replace_day(*given, **named)
        make_anew(lake, table)  # another process
        return written

    monkeypatch.setattr(day, "replace_day", and_then)
    assert make_day(task_for(lake, L1, DAY))["table_id"] == wrote != table_id(lake, table)
