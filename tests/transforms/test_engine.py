# SPDX-License-Identifier: Apache-2.0
"""The engine rebuilds exactly the table-days that something happened to, and says why."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from datetime import date
from itertools import count
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

import transforms
from lake.code import forget as forget_code
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.errors import DefinitionError, TransformError
from lake.ledger import read_ops
from lake.reading import scan
from lake.store import Lake
from tests.toy import DAY, L1, QL, TRANSFORMS, receive, toy_lake
from transforms.code import transform_of
from transforms.day import conform
from transforms.engine import Built, build_all
from transforms.plan import plan_all

NEXT_DAY = date(2024, 9, 17)
RUNS = count()


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file transforms/toy/box.py, which may be rewritten with `rewrite`."""
    package = tmp_path / "transforms" / "toy"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    path = package / "box.py"
    monkeypatch.setattr(transforms, "__path__", [*transforms.__path__, str(package.parent)])
    rewrite(path, TRANSFORMS)
    yield path
    forget()


def rewrite(path: Path, text: str) -> None:
    """New code, as the next process would see it."""
    path.write_text(text)
    forget()


def forget() -> None:
    for name in [name for name in sys.modules if name.startswith("transforms.toy")]:
        del sys.modules[name]
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    forget_code()


@pytest.fixture
def lake(tmp_path: Path, code: Path) -> Lake:
    return toy_lake(tmp_path)


def again(lake: Lake) -> Lake:
    """The same lake with the definitions as they are on disk now."""
    return Lake(lake.root, read_definitions(lake.definitions.path))


def build(lake: Lake, force: bool = False) -> Built:
    return build_all(lake, f"run-{next(RUNS):06d}", force=force)


def planned(lake: Lake) -> list[tuple[str, date, str]]:
    return [(step.table.address, step.day, step.reason) for step in plan_all(lake)]


def done(built: Built) -> list[tuple[str, date, str]]:
    return [(step.table.address, step.day, step.reason) for step, _ in built.done]


def values(lake: Lake, address: str, day: date = DAY) -> list[float]:
    rows = scan(lake, lake.definitions.tables[address], [day]).collect()
    return [float(value) for value in rows["voltage_v"]]


def definition(lake: Lake, name: str) -> Path:
    return lake.definitions.path / "toy" / "box" / name


# ---- what is built -----------------------------------------------------------------------------------------------
def test_levels_are_built_inputs_first_and_have_the_right_values(lake: Lake) -> None:
    receive(lake, "a", [1, 2, 6])
    assert done(build(lake)) == [(L1, DAY, "new"), (QL, DAY, "new")]
    assert values(lake, L1) == [2.0, 4.0, 12.0]
    assert values(lake, QL) == [6.0]


def test_tables_named_in_any_order_are_built_inputs_first(lake: Lake) -> None:
    receive(lake, "a", [1])
    tables = [lake.definitions.tables[QL], lake.definitions.tables[L1]]
    assert [table for table, _, _ in done(build_all(lake, "run", tables))] == [L1, QL]


def test_nothing_is_built_twice(lake: Lake) -> None:
    receive(lake, "a", [1])
    build(lake)
    assert planned(lake) == []
    assert done(build(lake)) == []


def test_a_late_file_rebuilds_its_day_and_no_other(lake: Lake) -> None:
    receive(lake, "a", [1])
    receive(lake, "b", [2], NEXT_DAY)
    build(lake)
    receive(lake, "c", [3])
    built = build(lake)
    assert done(built) == [
        (L1, DAY, "input toy.box_l0_tick changed"),
        (QL, DAY, "input toy.box_l1_tick changed"),
    ]
    assert values(lake, QL) == [4.0]
    assert values(lake, QL, NEXT_DAY) == [4.0]


