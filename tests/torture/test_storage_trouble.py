# SPDX-License-Identifier: Apache-2.0
"""Disks that fail, are full or may only be read, and telemetry delivered in any order.

`python -m bench.torture --only failing --only disks --only delivery` does more of it.
"""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest

from bench.torture import delivery, disks
from bench.torture.calls import watching
from bench.torture.failing import Fail, refusal, trial
from bench.torture.scenes import Scene, clean_night


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return clean_night(tmp_path_factory.mktemp("trouble"))


@pytest.mark.parametrize(("share", "seed"), [(0.1, 1), (0.004, 2), (0.002, 3)])
def test_a_night_on_a_failing_disk_says_so_and_is_completed_later(scene: Scene, share: float, seed: int) -> None:
    assert trial(scene, scene.folder, share, seed).problem == ""


def test_a_night_on_a_full_disk_says_so_and_is_completed_on_a_larger_one(scene: Scene) -> None:
    try:
        assert disks.full(scene, scene.folder, 0.6) == ""
    except disks.RefusedError as error:
        pytest.skip(str(error))


def test_a_night_that_may_only_read_a_folder_says_so(scene: Scene) -> None:
    try:
        assert disks.read_only(scene, scene.folder, "tables") == ""
    except disks.RefusedError as error:
        pytest.skip(str(error))


def test_the_order_of_delivery_does_not_matter(tmp_path: Path) -> None:
    assert delivery.differences(tmp_path, 1, random.Random(1)) == []


def test_jumps_of_the_clock_do_not_matter() -> None:
    assert delivery.jumps() == ""


# ---- the disturbance itself ----------------------------------------------------------------------------------------
def test_every_change_below_a_folder_is_seen_and_nothing_else(tmp_path: Path) -> None:
    seen: list[str] = []
    (tmp_path / "other").mkdir()
    with watching(tmp_path / "lake", seen.append):
        (tmp_path / "lake").mkdir()
        (tmp_path / "lake" / "a").write_text("1")
        (tmp_path / "lake" / "a").read_text()
        (tmp_path / "lake" / "a").rename(tmp_path / "lake" / "b")
        (tmp_path / "other" / "c").write_text("1")
        (tmp_path / "lake" / "b").unlink()
    (tmp_path / "lake" / "d").write_text("1")
    assert seen == ["os.mkdir", "open for writing", "os.rename", "os.remove"]


def test_what_is_raised_comes_out_of_the_call(tmp_path: Path) -> None:
    with watching(tmp_path, Fail(1.0, 1)), pytest.raises(OSError, match="Input/output error") as refused:
        (tmp_path / "a").write_text("1")
    assert refused.value.errno == errno.EIO
    assert not (tmp_path / "a").exists()
    assert "Input/output error" in str(refusal("DeltaTable.create"))
