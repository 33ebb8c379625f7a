# SPDX-License-Identifier: Apache-2.0
"""The toy's lake with books, and its site, for tests that only read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake.catalog import refresh
from lake.store import Lake
from monitor.site.building import build_site
from monitor.site.facts import Facts
from tests.browser.chromium import browser
from tests.monitor.site.toy_books import NOW, told_lake
from tests.toy import DAY, QL

__all__ = ["browser", "facts", "site", "told"]


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The lake with its site and its catalog. What was patched to make it is as before when other tests run."""
    with told_lake(tmp_path_factory.mktemp("told")) as lake:
        refresh(lake)
        build_site(lake, NOW, {(QL, DAY): "gain changed"})
    return lake


@pytest.fixture
def facts(told: Lake) -> Facts:
    """Facts about it, with one table-day out of date."""
    return Facts(told, NOW, {(QL, DAY): "gain changed"})


@pytest.fixture
def site(told: Lake) -> Path:
    """The folder of its site."""
    assert isinstance(told.root, Path)
    return told.root / "site"
