# SPDX-License-Identifier: Apache-2.0
"""The dataset of the template, and how it is after a change of its definition."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from exports.datasets.dataset import Dataset, datasets
from lake.definition_files import read_definitions
from tests.template import edit, write_template

Changed = Callable[..., Dataset]


@pytest.fixture
def missions(tmp_path: Path) -> Path:
    return write_template(tmp_path)


@pytest.fixture
def box(missions: Path) -> Dataset:
    return datasets(read_definitions(missions))[0]


@pytest.fixture
def changed(missions: Path) -> Changed:
    """The dataset after edits (file below missions/toy, before, after), one upon the other."""

    def make(*edits: tuple[str, str, str]) -> Dataset:
        for change in edits:
            edit(missions, *change)
        return datasets(read_definitions(missions))[0]

    return make
