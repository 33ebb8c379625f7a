# SPDX-License-Identifier: Apache-2.0
"""Places of a mirror: whoever is gone at the source, or goes elsewhere by now, keeps no other file from its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lake.ways.folder import FolderTransport
from tests.exports.mirror.place import Stage

OLD, NEW = "l1/2024/x_20240916_v1.0.0.cdf", "l1/2024/09/x_20240916_v1.0.0.cdf"
NAME = "x_20240916_v1.0.0.cdf"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    (tmp_path / "source").mkdir()
    return Stage(tmp_path / "source", tmp_path / "mirror")


@pytest.mark.parametrize("is_told", [False, True], ids=["listed", "told of"])
def test_a_file_that_moved_at_the_source_takes_the_place_that_it_had(stage: Stage, is_told: bool) -> None:
    stage.takes({"flat": True})
    stage.put(OLD, b"old")
    stage.round()
    stage.there.remove(OLD)
    stage.put(NEW, b"new bytes")
    done = stage.round(frozenset({NEW}) if is_told else None)
    assert (done.problems, done.brought, done.aside) == ([], [NAME], [])
    assert stage.files() == {NAME: b"new bytes"}
    assert list(stage.state().files) == [NEW]
    again = stage.round()
    assert (again.problems, again.up_to_date, again.gone) == ([], 1, 0)
    assert {one["path"] for one in stage.receipts()} == {OLD, NEW}


def test_a_file_that_moved_and_cannot_be_fetched_costs_nothing_that_is_here(stage: Stage) -> None:
    stage.takes({"paths": ("l1/*",), "flat": True})
    stage.put(OLD, b"old")
    stage.round()
    stage.there.remove(OLD)
    stage.put(NEW, b"new bytes")
    stage.manifest("b1", stage.added(NEW, b"others"))
    assert stage.round().failed == 1
    assert stage.files()[NAME] == b"old"
    assert list(stage.state().files) == [OLD]


def test_files_that_change_places_by_the_settings_are_brought_and_none_is_put_aside(stage: Stage) -> None:
    for places in (("one", "two"), ("two", "one")):
        stage.takes(*({"paths": (f"{name}/*",), "into": into, "flat": True} for name, into in zip("ab", places)))  # noqa: B905
        stage.put("a/x", b"A")
        stage.put("b/x", b"B")
        done = stage.round()
        assert (done.problems, done.aside) == ([], [])
        assert stage.files() == {f"{places[0]}/x": b"A", f"{places[1]}/x": b"B"}
    assert (stage.round().up_to_date, len(stage.state().files)) == (2, 2)


def test_a_file_that_is_there_keeps_its_place(stage: Stage) -> None:
    stage.takes({"flat": True})
    stage.put("b/x.txt", b"b")
    stage.round()
    stage.put("a/x.txt", b"a")
    for paths in (frozenset({"a/x.txt"}), None):
        done = stage.round(paths)
        assert done.problems == [
            "a/x.txt and b/x.txt would both be x.txt. Correct `into` or `flat`; the second one is not taken."
        ]
        assert stage.files() == {"x.txt": b"b"}


def test_what_the_listing_passes_over_is_told_and_a_folder_that_is_hidden_is_not_gone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.put("private/a.txt", b"a")
    stage.put("b.txt", b"b")
    stage.round()
    (Path(str(stage.root)) / "link.txt").symlink_to("b.txt")
    listing = FolderTransport.entries

    def entries(way: FolderTransport, folder: str = "") -> Any:
        for found in listing(way, folder):
            if not found.path.startswith("private/"):
                yield found
        way.refused.note("private", "cannot be looked at", is_folder=True)

    monkeypatch.setattr(FolderTransport, "entries", entries)
    done = stage.round()
    assert done.problems == ["mirror: private: cannot be looked at. The others are listed nevertheless."]
    assert done.notes == ["link.txt is no regular file; remove it; it is not taken"]
    assert (done.up_to_date, done.gone, done.is_complete) == (1, 0, True)
