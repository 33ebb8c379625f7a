# SPDX-License-Identifier: Apache-2.0
"""The commands about receiving: what they print and how they end."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ingest.sources.settings import read_receive_settings
from lake.config import Settings
from lake.errors import ConfigurationError
from lake.health import Health
from lake.ledger import read_ops
from lake.store import RawArchive
from swxlake import watching
from swxlake.cli_receive import app
from swxlake.doctor_receive import examine_receive
from swxlake.outcome import Outcome
from swxlake.receiving import receive, run
from swxlake.watching import watch
from tests.ingest.sources.dropping import NAMES
from tests.ingest.sources.test_following import until
from tests.meddea import drop, empty_lake, housekeeping

SOURCE = '[sources.moc]\nfolder = { path = "drop" }\nsettle_seconds = 0\nevery_seconds = 0.2\n'


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "receive.toml").write_text(f'lake = "lake"\n{SOURCE}')
    drop(tmp_path / "drop", NAMES[0], housekeeping(0))
    return Settings(root=tmp_path / "lake", receive=tmp_path / "receive.toml", health=tmp_path / "health")


@pytest.fixture
def filing(settings: Settings, tmp_path: Path) -> Settings:
    """The same with filing into a folder."""
    (tmp_path / "archive").mkdir()
    (tmp_path / "receive.toml").write_text(f'lake = "lake"\n{SOURCE}[filing]\nfolder = {{ path = "archive" }}\n')
    return settings


def settings_without_filing(folder: Path) -> Path:
    path = folder / "other.toml"
    path.write_text(f'lake = "lake"\n{SOURCE}')
    return path


def test_a_night_without_settings_receives_nothing_and_says_nothing(tmp_path: Path) -> None:
    outcome = receive(empty_lake(tmp_path / "lake"), Settings(root=tmp_path / "lake", receive=None))
    assert (outcome.facts, outcome.problems, outcome.notes) == ({}, [], [])


def test_a_round_lands_what_is_there_and_a_second_one_nothing(settings: Settings, tmp_path: Path) -> None:
    lake = empty_lake(tmp_path / "lake")
    assert receive(lake, settings).facts == {"receive": {"landed": 1, "known": 0}}
    before = sorted((tmp_path / "lake").rglob("*"))
    assert receive(lake, settings).facts == {"receive": {"landed": 0, "known": 0}}
    assert sorted((tmp_path / "lake").rglob("*")) == before


def test_a_dry_run_names_files_and_writes_nothing(settings: Settings, tmp_path: Path) -> None:
    outcome = run(empty_lake(tmp_path / "lake"), settings, dry=True)
    assert outcome.tables == {"files": [{"source": "moc", "file": NAMES[0]}]}
    assert not (tmp_path / "lake").exists()


def test_a_source_that_is_not_there_or_not_defined_is_told(settings: Settings, tmp_path: Path) -> None:
    lake = empty_lake(tmp_path / "lake")
    with pytest.raises(ConfigurationError, match="there is no source 'mok'; did you mean moc"):
        run(lake, settings, ["mok"])
    (tmp_path / "drop").rename(tmp_path / "away")
    outcome = run(lake, settings)
    assert (outcome.exit_code, "is no folder" in outcome.problems[0]) == (1, True)


def test_settings_of_another_lake_receive_nothing(settings: Settings, tmp_path: Path) -> None:
    other = empty_lake(tmp_path / "copy")
    assert "is of the lake" in receive(other, settings).notes[0]
    with pytest.raises(ConfigurationError, match="is of the lake"):
        run(other, settings)


def test_the_doctor_names_a_source_that_cannot_be_reached(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWXLAKE_RECEIVE", str(settings.receive))
    lake = empty_lake(tmp_path / "lake")
    assert examine_receive(lake).problems == []
    (tmp_path / "drop").rename(tmp_path / "away")
    [problem] = examine_receive(lake).problems
    assert problem.startswith("receive: source moc: ")


def test_watching_beats_lands_and_ends_when_asked(settings: Settings, tmp_path: Path) -> None:
    lake, stop = empty_lake(tmp_path / "lake"), threading.Event()
    outcomes = list[object]()
    thread = threading.Thread(target=lambda: outcomes.append(watch(lake, settings, stop=stop)))
    thread.start()
    deadline = time.monotonic() + 20
    while not RawArchive(lake).keys() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.1)
    begun = time.monotonic()
    stop.set()
    thread.join(10)
    assert time.monotonic() - begun < 4
    [outcome] = outcomes
    assert outcome.facts == {"watch": {"landed": 1}}  # type: ignore[attr-defined]
    assert json.loads((tmp_path / "health/watch.json").read_text())["service"] == "watch"


def test_a_thread_that_dies_ends_the_watch_with_1_and_is_no_orderly_end(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        time.sleep(0.1)  # the first beat comes before
        raise RecursionError

    monkeypatch.setattr("ingest.sources.following.open_source", broken)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    outcome = watch(empty_lake(tmp_path / "lake"), settings)
    assert outcome.exit_code == 1
    assert outcome.problems == [
        "source moc ended by an internal error, which the log has. The watch ends, so that it is started again."
    ]
    assert json.loads((tmp_path / "health/watch.json").read_text())["state"] == "at work"


def test_a_lake_that_is_gone_ends_the_watch_and_is_not_begun_anew(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "STEP_SECONDS", 0.05)
    lake = empty_lake(tmp_path / "lake")

    def unmount() -> None:
        assert until(lambda: len(read_ops(lake, "receptions")) == 1)
        time.sleep(0.2)  # the round comes to its end
        (tmp_path / "lake").rename(tmp_path / "unmounted")
        drop(tmp_path / "drop", NAMES[1], housekeeping(1))

    thread = threading.Thread(target=unmount)
    thread.start()
    with pytest.raises(ConfigurationError, match="the lake that was here is gone"):
        watch(lake, settings)
    thread.join(10)
    assert not (tmp_path / "lake").exists()
    assert json.loads((tmp_path / "health/watch.json").read_text())["state"] == "at work"


def test_filing_that_hangs_holds_up_neither_the_beat_nor_the_end(
    filing: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, stop, hung, beats = empty_lake(tmp_path / "lake"), threading.Event(), threading.Event(), list[float]()
    begun = threading.Event()

    def hang(*_: object) -> Outcome:
        begun.set()
        hung.wait(20)
        return Outcome()

    monkeypatch.setattr(watching, "filed", hang)
    monkeypatch.setattr(watching, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(watching, "STEP_SECONDS", 0.05)
    monkeypatch.setattr(watching, "END_SECONDS", 0.2)
    monkeypatch.setattr(Health, "beat", lambda *_, **__: beats.append(time.monotonic()))
    thread = threading.Thread(target=lambda: watch(lake, filing, stop=stop))
    thread.start()
    assert begun.wait(20)
    before = len(beats)
    time.sleep(0.5)
    assert len(beats) >= before + 3
    stop.set()
    thread.join(2)
    assert not thread.is_alive()
    hung.set()


def test_what_could_not_be_filed_is_filed_when_the_place_is_back_and_what_filing_notes_is_told(
    filing: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    archive = tmp_path / "archive"
    archive.rmdir()
    monkeypatch.setattr(watching, "pause", lambda _: 0.1)
    monkeypatch.setattr(watching, "STEP_SECONDS", 0.05)
    lake, stop = empty_lake(tmp_path / "lake"), threading.Event()
    thread = threading.Thread(target=lambda: watch(lake, filing, stop=stop))
    thread.start()
    assert until(lambda: "watch filing: " in caplog.text)
    archive.mkdir()
    assert until(lambda: len([*archive.rglob("*.dat")]) == 1)
    drop(tmp_path / "drop", NAMES[0], housekeeping(1))
    assert until(lambda: "revision 2 is kept in the lake" in caplog.text)
    stop.set()
    thread.join(10)


def test_the_end_of_a_watch_is_looked_for_between_files_that_are_decoded(settings: Settings, tmp_path: Path) -> None:
    lake, ending = empty_lake(tmp_path / "lake"), threading.Event()
    run(lake, settings)
    after = watching.FollowUp(lake, settings, read_receive_settings(settings.receive or Path()), True, ending)
    ending.set()
    with pytest.raises(watching._EndedError, match="1 files are left"):
        after._decoded()


def test_what_the_last_watch_left_undecoded_the_next_one_decodes(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, ending = empty_lake(tmp_path / "lake"), threading.Event()
    run(lake, settings)
    monkeypatch.setattr(watching, "STEP_SECONDS", 0.05)
    after = watching.FollowUp(lake, settings, read_receive_settings(settings.receive or Path()), True, ending)
    monkeypatch.setattr(after, "_decoded", lambda: (ending.set(), Outcome())[1])
    after.run()
    assert not after.undecoded


def test_a_dry_run_names_the_places_of_what_is_not_filed(filing: Settings, tmp_path: Path) -> None:
    lake = empty_lake(tmp_path / "lake")
    run(lake, filing.model_copy(update={"receive": settings_without_filing(tmp_path)}))
    outcome = run(lake, filing, dry=True)
    assert outcome.facts["filed"] == {"would_be_filed": 1, "known": 0}
    [row] = outcome.tables["places"]
    assert row["place"] == f"{tmp_path}/archive/padre-meddea/raw/2024/09/16/{NAMES[0]}"
    assert list((tmp_path / "archive").iterdir()) == []


def test_the_commands_say_what_would_be_done_do_it_and_say_how_it_stands(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWXLAKE_RECEIVE", str(settings.receive))

    def swxlake(*words: str) -> dict[str, Any]:
        ended = CliRunner().invoke(app, [*words, "--root", str(tmp_path / "lake"), "--json"], catch_exceptions=False)
        assert ended.exit_code == 0
        found: dict[str, Any] = json.loads(ended.stdout)
        return found

    assert swxlake("receive", "--dry-run", "--to", "2024-09-16")["receive"] == {"would_be_taken": 0}
    assert swxlake("receive", "--dry-run", "--source", "moc")["files"] == [{"source": "moc", "file": NAMES[0]}]
    assert swxlake("watch", "--once")["receive"] == {"landed": 1, "known": 0}
    assert swxlake("receive", "status")["sources"][0]["landed"] == 1
