# SPDX-License-Identifier: Apache-2.0
"""Tables keep every value, take every row once, and show a commit whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction

import lake.reading
import lake.tables
from lake.day_files import DayFiles, day_files
from lake.definitions import Axis, Column, Definitions, Table
from lake.errors import TableError
from lake.ledger import read_ops
from lake.reading import arrow_schema, data_files, open_table, scan, stored_days
from lake.store import AsOf, Lake
from lake.tables import append, append_ops, replace_day, replace_ops
from tests.toy import DAY, L0, open_to_all, table_rows, toy_lake

NEXT_DAY = date(2024, 9, 17)
CHECKOUT = Path(__file__).resolve().parents[2]
# Smallest and largest value of each type, and what Delta is known to lose: unsigned values, nanoseconds.
EXTREMES: dict[str, list[object]] = {
    "bool": [True, False, None],
    "int8": [-128, 127, None],
    "int16": [-32768, 32767, None],
    "int32": [-(2**31), 2**31 - 1, None],
    "int64": [-(2**63), 2**63 - 1, None],
    "float32": [1.5, float("inf"), None],
    "float64": [2.0**-1074, -1e308, None],
    "string": ["", "µ 'quoted' \n", None],
    "binary": [b"", b"\x00\xff", None],
    "date": [date(1970, 1, 1), date(2049, 12, 31), None],
    "timestamp": [datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), datetime(2049, 1, 1, tzinfo=UTC), None],
}


def table_of(*columns: Column, axes: tuple[Axis, ...] = ()) -> Table:
    day = Column(name="day", type="date", description="UTC date")
    return Table(mission="toy", instrument="box", name="box_l1_values", level="l1", title="Values", grain="one row",
                 columns=(*columns, day), axes=axes)  # fmt: skip


def column(kind: str, **more: Any) -> Column:
    return Column.model_validate({"name": "x", "type": kind, "description": "Value", **more})


def lake_with(folder: Path) -> Lake:
    folder.mkdir(exist_ok=True)
    return Lake(folder, Definitions(folder, (), ()))


def rows_of(table: Table, **values: list[Any]) -> pa.Table:
    schema = arrow_schema(table)
    return pa.table(values, schema=schema.remove(schema.get_field_index("day")))


@pytest.fixture
def toy(tmp_path: Path) -> Lake:
    return toy_lake(tmp_path)


def l0(toy: Lake) -> Table:
    return toy.definitions.tables[L0]


def put(toy: Lake, app_id: str, values: list[int], day: date = DAY, definition: str | None = None) -> bool:
    with day_files(toy, l0(toy), definition) as files:
        files.write(table_rows(l0(toy), values, day=day), day)
        files.close()
        done = append(toy, files, app_id)
        if not done:
            files.discard()
        return done


def stored(toy: Lake, day: date | None = None) -> list[int]:
    return sorted(scan(toy, l0(toy), None if day is None else [day]).collect()["value"])


def parquet_files(toy: Lake) -> set[str]:
    return {str(path) for path in toy.root.rglob("*.parquet") if "_delta_log" not in path.parts}


# ---- types -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", EXTREMES)
def test_every_column_type_gives_back_what_was_put_in(tmp_path: Path, kind: str) -> None:
    table = table_of(column(kind, nullable=True))
    root = lake_with(tmp_path / "lake")
    replace_day(root, table, DAY, rows_of(table, x=EXTREMES[kind]), {})
    frame = scan(root, table).collect()
    assert frame["x"].to_list() == EXTREMES[kind]
    assert frame["day"].to_list() == [DAY] * 3


@pytest.mark.parametrize("kind", EXTREMES)
def test_lists_of_every_type_give_back_what_was_put_in(tmp_path: Path, kind: str) -> None:
    values = EXTREMES[kind][:2]
    table = table_of(column(kind, ragged=True, nullable=True))
    root = lake_with(tmp_path / "lake")
    replace_day(root, table, DAY, rows_of(table, x=[values, [], None, values * 3]), {})
    assert scan(root, table).collect()["x"].to_list() == [values, [], None, values * 3]


def test_arrays_are_flat_lists_with_their_shape_in_the_schema(tmp_path: Path) -> None:
    axes = tuple(Axis(name=n, size=s, first=0, step=1, description="Axis", label="A") for n, s in (("a", 2), ("b", 3)))
    table = table_of(column("int16", axes=("a", "b"), unit="count"), axes=axes)
    root = lake_with(tmp_path / "lake")
    replace_day(root, table, DAY, rows_of(table, x=[[1, 2, 3, 4, 5, 6]]), {})
    delta = open_table(root, table)
    assert delta is not None
    assert delta.schema().fields[0].metadata == {"comment": "Value [count]", "unit": "count", "shape": "2,3"}
    assert scan(root, table).collect()["x"].to_list() == [[1, 2, 3, 4, 5, 6]]


@pytest.mark.parametrize(
    "wrong", [pa.uint16(), pa.uint8(), pa.int64(), pa.list_(pa.int32(), 2), pa.float32(), pa.timestamp("ns")]
)
def test_no_unsigned_fixed_size_or_other_type_reaches_a_table(tmp_path: Path, wrong: pa.DataType) -> None:
    table = table_of(column("int32"))
    root = lake_with(tmp_path / "lake")
    with pytest.raises(TableError, match=r"^toy.box_l1_values: the rows do not fit .* \(x is .*, not int32\)"):
        replace_day(root, table, DAY, pa.table({"x": pa.nulls(1, wrong)}), {})
    assert list(root.root.rglob("*.parquet")) == []


@pytest.mark.parametrize(
    ("columns", "said"),
    [({"y": [1]}, "x is missing, not int32, y is int32, not defined"), ({}, "x is missing, not int32")],
)
def test_missing_and_unknown_columns_are_named(tmp_path: Path, columns: dict[str, list[int]], said: str) -> None:
    table = table_of(column("int32"))
    rows = pa.table({name: pa.array(values, pa.int32()) for name, values in columns.items()})
    with pytest.raises(TableError) as caught:
        replace_day(lake_with(tmp_path / "lake"), table, DAY, rows, {})
    assert f"({said})" in str(caught.value)


def test_text_may_come_as_a_dictionary_and_is_stored_as_text(tmp_path: Path) -> None:
    table = table_of(column("string"))
    root = lake_with(tmp_path / "lake")
    replace_day(root, table, DAY, pa.table({"x": pa.array(["a", "b", "a"]).dictionary_encode()}), {})
    assert scan(root, table).collect()["x"].to_list() == ["a", "b", "a"]


@pytest.mark.parametrize("name", ["a b", "Ümläut", "a#b", "it's", "a+b&c", "50%"])
def test_a_lake_may_be_in_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    table = table_of(column("int8"))
    root = lake_with(tmp_path / name)
    replace_day(root, table, DAY, rows_of(table, x=[1]), {})
    assert scan(root, table).collect()["x"].to_list() == [1]


def test_a_table_without_data_is_an_empty_frame_with_its_types(toy: Lake) -> None:
    empty = scan(toy, l0(toy)).collect()
    assert empty.height == 0
    assert stored_days(toy, l0(toy)) == []
    put(toy, "a", [1])
    assert scan(toy, l0(toy)).collect().schema == empty.schema
    assert scan(toy, l0(toy), [NEXT_DAY]).collect().schema == empty.schema
    assert scan(toy, l0(toy), []).collect().height == 0


# ---- once --------------------------------------------------------------------------------------------------------
def test_rows_are_appended_once_however_often_it_is_tried(toy: Lake) -> None:
    assert put(toy, "a", [1, 2])
    assert not put(toy, "a", [1, 2])
    assert put(toy, "b", [3])
    assert stored(toy) == [1, 2, 3]
    assert parquet_files(toy) == set(data_files(opened(toy)))


def opened(toy: Lake) -> DeltaTable:
    delta = open_table(toy, l0(toy))
    assert delta is not None
    return delta


def test_a_stale_handle_cannot_append_the_same_file_again(toy: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    put(toy, "other", [9])
    stale = opened(toy)
    put(toy, "a", [1])
    handles = iter([stale])
    made = lake.tables._created
    monkeypatch.setattr(lake.tables, "_created", lambda *args: next(handles, None) or made(*args))
    assert not put(toy, "a", [1])
    assert stored(toy) == [1, 9]


def test_another_definition_begins_the_table_anew(toy: Lake) -> None:
    put(toy, "a", [1], definition="first")
    put(toy, "b", [2], definition="second")
    assert stored(toy) == [2]


def test_going_back_to_an_earlier_definition_takes_its_files_again(toy: Lake) -> None:
    put(toy, "a", [1], definition="first")
    put(toy, "a", [1], definition="second")
    assert put(toy, "a", [1], definition="first")
    assert stored(toy) == [1]


def _append_some(root: Path, worker: int) -> list[bool]:
    toy = toy_lake(root)
    return [put(toy, f"file-{n}", [n]) for n in range(worker, worker + 6)]


def test_two_processes_appending_at_once_store_each_row_once(tmp_path: Path) -> None:
    toy = toy_lake(tmp_path)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        results = [*pool.map(_append_some, [tmp_path, tmp_path], [0, 3])]
    assert sum(done for result in results for done in result) == 9
    assert stored(toy) == [*range(9)]
    assert parquet_files(toy) == set(data_files(opened(toy)))


# ---- replacing ---------------------------------------------------------------------------------------------------
def test_a_day_is_replaced_and_the_others_stay(toy: Lake) -> None:
    for day, values in ((DAY, [1, 2]), (NEXT_DAY, [3])):
        replace_day(toy, l0(toy), day, table_rows(l0(toy), values, day=day), {})
    written = replace_day(toy, l0(toy), DAY, table_rows(l0(toy), [7]), {"run_id": "run-7"})
    assert (written.rows, written.days) == (1, (DAY,))
    assert (stored(toy, DAY), stored(toy, NEXT_DAY)) == ([7], [3])
    assert opened(toy).history(1)[0]["run_id"] == "run-7"


def test_a_day_replaced_by_nothing_has_no_rows(toy: Lake) -> None:
    put(toy, "a", [1])
    put(toy, "b", [3], NEXT_DAY)
    written = replace_day(toy, l0(toy), DAY, table_rows(l0(toy), []), {}, lake.reading.stored_definition(opened(toy)))
    assert written.rows == 0
    assert (stored(toy, DAY), stored(toy)) == ([], [3])


def test_the_same_rows_have_the_same_content_and_other_rows_another(toy: Lake) -> None:
    contents = [
        replace_day(toy, l0(toy), DAY, table_rows(l0(toy), values), {}).content for values in ([1, 2], [1, 2], [2, 1])
    ]
    assert contents[0] == contents[1] != contents[2]


def gap(apid: int, day: date) -> dict[str, object]:
    time = datetime(2024, 9, 16, tzinfo=UTC)
    return {"mission": "toy", "instrument": "box", "apid": apid, "start_time": time, "end_time": time,
            "missing": 1, "day": day}  # fmt: skip


def test_rows_for_ops_are_replaced_where_the_predicate_holds(toy: Lake) -> None:
    replace_ops(toy, "gaps", [gap(1, DAY), gap(2, NEXT_DAY)], "mission = 'toy'")
    replace_ops(toy, "gaps", [gap(3, DAY)], "mission = 'toy' AND day IN ('2024-09-16')")
    assert sorted(read_ops(toy, "gaps").select("apid", "day").iter_rows()) == [(2, NEXT_DAY), (3, DAY)]


def test_rows_for_ops_are_replaced_where_a_column_is_described_in_other_words_and_another_one_is_new(
    toy: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    gaps = toy.ops("gaps")
    words = [c.model_copy(update={"description": "What was said before"}) for c in gaps.columns if c.name != "kind"]
    before = gaps.model_copy(update={"columns": tuple(words)})
    with monkeypatch.context() as patched:
        patched.setattr(Lake, "ops", lambda _, name: before)
        replace_ops(toy, "gaps", [gap(1, DAY), gap(2, NEXT_DAY)], "mission = 'toy'")
    replace_ops(toy, "gaps", [gap(3, DAY) | {"kind": "loss"}], "mission = 'toy' AND day IN ('2024-09-16')")
    assert sorted(read_ops(toy, "gaps").select("apid", "kind").iter_rows()) == [(2, None), (3, "loss")]


def test_of_two_that_replace_what_is_empty_the_rows_of_the_last_are_there_once(
    toy: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_ops(toy, "gaps", [], "mission = 'toy'")
    real, others = lake.tables._created, [gap(1, DAY)]

    def overtaken(*given: Any) -> DeltaTable:
        delta = real(*given)
        if others:
            replace_ops(toy, "gaps", [others.pop()], "mission = 'toy'")
        return delta

    monkeypatch.setattr(lake.tables, "_created", overtaken)
    replace_ops(toy, "gaps", [gap(2, DAY)], "mission = 'toy'")
    assert read_ops(toy, "gaps")["apid"].to_list() == [2]


def test_a_table_of_the_lake_s_own_whose_column_changed_its_type_is_refused_and_keeps_its_rows(
    toy: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_ops(toy, "gaps", [gap(1, DAY)], "mission = 'toy'")
    gaps = toy.ops("gaps")
    columns = tuple(c.model_copy(update={"type": "string"}) if c.name == "missing" else c for c in gaps.columns)
    monkeypatch.setattr(Lake, "ops", lambda *_: gaps.model_copy(update={"columns": columns}))
    with pytest.raises(TableError, match=r"gaps: holds another type of missing than its definition\. Give each its"):
        replace_ops(toy, "gaps", [gap(2, DAY) | {"missing": "1"}], "mission = 'toy'")
    monkeypatch.undo()
    assert read_ops(toy, "gaps")["apid"].to_list() == [1]


def test_the_past_is_refused_before_anything_is_asked(toy: Lake) -> None:
    past = Lake("s3://nowhere/lake", toy.definitions, AsOf("yesterday", {}))
    with pytest.raises(TableError, match=r"cannot be written as of yesterday\. Ask without --as-of"):
        replace_ops(past, "gaps", [], "mission = 'toy'")


@pytest.mark.parametrize(
    ("change", "message"),
    [({"colour": 1}, r"row has unknown columns \['colour'\]"), ({"rows": None}, r"row lacks \['rows'\]")],
)
def test_rows_for_ops_must_fit(toy: Lake, change: dict[str, object], message: str) -> None:
    row = {"table_name": L0, "day": DAY, "file_sha256": "0", "rows": 1, "new_rows": 1, "definition": ""} | {
        "table_id": "",
        "run_id": "",
    }
    with pytest.raises(TableError, match=message):
        append_ops(toy, "contents", [row | change])
    assert read_ops(toy, "contents").height == 0


# ---- what goes wrong ---------------------------------------------------------------------------------------------
def interrupted(toy: Lake, commit: bool) -> None:
    with day_files(toy, l0(toy)) as files:
        files.write(table_rows(l0(toy), [5]), DAY)
        if commit:
            files.close()
            append(toy, files, "interrupted")
        raise KeyboardInterrupt


def test_an_error_between_writing_and_commit_leaves_no_row_and_no_file(toy: Lake) -> None:
    put(toy, "a", [1])
    before = parquet_files(toy)
    with pytest.raises(KeyboardInterrupt):
        interrupted(toy, commit=False)
    assert (stored(toy), parquet_files(toy)) == ([1], before)


def test_an_interruption_after_the_commit_keeps_what_is_visible(toy: Lake) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(toy, commit=True)
    assert stored(toy) == [5]


def test_a_checkpoint_that_fails_does_not_lose_the_commit_before_it(
    toy: Lake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lake.tables, "CHECKPOINT_EVERY", "2")
    put(toy, "0", [0])
    last = Path(toy.table_uri(l0(toy))) / "_delta_log" / "_last_checkpoint"
    last.unlink(missing_ok=True)
    last.mkdir()
    for n in (1, 2, 3):
        assert put(toy, str(n), [n])
    assert stored(toy) == [0, 1, 2, 3]
    assert "written, but" in caplog.text
    assert "\x1b" not in caplog.text


def test_a_damaged_log_names_the_table_and_the_way_out(toy: Lake) -> None:
    put(toy, "a", [1])
    log = Path(toy.table_uri(l0(toy))) / "_delta_log"
    for path in log.glob("*.json"):
        path.write_text("{ not json")
    with pytest.raises(TableError, match=r"tick: cannot be opened \(.*\). Restore it, or remove it and rebuild.$"):
        open_table(toy, l0(toy))


def test_a_writer_that_always_loses_gives_up_with_a_message(toy: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    put(toy, "a", [1])
    stale = opened(toy)
    put(toy, "b", [2])
    monkeypatch.setattr(lake.tables, "_created", lambda *_: stale)
    monkeypatch.setattr(lake.tables, "PAUSE_SECONDS", 0)
    with pytest.raises(TableError, match=r"20 commits in a row met another writer. Repeat when it has finished."):
        put(toy, "b", [2])
    monkeypatch.undo()
    assert stored(toy) == [1, 2]


def test_a_transaction_alone_does_not_deduplicate_so_that_we_have_to(toy: Lake) -> None:
    """Why `append` looks before it commits; if delta-rs learns it, this fails and `append` can be made simpler."""
    put(toy, "a", [1])
    for _ in range(2):
        delta = opened(toy)
        files = DayFiles(toy, l0(toy))
        files.write(table_rows(l0(toy), [2]), DAY)
        files.close()
        properties = CommitProperties(app_transactions=[Transaction("same", 1)])
        lake.tables._commit(delta, files, "append", None, properties)
    assert stored(toy) == [1, 2, 2]


SCRIPT = """
import os, resource, sys
from pathlib import Path
sys.path.insert(0, {checkout!r})
from lake.errors import SwxlakeError
from tests.lake.test_tables import put
from tests.toy import toy_lake
toy = toy_lake(Path({folder!r}))
{before}
try:
    print(put(toy, "b", list(range(1000, 1000 + {rows}))))
