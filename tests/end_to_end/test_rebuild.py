# SPDX-License-Identifier: Apache-2.0
"""raw/ and journal/ are the truth: whatever has happened, a night from these two alone gives the same lake."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from bench.torture.state import data_state, in_order, newest_products, table_state
from lake.config import Settings
from lake.ledger import read_ops, standing_checks
from lake.store import Lake
from swxlake import night as night_stage
from swxlake.night import ingest
from tests.kept_lake import HK_FILES, L1, Look, look, night, packets, root_of, strip
from tests.meddea import NOON, PHOTON_FILE, drop, photon, rows

HISTORY = ("ops.checks", "ops.metrics", "ops.exports")  # rows about earlier contents, and of each version, stay
TWIN = "padreMDU8_240916140000.dat"


@pytest.fixture
def eventful(kept: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """After a late file with repeated packets: the same bytes under another name, other bytes under the same name, a
    photon file with a repetition and damage, all of them taken in while the clock was set back by years.
    """
    inbox = tmp_path / "inbox"
    drop(inbox, TWIN, *packets(NOON))
    drop(inbox, HK_FILES[1], *packets(NOON, 8))
    drop(inbox, PHOTON_FILE, photon(2, NOON + 2), b"junk", photon(3, NOON + 3))
    monkeypatch.setattr(night_stage, "utc_now", lambda: datetime(2024, 10, 1, tzinfo=UTC))
    taken = ingest(kept, Settings(root=kept.root, settle_seconds=0), [inbox])
    assert len(taken.problems) == 3  # two revisions, one stretch of junk
    monkeypatch.undo()
    assert night(kept).exit_code == 0
    return kept


def test_a_rebuild_gives_equal_tables_books_and_product_bytes(eventful: Lake, tmp_path: Path) -> None:
    rebuilt = strip(Lake(Path(shutil.copytree(root_of(eventful), tmp_path / "rebuilt")), eventful.definitions))
    assert night(rebuilt).problems  # the junk is told again
    for name, frame in data_state(eventful).items():
        assert frame.equals(data_state(rebuilt)[name]), name
    states = table_state(eventful), table_state(rebuilt)
    for name in states[0].keys() - data_state(eventful).keys() - set(HISTORY):
        assert states[0][name].equals(states[1][name]), f"{name}:\n{states[0][name]}\n{states[1][name]}"
    assert in_order(standing_checks(eventful)).equals(in_order(standing_checks(rebuilt)))
    assert newest_products(rebuilt) == newest_products(eventful)


def test_the_history_had_repetitions_revisions_and_versions(eventful: Lake) -> None:
    files = read_ops(eventful, "files").sort("arrival").select("name", "duplicates", "revision")
    assert [row for row in files.iter_rows() if row[1] or row[2] > 1] == [
        ("padreMDU8_240916130000.dat", 2, 1),
        (PHOTON_FILE, 1, 2),
        (TWIN, 6, 1),
        (HK_FILES[1], 2, 2),
    ]
    versions = [key.rpartition("_v")[2] for key in newest_products(eventful) if "housekeeping_20240916" in key]
    assert versions == ["1.0.2.cdf"]
    assert rows(eventful, "l1_housekeeping").height == 20


def test_the_rebuilt_lake_is_healthy_and_so_was_the_other(eventful: Lake) -> None:
    assert look(eventful) == Look([], [])
    night(strip(eventful))
    found = look(eventful)
    lost = "is missing, and the release first has it. Restore it from a backup, or make it again with"
    assert [lost in problem for problem in found.problems] == [True, True]  # each has a newer version now
    older, of_release = "an older version that is not in exports/", "release first: "
    assert all(older in note or note.startswith(of_release) for note in found.notes)
    assert sum(older in note for note in found.notes) == 3


def test_every_row_of_level_1_descends_from_the_file_that_arrived_first(eventful: Lake) -> None:
    """The clock was set back, so that by their times of arrival the last files would be the first."""
    flagged = rows(eventful, "l0_housekeeping").filter(pl.col("quality_flag") & 2 != 0)
    first = read_ops(eventful, "files").sort("arrival")["file_sha256"][0]
    assert first not in flagged["file_sha256"].to_list()
    assert L1 == "padre.meddea_l1_housekeeping"
