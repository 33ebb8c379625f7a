# SPDX-License-Identifier: Apache-2.0
"""Products for people who read them: find them by name, day and time of making, and have the file at hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import duckdb

from lake.config import read_settings
from lake.errors import ConfigurationError, StorageError
from lake.files import copy_hashed, finished, sha256_of, temporary, writing
from lake.storage import open_storage

# An export that finds the same bytes again notes its own time; a version is as old as the row that published it.
FIND = """
    WITH first AS (
        SELECT product, day, version, min(created_at) AS published_at
        FROM ops.exports
        WHERE status = 'published'
        GROUP BY ALL
    ),
    newest AS (
        SELECT
            product, day, version, path, bytes, sha256, records,
            coalesce(published_at, created_at) AS created_at
        FROM ops.latest_products
        LEFT JOIN first USING (product, day, version)
    )
    FROM newest
    WHERE
        product GLOB $name
        AND ($start IS NULL OR day >= $start::DATE)
        AND ($stop IS NULL OR day < $stop::DATE)
        AND ($since IS NULL OR created_at > $since::TIMESTAMPTZ)
    ORDER BY created_at, product, day
"""


@dataclass(frozen=True)
class Product:
    """The newest version of a product of a day, made at `created_at`; `path` is below the lake's root."""

    product: str
    day: date
    version: str
    path: str
    bytes: int
    sha256: str
    records: int
    created_at: datetime


def find(
    connection: duckdb.DuckDBPyConnection,
    name: str = "*",
    start: date | None = None,
    stop: date | None = None,
    since: datetime | None = None,
) -> list[Product]:
    """The newest versions of products, the last made one at the end.

    `name` is that of the table, with `*` and `?`: `hermes.*_l2_*`. `start` and `stop` are UTC days, half-open. With the
    `created_at` of the last one that was seen as `since`, only what was made after it comes: new days and new versions.
    Raises ConfigurationError if `since` has no time zone.
    """
    if since is not None and since.tzinfo is None:
        raise ConfigurationError(f"since {since}: has no time zone. Give it one, such as datetime(..., tzinfo=UTC).")
    values = {"name": name, "start": start, "stop": stop, "since": since}
    return [Product(*row) for row in connection.execute(FIND, values).fetchall()]


@contextmanager
def opened(product: Product, root: str | Path | None = None) -> Iterator[Path]:
    """The file of a product for the block: the lake's own if it is in a folder, a copy if it is in a bucket.

    `root` is the lake, as for `connect`. Raises StorageError if the file is not there.
    """
    with open_storage(read_settings(str(root) if root else None).root).local(product.path) as path:
        if not path.is_file():
            raise StorageError(f"{product.path}: is not in the lake. Run `swxlake export`, then look for it again.")
        yield path


def fetch(product: Product, folder: Path, root: str | Path | None = None) -> Path:
    """A copy of the file of a product in a folder, whole and with the right sha256; it is not copied twice.

    Raises StorageError if the file is not there or damaged.
    """
    target = folder / Path(product.path).name
    if target.is_file() and sha256_of(target) == product.sha256:
        return target
    with opened(product, root) as path, writing(target), temporary(target) as (aside, file):
        if (found := copy_hashed(path, file)) != product.sha256:
            raise StorageError(f"{product.path}: has sha256 {found}, not {product.sha256}. Run `swxlake fsck`.")
        finished(file, 0o644)
        aside.rename(target)
    return target
