# SPDX-License-Identifier: Apache-2.0
"""The order of arrival: recorded once, the same in a rebuild, whatever clocks, kills and other processes do."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ingest import landing
from ingest.arrivals import Arrivals, adopt
from ingest.intake import pending_files, take_in
from ingest.landing import land
from lake.ledger import read_ops
from lake.store import Journal, Lake, RawArchive
from tests.ingest.taken import never_committed, rebuilt, state, stored_twice
from tests.meddea import NOON, NOW, RETRANSMITTED, drop, empty_lake, housekeeping, photon, register, rows, take

NAMES = [f"padreMDU8_2409161200{number:02}.dat" for number in range(60)]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return empty_lake(tmp_path / "lake")


def take_at(lake: Lake, now: datetime, *paths: Path) -> None:
    take_in(lake, list(paths), f"run {len(read_ops(lake, 'files')):03}", now, 0)


def new_of(lake: Lake) -> dict[str, list[int]]:
    """Counts of the housekeeping packets that a file was the first to bring, by the file's name."""
    names = dict(read_ops(lake, "files").select("file_sha256", "name").iter_rows())
    first = rows(lake, "l0_housekeeping").filter(pl.col("quality_flag") & RETRANSMITTED == 0)
    found: dict[str, list[int]] = {name: [] for name in sorted(names.values())}
    for sha256, count in first.select("file_sha256", "sequence_count").iter_rows():
        found[names[sha256]].append(count)
    return found


# ---- the record ----------------------------------------------------------------------------------------------------
def test_places_count_on_from_landing_to_landing(lake: Lake) -> None:
    Arrivals(lake).record(["c", "a"])
    Arrivals(lake).record([])
    Arrivals(lake).record(["b"])
    assert Arrivals(lake).places(["a", "b", "c", "unknown"]) == {"c": 1, "a": 2, "b": 3}
    entries = Journal(lake).entries("arrivals")
    assert entries == {
        "00000001": {"first": 1, "receipts": ["c", "a"]},
        "00000002": {"first": 3, "receipts": ["b"]},
    }


def test_an_entry_tells_where_its_receipts_lie_as_far_as_that_is_known(lake: Lake) -> None:
    Arrivals(lake).record(["a", "b"], {"a": "raw/padre/meddea/2024-09-16/a.json", "c": "raw/padre/sharp/x/c.json"})
    assert Journal(lake).entries("arrivals")["00000001"]["folders"] == ["padre/meddea/2024-09-16", ""]


def test_what_another_process_has_recorded_in_the_meantime_keeps_its_place(lake: Lake) -> None:
    one, other = Arrivals(lake), Arrivals(lake)
    one.record(["a"])
    one.record(["b", "c"])
    other.record(["d", "c", "e", "a"])
    assert Arrivals(lake).places("abcde") == {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}


