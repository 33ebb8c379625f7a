# SPDX-License-Identifier: Apache-2.0
"""Transforms that look over midnight, and transforms that give their day in pieces."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from lake.day_files import DayFiles
from lake.definition_files import read_definitions
from lake.errors import DefinitionError
from lake.ledger import read_contents
from lake.margins import files_of_margins
from lake.reading import scan
from lake.store import Lake
from tests.toy import DAY, L0, L1, QL, TRANSFORMS, receive, table_rows
from tests.transforms.test_engine import again, build, code, definition, done, lake, planned, rewrite, values
from transforms.plan import Planner, Wish

__all__ = ["code", "lake"]  # fixtures

BEFORE, AFTER = DAY - timedelta(days=1), DAY + timedelta(days=1)

# Each value is one of its own day: those that the day before and the day after show within the margin are added.
SUMS = """
import polars as pl

from lake.clock import day_bounds


def l1_tick(table, *, tick, gain, day):
    first, stop = day_bounds(day)
    own = pl.col("epoch_tt2000").is_between(first, stop, closed="left")
    around = tick.filter(~own).select(pl.col("value").sum())
    rows = tick.sort("epoch_tt2000").join(around.select(around="value"), how="cross").filter(own).sort("epoch_tt2000")
    rows = rows.select("epoch_tt2000", voltage_v=(pl.col("value") + pl.col("around")).cast(pl.Float64))
    return rows.with_columns(halves_v=pl.concat_list("voltage_v", "voltage_v"))


def ql_mean(table, *, tick):
    return tick.select(pl.col("voltage_v").mean())
"""

PIECES = TRANSFORMS.replace("    return rows.with_columns(halves", "    rows = rows.with_columns(halves").replace(
    "def ql_mean",
    """    for number in range(rows.collect().height):
        if number == BREAK_AT:
            raise ValueError("broken piece")
        yield rows.slice(number, 1).collect()


