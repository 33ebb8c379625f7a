# SPDX-License-Identifier: Apache-2.0
"""A product-day follows its axes and what is assumed of them: each change gives a version, and nothing else does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import cdflib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exports import making
from exports.books import origin_of, read_books
from lake.definition_files import read_definitions
from lake.definitions import Definitions
from lake.errors import ExportError
from lake.store import Lake
from tests.exports.conftest import SPECTRUM
from tests.toy import DAY, L1
from tests.toy_product import build, edit, exported, instrument_file, lake_with_product, last_row


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    with lake_with_product(tmp_path, monkeypatch) as made:
        yield made


def test_a_product_has_the_axis_of_its_day_and_says_what_is_assumed(lake: Lake) -> None:
    done = exported(lake)
    assert (done.failed, done.blocked, len(done.published)) == ([], [], 1)
    file = cdflib.CDF(lake.root / done.published[0])
    assert file.varget("part").tolist() == [1, 2]
    assert file.varget("part_delta_plus").tolist() == [0.5, 1.5]
    assert file.globalattsget()["TEXT"][-1] == "Assumed calibration parts_20240101: Guessed."
    assert last_row(lake)["deliverable"] is False
    again = exported(lake)
    assert (again.published, again.unchanged) == ([], 1)


def test_a_new_calibration_of_an_axis_is_a_new_version(lake: Lake) -> None:
    exported(lake)
    instrument_file(lake, "calibration/parts_20240601.csv").write_text("centre,below,above\n1,0.5,0.5\n3,0.5,1.5\n")
    build(lake)
    done = exported(lake)
    assert done.published == [f"exports/toy/box/l1/2024/toy_box_l1-tick_{DAY:%Y%m%d}_v1.1.0.cdf"]
    file = cdflib.CDF(lake.root / done.published[0])
    assert file.varget("part").tolist() == [1, 3]
    assert not any("Assumed" in text for text in file.globalattsget()["TEXT"])
    assert last_row(lake)["deliverable"] is True


def test_a_lifted_assumption_is_a_new_version(lake: Lake) -> None:
    exported(lake)
    edit(instrument_file(lake, "instrument.yaml"), "assumed:\n  parts_20240101: Guessed.\n", "")
    assert len(exported(lake).published) == 1
    assert (last_row(lake)["version"], last_row(lake)["deliverable"]) == ("1.0.1", True)


def test_data_from_the_ground_are_not_for_delivery(lake: Lake) -> None:
    edit(instrument_file(lake, "instrument.yaml"), "assumed:\n  parts_20240101: Guessed.\n", "")
    edit(instrument_file(lake, "instrument.yaml"), "status: flying", "status: ground")
    assert len(exported(lake).published) == 1
    assert last_row(lake)["deliverable"] is False


def test_a_day_without_values_of_an_axis_fails_by_itself(lake: Lake) -> None:
    path = instrument_file(lake, "calibration/parts_20240101.csv")
    path.rename(path.with_name("parts_20250101.csv"))
    edit(instrument_file(lake, "instrument.yaml"), "parts_20240101", "parts_20250101")
    ((table, day, reason),) = exported(lake).failed
    assert (table, day) == (L1, DAY)
    assert "axis part: no calibration parts is valid on 2024-09-16. Add calibration/parts_<yyyymmdd>.csv" in reason


def test_a_product_is_as_new_as_the_calibration_of_its_axes(lake: Lake) -> None:
    table, books = lake.definitions.tables[L1], read_books(lake)
    assert origin_of(lake, books, table, DAY).newest == date(2024, 1, 1)
    instrument_file(lake, "calibration/parts_20240601.csv").write_text("centre,below,above\n1,1,1\n3,1,1\n")
    newer = Lake(lake.root, read_definitions(lake.definitions.path))
    assert origin_of(newer, books, newer.definitions.tables[L1], DAY).newest == date(2024, 6, 1)


def test_a_column_that_came_after_the_rows_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"epoch_tt2000": [1, 2]}), tmp_path / "a.parquet")
    lake = Lake(tmp_path, Definitions(tmp_path, (), ()))
    with pytest.raises(ExportError, match=r"a\.parquet: has no column count_rate, .*Run `swxlake transform"):
        next(making.column_batches(lake, [str(tmp_path / "a.parquet")], SPECTRUM, "count_rate"))


@pytest.mark.parametrize("group", [3, 50])
def test_a_column_is_read_in_pieces_of_a_few_megabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int
) -> None:
    monkeypatch.setattr(making, "BATCH_BYTES", 10 * 24 * 280 * 4)
    rates = np.arange(45 * 24 * 280, dtype=np.float32)
    lists = pa.ListArray.from_arrays(np.arange(46, dtype=np.int32) * 6720, pa.array(rates))
    pq.write_table(pa.table({"count_rate": lists}), tmp_path / "a.parquet", row_group_size=group)
    lake = Lake(tmp_path, Definitions(tmp_path, (), ()))
    batches = list(making.column_batches(lake, [str(tmp_path / "a.parquet")], SPECTRUM, "count_rate"))
    assert max(len(batch) for batch in batches) == min(group, 10)
    np.testing.assert_array_equal(np.concatenate([batch.flatten().to_numpy() for batch in batches]), rates)
