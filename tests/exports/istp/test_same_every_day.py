# SPDX-License-Identifier: Apache-2.0
"""The structure of a product is that of the dataset, whatever the day and its calibrations."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from exports.datasets.dataset import dataset
from exports.istp.structure import Structure, compile_product
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.definitions import Definitions, Product
from tests.template import edit, write_template

REAL = read_definitions(CHECKOUT / "missions")
PRODUCTS = {p.table: p for mission in REAL.missions for i in mission.instruments for p in i.products}


def of_day(definitions: Definitions, product: Product, day: date) -> Structure:
    known = dataset(definitions, product)
    table = definitions.tables[known.structure.table.address]
    assumptions = definitions.assumptions(table, day)
    return compile_product(
        product, definitions.on_day(table, day), known.instrument, known.mission, assumptions, definitions.path
    )


def without_text(structure: Structure) -> dict[str, tuple[str, ...]]:
    return {name: texts for name, texts in structure.global_attributes if name != "TEXT"}


def days_of_change(definitions: Definitions, product: Product) -> list[date]:
    """The days on which a calibration of the product or of what it descends from begins."""
    known = dataset(definitions, product)
    table = definitions.tables[known.structure.table.address]
    dates = {
        name: {c.valid_from for c in owner.calibrations if c.name == name}
        for owner, name in definitions.calibrations(table)
    }
    first = max((min(dates[name]) for name in table.axis_calibrations), default=date.min)
    return sorted(day for day in {*set().union(*dates.values()), date(2040, 1, 1)} if day >= first)


@pytest.mark.parametrize("name", PRODUCTS)
def test_every_product_has_one_structure_whatever_calibrations_hold(name: str) -> None:
    product = PRODUCTS[name]
    master = dataset(REAL, product).structure
    for day in days_of_change(REAL, product):
        structure = of_day(REAL, product, day)
        assert [v.spec for v in structure.variables] == [v.spec for v in master.variables]
        assert without_text(structure) == without_text(master)
        assert structure.majority == master.majority


def test_a_new_calibration_changes_values_and_nothing_else(tmp_path: Path) -> None:
    definitions = read_definitions(write_template(tmp_path))
    product = definitions.missions[0].instruments[0].products[0]
    before, after = (of_day(definitions, product, date(year, 6, 1)) for year in (2024, 2025))
    assert [v.spec for v in before.variables] == [v.spec for v in after.variables]
    assert before.global_attributes == after.global_attributes
    values = {v.spec.name: v.constant()[0].tolist() for v in after.variables if v.column is None}
    assert values["part"] == [1.0625, 9.5]
    assert values["part_label"] == [b"Part 1.0625 mm      ", b"Part 9.5 mm         "]  # 5 + 12 + 3 characters
    assert values["part_delta_plus"] == [0.5, 0.125]
    assert [v.constant()[0].tolist() for v in before.variables if v.spec.name == "part"] == [[1, 2]]


def test_the_range_of_a_dated_axis_is_that_of_all_days(tmp_path: Path) -> None:
    definitions = read_definitions(write_template(tmp_path))
    variables = {
        v.spec.name: v
        for v in dataset(definitions, definitions.missions[0].instruments[0].products[0]).structure.variables
    }
    assert variables["part"].valid == (0, 10)
    assert variables["part_delta_minus"].valid == variables["part_delta_plus"].valid == (0, 10)
    assert variables["level"].valid == (1, 5)


def test_all_that_varies_by_record_is_compressed_as_the_product_says_but_times(tmp_path: Path) -> None:
    missions = write_template(tmp_path)
    edit(missions, "box/cdf.yaml", "    mods:", "    compression: 6\n    majority: column\n    mods:")
    definitions = read_definitions(missions)
    structure = dataset(definitions, definitions.missions[0].instruments[0].products[0]).structure
    levels = {v.spec.name: v.spec.compression for v in structure.variables}
    assert {name for name, level in levels.items() if level == 0} == {
        "Epoch", "part", "part_delta_minus", "part_delta_plus", "part_label", "side_label", "level", "level_label"
    }  # fmt: skip
    assert set(levels.values()) == {0, 6}
    assert structure.majority == "column"


def test_identifiers_are_told_once_somebody_has_assigned_them(tmp_path: Path) -> None:
    missions = write_template(tmp_path)
    ids = "    doi: https://doi.org/10.1234/box\n    spase_id: spase://NASA/NumericalData/Toy/Box\n    mods:"
    edit(missions, "box/cdf.yaml", "    mods:", ids)
    definitions = read_definitions(missions)
    structure = dataset(definitions, definitions.missions[0].instruments[0].products[0]).structure
    entries = dict(structure.global_attributes)
    assert entries["DOI"] == ("https://doi.org/10.1234/box",)
    assert entries["spase_DatasetResourceID"] == ("spase://NASA/NumericalData/Toy/Box",)
