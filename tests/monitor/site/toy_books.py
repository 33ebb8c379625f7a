# SPDX-License-Identifier: Apache-2.0
"""A lake of the toy's whose books are written by hand: small numbers, to be counted on fingers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exports.export import export_all
from lake.ledger import read_ops
from lake.store import Lake, receipt_key
from lake.tables import append_ops
from tests.toy import DAY, L0, L1, receive
from tests.toy_product import lake_with_product, now

NEXT = DAY + timedelta(days=1)
OLD = DAY - timedelta(days=1000)
NOW = datetime(2024, 9, 20, 6, tzinfo=UTC)
HOSTILE = "<script>hurt()</script> \"quoted\" 'twice' &amp; javascript:hurt()"
SHA = {name: name.ljust(64, "0") for name in "ab"}  # as receive gives them
PLAIN: dict[str, Any] = {"string": "", "bool": False, "date": DAY, "timestamp": NOW, "float32": 0.0, "float64": 0.0}


def put(lake: Lake, table: str, *rows: dict[str, Any]) -> None:
    """Append rows to an ops table; columns that are not given have 0, "" or, where they may, nothing."""
    columns = lake.ops(table).columns
    plain = {column.name: PLAIN.get(column.type, 0) for column in columns if not column.nullable}
    append_ops(lake, table, [plain | row for row in rows])


@contextmanager
def told_lake(folder: Path) -> Iterator[Lake]:
    """Two days of the toy: the first is exported, of the second the build failed; and books about all that can be."""
    with pytest.MonkeyPatch.context() as patch, lake_with_product(folder, patch) as lake:
        export_all(now(lake), "run-export")
        receive(lake, "b", [4, 5], NEXT)
        write_books(lake)
        yield now(lake)


def write_books(lake: Lake) -> None:
    """Rows of all the books that the site's numbers are counted from."""
    own = {"mission": "toy", "instrument": "box"}
    put(lake, "runs", {"table_name": L1, "day": NEXT, "status": "failed", "error": HOSTILE, "run_id": "run-9"})
    put(
        lake,
        "packets",
        own | {"apid": 7, "day": DAY, "received": 95, "distinct": 90, "expected": 100, "missing": 10, "gaps": 1},
        own | {"apid": 7, "day": NEXT, "received": 50, "distinct": 50, "expected": 50},
    )
    put(lake, "contacts", *({"mission": "toy", "pass_id": state, "state": state} for state in ("missing", "complete")))
    put(lake, "gaps", own | {"apid": 7, "day": DAY, "missing": 10, "kind": "loss"})
    put(
        lake,
        "quarantine",
        {"file_sha256": SHA["a"], "name": HOSTILE, "bytes": 30, "day": DAY, "reason": "checksum", "run_id": "r1"},
        {"file_sha256": SHA["b"], "name": "nameless", "bytes": 12, "day": None, "reason": "refused", "run_id": "r2"},
        {
            "file_sha256": "d" * 64,
            "name": "forgotten",
            "bytes": 8,
            "day": None,
            "run_id": "20200101T000000.000000Z-1a2b3c",
        },
        {"file_sha256": "c" * 64, "name": "old", "bytes": 99, "day": OLD, "reason": "checksum", "run_id": "r0"},
    )
    _files(lake)
    _alerts(lake)
    _nights(lake)


def _files(lake: Lake) -> None:
    """File a came 20 s before the first good build, b 100 hours after the end of the day in its name."""
    run = read_ops(lake, "runs").filter(table_name=L1, day=DAY, status="done").row(0, named=True)
    built = run["started_at"] + timedelta(microseconds=int(run["seconds"] * 1e6))
    late = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC) + timedelta(days=2, hours=100)
    for name, day, received in (("a", DAY, built - timedelta(seconds=20)), ("b", NEXT, late)):
        file = "late <b>.dat" if name == "b" else "a.dat"
        receipt = receipt_key(SHA[name], file)
        # The archive tells the day of files by their folders; in the time of this test file a is as late as can be.
        filed = day if name == "b" else date(received.year, received.month, received.day)
        lake.storage.put_new(f"raw/toy/box/{filed}/{receipt}.json", b"{}")
        facts = {"mission": "toy", "instrument": "box", "received_at": received, "status": "ingested", "bytes": 100}
        put(lake, "files", {"file_sha256": SHA[name], "name": file, "receipt": receipt, **facts})
    found = {"table_name": L1, "day": DAY, "content": "later", "run_id": "run-999999"}
    put(
        lake,
        "metrics",
        found | {"metric": "latency_p50_s", "value": 100.0},
        found | {"metric": "latency_p95_s", "value": 200.0},
    )


def _alerts(lake: Lake) -> None:
    own = {"mission": "toy", "instrument": "box", "table_name": L1, "column_name": "voltage_v", "rules": "spike"}
    put(
        lake,
        "alerts",
        own | {"alert_id": "a1", "subject": f"{L1}.voltage_v", "message": HOSTILE, "severity": "red", "state": "open"},
        own | {"alert_id": "a2", "subject": "known", "severity": "yellow", "state": "acknowledged"},
        own | {"alert_id": "a3", "subject": "over", "severity": "red", "state": "resolved"},
    )


def _nights(lake: Lake) -> None:
    for night, state in (("20240919T020000.000000Z-aaaaaa", "failed"), ("20240920T020000.000000Z-bbbbbb", "warn")):
        stages = (("ingest", "ok", 2.0), ("transform", state, 3.5))
        put(
            lake,
            "nights",
            *(
                {
                    "night_id": night,
                    "number": number,
                    "stage": stage,
                    "state": found,
                    "seconds": seconds,
                    "facts": '{"transform": {"table_days_built": 4}}',
                    "notes": "[]",
                    "problems": f'["{L0}: odd <i>thing</i>"]',
                }
                for number, (stage, found, seconds) in enumerate(stages, 1)
            ),
        )
