# SPDX-License-Identifier: Apache-2.0
"""The toy's lake with its product exported, of a mission that wants FITS too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from exports.export import export_all
from lake.store import Lake
from tests.toy_product import lake_with_product


@contextmanager
def exported_lake(folder: Path) -> Iterator[Lake]:
    """A lake with one exported day, not rendered yet."""
    with pytest.MonkeyPatch.context() as patch, lake_with_product(folder, patch) as made:
        missions = [mission.model_copy(update={"formats": ("cdf", "fits")}) for mission in made.definitions.missions]
        lake = Lake(made.root, replace(made.definitions, missions=tuple(missions)))
        assert len(export_all(lake).published) == 1
        yield lake
