# SPDX-License-Identifier: Apache-2.0
"""Failures of a mirror: nothing is lost whatever fails, and what failed is tried again when its time has come."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from exports.delivery.receipts import Receipt, new_receipts
from exports.mirror import placing, receipts, state
from exports.mirror import round as round_
from exports.mirror.round import opened
from exports.mirror.state import State, text
from lake.ways.settings import FolderWay, open_way
from lake.ways.transport import Transport
from tests.exports.mirror.place import DAY, Stage, sha256
from tests.s3_server import Faults, Server, environment


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    (tmp_path / "source").mkdir()
    return Stage(tmp_path / "source", tmp_path / "mirror")


@pytest.fixture
def bucket(moto: Server, tmp_path: Path) -> Iterator[Stage]:
    with environment(moto.environment):
        yield Stage(f"s3://{moto.make_bucket()}/out", tmp_path / "mirror", options={"transfers": 2})


def test_a_download_that_fails_twice_is_no_loss(bucket: Stage, moto: Server) -> None:
    bucket.put(DAY, b"cdf")
    bucket.put("b.txt", b"x")
    with moto.faults(Faults(only="photon", times=2, wrong="denied")):
        first = bucket.round()
        assert first.brought == ["b.txt"]
        assert "failed 1 times; tried again after 2026-01-01T00:00:30Z" in first.problems[0]
        early = bucket.round(after=29)
        assert (early.waiting, early.failed) == (1, 0)
        second = bucket.round(after=1)
        assert "failed 2 times; tried again after 2026-01-01T00:01:30Z" in second.problems[0]
        assert bucket.state().due(bucket.now) == frozenset()
        third = bucket.round(frozenset({DAY}), after=60)
    assert third.brought == [DAY]
    assert bucket.files() == {DAY: b"cdf", "b.txt": b"x"}
    assert bucket.state().failed == {}
    assert sorted(one["path"] for one in bucket.receipts()) == ["b.txt", DAY]


def test_a_transfer_that_is_cut_leaves_nothing_and_a_replaced_object_is_tried_at_once(
    bucket: Stage, moto: Server
) -> None:
    bucket.put(DAY, b"the first one")
    with moto.faults(Faults(only="photon", times=99, wrong="cut")):
        assert "broke off" in bucket.round().problems[0]
    assert bucket.files() == {}
    assert bucket.round().waiting == 1
    bucket.put(DAY, b"the second one")
    assert bucket.round().brought == [DAY]


def test_a_source_that_is_down_is_left_after_a_few_transfers_and_nothing_is_forgotten(
    bucket: Stage, moto: Server
) -> None:
    for number in range(8):
        bucket.put(f"{number}.txt", b"xx")
    with moto.faults(Faults(only=".txt", times=10_000, wrong="cut")):
        done = bucket.round()
    assert done.problems[-1] == "3 transfers in a row failed; the source is left for the next round."
    assert not done.is_complete
    assert 3 <= done.failed <= 5
    assert len(bucket.round(after=31).brought) == 8


def test_receipts_that_may_not_be_written_there_wait_and_stop_nothing(stage: Stage) -> None:
    stage.put(DAY, b"cdf")
    there = Path(str(stage.root)) / "receipts"
    there.write_bytes(b"a file where a folder is needed")
    done = stage.round()
    assert (done.brought, done.problems) == ([DAY], [])
    assert "1 receipts wait and are tried again, or write receipts = 'here'" in done.notes[0]
    there.unlink()
    assert stage.round().notes == []
    assert len(stage.receipts()) == 1


def test_delivery_reads_our_receipts(stage: Stage, tmp_path: Path) -> None:
    stage.put(DAY, b"cdf")
    stage.round()
    history = pl.DataFrame({"event": [], "detail": []}, schema={"event": pl.String, "detail": pl.String})
    with open_way("recipient r", FolderWay(path=tmp_path / "source")) as transport:
        found = list(new_receipts(transport, history, lambda _: False))
    assert [(one.path, one.sha256, one.status) for one in found if isinstance(one, Receipt)] == [
        (DAY, sha256(b"cdf"), "accepted")
    ]


def test_waiting_doubles_up_to_an_hour() -> None:
    known, now = State(), datetime(2026, 1, 1, tzinfo=UTC)
    waits = []
    for _ in range(9):
        failed = known.fail("a", "mark", "why", now)
        waits.append((state.time(failed.next_at) - now).total_seconds())
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert known.waits("a", "mark", now)
    assert not known.waits("a", "another", now)
    assert text(now) == "2026-01-01T00:00:00Z"


class Killed(BaseException):
    """As a kill does, it ends everything."""


class Dying:
    """Does what `function` does, until its call of this number, before or after which all ends."""

    def __init__(self, function: Any, number: int, is_after: bool) -> None:
        self.function, self.left, self.is_after = function, number, is_after

    def __call__(self, *given: Any) -> Any:
        self.left -= 1
        if self.left == 0 and not self.is_after:
            raise Killed
        found = self.function(*given)
        if self.left == 0:
            raise Killed
        return found


STEPS = [(placing, "sync_all"), (placing, "sync"), (placing, "_name"), (placing, "_put_aside"), (receipts, "sync_all"),
         (receipts, "sync"), (state, "sync"), (state, "finished")]  # fmt: skip


@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize(
    ("module", "name"), STEPS, ids=[f"{module.__name__.split('.')[-1]} {name}" for module, name in STEPS]
)
def test_whenever_it_dies_the_next_round_makes_it_whole(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, is_after: bool
) -> None:
    stage.options["transfers"] = 1
    given = {DAY: b"cdf", "a.txt": b"a", "b.txt": b"b"}
    for path, content in given.items():
        stage.put(path, content)
    (stage.folder / "b.txt").write_bytes(b"mine")
    monkeypatch.setattr(round_, "GROUP_FILES", 2)
    deaths = 0
    for number in range(1, 30):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, Dying(getattr(module, name), number, is_after))
            try:
                stage.round()
            except Killed:
                deaths += 1
            else:
                break
        assert set(stage.files().values()) <= {*given.values(), b"mine"}, "a file is whole, or not there"
    assert deaths > 0
    stage.round()
    aside = {path: content for path, content in stage.files().items() if ".changed-" in path}
    assert {path: content for path, content in stage.files().items() if path not in aside} == given
    assert b"mine" in aside.values()
    accepted = {(one["path"], one["sha256"]) for one in stage.receipts()}
    assert accepted == {(path, sha256(content)) for path, content in given.items()}
    assert len(stage.receipts()) == len(given)
    assert list((stage.folder / ".mirror/incoming").iterdir()) == []


def test_a_file_that_changes_between_listing_and_fetching_is_fetched_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.put(DAY, b"cdf")
    fetched = placing._fetched

    def grown(transport: Transport, task: placing.Task, part: Path) -> str:
        stage.put(DAY, b"longer")
        return fetched(transport, task, part)

    monkeypatch.setattr(placing, "_fetched", grown)
    assert "has changed since it was listed" in stage.round().problems[0]
    assert stage.files() == {}
    monkeypatch.undo()
    assert stage.round().brought == [DAY]


def test_files_are_synced_together_and_one_that_cannot_be_named_fails_alone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        stage.put(f"{number:02}.txt", b"x")
    groups: list[int] = []
    synced, named = placing.sync_all, placing._name

    def note(parts: list[Path], disk: int | None) -> None:
        groups.append(len(parts))
        synced(parts, disk)

    def refuse(part: Path, target: Path) -> None:
        if target.name == "07.txt":
            raise OSError(errno.EIO, "Input/output error")
        named(part, target)

    monkeypatch.setattr(placing, "sync_all", note)
    monkeypatch.setattr(placing, "_name", refuse)
    monkeypatch.setattr(round_, "GROUP_SECONDS", 60.0)
    done = stage.round()
    assert groups == [20]
    assert (len(done.brought), done.failed) == (19, 1)
    assert "07.txt: Input/output error" in done.problems[0]
    assert len(stage.receipts()) == 19
    assert list((stage.folder / ".mirror/incoming").iterdir()) == []


def test_a_disk_that_does_not_keep_bytes_makes_the_whole_group_fail(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    for number in range(3):
        stage.put(f"{number}.txt", b"x")
    monkeypatch.setattr(placing, "sync_all", refuse)
    done = stage.round()
    assert (done.brought, done.failed, stage.files(), stage.receipts()) == ([], 3, {}, [])
    monkeypatch.undo()
    assert len(stage.round(after=31).brought) == 3


def test_a_file_that_finds_no_room_keeps_nobody_from_the_others(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 50_000
    monkeypatch.setattr(round_.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    stage.put("a.bin", b"x" * 100_000)
    for number in range(5):
        stage.put(f"b{number}.txt", b"small")
    done = stage.round()
    assert (len(done.brought), done.failed, done.is_complete) == (5, 1, True)
    assert (
        "the disk is full: 50000 bytes are free, and a.bin with what is to stay free needs 100000" in done.problems[0]
    )
    assert stage.round(after=29).waiting == 1
    free = 200_000
    assert stage.round(after=1).brought == ["a.bin"]


def test_several_files_are_fetched_at_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        stage.put(f"{number}.txt", b"x")
    stage.options["transfers"] = 3
    meeting, fetched = threading.Barrier(3, timeout=20), placing._fetched

    def meet(*given: Any) -> str:
        meeting.wait()
        return fetched(*given)

    monkeypatch.setattr(placing, "_fetched", meet)
    assert len(stage.round().brought) == 6


def test_a_fault_of_ours_in_a_transfer_is_not_swallowed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.put(DAY, b"cdf")
    monkeypatch.setattr(placing, "_fetched", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        stage.round()


def test_what_failed_and_is_gone_is_forgotten(stage: Stage) -> None:
    stage.put("x/a.txt", b"x")
    (stage.folder / "x").write_bytes(b"in the way")
    assert stage.round().failed == 1
    stage.there.remove("x/a.txt")
    stage.round(stage.state().due(stage.now) | {"x/a.txt"}, after=31)
    assert stage.state().failed == {}


def test_a_round_in_which_nothing_happened_writes_nothing(stage: Stage) -> None:
    stage.put(DAY, b"cdf")
    with opened(stage.settings, lambda: None) as mirror:
        mirror.round(stage.now)
        ledger = stage.folder / ".mirror/state.json"
        inode = ledger.stat().st_ino
        mirror.round(stage.now, frozenset({DAY, "none.txt"}))
        assert ledger.stat().st_ino == inode
