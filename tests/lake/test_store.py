# SPDX-License-Identifier: Apache-2.0
"""Raw files and journal entries are written once, whole, and never changed."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

import lake.store
from lake.definitions import Definitions
from lake.errors import StorageError
from lake.files import reading, sha256_of, writing
from lake.store import Journal, Lake, RawArchive, Receipt, name_hash

CONTENT = b"\x08\xa0\xc0\x00 raw bytes"
SHA = hashlib.sha256(CONTENT).hexdigest()
RECEIPT = Receipt(
    name="padreMDA0_240916122901.dat",
    file_sha256=SHA,
    bytes=len(CONTENT),
    received_at="2024-09-16T13:00:00+00:00",
    source="/inbox",
    mission="padre",
    instrument="meddea",
    day="2024-09-16",
)


@pytest.fixture
def lake_(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake", Definitions(tmp_path, (), ()))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / RECEIPT.name
    path.write_bytes(CONTENT)
    return path


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# ---- raw ---------------------------------------------------------------------------------------------------------
def test_a_raw_file_is_kept_under_its_hash_with_a_receipt(lake_: Lake, source: Path) -> None:
    archive = RawArchive(lake_)
    archive.add(RECEIPT, source)
    folder = "raw/padre/meddea/2024-09-16"
    assert files(lake_.root) == [f"{folder}/{SHA}", f"{folder}/{SHA}-{name_hash(RECEIPT.name)}.json"]
    assert lake_.storage.read(archive.bytes_key(RECEIPT)) == CONTENT
    assert [archive.receipt(path) for path in archive.keys().values()] == [RECEIPT]


def test_raw_bytes_are_read_only(lake_: Lake, source: Path) -> None:
    RawArchive(lake_).add(RECEIPT, source)
    assert (lake_.root / RawArchive(lake_).bytes_key(RECEIPT)).stat().st_mode & 0o777 == 0o444


def test_the_same_bytes_under_another_name_are_one_file_with_two_receipts(lake_: Lake, source: Path) -> None:
    archive = RawArchive(lake_)
    archive.add(RECEIPT, source)
    archive.add(replace(RECEIPT, name="padreMDA0_240916122902.dat"), source)
    assert len(archive.keys()) == 2
    assert len([name for name in files(lake_.root) if not name.endswith(".json")]) == 1


def test_the_first_receipt_of_a_file_stands(lake_: Lake, source: Path) -> None:
    archive = RawArchive(lake_)
    archive.add(RECEIPT, source)
    archive.add(replace(RECEIPT, received_at="2025-01-01T00:00:00+00:00"), source)
    assert [archive.receipt(path) for path in archive.keys().values()] == [RECEIPT]


def test_a_file_that_changes_while_it_is_copied_is_not_taken(lake_: Lake, source: Path) -> None:
    source.write_bytes(CONTENT + b" and more")
    with pytest.raises(StorageError, match=r"\.dat: changed while it was copied. It will be taken the next time\.$"):
        RawArchive(lake_).add(RECEIPT, source)
    assert files(lake_.root) == []
    source.write_bytes(CONTENT)
    RawArchive(lake_).add(RECEIPT, source)
    assert len(files(lake_.root)) == 2


def test_a_crash_between_bytes_and_receipt_is_mended_by_the_next_try(
    lake_: Lake, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(lake.store, "_json", crash)
        with pytest.raises(KeyboardInterrupt):
            RawArchive(lake_).add(RECEIPT, source)
    assert RawArchive(lake_).keys() == {}
    RawArchive(lake_).add(RECEIPT, source)
    assert list(RawArchive(lake_).keys()) == [RECEIPT.key]


def test_a_damaged_receipt_is_named(lake_: Lake, source: Path) -> None:
    archive = RawArchive(lake_)
    archive.add(RECEIPT, source)
    [key] = archive.keys().values()
    path = lake_.root / key
    path.write_text('{"name": ')
    with pytest.raises(StorageError, match=rf"^{path}: is no readable receipt \(.*\). Restore it from a backup.$"):
        archive.receipt(key)


def test_an_empty_archive_has_no_receipts(lake_: Lake) -> None:
    assert RawArchive(lake_).keys() == {}


def test_a_missing_source_is_named(lake_: Lake, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"gone.dat: No such file or directory. Give the right to read it, or check"):
        RawArchive(lake_).add(RECEIPT, tmp_path / "gone.dat")
    assert files(lake_.root) == []


def test_the_hash_of_a_file_is_that_of_its_bytes(source: Path) -> None:
    assert sha256_of(source) == SHA


# ---- whole or not at all -----------------------------------------------------------------------------------------
def test_what_the_system_says_is_passed_on_with_the_file(lake_: Lake, tmp_path: Path) -> None:
    (lake_.root / "folder").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"folder: Is a directory. Free space or give the right to write"):
        lake_.storage.put("folder", b"{}")
    with pytest.raises(StorageError, match=r"x: No space left on device. Free space"), writing(tmp_path / "x"):
        raise OSError(28, os.strerror(28))
    with pytest.raises(StorageError, match=r"x: Arrow says so. Give the right"), reading(tmp_path / "x"):
        raise OSError("Arrow says so")
    assert files(lake_.root) == []


# ---- journal -----------------------------------------------------------------------------------------------------
def test_a_journal_entry_is_written_once(lake_: Lake) -> None:
    journal = Journal(lake_)
    assert journal.write_once("versions", "a-1.0.0", {"sha256": "x"})
    assert not journal.write_once("versions", "a-1.0.0", {"sha256": "y"})
    assert journal.entries("versions") == {"a-1.0.0": {"sha256": "x"}}
    assert files(lake_.root) == ["journal/versions/a-1.0.0.json"]


def test_everyone_may_read_a_journal_entry(lake_: Lake) -> None:
    Journal(lake_).write_once("versions", "a", {})
    assert (lake_.root / "journal/versions/a.json").stat().st_mode & 0o777 == 0o644


def test_entries_are_found_by_the_beginning_of_their_key(lake_: Lake) -> None:
    journal = Journal(lake_)
    for key in ("a-1", "a-2", "ab-1", "[a]-1"):
        journal.write_once("versions", key, {"key": key})
    assert list(journal.entries("versions", "a-")) == ["a-1", "a-2"]
    assert list(journal.entries("versions", "[a]")) == ["[a]-1"]
    assert journal.entries("releases") == {}


def test_a_damaged_entry_is_named(lake_: Lake) -> None:
    Journal(lake_).write_once("versions", "a", {})
    path = lake_.root / "journal/versions/a.json"
    path.write_text("{")
    with pytest.raises(StorageError, match=rf"^{path}: is no readable entry \(.*\). Restore it from a backup.$"):
        Journal(lake_).entries("versions")


def test_an_entry_that_cannot_be_written_leaves_nothing(lake_: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        Journal(lake_).write_once("versions", "a", {"x": 1})
    assert files(lake_.root) == []


def _write_entries(root: Path, worker: str) -> int:
    journal = Journal(Lake(root, Definitions(root, (), ())))
    return sum(journal.write_once("versions", f"{n:03d}", {"by": worker}) for n in range(200))


def test_of_two_processes_one_writes_each_entry(lake_: Lake) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        written = list(pool.map(_write_entries, [lake_.root] * 2, ["first", "second"]))
    entries = Journal(lake_).entries("versions")
    by = [entry["by"] for entry in entries.values()]
    assert len(entries) == 200
    assert written == [by.count("first"), by.count("second")]
    assert not [name for name in files(lake_.root) if not name.endswith(".json")]
