# SPDX-License-Identifier: Apache-2.0
"""Rounds over a drop folder: what is whole is landed once, what is not waits, and a restart forgets nothing."""

from __future__ import annotations

import os
import shutil
import socket
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from ingest.arrivals import Arrivals
from ingest.sources import whole
from ingest.sources.attempts import KIND
from ingest.sources.folder import DEEPEST
from lake.errors import WayError
from lake.ledger import read_ops
from lake.state import State
from lake.store import RawArchive
from tests.ingest.sources.dropping import NAMES, Drop
from tests.meddea import NOON, housekeeping

A, B = housekeeping(0) + housekeeping(1, NOON + 5), housekeeping(0, NOON, 7)
NAME = NAMES[0]


def test_a_file_is_landed_once_however_often_it_is_seen(tmp_path: Path) -> None:
    drop = Drop(tmp_path)
    drop.put(NAME, A)
    assert drop.look().counts == {"landed": 1}
    assert drop.look().counts == {}
    assert (list(drop.archived().values()), drop.rows(NAME)) == ([A], ["landed"])


def test_what_was_seen_outlives_the_process_and_is_not_hashed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = Drop(tmp_path)
    drop.put(NAME, A)
    drop.look()
    drop.begin()
    monkeypatch.setattr(whole, "_read", None)
    assert drop.look().counts == {}


def test_without_its_state_a_source_is_hashed_again_and_found_known(tmp_path: Path) -> None:
    drop = Drop(tmp_path)
    for number, name in enumerate(NAMES[:5]):
        drop.put(name, housekeeping(number))
    assert drop.look().counts == {"landed": 5}
    documents = State(drop.lake, KIND)
    for name in documents.names():
        documents.remove(name)
    drop.begin()
    assert drop.look().counts == {"known": 5}
    assert len(Arrivals(drop.lake).places(RawArchive(drop.lake).keys())) == 5


def test_the_same_name_with_other_bytes_is_a_revision_and_both_are_kept(tmp_path: Path) -> None:
    drop = Drop(tmp_path)
    for content in (A, A, B):
        drop.put(NAME, content)
        done = drop.look()
    assert sorted(drop.archived().values()) == sorted([A, B])
    assert drop.rows(NAME) == ["landed", "known", "landed"]
    assert ["revision 2; both are kept" in line for line in done.problems] == [True]


def test_a_file_of_which_the_archive_lost_the_bytes_is_landed_again(tmp_path: Path) -> None:
    drop = Drop(tmp_path)
    drop.put(NAME, A)
    drop.look()
    [stored] = RawArchive(drop.lake).keys().values()
    Path(drop.lake.storage.uri(stored)).unlink()
    Path(drop.lake.storage.uri(stored.rpartition("-")[0])).unlink()
    drop.begin()
    drop.look()
    assert list(drop.archived().values()) == [A]
    assert len(Arrivals(drop.lake).places(RawArchive(drop.lake).keys())) == 1


# ---- completeness ------------------------------------------------------------------------------------------------
def test_a_file_that_is_being_written_waits_until_it_has_stood_still(tmp_path: Path) -> None:
    drop = Drop(tmp_path, {"settle_seconds": 5})
    for written in range(4):
        drop.put(NAME, A[: 10 * written], age=0)
        assert drop.look(6).counts["landed"] == 0
    drop.put(NAME, A, age=0)
    assert [drop.look(3).counts["landed"] for _ in range(4)] == [0, 0, 1, 0]
    assert (list(drop.archived().values()), drop.rows(NAME)) == ([A], ["waiting", "landed"])


def test_an_old_file_is_looked_at_twice(tmp_path: Path) -> None:
    drop = Drop(tmp_path, {"settle_seconds": 5})
    drop.put(NAME, A)
    assert [drop.look(6).counts["landed"] for _ in range(2)] == [0, 1]


def test_a_time_ahead_of_our_clock_holds_no_file_back_for_good(tmp_path: Path) -> None:
    drop = Drop(tmp_path, {"settle_seconds": 5})
    drop.put(NAME, A, age=-86400)
    assert [drop.look(6).counts["landed"] for _ in range(2)] == [0, 1]


def test_with_a_marker_a_file_is_whole_when_the_marker_is_there_and_not_older(tmp_path: Path) -> None:
    drop = Drop(tmp_path, {"complete": "marker", "marker": ".ok"})
    drop.put(NAME, A[:7], age=100)
    assert drop.look().landed == 0
    drop.put(f"{NAME}.ok", b"", age=200)
    assert drop.look().landed == 0
    drop.put(NAME, A, age=100)
    drop.put(f"{NAME}.ok", b"", age=90)
    assert drop.look().landed == 1
    assert (list(drop.archived().values()), drop.states()[NAME]) == ([A], "landed")


def test_a_renamed_file_is_whole_at_once_and_its_temporary_name_is_none(tmp_path: Path) -> None:
    drop = Drop(tmp_path, {"complete": "rename"})
    path = drop.put(f"{NAME}.part", A, age=0)
    assert drop.look().counts == {}
    path.rename(drop.folder / NAME)
    assert drop.look().counts == {"landed": 1}
    assert drop.states() == {NAME: "landed"}


@pytest.mark.parametrize("when", ["before it is opened", "while it is read"])
def test_a_file_that_changes_after_it_was_judged_whole_is_not_landed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    drop = Drop(tmp_path)
    path = drop.put(NAME, A)
    name = "copied" if when == "before it is opened" else "_pump"
    original = getattr(whole, name)

    def changed(*arguments: object) -> object:
        result = original(*arguments) if name == "_pump" else None
        path.write_bytes(A + B)
        return result or original(*arguments)

    target = "ingest.sources.lander.copied" if name == "copied" else "ingest.sources.whole._pump"
    with monkeypatch.context() as patch:
        patch.setattr(target, changed)
        assert drop.look().counts == {"waiting": 1}
    assert drop.archived() == {}
    drop.look()
    assert list(drop.archived().values()) == [A + B]


