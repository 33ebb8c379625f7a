# SPDX-License-Identifier: Apache-2.0
"""Whoever decodes, and however many ingest at once: the lake is the same, and each row is there once."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest import commit, intake
from ingest.intake import Intake, pending_files, take_in
from lake import tables
from lake.errors import StorageError
from lake.files import sha256_of
from lake.ledger import current_contents, read_ops
from lake.parallel import executor
from lake.store import Lake, RawArchive, Receipt
from tests.ingest.taken import never_committed, rebuilt, state, stored_twice
from tests.meddea import (
    CHECKOUT,
    CLOCK_INVALID,
    NOON,
    NOW,
    RETRANSMITTED,
    drop,
    empty_lake,
    housekeeping,
    photon,
    register,
    rows,
    take,
    unbalanced,
)

NAMES = [f"padreMDU8_2409161200{number:02}.dat" for number in range(60)]
LATE = NOON + 43_199  # with the last tick, the second event of a photon packet lies on the next day


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return empty_lake(tmp_path / "lake")


def deliver(inbox: Path) -> tuple[Path, Path]:
    """Two folders of files that share packets among and within themselves; with junk, and the same bytes twice."""
    hk = [housekeeping(number, NOON + 5 * number) for number in range(12)]
    hits = [photon(number, LATE, ticks=19_999_000, clocks=(0, 39_000)) for number in range(4)]
    inbox.mkdir()
    first, second = inbox / "first", inbox / "second"
    drop(first, NAMES[7], *hk[:5], hits[0], register(1), b"junk")
    drop(first, NAMES[3], *hk[3:8], hits[0], hits[1], register(2, 0), register(2, 0))
    drop(first, NAMES[9], *hk[6:9], *hits[1:3], hk[6])
    drop(second, NAMES[4], *hk[:2], *hk[8:], hits[3], register(1))
    drop(second, NAMES[1], *hk[6:9], *hits[1:3], hk[6])
    drop(second, NAMES[5], *hk[10:], *hits[2:], register(2, 0), hk[11][:17])
    return first, second


def in_two(lake: Lake, folders: tuple[Path, Path], pool: Executor | None) -> list[Intake]:
    """Two landings; when the second comes, the clock stands an hour earlier."""
    return [
        take_in(lake, [folder], f"run {number}", NOW - timedelta(hours=number), 0, pool)
        for number, folder in enumerate(folders)
    ]


def account(done: Intake) -> tuple[Any, ...]:
    return done.files, done.packets, done.duplicates, done.bytes, done.quarantined, done.clock_invalid, done.missing


# ---- executors -----------------------------------------------------------------------------------------------------
def test_processes_and_threads_make_the_lake_that_one_process_makes(tmp_path: Path) -> None:
    folders = deliver(tmp_path / "inbox")
    serial, threads, processes, whole = (empty_lake(tmp_path / name) for name in ("1", "2", "3", "4"))
    done = [in_two(serial, folders, None)]
    with ThreadPoolExecutor(3) as pool:
        done.append(in_two(threads, folders, pool))
    with executor(2) as pool:
        done.append(in_two(processes, folders, pool))
        take_in(whole, list(folders), "run", NOW, 0, pool)
    assert [account(one) for one in done[1]] == [account(one) for one in done[0]]
    assert [account(one) for one in done[2]] == [account(one) for one in done[0]]
    assert state(serial) == state(threads) == state(processes) == state(rebuilt(processes, tmp_path / "rebuilt"))
    assert sum(read_ops(serial, "files")["duplicates"]) == sum(read_ops(whole, "files")["duplicates"]) == 23
    for lake in (serial, threads, processes, whole):
        assert (unbalanced(lake), stored_twice(lake), never_committed(lake)) == ([], [], [])


def test_files_that_are_done_too_early_wait_for_their_turn(tmp_path: Path, lake: Lake) -> None:
    """The later file is decoded first; it is the repetition all the same."""

    class Backwards(ThreadPoolExecutor):
        ahead = 3

    for number in range(3):
        drop(tmp_path / "inbox", NAMES[number], *[housekeeping(9)] * (3 - number), housekeeping(number))
    with Backwards(3) as pool:
        take_in(lake, [tmp_path / "inbox"], "run", NOW, 0, pool)
    files = read_ops(lake, "files").sort("arrival")
    assert files.select("name", "packets", "duplicates").rows() == [
        (NAMES[0], 4, 2),
        (NAMES[1], 3, 2),
        (NAMES[2], 2, 1),
    ]


def test_progress_tells_how_many_of_how_many_and_what_is_next(tmp_path: Path, lake: Lake) -> None:
    for number in (2, 1):
        drop(tmp_path / "inbox", NAMES[number], housekeeping(number))
    said: list[tuple[int, int, str]] = []
    take_in(lake, [tmp_path / "inbox"], "run", NOW, 0, progress=lambda *what: said.append(what))
    assert said == [(0, 2, NAMES[1]), (1, 2, NAMES[2]), (2, 2, "")]
    take_in(lake, [], "run", NOW, 0, progress=lambda *what: said.append(what))
    assert len(said) == 3


# ---- several processes ---------------------------------------------------------------------------------------------
INGEST = """
import sys
from datetime import datetime
from pathlib import Path
from ingest.intake import take_in
from tests.meddea import NOW, empty_lake
print("ready", flush=True); sys.stdin.readline()
take_in(empty_lake(Path(sys.argv[1])), [Path(sys.argv[2])], sys.argv[3], NOW, 0)
"""


def test_two_processes_at_once_end_as_one_after_the_other(tmp_path: Path, lake: Lake) -> None:
    folders = deliver(tmp_path / "inbox")
    command = [sys.executable, "-c", INGEST, str(lake.root)]
    runs = [
        subprocess.Popen(
            [*command, str(folder), f"run {name}"], cwd=CHECKOUT, stdin=-1, stdout=-1, stderr=-1, text=True
        )
        for name, folder in (("a", folders[0]), ("b", folders[1]), ("c", folders[0]))
    ]
    for run in runs:
        assert run.stdout is not None and run.stdout.readline() == "ready\n"  # noqa: PT018
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("go\n")
        run.stdin.flush()
    said = [run.communicate(timeout=120)[1].splitlines() for run in runs]
    assert [run.returncode for run in runs] == [0] * 3
    assert [line for lines in said for line in lines if not line.startswith("waiting for ")] == []
    assert (stored_twice(lake), never_committed(lake), unbalanced(lake)) == ([], [], [])
    assert read_ops(lake, "files").select("name", "run_id").is_duplicated().any() is False
    assert state(lake) == state(rebuilt(lake, tmp_path / "rebuilt"))
    orders = [empty_lake(tmp_path / name) for name in ("ab", "ba")]
    in_two(orders[0], folders, None)
    in_two(orders[1], (folders[1], folders[0]), None)
    assert state(lake) in [state(order) for order in orders]


def test_while_files_are_taken_in_nobody_else_does_so(tmp_path: Path, lake: Lake) -> None:
    refused: list[str] = []

    def look(*_: object) -> None:
        with pytest.raises(StorageError) as caught, lake.storage.alone("ingest", 0):
            pass
        refused.append(str(caught.value))

    take_in(lake, [drop(tmp_path / "inbox", NAMES[0], housekeeping(1))], "run", NOW, 0, progress=look)
    assert len(refused) == 2
    with lake.storage.alone("ingest", 0):
        pass


def test_a_process_that_lost_its_lease_and_goes_on_changes_nothing(
    tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a lease that was taken over: another process does the whole work while this one is between two files."""
    inbox = deliver(tmp_path / "inbox")
    undisturbed = empty_lake(tmp_path / "undisturbed")
    take(undisturbed, *inbox)
    commit_file, overtaken = intake.commit_file, []

    def stand_still(*arguments: Any) -> None:
        commit_file(*arguments)
        if not overtaken:
            overtaken.append(True)
            monkeypatch.setattr(intake, "adopt", lambda _: None)
            take(without_leases(lake), run="run b")

    monkeypatch.setattr(intake, "commit_file", stand_still)
    take(without_leases(lake), *inbox, run="run a")
    assert (state(lake), stored_twice(lake), overtaken) == (state(undisturbed), [], [True])
    assert never_committed(lake) == []


