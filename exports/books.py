# SPDX-License-Identifier: Apache-2.0
"""What the lake's books say about product-days: what they hold, what they descend from, and whether they may go out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

import polars as pl

from exports.provenance import EXPECTED, calibrations_valid, lineage
from exports.versions import Version, newest_versions, parse_version
from lake.definitions import Definitions, Instrument, Mission, Product, Table
from lake.labels import Labels
from lake.ledger import Contents, read_contents, read_ops, standing_checks
from lake.margins import files_of_margins, margins
from lake.store import Journal, Lake

PRODUCTS = "exports/"
# What an instrument says of itself in its products.
WORDS = {"short_name", "title", "status", "status_reason", "unknowns", "cdf"}


@dataclass(frozen=True)
class Books:
    """What journal and ops tables say, read once for a run of exports.

    `versions` are the newest that were given out; they are read first, so that whoever finds another one later knows
    that somebody else was at work. `present` are sizes of published files by key, `held` is what tables hold and what
    they were made from, `contents` that of days with rows.
    """

    versions: dict[str, Version]
    present: dict[str, int]
    contents: dict[tuple[str, date], str]
    checks: pl.DataFrame
    exports: dict[tuple[str, date], dict[str, Any]]
    files: dict[str, dict[str, Any]]
    held: Contents
    dated: dict[tuple[str, ...], Dated] = field(default_factory=dict)
    labels: dict[str, Labels] = field(default_factory=dict)

    def labels_of(self, definitions: Definitions, table: Table) -> Labels:
        """What the days of a table depend on; made once."""
        if table.address not in self.labels:
            self.labels[table.address] = Labels(definitions, table)
        return self.labels[table.address]

    def days(self, address: str) -> list[date]:
        """Days of which a table has rows."""
        return sorted(day for known, day in self.contents if known == address)


class Dated(NamedTuple):
    """A table with the values that its axes have on a day, and JSON of all that missions/ says about its product."""

    table: Table
    words: str


def read_books(lake: Lake) -> Books:
    """The books as they are now."""
    versions = newest_versions(Journal(lake))
    held = read_contents(lake)
    empty = {key for key, run in held.runs.items() if run["rows"] == 0}  # a day without rows makes no product
    return Books(
        versions=versions,
        present={entry.key: entry.bytes for entry in lake.storage.entries(PRODUCTS)},
        contents={key: content for key, content in held.known.items() if key not in empty},
        checks=standing_checks(lake),
        exports=last_exports(lake),
        files=_files(lake),
        held=held,
    )


def last_exports(lake: Lake) -> dict[tuple[str, date], dict[str, Any]]:
    """The newest row of ops.exports about the highest version of each product-day."""
    rows: dict[tuple[str, date], dict[str, Any]] = {}
    for row in read_ops(lake, "exports").sort("run_id", maintain_order=True).iter_rows(named=True):
        last = rows.get(key := (row["product"], row["day"]))
        if last is None or parse_version(row["version"]) >= parse_version(last["version"]):
            rows[key] = row
    return rows


def _files(lake: Lake) -> dict[str, dict[str, Any]]:
    """The row of each decoded file; where bytes came under several names, of the first that arrived."""
    files = read_ops(lake, "files").filter(pl.col("status") == "ingested")
    rows = files.sort("arrival", "received_at", "name", descending=True, nulls_last=False).iter_rows(named=True)
    return {row["file_sha256"]: row for row in rows}


@dataclass(frozen=True)
class Origin:
    """What a product-day was made from: names of raw files, and the date of the newest of them or of a calibration."""

    parents: tuple[str, ...]
    newest: date


@dataclass(frozen=True)
class Subject:
    """A product on one day: `table` has the values of its axes on that day, `files` hold its rows.

    `words` is JSON of all that missions/ says about it. The files are those that the books are about, whatever is
    written to the table in the meantime.
    """

    mission: Mission
    instrument: Instrument
    product: Product
    table: Table
    words: str
    day: date
    files: tuple[str, ...]
    origin: Origin
    assumptions: tuple[str, ...]

    @property
    def deliverable(self) -> bool:
        """True if the product may be delivered: measured in flight, and resting on no assumption."""
        return self.instrument.status == "flying" and not self.assumptions


def products(definitions: Definitions) -> Iterator[tuple[Product, Table]]:
    """All products with the tables that they are made from."""
    for mission in definitions.missions:
        for instrument in mission.instruments:
            for product in instrument.products:
                yield product, definitions.tables[f"{mission.name}.{product.table}"]


def subject_of(lake: Lake, books: Books, product: Product, table: Table, day: date) -> Subject:
    """A product on a day. Raises CalibrationError if an axis has no values then."""
    definitions, dated = lake.definitions, _dated(lake.definitions, books, product, table, day)
    mission, instrument = definitions.mission(table.mission), definitions.instrument(table)
    files = books.held.tables[table.address].files.get(day, ())
    origin, assumptions = origin_of(lake, books, table, day), definitions.assumptions(table, day)
    return Subject(mission, instrument, product, *dated, day, files, origin, assumptions)


def _dated(definitions: Definitions, books: Books, product: Product, table: Table, day: date) -> Dated:
    """Made once for all days on which the same calibrations give the axes their values."""
    instrument, mission = definitions.instrument(table), definitions.mission(table.mission)
    valid = [instrument.calibration(name, day) for name in table.axis_calibrations]
    key = (table.address, *(calibration.sha256 if calibration else "" for calibration in valid))
    if key not in books.dated:
        on_day = definitions.on_day(table, day)
        parts = (
            product.model_dump(mode="json"), on_day.model_dump(mode="json", exclude=EXPECTED),
            instrument.model_dump(mode="json", include=WORDS), mission.cdf, str(mission.valid_time),
        )  # fmt: skip
        books.dated[key] = Dated(on_day, _json(parts))
    return books.dated[key]


def _json(parts: tuple[object, ...]) -> str:
    """The items of a JSON list, as `fingerprint` would have them."""
    return json.dumps(parts, sort_keys=True, default=str)[1:-1]


def origin_of(lake: Lake, books: Books, table: Table, day: date) -> Origin:
    """Raw files with packets in the product-day, and the newest of these files and of the calibrations."""
    ancestors = lake.definitions.ancestors(table)
    hashes = {sha256 for t in ancestors for sha256 in books.held.parents.get((t.address, day), ())}
    hashes |= files_of_margins(lake.definitions, books.held.margins, table, day)
    files = [books.files[sha] for sha in hashes if sha in books.files]
    calibrations = [c for t in ancestors for c in calibrations_valid(lake.definitions, t, day)]
    dates = [f["received_at"].date() for f in files] + [c.valid_from for c in calibrations]
    return Origin(tuple(sorted(f["name"] for f in files)), max(dates, default=date.min))


def receipts_of(lake: Lake, books: Books, table: Table, day: date) -> list[str]:
    """Receipts of all raw files with rows that the product-day, or what it descends from, saw; in order of arrival.

    Files that only repeated packets are among them: they are part of what level 0 holds of that day.
    """
    rows = [books.files[sha] for sha in raw_of(lake, books, table, day) if sha in books.files]
    return [row["receipt"] for row in sorted(rows, key=_arrival)]


def raw_of(lake: Lake, books: Books, table: Table, day: date) -> set[str]:
    """Hashes of these raw files."""
    hashes: set[str] = set()
    for ancestor, its_day in lineage(lake.definitions, table, day):
        hashes |= set(books.held.raw.get((ancestor.address, its_day), ()))
        found = (books.held.margins.get(margin.key) for margin in margins(lake.definitions, ancestor, its_day))
        hashes |= {sha256 for seen in found if seen for sha256 in seen.files}
    return hashes


def _arrival(row: dict[str, Any]) -> tuple[int, Any, str]:
    return row["arrival"] or 0, row["received_at"], row["name"]


def mark_of(books: Books, subject: Subject) -> str:
    """Fingerprint of everything that a product-day's data and attributes depend on.

    The release of the code is left out: a release alone is no reason for a new version of every product.
    """
    content, origin = books.contents[subject.table.address, subject.day], subject.origin
    last = (origin.parents, str(origin.newest), subject.assumptions)
    return hashlib.sha256(f"[{_json((content,))}, {subject.words}, {_json(last)}]".encode()).hexdigest()