# ---- what is refused ---------------------------------------------------------------------------------------------
def test_what_is_no_plain_file_is_refused_with_a_reason_and_never_followed(tmp_path: Path) -> None:
    drop = Drop(tmp_path, {"subfolders": True})
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / NAME).write_bytes(A)
    (drop.folder / NAMES[1]).symlink_to(outside / NAME)
    (drop.folder / "linked").symlink_to(outside)
    os.mkfifo(drop.folder / NAMES[2])
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(drop.folder / NAMES[3]))
    drop.put("padre\x1b[2J.dat", A)
    done = drop.look()
    assert (done.counts, drop.archived()) == ({"refused": 5}, {})
    assert not any("\x1b" in line for line in done.problems)
    assert set(drop.states().values()) == {"refused"}
    assert drop.look().counts == {}


def test_a_name_outside_the_grammar_and_a_file_that_is_too_large_are_refused_once(tmp_path: Path) -> None:
    drop = Drop(tmp_path, {"max_bytes": len(A)})
    drop.put("holiday.jpg", A)
    drop.put(NAME, A + b"\0")
    assert drop.look().counts == {"refused": 2}
    drop.begin()
    assert drop.look().counts == {}
    drop.more = {}
    drop.begin()
    assert drop.look().counts == {"landed": 1}


def test_subfolders_are_searched_only_if_asked(tmp_path: Path) -> None:
    drop = Drop(tmp_path)
    drop.put(f"pass/17/{NAME}", A)
    assert drop.look().counts == {}
    drop.more = {"subfolders": True}
    drop.begin()
    assert drop.look().counts == {"landed": 1}
    assert [name for name, _ in drop.archived()] == [NAME]


def test_a_file_below_too_many_folders_is_told_and_holds_up_no_other(tmp_path: Path) -> None:
    drop = Drop(tmp_path, {"subfolders": True})
    deepest = "/".join(["d"] * DEEPEST)
    drop.put(f"{deepest}/{NAME}", A)
    drop.put(f"{deepest}/d/{NAMES[1]}", A)
    done = drop.look()
    assert (done.counts, drop.states()) == (
        {"landed": 1, "refused": 1},
        {f"{deepest}/{NAME}": "landed", f"{deepest}/d": "refused"},
    )
    assert drop.look(paths=frozenset({f"{deepest}/d/{NAMES[1]}"})).counts == {}


# ---- retries -----------------------------------------------------------------------------------------------------
def test_a_file_that_cannot_be_read_is_tried_again_with_pauses_that_grow_and_survive_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = Drop(tmp_path)
    path = drop.put(NAME, A)

    def refuse(*_: object) -> None:
        raise whole.SourceError(f"{path}: Input/output error.")

    tries = 0
    with monkeypatch.context() as patch:
        patch.setattr("ingest.sources.lander.copied", refuse)
        for _ in range(60):
            tries += drop.look(5).counts["failed"]
            drop.begin()
    assert 4 <= tries <= 8  # in five minutes: 10 s, 20 s, 40 s, 80 s, 160 s, each by up to half shorter
    row = read_ops(drop.lake, "receptions").filter(pl.col("state") == "failed").sort("noted_at").row(-1, named=True)
    assert row["attempts"] == tries
    assert drop.look(1, force=True).counts == {"landed": 1}


def test_a_folder_that_is_removed_and_made_again_is_followed_on(tmp_path: Path) -> None:
    drop = Drop(tmp_path)
    drop.put(NAME, A)
    drop.look()
    shutil.rmtree(drop.folder)
    with pytest.raises(WayError, match="is no folder"):
        drop.look()
    drop.folder.mkdir()
    drop.put(NAME, A)
    drop.put(NAMES[1], B)
    assert drop.look().counts == {"known": 1, "landed": 1}


# ---- order and amount --------------------------------------------------------------------------------------------
def test_new_files_go_before_a_backlog(tmp_path: Path) -> None:
    drop = Drop(tmp_path, {"max_waiting": 10})
    for number in range(30):
        drop.put(f"padreMDU8_240901{number // 60:02}{number % 60:02}00.dat", housekeeping(number))
    live = [f"padreMDU8_2409160000{number:02}.dat" for number in range(5)]
    for number, name in enumerate(live):
        drop.put(name, housekeeping(100 + number))
    assert drop.look().landed == 35
    places = Arrivals(drop.lake).places(RawArchive(drop.lake).keys())
    archive = RawArchive(drop.lake)
    names = {archive.receipt(stored).name: places[key] for key, stored in archive.keys().items()}
    assert max(names[name] for name in live) <= 10


def test_only_names_of_the_days_that_are_asked_for_are_taken(tmp_path: Path) -> None:
    drop = Drop(tmp_path, {"first": date(2024, 9, 15), "last": date(2024, 9, 16)})
    for day in (14, 15, 16, 17):
        drop.put(f"padreMDU8_2409{day}120000.dat", housekeeping(day))
    assert drop.look().counts == {"landed": 2}
    assert drop.look(dry=True).planned == []
    drop.more = {}
    drop.begin()
    assert drop.look(dry=True).planned == ["padreMDU8_240914120000.dat", "padreMDU8_240917120000.dat"]
    assert drop.look().counts == {"landed": 2}
