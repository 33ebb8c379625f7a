# SPDX-License-Identifier: Apache-2.0
"""Why files that a recipient's rules ask for are not delivered.

They were withdrawn, are not deliverable, have a structure that nobody declared, are embargoed or wait for approval.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property

import polars as pl

from exports.delivery.nouns import Refused
from exports.delivery.settings import DeliverySettings, Embargo, Recipient, product_names
from exports.versions import parse_version
from lake.definitions import Definitions, Table

NOT_NOTED = "rests on an assumption, or was not measured in flight, when it was exported; run `swxlake export`"


@dataclass
class Judge:
    """What decides whether a file may go out on a date.

    `withdrawn` gives who withdrew a version and why, in words, by dataset_yyyymmdd_vX.Y.Z; `approved` are products, or
    product@day.
    """

    settings: DeliverySettings
    definitions: Definitions
    today: date
    withdrawn: dict[str, str]
    approved: AbstractSet[str]
    known: dict[tuple[str, int], str] = field(default_factory=dict)
    turns: dict[str, list[date]] = field(default_factory=dict)

    @cached_property
    def names(self) -> dict[str, tuple[str, str]]:
        """Address and dataset of each product."""
        return product_names(self.definitions)

    def reasons(self, rows: pl.DataFrame, recipient: Recipient) -> pl.DataFrame:
        """The rows with the `reason` why each is not delivered; empty if it is."""
        columns = rows.select("product", "day", "version", "dataset", "deliverable").iter_rows()
        found = [self._reason(recipient, *values) for values in columns]
        return rows.with_columns(reason=pl.Series(found, dtype=pl.String))

    def _reason(
        self, recipient: Recipient, product: str, day: date, version: str, dataset: str, deliverable: bool | None
    ) -> str:
        words = self.withdrawn.get(f"{dataset}_{day:%Y%m%d}_v{version}")
        if words is not None:
            return f"version {version} was withdrawn {words}"
        if not recipient.assumed and (words := self._assumed(product, day, deliverable)):
            return words
        if words := self._undeclared(product, version):
            return words
        return "" if recipient.visibility == "team" else self._embargoed(product, day) or self._waits(product, day)

    def _assumed(self, product: str, day: date, deliverable: bool | None) -> str:
        """Why a product may not be delivered, in the words of the definitions; the export itself had said so."""
        number = bisect(self._turns(product), day)
        if (product, number) not in self.known:
            self.known[product, number] = assumed(self.definitions, self.definitions.tables[product], day)
        return self.known[product, number] or (NOT_NOTED if deliverable is False else "")

    def _turns(self, product: str) -> list[date]:
        """Days from which on another calibration is valid: in between a product rests on the same things."""
        if product not in self.turns:
            used = self.definitions.calibrations(self.definitions.tables[product])
            starts = {c.valid_from for instrument, name in used for c in instrument.calibrations if c.name == name}
            self.turns[product] = sorted(starts)
        return self.turns[product]

    def _undeclared(self, product: str, version: str) -> str:
        """Why a version of a structure that its definition does not name may not go out: it would have no master."""
        structure, declared = parse_version(version).structure, self._declared[product]
        if structure <= parse_version(f"{declared}.0").structure:
            return ""
        table = self.definitions.tables[product]
        return (
            f"its structure changed, and the master of version {structure} does not exist; raise `version` of "
            f"{table.name} in missions/{table.mission}/{table.instrument}/cdf.yaml from {declared} to {structure}.0 "
            "and run `make docs`"
        )

    @cached_property
    def _declared(self) -> dict[str, str]:
        """X.Y of each product in the definitions, by address."""
        missions = self.definitions.missions
        return {f"{m.name}.{p.table}": p.version for m in missions for i in m.instruments for p in i.products}

    def _embargoed(self, product: str, day: date) -> str:
        names = self.names[product]
        rules = (rule for rule in self.settings.embargo if rule.fits(names))
        return next((rule.words for rule in rules if _end(rule, day) > self.today), "")

    def _waits(self, product: str, day: date) -> str:
        names = self.names[product]
        rule = next((rule for rule in self.settings.approval if rule.fits(names)), None)
        if rule is None or {product, f"{product}@{day}"} & self.approved:
            return ""
        why = f" ({rule.why})" if rule.why else ""
        return f"waits for approval{why}; run `swxlake deliver approve {product} --by NAME --why REASON`"


def _end(rule: Embargo, day: date) -> date:
    """The first day on which an embargo does not hold any more."""
    return rule.until or day + timedelta(days=(rule.days or 0) + 1)  # so many whole days after the day itself


def assumed(definitions: Definitions, table: Table, day: date) -> str:
    """Why a product-day may not be delivered, whatever its recipient wishes; empty if it may."""
    instrument = definitions.instrument(table)
    assumptions = definitions.assumptions(table, day)
    if assumptions:
        more = f" And {len(assumptions) - 1} more: see `swxlake describe {table.address}`." if assumptions[1:] else ""
        return f"rests on an assumption: {assumptions[0]}{more}"
    if instrument.status != "flying":
        return f"is not measured in flight: {instrument.name} has the status {instrument.status}"
    return ""


def refusals(recipient: str, rows: pl.DataFrame) -> list[Refused]:
    """One refusal for each product and reason, with the number of its days."""
    refused = rows.filter(pl.col("reason") != "").group_by("product", "reason").agg(pl.col("day").n_unique())
    return [Refused(recipient, *values) for values in refused.sort("product", "reason").iter_rows()]
