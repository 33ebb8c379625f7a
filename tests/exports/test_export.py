# SPDX-License-Identifier: Apache-2.0
"""A product-day follows its axes and what is assumed of them: each change gives a version, and nothing else does."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import cdflib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import transforms
from exports import export
from exports.export import Exported, export_all
from lake.definition_files import read_definitions
from lake.ledger import read_ops
from lake.store import Lake
from quality.checks import check_all
from tests.exports.conftest import MEDDEA, PADRE, SPECTRUM
from tests.toy import DAY, L1, TRANSFORMS, receive, toy_lake, write_missions
from transforms.engine import build_all

RUNS = count()
PART = (
    "part: {size: 2, calibration: parts, column: centre, minus_column: below, plus_column: above, unit: mm,"
    " description: Place of a part, label: Part}"
)
PRODUCT = {
    "version": "1.0",
    "title": "Ticks in volts",
    "text": "Voltages of a box that is there for the tests, and of both of its halves.",
    "time_resolution": "1 s",
    "bin_location": 0.5,
    "mods": ["1.0: first version"],
}


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """One checked day of the toy's L1 table, of which the axis `part` has an assumed calibration."""
    code = tmp_path / "transforms" / "toy"
    code.mkdir(parents=True)
    (code / "box.py").write_text(TRANSFORMS)
    monkeypatch.setattr(transforms, "__path__", [*transforms.__path__, str(code.parent)])
    box = write_missions(tmp_path / "missions") / "toy" / "box"
    _edit(box / "tables.yaml", "part: {size: 2, first: 0, step: 1, type: int16, description: Part, label: Part}", PART)
    _add(box.parent / "mission.yaml", cdf=PADRE.cdf | {"Source_name": "TOY>A mission for tests"})
    _add(box / "instrument.yaml", cdf=MEDDEA.cdf | {"Descriptor": "BOX>A box"}, assumed={"parts_20240101": "Guessed."})
    (box / "cdf.yaml").write_text(yaml.safe_dump({"products": {"box_l1_tick": PRODUCT}}))
    (box / "calibration/parts_20240101.csv").write_text("centre,below,above\n1,0.5,0.5\n2,0.5,1.5\n")
    lake = toy_lake(tmp_path)
    receive(lake, "a", [1, 2, 3])
    assert not build_all(lake, "run-build").failed
    check_all(lake, "run-check")
    yield lake
    for name in [name for name in sys.modules if name.startswith("transforms.toy")]:
        del sys.modules[name]
    importlib.invalidate_caches()


def _edit(path: Path, before: str, after: str) -> None:
    assert path.read_text().count(before) == 1
    path.write_text(path.read_text().replace(before, after))


def _add(path: Path, **facts: Any) -> None:
    plain = json.loads(json.dumps(facts))
    path.write_text(path.read_text() + yaml.safe_dump(plain))


def exported(lake: Lake) -> Exported:
    """Export with the definitions as they are on disk now."""
    now = Lake(lake.root, read_definitions(lake.definitions.path))
    return export_all(now, f"run-{next(RUNS):06d}", [now.definitions.tables[L1]])


def last_row(lake: Lake) -> dict[str, Any]:
    return read_ops(lake, "exports").sort("run_id").row(-1, named=True)


def instrument_file(lake: Lake, name: str) -> Path:
    return lake.definitions.path / "toy" / "box" / name


def test_a_product_has_the_axis_of_its_day_and_says_what_is_assumed(lake: Lake) -> None:
    done = exported(lake)
    assert (done.failed, done.blocked, len(done.published)) == ([], [], 1)
    file = cdflib.CDF(done.published[0])
    assert file.varget("part").tolist() == [1, 2]
    assert file.varget("part_delta_plus").tolist() == [0.5, 1.5]
    assert file.globalattsget()["TEXT"][-1] == "Assumed calibration parts_20240101: Guessed."
    assert last_row(lake)["deliverable"] is False
    again = exported(lake)
    assert (again.published, again.unchanged) == ([], 1)


def test_a_new_calibration_of_an_axis_is_a_new_version(lake: Lake) -> None:
    exported(lake)
    instrument_file(lake, "calibration/parts_20240601.csv").write_text("centre,below,above\n1,0.5,0.5\n3,0.5,1.5\n")
    done = exported(lake)
    assert [path.name for path in done.published] == [f"toy_box_l1-tick_{DAY:%Y%m%d}_v1.0.1.cdf"]
    file = cdflib.CDF(done.published[0])
    assert file.varget("part").tolist() == [1, 3]
    assert not any("Assumed" in text for text in file.globalattsget()["TEXT"])
    assert last_row(lake)["deliverable"] is True


def test_a_lifted_assumption_is_a_new_version(lake: Lake) -> None:
    exported(lake)
    _edit(instrument_file(lake, "instrument.yaml"), "assumed:\n  parts_20240101: Guessed.\n", "")
    assert len(exported(lake).published) == 1
    assert (last_row(lake)["version"], last_row(lake)["deliverable"]) == ("1.0.1", True)


def test_data_from_the_ground_are_not_for_delivery(lake: Lake) -> None:
    _edit(instrument_file(lake, "instrument.yaml"), "assumed:\n  parts_20240101: Guessed.\n", "")
    _edit(instrument_file(lake, "instrument.yaml"), "status: flying", "status: ground")
    assert len(exported(lake).published) == 1
    assert last_row(lake)["deliverable"] is False


def test_a_day_without_values_of_an_axis_fails_by_itself(lake: Lake) -> None:
    path = instrument_file(lake, "calibration/parts_20240101.csv")
    path.rename(path.with_name("parts_20250101.csv"))
    _edit(instrument_file(lake, "instrument.yaml"), "parts_20240101", "parts_20250101")
    ((table, day, reason),) = exported(lake).failed
    assert (table, day) == (L1, DAY)
    assert "axis part: no calibration parts is valid on 2024-09-16. Add calibration/parts_<yyyymmdd>.csv" in reason


def test_a_product_is_as_new_as_the_calibration_of_its_axes(lake: Lake) -> None:
    table, books = lake.definitions.tables[L1], export._read_books(lake)
    assert export._origin(lake, books, table, DAY).newest == date(2024, 1, 1)
    instrument_file(lake, "calibration/parts_20240601.csv").write_text("centre,below,above\n1,1,1\n3,1,1\n")
    newer = Lake(lake.root, read_definitions(lake.definitions.path))
    assert export._origin(newer, books, newer.definitions.tables[L1], DAY).newest == date(2024, 6, 1)


@pytest.mark.parametrize("group", [3, 50])
def test_a_column_is_read_in_pieces_of_a_few_megabytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int
) -> None:
    monkeypatch.setattr(export, "BATCH_BYTES", 10 * 24 * 280 * 4)
    rates = np.arange(45 * 24 * 280, dtype=np.float32)
    lists = pa.ListArray.from_arrays(np.arange(46, dtype=np.int32) * 6720, pa.array(rates))
    pq.write_table(pa.table({"count_rate": lists}), tmp_path / "a.parquet", row_group_size=group)
    batches = list(export._column([str(tmp_path / "a.parquet")], SPECTRUM, "count_rate"))
    assert max(len(batch) for batch in batches) == min(group, 10)
    np.testing.assert_array_equal(np.concatenate([batch.flatten().to_numpy() for batch in batches]), rates)
