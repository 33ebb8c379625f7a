# SPDX-License-Identifier: Apache-2.0
"""A rehearsal of passes with a late file, a lost file, half the packets and silence, end to end."""

from __future__ import annotations

import csv
import json
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exports.contacts.planned import PlanBook
from lake.config import Settings
from lake.errors import ConfigurationError
from lake.ledger import read_ops
from lake.reading import open_table
from lake.store import Journal, Lake
from swxlake import cli_contacts
from swxlake.cli_contacts import app
from swxlake.contacting import account, answer, keep_plan, request, status
from tests.meddea import DEFINITIONS, met, register
from tests.passes import EVENING, HEADER, PLAN, REHEARSED, at, come, name, packets, planned, rehearse, write_settings

DAY = date(2024, 9, 16)


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lake that took in all files."""
    folder = tmp_path_factory.mktemp("rehearsal")
    rehearse(folder)
    return folder


@pytest.fixture
def stage(rehearsed: Path, tmp_path: Path) -> tuple[Lake, Settings]:
    """A copy of that lake, with settings."""
    shutil.copytree(rehearsed / "lake", tmp_path / "lake")
    return Lake(tmp_path / "lake", DEFINITIONS), write_settings(tmp_path)


def moc(settings: Settings, folder: str) -> list[Path]:
    """The files that the operations center got."""
    assert settings.contacts is not None
    return sorted((settings.contacts.parent / "moc" / folder).rglob("*.*"))


def receipts(settings: Settings) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in moc(settings, "receipts")]


# ---- passes --------------------------------------------------------------------------------------------------------
def test_each_fault_of_a_pass_gives_its_state_and_words(stage: tuple[Lake, Settings]) -> None:
    lake, settings = stage
    outcome = account(lake, settings, EVENING)
    rows = {row["pass_id"]: row for row in read_ops(lake, "contacts").iter_rows(named=True)}
    assert {key: row["state"] for key, row in rows.items()} == REHEARSED
    assert rows["good"]["detail"] == ""
    assert (rows["good"]["files"], rows["good"]["packets"], rows["good"]["packets_missing"]) == (2, 12, 0)
    assert rows["late-file"]["last_received_at"] == at(11, 30)
    assert rows["lost-file"]["detail"] == f"no file of {name(10, 1)}; 1 of 2 files came"
    assert rows["half"]["detail"] == "6 of 12 packets came"
    assert rows["half"]["packets_missing"] == 6
    assert rows["silent"]["detail"] == f"no file of {name(14)}"
    assert [line.partition(",")[0] for line in outcome.problems] == [
        "pass padre lost-file (2024-09-16 10:00): incomplete",
        "pass padre half (2024-09-16 12:00): incomplete",
        "pass padre silent (2024-09-16 14:00): missing",
    ]


def test_a_night_in_which_nothing_happened_writes_nothing(stage: tuple[Lake, Settings]) -> None:
    lake, settings = stage
    account(lake, settings, EVENING)
    table = open_table(lake, lake.ops("contacts"))
    before = sorted(Path(lake.root).rglob("*"))
    outcome = account(lake, settings, EVENING + timedelta(minutes=5))
    assert (outcome.problems, outcome.facts["contacts"]["changed"]) == ([], 0)
    assert outcome.notes == ["3 passes lack something since before; see `swxlake contacts`"]
    assert sorted(Path(lake.root).rglob("*")) == before
    again = open_table(lake, lake.ops("contacts"))
    assert table is not None
    assert again is not None
    assert again.version() == table.version()


def test_a_file_that_comes_at_last_makes_its_pass_late(stage: tuple[Lake, Settings], tmp_path: Path) -> None:
    lake, settings = stage
    account(lake, settings, EVENING)
    come(lake, tmp_path / "inbox", name(10, 1), EVENING, [register(0, met(2024, 9, 16, 10))])
    account(lake, settings, EVENING + timedelta(hours=1))
    states = dict(read_ops(lake, "contacts").select("pass_id", "state").iter_rows())
    assert states == REHEARSED | {"lost-file": "late"}


def test_status_shows_passes_without_writing_and_fails_where_something_is_missing(
    stage: tuple[Lake, Settings],
) -> None:
    lake, settings = stage
    before = sorted(Path(lake.root).rglob("*"))
    outcome = status(lake, settings, DAY, EVENING)
    assert outcome.exit_code == 1
    shown = {row["pass"]: (row["state"], row["files"]) for row in outcome.tables["passes"]}
    assert shown["lost-file"] == ("incomplete", "1/2")
    assert "tomorrow" not in shown
    assert sorted(Path(lake.root).rglob("*")) == before
    assert status(lake, settings, date(2024, 9, 17), EVENING).exit_code == 0


def test_a_file_that_belongs_to_no_pass_is_told(stage: tuple[Lake, Settings], tmp_path: Path) -> None:
    lake, settings = stage
    come(lake, tmp_path / "inbox", name(20), at(20, 5), packets(20, 50, 6))
    notes = status(lake, settings, DAY, EVENING).notes
    assert f"{name(20)}, received 2024-09-16 20:05:00, belongs to no pass" in notes


def test_a_later_plan_supersedes_a_pass_and_an_earlier_one_of_its_name_can_come_back(
    stage: tuple[Lake, Settings], tmp_path: Path
) -> None:
    lake, settings = stage
    plan = tmp_path / "plan.csv"
    account(lake, settings, EVENING)
    for packet_count, state in ((6, "complete"), (12, "incomplete")):
        plan.write_text(PLAN.replace(f"1,{name(12)},12,", f"1,{name(12)},{packet_count},"))
        account(lake, settings, EVENING)
        assert dict(read_ops(lake, "contacts").select("pass_id", "state").iter_rows())["half"] == state
    assert len(Journal(lake).keys("passes")) == 3


def test_bad_rows_of_a_plan_are_told_and_the_others_count(stage: tuple[Lake, Settings], tmp_path: Path) -> None:
    lake, settings = stage
    plan = tmp_path / "next.csv"
    plan.write_text(PLAN.splitlines()[0] + "\nx,padre,A,2024-09-20T01:00Z,2024-09-20T00:00Z,,,,,\n"
                    "y,padre,A,2024-09-20T01:00Z,2024-09-20T02:00Z,,,,,\n")  # fmt: skip
    outcome = keep_plan(lake, settings, plan, dry_run=False, now=EVENING)
    assert outcome.facts["plan"] == {"passes": 1, "new": 1, "changed": 0, "wrong": 1}
    assert outcome.problems[0].startswith(f"{plan} line 2 (end): 2024-09-20T00:00:00Z is not after the start")
    assert keep_plan(lake, settings, plan, dry_run=False, now=EVENING).facts.get("kept") is None


def test_a_correction_by_hand_stands_until_the_file_of_the_settings_changes(tmp_path: Path) -> None:
    lake, settings, mail = (
        Lake(tmp_path / "lake", DEFINITIONS),
        write_settings(tmp_path),
        tmp_path / "mail" / "plan.csv",
    )
    mail.parent.mkdir()

    def files() -> int | None:
        return PlanBook(lake).plans().passes[0].one.files

    (tmp_path / "plan.csv").write_text(HEADER + planned("p1", 6, "2,,,"))
    account(lake, settings, at(5))
    mail.write_text(HEADER + planned("p1", 6, "0,,,"))
    assert keep_plan(lake, settings, mail, dry_run=False, now=at(5, 10)).facts["plan"]["changed"] == 1
    account(lake, settings, at(5, 20))
    assert files() == 0
    (tmp_path / "plan.csv").write_text(HEADER + planned("p1", 6, "3,,,"))
    account(lake, settings, at(5, 30))
    assert files() == 3


# ---- receipts ------------------------------------------------------------------------------------------------------
def test_every_file_has_one_receipt_in_the_order_of_arrival(stage: tuple[Lake, Settings]) -> None:
    lake, settings = stage
    assert answer(lake, settings, dry_run=True, now=EVENING).facts["receipts"]["would_be_written"] == 6
    assert moc(settings, "receipts") == []
    assert answer(lake, settings, now=EVENING).facts["receipts"] == {"written": 6, "sent": 6, "waiting_batches": 0}
    told = receipts(settings)
    assert [one["name"] for one in told] == [name(6), name(6, 1), name(8), name(10), name(8, 1), name(12)]
    assert [one["number"] for one in told] == [1, 2, 3, 4, 5, 6]
    last = told[-1]
    assert (last["status"], last["packets"], last["apids"], last["size"]) == ("landed", 6, [163], 6 * 40)
    gaps = last["gaps"]
    assert isinstance(gaps, list)
    # The hour of 12 has the counts 30 to 32 and 39 to 41.
    assert [(gap["apid"], gap["packets"], gap["from"], gap["to"]) for gap in gaps] == [(163, 6, 33, 38)]
    assert answer(lake, settings, now=EVENING).facts["receipts"] == {"written": 0, "sent": 0, "waiting_batches": 0}


def test_receipts_wait_until_the_center_can_be_reached(stage: tuple[Lake, Settings], tmp_path: Path) -> None:
    lake, settings = stage
    (tmp_path / "moc").rename(tmp_path / "away")
    outcome = answer(lake, settings, now=EVENING)
    assert outcome.exit_code == 1
    assert len(outcome.problems) == 1
    assert outcome.facts["receipts"] == {"written": 0, "sent": 0, "waiting_batches": 0}
    (tmp_path / "away").rename(tmp_path / "moc")
    assert answer(lake, settings, now=EVENING).facts["receipts"] == {"written": 6, "sent": 6, "waiting_batches": 0}
    assert len(receipts(settings)) == 6


# ---- requests ------------------------------------------------------------------------------------------------------
def test_a_gap_is_asked_for_once_a_day_until_its_packets_have_come(
    stage: tuple[Lake, Settings], tmp_path: Path
) -> None:
    lake, settings = stage
    assert request(lake, settings, dry_run=True, now=EVENING).facts["requests"] == {"gaps": 1, "packets": 6}
    assert request(lake, settings, now=EVENING).facts["requests"] == {"gaps": 1, "packets": 6, "closed": 0, "open": 1}
    csv_path, json_path = moc(settings, "requests")
    (row,) = csv.DictReader(csv_path.read_text().splitlines())
    assert (row["apid"], row["sequence_from"], row["sequence_to"]) == ("163", "33", "38")
    assert json.loads(json_path.read_text())["request_id"] == json_path.stem

    assert request(lake, settings, now=EVENING + timedelta(hours=1)).facts["requests"]["gaps"] == 0
    assert request(lake, settings, now=EVENING + timedelta(hours=25)).facts["requests"]["open"] == 2

    come(lake, tmp_path / "inbox", name(12, 9), EVENING, packets(12, 30, 12)[3:9])
    outcome = request(lake, settings, now=EVENING + timedelta(hours=50))
    assert outcome.facts["requests"] == {"gaps": 0, "packets": 0, "closed": 2, "open": 0}
    assert len(moc(settings, "requests")) == 4


# ---- settings ------------------------------------------------------------------------------------------------------
def test_without_settings_a_night_does_nothing_and_a_command_says_how(stage: tuple[Lake, Settings]) -> None:
    lake, settings = stage
    none = settings.model_copy(update={"contacts": None})
    assert account(lake, none).facts == {}
    with pytest.raises(ConfigurationError, match=r"no contacts\.toml here"):
        status(lake, none)


def test_settings_of_another_lake_do_nothing(stage: tuple[Lake, Settings], tmp_path: Path) -> None:
    lake, settings = stage
    assert settings.contacts is not None
    settings.contacts.write_text(settings.contacts.read_text().replace('"lake"', '"other"'))
    outcome = account(lake, settings, EVENING)
    assert outcome.notes[0].endswith("passes are not accounted for")
    assert list((tmp_path / "moc").iterdir()) == []
    with pytest.raises(ConfigurationError, match="is of the lake"):
        answer(lake, settings)


def test_passes_from_before_the_last_days_stay_and_keep_their_files(stage: tuple[Lake, Settings]) -> None:
    lake, settings = stage
    # Of thirty days, the passes of 6 and 8 o'clock are over; a file of the latter came after half past eleven.
    outcome = status(lake, settings, None, at(9) + timedelta(days=30))
    assert [row["pass"] for row in outcome.tables["passes"]] == ["lost-file", "half", "silent", "tomorrow"]
    assert outcome.notes == []
    assert status(lake, settings, None, EVENING + timedelta(days=60)).notes == [
        "no pass began in the last 30 days, and none is to come; --day shows others"
    ]


# ---- commands ------------------------------------------------------------------------------------------------------
def swxlake(*words: str) -> tuple[int, dict[str, Any]]:
    """The exit code of a command, and its document."""
    found = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    return found.exit_code, json.loads(found.stdout)


def test_commands_have_their_options(
    stage: tuple[Lake, Settings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWXLAKE_CONTACTS", raising=False)
    root = ("--root", "lake")
    code, told = swxlake("contacts", "--day", "2024-09-16", *root)
    assert (code, told["contacts"]["incomplete"]) == (1, 2)
    assert swxlake("contacts", "status", "--day", "2024-09-17", *root)[0] == 1  # nothing has come since
    assert swxlake("contacts", "plan", "plan.csv", "--dry-run", *root)[1]["plan"]["new"] == 6
    assert swxlake("contacts", "answer", "--dry-run", *root)[1]["receipts"]["would_be_written"] == 6
    assert swxlake("contacts", "request", "--dry-run", *root)[1]["requests"] == {"gaps": 0, "packets": 0}
    monkeypatch.setattr(cli_contacts, "utc_now", lambda: at(2) + timedelta(days=1))
    assert swxlake("contacts", "report", "--day", "yesterday", "--out", "out", *root)[1]["day"] == "2024-09-16"
    assert not (tmp_path / "lake" / "journal" / "passes").exists()
    assert swxlake("contacts", "account", *root)[1]["receipts"]["sent"] == 6
    assert (tmp_path / "lake" / "journal" / "passes" / "00000001.json").exists()
    with pytest.raises(ConfigurationError, match="options stand before 'status'"):
        CliRunner().invoke(app, ["contacts", "--json", "status"], catch_exceptions=False)
