# SPDX-License-Identifier: Apache-2.0
"""What tests of the viewer share: one lake, one server, both only read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lake.store import Lake
from tests.browser.chromium import browser
from tests.monitor.envelopes.box import no_views_in
from tests.monitor.viewer.viewed_lake import make, served

__all__ = ["browser"]


@pytest.fixture(scope="package")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The lake."""
    folder = tmp_path_factory.mktemp("viewed")
    with no_views_in(folder):  # only as long as it is made: pytest ends what is of a package with the whole run
        return make(folder)


@pytest.fixture(scope="package")
def address(viewed: Lake) -> Iterator[str]:
    """The address of its server."""
    with served(viewed) as at:
        yield at
