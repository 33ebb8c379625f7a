# SPDX-License-Identifier: Apache-2.0
"""The commands, as a user types them: workers, rebuilds, releases, comparison, upkeep."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from bench.torture.state import assert_equal_lakes
from lake.config import CHECKOUT, read_settings
from lake.definition_files import read_definitions
from lake.ledger import read_ops
from lake.reading import scan
from lake.store import Journal, Lake
from simulate.run import simulate
from swxlake.cli import main  # noqa: TID251  what the console script calls
from swxlake.night import run_night
from swxlake.shell import history_of
from tests.dask_cluster import cluster

DAY = date(2026, 8, 1)
L0, L1 = "padre.meddea_l0_housekeeping", "padre.meddea_l1_housekeeping"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three minutes of telemetry in `drop`, and `lake` after a night with it, made serially."""
    folder = tmp_path_factory.mktemp("commands")
    lake = lake_in(folder / "lake")
    simulate(lake.definitions, "padre", "meddea", DAY, folder / "drop", 5, None, 0.05)
    assert run_night(lake, read_settings(str(lake.root)), folder / "drop").problems == []
    return folder


@pytest.fixture
def lake(built: Path, tmp_path: Path) -> Lake:
    shutil.copytree(built / "lake", tmp_path / "lake")
    return lake_in(tmp_path / "lake")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line; its exit code, stdout and stderr."""

    def _run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["swxlake", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return _run


def lake_in(root: Path) -> Lake:
    return Lake(root, read_definitions(CHECKOUT / "missions"))


def result(run: Run, *words: object) -> dict[str, Any]:
    """What a command that must end well prints with --json."""
    code, out, err = run(*words, "--json")
    assert (code, err) == (0, ""), out
    found: dict[str, Any] = json.loads(out)
    return found


# ---- workers ---------------------------------------------------------------------------------------------------
def test_two_processes_make_the_same_lake_as_one(built: Path, tmp_path: Path, run: Run) -> None:
    result(run, "night", "--inbox", built / "drop", "--workers", 2, "--root", tmp_path / "lake")
    assert_equal_lakes(lake_in(built / "lake"), lake_in(tmp_path / "lake"))


def test_dask_makes_the_same_lake_as_one_process(built: Path, tmp_path: Path, run: Run) -> None:
    with cluster() as address:
        result(run, "ingest", built / "drop", "--dask", address, "--root", tmp_path / "lake")
        result(run, "transform", "--dask", address, "--root", tmp_path / "lake")
    for stage in ("check", "export"):
        result(run, stage, "--root", tmp_path / "lake")
    assert_equal_lakes(lake_in(built / "lake"), lake_in(tmp_path / "lake"))


def test_an_option_goes_before_a_setting(lake: Lake, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setenv("SWXLAKE_DASK", "tcp://127.0.0.1:9")
    code, _, err = run("transform", "--root", lake.root)
    assert (code, "Dask at tcp://127.0.0.1:9: no scheduler answers" in err) == (2, True)
    assert result(run, "transform", "--workers", 1, "--root", lake.root)["transform"]["table_days_built"] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workers", "2", "--dask", "tcp://127.0.0.1:9"], "--workers and --dask exclude each other"),
        (["--workers", "0"], "Invalid value for '--workers'"),
    ],
)
def test_wrong_workers_are_wrong_usage(lake: Lake, run: Run, words: list[str], message: str) -> None:
    code, _, err = run("night", *words, "--root", lake.root)
    assert (code, message in err, len(err.splitlines())) == (2, True, 1)


def test_a_setting_of_no_workers_is_refused(lake: Lake, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWXLAKE_WORKERS", "0")
    code, _, err = run("night", "--root", lake.root)
    assert (code, "SWXLAKE_WORKERS='0'" in err) == (2, True)


# ---- rebuild ---------------------------------------------------------------------------------------------------
def test_a_rebuild_is_done_for_its_reason_and_changes_nothing(lake: Lake, built: Path, run: Run) -> None:
    facts = result(run, "rebuild", L1, "--from", DAY, "--why", "a new library", "--root", lake.root)
    assert facts["transform"]["table_days_built"] == 1
    last = read_ops(lake, "runs").sort("run_id").row(-1, named=True)
    assert (last["table_name"], last["day"], last["reason"]) == (L1, DAY, "rebuild: a new library")
    assert last["plan"] == facts["plan_hash"]
    (entry,) = Journal(lake).entries("rebuilds").values()
    assert (entry["table"], entry["why"]) == (L1, "a new library")
    assert scan(lake, lake.definitions.tables[L1]).collect().equals(housekeeping(lake_in(built / "lake"), L1))


def housekeeping(lake: Lake, address: str) -> Any:
    return scan(lake, lake.definitions.tables[address]).collect()


def test_a_rebuild_of_level_0_decodes_it_again(lake: Lake, built: Path, run: Run) -> None:
    facts = result(run, "rebuild", L0, "--why", "doubt", "--root", lake.root)
    assert facts["ingest"]["packets"] > 0
    before = housekeeping(lake_in(built / "lake"), L0).sort("epoch_tt2000", "byte_offset")
    assert housekeeping(lake, L0).sort("epoch_tt2000", "byte_offset").equals(before)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["padre.meddea_l1_fotons", "--why", "x"], "Did you mean padre.meddea_l1_photon"),
        ([L1], "Missing option '--why'"),
        ([L1, "--why", " "], "give a reason for the rebuild with --why"),
        ([L0, "--from", "2026-08-01", "--why", "x"], "Leave out --from and --to"),
    ],
)
def test_a_rebuild_that_cannot_be_meant_is_refused(lake: Lake, run: Run, words: list[str], message: str) -> None:
    code, _, err = run("rebuild", *words, "--root", lake.root)
    assert (code, message in err) == (2, True), err
    assert Journal(lake).entries("rebuilds") == {}


def test_the_plan_that_is_printed_is_the_one_that_is_done(lake: Lake, run: Run) -> None:
    options = (L1, "--force", "--root", lake.root)
    planned = result(run, "transform", "--dry-run", *options)
    assert [(step["table"], step["day"], step["reason"]) for step in planned["plan"]] == [(L1, str(DAY), "forced")]
    assert result(run, "transform", *options)["plan_hash"] == planned["plan_hash"]


# ---- releases, comparison, upkeep ------------------------------------------------------------------------------
COUNT = f"SELECT count(*) AS rows FROM {L1}"  # noqa: S608  a constant


def test_a_release_is_listed_and_can_be_queried_after_more_has_come(lake: Lake, tmp_path: Path, run: Run) -> None:
    result(run, "release", "first", "--why", "delivery", "--root", lake.root)
    (listed,) = result(run, "releases", "--root", lake.root)["releases"]
    assert (listed["release"], listed["why"]) == ("first", "delivery")
    rows = rows_of(run, lake)
    assert rows > 0
    simulate(lake.definitions, "padre", "meddea", DAY + timedelta(days=1), tmp_path / "next", 5, None, 0.05)
    result(run, "ingest", tmp_path / "next", "--root", lake.root)
    result(run, "transform", L1, "--root", lake.root)
    assert rows_of(run, lake) > rows
    assert rows_of(run, lake, "--as-of", "first") == rows


def rows_of(run: Run, lake: Lake, *options: str) -> int:
    code, out, err = run("sql", COUNT, "--json", "--root", lake.root, *options)
    assert (code, err) == (0, "")
    return int(json.loads(out)[0]["rows"])


def test_a_release_that_never_was_is_wrong_usage(lake: Lake, run: Run) -> None:
    code, _, err = run("sql", COUNT, "--as-of", "never", "--root", lake.root)
    assert (code, "'never': is no release and no time" in err) == (2, True)


def test_fsck_finds_no_difference_and_then_the_one_there_is(lake: Lake, run: Run) -> None:
    assert result(run, "fsck", "--root", lake.root)["fsck"]["differences"] == 0
    product = next(Path(lake.root).glob("exports/*/*/*/*/*.cdf"))
    product.chmod(0o644)
    product.write_bytes(product.read_bytes()[:-1] + b"x")
    code, out, _ = run("fsck", "--root", lake.root)
    assert (code, product.name in out) == (1, True)
    assert result(run, "fsck", "--quick", "--root", lake.root)["fsck"]["differences"] == 0


def test_maintenance_says_what_it_would_do_and_does_it(lake: Lake, run: Run) -> None:
    result(run, "rebuild", L1, "--why", "a file to be removed", "--root", lake.root)
    assert "would maintain" in result(run, "maintain", "--dry-run", "--root", lake.root)
    assert result(run, "maintain", "--root", lake.root)["maintain"]["tables"] > 0
    code, _, err = run("maintain", "--retention-days", "0", "--root", lake.root)
    assert (code, "a retention of 0 days is too short" in err) == (2, True)


# ---- the lake's place ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "words",
    [
        ["fsck"],
        ["maintain"],
        ["rebuild", L1, "--why", "x"],
        ["release", "v1", "--why", "x"],
        ["releases"],
        ["reproduce", "x.cdf"],
        ["sql", COUNT, "--as-of", "v1"],
    ],
    ids=lambda words: words[0],
)
def test_a_mistyped_root_is_no_lake_and_is_not_made(tmp_path: Path, run: Run, words: list[str]) -> None:
    code, _, err = run(*words, "--root", tmp_path / "typo")
    assert (code, "is no lake" in err) == (2, True)
    assert not (tmp_path / "typo").exists()


def test_queries_typed_in_the_shell_are_kept_in_a_folder_and_not_in_a_bucket(lake: Lake) -> None:
    assert history_of(lake) == Path(lake.root) / ".sql_history"
    assert history_of(Lake("s3://bucket/lake", lake.definitions)) is None
