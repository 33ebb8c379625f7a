# SPDX-License-Identifier: Apache-2.0
"""Every product of every mission passes its own gate, and so does its master; values are made up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from exports.datasets.dataset import Dataset, datasets
from exports.datasets.master import write_master
from exports.inspection import Around, inspect
from exports.istp.globals import Edition
from exports.istp.structure import compile_product
from exports.product import write_product
from exports.rules.check import check_file
from exports.rules.nouns import Finding
from lake.clock import tt2000_of_day
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.definitions import Column, Table
from lake.reading import ARROW_TYPES
from tests.exports.conftest import lists

DEFINITIONS = read_definitions(CHECKOUT / "missions")
DATASETS = {dataset.name: dataset for dataset in datasets(DEFINITIONS)}
DAY = date(2026, 8, 1)
EDITION = Edition(DAY, "1.2.3", ("raw.dat",), DAY, "swxlake 1.0")
RECORDS = 50
UNREGISTERED = {("G03", "DOI"), ("G03", "spase_DatasetResourceID")}


def made_up(table: Table, column: Column) -> pa.Array:
    """Values within the valid range; times are one second apart."""
    kind, shape = ARROW_TYPES[column.type], (RECORDS, *table.shape(column))
    if column.name == "epoch_tt2000":
        return pa.array(tt2000_of_day(DAY) + np.arange(RECORDS) * 10**9)
    rng = np.random.default_rng(1)
    low, high = column.valid or (0, 1)
    if column.type.startswith("float"):
        values = rng.uniform(low, min(high, low + 1e3), shape)
    else:
        values = rng.integers(int(low), int(min(high, low + 100)), shape, endpoint=True)
    values = values.astype(kind.to_pandas_dtype())
    return lists(values) if column.axes else pa.array(values, kind)


def is_known(finding: Finding) -> bool:
    return (finding.rule, finding.where) in UNREGISTERED


@pytest.mark.parametrize("name", DATASETS)
def test_a_day_of_a_product_passes_the_gate_and_fits_its_dataset(name: str, tmp_path: Path) -> None:
    made: Dataset = DATASETS[name]
    address = made.structure.table.address
    table = DEFINITIONS.on_day(DEFINITIONS.tables[address], DAY)
    structure = compile_product(
        made.product, table, made.instrument, made.mission, DEFINITIONS.assumptions(table, DAY), DEFINITIONS.path
    )

    def batches(column: str) -> Iterator[Any]:
        yield made_up(table, table.by_name[column])

    path = tmp_path / structure.file_name(EDITION)
    write_product(structure, path, batches, RECORDS, EDITION)
    assert [str(f) for f in inspect(path, structure, EDITION, Around()).findings if not is_known(f)] == []
    assert [str(f) for f in check_file(path, made.structure) if not is_known(f)] == []


PER_FILE = {"Generation_date", "Software_version"}


@pytest.mark.parametrize("name", DATASETS)
def test_a_master_breaks_no_rule_that_needs_no_data(name: str, tmp_path: Path) -> None:
    path = write_master(DATASETS[name], tmp_path)
    found = [f for f in check_file(path, DATASETS[name].structure) if f.where not in PER_FILE]
    assert [str(f) for f in found if not is_known(f)] == []
