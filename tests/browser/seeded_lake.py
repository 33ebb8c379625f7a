# SPDX-License-Identifier: Apache-2.0
"""A small lake in which much is wrong, on purpose: a failed run, a stale table, a late file, an open alert.

Texts that come from outside hold markup and script, which would set `window.hurt` if a page took them for its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from exports.export import export_all
from lake.catalog import refresh
from lake.definitions import Column
from lake.store import Lake, RawArchive, Receipt
from lake.tables import append_ops
from tests.toy import DAY, L1, TRANSFORMS, receive
from tests.toy_product import build, edit, lake_with_product, now, rewrite

HURT = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>'
MORNING = datetime(2024, 9, 27, 2, tzinfo=UTC)
PUNCTUAL = datetime(2024, 9, 17, 2, tzinfo=UTC)
NIGHT = "20240927T020000.000000Z-5eed00"
LATE_FILE = "padreMDU8_240917120000.dat"
HOSTILE_FILE = f"{HURT}.dat"
SPIKE_DAY, FAILED_DAY = DAY - timedelta(days=1), DAY + timedelta(days=1)
WHY = f"ValueError: no volts {HURT}"
ALERT = "a1b2c3d4e5f6"
MESSAGE = f"voltage_v jumped to 60,000 V {HURT}"
PLOT = "SELECT epoch_tt2000, voltage_v FROM toy.box_l1_tick WHERE day = '2024-09-15'"
SPIKE, SPIKE_AT, SECONDS = 60_000, 301, 600
VALUES = [SPIKE if second == SPIKE_AT else 100 + second % 7 for second in range(SECONDS)]
# The toy's level 1 with what the viewer needs: the time that people read, as all real tables have it, and an order.
GAIN = "    calibrations: [gain]\n"
VOLTS = "      - {name: voltage_v, type: float64, unit: V, description: Voltage}"
TIME = 'time=pl.col("epoch_tt2000").map_batches(utc_column, pl.Datetime("us", "UTC"))'
TIMED = TRANSFORMS.replace(
    "import polars as pl", "import polars as pl\n\nfrom transforms.rows import utc_column"
).replace('.select("epoch_tt2000", ', f'.select("epoch_tt2000", {TIME}, ')
BYTES = b"telemetry" * 100
STAGES = {"receive": "ok", "ingest": "warn", "transform": "failed", "check": "ok", "export": "ok", "alerts": "warn"}
EMPTY: dict[str, Any] = {
    "string": "",
    "bool": False,
    "date": DAY,
    "timestamp": MORNING,
    "float32": 0.0,
    "float64": 0.0,
}


@contextmanager
def seeded_lake(folder: Path) -> Iterator[Lake]:
    """A lake with two exported days, a third one that failed; the second one has had news since. Its books as below."""
    with pytest.MonkeyPatch.context() as patch, lake_with_product(folder, patch) as lake:
        rewrite(folder, TIMED)
        tables = lake.definitions.path / "toy/box/tables.yaml"
        edit(tables, VOLTS, f"      - time\n{VOLTS}")
        edit(tables, GAIN, f"{GAIN}    order: strict\n")
        receive(lake, "b", VALUES, SPIKE_DAY)
        build(lake)
        export_all(now(lake), NIGHT)
        receive(lake, "c", [4, 5])
        receive(lake, "d", [6, 7], FAILED_DAY)
        write_books(lake)
        refresh(lake)
        yield now(lake)


def _arrived(name: str, day: date, at: datetime) -> Receipt:
    """How a file came that tells this day in its name."""
    sha = sha256(name.encode() + BYTES).hexdigest()
    return Receipt(name, sha, len(name.encode() + BYTES), at.isoformat(), "inbox", "toy", "box", f"{day}")


LATE, HOSTILE = _arrived(LATE_FILE, FAILED_DAY, MORNING), _arrived(HOSTILE_FILE, DAY, PUNCTUAL)


def write_books(lake: Lake) -> None:
    """What the nights of such a lake would have noted, and the two raw files."""
    for receipt in (LATE, HOSTILE):
        with lake.storage.scratch() as folder:
            (folder / "file").write_bytes(receipt.name.encode() + BYTES)
            RawArchive(lake).add(receipt, folder / "file")
    cut = {"file_sha256": LATE.file_sha256, "name": LATE_FILE, "bytes": 24, "reason": "checksum", "detail": HURT}
    for name, rows in {
        "nights": [_stage(number, *stage) for number, stage in enumerate(STAGES.items(), 1)],
        "files": [_file(LATE), _file(HOSTILE, "refused")],
        "quarantine": [cut | {"day": FAILED_DAY, "mission": "toy", "instrument": "box"}],
        "packets": [_packets(DAY - timedelta(days=back)) for back in range(3)],
        "runs": [_failed_run()],
        "alerts": [_alert()],
        "alert_events": [{"alert_id": ALERT, "event": "opened", "at": MORNING, "severity": "red", "detail": MESSAGE}],
    }.items():
        append_ops(lake, name, [_filled(lake, name, row) for row in rows])


def _filled(lake: Lake, name: str, row: dict[str, Any]) -> dict[str, Any]:
    """The row with something in every column that may not be null."""
    columns = [column for column in lake.ops(name).columns if not column.nullable]
    return {column.name: _nothing(column) for column in columns} | row


def _nothing(column: Column) -> Any:
    return NIGHT if column.name in ("run_id", "night_id") else EMPTY.get(column.type, 0)


def _stage(number: int, stage: str, state: str) -> dict[str, Any]:
    problems = [f"{L1}@{FAILED_DAY}: {WHY}"] if state == "failed" else []
    notes = [f"a note {HURT}"] if state == "warn" else []
    words = {"facts": json.dumps({"rows": 7}), "notes": json.dumps(notes), "problems": json.dumps(problems)}
    began = MORNING + timedelta(minutes=number)
    return {"number": number, "stage": stage, "state": state, "started_at": began, "seconds": 1.5 * number} | words


def _file(receipt: Receipt, status: str = "ingested") -> dict[str, Any]:
    sizes = {"bytes": receipt.bytes, "bytes_decoded": receipt.bytes - 24, "bytes_quarantined": 24, "packets": 40}
    came = {
        "received_at": datetime.fromisoformat(receipt.received_at),
        "revision": 1,
        "status": status,
        "receipt": receipt.key,
    }
    key = {"file_sha256": receipt.file_sha256, "name": receipt.name, "mission": "toy", "instrument": "box"}
    return key | sizes | came


def _packets(day: date) -> dict[str, Any]:
    counts = {"received": 90, "distinct": 90, "expected": 100, "missing": 10, "gaps": 1}
    return {"mission": "toy", "instrument": "box", "apid": 7, "day": day, "longest_gap_s": 10.0} | counts


def _failed_run() -> dict[str, Any]:
    told = {"status": "failed", "error": WHY, "reason": "new", "depends_on": "{}", "run_id": NIGHT}
    return {"table_name": L1, "day": FAILED_DAY, "started_at": MORNING} | told


def _alert() -> dict[str, Any]:
    place = {"mission": "toy", "instrument": "box", "table_name": L1, "column_name": "voltage_v"}
    began = datetime.combine(SPIKE_DAY, datetime.min.time(), UTC) + timedelta(seconds=SPIKE_AT)
    times = {"start_time": began, "since_time": began, "end_time": began}
    found = {
        "value": float(SPIKE),
        "baseline": 4.0,
        "message": MESSAGE,
        "rules": "robust z",
        "episodes": 1,
        "plot": PLOT,
    }
    return {"alert_id": ALERT, "subject": f"{L1}.voltage_v", "severity": "red", "state": "open"} | place | times | found