def test_a_calibration_rebuilds_the_days_from_which_it_is_valid(lake: Lake) -> None:
    receive(lake, "a", [1])
    receive(lake, "b", [1], NEXT_DAY)
    build(lake)
    definition(lake, "calibration/gain_20240917.csv").write_text("factor\n3\n")
    assert done(build(again(lake))) == [
        (L1, NEXT_DAY, "calibration gain changed"),
        (QL, NEXT_DAY, "input toy.box_l1_tick changed"),
    ]
    assert values(lake, QL) == [2.0]
    assert values(lake, QL, NEXT_DAY) == [3.0]


def test_changed_code_rebuilds_all_days_of_its_tables(lake: Lake, code: Path) -> None:
    receive(lake, "a", [1])
    build(lake)
    rewrite(code, TRANSFORMS.replace("float(factor)", "float(factor) * 10"))
    assert done(build(lake)) == [(L1, DAY, "code changed"), (QL, DAY, "code changed, input toy.box_l1_tick changed")]
    assert values(lake, QL) == [20.0]


def test_code_that_is_imported_from_transforms_counts_too(lake: Lake, code: Path) -> None:
    receive(lake, "a", [1])
    other = code.with_name("scale.py")
    other.write_text("SCALE = 1.0\n")
    rewrite(code, "from transforms.toy import scale\n" + TRANSFORMS.replace("float(factor)", "factor * scale.SCALE"))
    build(lake)
    other.write_text("SCALE = 5.0\n")
    forget()
    assert planned(lake)[0] == (L1, DAY, "code changed")


def test_comments_docstrings_and_spaces_in_the_code_rebuild_nothing(lake: Lake, code: Path) -> None:
    receive(lake, "a", [1])
    build(lake)
    edited = TRANSFORMS.replace('"""Volts."""', '"""Volts, in order."""').replace("# In time order.", "# Sorted.\n")
    rewrite(code, edited.replace("A box in volts", "The box"))
    assert planned(lake) == []


def test_a_changed_type_rebuilds_the_table(lake: Lake) -> None:
    receive(lake, "a", [1])
    build(lake)
    path = definition(lake, "tables.yaml")
    path.write_text(
        path.read_text().replace(
            "name: voltage_v, type: float64, unit: V, description: Voltage}",
            "name: voltage_v, type: float32, unit: V, description: Voltage}",
        )
    )
    changed = again(lake)
    # The mean of the same voltages is the same, but where it comes from has other bytes.
    assert done(build(changed)) == [(L1, DAY, "definition changed"), (QL, DAY, "input toy.box_l1_tick changed")]
    assert scan(changed, changed.definitions.tables[L1]).collect().schema["voltage_v"] == pl.Float32


def test_a_better_description_rebuilds_nothing(lake: Lake) -> None:
    receive(lake, "a", [1])
    build(lake)
    path = definition(lake, "tables.yaml")
    path.write_text(path.read_text().replace("description: Voltage}", "description: Voltage at the input}"))
    assert planned(again(lake)) == []


def test_a_rebuild_with_the_same_content_stops_there(lake: Lake) -> None:
    receive(lake, "a", [1])
    build(lake)
    path = definition(lake, "calibration/gain_20240101.csv")
    path.write_text("factor\n2\n\n")  # other bytes, same number
    assert done(build(again(lake))) == [(L1, DAY, "calibration gain changed")]


def test_force_rebuilds_and_changes_nothing(lake: Lake) -> None:
    receive(lake, "a", [1, 5])
    build(lake)
    before = [values(lake, L1), values(lake, QL)]
    assert done(build(lake, force=True)) == [(L1, DAY, "forced"), (QL, DAY, "forced")]
    assert [values(lake, L1), values(lake, QL)] == before


@pytest.mark.parametrize("days", [None, {DAY}, {NEXT_DAY}, set[date]()])
def test_a_dry_run_lists_what_the_real_run_builds(lake: Lake, days: set[date] | None) -> None:
    receive(lake, "a", [1])
    receive(lake, "b", [1], NEXT_DAY)
    plan = [(step.table.address, step.day, step.reason) for step in plan_all(lake, days=days)]
    assert plan == done(build_all(lake, "run", days=days))
    assert {day for _, day, _ in plan} == ({DAY, NEXT_DAY} if days is None else days)


