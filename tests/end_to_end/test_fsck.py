# SPDX-License-Identifier: Apache-2.0
"""fsck names every difference between raw files, journal, ops tables and tables, and none in a healthy lake."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from lake.ledger import read_ops
from lake.store import Lake
from lake.tables import append_ops, replace_ops
from tests.kept_lake import DAYS, HK_FILES, L0, L1, LATE_FILE, Look, flip, look, night, only, root_of


def sha256_named(lake: Lake, name: str) -> str:
    return str(read_ops(lake, "files").filter(pl.col("name") == name)["file_sha256"][0])


def raw(lake: Lake, name: str) -> Path:
    return only(lake, f"raw/*/*/*/{sha256_named(lake, name)}")


def receipt(lake: Lake, name: str) -> Path:
    return only(lake, f"raw/*/*/*/{sha256_named(lake, name)}-*.json")


def latest(lake: Lake, ops: str, **where: object) -> dict[str, object]:
    """The newest row of an ops table, to be written again with a change."""
    return read_ops(lake, ops).filter(**where).sort("run_id").row(-1, named=True) | {"run_id": "9"}


# ---- healthy ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("quick", [False, True])
def test_a_healthy_lake_has_no_difference_and_nothing_worth_a_note(healthy: Lake, quick: bool) -> None:
    assert look(healthy, quick) == Look([], [])


def test_what_the_remedies_of_a_night_mend_is_mended(kept: Lake) -> None:
    shutil.rmtree(root_of(kept) / "tables/padre/meddea_l0_housekeeping")
    shutil.rmtree(root_of(kept) / "tables/padre/meddea_l1_photon")
    assert look(kept).problems
    night(kept)
    found = look(kept)
    assert found.problems == []
    assert all(note.startswith("release first: ") and "made anew since" in note for note in found.notes)
    assert len(found.notes) == 2


# ---- raw files -------------------------------------------------------------------------------------------------------
def test_a_raw_file_with_a_flipped_bit_is_named_but_not_by_a_quick_look(kept: Lake) -> None:
    path = raw(kept, HK_FILES[0])
    flip(path)
    (problem,) = look(kept).problems
    assert problem.startswith(f"{path}: has changed: its sha256 is ")
    assert problem.endswith(f"({HK_FILES[0]}). Put {HK_FILES[0]} into the inbox again, or restore it from a backup.")
    assert look(kept, quick=True).problems == []


@pytest.mark.parametrize("quick", [False, True])
def test_a_raw_file_that_was_cut_or_is_missing_is_named(kept: Lake, quick: bool) -> None:
    path, other = raw(kept, HK_FILES[0]), raw(kept, HK_FILES[1])
    path.unlink()
    content = other.read_bytes()
    other.chmod(0o644)
    other.write_bytes(content[:50])
    found = look(kept, quick)
    assert f"is missing ({HK_FILES[0]})" in found.about(str(path))
    assert f"has 50 bytes instead of {len(content)}" in found.about(str(other))
    assert len(found.problems) == 2


def test_bytes_without_a_receipt_are_named_and_so_is_all_that_rests_on_it(kept: Lake) -> None:
    bare, path = raw(kept, HK_FILES[1]), receipt(kept, HK_FILES[1])
    path.unlink()
    found = look(kept)
    assert "has no receipt" in found.about(str(bare))
    assert "not in raw/" in found.about(f"ops.files: {HK_FILES[1]}")
    assert "which raw/ lacks" in found.about(str(only(kept, "journal/arrivals/00000001.json")))
    assert "housekeeping_20240917_v1.0.0 was made from it" in found.about(f"receipt {path.stem}")
    assert len(found.problems) == 4


def test_a_receipt_that_cannot_be_read_is_named(kept: Lake) -> None:
    path = receipt(kept, HK_FILES[0])
    path.write_text("{")
    assert "is no readable receipt" in look(kept).about(str(path))


def test_a_receipt_in_the_wrong_place_is_named(kept: Lake) -> None:
    path = receipt(kept, HK_FILES[0])
    moved = path.with_name(f"{'0' * 64}-000000000000.json")
    path.rename(moved)
    assert "which has another place" in look(kept).about(str(moved))


def test_what_is_neither_raw_file_nor_receipt_is_named(kept: Lake) -> None:
    path = root_of(kept) / "raw/padre/notes.txt"
    path.write_text("mine")
    (root_of(kept) / "notes.txt").write_text("mine")
    assert "is neither raw file nor receipt" in look(kept).about(str(path))
    assert "is no part of a lake" in look(kept).about(str(root_of(kept) / "notes.txt"))


# ---- the order of arrival --------------------------------------------------------------------------------------------
def test_a_lost_entry_of_the_order_of_arrival_is_named(kept: Lake) -> None:
    first, second = root_of(kept) / "journal/arrivals/00000001.json", root_of(kept) / "journal/arrivals/00000002.json"
    first.unlink()
    found = look(kept)
    assert "begins at place 4 instead of 1" in found.about(str(second))
    assert sum("has no place in journal/arrivals" in problem for problem in found.problems) == 3


def test_a_receipt_that_arrived_twice_is_named(kept: Lake) -> None:
    path = root_of(kept) / "journal/arrivals/00000002.json"
    content = json.loads(path.read_text())
    other = receipt(kept, HK_FILES[0]).stem
    path.write_text(json.dumps(content | {"receipts": [*content["receipts"], other]}))
    assert f"names the receipt {other}, which another entry names too" in look(kept).about(str(path))


# ---- ops.files and ops.quarantine ------------------------------------------------------------------------------------
def test_a_raw_file_that_the_books_do_not_know_is_named(kept: Lake) -> None:
    replace_ops(kept, "files", [], f"name = '{LATE_FILE}'")
    (problem,) = look(kept).problems
    assert problem.startswith(f"ops.files: {LATE_FILE}: has no row, but the receipt ")
    assert problem.endswith("Run `swxlake ingest`.")


def test_books_about_a_raw_file_that_do_not_fit_it_are_named(kept: Lake) -> None:
    row = latest(kept, "files", name=HK_FILES[0])
    append_ops(kept, "files", [row | {"bytes": 1000, "bytes_decoded": 240}])
    problems = look(kept).problems
    assert [problem.partition(". ")[0] for problem in problems] == [
        f"ops.files: {HK_FILES[0]}: bytes is 1000, the receipt has 240",
        f"ops.files: {HK_FILES[0]}: 240 bytes decoded and 0 quarantined do not make up 1000",
    ]


def test_a_place_or_a_time_of_arrival_other_than_the_truth_is_named(kept: Lake) -> None:
    row = latest(kept, "files", name=HK_FILES[0])
    append_ops(kept, "files", [row | {"arrival": 7, "received_at": datetime(2024, 9, 16, tzinfo=UTC)}])
    time, place = look(kept).problems
    start = f"ops.files: {HK_FILES[0]}: "
    assert time.startswith(f"{start}received_at is 2024-09-16T00:00:00+00:00, the receipt has {row['received_at']:%Y-}")
    assert place.startswith(f"{start}arrival is 7, journal/arrivals has place {row['arrival']}. Run ")


def test_quarantined_bytes_that_do_not_add_up_are_named(kept: Lake) -> None:
    sha256 = sha256_named(kept, HK_FILES[0])
    stretch = {"byte_offset": 0, "bytes": 9, "reason": "JUNK", "detail": "", "packets": 0, "run_id": "9"}
    append_ops(kept, "quarantine", [stretch | {"file_sha256": sha256, "name": HK_FILES[0]}])
    (problem,) = look(kept).problems
    assert problem.startswith(f"ops.quarantine: {HK_FILES[0]}: 9 bytes are listed, ops.files says 0. ")


# ---- level 0 ---------------------------------------------------------------------------------------------------------
def test_rows_that_the_books_do_not_know_are_named(kept: Lake) -> None:
    row = latest(kept, "contents", table_name=L0, day=DAYS[1])
    append_ops(kept, "contents", [row | {"rows": 7}])
    (problem,) = look(kept).problems
    sha256 = sha256_named(kept, HK_FILES[1])
    assert problem.startswith(f"{L0}@{DAYS[1]}: has 6 rows of the raw file {sha256}, ops.contents says 7. Run ")


def test_a_level_0_table_that_is_gone_is_named(kept: Lake) -> None:
    shutil.rmtree(root_of(kept) / "tables/padre/meddea_l0_housekeeping")
    found = look(kept)
    assert sorted(found.places) == [f"{L0}@{DAYS[0]}", f"{L0}@{DAYS[0]}", f"{L0}@{DAYS[1]}"]
    assert "went with a table that is not there any more" in found.problems[0]


# ---- Parquet files ---------------------------------------------------------------------------------------------------
def test_a_bit_flipped_in_a_table_is_found_by_the_checksum_of_its_page(kept: Lake) -> None:
    path = only(kept, f"tables/padre/meddea_l0_housekeeping/day={DAYS[1]}/*.parquet")
    flip(path, 100)
    assert "CRC checksum verification failed" in look(kept).about(str(path))


@pytest.mark.parametrize("quick", [False, True])
def test_a_parquet_file_that_is_missing_or_cut_is_named(kept: Lake, quick: bool) -> None:
    missing = only(kept, f"tables/padre/meddea_l1_housekeeping/day={DAYS[1]}/*.parquet")
    cut = only(kept, f"tables/padre/meddea_l0_housekeeping/day={DAYS[1]}/*.parquet")
    missing.unlink()
    cut.write_bytes(cut.read_bytes()[:100])
    found = look(kept, quick)
    assert "is missing. Remove " in found.about(str(missing))
    assert "has 100 bytes instead of " in found.about(str(cut))
    assert found.places[2:] == ["release first", "release first"]


def test_a_file_that_no_version_names_is_a_note_with_its_age(kept: Lake) -> None:
    named = only(kept, f"tables/padre/meddea_l1_housekeeping/day={DAYS[1]}/*.parquet")
    left = named.with_name("part-left.parquet")
    left.write_bytes(b"half")
    found = look(kept)
    assert found.problems == []
    assert found.notes == [f"{left}: no version of {L1} names it, 0.0 days old; `swxlake maintain` removes it in time"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]\n"])
def test_a_log_that_cannot_be_read_hides_no_other_difference(kept: Lake, content: bytes) -> None:
    place = root_of(kept) / "tables/padre/meddea_l0_photon"
    (place / "_delta_log/00000000000000000000.json").write_bytes(content)
    flip(raw(kept, HK_FILES[0]))
    row = latest(kept, "runs", table_name=L1, day=DAYS[1])
    append_ops(kept, "runs", [row | {"content": "0" * 64}])
    found = look(kept)
    assert f"Remove {place}; the next night makes the table again." in found.about(str(place))
    assert "has changed" in found.about(str(raw(kept, HK_FILES[0])))
    assert "the bytes of part-" in found.about(f"{L1}@{DAYS[1]}")
    assert set(found.places) <= {str(place), str(raw(kept, HK_FILES[0])), f"{L1}@{DAYS[1]}", "release first"}


def test_what_is_no_part_of_a_table_is_named(kept: Lake) -> None:
    path = root_of(kept) / "tables/padre/meddea_l1_housekeeping/readme.txt"
    path.write_text("mine")
    (root_of(kept) / "tables/padre/other").mkdir()
    (root_of(kept) / "tables/padre/other/a.parquet").write_bytes(b"")
    found = look(kept)
    assert found.places == [str(path)]
    assert "no definition names this table" in found.notes[0]


def test_an_ops_table_that_cannot_be_read_is_named_and_not_compared(kept: Lake) -> None:
    path = sorted((root_of(kept) / "tables/ops/files").glob("*.parquet"))[0]
    path.write_bytes(path.read_bytes()[:20])
    found = look(kept)
    assert found.places[:2] == [str(path), str(root_of(kept) / "tables/ops/files")]
    assert found.notes == ["the ops tables cannot be read, so nothing was compared with them"]


# ---- runs ------------------------------------------------------------------------------------------------------------
def test_a_day_that_no_run_has_written_is_named(kept: Lake) -> None:
    replace_ops(kept, "runs", [], f"table_name = '{L1}' AND day = '{DAYS[1]}'")
    (problem,) = look(kept).problems
    assert problem.startswith(f"{L1}@{DAYS[1]}: holds part-")
    assert ", which no run in ops.runs has written. Run `swxlake transform`" in problem


def test_rows_other_than_those_that_were_written_are_named(kept: Lake) -> None:
    row = latest(kept, "runs", table_name=L1, day=DAYS[1])
    append_ops(kept, "runs", [row | {"content": "0" * 64}])
    (problem,) = look(kept).problems
    assert problem.startswith(f"{L1}@{DAYS[1]}: the bytes of part-")
    assert look(kept, quick=True).problems == []


def test_a_built_table_that_is_gone_is_named(kept: Lake) -> None:
    shutil.rmtree(root_of(kept) / "tables/padre/meddea_l1_housekeeping")
    found = look(kept)
    assert found.places == [f"{L1}@{DAYS[0]}", f"{L1}@{DAYS[1]}"]
    assert "holds no file any more, but " in found.problems[1]
    assert " wrote 6 rows" in found.problems[1]
