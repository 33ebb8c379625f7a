# SPDX-License-Identifier: Apache-2.0
"""Two writers of one table-day: the one that read its inputs first never wins, and no row is there twice."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError

import lake.tables
from lake.day_files import DayFiles, day_files
from lake.errors import Overtaken, TableError
from lake.reading import open_table, scan, stored_definition, table_id
from lake.snapshots import snapshot
from lake.store import AsOf, Lake
from lake.tables import append, claim_day, make_anew, replace, replace_day
from tests.toy import DAY, L1, toy_lake

NEXT = DAY + timedelta(days=1)


@pytest.fixture
def toy(tmp_path: Path) -> Lake:
    return toy_lake(tmp_path)


def table(lake: Lake):
    return lake.definitions.tables[L1]


def volts(*values: float) -> pa.Table:
    columns = {
        "epoch_tt2000": pa.array(range(len(values)), pa.int64()),
        "voltage_v": pa.array(values, pa.float64()),
        "halves_v": pa.array([[v / 2, v / 2] for v in values], pa.list_(pa.float64())),
    }
    return pa.table(columns)


def held(lake: Lake, day=DAY) -> list[float]:
    return scan(lake, table(lake), [day]).select("voltage_v").collect()["voltage_v"].to_list()


def put(lake: Lake, *values: float, day=DAY, claim=None):
    return replace_day(lake, table(lake), day, volts(*values), {}, claim=claim)


def test_of_two_that_claimed_an_empty_day_the_second_is_overtaken(toy: Lake) -> None:
    put(toy, 9.0, day=NEXT)  # the table is there, the day is empty
    early, late = claim_day(toy, table(toy), DAY), claim_day(toy, table(toy), DAY)
    put(toy, 2.0, claim=late)
    with pytest.raises(Overtaken, match=f"^{L1}@{DAY}: another process has written it. Repeat.$"):
        put(toy, 1.0, claim=early)
    assert held(toy) == [2.0]


def test_of_two_that_would_make_the_table_the_second_is_overtaken(toy: Lake) -> None:
    early, late = claim_day(toy, table(toy), DAY), claim_day(toy, table(toy), DAY)
    put(toy, 2.0, claim=late)
    with pytest.raises(Overtaken):
        put(toy, 1.0, claim=early)
    assert held(toy) == [2.0]


def test_a_claim_is_spent_by_its_own_commit(toy: Lake) -> None:
    claim = claim_day(toy, table(toy), DAY)
    put(toy, 1.0, claim=claim)
    with pytest.raises(Overtaken):
        put(toy, 2.0, claim=claim)
    assert held(toy) == [1.0]


def test_other_days_do_not_spend_a_claim(toy: Lake) -> None:
    put(toy, 1.0)
    claim = claim_day(toy, table(toy), DAY)
    put(toy, 5.0, day=NEXT)
    put(toy, 2.0, claim=claim)
    assert (held(toy), held(toy, NEXT)) == ([2.0], [5.0])


def test_what_was_overtaken_leaves_no_file_behind(toy: Lake) -> None:
    claim = claim_day(toy, table(toy), DAY)
    put(toy, 2.0)
    with pytest.raises(Overtaken):
        put(toy, 1.0, claim=claim)
    names = {path.name for path in Path(toy.table_uri(table(toy))).rglob("*.parquet")}
    assert names == set(snapshot(toy, table(toy)).files[DAY])


def test_a_commit_between_the_look_and_the_write_is_met_too(toy: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim still holds when it is looked at, and another process commits just before the write."""
    put(toy, 1.0)
    real, raced = lake.tables._commit, []

    def commit(delta: DeltaTable, files: DayFiles, *rest: object) -> None:
        if not raced:
            raced.append(True)
            put(toy, 3.0)
        real(delta, files, *rest)

    claim = claim_day(toy, table(toy), DAY)
    with day_files(toy, table(toy)) as files:
        files.write(volts(2.0), DAY)
        files.close()
        monkeypatch.setattr(lake.tables, "_commit", commit)
        with pytest.raises(Overtaken):
            replace(toy, files, claim, {})
    assert held(toy) == [3.0]