def test_a_dry_run_writes_nothing(lake: Lake) -> None:
    receive(lake, "a", [1])
    before = sorted(lake.root.rglob("*"))
    planned(lake)
    assert sorted(lake.root.rglob("*")) == before


def test_a_day_that_lost_its_inputs_is_emptied_once(lake: Lake) -> None:
    receive(lake, "a", [1])
    build(lake)
    path = lake.definitions.path / "toy/mission.yaml"
    path.write_text(path.read_text().replace("start: 2024-01-01", "start: 2024-01-02"))  # L0 is to be decoded anew
    changed = again(lake)
    assert done(build(changed)) == []  # what was built waits as it is
    assert values(changed, L1) == values(lake, L1)
    receive(changed, "a", [1], NEXT_DAY, run="run-later")  # decoded anew, its rows lie on another day
    emptied = [(table, reason) for table, day, reason in done(build(changed)) if day == DAY]
    assert emptied == [(L1, "input toy.box_l0_tick changed"), (QL, "input toy.box_l1_tick changed")]
    assert values(changed, L1) == []
    assert done(build(changed)) == []


# ---- what fails --------------------------------------------------------------------------------------------------
def test_a_failed_day_is_recorded_and_does_not_stop_the_others(lake: Lake) -> None:
    receive(lake, "a", [1], date(2023, 5, 5))  # before the first calibration
    receive(lake, "b", [1])
    built = build(lake)
    assert done(built) == [(L1, DAY, "new"), (QL, DAY, "new")]
    [(step, message)] = built.failed
    assert (step.table.address, step.day) == (L1, date(2023, 5, 5))
    folder = lake.definitions.path / "toy" / "box" / "calibration"
    assert message == f"{L1}@2023-05-05: no calibration gain is valid. Add {folder}/gain_<yyyymmdd>.csv."
    runs = read_ops(lake, "runs").filter(pl.col("status") == "failed")
    assert runs.select("table_name", "day", "rows", "error").rows() == [(L1, date(2023, 5, 5), 0, message)]


def test_a_failed_day_is_tried_again(lake: Lake) -> None:
    receive(lake, "a", [1], date(2023, 5, 5))
    build(lake)
    assert planned(lake)[0] == (L1, date(2023, 5, 5), "failed before")
    definition(lake, "calibration/gain_20230101.csv").write_text("factor\n4\n")
    repaired = again(lake)
    assert [reason for _, _, reason in done(build(repaired))] == ["calibration gain changed", "new"]
    assert values(repaired, QL, date(2023, 5, 5)) == [4.0]


def test_what_depends_on_a_failed_day_waits_for_it(lake: Lake, code: Path) -> None:
    receive(lake, "a", [1])
    build(lake)
    rewrite(code, TRANSFORMS.replace("volts = ", "volts = [][1] + "))
    built = build(lake)
    assert done(built) == []
    assert [step.table.address for step, _ in built.failed] == [L1]
    assert values(lake, QL) == [2.0]
    rewrite(code, TRANSFORMS)
    # Both are listed: the content of L1 is not known before it is built. It is what it was, so only L1 is.
    assert [table for table, _, _ in planned(lake)] == [L1, QL]
    assert [table for table, _, _ in done(build(lake))] == [L1]


@pytest.mark.parametrize(
    ("code_before", "code_after", "message"),
    [
        ("volts = ", "volts = 1 / 0 + ", "ZeroDivisionError: division by zero"),
        ('pl.col("value")', 'pl.col("valeu")', "ColumnNotFoundError"),
        ("*, tick, gain", "*, tock, gain", "TypeError: l1_tick() got an unexpected keyword argument 'tick'"),
        ('pl.col("voltage_v") / 2, ', "", "halves_v has lists of 1 values, its axes part need 2"),
        ("voltage_v=volts", "volts=volts", "ColumnNotFoundError"),
        ("float(factor)", "pl.lit(None, pl.Float64)", "voltage_v has 1 nulls. Fill or allow them."),
    ],
)
def test_a_mistake_in_a_transform_fails_its_day_with_one_line(
    lake: Lake, code: Path, code_before: str, code_after: str, message: str
) -> None:
    receive(lake, "a", [1])
    assert TRANSFORMS.count(code_before) == 1
    rewrite(code, TRANSFORMS.replace(code_before, code_after))
    built = build(lake)
    [(_, error)] = built.failed
    assert error.startswith(f"{L1}@2024-09-16: ")
    assert message in error
    assert "\n" not in error


