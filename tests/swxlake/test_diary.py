# SPDX-License-Identifier: Apache-2.0
"""The books tell what each stage of a night did, and the night ends with the site."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import swxlake.drawing
import swxlake.night
from lake.config import Settings
from lake.errors import DefinitionError, StorageError
from lake.ledger import read_ops
from lake.store import Lake
from swxlake.night import run_night
from tests.meddea import DEFINITIONS, NOON, drop, housekeeping

STAGES = ["receive", "ingest", "contacts", "transform", "check", "export", "alerts", "deliver", "forward", "draw"]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake after a night on one good file, and one whose name nobody knows."""
    folder = tmp_path_factory.mktemp("diary")
    inbox = drop(
        folder / "in", "padreMDU8_240916120000.dat", *(housekeeping(n, NOON + 5 * n, 20_000) for n in range(6))
    ).parent
    (inbox / "holiday.jpg").write_bytes(b"not telemetry")
    lake = Lake(folder / "lake", DEFINITIONS)
    settings = Settings(root=lake.root, settle_seconds=0, site=True)
    assert run_night(lake, settings, inbox).exit_code == 1
    return lake


def row(nights: pl.DataFrame, stage: str) -> dict[str, object]:
    return nights.row(by_predicate=pl.col("stage") == stage, named=True)


def test_each_stage_has_a_row_in_order(lake: Lake) -> None:
    nights = read_ops(lake, "nights").sort("number")
    assert nights["stage"].to_list() == STAGES
    assert nights["number"].to_list() == list(range(1, len(STAGES) + 1))
    assert nights["night_id"].n_unique() == 1
    assert nights["started_at"].is_sorted()
    assert nights["seconds"].min() >= 0


def test_what_was_refused_is_the_problem_of_its_stage_alone(lake: Lake) -> None:
    nights = read_ops(lake, "nights")
    assert row(nights, "ingest")["state"] == "failed"
    (problem,) = json.loads(str(row(nights, "ingest")["problems"]))
    assert problem.startswith("holiday.jpg: ")
    assert json.loads(str(row(nights, "ingest")["facts"]))["ingest"]["refused_files"] == 1
    assert json.loads(str(row(nights, "ingest")["facts"]))["ingest"]["damaged_files"] == 0  # so it is no alarm
    assert nights.filter(state="failed").height == 1


def test_a_second_night_has_rows_of_its_own_and_the_site_is_written_where_it_changed(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Path(lake.root) / "site"
    tables = (site / "tables" / "index.html").stat().st_mtime_ns
    written = list[str]()
    publish: Callable[[str, bytes, str], None] = lake.storage.publish
    monkeypatch.setattr(lake.storage, "publish", lambda key, *rest: (written.append(key), publish(key, *rest)))
    outcome = run_night(lake, Settings(root=lake.root, settle_seconds=0, site=True), None)
    assert outcome.facts["quicklook"]["drawn"] == 0
    assert read_ops(lake, "nights")["night_id"].n_unique() == 2
    assert (site / "tables" / "index.html").stat().st_mtime_ns == tables
    assert {"site/index.html", "site/status.json", "site/assets/built.js"} <= set(written)
    assert len(written) < 14


def test_a_night_may_leave_the_site_alone(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", DEFINITIONS)
    (tmp_path / "in").mkdir()
    outcome = run_night(lake, Settings(root=lake.root, settle_seconds=0, site=False), tmp_path / "in")
    assert ("site" in outcome.facts, (tmp_path / "lake" / "site").exists()) == (False, False)


# ---- nights that go wrong ------------------------------------------------------------------------------------------
@pytest.fixture
def empty(tmp_path: Path) -> Lake:
    """A lake of which a night has been, with nothing in its inbox."""
    lake = Lake(tmp_path / "lake", DEFINITIONS)
    run_night(lake, Settings(root=lake.root, settle_seconds=0, site=False), None)
    return lake


def refuse(*_: object, **__: object) -> None:
    raise StorageError("disk: is full. Free space.")


def test_a_night_that_an_error_ends_is_told(empty: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swxlake.night, "export_all", refuse)
    with pytest.raises(StorageError, match="disk: is full"):
        run_night(empty, Settings(root=empty.root, settle_seconds=0, site=True), None)
    nights = read_ops(empty, "nights")
    last = nights.filter(night_id=nights["night_id"].max()).sort("number")
    assert last["stage"].to_list() == STAGES[: STAGES.index("export") + 1]
    assert json.loads(last["problems"][-1]) == ["ended by an error: disk: is full. Free space."]
    assert "disk: is full. Free space." in (Path(empty.root) / "site" / "index.html").read_text()


def test_code_that_cannot_be_read_keeps_no_site_from_telling(empty: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise DefinitionError("transforms/padre/meddea.py line 3: cannot be read. Correct it.")

    monkeypatch.setattr(swxlake.night, "build_all", broken)
    monkeypatch.setattr(swxlake.drawing, "plan_all", broken)
    with pytest.raises(DefinitionError):
        run_night(empty, Settings(root=empty.root, settle_seconds=0, site=True), None)
    page = (Path(empty.root) / "site" / "index.html").read_text()
    assert "Something is wrong" in page
    assert "transforms/padre/meddea.py line 3: cannot be read. Correct it." in page


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_night_that_is_interrupted_is_in_the_books_and_draws_no_pictures(
    empty: Lake, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        os.kill(os.getpid(), number)
        time.sleep(10)

    monkeypatch.setattr(swxlake.night, "export_all", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_night(empty, Settings(root=empty.root, settle_seconds=0, site=True), None)
    nights = read_ops(empty, "nights")
    last = nights.filter(night_id=nights["night_id"].max())
    assert row(last, "export")["problems"] == '["interrupted"]'
    assert not (Path(empty.root) / "site").exists()


def test_pictures_that_cannot_be_drawn_hold_up_no_site(empty: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swxlake.drawing, "draw_quicklooks", refuse)
    health = Path(empty.root).parent / "health"
    health.mkdir()
    outcome = run_night(empty, Settings(root=empty.root, settle_seconds=0, site=True, health=health), None)
    assert outcome.problems == ["disk: is full. Free space. Until then pictures are as they were"]
    assert "disk: is full. Free space." in (Path(empty.root) / "site" / "index.html").read_text()
    told = (health / "night.prom").read_text()
    assert 'swxlake_night_stage_failed{stage="draw"} 1.0' in told
    assert told == (Path(empty.root) / "site" / "metrics.prom").read_text()


def test_wrong_settings_of_alerts_are_the_problem_of_their_stage(empty: Lake, tmp_path: Path) -> None:
    wrong = tmp_path / "alerts.toml"
    wrong.write_text("nonsense")
    outcome = run_night(empty, Settings(root=empty.root, settle_seconds=0, site=False, alerts=wrong), None)
    nights = read_ops(empty, "nights")
    last = nights.filter(night_id=nights["night_id"].max())
    assert row(last, "alerts")["state"] == "failed"
    assert json.loads(str(row(last, "alerts")["problems"])) == outcome.problems
    assert len(outcome.problems) == 1
