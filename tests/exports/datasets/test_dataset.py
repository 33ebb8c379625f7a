# SPDX-License-Identifier: Apache-2.0
"""A dataset is known before there is a day of it."""

from __future__ import annotations

from exports.datasets.dataset import Dataset, datasets
from lake.config import CHECKOUT
from lake.definition_files import read_definitions


def test_a_dataset_has_the_newest_values_of_its_axes(box: Dataset) -> None:
    assert (box.name, box.major, box.structure.table.address) == ("toy_box_l1-tick", 1, "toy.box_l1_tick")
    part = next(v for v in box.structure.variables if v.spec.name == "part")
    assert part.constant().tolist() == [[1.0625, 9.5]]


def test_every_product_of_the_missions_is_a_dataset_of_its_own() -> None:
    definitions = read_definitions(CHECKOUT / "missions")
    known = datasets(definitions)
    assert len(known) == sum(len(i.products) for m in definitions.missions for i in m.instruments)
    assert len({dataset.name for dataset in known}) == len(known)
    assert all(dataset.product in dataset.instrument.products for dataset in known)