except SwxlakeError as error:
    print(type(error).__name__, error)
    sys.exit(1)
"""


def in_process(folder: Path, before: str = "", rows: int = 3) -> subprocess.CompletedProcess[str]:
    script = SCRIPT.format(checkout=str(CHECKOUT), folder=str(folder), before=before, rows=rows)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)


def test_a_process_that_wrote_ends_with_exit_code_0(tmp_path: Path) -> None:
    """Some ways of reading Delta abort the interpreter at its end, after the work is done."""
    done = in_process(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


@pytest.mark.parametrize("limit", [0, 300, 2000, 5000])
def test_a_full_disk_is_one_message_and_leaves_nothing_half_written(tmp_path: Path, limit: int) -> None:
    toy = toy_lake(tmp_path)
    put(toy, "a", [1, 2])
    before = parquet_files(toy)
    done = in_process(tmp_path, f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))", rows=20_000)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith(("StorageError ", "TableError "))
    assert done.stdout.rstrip().endswith("Free space or give the right to write, then repeat.")
    assert "None" not in done.stdout
    assert done.stdout.count("\n") == 1
    assert (stored(toy), parquet_files(toy)) == ([1, 2], before)
    assert put(toy, "c", [3])


@pytest.mark.skipif(sys.platform != "linux", reason="needs to become another user")
@pytest.mark.parametrize(
    "below", ["tables/toy/box_l0_tick/day=2024-09-16", "tables/toy/box_l0_tick/_delta_log", "tables"]
)
def test_a_folder_that_may_not_be_written_is_one_message(tmp_path: Path, below: str) -> None:
    toy = toy_lake(tmp_path)
    if below != "tables":
        put(toy, "a", [1, 2])
    folder = toy.root / below
    folder.mkdir(exist_ok=True, parents=True)
    for path in (tmp_path, *tmp_path.rglob("*/")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    folder.chmod(0o555)
    open_to_all(tmp_path)
    done = in_process(tmp_path, "os.getuid() or os.setuid(65534)")
    folder.chmod(0o777)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith(("StorageError ", "TableError ")), done.stdout
    assert "Free space or give the right to write, then repeat." in done.stdout
    assert done.stdout.count("\n") == 1
    assert stored(toy) == ([] if below == "tables" else [1, 2])
    assert {Path(path).parent.name for path in parquet_files(toy)} <= {"day=2024-09-16"}
    assert len(parquet_files(toy)) == (0 if below == "tables" else 1)


def test_the_frame_of_polars_has_the_types_of_the_definition(toy: Lake) -> None:
    put(toy, "a", [1])
    schema = scan(toy, l0(toy)).collect().schema
    assert schema["value"] == pl.Int32
    assert schema["time"] == pl.Datetime("us", "UTC")
    assert schema["day"] == pl.Date