def ql_mean""",
)


@pytest.fixture
def sums(lake: Lake, code: Path) -> Lake:
    """The toy with margins of a day before and of two seconds after."""
    rewrite(code, SUMS)
    tables = definition(lake, "tables.yaml")
    text = tables.read_text()
    tables.write_text(
        text.replace("inputs: {tick: box_l0_tick}", "inputs: {tick: box_l0_tick}\n    margins: {tick: [86400, 2]}")
    )
    return again(lake)


def rows(lake: Lake, day: date) -> int:
    return scan(lake, lake.definitions.tables[L1], [day]).collect().height


def test_a_day_sees_what_its_margins_hold_and_no_more(sums: Lake) -> None:
    receive(sums, "a", [1], BEFORE)
    receive(sums, "b", [10, 20], DAY)
    receive(sums, "c", [100, 200, 400], AFTER)
    build(sums)
    assert values(sums, L1, BEFORE) == [1 + 30]
    assert values(sums, L1, DAY) == [10 + 301, 20 + 301]
    assert values(sums, L1, AFTER) == [130, 230, 430]


def test_a_neighbour_that_comes_later_rebuilds_the_day(sums: Lake) -> None:
    receive(sums, "a", [1], DAY)
    build(sums)
    receive(sums, "b", [5], AFTER)
    assert (L1, DAY, "margin after tick changed") in planned(sums)
    build(sums)
    assert values(sums, L1, DAY) == [6]
    assert planned(sums) == []


def test_a_neighbour_that_changes_outside_the_margin_does_not(sums: Lake) -> None:
    receive(sums, "a", [1], DAY)
    receive(sums, "b", [5, 6, 7], AFTER)
    build(sums)
    receive(sums, "c", [0, 0, 9], AFTER + timedelta(days=1))
    days = [day for table, day, _ in done(build(sums)) if table == L1]
    assert days == [AFTER + timedelta(days=n) for n in (2, 1, 0)]  # the first one is reached and empty


def test_what_is_built_is_what_was_planned(sums: Lake) -> None:
    receive(sums, "a", [1], BEFORE)
    receive(sums, "b", [5], DAY)
    build(sums)
    receive(sums, "c", [7], DAY)
    plan = planned(sums)
    assert (L1, BEFORE, "margin after tick changed") in plan
    assert (L1, AFTER, "margin before tick changed") in plan
    plan.remove((QL, AFTER, "new"))  # a plan cannot know that nothing comes of a day that is only reached
    assert done(build(sums)) == plan


@pytest.mark.parametrize("change", ["nothing", "outside the margin"])
def test_margins_are_read_only_where_the_neighbour_changed(
    sums: Lake, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    receive(sums, "a", [1], DAY)
    receive(sums, "b", [5, 6], AFTER)
    build(sums)
    if change == "outside the margin":
        late = table_rows(sums.definitions.tables[L0], [9, 9, 9], "c" * 64, AFTER).slice(2)
        monkeypatch.setattr("tests.toy.table_rows", lambda *_: late)
        receive(sums, "c", [9], AFTER)
        assert (L1, DAY) not in {(table, day) for table, day, _ in done(build(sums))}
    monkeypatch.setattr("lake.margins._read", lambda *_: pytest.fail("a margin was read again"))
    assert planned(sums) == []


def test_a_day_that_only_its_neighbour_reaches_is_built_and_empty_says_nothing(sums: Lake) -> None:
    receive(sums, "a", [3], DAY)
    assert {day for table, day, _ in done(build(sums)) if table == L1} == {BEFORE, DAY, AFTER}
    assert {day for table, day, _ in done(build(sums, force=True)) if table == QL} == {DAY}
    contents = read_contents(sums)
    assert (L1, AFTER) not in contents.known
    assert planned(sums) == []


def test_before_the_first_calibration_no_day_is_reached(sums: Lake) -> None:
    for path in definition(sums, "calibration").glob("*.csv"):
        path.rename(path.with_name(f"gain_{DAY:%Y%m%d}.csv"))
    lake = again(sums)
    receive(lake, "a", [3], DAY)
    built = build(lake)
    assert built.failed == []
    assert BEFORE not in {day for _, day, _ in done(built)}


def test_rows_of_another_day_are_refused(sums: Lake, code: Path) -> None:
    rewrite(code, SUMS.replace(".filter(own)", ""))
    receive(sums, "a", [3], DAY)
    receive(sums, "b", [5], AFTER)
    assert "has rows of another day. Leave out those of the margins." in build(sums).failed[0][1]


def test_a_day_waits_for_a_neighbour_that_is_decoded_again(sums: Lake) -> None:
    receive(sums, "a", [1], DAY)
    receive(sums, "b", [5], AFTER)
    build(sums)
    contents = read_contents(sums)
    contents.known.pop((L0, AFTER))
    contents.outdated.add((L0, AFTER))
    steps = Planner(sums, contents).steps(Wish(sums.definitions.tables[L1], forced="forced"))
    assert {step.day for step in steps}.isdisjoint({DAY, AFTER})


def test_raw_files_of_a_margin_belong_to_the_day(sums: Lake) -> None:
    receive(sums, "a", [1], DAY)
    receive(sums, "b", [5, 6], AFTER)
    build(sums)
    table = sums.definitions.tables[QL]
    found = files_of_margins(sums.definitions, read_contents(sums).margins, table, DAY)
    assert found == {"b".ljust(64, "0")}
    assert files_of_margins(sums.definitions, read_contents(sums).margins, table, AFTER) == {"a".ljust(64, "0")}


@pytest.mark.parametrize(
    ("table", "margins", "complaint"),
    [
        ("inputs: {tick: box_l0_tick}", "{tock: [1, 1]}", "there is no input tock"),
        ("inputs: {tick: box_l0_tick}", "{tick: [1, 2678401]}", "tick reaches farther than a month"),
    ],
)
def test_impossible_margins_are_refused(lake: Lake, table: str, margins: str, complaint: str) -> None:
    tables = definition(lake, "tables.yaml")
    text = tables.read_text()
    tables.write_text(text.replace(table, f"{table}\n    margins: {margins}"))
    with pytest.raises(DefinitionError, match=rf"tables.yaml line \d+ \(margins\): {complaint}"):
        read_definitions(lake.definitions.path)


# ---- pieces ------------------------------------------------------------------------------------------------------
def test_a_day_in_pieces_is_written_piece_by_piece(lake: Lake, code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rewrite(code, PIECES.replace("BREAK_AT", "-1"))
    written: list[int] = []
    write = DayFiles.write
    monkeypatch.setattr(
        DayFiles, "write", lambda self, rows, day: (written.append(rows.num_rows), write(self, rows, day))
    )
    receive(lake, "a", [1, 2, 3])
    build(lake)
    assert values(lake, L1) == [2, 4, 6]
    assert values(lake, QL) == [4]
    assert written.count(1) >= 3


def test_a_day_without_pieces_is_a_day_without_rows(lake: Lake, code: Path) -> None:
    rewrite(code, PIECES.replace("range(rows.collect().height)", "range(0)"))
    receive(lake, "a", [1])
    assert [(table, day) for table, day, _ in done(build(lake))] == [(L1, DAY), (QL, DAY)]
    assert values(lake, L1) == []


def test_a_piece_that_fails_leaves_the_day_as_it_was(lake: Lake, code: Path) -> None:
    receive(lake, "a", [1, 2])
    build(lake)
    rewrite(code, PIECES.replace("BREAK_AT", "1"))
    receive(lake, "b", [5])
    built = build(lake)
    assert "ValueError: broken piece" in built.failed[0][1]
    assert values(lake, L1) == [2, 4]
    folder = Path(lake.table_uri(lake.definitions.tables[L1])) / f"day={DAY}"
    assert len(list(folder.glob("*.parquet"))) == 1
