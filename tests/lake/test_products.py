# SPDX-License-Identifier: Apache-2.0
"""Finding and fetching products: the newest version by name, day and time of making, and never a damaged file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from lake.catalog import open_catalog
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.errors import ConfigurationError, StorageError
from lake.products import Product, fetch, find, opened
from lake.storage import open_storage
from lake.store import Lake
from lake.tables import append_ops
from tests.conftest import Place

NO_MISSIONS = replace(read_definitions(CHECKOUT / "missions"), missions=())  # the books are all that is asked
CONTENT = b"a CDF file"
MADE = datetime(2026, 8, 5, 3, tzinfo=UTC)
PHOTON, FLUX = "padre.meddea_l1_photon", "hermes.merit_l2_flux"


def row(product: str, day: int, version: str, hours: int) -> dict[str, Any]:
    return {
        "product": product,
        "day": date(2026, 8, day),
        "version": version,
        "path": f"exports/{product}_{day}_v{version}.cdf",
        "bytes": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "records": 100,
        "parents": "[]",
        "created_at": MADE + timedelta(hours=hours),
        "run_id": f"run-{hours:02d}",
        "status": "published",
        "fingerprint": "f",
        "code_version": "0.1.0",
        "deliverable": False,
        "made_from": "{}",
    }


ROWS = [
    row(PHOTON, 1, "1.0.9", 0),
    row(PHOTON, 2, "1.0.0", 1),
    row(FLUX, 1, "0.1.0", 2),
    row(PHOTON, 1, "1.0.10", 9),
]


def lake_at(root: Path | str) -> Lake:
    lake = Lake(root, NO_MISSIONS)
    append_ops(lake, "exports", ROWS)
    for each in ROWS:
        lake.storage.put(each["path"], CONTENT)
    return lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return lake_at(tmp_path_factory.mktemp("lake"))


@pytest.fixture(scope="module")
def connection(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_catalog(lake) as connected:
        yield connected


def names(found: list[Product]) -> list[tuple[str, int, str]]:
    return [(product.product, product.day.day, product.version) for product in found]


def test_the_newest_version_of_each_day_is_found_the_last_made_at_the_end(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    assert names(find(connection)) == [(PHOTON, 2, "1.0.0"), (FLUX, 1, "0.1.0"), (PHOTON, 1, "1.0.10")]


def test_names_have_wildcards_and_days_are_half_open(connection: duckdb.DuckDBPyConnection) -> None:
    assert names(find(connection, "hermes.*_l2_*")) == [(FLUX, 1, "0.1.0")]
    assert names(find(connection, start=date(2026, 8, 2), stop=date(2026, 8, 3))) == [(PHOTON, 2, "1.0.0")]
    assert find(connection, start=date(2026, 8, 3)) == []
    assert find(connection, "x' OR true --") == []


def test_since_the_last_one_that_was_seen_only_what_is_new_comes(connection: duckdb.DuckDBPyConnection) -> None:
    seen = find(connection)[1].created_at
    assert names(find(connection, since=seen)) == [(PHOTON, 1, "1.0.10")]
    assert find(connection, since=MADE + timedelta(hours=9)) == []
    with pytest.raises(ConfigurationError, match="has no time zone"):
        find(connection, since=seen.replace(tzinfo=None))


def test_an_export_that_changed_nothing_brings_nothing_new(tmp_path: Path) -> None:
    confirmed = row(PHOTON, 1, "1.0.10", 20) | {"status": "unchanged"}
    lake = Lake(tmp_path, NO_MISSIONS)
    append_ops(lake, "exports", [*ROWS, confirmed])
    with open_catalog(lake) as connection:
        assert find(connection)[-1].created_at == MADE + timedelta(hours=9)
        assert find(connection, since=MADE + timedelta(hours=9)) == []


def test_a_file_is_copied_whole_and_once(lake: Lake, connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    product = find(connection)[-1]
    path = fetch(product, tmp_path / "new" / "folder", lake.root)
    assert path.read_bytes() == CONTENT
    before = path.stat()
    assert fetch(product, path.parent, lake.root).stat().st_mtime_ns == before.st_mtime_ns
    path.write_bytes(b"spoiled")
    assert fetch(product, path.parent, lake.root).read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_damaged_or_missing_file_is_told_and_nothing_is_left(tmp_path: Path) -> None:
    lake = lake_at(tmp_path / "lake")
    with open_catalog(lake) as connection:
        damaged, missing = find(connection)[:2]
    (tmp_path / "lake" / damaged.path).chmod(0o644)
    (tmp_path / "lake" / damaged.path).write_bytes(b"a bit less")
    (tmp_path / "lake" / missing.path).unlink()
    with pytest.raises(StorageError, match=r"has sha256 .*, not .*\. Run `swxlake fsck`"):
        fetch(damaged, tmp_path / "out", lake.root)
    with pytest.raises(StorageError, match="is not in the lake"), opened(missing, lake.root):
        pass
    assert list((tmp_path / "out").iterdir()) == []


def test_products_of_a_bucket_are_opened_as_copies(s3_place: Place, tmp_path: Path) -> None:
    published = ROWS[0]
    product = Product(**{field.name: published[field.name] for field in fields(Product)})
    with s3_place() as root:
        open_storage(root).put(product.path, CONTENT)
        with opened(product, root) as path:
            assert path.read_bytes() == CONTENT
        assert not path.exists()
        assert fetch(product, tmp_path, root).read_bytes() == CONTENT
