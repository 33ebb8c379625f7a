# SPDX-License-Identifier: Apache-2.0
"""What has happened to a lake leaves no trace in its rows and products: definitions changed and changed back, runs
interrupted in between, folders deleted, files damaged, late or odd data.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import cdflib
import polars as pl
import pytest

from bench.torture.state import data_state, newest_products, product_state
from exports import export as export_stage
from exports import making
from ingest import intake as intake_stage
from lake import tables
from lake.config import Settings
from lake.definition_files import read_definitions
from lake.definitions import Definitions
from lake.ledger import read_ops
from lake.store import Lake
from swxlake.night import Selection, check, export, ingest, transform
from swxlake.outcome import Outcome
from tests.kept_lake import DAYS, HK_FILES, LATE_FILE, copy, late_inbox, night, packets, strip
from tests.meddea import DEFINITIONS, MISSIONS, NOON, drop, housekeeping, met, missions_with_policy, rows, unbalanced
from transforms import day as day_stage
from transforms import engine

EVERYTHING = Selection()
TIME_CONFLICT = 4


class Killed(BaseException):
    """Stands for the end of the process: nobody catches it."""


def decode(lake: Lake, *paths: Path) -> Outcome:
    return ingest(lake, Settings(root=lake.root, settle_seconds=0), list(paths))


def again(lake: Lake) -> None:
    """Decode and build what is out of date: a night without checks and products."""
    assert decode(lake).exit_code == 0
    assert transform(lake, EVERYTHING).exit_code == 0


def assert_same_rows(one: Lake, other: Lake) -> None:
    states = data_state(one), data_state(other)
    for name, frame in states[0].items():
        assert frame.equals(states[1][name]), f"{name} differs:\n{frame}\n{states[1][name]}"


def failing(function: Callable[..., Any], when: Callable[..., bool]) -> Callable[..., Any]:
    """The function, but the process ends at the call for which `when` is true."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if when(*args, **kwargs):
            raise Killed
        return function(*args, **kwargs)

    return call


def at_second_call() -> Callable[..., bool]:
    calls = iter((False, True))
    return lambda *_, **__: next(calls)


@pytest.fixture(scope="module")
def posix(tmp_path_factory: pytest.TempPathFactory) -> Definitions:
    """The definitions, with a clock that counts no leap seconds: all times are 5 s later."""
    return read_definitions(missions_with_policy(tmp_path_factory.mktemp("posix") / "missions", "posix"))


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """An inbox with a late file."""
    return late_inbox(tmp_path / "inbox")


@pytest.fixture
def lake(first_night: Lake, tmp_path: Path) -> Lake:
    """A copy of the lake after its first night, to be disturbed."""
    return copy(first_night, tmp_path / "lake")


@pytest.fixture
def missions(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MISSIONS, tmp_path / "missions"))


def with_change(lake: Lake, missions: Path, old: str, new: str) -> Lake:
    """The lake under a definition of tables that was edited."""
    path = missions / "padre" / "meddea" / "tables.yaml"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    return Lake(lake.root, read_definitions(missions))


# ---- definitions that change and change back -------------------------------------------------------------------------
def killed_at_the_books(lake: Lake, definitions: Definitions, books: str) -> None:
    """Decode again under other definitions; the process ends just before `ops.<books>` is written."""
    append_ops = failing(tables.append_ops, lambda _, name, *rest: name == books)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(intake_stage, "append_ops", append_ops)
        with pytest.raises(Killed):
            decode(Lake(lake.root, definitions))


@pytest.mark.parametrize("books", ["files", "contents"])
def test_a_clock_policy_tried_and_taken_back_leaves_no_trace(
    lake: Lake, posix: Definitions, first_night: Lake, books: str
) -> None:
    killed_at_the_books(lake, posix, books)
    again(lake)
    assert_same_rows(lake, first_night)
    assert export(lake, EVERYTHING).facts["export"]["published"] == 0
    assert product_state(lake) == product_state(first_night)


def test_a_late_file_after_a_clock_policy_was_taken_back_loses_nothing(
    lake: Lake, posix: Definitions, healthy: Lake, inbox: Path
) -> None:
    killed_at_the_books(lake, posix, "files")
    assert night(lake, inbox).exit_code == 0
    assert_same_rows(lake, healthy)
    assert product_state(lake) == product_state(healthy)


def test_another_clock_policy_moves_every_time_and_the_way_back_is_exact(
    lake: Lake, posix: Definitions, first_night: Lake
) -> None:
    again(Lake(lake.root, posix))
    moved = rows(lake, "l1_housekeeping")["time"] - rows(first_night, "l1_housekeeping")["time"]
    assert moved.unique().to_list() == [timedelta(seconds=5)]
    again(lake)
    assert_same_rows(lake, first_night)
    assert export(lake, EVERYTHING).facts["export"]["published"] == 0


