# SPDX-License-Identifier: Apache-2.0
"""Makes the file of one product-day under a version, from the rows that its table holds now."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import cached_property, partial
from pathlib import Path

import pyarrow as pa

from exports.books import PRODUCTS, Subject
from exports.istp.globals import Edition
from exports.istp.structure import Structure, compile_product
from exports.product import WrittenProduct, write_product
from exports.table_rows import TableRows
from exports.versions import ProductDay, Version
from lake.definitions import Table
from lake.errors import ExportError
from lake.ledger import release
from lake.reading import ARROW_TYPES, open_parquet
from lake.snapshots import Source
from lake.store import Lake

BATCH_BYTES, BATCH_ROWS = 4 << 20, 1 << 16  # of one column, read at a time


@dataclass(frozen=True)
class Maker:
    """Writes one product-day, under any version, into a folder aside."""

    lake: Lake
    subject: Subject
    folder: Path

    @cached_property
    def structure(self) -> Structure:
        """The structure of the file. Raises ExportError or DefinitionError if it would break an ISTP rule."""
        s = self.subject
        return compile_product(s.product, s.table, s.instrument, s.mission, s.assumptions, self.lake.definitions.path)

    @property
    def product_day(self) -> ProductDay:
        """What its versions are found by."""
        return ProductDay(self.structure.logical_source, self.subject.day)

    def key(self, version: Version) -> str:
        """Where the file is published."""
        s = self.subject
        folder = f"{PRODUCTS}{s.mission.name}/{s.instrument.name}/{s.table.level}/{s.day.year:04d}"
        return f"{folder}/{self.product_day.key(version)}.cdf"

    def edition(self, version: Version, made_by: tuple[str, date] | None = None) -> Edition:
        """What tells the file from others; `made_by` are version and day of the release, by default this one."""
        version_of_code, released = made_by or release()
        origin = self.subject.origin
        newest, software = max(origin.newest, released), f"swxlake {version_of_code}"
        return Edition(self.subject.day, str(version), origin.parents, newest, software)

    @property
    def _files(self) -> list[str]:
        return Source(self.subject.table.address, self.subject.day, self.subject.files).uris(self.lake)

    @property
    def rows(self) -> TableRows:
        """What the table holds, for who compares the file with it."""
        return TableRows(tuple(partial(open_parquet, self.lake, uri) for uri in self._files))

    def write(self, version: Version, made_by: tuple[str, date] | None = None) -> WrittenProduct:
        """The file, written aside; `made_by` are version and day of the release that it names, by default this one.

        Raises ExportError if the table has no rows, or if they do not fit.
        """
        table, edition, files = self.subject.table, self.edition(version, made_by), self._files
        records = sum(_rows(self.lake, file) for file in files)
        if not records:
            address = table.address
            raise ExportError(f"{address}@{edition.day}: holds no rows. Run `swxlake transform {address}` first")
        path = self.folder / self.structure.file_name(edition)
        return write_product(
            self.structure, path, lambda name: column_batches(self.lake, files, table, name), records, edition
        )


def _rows(lake: Lake, uri: str) -> int:
    with open_parquet(lake, uri) as file:
        return int(file.metadata.num_rows)


def column_batches(lake: Lake, files: list[str], table: Table, name: str) -> Iterator[pa.Array]:
    """Values of one column, a few megabytes at a time.

    One row group after the other: read in one go, Arrow keeps a dozen of them.
    Raises ExportError if the column was added to the table's definition after the rows were written.
    """
    column = table.by_name[name]
    bits = math.prod(table.shape(column)) * ARROW_TYPES[column.type].bit_width
    rows = min(BATCH_ROWS, max(1, 8 * BATCH_BYTES // bits))
    for uri in files:
        with open_parquet(lake, uri) as file:
            if name not in file.schema_arrow.names:
                remedy = f"Run `swxlake transform {table.address}` first"
                raise ExportError(f"{uri}: has no column {name}, which {table.address} has now. {remedy}")
            for group in range(file.num_row_groups):
                for batch in file.iter_batches(batch_size=rows, row_groups=[group], columns=[name]):
                    yield batch.column(0)


@contextmanager
def maker(lake: Lake, subject: Subject) -> Iterator[Maker]:
    """A Maker whose files are gone after the block."""
    with lake.storage.scratch() as folder:
        yield Maker(lake, subject, folder)
