# SPDX-License-Identifier: Apache-2.0
"""What a lake holds, without what must differ from run to run (run ids and times of the wall clock)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import polars as pl

from lake.ledger import read_ops
from lake.reading import scan
from lake.store import Lake

OF_THE_RUN = ["run_id", "table_id", "started_at", "seconds", "checked_at", "created_at", "received_at"]
HISTORY = ("runs", "exports")  # one more row after an interruption is right; their last state is compared


def table_state(lake: Lake) -> dict[str, pl.DataFrame]:
    """Rows of every data table and of the ops tables, in a fixed order."""
    state = {}
    for address, table in lake.definitions.tables.items():
        frame = scan(lake, table).collect()
        order = [c for c in ("file_sha256", "byte_offset", "epoch_tt2000") if c in frame.columns]
        state[address] = frame.sort(order, maintain_order=True) if order else frame
    for table in lake.definitions.ops:
        frame = read_ops(lake, table.name)
        if table.name in HISTORY:
            keys = ["table_name" if table.name == "runs" else "product", "day"]
            frame = frame.sort("run_id").unique(keys, keep="last").drop("status", "reason", "depends_on", strict=False)
        scalars = [c for c in frame.columns if c not in OF_THE_RUN]
        state[f"ops.{table.name}"] = frame.select(scalars).sort(scalars)
    return state


def product_state(lake: Lake) -> dict[str, str]:
    """sha256 of every published file by its path below the lake's root."""
    files = sorted((lake.root / "exports").rglob("*.cdf"))
    visible = [path for path in files if not any(part.startswith(".") for part in path.relative_to(lake.root).parts)]
    return {path.relative_to(lake.root).as_posix(): _sha256(path) for path in visible}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def assert_equal_lakes(one: Lake, other: Lake) -> None:
    """Fail with the name of the first table or product that differs."""
    assert product_state(one) == product_state(other)
    states = table_state(one), table_state(other)
    for name, frame in states[0].items():
        assert frame.equals(states[1][name]), f"{name} differs:\n{frame}\n{states[1][name]}"
