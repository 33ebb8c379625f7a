# SPDX-License-Identifier: Apache-2.0
"""Every night says what arrived and raw/ has no longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.arrivals import Arrivals
from lake.store import Journal, Lake, RawArchive, Receipt
from tests.meddea import MIXED_FILE, NOON, PHOTON_FILE, drop, empty_lake, housekeeping, photon, rows, take

EMPTY_FILE = "padreMDU8_240916122905.dat"


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Two files with packets, and one without a byte."""
    drop(tmp_path / "inbox", MIXED_FILE, housekeeping(0), housekeeping(1, NOON + 5))
    drop(tmp_path / "inbox", EMPTY_FILE)
    return drop(tmp_path / "inbox", PHOTON_FILE, photon(0)).parent


@pytest.fixture
def lake(tmp_path: Path, inbox: Path) -> Lake:
    made = empty_lake(tmp_path / "lake")
    assert take(made, inbox, run="first").lost == []
    return made


def receipt_of(lake: Lake, name: str) -> tuple[Receipt, Path]:
    """A receipt and its place."""
    archive = RawArchive(lake)
    found = [(archive.receipt(key), Path(lake.storage.uri(key))) for key in archive.keys().values()]
    (one,) = [(receipt, place) for receipt, place in found if receipt.name == name]
    return one


@pytest.mark.parametrize(("left", "was"), [(None, "is missing"), (b"abc", "has 3 bytes instead of 80")])
def test_bytes_that_are_lost_or_cut_short_are_named(lake: Lake, inbox: Path, left: bytes | None, was: str) -> None:
    receipt, _ = receipt_of(lake, MIXED_FILE)
    path = Path(lake.storage.uri(RawArchive(lake).bytes_key(receipt)))
    path.unlink()
    if left is not None:
        path.write_bytes(left)
    remedy = f"Put {MIXED_FILE} into the inbox again, or restore it from a backup."
    assert take(lake, run="second").lost == [f"{path}: {was} ({MIXED_FILE}). {remedy}"]
    assert take(lake, inbox, run="third").lost == []


def test_a_receipt_that_is_lost_is_named_and_comes_back_in_its_place(lake: Lake, inbox: Path) -> None:
    receipt, path = receipt_of(lake, MIXED_FILE)
    arrivals, before = Journal(lake).entries("arrivals"), rows(lake, "l0_housekeeping")
    path.unlink()
    (line,) = take(lake, run="second").lost
    assert line.startswith(f"receipt {receipt.key} of {MIXED_FILE}: is not in raw/, though the file arrived: ")
    again = take(lake, inbox, run="third")
    assert (again.lost, again.files, len(again.landed.new)) == ([], 0, 1)
    assert (path.exists(), Journal(lake).entries("arrivals")) == (True, arrivals)
    assert rows(lake, "l0_housekeeping").equals(before)


def test_the_journal_tells_of_a_receipt_that_the_books_do_not_know(lake: Lake) -> None:
    receipt, path = receipt_of(lake, MIXED_FILE)
    path.unlink()
    Path(lake.table_uri(lake.ops("files"))).rename(Path(lake.root) / "away")
    (line,) = take(lake, run="second").lost
    assert line.startswith(f"receipt {receipt.key} of a file whose name is not known: is not in raw/")


def test_the_journal_is_read_only_if_it_counts_more_than_there_is(lake: Lake, tmp_path: Path) -> None:
    for second in range(3):
        take(lake, drop(tmp_path / "later", f"padreMDU8_2409161300{second:02}.dat", housekeeping(9 + second)))
    arrivals = Arrivals(lake)
    assert arrivals.lost(RawArchive(lake).keys().keys()) == set()
    assert list(arrivals.entries) == [4]


def test_a_journal_that_cannot_be_read_is_a_line_and_stops_nothing(lake: Lake) -> None:
    path = Path(lake.root) / "journal/arrivals/00000001.json"
    path.write_bytes(b"\xff")
    (line,) = take(lake, run="second").lost
    assert line.startswith(f"{path}: is no readable entry")
