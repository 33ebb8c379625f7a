# SPDX-License-Identifier: Apache-2.0
"""Settings in TOML files: what is said of a mistake, wherever it stands, and that no value is repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from lake.errors import ConfigurationError
from lake.setting_files import Setting, known_keys, read_setting_file

SECRET = "hunter2-token"  # noqa: S105  it stands for one


class Leaf(Setting):
    """A part within a part."""

    size: int = Field(default=1, alias="how_large")


class Branch(Setting):
    """A part of a tree."""

    leaves: tuple[Leaf, ...] = ()
    first: Leaf | None = None


class Tree(Setting):
    """All of a file."""

    rows: dict[Annotated[str, Field(pattern="^[a-z]+$")], Branch] = Field(default_factory=dict)


def complaint(folder: Path, text: str | bytes) -> str:
    path = folder / "tree.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigurationError) as caught:
        read_setting_file(path, Tree, "SWXLAKE_TREE")
    assert SECRET not in str(caught.value)
    return str(caught.value).removeprefix(str(path))


def test_keys_are_known_at_any_depth() -> None:
    assert known_keys(Tree, []) == ["rows"]
    assert known_keys(Tree, ["rows", "a"]) == ["leaves", "first"]
    assert known_keys(Tree, ["rows", "a", "leaves", "0"]) == ["how_large"]
    assert known_keys(Tree, ["rows", "a", "first"]) == ["how_large"]
    assert known_keys(Tree, ["rows", "a", "leaves", "0", "how_large"]) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("row = 1", " (row): is no setting; did you mean rows?"),
        ("[rows.a.first]\nhow_big = 1", " (rows.a.first.how_big): is no setting; did you mean how_large?"),
        (f"[rows.a.first]\nhow_large = '{SECRET}'", " (rows.a.first.how_large): input should be a valid integer"),
        ("[rows.A]", " (rows.A): is no name of a row. Write small letters"),
        (f"a = {SECRET}", ": is no TOML at line 1, column 5. Correct the TOML there."),
        (b"a = '\xff'", ": byte 5 is not UTF-8. Save the file as UTF-8."),
    ],
)
def test_a_mistake_is_told_with_key_and_remedy(tmp_path: Path, text: str | bytes, words: str) -> None:
    assert complaint(tmp_path, text).startswith(words)


def test_a_file_that_is_not_there_is_named_with_its_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"No such file or directory\. Correct SWXLAKE_TREE"):
        read_setting_file(tmp_path / "tree.toml", Tree, "SWXLAKE_TREE")
