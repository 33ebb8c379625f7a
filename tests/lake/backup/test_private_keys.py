# SPDX-License-Identifier: Apache-2.0
"""Restoring and reading an encrypted copy: one that is damaged, and one whose key is not at hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lake.backup.settings import Place
from lake.errors import ConfigurationError
from lake.store import Lake
from tests.kept_lake import flip
from tests.lake.backup.copies import (
    KEY,
    OTHER_KEY,
    archive,
    copied,
    held,
    objects_at,
    restored,
    sealed_place,
    tiny_lake,
    verified,
)

CONTENT = bytes(range(256)) * 400  # of more than one chunk of age, 64 KiB


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return tiny_lake(tmp_path)


@pytest.fixture
def place(lake: Lake, tmp_path: Path) -> Place:
    """An encrypted copy of the lake."""
    archive(lake, tmp_path, CONTENT, "toyB0_240917000000.dat")
    place = sealed_place(tmp_path / "vault")
    copied(lake, place)
    return place


def largest(tmp_path: Path) -> Path:
    """The object of the raw file above."""
    return max(objects_at(tmp_path / "vault"), key=lambda path: path.stat().st_size)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: flip(path, 3000),
        lambda path: flip(path, 70),  # within what says which keys open it
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:50]),
        lambda path: path.write_bytes(path.read_bytes() + b"x"),
        lambda path: path.write_bytes(b""),
    ],
    ids=["flipped", "flipped header", "cut", "cut header", "longer", "empty"],
)
def test_a_damaged_object_is_named_with_its_file_and_all_others_are_restored(
    lake: Lake, place: Place, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    path = largest(tmp_path)
    damage(path)
    (key,) = (one for one in held(lake) if path.name.startswith(one.rpartition("/")[2]))
    done = restored(place, tmp_path / "new")
    where = path.relative_to(tmp_path / "vault").as_posix()
    assert done.problems == [f"{key}: {where} cannot be decrypted, it has changed; it is not restored"]
    whole = held(Lake(tmp_path / "new", lake.definitions))
    assert whole == {name: content for name, content in held(lake).items() if name != key}


def test_a_key_that_opens_nothing_is_one_mistake_and_nothing_is_written(place: Place, tmp_path: Path) -> None:
    flip(objects_at(tmp_path / "vault")[0], 30)
    (tmp_path / "key").write_text(str(OTHER_KEY))
    for refused in (lambda: restored(place, tmp_path / "new"), lambda: verified(place, deep=True)):
        with pytest.raises(ConfigurationError, match="backup vault: this key opens nothing of it"):
            refused()
    assert not (tmp_path / "new").exists()
    assert verified(place).objects > 0, "without its key it can be looked at all the same"


def test_damage_where_the_first_objects_are_hides_no_key(place: Place, tmp_path: Path) -> None:
    for path in objects_at(tmp_path / "vault"):
        if path != largest(tmp_path):
            path.write_bytes(b"")
    done = restored(place, tmp_path / "new")
    assert done.files == 1


def test_a_key_is_asked_for_as_it_can_be_given(place: Place, tmp_path: Path) -> None:
    absent = place.model_copy(update={"identity_file": None})
    for what, wrong in (
        ("Give --identity-file, or identity_file or identity_env in backup.toml", absent),
        (r"the private key .*/no-key: No such file or directory\. Correct it", place.opened_by(tmp_path / "no-key")),
    ):
        with pytest.raises(ConfigurationError, match=what):
            restored(wrong, tmp_path / "new")
        with pytest.raises(ConfigurationError, match=what):
            verified(wrong, deep=True)
    (tmp_path / "other").write_text(str(KEY))
    assert verified(absent.opened_by(tmp_path / "other"), deep=True).bad == []
