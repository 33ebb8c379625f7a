# SPDX-License-Identifier: Apache-2.0
"""Verifying copies: what is damaged is named with what it is part of, and sent again where the lake has it."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lake.backup.named import Reading, Stored, round_of
from lake.backup.settings import Place
from lake.backup.snapshots import Line
from lake.backup.vault import Vault
from lake.errors import WayError
from lake.store import Lake
from tests.kept_lake import flip
from tests.lake.backup.copies import (
    archive,
    copied,
    folder_place,
    held,
    objects_at,
    opened,
    restored,
    sealed_place,
    small_lake,
    verified,
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return small_lake(tmp_path)


def raw_object(lake: Lake, folder: Path) -> tuple[str, Path]:
    """The raw file of the lake, and the object with its bytes."""
    (key,) = (entry.key for entry in lake.storage.entries("raw/") if not entry.key.endswith(".json"))
    sha256 = key.rpartition("/")[2]
    (path,) = (folder / "objects" / sha256[:2]).glob(f"{sha256}*")
    return key, path


@pytest.mark.parametrize("make", [folder_place, sealed_place])
def test_a_flipped_byte_and_a_deleted_object_are_named_and_repaired(lake: Lake, tmp_path: Path, make: Any) -> None:
    place = make(tmp_path / "vault")
    copied(lake, place)
    key, flipped = raw_object(lake, tmp_path / "vault")
    flip(flipped)
    gone = next(path for path in objects_at(tmp_path / "vault") if path != flipped)
    gone.unlink()
    names = {path.relative_to(tmp_path / "vault").as_posix(): path for path in (flipped, gone)}
    found = verified(place)
    assert {bad.object: bad.what for bad in found.bad} == dict(zip(names, ("has changed", "is missing"), strict=True))
    assert [line.key for bad in found.bad if bad.what == "has changed" for line in bad.lines] == [key]
    mended = verified(place, lake)
    assert (len(mended.bad), mended.mended) == (2, 2)
    assert verified(place, deep=True).bad == []
    assert restored(place, tmp_path / "new").problems == []
    assert held(Lake(tmp_path / "new", lake.definitions)) == held(lake)


def test_what_was_sealed_anew_is_known_to_the_next_copy_and_to_older_snapshots(lake: Lake, tmp_path: Path) -> None:
    place = sealed_place(tmp_path / "vault")
    copied(lake, place)
    _, path = raw_object(lake, tmp_path / "vault")
    flip(path)
    assert verified(place, lake).mended == 1
    again = copied(lake, place, days=2)
    assert (again.new_files, again.lost) == (0, [])
    assert verified(place).bad == []
    (tmp_path / "vault/snapshots" / (again.snapshot or "")).unlink()
    assert verified(place).bad == []


def test_what_the_lake_has_no_more_is_left_and_said(lake: Lake, tmp_path: Path) -> None:
    place = folder_place(tmp_path / "vault")
    copied(lake, place)
    key, path = raw_object(lake, tmp_path / "vault")
    path.unlink()
    lake.storage.remove(key)
    (bad,) = verified(place, lake).bad
    assert (bad.is_mended, bad.what) == (False, "is missing")
    assert bad.remedy.startswith("The lake has these bytes no more")


def test_a_lake_with_other_bytes_repairs_nothing(lake: Lake, tmp_path: Path) -> None:
    place = folder_place(tmp_path / "vault")
    copied(lake, place)
    key, path = raw_object(lake, tmp_path / "vault")
    path.unlink()
    flip(Path(lake.storage.uri(key)))
    assert verified(place, lake).mended == 0
    assert not path.exists()


def test_a_short_object_is_found_by_the_listing_alone(lake: Lake, tmp_path: Path) -> None:
    place = folder_place(tmp_path / "vault")
    copied(lake, place)
    _, path = raw_object(lake, tmp_path / "vault")
    path.write_bytes(path.read_bytes()[:-1])
    its_turn = int(path.name[:8], 16) % 1000
    found = verified(place, share=0.001, turn=its_turn + 1)
    assert [bad.what for bad in found.bad] == ["has 999 bytes in place of 1000"]


def test_ten_verifications_of_a_tenth_read_each_object_once(lake: Lake, tmp_path: Path) -> None:
    place = folder_place(tmp_path / "vault")
    copied(lake, place)
    _, path = raw_object(lake, tmp_path / "vault")
    flip(path)
    rounds = [verified(place, share=0.1, turn=turn) for turn in range(7, 17)]
    assert sum(found.read for found in rounds) == rounds[0].objects == len(objects_at(tmp_path / "vault"))
    assert [len(found.bad) for found in rounds].count(1) == 1


def test_a_changed_snapshot_is_a_problem_of_its_own(lake: Lake, tmp_path: Path) -> None:
    place = folder_place(tmp_path / "vault")
    copied(lake, place)
    (path,) = (tmp_path / "vault/snapshots").iterdir()
    flip(path)
    found = verified(place)
    assert (found.snapshots, len(found.problems)) == (0, 1)
    assert "has changed there" in found.problems[0]


def test_where_the_newest_snapshot_has_changed_the_one_before_is_counted(lake: Lake, tmp_path: Path) -> None:
    place = folder_place(tmp_path / "vault")
    past = with_a_past(lake, place, 3)
    newest = max((tmp_path / "vault/snapshots").iterdir())
    flip(newest)
    (tmp_path / "vault" / past[-1]).unlink()
    found = verified(place, share=0.001, turn=1)
    assert found.problems == [f"snapshot {newest.name} has changed there. `swxlake backup run` makes a new one."]
    assert [(bad.object, [line.key for line in bad.lines]) for bad in found.bad] == [
        (past[-1], ["state/forward/team.json"])
    ]
    assert found.objects > 1


def test_a_place_says_how_to_restore_by_hand(lake: Lake, tmp_path: Path) -> None:
    copied(lake, folder_place(tmp_path / "vault"))
    text = (tmp_path / "vault/README.txt").read_text()
    assert all(word in text for word in ("jq", "age --decrypt", "sha256sum --check", "snapshots/TIME-HASH.jsonl.gz"))
    (tmp_path / "vault/README.txt").write_text("")
    with opened(folder_place(tmp_path / "vault")) as vault:
        (path,) = (tmp_path / "vault/snapshots").iterdir()
        vault.snapshot(path.name)
    copied(lake, folder_place(tmp_path / "vault"), days=1)
    assert (tmp_path / "vault/README.txt").read_text() == text


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_what_a_place_says_about_restoring_by_hand_is_right(lake: Lake, tmp_path: Path) -> None:
    copied(lake, folder_place(tmp_path / "vault"))
    (snapshot,) = (path.name for path in (tmp_path / "vault/snapshots").iterdir())
    text = (tmp_path / "vault/README.txt").read_text().replace("TIME-HASH.jsonl.gz", snapshot)
    lines = [line for line in text.replace("NEW/", f"{tmp_path}/new/").splitlines() if line.startswith("     ")]
    steps = "\n".join(lines[2:])  # without those that only show something
    done = subprocess.run(
        ["bash", "-e", "-c", steps],  # noqa: S607
        cwd=tmp_path / "vault",
        check=True,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("", "")
    (tmp_path / "new/config").rename(tmp_path / "config")
    assert held(Lake(tmp_path / "new", lake.definitions)) == held(lake)


# ---- what cannot be repaired -----------------------------------------------------------------------------------------
def test_an_object_that_the_place_refuses_hides_no_other_damage(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = sealed_place(tmp_path / "vault")
    copied(lake, place)
    for path in objects_at(tmp_path / "vault")[:3]:
        flip(path)
    put, asked = Vault.put, list[str]()

    def refusing(self: Vault, line: Line, path: Path, replace: bool) -> None:
        asked.append(line.object)
        if len(asked) == 2:
            raise WayError("backup vault: may not be replaced")
        put(self, line, path, replace)

    monkeypatch.setattr(Vault, "put", refusing)
    found = verified(place, lake)
    monkeypatch.undo()
    assert [bad.is_mended for bad in found.bad] == [True, False, True]
    assert found.bad[1].remedy == "It could not be sent again: backup vault: may not be replaced"
    assert [bad.object for bad in verified(place).bad] == [asked[1]], "what was sealed anew is known"


def test_what_a_copy_sealed_anew_before_it_was_cut_off_is_known(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = sealed_place(tmp_path / "vault")
    copied(lake, place)
    raw_object(lake, tmp_path / "vault")[1].unlink()
    archive(lake, tmp_path, b"more telemetry", "toyB0_240917000000.dat")
    put = Vault.put

    def cut(self: Vault, line: Line, path: Path, replace: bool) -> None:
        if not replace:
            raise WayError("the line is cut")
        put(self, line, path, replace)

    monkeypatch.setattr(Vault, "put", cut)
    with pytest.raises(WayError):
        copied(lake, place, days=1)
    monkeypatch.undo()
    assert verified(place).bad == []


# ---- older snapshots -------------------------------------------------------------------------------------------------
def with_a_past(lake: Lake, place: Place, number: int) -> list[str]:
    """As many snapshots, each with a document of its own; the objects of those that only older ones name."""
    objects = []
    for day in range(number):
        content = b"cursor %d" % day
        lake.storage.put("state/forward/team.json", content)
        copied(lake, place, days=day)
        sha256 = hashlib.sha256(content).hexdigest()
        objects.append(f"objects/{sha256[:2]}/{sha256}")
    return objects[:-1]


def test_what_only_older_snapshots_name_is_read_once_in_a_cycle(lake: Lake, tmp_path: Path) -> None:
    place = folder_place(tmp_path / "vault")
    past = with_a_past(lake, place, 5)
    for path in past:
        flip(tmp_path / "vault" / path, 3)
    rounds = [verified(place, share=0.25, turn=turn) for turn in range(6, 10)]
    assert sorted(bad.object for found in rounds for bad in found.bad) == sorted(past)
    assert sum(found.read for found in rounds) == len(objects_at(tmp_path / "vault"))
    whole = verified(place, share=1)
    assert ([bad.object for bad in whole.bad], whole.read) == (sorted(past), whole.objects)
    assert [[line.key for line in bad.lines] for bad in whole.bad] == [["state/forward/team.json"]] * 4


def test_all_snapshots_are_counted_at_once_if_that_is_asked_for(lake: Lake, tmp_path: Path) -> None:
    place = folder_place(tmp_path / "vault")
    past = with_a_past(lake, place, 4)
    for path in past:
        (tmp_path / "vault" / path).unlink()
    found = verified(place, share=0.001, turn=0, every=True)
    assert (found.snapshots, [bad.object for bad in found.bad]) == (4, sorted(past))


def test_an_object_of_many_snapshots_is_one_entry(lake: Lake, tmp_path: Path) -> None:
    place = folder_place(tmp_path / "vault")
    with_a_past(lake, place, 4)
    with opened(place) as vault:
        reading = Reading(vault)
        objects = reading.objects(round_of(vault.snapshots(), 1, 0, every=True))
        assert set(objects) == set(vault.objects())
        assert not list(vault.folder.iterdir()), "snapshots that were read take no room"
    assert {type(stored) for stored in objects.values()} == {Stored}


def test_an_older_snapshot_that_has_changed_is_told(lake: Lake, tmp_path: Path) -> None:
    place = folder_place(tmp_path / "vault")
    with_a_past(lake, place, 3)
    flip(min((tmp_path / "vault/snapshots").iterdir()))
    found = verified(place)
    assert (found.snapshots, len(found.problems), found.bad) == (2, 1, [])
