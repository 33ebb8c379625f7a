# SPDX-License-Identifier: Apache-2.0
"""Data tables as they stand at one moment: what a plan is made from, whoever writes in the meantime."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
from deltalake.exceptions import DeltaError

from lake.day_files import structure
from lake.definitions import Table
from lake.errors import TableError
from lake.reading import (
    files_by_day,
    one_line,
    open_parquet,
    open_table,
    parquet_access,
    polars_schema,
    stored_definition,
)
from lake.store import Lake, iso_day
from lake.tables import Claim, claim_of

if TYPE_CHECKING:
    import polars as pl
    from deltalake import DeltaTable


@dataclass
class Snapshot:
    """A Delta table at one version, None if there is none, and the names of the Parquet files of each day.

    `keeps_rows` is false if the table was written with another structure, so that the next write of a day makes it
    anew (L0 is made anew by ingest). Whoever writes a day by way of a claim may note its new files here.

    `claims` are made by `make_claims`, soon: delta-rs reads the log again for each, with the access of the open table.
    """

    table: Table
    delta: DeltaTable | None
    keeps_rows: bool
    files: dict[date, tuple[str, ...]]
    claims: dict[date, Claim] = field(default_factory=dict)

    @property
    def table_id(self) -> str:
        """The table's identity; empty if there is none."""
        return str(self.delta.metadata().id) if self.delta is not None else ""

    def make_claims(self, lake: Lake, days: Iterable[date]) -> None:
        """Claim days as they stood at this moment. Raises TableError if the table's log cannot be read."""
        try:
            self.claims |= {day: claim_of(self.delta, self.table, day) for day in days}
        except (DeltaError, OSError) as error:
            where = lake.table_uri(self.table)
            raise TableError(f"{where}: its log cannot be read ({one_line(error)}). Repeat, or restore it.") from None


def snapshot(lake: Lake, table: Table) -> Snapshot:
    """The table as it is now. Raises TableError if it cannot be opened."""
    delta = open_table(lake, table)
    keeps_rows = delta is None or not table.inputs or stored_definition(delta) == structure(table)
    return Snapshot(table, delta, keeps_rows, files_by_day(delta))


class Source(NamedTuple):
    """Rows of a table-day: names of files, and hashes of the raw files whose rows count in them; None if all do."""

    address: str
    day: date
    files: tuple[str, ...] = ()
    raw: tuple[str, ...] | None = None

    def uris(self, lake: Lake) -> list[str]:
        """The files as they are opened."""
        root = lake.table_uri(lake.definitions.tables[self.address])
        return [f"{root}/day={iso_day(self.day)}/{name}" for name in self.files]


def rows_of(lake: Lake, source: Source) -> pl.LazyFrame:
    """The rows of a source, with exactly the columns of its table's definition.

    The files need not be named by the newest version of the table.
    """
    import polars as pl  # noqa: PLC0415  costs a second; decoding does without it

    schema = polars_schema(lake.definitions.tables[source.address])
    if not source.files:
        return pl.LazyFrame(schema=schema)
    rows = pl.scan_parquet(
        source.uris(lake),
        schema=schema,
        missing_columns="insert",
        extra_columns="ignore",
        hive_partitioning=True,
        hive_schema={"day": pl.Date},
        **parquet_access(lake),
    ).select(*schema)
    return rows if source.raw is None else rows.filter(pl.col("file_sha256").is_in(source.raw))


def damage(lake: Lake, sources: Iterable[Source]) -> str | None:
    """The first file that cannot be read from end to end, and why; None if all can. Raises FileNotFoundError."""
    for uri in (uri for source in sources for uri in source.uris(lake)):
        try:
            with open_parquet(lake, uri, page_checksum_verification=True) as file:
                for _ in file.iter_batches():
                    pass
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError) as error:
            return f"the input file {uri} is damaged ({one_line(error)})"
    return None
