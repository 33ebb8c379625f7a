# SPDX-License-Identifier: Apache-2.0
"""`swxlake maintain` tells what it cannot keep, and mends the note of the newest checkpoint."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from lake.store import Lake
from swxlake.maintain import run_maintenance
from tests.lake.test_maintenance import make_release, write_day
from tests.toy import L1, toy_lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = toy_lake(tmp_path)
    write_day(made, 1, 2)
    return made


def place(lake: Lake) -> Path:
    return Path(lake.table_uri(lake.definitions.tables[L1]))


def test_a_release_that_can_no_longer_be_read_is_a_note(lake: Lake) -> None:
    make_release(lake, "first")
    assert run_maintenance(lake, dry_run=True).notes == []
    shutil.rmtree(place(lake))
    write_day(lake, 3)
    left = place(lake) / "left.parquet"
    left.write_bytes(b"")
    os.utime(left, (0, 0))  # only where something may go is it asked who needs it
    outcome = run_maintenance(lake)
    (note,) = outcome.notes
    assert note.startswith(f"{L1}: was made anew since first")
    assert outcome.exit_code == 0  # for ever after, if it were a problem: a release is never changed


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"version": null}'])
def test_a_damaged_note_of_the_newest_checkpoint_is_written_anew(lake: Lake, damage: bytes) -> None:
    note = place(lake) / "_delta_log/_last_checkpoint"
    note.write_bytes(damage or b" ")
    outcome = run_maintenance(lake)
    assert (outcome.problems, outcome.facts["maintain"]["checkpoints"]) == ([], 1)
    assert json.loads(note.read_text())["version"] >= 1
