# SPDX-License-Identifier: Apache-2.0
"""The commands about copies: what they take, what they print, how they end; what the doctor says of copies."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lake.backup.marker import MARKER
from lake.backup.vault import Vault
from lake.config import read_settings
from lake.definition_files import read_definitions
from lake.errors import ConfigurationError, WayError
from lake.ledger import read_ops
from lake.store import Lake
from swxlake import backing_up, doctor_backup
from swxlake.backing_up import Wanted, run, verifications, verify_copies
from swxlake.cli import main  # noqa: TID251  what the console script calls
from swxlake.cli_options import open_lake, open_session
from swxlake.doctor_backup import examine_backup
from swxlake.fsck import fsck
from swxlake.restoring import Order, restore_lake
from tests.kept_lake import flip
from tests.lake.backup.copies import KEY, OTHER_KEY, held, objects_at, small_lake


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a lake, its definitions, a vault and backup.toml, where commands are run."""
    lake = small_lake(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWXLAKE_BACKUP", raising=False)
    monkeypatch.setenv("SWXLAKE_ROOT", str(lake.root))
    monkeypatch.setenv("SWXLAKE_MISSIONS", str(lake.definitions.path))
    (tmp_path / "vault").mkdir()
    (tmp_path / "backup.toml").write_text('lake = "lake"\n[places.vault]\nfolder = {path = "vault"}\n')
    return tmp_path


@pytest.fixture
def call(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command in that folder: its exit code, and its JSON or what it said to stderr."""

    def called(*arguments: str) -> tuple[int, Any]:
        monkeypatch.setattr("sys.argv", ["swxlake", *arguments, "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, json.loads(said.out) if said.out else said.err

    return called


def lake_at(folder: Path, name: str = "lake") -> Lake:
    return Lake(folder / name, read_definitions(folder / "missions"))


def test_a_copy_is_made_damaged_repaired_and_restored(place: Path, call: Any) -> None:
    before = held(lake_at(place))
    assert call("backup", "run", "--dry-run")[1]["backups"][0]["snapshot"] is None
    code, made = call("backup", "run")
    assert (code, made["backups"][0]["new_files"]) == (0, len(objects_at(place / "vault")))
    flip(objects_at(place / "vault")[2], 3)
    objects_at(place / "vault")[5].unlink()
    code, found = call("backup", "verify", "--share", "1")
    assert (code, found["verified"][0]["damaged"], len(found["problems"])) == (1, 2, 2)
    assert all("; it is part of " in problem and "--repair` sends it" in problem for problem in found["problems"])
    code, found = call("backup", "verify", "--share", "1", "--repair")
    assert (code, found["verified"][0]["repaired"]) == (0, 2)
    assert [note.endswith(". It was sent again.") for note in found["notes"]] == [True, True]
    shutil.rmtree(place / "lake")
    code, listed = call("backup", "list")
    assert (code, [row["snapshot"] for row in listed["snapshots"]]) == (0, [made["backups"][0]["snapshot"]])
    code, done = call("restore", "--root", str(place / "new"))
    assert done["restored"]["files"] == made["backups"][0]["files"]
    assert {"seconds", "mib_per_s", "fsck"} <= done.keys()
    assert held(lake_at(place, "new")).items() >= before.items()
    assert (place / "new-config/backup.toml").read_bytes() == (place / "backup.toml").read_bytes()
    assert (place / "new/catalog.duckdb").exists()


def test_what_was_done_is_in_ops_backups(place: Path, call: Any) -> None:
    call("backup", "run")
    call("backup", "verify", "--share", "1")
    call("restore", "vault", "--root", str(place / "new"))
    rows = read_ops(lake_at(place), "backups").sort("started_at")
    assert rows["act"].to_list() == ["run", "verify", "verify"]  # the first verification was due
    assert set(rows["state"]) == {"done"}
    assert rows["snapshot"].n_unique() == 1
    assert read_ops(lake_at(place, "new"), "backups")["act"].to_list() == ["restore"]


def test_a_restore_needs_nothing_but_the_folder_with_the_copy(place: Path, call: Any) -> None:
    before = held(lake_at(place))
    call("backup", "run")
    (place / "backup.toml").unlink()
    code, done = call("restore", "--place-folder", str(place / "vault"), "--root", str(place / "new"))
    assert held(lake_at(place, "new")).items() >= before.items()
    same = [problem.replace(f"{place}/lake", f"{place}/new") for problem in fsck(lake_at(place), quick=True).problems]
    assert (code, done["problems"]) == (1, same), "what is wrong with the lake is so with its copy, and is told"


def test_restoring_over_a_lake_is_refused(place: Path, call: Any) -> None:
    call("backup", "run")
    code, said = call("restore")
    assert (code, "is not empty" in said) == (2, True)


def test_a_lake_that_is_half_restored_is_taken_by_nobody(place: Path, call: Any) -> None:
    (place / "lake" / MARKER).write_text("{}")
    code, said = call("status")
    assert (code, "is half restored. Repeat `swxlake restore`" in said) == (2, True)
    for opened in (open_session, open_lake):
        with pytest.raises(ConfigurationError, match="is half restored"):
            opened(None, 0)
    (problem,) = examine_backup(lake_at(place)).problems
    assert "is half restored" in problem
    assert call("backup", "list")[0] == 0
    (place / "lake" / MARKER).unlink()
    assert open_lake(None, 0).lake.root == place / "lake"


def test_a_place_that_is_gone_is_a_problem_and_the_others_are_served(place: Path, call: Any) -> None:
    with (place / "backup.toml").open("a") as file:
        file.write('[places.second]\nfolder = {path = "not-mounted"}\n')
    code, made = call("backup", "run")
    assert (code, [row["place"] for row in made["backups"]]) == (1, ["vault"])
    assert made["problems"] == [f"backup second: {place}/not-mounted is no folder. Mount the disk, or make the folder."]
    rows = read_ops(lake_at(place), "backups")
    assert set(zip(rows["place_name"], rows["act"], rows["state"], strict=True)) == {
        ("vault", "run", "done"),
        ("vault", "verify", "done"),
        ("second", "run", "failed"),
    }
    code, said = call("restore", "--root", str(place / "new"))
    assert (code, "has several places. Name one of vault, second" in said) == (2, True)


def test_nothing_is_copied_from_another_lake(place: Path, call: Any) -> None:
    (place / "backup.toml").write_text('lake = "other"\n[places.vault]\nfolder = {path = "vault"}\n')
    code, said = call("backup", "run")
    assert (code, "is of the lake" in said) == (2, True)
    outcome = run(lake_at(place), read_settings())
    assert (outcome.exit_code, outcome.notes[0].endswith(": nothing is copied")) == (0, True)
    assert list((place / "vault").iterdir()) == []


def test_without_settings_a_night_copies_nothing_and_a_command_says_what_to_write(place: Path, call: Any) -> None:
    (place / "backup.toml").unlink()
    assert run(lake_at(place), read_settings()).facts == {}
    code, said = call("backup", "run")
    assert (code, "docs/how-to/back-up-and-restore.md" in said) == (2, True)


def test_a_copy_is_verified_when_its_time_has_come(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, now = lake_at(place), datetime(2026, 8, 1, tzinfo=UTC)
    for days in (0, 1, 6, 7, 8):
        monkeypatch.setattr(backing_up, "utc_now", lambda days=days: now + timedelta(days=days))
        run(lake, read_settings())
    rows = read_ops(lake, "backups").filter(act="verify").sort("started_at")
    assert [time.day for time in rows["started_at"]] == [1, 8]


def test_a_verification_that_did_not_come_to_its_end_is_no_turn_and_is_made_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = lake_at(place)
    run(lake, read_settings())
    turns, vault = verifications(lake, "vault").height, place / "vault"
    monkeypatch.setattr(Vault, "objects", unlisted)
    assert verify_copies(lake, read_settings(), None, Wanted()).problems == ["backup vault: may not be listed"]
    monkeypatch.undo()
    assert verifications(lake, "vault").height == turns == 1
    flip(objects_at(vault)[2], 3)
    monkeypatch.chdir(place)
    assert verify_copies(lake, read_settings(str(lake.root)), None, Wanted(share=1)).exit_code == 1
    assert verifications(lake, "vault").height == turns + 1


def unlisted(_: Vault) -> dict[str, int]:
    raise WayError("backup vault: may not be listed")


def test_a_snapshot_that_has_changed_is_named_and_the_others_are_listed(place: Path, call: Any) -> None:
    for _ in range(2):
        call("backup", "run")
    first, second = sorted((place / "vault/snapshots").iterdir())
    flip(first)
    code, listed = call("backup", "list")
    assert (code, [row["snapshot"] for row in listed["snapshots"]]) == (1, [second.name])
    assert first.name in listed["problems"][0]


def test_a_share_that_is_none_is_refused(call: Any) -> None:
    code, said = call("backup", "verify", "--share", "0")
    assert (code, "is no share" in said) == (2, True)


def test_the_doctor_speaks_of_copies_that_are_missing_old_or_never_verified(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = lake_at(place)
    assert examine_backup(lake).problems == ["backup: vault has no snapshot. Run `swxlake backup run --to vault`."]
    run(lake, read_settings())
    assert examine_backup(lake).problems == []
    later = datetime.now(UTC) + timedelta(hours=50)
    monkeypatch.setattr(doctor_backup, "utc_now", lambda: later)
    assert "its newest snapshot is 50 h old" in examine_backup(lake).problems[0]
    text = (place / "backup.toml").read_text()
    (place / "backup.toml").write_text(f"{text}max_age_hours = 900\n")
    assert examine_backup(lake).problems == []
    monkeypatch.setattr(doctor_backup, "utc_now", lambda: later + timedelta(days=14))
    assert "its copy was verified last on" in examine_backup(lake).problems[0]
    (place / "vault").rename(place / "away")
    assert "is no folder. Mount the disk" in examine_backup(lake).problems[0]


def test_a_run_says_what_it_has_mended(place: Path, call: Any) -> None:
    call("backup", "run")
    lost = objects_at(place / "vault")[2]
    lost.unlink()
    code, made = call("backup", "run")
    (note,) = (line for line in made["notes"] if "was sent again" in line)
    assert (code, lost.name in note) == (0, True)
    newest = read_ops(lake_at(place), "backups").filter(act="run").sort("started_at").row(-1, named=True)
    assert (newest["damaged"], newest["repaired"]) == (1, 1)


def test_a_key_that_is_missing_or_opens_nothing_is_a_mistake_of_the_user(place: Path, call: Any) -> None:
    lines = (place / "backup.toml").read_text() + f'encrypt_to = ["{KEY.to_public()}"]\n'
    (place / "backup.toml").write_text(lines)
    assert call("backup", "run")[0] == 0
    (place / "other").write_text(str(OTHER_KEY))
    for more, words in (((), "Give --identity-file"), (("--identity-file", "other"), "this key opens nothing of it")):
        code, said = call("restore", "--place-folder", "vault", "--root", "new", *more)
        assert (code, words in said, said.count("\n")) == (2, True, 1)
        code, said = call("backup", "verify", "--share", "1", "--deep", *more)
        assert (code, words in said, said.count("\n")) == (2, True, 1)


def test_a_lake_that_was_restored_does_not_know_when_its_copy_was_verified(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(lake_at(place), read_settings())
    restore_lake(read_settings(str(place / "new")), Order("vault"))
    settings = (place / "backup.toml").read_text().replace('lake = "lake"', 'lake = "new"')
    (place / "backup.toml").write_text(settings)
    (problem,) = examine_backup(lake_at(place, "new")).problems
    assert "when its copy was verified is not known here, since this lake was restored" in problem


def test_the_doctor_says_that_there_are_no_copies(place: Path) -> None:
    (place / "backup.toml").unlink()
    found = examine_backup(lake_at(place))
    assert (found.problems, found.facts["backup"].endswith("there are no copies of this lake")) == ([], True)


def test_a_place_that_is_not_named_rightly_is_a_mistake_of_the_user(place: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no place 'valut'; did you mean vault\?"):
        run(lake_at(place), read_settings(), "valut")
