# SPDX-License-Identifier: Apache-2.0
"""Rounds of a mirror: what it brings, what it refuses, what it leaves alone, and what it says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exports.mirror.state import Kept, read_state
from lake.errors import StorageError
from lake.lease import flocked
from tests.exports.mirror.place import DAY, Stage, sha256


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    (tmp_path / "source").mkdir()
    return Stage(tmp_path / "source", tmp_path / "mirror")


def test_a_mirror_becomes_equal_to_its_source_and_a_second_round_does_nothing(stage: Stage) -> None:
    given = {DAY: b"cdf", "deep/a/b/c.txt": b"", "ü+ %41.dat": b"x"}
    for path, content in given.items():
        stage.put(path, content)
    first = stage.round()
    assert stage.files() == given
    assert (len(first.brought), first.bytes, first.problems) == (3, 4, [])
    ledger = (stage.folder / ".mirror/state.json").stat().st_mtime_ns
    again = stage.round()
    assert (again.brought, again.up_to_date, again.known) == ([], 3, 0)
    assert ledger <= (stage.folder / ".mirror/state.json").stat().st_mtime_ns
    assert not list((stage.folder / ".mirror/incoming").iterdir())


def test_a_file_has_the_time_of_the_source_and_may_be_read_by_others(stage: Stage) -> None:
    stage.put(DAY, b"cdf")
    os.utime(Path(str(stage.root)) / DAY, (1_700_000_000, 1_700_000_000))
    stage.round()
    status = (stage.folder / DAY).stat()
    assert (status.st_mtime, status.st_mode & 0o777) == (1_700_000_000, 0o644)


def test_files_are_routed_by_path_and_product(stage: Stage) -> None:
    stage.takes(
        {"products": ("padre.meddea_*",), "into": "meddea", "flat": True},
        {"products": ("padre_craft_l1-*",), "into": "craft"},
        {"paths": ("notes/*.txt",)},
    )
    stage.put("x/named.cdf", b"by its manifest")
    stage.manifest("b1", stage.added("x/named.cdf", b"by its manifest"))
    stage.put("y/padre_craft_l1-orbit_20240916_v1.0.0.cdf", b"by its name")
    stage.put("notes/deep/a.txt", b"by its path")
    stage.put("notes/deep/a.pdf", b"not at all")
    done = stage.round()
    assert set(stage.files()) == {
        "meddea/named.cdf",
        "craft/y/padre_craft_l1-orbit_20240916_v1.0.0.cdf",
        "notes/deep/a.txt",
    }
    assert done.not_taken == 2, "the other file, and the manifest"


def test_two_files_that_would_be_one_are_told(stage: Stage) -> None:
    stage.takes({"flat": True})
    stage.put("a/x.txt", b"a")
    stage.put("b/x.txt", b"b")
    done = stage.round()
    assert stage.files() == {"x.txt": b"a"}
    assert done.problems == [
        "b/x.txt and a/x.txt would both be x.txt. Correct `into` or `flat`; the second one is not taken."
    ]


def test_a_file_that_its_manifest_denies_is_not_taken_and_rejected_at_the_third_time(stage: Stage) -> None:
    stage.put(DAY, b"other bytes")
    stage.manifest("b1", stage.added(DAY, b"right"))
    for after in (0, 31, 61):
        done = stage.round(after=after)
        assert DAY not in stage.files()
        assert f"its manifest says {sha256(b'right')}" in done.problems[0]
    rejected = [one for one in stage.receipts() if one["status"] == "rejected"]
    assert [(one["path"], one["sha256"]) for one in rejected] == [(DAY, sha256(b"right"))]
    stage.put(DAY, b"right")
    done = stage.round()
    assert done.problems == []
    assert stage.files()[DAY] == b"right"
    assert {one["status"] for one in stage.receipts() if one["path"] == DAY} == {"rejected", "accepted"}


def test_a_manifest_that_comes_later_is_compared_with_what_is_here(stage: Stage) -> None:
    stage.put(DAY, b"cdf")
    stage.round()
    assert stage.state().files[DAY].by == "source"
    stage.manifest("b1", stage.added(DAY, b"cdf"))
    assert stage.round().known == 1
    assert stage.state().files[DAY].by == "manifest"
    stage.manifest("b2", stage.added(DAY, b"another"))
    assert f"its manifest says {sha256(b'another')}" in stage.round().problems[0]
    assert stage.files()[DAY] == b"cdf"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"files": [1, {}, {"path": 7}]}', b"[" * 100_000])
def test_a_manifest_that_is_none_stops_nothing(stage: Stage, content: bytes) -> None:
    stage.put("manifests/b1.json", content)
    stage.put(DAY, b"cdf")
    done = stage.round()
    assert done.problems == []
    assert DAY in stage.files()


def test_the_catalogue_counts_where_no_manifest_does(stage: Stage) -> None:
    stage.put("catalogue/files.json", f'[{{"path": "{DAY}", "sha256": "{sha256(b"right")}"}}]'.encode())
    stage.put(DAY, b"wrong")
    assert "its manifest says" in stage.round().problems[0]
    assert DAY not in stage.files()


def test_what_somebody_changed_here_is_put_aside(stage: Stage) -> None:
    stage.put("feed.jsonl", b"1\n")
    stage.put(DAY, b"cdf")
    stage.round()
    (stage.folder / DAY).write_bytes(b"edited by hand")
    stage.put("feed.jsonl", b"1\n2\n")
    done = stage.round()
    other = f"{DAY}.changed-20260101T000000Z"
    assert stage.files() == {DAY: b"cdf", other: b"edited by hand", "feed.jsonl": b"1\n2\n"}
    assert done.aside == [f"{DAY} was changed here; that is {Path(other).name} now"]
    (stage.folder / DAY).write_bytes(b"and again")
    stage.round()
    assert stage.files()[f"{other}-2"] == b"and again"


def test_what_was_here_before_the_mirror_is_known_or_put_aside(stage: Stage) -> None:
    for path in ("same.txt", "other.txt"):
        stage.put(path, b"x")
    (stage.folder / "same.txt").write_bytes(b"x")
    (stage.folder / "other.txt").write_bytes(b"mine")
    done = stage.round()
    assert (done.known, done.brought, len(done.aside)) == (1, ["other.txt"], 1)
    assert stage.files()["other.txt.changed-20260101T000000Z"] == b"mine"


def test_a_file_that_was_only_touched_or_lost_here_is_mended(stage: Stage) -> None:
    for path in ("touched.txt", "lost.txt"):
        stage.put(path, b"x")
    stage.round()
    (stage.folder / "touched.txt").touch()
    (stage.folder / "lost.txt").unlink()
    done = stage.round()
    assert (done.known, done.brought, done.aside) == (1, ["lost.txt"], [])


def test_nothing_is_deleted_here_when_it_is_there(stage: Stage) -> None:
    stage.put(DAY, b"cdf")
    stage.manifest("b1", stage.added(DAY, b"cdf"))
    stage.round()
    stage.there.remove(DAY)
    stage.manifest("b2", {"path": DAY, "change": "withdrawn", "reason": "wrong gain"})
    done = stage.round()
    assert stage.files()[DAY] == b"cdf"
    assert done.gone == 1
    assert done.notes == [f"{DAY} was withdrawn by the center (wrong gain); it stays here"]


def test_each_file_has_one_receipt_there(stage: Stage) -> None:
    stage.put(DAY, b"cdf")
    stage.put("notes/a.txt", b"x")
    stage.round()
    stage.round()
    found = {(one["path"], one["sha256"], one["status"]) for one in stage.receipts()}
    assert found == {(DAY, sha256(b"cdf"), "accepted"), ("notes/a.txt", sha256(b"x"), "accepted")}
    assert len(stage.receipts()) == 2
    assert len(list((stage.folder / "receipts").iterdir())) == 2


def test_receipts_stay_here_if_the_settings_say_so(stage: Stage) -> None:
    stage.options["receipts"] = "here"
    stage.put(DAY, b"cdf")
    stage.round()
    assert stage.receipts() == []
    assert len(list((stage.folder / "receipts").iterdir())) == 1


def test_a_full_disk_is_told_and_the_next_round_goes_on(stage: Stage) -> None:
    stage.put(DAY, b"cdf")
    stage.options["keep_free_bytes"] = 1 << 60
    done = stage.round()
    assert "the disk is full: " in done.problems[0]
    assert f"{DAY} with what is to stay free needs {(1 << 60) + 3}" in done.problems[0]
    assert not done.is_complete
    stage.options["keep_free_bytes"] = 0
    assert stage.round().brought == [DAY]


def test_a_place_that_cannot_be_written_is_told_and_the_others_are_brought(stage: Stage) -> None:
    stage.put("taken/a.txt", b"x")
    stage.put("b.txt", b"x")
    stage.put(f"{'n' * 255}", b"x")
    (stage.folder / "taken").write_bytes(b"a file where a folder is needed")
    done = stage.round()
    assert done.failed == 1
    assert "mirror/taken: File exists" in done.problems[0]
    assert (stage.folder / "b.txt").exists()
    assert stage.round().waiting == 1, "and it is tried again later"


def test_a_link_here_leads_nowhere(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (stage.folder / "out").symlink_to(tmp_path / "outside")
    (stage.folder / "a.txt").symlink_to(tmp_path / "outside/a.txt")
    stage.put("out/x.txt", b"x")
    stage.put("a.txt", b"a")
    done = stage.round()
    assert "leads out of the mirror by a link" in done.problems[0]
    assert list((tmp_path / "outside").iterdir()) == []
    assert (stage.folder / "a.txt").read_bytes() == b"a"
    assert (stage.folder / "a.txt.changed-20260101T000000Z").is_symlink()


def test_a_dry_run_names_what_would_be_brought_and_writes_nothing(stage: Stage) -> None:
    stage.put(DAY, b"cdf")
    assert stage.round(dry_run=True).planned == [(DAY, DAY)]
    assert list(stage.folder.iterdir()) == []


def test_a_source_that_is_gone_is_no_empty_one(stage: Stage, tmp_path: Path) -> None:
    stage.put(DAY, b"cdf")
    stage.round()
    (tmp_path / "source").rename(tmp_path / "moved")
    done = stage.round()
    assert "is no folder" in done.problems[0]
    assert (done.gone, done.is_complete) == (0, False)


def test_a_folder_that_is_gone_is_not_made(stage: Stage) -> None:
    stage.folder.rmdir()
    with pytest.raises(StorageError, match=r"is no folder\. Mount the disk"):
        stage.round()
    assert not stage.folder.exists()


def test_one_process_at_a_time_is_at_work_in_a_folder(stage: Stage) -> None:
    with flocked(stage.folder / ".mirror/lock", 0), pytest.raises(StorageError, match="is at work"):
        stage.round()


def test_a_ledger_that_is_none_is_told_and_without_one_files_are_known_again(stage: Stage) -> None:
    stage.put(DAY, b"cdf")
    stage.round()
    ledger = stage.folder / ".mirror/state.json"
    ledger.write_bytes(b'{"form": 1, "files": 7}')
    with pytest.raises(StorageError, match=r"state\.json: is no ledger of this mirror"):
        stage.round()
    ledger.unlink()
    done = stage.round()
    assert (done.brought, done.known) == ([], 1)


def test_marks_of_another_source_count_for_nothing(stage: Stage) -> None:
    stage.put(DAY, b"cdf")
    stage.round()
    kept: Kept = read_state(stage.folder, "s3://another").files[DAY]
    assert kept.mark == ""
