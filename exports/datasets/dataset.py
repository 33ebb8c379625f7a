# SPDX-License-Identifier: Apache-2.0
"""A dataset: all files of a product, whose structure is fixed before any day of it is there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from exports.istp.structure import Structure, compile_product
from lake.definitions import Definitions, Instrument, Mission, Product


@dataclass(frozen=True)
class Dataset:
    """A product with its structure; where an axis is dated, it has the values of the newest calibration."""

    mission: Mission
    instrument: Instrument
    product: Product
    structure: Structure

    @property
    def name(self) -> str:
        """Its logical source, such as `padre_meddea_l1-photon`."""
        return self.structure.logical_source

    @property
    def major(self) -> int:
        """X of its version X.Y, which rises with the structure."""
        return int(self.product.version.partition(".")[0])


def dataset(definitions: Definitions, product: Product) -> Dataset:
    """The dataset of a product. Raises TemplateError with file and line if no file of it could be made for SPDF."""
    mission, instrument = _owner(definitions, product)
    table = definitions.tables[f"{mission.name}.{product.table}"]
    newest, assumptions = definitions.on_day(table, date.max), definitions.assumptions(table, date.max)
    structure = compile_product(product, newest, instrument, mission, assumptions, definitions.path)
    return Dataset(mission, instrument, product, structure)


def _owner(definitions: Definitions, product: Product) -> tuple[Mission, Instrument]:
    """Whose product it is: two missions may have products that look the same."""
    return next(
        (mission, instrument)
        for mission in definitions.missions
        for instrument in mission.instruments
        if any(own is product for own in instrument.products)
    )


def datasets(definitions: Definitions) -> list[Dataset]:
    """The datasets of all missions. Raises TemplateError with file and line for the first that cannot be."""
    return [
        dataset(definitions, product)
        for mission in definitions.missions
        for instrument in mission.instruments
        for product in instrument.products
    ]