@pytest.mark.parametrize("killed_on_the_way_back", [False, True])
@pytest.mark.parametrize(("module", "step"), [(day_stage, "replace_day"), (engine, "append_ops")])
def test_a_column_type_tried_on_one_day_and_taken_back_leaves_no_trace(
    lake: Lake, missions: Path, first_night: Lake, module: ModuleType, step: str, killed_on_the_way_back: bool
) -> None:
    changed = with_change(lake, missions, "fp_temp_degc, type: float64", "fp_temp_degc, type: float32")
    for lake_then in (changed, lake)[: 1 + killed_on_the_way_back]:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(module, step, failing(getattr(tables, step), at_second_call()))
            with pytest.raises(Killed):
                transform(lake_then, EVERYTHING)
    assert transform(lake, EVERYTHING).exit_code == 0
    assert_same_rows(lake, first_night)
    assert check(lake, EVERYTHING).exit_code == 0
    assert export(lake, EVERYTHING).facts["export"]["published"] == 0


def test_a_rule_that_failed_for_a_while_does_not_block_for_ever(
    lake: Lake, missions: Path, inbox: Path, healthy: Lake
) -> None:
    decode(lake, inbox)
    transform(lake, EVERYTHING)
    assert check(lake, EVERYTHING).exit_code == 0
    narrow = with_change(
        lake, missions, "[-100, 200], nullable: true, label: FP", "[150, 200], nullable: true, label: FP"
    )
    blocked = night(narrow)
    assert blocked.exit_code == 1
    place = f"padre.meddea_l1_housekeeping@{DAYS[0]}"
    reason = "not exported, checks failed: in_range:fp_temp_degc"
    assert f"{place}: {reason}; `swxlake check {place} --rows` lists the rows" in blocked.problems
    assert night(lake).exit_code == 0
    assert product_state(lake) == product_state(healthy)