def without_leases(lake: Lake) -> Lake:
    """The lake, but whoever asks to be alone is told so."""
    copy = Lake(lake.root, lake.definitions)
    storage = copy.storage
    alone = storage.alone

    def told_so(name: str, wait_seconds: float | None = None) -> Any:
        return alone(f"{name} {id(copy)}", wait_seconds)

    storage.alone = told_so  # type: ignore[method-assign]
    return copy


# ---- what is written again, what is left ---------------------------------------------------------------------------
def test_only_files_in_which_packets_are_repeated_are_written_again(
    tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, list[str]]] = []

    def noted(*arguments: Any) -> Any:
        files = tables_day_files(*arguments)
        written.append((arguments[1].name, []))
        return files

    tables_day_files = commit.day_files
    monkeypatch.setattr(commit, "day_files", noted)
    hits = [photon(number, LATE, ticks=19_999_000, clocks=(0, 39_000)) for number in range(3)]
    take(lake, drop(tmp_path, NAMES[0], *hits[:2], housekeeping(1)))
    assert written == []
    take(lake, drop(tmp_path, NAMES[1], *hits[1:], housekeeping(2, NOON + 86_400), housekeeping(1, 0)))
    assert [name for name, _ in written] == ["meddea_l0_photon_packet", "meddea_l0_photon"]
    assert rows(lake, "l0_photon")["day"].n_unique() == 2
    again = rows(lake, "l0_photon").sort("file_sha256", "byte_offset", "clocks")["quality_flag"].to_list()
    assert sorted(again) == [0] * 6 + [RETRANSMITTED] * 2
    contents = current_contents(lake).filter(table_name="padre.meddea_l0_photon")
    assert sorted(contents.select("rows", "new_rows").rows()) == [(2, 1), (2, 1), (2, 2), (2, 2)]
    assert never_committed(lake) == []


