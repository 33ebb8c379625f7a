# SPDX-License-Identifier: Apache-2.0
"""Intake as a whole: exactly once, whatever the order, wherever it was interrupted, whichever the definitions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from itertools import count, permutations
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable

from ingest import commit, intake
from ingest.intake import pending_files
from lake.ledger import current_contents, read_ops
from lake.reading import data_files, scan
from lake.store import Lake
from lake.tables import append, append_ops
from tests.ingest.taken import L0, state, stored_twice
from tests.meddea import (
    CLOCK_INVALID,
    MISSIONS,
    MIXED_FILE,
    NOON,
    PHOTON_FILE,
    RETRANSMITTED,
    drop,
    empty_lake,
    housekeeping,
    met,
    missions_with_policy,
    photon,
    register,
    rows,
    take,
    unbalanced,
)
from transforms.engine import build_all


class KilledError(Exception):
    """Stands for SIGKILL: nothing catches it."""


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Three files that share packets, with damage, an impossible clock and a gap."""
    folder = tmp_path / "inbox"
    hk = [housekeeping(number, NOON + 5 * number) for number in range(9)]
    drop(folder, "padreMDU8_240916120000.dat", *hk[:4], register(1), b"junk", photon(1), photon(2, NOON + 1))
    drop(folder, "padreMDU8_240916120001.dat", *hk[2:5], photon(2, NOON + 1), photon(3, 0), hk[5][:13])
    drop(folder, "padreMDU8_240916120002.dat", *hk[3:5], *hk[7:], register(1), photon(5, met(2024, 9, 17)))
    return folder


def undisturbed(tmp_path: Path, inbox: Path) -> dict[str, list[Any]]:
    lake = empty_lake(tmp_path / "undisturbed")
    take(lake, inbox)
    return state(lake)


def test_every_byte_and_packet_of_every_file_is_accounted_for(tmp_path: Path, inbox: Path) -> None:
    lake = empty_lake(tmp_path / "lake")
    result = take(lake, inbox)
    assert unbalanced(lake) == []
    files = read_ops(lake, "files").sort("name")
    assert files.select("bytes", "bytes_decoded", "bytes_quarantined", "packets", "duplicates").rows() == [
        (264, 260, 4, 7, 0),
        (213, 200, 13, 5, 3),
        (220, 220, 0, 6, 3),
    ]
    assert (result.files, result.packets, result.duplicates, result.clock_invalid) == (3, 18, 6, 1)
    assert sum(rows(lake, name).height for name in L0 if name != "l0_photon") == 18


def test_taking_in_twice_is_taking_in_once(tmp_path: Path, inbox: Path) -> None:
    lake = empty_lake(tmp_path / "lake")
    take(lake, inbox, run="first")
    before, entries = state(lake), sorted(lake.root.rglob("*"))
    result = take(lake, inbox, run="second")
    assert (result.files, result.landed.known, state(lake)) == (0, 3, before)
    assert sorted(lake.root.rglob("*")) == entries
    assert pending_files(lake) == []


def killer(target: Callable[..., Any], when: Callable[..., bool]) -> Callable[..., Any]:
    """The function, but a KilledError where `when` says so of the arguments."""

    def call(*arguments: Any, **more: Any) -> Any:
        if when(*arguments):
            raise KilledError
        return target(*arguments, **more)

    return call


