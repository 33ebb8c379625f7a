# SPDX-License-Identifier: Apache-2.0
"""What a drop folder may hold, and what each thing gets."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ingest import landing
from ingest.landing import Landed, land
from lake import store
from lake.errors import StorageError
from lake.files import sha256_of
from lake.ledger import read_ops
from lake.store import Lake, RawArchive
from tests.meddea import (
    CHECKOUT,
    MISSIONS,
    MIXED_FILE,
    NOON,
    NOW,
    PHOTON_FILE,
    drop,
    empty_lake,
    housekeeping,
    rows,
    take,
)

PACKETS = housekeeping(0) + housekeeping(1, NOON + 5)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return empty_lake(tmp_path / "lake")


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def landed(lake: Lake, inbox: Path, settle_seconds: float = 0) -> Landed:
    return land(lake, [inbox], NOW, settle_seconds)


def codes(result: Landed) -> dict[str, str]:
    return {item.path.name: item.code for item in result.refused}


def test_a_file_is_copied_under_its_hash_and_stays_in_the_inbox(lake: Lake, inbox: Path) -> None:
    path = drop(inbox, MIXED_FILE, PACKETS)
    [receipt] = landed(lake, inbox).new
    digest = hashlib.sha256(PACKETS).hexdigest()
    archived = lake.root / "raw" / "padre" / "meddea" / "2024-09-16" / digest
    assert (path.read_bytes(), archived.read_bytes()) == (PACKETS, PACKETS)
    assert (receipt.file_sha256, receipt.bytes, receipt.revision, receipt.name) == (digest, 80, 1, MIXED_FILE)
    assert json.loads(archived.with_name(f"{receipt.key}.json").read_text())["received_at"] == NOW.isoformat()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("holiday.jpg", "BAD_MISSION"),
        ("padre_notes.jpg", "UNKNOWN_EXT"),
        ("padreXYA0_240916122901.dat", "BAD_INSTRUMENT"),
        ("padreMDZZ_240916122901.dat", "BAD_INSTRUMENT"),
        ("padreMDA0_241316122901.dat", "BAD_TIME"),
        ("padreMDA0_2409161229.dat", "BAD_TIME"),
        ("padreMDA0_300916122901.dat", "OUT_OF_RANGE"),
        ("padreMDA0_190916122901.dat", "OUT_OF_RANGE"),
        ("padre_meddea_l1_photon_20240916T000000_v1.0.0.fits", "NOT_RAW"),
        ("padre_meddea_l1-photon_20240916_v1.0.0.cdf", "UNKNOWN_EXT"),
    ],
)
def test_a_name_outside_the_grammar_is_refused_with_its_reason_code(
    lake: Lake, inbox: Path, name: str, code: str
) -> None:
    path = drop(inbox, name, PACKETS)
    result = take(lake, inbox)
    [refused] = result.landed.refused
    assert refused.code == code
    assert (path.exists(), result.files, RawArchive(lake).keys()) == (True, 0, {})
    row = read_ops(lake, "quarantine").row(0, named=True)
    assert (row["name"], row["reason"], row["bytes"], row["packets"]) == (name, code, len(PACKETS), 0)
    assert row["detail"].startswith(f"{code}: ")


def test_a_refused_file_is_noted_once_however_often_it_is_seen(lake: Lake, inbox: Path) -> None:
    drop(inbox, "holiday.jpg", b"x")
    for run in ("first", "second"):
        assert len(take(lake, inbox, run=run).landed.refused) == 1
    assert read_ops(lake, "quarantine")["run_id"].to_list() == ["first"]


def test_temporary_files_and_indexes_are_passed_over(lake: Lake, inbox: Path) -> None:
    for name in (".padreMDU8_240916122904.dat.swp", "padreMDU8_240916122904.dat.part", "padreMDU8_240916122904.idx"):
        drop(inbox, name, PACKETS)
    result = landed(lake, inbox)
    assert (result.new, codes(result), result.ignored) == ([], {}, 3)


@pytest.mark.parametrize("name", ["PADRESP13_250503042550.DAT", "padre_get_OBC_0_Data_1761872211189_1762025056586.csv"])
def test_files_of_instruments_without_definitions_are_archived_and_refused(
    tmp_path: Path, inbox: Path, name: str
) -> None:
    missions = shutil.copytree(MISSIONS, tmp_path / "missions")
    for instrument in ("sharp", "craft"):
        shutil.rmtree(missions / "padre" / instrument)
    lake = empty_lake(tmp_path / "lake", missions)
    drop(inbox, name, b"bytes of tomorrow")
    result = take(lake, inbox)
    assert result.undefined == [name]
    row = read_ops(lake, "files").row(0, named=True)
    assert (row["status"], row["bytes"], row["bytes_decoded"], row["bytes_quarantined"]) == ("refused", 17, 0, 17)
    assert row["reason"].startswith("NO_DEFINITION: missions/padre/")
    quarantined = read_ops(lake, "quarantine").row(0, named=True)
    assert (quarantined["reason"], quarantined["byte_offset"], quarantined["bytes"]) == ("NO_DEFINITION", 0, 17)
    assert len(RawArchive(lake).keys()) == 1
    assert take(lake, inbox).undefined == []


def test_an_empty_file_is_recorded_as_empty(lake: Lake, inbox: Path) -> None:
    drop(inbox, MIXED_FILE)
    result = take(lake, inbox)
    row = read_ops(lake, "files").row(0, named=True)
    assert (row["status"], row["bytes"], row["packets"], result.files) == ("empty", 0, 0, 0)
    assert take(lake, inbox).landed.known == 1


def test_a_growing_file_is_left_for_the_next_time(lake: Lake, inbox: Path) -> None:
    path = drop(inbox, MIXED_FILE, PACKETS[:40])
    os.utime(path)
    stop = threading.Event()

    def grow() -> None:
        with path.open("ab") as stream:
            while not stop.wait(0.005):
                stream.write(b"\0")
                stream.flush()

    writer = threading.Thread(target=grow)
    writer.start()
    result = landed(lake, inbox, settle_seconds=0.1)
    stop.set()
    writer.join()
    assert (result.growing, result.new) == ([path], [])
    path.write_bytes(PACKETS)
    assert [receipt.bytes for receipt in landed(lake, inbox, settle_seconds=0.01).new] == [80]


def test_a_file_that_changes_while_it_is_hashed_or_copied_is_left_for_the_next_time(
    lake: Lake, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing, well = drop(inbox, MIXED_FILE, PACKETS), drop(inbox, PHOTON_FILE, PACKETS[:40])

    def copy_of_a_longer_file(source: Path, target: object) -> str:
        if source == growing:
            source.write_bytes(PACKETS * 2)
        return original(source, target)  # type: ignore[arg-type]

    original = store.copy_hashed
    monkeypatch.setattr(store, "copy_hashed", copy_of_a_longer_file)
    result = landed(lake, inbox)
    assert (result.growing, [receipt.name for receipt in result.new]) == ([growing], [well.name])
    assert [path.name for path in (lake.root / "raw").rglob("*.part")] == []
    monkeypatch.undo()

    def grown(path: Path) -> str:
        digest = sha256_of(path)
        path.write_bytes(path.read_bytes() + b"\0")
        return digest

    monkeypatch.setattr(landing, "sha256_of", grown)
    assert landed(lake, inbox).growing == [well, growing]
    monkeypatch.undo()
    assert [(receipt.bytes, receipt.revision) for receipt in landed(lake, inbox).new] == [(41, 2), (161, 1)]


def test_an_archive_that_cannot_be_written_is_no_growing_file(lake: Lake, inbox: Path) -> None:
    drop(inbox, MIXED_FILE, PACKETS)
    lake.root.write_text("a file where the lake should be")
    with pytest.raises(StorageError, match="Not a directory"):
        landed(lake, inbox)


def test_the_same_name_and_bytes_again_change_nothing(lake: Lake, inbox: Path) -> None:
    drop(inbox, MIXED_FILE, PACKETS)
    take(lake, inbox)
    before = sorted(lake.root.rglob("*"))
    result = take(lake, inbox)
    assert (result.landed.known, result.landed.new, result.files) == (1, [], 0)
    assert sorted(lake.root.rglob("*")) == before


def test_other_bytes_under_the_same_name_are_a_new_revision_and_both_are_kept(lake: Lake, inbox: Path) -> None:
    drop(inbox, MIXED_FILE, PACKETS)
    take(lake, inbox)
    for revision, value in ((2, 5), (3, 6)):
        drop(inbox, MIXED_FILE, housekeeping(revision, NOON + 5 * revision, value))
        assert [receipt.revision for receipt in take(lake, inbox).landed.revisions] == [revision]
        assert take(lake, inbox).landed.revisions == []
    assert sorted(read_ops(lake, "files")["revision"]) == [1, 2, 3]
    assert sorted(rows(lake, "l0_housekeeping")["fp_temp"]) == [5, 6, 1000, 1000]
    drop(inbox, MIXED_FILE, PACKETS)
    assert take(lake, inbox).landed.known == 1


def test_the_same_bytes_under_another_name_are_duplicates_and_add_no_row(lake: Lake, inbox: Path) -> None:
    drop(inbox, MIXED_FILE, PACKETS)
    take(lake, inbox)
    drop(inbox, "padreMDU8_240916122905.dat", PACKETS)
    take(lake, inbox)
    files = read_ops(lake, "files").sort("name")
    assert files["duplicates"].to_list() == [0, 2]
    assert files["packets"].to_list() == [2, 2]
    assert files["reason"][1] == f"same bytes as {MIXED_FILE}"
    assert rows(lake, "l0_housekeeping").height == 2


TWIN = "padreMDU8_240917122904.dat"  # of another day, so that its bytes have another place


@pytest.mark.parametrize("name", [MIXED_FILE, TWIN])
@pytest.mark.parametrize("spoilt", [b"x" * 80, b"x", None], ids=["changed", "cut short", "lost"])
def test_bytes_that_come_again_mend_the_archive(lake: Lake, inbox: Path, spoilt: bytes | None, name: str) -> None:
    drop(inbox, MIXED_FILE, PACKETS)
    [receipt] = landed(lake, inbox).new
    archived = Path(lake.storage.uri(RawArchive(lake).bytes_key(receipt)))
    archived.unlink()
    if spoilt is not None:
        archived.write_bytes(spoilt)
    (inbox / MIXED_FILE).unlink()
    drop(inbox, name, PACKETS)
    [line] = landed(lake, inbox).restored
    assert archived.read_bytes() == PACKETS
    away = list(lake.root.glob("damaged/*"))
    assert [path.read_bytes() for path in away] == ([] if spoilt is None else [spoilt])
    was = f"had changed; what was there is now {away[0]}" if away else "was lost"
    assert line == f"{archived}: {was}. Restored from {name}"
    assert landed(lake, inbox).restored == []


def test_bytes_without_a_receipt_are_looked_into_before_they_get_one(lake: Lake, inbox: Path) -> None:
    drop(inbox, MIXED_FILE, PACKETS)
    [receipt] = landed(lake, inbox).new
    archived = Path(lake.storage.uri(RawArchive(lake).bytes_key(receipt)))
    archived.with_name(f"{receipt.key}.json").unlink()
    archived.chmod(0o644)
    archived.write_bytes(b"x" * 80)
    result = landed(lake, inbox)
    assert ([found.key for found in result.new], len(result.restored)) == ([receipt.key], 1)
    assert archived.read_bytes() == PACKETS


def test_a_link_is_followed_and_its_bytes_are_archived(lake: Lake, inbox: Path, tmp_path: Path) -> None:
    target = drop(tmp_path / "elsewhere", "anything.bin", PACKETS)
    (inbox / MIXED_FILE).symlink_to(target)
    [receipt] = landed(lake, inbox).new
    archived = Path(lake.storage.uri(RawArchive(lake).bytes_key(receipt)))
    assert (archived.is_symlink(), archived.read_bytes()) == (False, PACKETS)


def test_what_is_no_file_is_refused_and_folders_are_passed_over(lake: Lake, inbox: Path) -> None:
    os.mkfifo(inbox / PHOTON_FILE)
    (inbox / "nowhere.dat").symlink_to(inbox / "missing")
    (inbox / "loop.dat").symlink_to("loop.dat")
    drop(inbox / "below", MIXED_FILE, PACKETS)
    result = landed(lake, inbox)
    refused = dict.fromkeys((PHOTON_FILE, "nowhere.dat", "loop.dat"), "NOT_A_FILE")
    assert (codes(result), result.new, result.ignored) == (refused, [], 0)
    assert result.folders == [inbox / "below"]


def test_hostile_names_are_refused_and_can_be_stored_and_shown(lake: Lake, inbox: Path) -> None:
    names = [
        "padre\nMDA0_240916122901.dat",
        "padreMDA0_240916122901.dat\x1b[2J",
        "pädreMDA0_240916122901.dat",
        "padreMDA0_\uff12\uff14\uff10\uff19\uff11\uff16122901.dat",
        "x" * 251 + ".dat",
        "-rf.dat",
        "padreMDA0_240916122901.dat'; DROP TABLE files; --",
    ]
    for name in names:
        drop(inbox, name, b"x")
    Path(os.fsdecode(os.fsencode(inbox) + b"/\xff\xfe.dat")).write_bytes(b"x")
    result = take(lake, inbox)
    assert len(result.landed.refused) == len(names) + 1
    assert set(read_ops(lake, "quarantine")["name"]) == {*names, "\\udcff\\udcfe.dat"}


def test_an_inbox_that_is_missing_is_a_clear_error(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"nowhere: No such file or directory\. "):
        land(lake, [tmp_path / "nowhere"], NOW, 0)


AS_NOBODY = """
import os, sys
from pathlib import Path
from tests.meddea import empty_lake, NOW
from ingest.landing import land
os.setgid(65534); os.setuid(65534)
result = land(empty_lake(Path(sys.argv[1])), [Path(path) for path in sys.argv[2:]], NOW, 0)
print(len(result.new)); print(*result.unreadable, sep="\\n")
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_files_that_may_not_be_read_are_reported_and_the_others_taken(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)  # nobody has to get there
    inbox, locked, root = tmp_path / "inbox", tmp_path / "locked", tmp_path / "lake"
    secret, _ = drop(inbox, PHOTON_FILE, PACKETS), drop(inbox, MIXED_FILE, PACKETS)
    hidden = drop(locked, MIXED_FILE, PACKETS)
    secret.chmod(0)
    locked.chmod(0o444)
    root.mkdir(mode=0o777)
    root.chmod(0o777)
    command = [sys.executable, "-c", AS_NOBODY, str(root), str(inbox), str(locked)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    taken, *problems = done.stdout.splitlines()
    assert (taken, done.stderr) == ("1", "")
    assert sorted(problems) == [
        f"{secret}: Permission denied. Give the right to read it, or check the disk.",
        f"{hidden}: Permission denied. Give the right to read it.",
    ]


def test_a_companion_of_telemetry_is_passed_over(lake: Lake, inbox: Path) -> None:
    drop(inbox, "flight_stepper.txt", b"1014902200001770")
    drop(inbox, "other_stepper.txt", b"1014902200001770")
    result = landed(lake, inbox)
    assert (codes(result), result.ignored) == ({"other_stepper.txt": "BAD_MISSION"}, 1)
