# SPDX-License-Identifier: Apache-2.0
"""The toy's lake with a product of its L1 table, of which the axis `part` has an assumed calibration."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

import transforms
from exports.export import Exported, export_all
from lake.code import forget as forget_code
from lake.definition_files import read_definitions
from lake.ledger import read_ops
from lake.store import Lake
from quality.checks import check_all
from tests.exports.conftest import MEDDEA, PADRE
from tests.toy import L1, TRANSFORMS, receive, toy_lake, write_missions
from transforms.engine import build_all

RUNS = count()
PART = (
    "part: {size: 2, calibration: parts, column: centre, minus_column: below, plus_column: above, unit: mm,"
    " valid: [0, 10], description: Place of a part, label: Part}"
)
PRODUCT = {
    "version": "1.0",
    "title": "Ticks in volts",
    "text": "Voltages of a box that is there for the tests, and of both of its halves.",
    "time_resolution": "1 s",
    "bin_location": 0.5,
    "mods": ["1.0: first version"],
}


@contextmanager
def lake_with_product(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """One checked day of the toy's L1 table: 1, 2, 3 twice as large."""
    code = folder / "transforms" / "toy"
    code.mkdir(parents=True)
    # In front: a toy of another fixture that is still open would be found first.
    monkeypatch.setattr(transforms, "__path__", [str(code.parent), *transforms.__path__])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    rewrite(folder, TRANSFORMS)
    box = write_missions(folder / "missions") / "toy" / "box"
    edit(box / "tables.yaml", "part: {size: 2, first: 0, step: 1, type: int16, description: Part, label: Part}", PART)
    add(box.parent / "mission.yaml", cdf=PADRE.cdf | {"Source_name": "TOY>A mission for tests"})
    add(box / "instrument.yaml", cdf=MEDDEA.cdf | {"Descriptor": "BOX>A box"}, assumed={"parts_20240101": "Guessed."})
    (box / "cdf.yaml").write_text(yaml.safe_dump({"products": {"box_l1_tick": PRODUCT}}))
    (box / "calibration/parts_20240101.csv").write_text("centre,below,above\n1,0.5,0.5\n2,0.5,1.5\n")
    lake = toy_lake(folder)
    receive(lake, "a", [1, 2, 3])
    build(lake)
    yield lake
    forget()


def rewrite(folder: Path, text: str) -> None:
    """New code of the toy's transforms, as the next process would see it."""
    (folder / "transforms" / "toy" / "box.py").write_text(text)
    forget()


def forget() -> None:
    for name in [name for name in sys.modules if name.startswith("transforms.toy")]:
        del sys.modules[name]
    importlib.invalidate_caches()
    forget_code()


def edit(path: Path, before: str, after: str) -> None:
    assert path.read_text().count(before) == 1
    path.write_text(path.read_text().replace(before, after))


def add(path: Path, **facts: Any) -> None:
    plain = json.loads(json.dumps(facts))
    path.write_text(path.read_text() + yaml.safe_dump(plain))


def instrument_file(lake: Lake, name: str) -> Path:
    return lake.definitions.path / "toy" / "box" / name


def now(lake: Lake) -> Lake:
    """The lake with the definitions as they are on disk now."""
    return Lake(lake.root, read_definitions(lake.definitions.path))


def build(lake: Lake) -> None:
    """Transform and check what is out of date."""
    run = f"run-{next(RUNS):06d}"
    assert not build_all(now(lake), run).failed
    check_all(now(lake), run)


def exported(lake: Lake, force: bool = False) -> Exported:
    """Export with the definitions as they are on disk now."""
    lake = now(lake)
    return export_all(lake, f"run-{next(RUNS):06d}", [lake.definitions.tables[L1]], force=force)


def last_row(lake: Lake) -> dict[str, Any]:
    return read_ops(lake, "exports").sort("run_id").row(-1, named=True)
