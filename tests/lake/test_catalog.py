# SPDX-License-Identifier: Apache-2.0
"""The catalog shows every table at its newest version, described, and to any DuckDB client."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

import lake.catalog
from lake.catalog import connect, open_catalog, refresh
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.errors import ConfigurationError, DefinitionError
from lake.ledger import read_ops
from lake.store import Lake
from lake.tables import append_ops
from tests.toy import DAY, L0, L1, open_to_all, receive, toy_lake, write_missions


@pytest.fixture(autouse=True)
def no_views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """sql/views/ speaks of the real missions; here it is an empty folder."""
    folder = tmp_path / "views"
    folder.mkdir()
    monkeypatch.setattr(lake.catalog, "SQL_VIEWS", folder)
    return folder


@pytest.fixture
def toy(tmp_path: Path) -> Lake:
    return toy_lake(tmp_path)


def numbers(connection: duckdb.DuckDBPyConnection) -> list[int]:
    return [row[0] for row in connection.execute(f"SELECT value FROM {L0} ORDER BY value").fetchall()]  # noqa: S608


def file_row(name: str, run_id: str, packets: int) -> dict[str, object]:
    counts = dict.fromkeys(("bytes", "bytes_decoded", "bytes_quarantined", "duplicates", "revision"), 1)
    words = dict.fromkeys(("mission", "instrument", "status", "reason", "definition", "receipt"), "x")
    return {**counts, **words, "file_sha256": "0" * 64, "name": name, "received_at": datetime(2024, 9, 16, tzinfo=UTC),
            "packets": packets, "run_id": run_id}  # fmt: skip


def test_there_is_a_schema_for_each_mission_and_one_for_the_lake_itself(toy: Lake) -> None:
    with open_catalog(toy) as connection:
        found = connection.execute(
            "SELECT schema_name, view_name FROM duckdb_views() WHERE NOT internal ORDER BY ALL"
        ).fetchall()
    assert [name for schema, name in found if schema == "toy"] == ["box_l0_tick", "box_l1_tick", "box_ql_mean"]
    assert [name for schema, name in found if schema == "ops"] == sorted(t.name for t in toy.definitions.ops)


def test_comments_bring_grain_and_unit(toy: Lake) -> None:
    with open_catalog(toy) as connection:
        columns = dict(
            connection.execute(
                "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'box_l1_tick'"
            ).fetchall()
        )
        view = connection.execute("SELECT comment FROM duckdb_views() WHERE view_name = 'box_l1_tick'").fetchone()
    assert columns["voltage_v"] == "Voltage [V]"
    assert columns["day"] == "UTC date of the data; of the file name where the clock is impossible"
    assert view == ("Ticks in volts: one row per packet",)


@pytest.mark.parametrize("filled", [False, True])
def test_columns_have_the_types_of_the_definition_with_and_without_data(toy: Lake, filled: bool) -> None:
    if filled:
        receive(toy, "a", [1])
        append_ops(toy, "files", [file_row("a", "run-1", 1)])
    with open_catalog(toy) as connection:
        for table in (*toy.definitions.tables.values(), *toy.definitions.ops):
            described = connection.execute(f"DESCRIBE {table.address}").fetchall()
            wanted = [
                (c.name, lake.catalog.SQL_TYPES[c.type].replace("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE")
                 + ("[]" if c.is_list else ""))
                for c in table.columns
            ]  # fmt: skip
            assert [(row[0], row[1]) for row in described] == wanted


def test_tables_without_data_can_be_queried(toy: Lake) -> None:
    with open_catalog(toy) as connection:
        for table in (*toy.definitions.tables.values(), *toy.definitions.ops):
            assert connection.execute(f"SELECT count(*) FROM {table.address}").fetchone() == (0,)  # noqa: S608


def test_rows_and_their_day_are_seen(toy: Lake) -> None:
    receive(toy, "a", [4, 5])
    receive(toy, "b", [6], date(2024, 9, 17))
    with open_catalog(toy) as connection:
        assert numbers(connection) == [4, 5, 6]
        days = connection.execute(f"SELECT day, count(*) FROM {L0} GROUP BY day ORDER BY day").fetchall()  # noqa: S608
    assert days == [(DAY, 2), (date(2024, 9, 17), 1)]


def test_missions_are_told_as_they_are_defined_now(toy: Lake) -> None:
    with open_catalog(toy) as connection:
        (row,) = connection.execute(
            "SELECT mission, late_after_hours, valid_from < valid_to FROM ops.missions"
        ).fetchall()
    assert row == ("toy", 72.0, True)
    patient = tuple(m.model_copy(update={"late_after_hours": 100.0}) for m in toy.definitions.missions)
    with open_catalog(Lake(toy.root, replace(toy.definitions, missions=patient))) as connection:
        assert connection.execute("SELECT late_after_hours FROM ops.missions").fetchall() == [(100.0,)]


def test_an_analyst_cannot_change_the_lake(toy: Lake) -> None:
    receive(toy, "a", [1])
    with open_catalog(toy) as connection:
        for statement in ("CREATE TABLE mine AS SELECT 1", "DROP VIEW toy.box_l0_tick", "DELETE FROM main.signature"):
            with pytest.raises(duckdb.Error):
                connection.execute(statement)


# ---- swapping ----------------------------------------------------------------------------------------------------
def test_an_open_reader_keeps_its_version_and_the_next_one_sees_the_new(toy: Lake) -> None:
    receive(toy, "a", [1])
    with open_catalog(toy) as before:
        receive(toy, "b", [2])
        with open_catalog(toy) as after:
            assert numbers(before) == [1]
            assert numbers(after) == [1, 2]
            receive(toy, "c", [3])
            with open_catalog(toy) as last:
                assert (numbers(before), numbers(after), numbers(last)) == ([1], [1, 2], [1, 2, 3])


def test_a_reader_of_another_process_s_client_sees_the_swap_too(toy: Lake) -> None:
    receive(toy, "a", [1])
    refresh(toy)
    with duckdb.connect(str(toy.root / "catalog.duckdb"), read_only=True) as before:
        receive(toy, "b", [2])
        assert refresh(toy)
        assert numbers(before) == [1]


def test_nothing_is_built_when_nothing_changed(toy: Lake) -> None:
    receive(toy, "a", [1])
    assert refresh(toy)
    assert not refresh(toy)
    state = (toy.root / "catalog.duckdb").stat()
    open_catalog(toy).close()
    assert ((toy.root / "catalog.duckdb").stat().st_mtime_ns, (toy.root / "catalog.duckdb").stat().st_ino) == (
        state.st_mtime_ns,
        state.st_ino,
    )
    assert not [path for path in toy.root.iterdir() if path.name.startswith(".catalog")]


def test_a_new_definition_builds_the_catalog_anew(toy: Lake) -> None:
    refresh(toy)
    path = toy.definitions.path / "toy/box/tables.yaml"
    path.write_text(path.read_text().replace("description: Voltage}", 'description: The box\'s "volts"; DROP}'))
    changed = Lake(toy.root, read_definitions(toy.definitions.path))
    assert refresh(changed)
    with open_catalog(changed) as connection:
        found = connection.execute(
            "SELECT comment FROM duckdb_columns() WHERE table_name = 'box_l1_tick' AND column_name = 'voltage_v'"
        ).fetchone()
    assert found == ('The box\'s "volts"; DROP [V]',)


def test_a_lake_that_was_moved_still_works(toy: Lake, tmp_path: Path) -> None:
    receive(toy, "a", [1])
    refresh(toy)
    elsewhere = tmp_path / "it's a lake"
    toy.root.rename(elsewhere)
    with open_catalog(Lake(elsewhere, toy.definitions)) as connection:
        assert numbers(connection) == [1]


def test_a_table_that_was_removed_and_rebuilt_is_not_taken_for_the_old_one(toy: Lake) -> None:
    receive(toy, "a", [1])
    refresh(toy)
    shutil.rmtree(toy.table_uri(toy.definitions.tables[L0]))
    receive(toy, "a", [2])  # the same number of commits
    with open_catalog(toy) as connection:
        assert numbers(connection) == [2]


def test_a_damaged_catalog_is_built_anew(toy: Lake) -> None:
    receive(toy, "a", [1])
    (toy.root / "catalog.duckdb").write_bytes(b"no database")
    with open_catalog(toy) as connection:
        assert numbers(connection) == [1]


def test_a_folder_that_does_not_exist_is_no_lake(toy: Lake, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere: is no lake. Run `swxlake night --inbox DIR`, or give"):
        open_catalog(Lake(tmp_path / "nowhere", toy.definitions))


def test_connect_finds_the_lake_by_its_folder(toy: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    receive(toy, "a", [8])
    monkeypatch.setenv("SWXLAKE_MISSIONS", str(toy.definitions.path))
    with connect(toy.root) as connection:
        assert numbers(connection) == [8]


READ = """
import os, sys
from pathlib import Path
sys.path.insert(0, {checkout!r})
import lake.catalog
from tests.toy import toy_lake
lake.catalog.SQL_VIEWS = Path({views!r})
toy = toy_lake(Path({folder!r}))
if not os.getuid():
    os.setuid(65534)
