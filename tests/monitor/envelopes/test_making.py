# SPDX-License-Identifier: Apache-2.0
"""Envelopes are made for days that changed, and for nothing else."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from deltalake import DeltaTable

from lake.ledger import read_contents
from lake.store import Lake
from monitor.envelopes.making import Made, make_envelopes
from monitor.envelopes.reading import level_rows
from tests.monitor.envelopes.box import (
    DAY,
    HOUR,
    MIDNIGHT,
    NEXT,
    THIRD,
    US,
    answers,
    box_lake,
    every,
    keys,
    table_of,
    write,
)

DAY_LONG = 24 * HOUR


def fill(lake: Lake, days: int = 3) -> None:
    """A row each ten seconds; a day has its number as temperature."""
    for number, day in enumerate((DAY, NEXT, THIRD)[:days]):
        write(lake, every(10, 8640, MIDNIGHT + number * DAY_LONG), np.full(8640, float(number)), day)


def test_a_second_run_makes_nothing_and_changes_no_file(box: Lake) -> None:
    fill(box, 2)
    assert make_envelopes(box) == Made(made=2)
    before = {entry.key: entry.modified for entry in box.storage.entries("envelopes/")}
    assert make_envelopes(box) == Made(unchanged=2)
    assert {entry.key: entry.modified for entry in box.storage.entries("envelopes/")} == before


def test_late_data_replace_that_day_alone(box: Lake) -> None:
    fill(box)
    make_envelopes(box)
    before = keys(box)
    write(box, every(10, 8640, MIDNIGHT + DAY_LONG), np.full(8640, 50.0), NEXT)
    assert make_envelopes(box) == Made(made=1, unchanged=2)
    new = keys(box) - before
    assert sorted(name[:11] for name in new) == ["2024-09-17-", "coarse-2024"]
    means = level_rows(answers(box), table_of(box), "day", MIDNIGHT, MIDNIGHT + 3 * DAY_LONG)["temp_degc.mean"]
    assert means.to_list() == [0.0, 50.0, 2.0]


def test_a_new_day_has_the_file_of_its_year_alone_written_again(box: Lake) -> None:
    later, after = date(2025, 3, 1), (MIDNIGHT + 166 * DAY_LONG, MIDNIGHT + 167 * DAY_LONG)
    fill(box, 2)
    make_envelopes(box)
    before = {entry.key: entry.modified for entry in box.storage.entries("envelopes/")}
    write(box, every(10, 8640, after[0]), np.full(8640, 7.0), later)
    assert make_envelopes(box) == Made(made=1, unchanged=2)
    now = {entry.key: entry.modified for entry in box.storage.entries("envelopes/")}
    assert {key: now.get(key) for key in before} == before
    assert sorted(key.rpartition("/")[2][:11] for key in now.keys() - before.keys()) == ["2025-03-01-", "coarse-2025"]
    days = level_rows(answers(box, rows=10), table_of(box), "day", MIDNIGHT, after[1])
    assert days["temp_degc.mean"].to_list() == [0.0, 1.0, 7.0]


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize(("name", "made"), [("2024-09-17-*", 1), ("coarse-2024-*", 2)])
def test_files_that_are_missing_or_cut_to_nothing_come_back(box: Lake, name: str, made: int, cut: bool) -> None:
    fill(box, 2)
    make_envelopes(box)
    (path,) = Path(str(box.root), "envelopes").rglob(name)
    whole = path.read_bytes()
    path.write_bytes(b"") if cut else path.unlink()
    assert make_envelopes(box) == Made(made=made, unchanged=2 - made)
    assert path.read_bytes() == whole
    assert make_envelopes(box) == Made(unchanged=2)


def test_days_that_need_no_file_of_their_own_are_not_missed(box: Lake) -> None:
    write(box, every(600, 144), np.zeros(144))
    assert make_envelopes(box) == Made(made=1)
    assert len(keys(box)) == 1
    assert make_envelopes(box) == Made(unchanged=1)


def test_superseded_files_stay_for_one_run(box: Lake) -> None:
    fill(box, 1)
    make_envelopes(box)
    old = keys(box)
    fill(box, 1)  # other files, whatever their rows
    make_envelopes(box)
    assert old < keys(box)
    make_envelopes(box)
    assert len(keys(box)) == 2
    assert not keys(box) & old


def test_a_day_that_is_gone_disappears(box: Lake) -> None:
    fill(box)
    make_envelopes(box)
    DeltaTable(box.table_uri(table_of(box))).delete("day = '2024-09-17'")
    assert make_envelopes(box) == Made(unchanged=2)
    days = level_rows(answers(box), table_of(box), "day", MIDNIGHT, MIDNIGHT + 3 * DAY_LONG)
    assert days["temp_degc.mean"].to_list() == [0.0, 2.0]
    make_envelopes(box)
    assert not [name for name in keys(box) if name.startswith("2024-09-17")]


def test_a_day_without_rows_any_more_has_no_buckets(box: Lake) -> None:
    fill(box, 2)
    make_envelopes(box)
    write(box, [], [], NEXT)
    assert make_envelopes(box) == Made(made=1, unchanged=1)
    days = level_rows(answers(box), table_of(box), "day", MIDNIGHT, MIDNIGHT + 3 * DAY_LONG)
    assert days["temp_degc.mean"].to_list() == [0.0]


def test_a_file_that_cannot_be_read_fails_its_day_alone(box: Lake) -> None:
    fill(box)
    (path,) = Path(box.table_uri(table_of(box))).glob("day=2024-09-17/*.parquet")
    path.write_bytes(b"no Parquet")
    done = make_envelopes(box)
    assert (done.made, done.unchanged) == (2, 0)
    ((what, why),) = done.failed
    assert what == "toy.box_l1_field 2024-09-17"
    assert "Parquet" in why
    assert make_envelopes(box).failed == done.failed  # it is tried again


def test_a_table_that_cannot_be_opened_fails_alone(box: Lake) -> None:
    fill(box, 1)
    log = Path(box.table_uri(table_of(box)), "_delta_log", f"{0:020}.json")
    log.write_text("no log\n")
    done = make_envelopes(box)
    assert [what for what, _ in done.failed] == ["toy.box_l1_field"]


def test_files_of_a_table_that_is_no_more_are_removed(box: Lake) -> None:
    box.storage.put("envelopes/toy/box_l1_gone/coarse-0123456789abcdef.parquet", b"")
    assert make_envelopes(box) == Made()
    assert keys(box) == set()


def test_a_damaged_file_of_all_days_is_made_again(box: Lake, caplog: pytest.LogCaptureFixture) -> None:
    fill(box, 2)
    make_envelopes(box)
    (coarse,) = Path(str(box.root), "envelopes").rglob("coarse-*")
    coarse.write_bytes(b"damaged")
    write(box, every(10, 8640), np.zeros(8640))
    assert make_envelopes(box) == Made(made=2)
    assert "cannot be read" in caplog.text


def test_force_makes_everything_again(box: Lake) -> None:
    fill(box, 2)
    make_envelopes(box)
    for path in Path(str(box.root), "envelopes").rglob("*.parquet"):
        path.write_bytes(b"damaged")
        os.utime(path, (0, 0))
    assert make_envelopes(box, force=True) == Made(made=2)
    means = level_rows(answers(box, rows=5), table_of(box), "minute", MIDNIGHT, MIDNIGHT + HOUR)["temp_degc.mean"]
    assert means.to_list() == [0.0] * 60


def test_the_order_of_rows_does_not_matter(box: Lake) -> None:
    time = np.random.default_rng(1).permutation(every(1, 7200))
    write(box, time, ((time - MIDNIGHT) / US).astype(float))
    make_envelopes(box)
    minutes = level_rows(answers(box), table_of(box), "minute", MIDNIGHT, MIDNIGHT + 2 * HOUR)
    assert minutes["temp_degc.low"].to_list() == [60.0 * minute for minute in range(120)]
    assert minutes["temp_degc.high"].to_list() == [60.0 * minute + 59 for minute in range(120)]


def test_files_that_are_older_than_a_column_have_no_values_of_it(box: Lake, tmp_path: Path) -> None:
    fill(box, 1)
    make_envelopes(box)
    later = box_lake(tmp_path, more=f"{' ' * 10}- {{name: new_v, type: float64, description: New}}\n")
    assert make_envelopes(later) == Made(made=1)  # the channels are others
    days = level_rows(answers(later), table_of(later), "day", MIDNIGHT, MIDNIGHT + DAY_LONG)
    assert (days["new_v.mean"].to_list(), days["temp_degc.mean"].to_list()) == ([None], [0.0])


def test_tables_that_were_just_read_are_not_opened_again(box: Lake) -> None:
    fill(box, 2)
    contents = read_contents(box)
    write(box, [], [], NEXT)
    assert make_envelopes(box, contents=contents) == Made(made=2)
    assert make_envelopes(box) == Made(made=1, unchanged=1)


def test_a_leap_second_belongs_to_the_day_that_has_it(box: Lake) -> None:
    time = np.append(every(10, 8640), MIDNIGHT + DAY_LONG)  # 23:59:60 is the first moment of the next day
    write(box, time, np.append(np.zeros(8640), 9.0))
    make_envelopes(box)
    days = level_rows(answers(box), table_of(box), "day", MIDNIGHT, MIDNIGHT + 2 * DAY_LONG)
    assert days["temp_degc.high"].to_list() == [9.0]