def test_a_new_release_alone_exports_nothing(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (export_stage, making):
        monkeypatch.setattr(module, "release", lambda: ("99.0.0", date(2099, 1, 1)))
    before = product_state(lake)
    outcome = export(lake, EVERYTHING)
    assert outcome.facts["export"] == {"published": 0, "unchanged": len(before)}
    assert product_state(lake) == before


# ---- folders deleted -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("table", ["meddea_l1_photon", "meddea_l0_housekeeping"])
def test_a_table_that_was_deleted_comes_back_and_nothing_is_published(
    lake: Lake, first_night: Lake, table: str
) -> None:
    shutil.rmtree(lake.root / "tables" / "padre" / table)
    outcome = night(lake)
    assert (outcome.exit_code, outcome.facts["export"]["published"]) == (0, 0)
    assert_same_rows(lake, first_night)
    assert product_state(lake) == product_state(first_night)


def test_raw_and_journal_are_enough_after_a_late_file_of_impossible_clocks(lake: Lake, tmp_path: Path) -> None:
    before = product_state(lake)
    drop(tmp_path / "inbox", LATE_FILE, housekeeping(6, 0), housekeeping(7, 2**32 - 1))
    assert night(lake, tmp_path / "inbox").exit_code == 0
    assert rows(lake, "l0_housekeeping").height == 14
    assert product_state(lake) == before
    rebuilt = strip(copy(lake, tmp_path / "rebuilt"))
    assert night(rebuilt).exit_code == 0
    assert_same_rows(rebuilt, lake)
    assert product_state(rebuilt) == newest_products(lake)
    path = next(lake.root.glob(f"exports/**/*l1-housekeeping_{DAYS[0]:%Y%m%d}*.cdf"))
    assert cdflib.CDF(str(path)).globalattsget()["Parents"] == [HK_FILES[0]]


# ---- odd clocks ------------------------------------------------------------------------------------------------------
def test_a_day_of_impossible_clocks_alone_is_kept_and_makes_no_product_and_no_trouble(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", DEFINITIONS)
    drop(tmp_path / "inbox", HK_FILES[0], *(housekeeping(count, 0) for count in range(3)))
    first = night(lake, tmp_path / "inbox")
    assert (first.exit_code, first.problems) == (0, [])
    assert "3 packets have an impossible clock; kept in L0, left out of L1" in first.notes
    assert (rows(lake, "l0_housekeeping").height, rows(lake, "l1_housekeeping").height) == (3, 0)
    assert product_state(lake) == {}
    later = night(lake, tmp_path / "inbox")
    assert (later.exit_code, later.facts["check"]["table_days"]) == (0, 0)


def test_a_day_that_loses_its_rows_to_another_makes_no_trouble(tmp_path: Path, posix: Definitions) -> None:
    lake = Lake(tmp_path / "lake", DEFINITIONS)
    drop(tmp_path / "inbox", HK_FILES[0], housekeeping(0, met(2024, 9, 16, 23, 59, 57), 20_000))
    assert night(lake, tmp_path / "inbox").exit_code == 0
    moved = Lake(lake.root, posix)
    outcomes = [night(moved, tmp_path / "inbox") for _ in range(2)]
    assert [(outcome.exit_code, outcome.problems) for outcome in outcomes] == [(0, []), (0, [])]
    assert rows(moved, "l1_housekeeping")["day"].to_list() == [DAYS[1]]
    days = [path.split("_")[3] for path in product_state(moved)]
    assert days == ["20240916", "20240917"]  # what was published stays


def test_of_two_packets_with_one_time_and_other_content_one_is_chosen_flagged_counted_and_told(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", DEFINITIONS)
    twins = housekeeping(6, NOON + 25, 20_100), housekeeping(7, NOON + 30, 20_000)
    drop(tmp_path / "inbox", HK_FILES[0], *packets(NOON), *twins)
    outcome = night(lake, tmp_path / "inbox")
    table = "padre.meddea_l1_housekeeping"
    assert (rows(lake, "l0_housekeeping").height, rows(lake, "l1_housekeeping").height) == (8, 7)
    flagged = rows(lake, "l1_housekeeping").filter(pl.col("quality_flag") & TIME_CONFLICT != 0)
    assert flagged["sequence_count"].to_list() == [5]
    counted = read_ops(lake, "metrics").filter(table_name=table, metric="flag:time_conflict")
    assert counted["value"].to_list() == [1]
    sentence = "1 rows were chosen among packets that have the same time and other content."
    assert f"warning {table}@{DAYS[0]} flagged:time_conflict: {sentence}" in outcome.notes
    assert outcome.exit_code == 0


# ---- damaged files ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("cut", [None, 50], ids=["missing", "truncated"])
def test_a_raw_file_lost_from_the_archive_is_named_and_restored_from_the_inbox(
    lake: Lake, first_night: Lake, tmp_path: Path, cut: int | None
) -> None:
    receipt = read_ops(lake, "files").row(by_predicate=pl.col("name") == HK_FILES[0], named=True)
    archived = next(lake.root.glob(f"raw/*/*/*/{receipt['file_sha256']}"))
    content = archived.read_bytes()
    archived.unlink()
    if cut:
        archived.write_bytes(content[:cut])
    shutil.rmtree(lake.root / "tables" / "padre" / "meddea_l0_housekeeping")
    outcome = decode(lake)
    assert outcome.exit_code == 1
    [problem] = outcome.problems
    assert problem.startswith(str(archived))
    assert f"Restore {HK_FILES[0]}" in problem
    assert rows(lake, "l0_housekeeping")["day"].unique().to_list() == [DAYS[1]]
    restored = night(lake, drop(tmp_path / "inbox", HK_FILES[0], content).parent)
    assert (restored.exit_code, restored.facts["ingest"]["known_files"]) == (0, 1)
    assert archived.read_bytes() == content
    assert_same_rows(lake, first_night)
    assert product_state(lake) == product_state(first_night)
    assert unbalanced(lake) == []


def test_a_killed_export_leaves_nothing_below_exports(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(maker: making.Maker, *_: object) -> None:
        (maker.folder / "half.cdf").write_bytes(b"half")
        assert list((lake.root / "exports").rglob(".*")) == []
        assert list((lake.root / "exports").rglob("half.cdf")) == []
        raise Killed

    before = product_state(lake)
    monkeypatch.setattr(making.Maker, "write", killed)
    with pytest.raises(Killed):
        export(lake, Selection(force=True))
    assert product_state(lake) == before
    assert [path.name for path in lake.root.iterdir() if path.name.startswith(".")] == []


def test_a_published_file_that_was_changed_is_put_away_and_published_again(lake: Lake, first_night: Lake) -> None:
    path = next(lake.root.glob(f"exports/**/*l1-housekeeping_{DAYS[1]:%Y%m%d}_v1.0.0.cdf"))
    path.chmod(0o644)
    spoilt = path.read_bytes() + b"more"
    path.write_bytes(spoilt)
    outcome = night(lake)
    assert outcome.exit_code == 1
    [away] = (lake.root / "damaged").iterdir()
    assert (away.name[: len(path.name)], away.read_bytes()) == (path.name, spoilt)
    assert [problem for problem in outcome.problems if str(path) in problem and str(away) in problem]
    assert product_state(lake) == product_state(first_night)
    assert night(lake).exit_code == 0
