# SPDX-License-Identifier: Apache-2.0
"""A thousand seeded mutations of the real files: no crash, every byte accounted for, and the intact packets survive.

`python -m bench.torture --only damage` does it with ten thousand.
"""

from __future__ import annotations

import random
from pathlib import Path

import polars as pl
import pytest

from bench.torture.damage import damage, originals
from bench.torture.mutations import MUTATIONS, mutate, places, repeat
from lake.ledger import read_ops
from tests.meddea import REAL, drop, empty_lake, take, unbalanced
from transforms.engine import build_all

pytestmark = [
    pytest.mark.telemetry,
    pytest.mark.skipif(not REAL.is_dir(), reason=f"no telemetry in {REAL}; set SWXLAKE_TELEMETRY"),
]


@pytest.mark.parametrize("block", range(4))
def test_a_mutated_file_is_decoded_but_for_its_damaged_packets(block: int) -> None:
    done = damage(originals(REAL), range(block * 250, block * 250 + 250))
    assert (done.crashed, done.unbalanced, done.wrong, done.too_many_lost) == ([], [], [], [])
    assert (done.files, done.intact > 750) == (250, True)


def test_mutated_files_go_through_a_real_lake(tmp_path: Path) -> None:
    lake = empty_lake(tmp_path / "lake")
    files = {mutate(originals(REAL), seed)[1] for seed in range(5000, 5040)}
    for number, data in enumerate(sorted(files)):
        drop(tmp_path / "inbox", f"padreMDU8_2409161200{number:02}.dat", data)
    intake = take(lake, tmp_path / "inbox")
    assert (intake.files, unbalanced(lake)) == (len(files), [])
    held = read_ops(lake, "quarantine").group_by("file_sha256").agg(pl.col("bytes").sum()).rows()
    stated = read_ops(lake, "files").filter(pl.col("bytes_quarantined") > 0)
    assert dict(stated.select("file_sha256", "bytes_quarantined").rows()) == dict(held)
    assert build_all(lake, "build").failed == []
    assert take(lake, tmp_path / "inbox").landed.known == len(files)


# ---- the mutations themselves --------------------------------------------------------------------------------------
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_mutation_is_the_same_for_the_same_seed_and_changes_the_file(mutation) -> None:
    original = bytes(range(256)) * 40
    one, other = bytearray(original), bytearray(original)
    mutation(one, random.Random(1))
    mutation(other, random.Random(1))
    assert one == other != original


def test_a_repeated_stretch_occurs_twice() -> None:
    data = bytearray(range(100))
    repeat(data, random.Random(2))
    extra = len(data) - 100
    assert extra > 0
    assert any(list(places(bytes(data), bytes(range(at, at + extra))))[1:] for at in range(101 - extra))
