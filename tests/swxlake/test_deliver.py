# SPDX-License-Identifier: Apache-2.0
"""The commands about delivery: what they take, what they print, and how they end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lake.config import read_settings
from lake.definition_files import read_definitions
from lake.store import Lake
from swxlake.cli import main  # noqa: TID251  what the console script calls
from swxlake.delivering import deliver
from tests.exports.delivery.stage import BOX, CRATE, DAYS, path_of, products_at, stage

FILE = path_of(BOX, DAYS[0]).rpartition("/")[2]
DECIDED = ("--by", "A. Scientist", "--why", "looked at it")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a lake, its definitions, two recipients and their settings, where commands are run."""
    lake = stage(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWXLAKE_DELIVERY", raising=False)
    monkeypatch.setenv("SWXLAKE_ROOT", str(lake.root))
    monkeypatch.setenv("SWXLAKE_MISSIONS", str(lake.definitions.path))
    lines = ['lake = "lake"\n']
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        send = f'[[recipients.{name}.send]]\nproducts = ["{BOX}"]\n'
        lines.append(f'[recipients.{name}]\nfolder = {{path = "{name}"}}\n{send}')
    (tmp_path / "delivery.toml").write_text("".join(lines))
    return tmp_path


def called(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of the command."""
    monkeypatch.setattr("sys.argv", ["swxlake", "deliver", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_a_dry_run_names_what_the_run_then_sends(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch, "--dry-run", "--json") == 0
    planned: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert planned["files"] == [
        {"recipient": name, "file": f"{path_of(BOX, day)}: new"} for name in ("one", "two") for day in DAYS
    ]
    assert planned["delivery"] == {"would_be_sent": 6}
    assert products_at(place / "one") == []
    assert called(monkeypatch, "--json") == 0
    assert json.loads(capsys.readouterr().out)["delivery"] == {"sent": 6, "waiting": 0}
    assert products_at(place / "one") == products_at(place / "two") == [path_of(BOX, day) for day in DAYS]


def test_one_recipient_alone_can_be_served_and_the_other_waits(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch, "--to", "two") == 0
    assert (products_at(place / "one"), len(products_at(place / "two"))) == ([], 3)
    capsys.readouterr()
    assert called(monkeypatch, "status", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["recipients"]
    assert [(row["recipient"], row["has"], row["waiting"]) for row in rows] == [("one", 0, 3), ("two", 3, 0)]
    assert rows[0]["last_delivered"] is None
    assert rows[1]["last_verified"] is not None


def test_a_lost_file_ends_with_1_and_is_there_again(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch) == 0
    (place / "one" / path_of(BOX, DAYS[1])).unlink()
    assert called(monkeypatch, "--verify") == 1
    assert f"problem      recipient one: {path_of(BOX, DAYS[1])} is missing there" in capsys.readouterr().out
    assert len(products_at(place / "one")) == 3
    assert called(monkeypatch, "--verify") == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--verify", "--dry-run"], "--verify and --dry-run exclude each other"),
        (["--verify", "status"], "options stand before 'status'. Put them behind it."),
        (["--to", "three"], "recipient 'three': is not in the settings"),
        (["approve", "toy.box_l1_tock", *DECIDED], "toy.box_l1_tock: is no product; did you mean toy.box_l1_tick?"),
        (["approve", f"{BOX}@soon", *DECIDED], "'soon' is no day. Write it as 2024-09-16."),
        (["approve", BOX, "--by", " ", "--why", "x"], "nobody says who"),
        (["approve", BOX, "--by", "A. Scientist"], "--why"),
        (["withdraw", "nothing.cdf", *DECIDED], "nothing.cdf: no version of that name was given out"),
    ],
)
def test_wrong_use_ends_with_2_and_the_remedy(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    assert called(monkeypatch, *arguments) == 2
    assert words in capsys.readouterr().err
    assert products_at(place / "one") == []


def test_without_settings_it_ends_with_2_and_says_what_to_do(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "delivery.toml").unlink()
    for arguments in ([], ["--dry-run"], ["status"]):
        assert called(monkeypatch, *arguments) == 2
        assert "there is no delivery.toml here, and SWXLAKE_DELIVERY names none." in capsys.readouterr().err


def test_a_decision_is_written_down_once(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch) == 0
    assert called(monkeypatch, "approve", f"{BOX}@{DAYS[0]}", *DECIDED) == 0
    assert called(monkeypatch, "withdraw", FILE, *DECIDED) == 0
    assert called(monkeypatch, "withdraw", FILE, *DECIDED) == 2
    assert "was withdrawn by A. Scientist" in capsys.readouterr().err
    assert called(monkeypatch) == 0
    assert f"one was told that {path_of(BOX, DAYS[0])} is withdrawn" in capsys.readouterr().out
    assert (place / "one" / path_of(BOX, DAYS[0])).is_file()  # it stays unless the settings say otherwise


def test_an_approval_says_what_still_stands(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with (place / "delivery.toml").open("a") as file:
        file.write(f'[[embargo]]\nproducts = ["{BOX}"]\nuntil = 2099-01-01\nwhy = "a paper"\n')
    assert called(monkeypatch, "approve", f"{BOX}@{DAYS[0]}", *DECIDED) == 0
    told = capsys.readouterr().out
    assert f"{BOX} -> one: 1 day not delivered; is embargoed until 2099-01-01: a paper" in told
    assert "`swxlake deliver` sends it" not in told
    assert called(monkeypatch, "approve", f"{BOX}@2031-01-01", *DECIDED) == 0
    assert f"{BOX}@2031-01-01: no file of it was published until now" in capsys.readouterr().out
    assert called(monkeypatch, "approve", CRATE, *DECIDED) == 0
    assert f"{CRATE}: no recipient's rules ask for it" in capsys.readouterr().out


def test_a_dry_run_counts_withdrawals_by_themselves_and_names_days_that_wait(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch) == 0
    assert called(monkeypatch, "withdraw", FILE, *DECIDED) == 0
    capsys.readouterr()
    assert called(monkeypatch, "--dry-run", "--json") == 0
    planned: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert planned["delivery"] == {"would_be_sent": 0, "would_be_withdrawn": 2}
    assert called(monkeypatch) == 0
    capsys.readouterr()
    assert called(monkeypatch, "status") == 0
    assert f"{BOX}: 1 day waits for a new version; the newest was withdrawn" in capsys.readouterr().out


def test_settings_of_another_lake_end_with_2_and_cost_the_night_a_note(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = place / "delivery.toml"
    path.write_text(path.read_text().replace('lake = "lake"', 'lake = "lakehouse"'))
    words = f"{path} (lake): is of the lake {place}/lakehouse, and this one is {place}/lake"
    for arguments in ([], ["--dry-run"], ["status"]):
        assert called(monkeypatch, *arguments) == 2
        assert words in capsys.readouterr().err
    settings = read_settings()
    outcome = deliver(Lake(settings.root, read_definitions(settings.missions)), settings)
    assert (outcome.notes, outcome.problems) == ([f"{words}: nothing is delivered"], [])
    assert products_at(place / "one") == []
