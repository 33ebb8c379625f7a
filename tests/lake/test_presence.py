# SPDX-License-Identifier: Apache-2.0
"""A lake that was found and is gone is noticed, and so is another one in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake.errors import StorageError
from lake.presence import Presence
from tests.meddea import empty_lake


def test_a_lake_that_is_gone_or_another_one_is_an_error_until_it_is_back(tmp_path: Path) -> None:
    root = tmp_path / "lake"
    presence = Presence(empty_lake(root))
    presence.check()  # it need not be there yet
    root.mkdir()
    presence.check()
    root.rename(tmp_path / "away")
    with pytest.raises(StorageError, match="is gone, or another one is in its place"):
        presence.check()
    root.mkdir()
    with pytest.raises(StorageError, match="another one is in its place"):
        presence.check()
    root.rmdir()
    (tmp_path / "away").rename(root)
    presence.check()
