# SPDX-License-Identifier: Apache-2.0
"""A night may be repeated, killed anywhere and repeated again: the lake ends the same.

`python -m bench.torture --only kills` does it at five hundred points.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bench.torture import kills
from bench.torture.kills import Point, points, suffer
from bench.torture.scenes import Scene, workshop
from bench.torture.state import product_state, table_state, unlike


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kills")


@pytest.fixture(scope="module")
def scenes(folder: Path) -> dict[str, Scene]:
    return workshop(folder)


@pytest.fixture(scope="module")
def chosen(scenes: dict[str, Scene]) -> list[Point]:
    return points(scenes, short=True, rng=random.Random(4))


def commits(root: Path) -> list[str]:
    """Commits to all tables but the diary of the nights."""
    found = (path.relative_to(root).as_posix() for path in root.rglob("_delta_log/*.json"))
    return sorted(name for name in found if not name.startswith("tables/ops/nights/"))


def test_the_night_twice_is_the_night_once(scenes: dict[str, Scene], tmp_path: Path) -> None:
    scene = scenes["first night"]
    root = scene.prepare(tmp_path / "lake")
    scene.run(root)
    lake = scene.lake(root)
    tables, products = table_state(lake), product_state(lake)
    versions = commits(root)
    assert not scene.run(root, kills.LATER).traceback
    assert product_state(lake) == products
    assert commits(root) == versions
    assert all(frame.equals(tables[name]) for name, frame in table_state(lake).items())
    assert unlike(lake, scene.lake(scene.undisturbed)) == ""


def test_two_processes_make_the_same_lake_as_one(scenes: dict[str, Scene]) -> None:
    first, workers = scenes["first night"], scenes["two workers"]
    assert unlike(first.lake(first.undisturbed), workers.lake(workers.undisturbed)) == ""


@pytest.mark.parametrize("number", range(kills.POINTS_SHORT))
def test_a_killed_command_that_is_repeated_ends_like_an_undisturbed_one(
    chosen: list[Point], folder: Path, number: int
) -> None:
    point = chosen[number]
    result = suffer(point, folder)
    assert result.problem == "", str(point)
    assert result.killed or not point.call
