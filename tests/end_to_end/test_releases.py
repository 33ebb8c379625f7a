# SPDX-License-Identifier: Apache-2.0
"""Named releases, and the lake as it was at a release or a time."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from lake.catalog import open_catalog
from lake.errors import ConfigurationError, TableError
from lake.maintenance import maintain
from lake.reading import open_table, scan
from lake.store import Journal, Lake
from swxlake.releases import as_of, list_releases, make_release
from tests.kept_lake import L0, L1, RELEASE, root_of
from tests.meddea import DEFINITIONS

QUERY = (
    "SELECT day::VARCHAR, version FROM ops.latest_products WHERE product = 'padre.meddea_l1_housekeeping' ORDER BY day"
)
FIRST_DAY = "2024-09-16"


def table_rows(lake: Lake, address: str) -> int:
    return int(scan(lake, lake.definitions.tables[address]).select(pl.len()).collect().item())


def test_a_release_names_every_table_and_the_newest_products(kept: Lake) -> None:
    outcome = make_release(kept, "second", "after the late file")
    entry = Journal(kept).entry("releases", "second")
    assert entry is not None
    assert entry["why"] == "after the late file"
    for address, state in entry["tables"].items():
        table = kept.definitions.tables.get(address) or kept.ops(address.removeprefix("ops."))
        delta = open_table(kept, table)
        assert delta is not None
        assert state == {"version": delta.version(), "id": str(delta.metadata().id)}
    assert {L0, L1, "ops.exports", "ops.runs"} <= set(entry["tables"])
    products = {(p["product"], p["day"]): p for p in entry["products"]}
    assert outcome.facts["holds"] == {"tables": len(entry["tables"]), "products": 3}
    found = products[L1, FIRST_DAY]
    assert found["path"].endswith("l1-housekeeping_20240916_v1.0.1.cdf")
    version = Journal(kept).entry("versions", "padre_meddea_l1-housekeeping_20240916_v1.0.1")
    assert version is not None
    assert found["sha256"] == version["sha256"]


def test_releases_are_listed_with_their_reason(kept: Lake) -> None:
    make_release(kept, "a-second.one", "to see the order")
    rows = list_releases(kept).tables["releases"]
    assert [(row["release"], row["why"]) for row in rows] == [
        (RELEASE, "to have one"),
        ("a-second.one", "to see the order"),
    ]


@pytest.mark.parametrize(
    ("name", "why", "match"),
    [
        (RELEASE, "again", "exists, and releases never change"),
        ("Odd", "x", "a name has letters a to z"),
        ("-odd", "x", "a name has letters a to z"),
        ("a/b", "x", "a name has letters a to z"),
        ("2026-08-01", "x", "reads as a time"),
        ("good", " ", "without a reason"),
    ],
)
def test_odd_releases_are_refused(healthy: Lake, name: str, why: str, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        make_release(healthy, name, why)
    assert Journal(healthy).keys("releases") == [RELEASE]


def test_a_release_shows_the_lake_without_what_came_later(healthy: Lake) -> None:
    past = as_of(healthy, RELEASE)
    assert (table_rows(past, L0), table_rows(healthy, L0)) == (12, 18)  # two packets of the late file are repetitions
    assert (table_rows(past, L1), table_rows(healthy, L1)) == (12, 16)
    with open_catalog(past) as then, open_catalog(healthy) as now:
        assert then.sql(QUERY).fetchall() == [(FIRST_DAY, "1.0.0"), ("2024-09-17", "1.0.0")]
        assert now.sql(QUERY).fetchall() == [(FIRST_DAY, "1.0.1"), ("2024-09-17", "1.0.0")]


def test_upkeep_leaves_a_release_readable(kept: Lake) -> None:
    maintain(kept, 1, now=time.time() + 30 * 86_400)
    assert table_rows(as_of(kept, RELEASE), L1) == 12


def test_a_time_shows_the_newest_versions_of_then(healthy: Lake) -> None:
    entry = Journal(healthy).entry("releases", RELEASE)
    assert entry is not None
    past = as_of(healthy, entry["made_at"])
    assert past.as_of is not None
    assert past.as_of.versions == {address: table["version"] for address, table in entry["tables"].items()}
    assert table_rows(past, L1) == 12
    local = datetime.fromisoformat(entry["made_at"]).astimezone().replace(tzinfo=UTC).replace(tzinfo=None).isoformat()
    assert table_rows(as_of(healthy, local), L1) == 12  # a time without a zone is UTC
    later = datetime.now(UTC) + timedelta(days=1)
    assert table_rows(as_of(healthy, later.isoformat()), L1) == 16


def test_a_table_is_empty_before_its_first_commit(healthy: Lake) -> None:
    past = as_of(healthy, "2020-01-01")
    assert past.as_of is not None
    assert (past.as_of.versions, table_rows(past, L1)) == ({}, 0)
    with open_catalog(past) as connection:
        assert connection.sql(QUERY).fetchall() == []


def test_a_table_that_was_made_anew_since_is_named(kept: Lake) -> None:
    folder = root_of(kept) / "tables/padre/meddea_l1_housekeeping"
    shutil.rmtree(folder)
    with pytest.raises(TableError, match=rf"{L1} was removed since.*swxlake reproduce"):
        as_of(kept, RELEASE)
    shutil.copytree(root_of(kept) / "tables/padre/meddea_l1_photon", folder)
    with pytest.raises(TableError, match=rf"{L1}.*(made anew|cannot be opened).*swxlake reproduce"):
        as_of(kept, RELEASE)


def test_a_table_whose_old_files_are_gone_is_named(kept: Lake) -> None:
    past = as_of(kept, RELEASE)
    delta = open_table(past, DEFINITIONS.tables[L1])
    assert delta is not None
    (file, *_) = sorted(delta.file_uris())
    (root_of(kept) / "tables" / file.partition("/tables/")[2]).unlink()
    with pytest.raises(TableError, match=rf"{L1} lacks 1 files of that time, .*\.parquet for one"):
        as_of(kept, RELEASE)


@pytest.mark.parametrize("text", ["nothing", "2026-13-01", "../versions/x", ""])
def test_what_is_no_release_and_no_time_is_refused(healthy: Lake, text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no release and no time"):
        as_of(healthy, text)