def test_a_missing_function_is_a_wrong_definition(lake: Lake, code: Path) -> None:
    receive(lake, "a", [1])
    rewrite(code, TRANSFORMS.replace("def l1_tick", "def l1_tock"))
    with pytest.raises(
        DefinitionError, match=r"^toy.box_l1_tick: transforms/toy/box.py has no function l1_tick. Write"
    ):
        build(lake)


def test_a_missing_module_is_a_wrong_definition(lake: Lake, code: Path) -> None:
    receive(lake, "a", [1])
    code.unlink()
    forget()
    with pytest.raises(DefinitionError, match=r"^there is no transforms/toy/box.py. Write it.$"):
        build(lake)


def test_an_error_of_syntax_names_file_and_line(lake: Lake, code: Path) -> None:
    receive(lake, "a", [1])
    rewrite(code, "x = 1\ndef l1_tick(:\n")
    with pytest.raises(DefinitionError, match=rf"^{code} line 2: "):
        build(lake)


# ---- conform -----------------------------------------------------------------------------------------------------
GOOD = {"epoch_tt2000": [1], "voltage_v": [2.5], "halves_v": [[1.25, 1.25]]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"more": [1]}, "columns ['more'] are missing or unknown"),
        ({"epoch_tt2000": [1.5]}, "truncated"),
        ({"voltage_v": ["volts"]}, "volts"),
        ({"voltage_v": [None]}, "voltage_v has 1 nulls. Fill or allow them."),
        ({"halves_v": [[1.0]]}, "halves_v has lists of 1 values, its axes part need 2"),
        ({"halves_v": [[1.0, None]]}, "halves_v has 1 nulls within its lists"),
    ],
)
def test_a_frame_that_does_not_fit_its_table_is_refused(
    lake: Lake, change: dict[str, list[object]], message: str
) -> None:
    with pytest.raises(TransformError) as caught:
        conform(lake.definitions.tables[L1], DAY, pl.DataFrame(GOOD | change))
    assert str(caught.value).startswith(f"{L1}@2024-09-16: ")
    assert message in str(caught.value)


def test_a_frame_that_fits_gets_the_order_and_types_of_its_table(lake: Lake) -> None:
    values = {"voltage_v": [2], "halves_v": [[1, 2]], "epoch_tt2000": [1]}
    rows = conform(lake.definitions.tables[L1], DAY, pl.DataFrame(values, schema_overrides={"epoch_tt2000": pl.Int8}))
    assert rows.to_pylist() == [{"epoch_tt2000": 1, "voltage_v": 2.0, "halves_v": [1.0, 2.0]}]
    assert rows.schema.types == [pa.int64(), pa.float64(), pa.list_(pa.float64())]


def test_a_count_too_large_for_its_column_is_refused_not_wrapped(lake: Lake) -> None:
    frame = pl.DataFrame(GOOD | {"epoch_tt2000": [2**64 - 1]}, schema_overrides={"epoch_tt2000": pl.UInt64})
    with pytest.raises(TransformError, match="Correct the transform or the column's type"):
        conform(lake.definitions.tables[L1], DAY, frame)


# ---- the real missions -------------------------------------------------------------------------------------------
REAL = read_definitions(CHECKOUT / "missions")
BUILT = [table for table in REAL.tables.values() if table.inputs]


@pytest.mark.parametrize("table", BUILT, ids=[table.address for table in BUILT])
def test_every_table_with_inputs_has_its_transform(table: object) -> None:
    found = next(t for t in BUILT if t is table)
    assert transform_of(found).__name__ == (found.method or found.descriptor)
