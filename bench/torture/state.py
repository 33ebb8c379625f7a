# SPDX-License-Identifier: Apache-2.0
"""What a lake holds, without what must differ from run to run (run ids, file names and times of the wall clock)."""

from __future__ import annotations

import hashlib

import polars as pl

from lake.ledger import read_ops
from lake.reading import scan
from lake.store import Lake

OF_THE_RUN = [
    "run_id", "table_id", "started_at", "seconds", "checked_at", "created_at", "received_at", "files", "plan",
    "made_from",  # names the state of the checkout, which may be worked on meanwhile
    "at", "opened_at", "changed_at",
]  # fmt: skip
# One more row after an interruption is right, and older versions do not come back: their last state is compared.
HISTORY = ("runs", "exports", "renditions")
DIARY = "nights"  # tells what was done when, and nothing of what the lake holds


def table_state(lake: Lake) -> dict[str, pl.DataFrame]:
    """Rows of every data table and of the ops tables, in a fixed order."""
    state = data_state(lake)
    for table in lake.definitions.ops:
        if table.name == DIARY:
            continue
        frame = read_ops(lake, table.name)
        if table.name in HISTORY:
            keys = ["table_name" if table.name == "runs" else "product", "day"]
            frame = frame.sort("run_id").unique(keys, keep="last").drop("status", "reason", "depends_on", strict=False)
        if table.name == "metrics":
            frame = frame.filter(~pl.col("metric").str.starts_with("latency_"))
        if table.name == "watched":
            frame = frame.drop("state", "usual")  # they rest on how late files arrived, too
        state[f"ops.{table.name}"] = in_order(frame)
    return state


def data_state(lake: Lake) -> dict[str, pl.DataFrame]:
    """Rows of every data table, in a fixed order."""
    state = {}
    for address, table in lake.definitions.tables.items():
        frame = scan(lake, table).collect()
        order = [c for c in ("file_sha256", "byte_offset", "epoch_tt2000") if c in frame.columns]
        state[address] = frame.sort(order, maintain_order=True) if order else frame
    return state


def in_order(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of an ops table without the columns that tell runs apart, sorted.

    A mean of level 0 is summed in the order of its files, whose names are random: its last digits are.
    """
    kept = [c for c in frame.columns if c not in OF_THE_RUN]
    return frame.select(kept).with_columns(pl.col(pl.Float64).round_sig_figs(12)).sort(kept)


def product_state(lake: Lake) -> dict[str, str]:
    """sha256 of every published file by its key."""
    keys = [entry.key for entry in lake.storage.entries("exports/") if entry.key.endswith(".cdf")]
    visible = [key for key in keys if not any(part.startswith(".") for part in key.split("/"))]
    return {key: hashlib.sha256(lake.storage.read(key)).hexdigest() for key in visible}


def newest_products(lake: Lake) -> dict[str, str]:
    """sha256 of the newest version of each product-day: older ones do not come back in a rebuild."""
    newest: dict[str, tuple[tuple[int, ...], str, str]] = {}
    for key, sha256 in product_state(lake).items():
        stem, _, version = key.removesuffix(".cdf").rpartition("_v")
        number = tuple(int(part) for part in version.split("."))
        newest[stem] = max(newest.get(stem, ((), "", "")), (number, key, sha256))
    return {key: sha256 for _, key, sha256 in newest.values()}


def assert_equal_lakes(one: Lake, other: Lake) -> None:
    """Fail with the name of the first table or product that differs."""
    difference = unlike(one, other)
    assert not difference, difference


def unlike(one: Lake, other: Lake) -> str:
    """In what two lakes differ: the first product or table and its rows; empty if they hold the same."""
    products = product_state(one), product_state(other)
    if products[0] != products[1]:
        odd = sorted(key for key in products[0] | products[1] if products[0].get(key) != products[1].get(key))
        return f"products differ: {', '.join(odd)}"
    return unlike_frames(table_state(one), table_state(other))


def unlike_frames(one: dict[str, pl.DataFrame], other: dict[str, pl.DataFrame]) -> str:
    """The first table that differs, and how; empty if they are equal."""
    for name in one | other:
        difference = _difference(one.get(name, pl.DataFrame()), other.get(name, pl.DataFrame()))
        if difference:
            return f"{name}: {difference}"
    return ""


def _difference(one: pl.DataFrame, other: pl.DataFrame) -> str:
    if one.equals(other):
        return ""
    if one.shape != other.shape:
        return f"{one.shape} or {other.shape} rows and columns:\n{one}\n{other}"
    odd = [name for name in one.columns if name not in other.columns or not one[name].equals(other[name])]
    shown = [f"{name}: {one[name].to_list()[:20]} or {other.get_column(name, default=None)}" for name in odd]
    return "; ".join(text[:1000] for text in shown)
