# SPDX-License-Identifier: Apache-2.0
"""Landing in groups: what is on disk before what, and what a process that dies in between leaves."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.torture.calls import watching
from bench.torture.world import Death, Killed
from ingest.arrivals import Arrivals
from ingest.landing import land
from ingest.shelf import Shelf
from ingest.sources import whole as reading
from ingest.sources.lander import Lander
from ingest.sources.nouns import Arrived, Taken
from lake.errors import StorageError
from lake.files import COPY_BYTES, PART, sha256_of
from lake.lease import flocked
from lake.store import Lake, RawArchive
from tests.ingest.sources.dropping import NAMES
from tests.meddea import DEFINITIONS, NOW, drop, empty_lake, housekeeping


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return empty_lake(tmp_path / "lake")


def arrived(folder: Path, name: str, content: bytes) -> Arrived:
    return Arrived("moc", name, name, drop(folder, name, content))


def states(taken: list[Taken]) -> list[str]:
    return [one.state for one in taken]


def take(lake: Lake, files: list[Arrived]) -> list[Taken]:
    return Lander(lake, lambda: NOW).take(files)


def whole(lake: Lake) -> dict[str, int]:
    """Places by name of all that is archived; every receipt has its bytes, and nothing else is in raw/."""
    archive = RawArchive(lake)
    receipts = {key: archive.receipt(stored) for key, stored in archive.keys().items()}
    places = Arrivals(lake).places(receipts)
    for receipt in receipts.values():
        with archive.local(receipt):
            pass
    return {receipt.name: places[key] for key, receipt in receipts.items()}


def test_a_group_gets_places_in_its_order(lake: Lake, tmp_path: Path) -> None:
    files = [arrived(tmp_path / "drop", name, housekeeping(n)) for n, name in enumerate(NAMES[:20])]
    taken = take(lake, files[::-1])
    assert (states(taken), [one.arrived for one in taken]) == (["landed"] * 20, files[::-1])
    assert [name for name, _ in sorted(whole(lake).items(), key=lambda item: item[1])] == NAMES[:20][::-1]
    assert (taken[0].sha256, taken[0].bytes) == (sha256_of(files[-1].file), 40)


def test_the_same_file_twice_in_a_group_is_landed_once(lake: Lake, tmp_path: Path) -> None:
    twice = [arrived(tmp_path / place, NAMES[0], housekeeping(0)) for place in ("a", "b")]
    other = arrived(tmp_path / "c", NAMES[0], housekeeping(1))
    assert states(take(lake, [*twice, other])) == ["landed", "known", "landed"]
    assert sorted(receipt.revision for receipt in _receipts(lake)) == [1, 2]


def _receipts(lake: Lake) -> Iterator[object]:
    archive = RawArchive(lake)
    return (archive.receipt(stored) for stored in archive.keys().values())


def test_archived_bytes_are_read_only_and_names_are_judged_by_the_grammar(lake: Lake, tmp_path: Path) -> None:
    good = arrived(tmp_path / "drop", NAMES[0], housekeeping(0))
    bad = Arrived("moc", "x", "../../etc/passwd", good.file)
    taken = take(lake, [good, bad, arrived(tmp_path / "drop", "padreMDU8_240916122900.idx", b"")])
    assert states(taken) == ["landed", "refused", "ignored"]
    [stored] = [path for path in (tmp_path / "lake/raw").rglob("*") if path.is_file() and path.suffix != ".json"]
    assert stored.stat().st_mode & 0o777 == 0o444


def test_a_link_is_not_followed(lake: Lake, tmp_path: Path) -> None:
    target = drop(tmp_path / "elsewhere", NAMES[0], housekeeping(0))
    link = tmp_path / NAMES[1]
    link.symlink_to(target)
    assert states(take(lake, [Arrived("moc", NAMES[1], NAMES[1], link)])) == ["failed"]


def test_what_another_process_landed_meanwhile_is_known_without_listing_the_archive_again(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lander = Lander(lake, lambda: NOW)
    files = [arrived(tmp_path / "drop", name, housekeeping(n)) for n, name in enumerate(NAMES[:3])]
    assert states(lander.take(files[:1])) == ["landed"]
    land(empty_lake(tmp_path / "lake"), [files[1].file], NOW, 0)
    monkeypatch.setattr(RawArchive, "listing", None)
    assert states(lander.take(files)) == ["known", "known", "landed"]
    other = arrived(tmp_path / "other", NAMES[1], housekeeping(9))
    assert "revision 2" in lander.take([other])[0].detail
    monkeypatch.undo()
    assert len(set(Arrivals(lake).places(RawArchive(lake).keys()).values())) == 4


def test_a_receipt_that_was_lost_gets_its_place_back(lake: Lake, tmp_path: Path) -> None:
    files = [arrived(tmp_path / "drop", name, housekeeping(n)) for n, name in enumerate(NAMES[:2])]
    take(lake, files)
    [stored] = [
        stored for stored in RawArchive(lake).keys().values() if RawArchive(lake).receipt(stored).name == NAMES[0]
    ]
    Path(lake.storage.uri(stored)).unlink()
    assert states(take(lake, files)) == ["landed", "known"]
    assert whole(lake) == {NAMES[0]: 1, NAMES[1]: 2}


def test_bytes_that_changed_in_the_archive_are_mended_when_they_come_again(lake: Lake, tmp_path: Path) -> None:
    file = arrived(tmp_path / "drop", NAMES[0], housekeeping(0))
    [taken] = take(lake, [file])
    [stored] = (tmp_path / "lake/raw").rglob(str(taken.sha256))
    stored.chmod(0o644)
    stored.write_bytes(b"x" * 40)
    assert states(take(lake, [file])) == ["known"]
    assert whole(lake) == {NAMES[0]: 1}


def test_a_fetched_file_is_archived_without_another_copy(lake: Lake, tmp_path: Path) -> None:
    lander = Lander(lake, lambda: NOW)
    with lander.aside() as folder:
        fetched = folder / "0.fetched"
        fetched.write_bytes(housekeeping(0))
        inode = fetched.stat().st_ino
        [taken] = lander.take([Arrived("moc", "p", NAMES[0], fetched, sha256_of(fetched))])
    [stored] = (tmp_path / "lake/raw").rglob(str(taken.sha256))
    assert (stored.stat().st_ino, stored.read_bytes(), folder.exists()) == (inode, housekeeping(0), False)


def read_by(act: Callable[[], object], path: Path) -> Callable[[int, int], bytes]:
    """`os.read` that does something whenever this file is read."""
    original, inode = os.read, path.stat().st_ino

    def read(handle: int, size: int) -> bytes:
        if os.fstat(handle).st_ino == inode:
            act()
        return original(handle, size)

    return read


def test_a_file_that_the_disk_does_not_give_costs_no_other(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [arrived(tmp_path / "drop", name, housekeeping(n)) for n, name in enumerate(NAMES[:3])]

    def fail() -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(reading.os, "read", read_by(fail, files[1].file))
    taken = take(lake, files)
    assert states(taken) == ["landed", "failed", "landed"]
    assert "Input/output error" in taken[1].detail


def test_a_file_that_does_not_fit_costs_no_smaller_one(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = arrived(tmp_path / "drop", NAMES[0], bytes(2 * COPY_BYTES))
    small = arrived(tmp_path / "drop", NAMES[1], housekeeping(1))
    original, left = os.write, [COPY_BYTES]

    def write(handle: int, block: bytes) -> int:
        left[0] -= len(block)
        if left[0] < 0:
            left[0] = COPY_BYTES
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(handle, block)

    monkeypatch.setattr(reading.os, "write", write)
    taken = take(lake, [large, small])
    assert states(taken) == ["failed", "landed"]
    assert "Free space" in taken[0].detail
    assert whole(lake) == {NAMES[1]: 1}


def test_a_file_that_is_being_written_to_is_read_no_further_than_it_was(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, reads = arrived(tmp_path / "drop", NAMES[0], housekeeping(0)), list[int]()

    def grow() -> None:
        reads.append(1)
        assert len(reads) < 3
        with file.file.open("ab") as stream:
            stream.write(bytes(2 * COPY_BYTES))

    monkeypatch.setattr(reading.os, "read", read_by(grow, file.file))
    assert states(take(lake, [file])) == ["waiting"]


def test_a_file_that_hangs_holds_up_no_other_thread_and_no_other_process(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lander, hung, go = Lander(lake, lambda: NOW), threading.Event(), threading.Event()
    files = [arrived(tmp_path / "drop", name, housekeeping(n)) for n, name in enumerate(NAMES[:2])]

    def hang() -> None:
        hung.set()
        go.wait(10)

    monkeypatch.setattr(reading.os, "read", read_by(hang, files[0].file))
    thread = threading.Thread(target=lander.take, args=(files[:1],))
    thread.start()
    assert hung.wait(5)
    assert lander.lock.acquire(timeout=1)
    lander.lock.release()
    assert states(lander.take(files[1:])) == ["landed"]
    with flocked(tmp_path / "lake/locks/landing.lock", 0):
        go.set()
    thread.join(5)
    assert whole(lake) == {NAMES[1]: 1, NAMES[0]: 2}


def test_revisions_go_on_from_what_a_process_archived_before_it_died(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lander = Lander(lake, lambda: NOW)
    first, same, other, more = (
        arrived(tmp_path / str(number), NAMES[0], housekeeping(value)) for number, value in enumerate((0, 0, 1, 2))
    )
    lander.take([arrived(tmp_path / "drop", NAMES[9], housekeeping(9))])

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Arrivals, "record", die)
        with pytest.raises(Killed):
            take(lake, [first])
    assert states(lander.take([same, other])) == ["known", "landed"]
    assert states(lander.take([more])) == ["landed"]
    archive = RawArchive(lake)
    receipts = [archive.receipt(stored) for stored in archive.keys().values()]
    assert sorted(receipt.revision for receipt in receipts if receipt.name == NAMES[0]) == [1, 2, 3]
    assert sorted(Arrivals(lake).places(archive.keys()).values()) == [1, 2, 3, 4]


def test_looking_into_the_archive_writes_nothing(lake: Lake, tmp_path: Path) -> None:
    [taken] = take(lake, [arrived(tmp_path / "drop", NAMES[0], housekeeping(0))])
    for entry in (tmp_path / "lake/journal/arrivals").iterdir():  # as if killed before it was written
        entry.unlink()
    lander = Lander(lake, lambda: NOW)
    assert lander.has(str(taken.sha256), NAMES[0])
    assert list((tmp_path / "lake/journal/arrivals").iterdir()) == []
    lander.take([arrived(tmp_path / "drop", NAMES[1], housekeeping(1))])
    assert whole(lake) == {NAMES[0]: 1, NAMES[1]: 2}


def test_a_lake_that_cannot_be_written_is_an_error_and_nothing_counts_as_landed(lake: Lake, tmp_path: Path) -> None:
    lander = Lander(lake, lambda: NOW)
    file = arrived(tmp_path / "drop", NAMES[0], housekeeping(0))
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake/raw").write_text("a file where a folder should be")
    with pytest.raises(StorageError):
        lander.take([file])
    (tmp_path / "lake/raw").unlink()
    assert states(lander.take([file])) == ["landed"]


@pytest.mark.parametrize("number", range(1, 60, 3))
def test_a_process_that_dies_at_any_call_leaves_nothing_that_the_next_one_does_not_finish(
    tmp_path: Path, number: int
) -> None:
    lake = empty_lake(tmp_path / "lake")
    take(lake, [arrived(tmp_path / "drop", NAMES[0], housekeeping(0))])
    files = [arrived(tmp_path / "drop", name, housekeeping(n)) for n, name in enumerate(NAMES[:4])]
    died = False
    try:
        with watching(tmp_path / "lake", Death(number)):
            take(lake, files)
    except (Killed, StorageError, OSError):
        died = True
    assert died or number > 30
    assert set(states(take(lake, files))) <= {"landed", "known"}
    assert sorted(whole(lake).values()) == [1, 2, 3, 4]
    assert sorted(whole(lake)) == NAMES[:4]
    left = [path for path in (tmp_path / "lake/raw").rglob("*") if path.name.endswith(PART)]
    assert left == []


def test_what_the_shelf_knows_is_what_the_archive_has(lake: Lake, tmp_path: Path) -> None:
    file = arrived(tmp_path / "drop", NAMES[0], housekeeping(0))
    [taken] = take(lake, [file])
    shelf, digest = Shelf(lake), str(taken.sha256)
    assert (shelf.archived(NAMES[0]), shelf.archived(NAMES[1])) == ([digest], [])
    assert (shelf.has(digest, NAMES[0]), shelf.size(digest, NAMES[0])) == (True, 40)
    assert shelf.digest(digest, NAMES[0], "sha256") == digest
    next((tmp_path / "lake/raw").rglob(digest)).unlink()
    assert (Shelf(lake).has(digest, NAMES[0]), shelf.digest(digest, NAMES[0], "md5")) == (False, None)


def test_a_lake_in_a_bucket_is_landed_into_by_the_same_calls(s3_root: str, tmp_path: Path) -> None:
    lake = Lake(s3_root, DEFINITIONS)
    files = [arrived(tmp_path / "drop", name, housekeeping(n)) for n, name in enumerate(NAMES[:3])]
    assert states(take(lake, files)) == ["landed"] * 3
    assert states(take(lake, files)) == ["known"] * 3
    assert sorted(whole(lake).values()) == [1, 2, 3]
