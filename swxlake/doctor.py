# SPDX-License-Identifier: Apache-2.0
"""Checks before a run: definitions, transforms, products and storage, each with a word and a remedy."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from lake.errors import StorageError, SwxlakeError
from lake.ledger import release
from lake.reading import open_table
from lake.store import Lake
from swxlake.outcome import Outcome

FREE_BYTES = 1 << 30
PACKAGES = ("pyarrow", "duckdb", "polars", "deltalake", "cdflib", "great-expectations", "numpy", "scipy")


def examine(lake: Lake) -> Outcome:
    """Run every check; a failed one is a problem."""
    checks: dict[str, Callable[[Lake], str]] = {
        "code": _code,
        "definitions": _definitions,
        "transforms": _transforms,
        "products": _products,
        "storage": _storage,
        "tables": _tables,
    }
    outcome = Outcome()
    for name, look in checks.items():
        try:
            outcome.facts[name] = look(lake)
        except SwxlakeError as error:
            outcome.facts[name] = "not well"
            outcome.problems.append(f"{name}: {error}")
    return outcome


def _code(_: Lake) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"swxlake {release()[0]}, Python {sys.version.split()[0]}, {packages}"


def _definitions(lake: Lake) -> str:
    tables = len(lake.definitions.tables)
    instruments = [f"{m.name}/{i.name}" for m in lake.definitions.missions for i in m.instruments]
    return f"{lake.definitions.path}: {', '.join(instruments)}, {tables} tables"


def _transforms(lake: Lake) -> str:
    engine = importlib.import_module("transforms.engine")
    tables = engine.ordered(lake)
    for table in tables:
        engine.transform_of(table)
    return f"a function for each of {len(tables)} tables"


def _products(lake: Lake) -> str:
    compile_product = importlib.import_module("exports.istp").compile_product
    count = 0
    for mission in lake.definitions.missions:
        for instrument in mission.instruments:
            for product in instrument.products:
                table = lake.definitions.tables[f"{mission.name}.{product.table}"]
                compile_product(product, table, instrument, mission)
                count += 1
    return f"{count} CDF products compile"


def _storage(lake: Lake) -> str:
    place = _existing(lake.root)
    if not os.access(place, os.W_OK):
        raise StorageError(f"{place}: cannot be written. Give the right to write, or choose another --root.")
    free = shutil.disk_usage(place).free
    if free < FREE_BYTES:
        raise StorageError(f"{place}: only {free >> 20} MiB are free. Make room before the night.")
    return f"{lake.root}: writable, {free >> 30} GiB free"


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _tables(lake: Lake) -> str:
    tables = [*lake.definitions.tables.values(), *lake.definitions.ops]
    opened = [table for table in tables if open_table(lake, table) is not None]
    return f"{len(opened)} of {len(tables)} tables hold data and open"