def test_new_receipts_are_found_without_reading_the_whole_journal(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        Arrivals(lake).record([str(number)])
    read: list[str] = []
    entry = Journal.entry

    def noted(journal: Journal, kind: str, key: str) -> dict[str, Any] | None:
        read.append(key)
        return entry(journal, kind, key)

    monkeypatch.setattr(Journal, "entry", noted)
    arrivals = Arrivals(lake)
    arrivals.record(["new"])
    assert arrivals.places(["new"]) == {"new": 31}
    assert read == ["00000030", "00000031"]


def test_a_place_does_not_depend_on_how_files_were_grouped(tmp_path: Path) -> None:
    inbox, one, many = tmp_path / "inbox", empty_lake(tmp_path / "one"), empty_lake(tmp_path / "many")
    paths = [drop(inbox, NAMES[number], housekeeping(number, NOON + number)) for number in range(3)]
    take(one, inbox)
    for path in paths:
        take(many, path)
    assert state(one) == state(many)
    assert read_ops(one, "files").sort("name")["arrival"].to_list() == [1, 2, 3]


# ---- clocks, kills, rebuilds ---------------------------------------------------------------------------------------
def test_a_clock_that_jumps_back_changes_no_order(lake: Lake, tmp_path: Path) -> None:
    first = drop(tmp_path, NAMES[5], housekeeping(1), housekeeping(2, NOON + 5))
    second = drop(tmp_path, NAMES[4], housekeeping(2, NOON + 5), housekeeping(3, NOON + 10))
    take_at(lake, NOW, first)
    take_at(lake, NOW - timedelta(days=30), second)
    assert new_of(lake) == {NAMES[4]: [3], NAMES[5]: [1, 2]}
    again = rebuilt(lake, tmp_path / "rebuilt")
    assert (new_of(again), state(again)) == (new_of(lake), state(lake))


def test_files_of_one_landing_arrive_in_the_order_of_their_names(lake: Lake, tmp_path: Path) -> None:
    later = drop(tmp_path / "a", NAMES[2], housekeeping(1), housekeeping(2, NOON + 5))
    sooner = drop(tmp_path / "b", NAMES[1], housekeeping(2, NOON + 5))
    take(lake, later.parent, sooner.parent)
    assert new_of(lake) == {NAMES[1]: [2], NAMES[2]: [1]}


@pytest.mark.parametrize("archived", [0, 1, 2, 3])
def test_a_landing_killed_after_any_file_gives_the_order_of_an_undisturbed_one(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archived: int
) -> None:
    inbox, undisturbed = tmp_path / "inbox", empty_lake(tmp_path / "undisturbed")
    for number in range(3):
        drop(inbox, NAMES[9 - number], housekeeping(1), housekeeping(2 + number, NOON + 5))
    take(undisturbed, inbox)

    def killed(archive: RawArchive, receipt: Any, source: Path) -> None:
        if len(archive.keys()) == archived:
            raise KeyboardInterrupt
        add(archive, receipt, source)

    add = RawArchive.add
    monkeypatch.setattr(RawArchive, "add", killed)
    monkeypatch.setattr(landing.Arrivals, "record", interrupt)
    with pytest.raises(KeyboardInterrupt):
        take(lake, inbox)
    monkeypatch.undo()
    known = RawArchive(lake).keys()
    assert (len(known), Arrivals(lake).places(known)) == (archived, {})
    take_at(lake, NOW - timedelta(days=1), inbox)
    assert state(lake) == state(undisturbed)


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_files_without_a_place_are_adopted_in_the_order_in_which_they_were_received(lake: Lake, tmp_path: Path) -> None:
    names = [NAMES[3], NAMES[1], NAMES[2]]
    moments = [NOW, NOW + timedelta(seconds=1), NOW]
    for name, now in zip(names, moments, strict=True):
        land(lake, [drop(tmp_path, name, name.encode())], now, 0)
    for path in (lake.root / "journal" / "arrivals").iterdir():
        path.unlink()
    adopt(lake)
    assert [arrival.receipt.name for arrival in pending_files(lake)] == [NAMES[2], NAMES[3], NAMES[1]]
    adopt(lake)
    assert Journal(lake).keys("arrivals") == ["00000001"]


@pytest.mark.parametrize("seed", range(6))
def test_any_history_is_that_of_its_rebuild(lake: Lake, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    pool: list[Callable[[int], bytes]] = [
        lambda number: housekeeping(number, NOON + 5 * number),
        lambda number: photon(number, NOON + 43_199 + number % 2, ticks=19_999_000, clocks=(0, 39_000)),
        lambda number: register(number, NOON + 7 * number if number % 3 else 0),
    ]
    names = rng.sample(NAMES, 12)
    while names:
        inbox = tmp_path / f"inbox {len(names)}"
        for name in [names.pop() for _ in range(min(len(names), rng.randint(1, 5)))]:
            drop(inbox, name, *(rng.choice(pool)(rng.randrange(8)) for _ in range(rng.randint(1, 12))))
        take_at(lake, NOW + timedelta(days=rng.randint(-9, 9)), inbox)
    assert read_ops(lake, "files")["duplicates"].sum() > 10
    assert (state(rebuilt(lake, tmp_path / "rebuilt")), stored_twice(lake)) == (state(lake), [])
    assert never_committed(lake) == []
