# SPDX-License-Identifier: Apache-2.0
"""What tests of envelopes share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lake.store import Lake
from tests.monitor.envelopes.box import box_lake, no_views_in


@pytest.fixture(autouse=True)
def no_views(tmp_path: Path) -> Iterator[None]:
    """No views of the real missions."""
    with no_views_in(tmp_path):
        yield


@pytest.fixture
def box(tmp_path: Path) -> Lake:
    """An empty lake in a folder."""
    (tmp_path / "lake").mkdir()
    return box_lake(tmp_path)