@pytest.mark.parametrize("table", ["quarantine", "contents", "files"])
def test_a_run_killed_between_l0_and_its_books_is_made_good_by_the_next(
    tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    lake = empty_lake(tmp_path / "lake")
    with monkeypatch.context() as patched:
        patched.setattr(intake, "append_ops", killer(append_ops, lambda _, name, __: name == table))
        with pytest.raises(KilledError):
            take(lake, inbox, run="killed")
    assert rows(lake, "l0_housekeeping").height == 11
    take(lake, inbox, run="next")
    assert state(lake) == undisturbed(tmp_path, inbox)
    assert stored_twice(lake) == []


@pytest.mark.parametrize("commits", [0, 2, 5, 8])
def test_a_run_killed_after_any_number_of_l0_commits_is_made_good_by_the_next(
    tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    lake, done = empty_lake(tmp_path / "lake"), count(1)

    def is_due(*_: object) -> bool:
        return next(done) > commits

    with monkeypatch.context() as patched:
        patched.setattr(commit, "append", killer(append, is_due))
        with pytest.raises(KilledError):
            take(lake, inbox, run="killed")
    take(lake, inbox, run="next")
    assert state(lake) == undisturbed(tmp_path, inbox)
    assert stored_twice(lake) == []


def test_a_run_killed_while_landing_is_made_good_by_the_next(
    tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = empty_lake(tmp_path / "lake")
    with monkeypatch.context() as patched:
        patched.setattr(intake, "pending_files", killer(intake.pending_files, lambda *_: True))
        with pytest.raises(KilledError):
            take(lake, inbox, run="killed")
    take(lake, run="next")
    assert state(lake) == undisturbed(tmp_path, inbox)


def test_the_number_of_files_per_commit_changes_nothing(
    tmp_path: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = empty_lake(tmp_path / "lake")
    monkeypatch.setattr(intake, "FILES_PER_COMMIT", 1)
    take(lake, inbox)
    monkeypatch.undo()
    assert state(lake) == undisturbed(tmp_path, inbox)


def test_in_whatever_order_files_arrive_l1_has_one_of_each_packet(tmp_path: Path, inbox: Path) -> None:
    seen = set()
    for number, order in enumerate(list(permutations(sorted(inbox.iterdir())))[::2]):
        lake = empty_lake(tmp_path / f"lake_{number}")
        for run, path in enumerate(order):
            take(lake, path, run=f"run {run}")
        assert sum(read_ops(lake, "files")["duplicates"]) == 6
        again = pl.concat(rows(lake, name).select("quality_flag") for name in L0 if name != "l0_photon")
        assert (again["quality_flag"] & RETRANSMITTED != 0).sum() == 6
        build_all(lake, "build")
        l1 = [scan(lake, lake.definitions.tables[f"padre.meddea_l1_{name}"]) for name in ("photon", "housekeeping")]
        seen.add(str([frame.sort("epoch_tt2000").collect().rows() for frame in l1]))
        assert l1[1].collect().sort("epoch_tt2000")["sequence_count"].to_list() == [0, 1, 2, 3, 4, 7, 8]
        assert l1[0].collect().height == 9
    assert len(seen) == 1


def test_bytes_that_come_again_under_another_name_while_their_neighbour_is_pending(tmp_path: Path) -> None:
    inbox, lake = tmp_path / "inbox", empty_lake(tmp_path / "lake")
    first, second = [housekeeping(1), housekeeping(2, NOON + 5)], [housekeeping(2, NOON + 5)]
    drop(inbox, "padreMDU8_240916120000.dat", *first)
    drop(inbox, "padreMDU8_240916120001.dat", *second)
    drop(inbox, "padreMDU8_240916120002.dat", *first)
    take(lake, inbox)
    files = read_ops(lake, "files").sort("name")
    assert files.select("packets", "duplicates").rows() == [(2, 0), (1, 1), (2, 2)]


def test_rows_with_an_impossible_clock_are_left_out_of_l1(tmp_path: Path) -> None:
    lake = empty_lake(tmp_path / "lake")
    bad = [housekeeping(2, 0), housekeeping(3, met(2100, 1, 1)), photon(2, NOON, ticks=20_000_000)]
    take(lake, drop(tmp_path / "inbox", MIXED_FILE, housekeeping(1), photon(1), *bad))
    build_all(lake, "build")
    for name, l0_rows, good in (("housekeeping", 3, [1]), ("photon", 6, [1, 1, 1])):
        assert rows(lake, f"l0_{name}").height == l0_rows
        l1 = scan(lake, lake.definitions.tables[f"padre.meddea_l1_{name}"]).collect()
        assert l1["sequence_count"].to_list() == good
        assert (l1["quality_flag"] & CLOCK_INVALID).sum() == 0


# ---- other definitions ---------------------------------------------------------------------------------------------
def test_another_clock_policy_decodes_every_file_again_and_back(tmp_path: Path, inbox: Path) -> None:
    leap = empty_lake(tmp_path / "lake")
    posix = empty_lake(leap.root, missions_with_policy(tmp_path / "missions", "posix"))
    take(leap, inbox, run="1")
    before = state(leap)
    assert [len(pending_files(lake)) for lake in (leap, posix)] == [0, 3]

    assert take(posix, run="2").files == 3
    after = state(posix)
    for name in L0:
        old, new = (rows_of(state_, name, posix) for state_ in (before, after))
        assert new["epoch_tt2000"].to_list() == [t and t + 5_000_000_000 for t in old["epoch_tt2000"].to_list()]
        assert new["quality_flag"].to_list() == old["quality_flag"].to_list()
    assert [row[1] for row in after["quarantine"]] == [row[1] for row in before["quarantine"]]
    assert read_ops(posix, "files")["run_id"].to_list() == ["2"] * 3
    assert current_contents(posix)["run_id"].unique().to_list() == ["2"]
    assert take(posix, inbox, run="3").files == 0

    take(leap, run="4")
    assert state(leap) == before


def rows_of(contents: dict[str, list[Any]], name: str, lake: Lake) -> pl.DataFrame:
    names = lake.definitions.tables[f"padre.meddea_{name}"].by_name
    return pl.DataFrame(contents[name], schema=list(names), orient="row", infer_schema_length=None).sort(
        "file_sha256", "byte_offset", *(["clocks"] if name == "l0_photon" else [])
    )


def test_a_packet_that_becomes_known_leaves_the_quarantine(tmp_path: Path) -> None:
    copy = missions_with_policy(tmp_path / "missions", "leap")
    path = copy / "padre" / "meddea" / "instrument.yaml"
    path.write_text(path.read_text().replace("apids: [153, 165]", "apids: [153]"))
    lake = empty_lake(tmp_path / "lake", copy)
    take(lake, drop(tmp_path / "inbox", MIXED_FILE, b"junk", register(1), register(2, apid=165)), run="1")
    assert sorted(read_ops(lake, "quarantine")["reason"]) == ["JUNK", "UNKNOWN_APID"]
    lake = empty_lake(lake.root, MISSIONS)
    take(lake, run="2")
    assert read_ops(lake, "quarantine")["reason"].to_list() == ["JUNK"]
    assert rows(lake, "l0_register")["apid"].to_list() == [153, 165]
    assert unbalanced(lake) == []


def test_a_file_recorded_as_empty_is_not_looked_at_again(tmp_path: Path) -> None:
    lake = empty_lake(tmp_path / "lake")
    take(lake, drop(tmp_path / "inbox", PHOTON_FILE), run="1")
    assert pending_files(lake) == []
    assert read_ops(lake, "files")["status"].to_list() == ["empty"]


def test_a_day_that_comes_in_many_files_is_read_from_the_lake_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [housekeeping(number, NOON + 5 * number) for number in range(12)]
    lake = empty_lake(tmp_path / "lake")
    take(lake, drop(tmp_path / "first", "padreMDU8_240916120000.dat", *sent[:3]))
    for number in range(4):
        drop(tmp_path / "inbox", f"padreMDU8_24091612000{1 + number}.dat", *sent[2 * number : 2 * number + 5])
    days: list[list[date]] = []

    def noted(delta: DeltaTable, wanted: list[date]) -> list[str]:
        days.append(wanted)
        return data_files(delta, wanted)

    monkeypatch.setattr("ingest.identities.data_files", noted)
    assert take(lake, tmp_path / "inbox").duplicates == 3 + 3 * 3
    assert days == [[date(2024, 9, 16)]]