with lake.catalog.open_catalog(toy) as connection:
    print(connection.execute("SELECT list(value ORDER BY value) FROM toy.box_l0_tick").fetchone()[0])
    print(connection.execute("SELECT current_setting('asof_loop_join_threshold')").fetchone()[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs to become another user")
def test_a_lake_that_may_only_be_read_is_read_from_memory(toy: Lake, no_views: Path, tmp_path: Path) -> None:
    receive(toy, "a", [1])
    refresh(toy)
    receive(toy, "b", [2])
    open_to_all(tmp_path)
    for folder in (tmp_path, *tmp_path.rglob("*/")):
        folder.chmod(0o755 if folder.is_dir() else 0o644)
    toy.root.chmod(0o555)
    script = READ.format(checkout=str(CHECKOUT), views=str(no_views), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    toy.root.chmod(0o755)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[1, 2]\n0\n", "")


# ---- clients -----------------------------------------------------------------------------------------------------
def test_older_clients_can_open_the_file(toy: Lake) -> None:
    """Files of DuckDB 1.0 have storage version 64; the default of DuckDB 2.0 does not open in 1.5."""
    refresh(toy)
    header = (toy.root / "catalog.duckdb").read_bytes()[:20]
    assert header[8:12] == b"DUCK"
    assert int.from_bytes(header[12:20], "little") == 64


def test_any_client_can_open_the_file_by_its_path(toy: Lake) -> None:
    receive(toy, "a", [3])
    refresh(toy)
    with duckdb.connect(str(toy.root / "catalog.duckdb"), read_only=True) as connection:
        assert numbers(connection) == [3]


def test_the_settings_of_a_session(toy: Lake) -> None:
    with open_catalog(toy) as connection:
        assert connection.execute(
            "SELECT current_setting('asof_loop_join_threshold'), current_setting('TimeZone'), "
            "current_setting('autoinstall_known_extensions')"
        ).fetchone() == (0, "UTC", False)


def test_an_asof_join_with_a_day_gives_the_latest_row_before(toy: Lake) -> None:
    receive(toy, "a", [10, 20, 30])
    with open_catalog(toy) as connection:
        rows = connection.execute(f"""
            SELECT probe.t, tick.value
            FROM (VALUES (1.5), (2.0)) probe(t)
            ASOF JOIN (SELECT *, row_number() OVER (ORDER BY epoch_tt2000) - 1 AS t FROM {L0}) tick
                ON probe.t >= tick.t AND tick.day = DATE '2024-09-16'
            ORDER BY ALL
        """).fetchall()  # noqa: S608
    assert [int(value) for _, value in rows] == [20, 30]


# ---- ops ---------------------------------------------------------------------------------------------------------
def test_of_rows_with_the_same_key_the_newest_run_is_shown(toy: Lake) -> None:
    append_ops(toy, "files", [file_row("a", "run-2", 20), file_row("b", "run-1", 5)])
    append_ops(toy, "files", [file_row("a", "run-1", 10)])
    with open_catalog(toy) as connection:
        shown = connection.execute("SELECT name, run_id, packets FROM ops.files ORDER BY name").fetchall()
    assert shown == [("a", "run-2", 20), ("b", "run-1", 5)]
    assert sorted(read_ops(toy, "files").select("name", "run_id", "packets").iter_rows()) == shown


# ---- calibrations and views --------------------------------------------------------------------------------------
def test_calibrations_are_tables_with_the_day_they_are_valid_from(toy: Lake) -> None:
    (toy.definitions.path / "toy/box/calibration/gain_20240917.csv").write_text("factor,note\n2.5,it's new\n")
    changed = Lake(toy.root, read_definitions(toy.definitions.path))
    with open_catalog(changed) as connection:
        rows = connection.execute("FROM toy.box_calibration_gain ORDER BY valid_from").fetchall()
    assert rows == [(date(2024, 1, 1), 2.0, None), (date(2024, 9, 17), 2.5, "it's new")]


def test_views_of_the_checkout_are_there_and_rebuilt_when_edited(toy: Lake, no_views: Path) -> None:
    path = no_views / "toy.latest.sql"
    path.write_text("CREATE VIEW toy.latest AS SELECT max(value) AS value FROM toy.box_l0_tick;")
    receive(toy, "a", [7])
    with open_catalog(toy) as connection:
        assert connection.execute("FROM toy.latest").fetchall() == [(7,)]
    path.write_text("CREATE VIEW toy.latest AS SELECT min(value) - 1 AS value FROM toy.box_l0_tick;")
    with open_catalog(toy) as connection:
        assert connection.execute("FROM toy.latest").fetchall() == [(6,)]


def test_a_wrong_view_is_named_in_one_line(toy: Lake, no_views: Path) -> None:
    (no_views / "toy.wrong.sql").write_text(f"CREATE VIEW toy.wrong AS\nSELECT volts\nFROM {L1}")
    with pytest.raises(DefinitionError) as caught:
        open_catalog(toy)
    message = str(caught.value)
    assert message.startswith(f"{no_views}/toy.wrong.sql: ")
    assert message.endswith("Correct the view.")
    assert "\n" not in message


def test_views_of_missions_that_are_not_defined_are_passed_over(toy: Lake, no_views: Path) -> None:
    (no_views / "mars.latest.sql").write_text("CREATE VIEW mars.latest AS SELECT 1 AS one;")
    with open_catalog(toy) as connection:
        assert connection.execute("SELECT count(*) FROM duckdb_views() WHERE schema_name = 'mars'").fetchall() == [(0,)]


def test_flags_and_axes_are_tables(toy: Lake) -> None:
    with open_catalog(toy) as connection:
        flags = connection.execute("SELECT name, bit, mask FROM toy.box_flags ORDER BY bit").fetchall()
        parts = connection.execute("SELECT place, value FROM toy.box_axis_part ORDER BY place").fetchall()
    assert flags[0] == ("clock_invalid", 0, 1)
    assert all(mask == 1 << bit for _, bit, mask in flags)
    assert parts == [(0, 0), (1, 1)]


@pytest.mark.parametrize(
    ("axis", "columns", "rows"),
    [
        ("labels: [left, right]", ["place", "label"], [(0, "left"), (1, "right")]),
        (
            "cells: [1, 3], minus: [1, 1], plus: [1, 2]",
            ["place", "value", "minus", "plus"],
            [(0, 1, 1, 1), (1, 3, 1, 2)],
        ),
        ("calibration: gain, column: centre", ["place", "value"], [(0, 5), (1, 6)]),
        (
            "calibration: gain, column: centre, minus_column: below, plus_column: above",
            ["place", "value", "minus", "plus"],
            [(0, 5, 1, 1), (1, 6, 1, 3)],
        ),
    ],
)
def test_an_axis_shows_what_its_cells_are_by_the_newest_calibration(
    tmp_path: Path, axis: str, columns: list[str], rows: list[tuple[object, ...]]
) -> None:
    box = write_missions(tmp_path / "missions") / "toy" / "box"
    path = box / "tables.yaml"
    path.write_text(path.read_text().replace("first: 0, step: 1, type: int16", axis))
    for day, last in (("20240101", 9), ("20990101", 6)):
        text = f"factor,centre,below,above\n2,5,1,1\n2,{last},1,3\n"
        (box / f"calibration/gain_{day}.csv").write_text(text)
    with open_catalog(toy_lake(tmp_path)) as connection:
        found = connection.execute("SELECT * FROM toy.box_axis_part ORDER BY place")
        assert [name for name, *_ in found.description or []] == columns
        assert found.fetchall() == rows
        comments = connection.execute("SELECT comment FROM duckdb_tables() WHERE table_name = 'box_axis_part'")
        assert ("newest calibration gain" in comments.fetchall()[0][0]) == ("calibration" in axis)
