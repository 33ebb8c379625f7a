# SPDX-License-Identifier: Apache-2.0
"""What the view and the query about deliveries make of a ledger that is known row by row."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from lake.catalog import open_catalog
from lake.definition_files import read_definitions
from lake.store import Lake
from lake.tables import append_ops

CHECKOUT = Path(__file__).resolve().parents[2]
DAY = date(2026, 8, 1)


def at(hour: int) -> datetime:
    return datetime(2026, 8, 2, hour, tzinfo=UTC)


def row(recipient: str, version: str, event: str, hour: int, **more: Any) -> dict[str, Any]:
    return {
        "recipient": recipient,
        "product": "padre.meddea_l1_photon",
        "day": DAY,
        "version": version,
        "format": "cdf",
        "dataset": "padre_meddea_l1-photon",
        "path": f"padre/padre_meddea_l1-photon_20260801_v{version}.cdf",
        "bytes": 1_000_000,
        "sha256": "ab" * 32,
        "event": event,
        "attempted_at": at(hour),
        "delivered_at": at(hour) if event == "delivered" else None,
        "verified_at": at(hour) if event in ("delivered", "verified") else None,
        "detail": None,
        "batch": "b",
        "entry": f"{hour:02d}",
        "number": 0,
        **more,
    }


LEDGER = [
    row("archive", "1.0.9", "failed", 1, detail="connection refused"),
    row("archive", "1.0.9", "delivered", 2),
    row("archive", "1.0.10", "delivered", 3),
    row("archive", "1.0.10", "verified", 4),
    row("team", "1.0.9", "delivered", 2),
    row("critic", "1.0.9", "delivered", 2),
    row("critic", "1.0.9", "accepted", 3, number=9),
    row("critic", "1.0.9", "rejected", 3, number=10),
    row("team", "1.0.9", "lost", 5, detail="is not there any more"),
]


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    lake = Lake(tmp_path_factory.mktemp("lake"), read_definitions(CHECKOUT / "missions"))
    append_ops(lake, "deliveries", LEDGER)
    with open_catalog(lake) as opened:
        yield opened


def frame(connection: duckdb.DuckDBPyConnection, text: str) -> pl.DataFrame:
    found = pl.from_arrow(connection.sql(text).to_arrow_table())
    assert isinstance(found, pl.DataFrame)
    return found


def test_the_last_event_of_a_file_counts_and_earlier_times_are_kept(connection):
    found = frame(connection, "SELECT * FROM ops.latest_deliveries ORDER BY recipient, version DESC").rows(named=True)
    told = [(r["recipient"], r["version"], r["event"], r["attempts"], r["delivered_at"].hour) for r in found]
    assert told == [
        ("archive", "1.0.9", "delivered", 2, 2),
        ("archive", "1.0.10", "verified", 2, 3),
        ("critic", "1.0.9", "rejected", 3, 2),
        ("team", "1.0.9", "lost", 2, 2),
    ]
    assert [r["detail"] for r in found] == ["", "", "", "is not there any more"]


def test_each_recipient_is_judged_by_the_newest_version_that_was_sent(connection):
    text = (CHECKOUT / "sql" / "queries" / "products_by_recipient.sql").read_text()
    archive, critic, team = frame(connection, text).rows(named=True)
    assert (archive["sent_count"], archive["received_count"], archive["missing_count"]) == (1, 1, 0)
    assert archive["last_delivered_at"].hour == 3
    assert archive["sent_mb"] == 1
    assert (critic["received_count"], critic["missing_count"], critic["rejected_count"]) == (0, 0, 1)
    assert (team["received_count"], team["missing_count"], team["first_day"]) == (0, 1, DAY)
