# SPDX-License-Identifier: Apache-2.0
"""doctor, status, fsck and maintain on a lake in object storage."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lake.config import Settings
from lake.maintenance import maintain
from lake.storage_s3 import Bucket
from lake.store import Lake
from swxlake.doctor import examine
from swxlake.night import ingest
from swxlake.status import lake_status
from tests.kept_lake import HK_FILES, Look, look, packets
from tests.meddea import DEFINITIONS, NOON, drop, rows


def test_the_doctor_sees_that_an_endpoint_honours_conditional_writes_and_leaves_nothing(s3_root: str) -> None:
    lake = Lake(s3_root, DEFINITIONS)
    outcome = examine(lake)
    assert outcome.problems == []
    assert outcome.facts["storage"] == f"{s3_root}: writable, honours conditional writes"
    assert list(lake.storage.entries("")) == []


def test_the_doctor_warns_of_an_endpoint_that_ignores_them(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def overwrites(self: Bucket, key: str, source: bytes | Path, mode: int = 0o644) -> bool:
        self.put(key, source, mode)
        return True

    monkeypatch.setattr(Bucket, "put_new", overwrites)
    lake = Lake(s3_root, DEFINITIONS)
    (problem,) = examine(lake).problems
    assert problem.startswith(f"storage: {s3_root}: the endpoint ignores conditional writes (If-None-Match)")
    assert list(lake.storage.entries("")) == []


def test_fsck_names_what_is_wrong_and_maintenance_changes_no_row(tmp_path: Path, s3_root: str) -> None:
    lake = Lake(s3_root, DEFINITIONS)
    drop(tmp_path / "inbox", HK_FILES[0], *packets(NOON))
    assert ingest(lake, Settings(root=lake.root, settle_seconds=0), [tmp_path / "inbox"]).exit_code == 0
    assert look(lake) == Look([], [])
    assert lake_status(lake).facts["lake"] == s3_root
    before = rows(lake, "l0_housekeeping")
    maintain(lake, now=time.time() + 8 * 86_400)
    assert rows(lake, "l0_housekeeping").equals(before)
    assert look(lake) == Look([], [])
    raw = next(e.key for e in lake.storage.entries("raw/") if not e.key.endswith(".json"))
    lake.storage.put(raw, b"x" * 240)
    (problem,) = look(lake).problems
    assert problem.startswith(f"{s3_root}/{raw}: has changed: its sha256 is ")
    assert look(lake, quick=True).problems == []
    assert "archive" in examine(lake).facts
    lake.storage.remove(raw)
    assert f"archive: {s3_root}/{raw}: is missing or cut short." in examine(lake).problems[0]
