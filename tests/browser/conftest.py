# SPDX-License-Identifier: Apache-2.0
"""What the browser's tests share: Chromium, and the site of a lake in which much is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lake.answers import Answers, Limits
from lake.config import Settings
from lake.health import Health
from lake.serving import Listen
from lake.store import Lake
from lake.web import serving
from monitor.viewer.serving import application
from swxlake.drawing import draw, whole_site
from tests.browser.chromium import browser
from tests.browser.seeded_lake import seeded_lake

__all__ = ["browser", "home", "lake", "served"]


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The seeded lake, drawn."""
    with seeded_lake(tmp_path_factory.mktemp("seeded")) as made:
        for outcome in (draw(made), whole_site(made, Settings(root=made.root))):
            assert outcome.problems == []
    return made


@pytest.fixture(scope="session")
def home(lake: Lake) -> str:
    """The address of the site as a folder; ends with a slash."""
    return (Path(lake.root) / "site").as_uri() + "/"


@pytest.fixture(scope="module")
def served(lake: Lake) -> Iterator[str]:
    """The address of the site behind `swxlake monitor serve`; ends with a slash."""
    app = application(lake, Answers(lake, Limits()), Health("monitor"))
    with serving(app, Listen(host="127.0.0.1", port=0)) as address:
        yield f"{address}/"