def test_a_repetition_with_an_impossible_clock_is_subtracted_once(tmp_path: Path, lake: Lake) -> None:
    take(lake, drop(tmp_path, NAMES[0], housekeeping(1, 0), housekeeping(2)))
    take(lake, drop(tmp_path, NAMES[1], housekeeping(1, 0), housekeeping(2), housekeeping(3, NOON + 5)))
    flags = sorted(rows(lake, "l0_housekeeping")["quality_flag"])
    assert flags == [0, 0, CLOCK_INVALID, RETRANSMITTED, CLOCK_INVALID | RETRANSMITTED]
    contents = current_contents(lake).sort("rows").select("rows", "new_rows").rows()
    assert contents == [(2, 1), (3, 1)]


@pytest.mark.parametrize("failing", ["l0_photon_packet", "l0_photon"])
def test_a_commit_that_fails_leaves_no_file_behind(
    tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(lake: Lake, files: Any, app_id: str) -> bool:
        if files.table.name == f"meddea_{failing}":
            raise StorageError("no space left")
        return tables.append(lake, files, app_id)

    path = drop(tmp_path, NAMES[0], photon(1), photon(1), housekeeping(1))
    monkeypatch.setattr(commit, "append", fail)
    with pytest.raises(StorageError, match="no space left"):
        take(lake, path, run="first")
    assert never_committed(lake) == []
    monkeypatch.undo()
    take(lake, run="second")
    assert sorted(rows(lake, "l0_photon_packet")["quality_flag"]) == [0, RETRANSMITTED]
    assert (stored_twice(lake), never_committed(lake), pending_files(lake)) == ([], [], [])


# ---- the archive ---------------------------------------------------------------------------------------------------
def test_bytes_that_cannot_be_read_just_now_stop_the_intake_so_that_no_file_is_overtaken(
    tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders, undisturbed = deliver(tmp_path / "inbox"), empty_lake(tmp_path / "undisturbed")
    take(undisturbed, *folders)
    local = RawArchive.local

    def unreachable(archive: RawArchive, receipt: Receipt) -> Any:
        if receipt.name == NAMES[3]:
            raise StorageError("connection reset")
        return local(archive, receipt)

    monkeypatch.setattr(RawArchive, "local", unreachable)
    with pytest.raises(StorageError, match="connection reset"):
        take(lake, *folders, run="first")
    monkeypatch.undo()
    take(lake, run="second")
    assert state(lake) == state(undisturbed)


def test_damaged_bytes_are_left_out_and_a_whole_copy_under_another_name_is_decoded(tmp_path: Path, lake: Lake) -> None:
    packets = housekeeping(1), housekeeping(2, NOON + 5)
    other_day = "padreMDU8_240917120000.dat"
    paths = [drop(tmp_path, NAMES[0], *packets), drop(tmp_path, other_day, *packets), drop(tmp_path, NAMES[1], b"junk")]
    [*receipts] = intake.land(lake, paths, NOW, 0).new
    damaged = Path(lake.storage.uri(RawArchive(lake).bytes_key(receipts[0])))
    damaged.chmod(0o644)
    damaged.write_bytes(b"x" * 80)
    result = take(lake, run="first")
    assert (result.files, len(result.damaged)) == (2, 1)
    assert read_ops(lake, "files").sort("name").select("name", "duplicates").rows() == [(NAMES[1], 0), (other_day, 0)]
    take(lake, *paths, run="second")
    assert sha256_of(damaged) == receipts[0].file_sha256
    assert read_ops(lake, "files").sort("name")["duplicates"].to_list() == [2, 0, 0]
    assert (rows(lake, "l0_housekeeping").height, pending_files(lake)) == (2, [])