def test_a_commit_whose_answer_was_lost_has_not_been_overtaken(toy: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    real = lake.tables._commit
    calls = []

    def commit(delta: DeltaTable, files: DayFiles, *rest: object) -> None:
        real(delta, files, *rest)
        if not calls:
            calls.append(True)
            raise CommitFailedError("the answer was lost")

    monkeypatch.setattr(lake.tables, "_commit", commit)
    put(toy, 2.0)
    assert held(toy) == [2.0]


def test_the_names_of_the_files_are_those_that_the_day_has(toy: Lake) -> None:
    first = put(toy, 1.0)
    assert snapshot(toy, table(toy)).files == {DAY: first.files}
    second = put(toy, 1.0)
    assert snapshot(toy, table(toy)).files == {DAY: second.files}
    assert (first.content == second.content, first.files == second.files) == (True, False)


def test_files_are_committed_by_a_process_that_did_not_write_them(toy: Lake) -> None:
    with day_files(toy, table(toy)) as files:
        files.write(volts(1.0, 2.0), DAY)
        files.close()
    taken = DayFiles.of(toy, files.parts())
    assert append(toy, taken, "somewhere")
    assert not append(toy, DayFiles.of(toy, files.parts()), "somewhere")
    assert (held(toy), taken.written().rows) == ([1.0, 2.0], 2)


def closed(toy: Lake, *values: float) -> DayFiles:
    with day_files(toy, table(toy)) as files:
        files.write(volts(*values), DAY)
        files.close()
    return files


@pytest.mark.parametrize("loss", [None, CommitFailedError("lost"), DeltaError("lost")])
def test_the_identity_is_that_of_the_table_that_took_the_files(
    toy: Lake, monkeypatch: pytest.MonkeyPatch, loss: Exception | None
) -> None:
    """Whether the commit said so or its answer was lost; a table made anew afterwards changes nothing."""
    made = put(toy, 1.0, day=NEXT).table_id
    real, losses = lake.tables._commit, [loss] if loss else []

    def lossy(*given: Any) -> None:
        real(*given)
        if losses:
            raise losses.pop()

    monkeypatch.setattr(lake.tables, "_commit", lossy)
    files = closed(toy, 2.0)
    again = DayFiles.of(toy, closed(toy, 2.0).parts())
    assert (append(toy, files, "a"), append(toy, again, "a")) == (True, False)
    assert made == table_id(toy, table(toy))
    make_anew(toy, table(toy))
    assert (files.table_id, again.table_id) == (made, made) != (table_id(toy, table(toy)),) * 2


def test_a_day_replaced_by_no_files_is_not_done_when_it_was_refused(toy: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    put(toy, 1.0)

    def refused(*_: Any) -> None:
        raise DeltaError("no")

    monkeypatch.setattr(lake.tables, "_commit", refused)
    with pytest.raises(TableError, match=r"cannot be written \(no\)"):
        replace_day(toy, table(toy), DAY, [], {})
    assert held(toy) == [1.0]


def test_files_of_another_process_can_be_discarded(toy: Lake) -> None:
    with day_files(toy, table(toy)) as files:
        files.write(volts(1.0), DAY)
        files.close()
    DayFiles.of(toy, files.parts()).discard()
    assert list(toy.storage.entries(toy.table_key(table(toy)))) == []


def test_a_table_made_anew_is_empty_and_another_one(toy: Lake) -> None:
    assert not make_anew(toy, table(toy))
    put(toy, 1.0)
    delta = open_table(toy, table(toy))
    before = (table_id(toy, table(toy)), stored_definition(delta))
    claim = claim_day(toy, table(toy), DAY)
    assert make_anew(toy, table(toy))
    after = (table_id(toy, table(toy)), stored_definition(open_table(toy, table(toy))))
    assert (held(toy), before[1] == after[1], before[0] == after[0]) == ([], True, False)
    put(toy, 2.0, claim=claim)  # nobody has written the day since it was made anew
    assert held(toy) == [2.0]


def test_a_table_is_made_anew_though_another_process_commits_meanwhile(
    toy: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(toy, 1.0)
    real, meetings = lake.tables._make, [CommitFailedError("another process")]

    def met(*given: Any) -> DeltaTable:
        if meetings:
            raise meetings.pop()
        return real(*given)

    monkeypatch.setattr(lake.tables, "_make", met)
    assert make_anew(toy, table(toy))
    assert held(toy) == []


def test_the_past_can_be_read_and_not_written(toy: Lake) -> None:
    put(toy, 1.0)
    version = open_table(toy, table(toy)).version()
    put(toy, 2.0)
    past = Lake(toy.root, toy.definitions, AsOf("yesterday", {L1: version}))
    assert (held(past), held(toy)) == ([1.0], [2.0])
    with pytest.raises(TableError, match="cannot be written as of yesterday"):
        put(past, 3.0)
    nothing = Lake(toy.root, toy.definitions, AsOf("long ago", {}))
    assert held(nothing) == []


def test_the_past_of_a_table_that_was_made_anew_is_refused(toy: Lake) -> None:
    put(toy, 1.0)
    past = AsOf("release a", {L1: open_table(toy, table(toy)).version()}, {L1: "another identity"})
    with pytest.raises(TableError, match=f"^{L1}: was made anew since release a"):
        held(Lake(toy.root, toy.definitions, past))
