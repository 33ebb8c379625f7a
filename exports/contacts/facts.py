# SPDX-License-Identifier: Apache-2.0
"""What the lake knows of files that came, and of those that did not: for the accounting of passes."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import polars as pl

from exports.contacts.accounting import CameFile, Trouble
from exports.contacts.spans import gaps_of_files, lost, spans
from lake.definitions import Definitions
from lake.errors import FileNameError
from lake.ledger import current_contents, read_ops
from lake.names import parse_name
from lake.store import Lake

FILE_COLUMNS = (
    "file_sha256", "name", "mission", "instrument", "received_at", "bytes", "packets", "status", "reason", "arrival",
    "run_id",
)  # fmt: skip
OPEN = ("failed", "waiting", "missing", "mismatched", "refused")  # states of a file at a source that has not come
LONGEST_WORDS = 300


def files_since(lake: Lake, first: datetime, missions: Collection[str]) -> pl.DataFrame:
    """Rows of ops.files of some missions that were received since then."""
    rows = read_ops(lake, "files", FILE_COLUMNS)
    return rows.filter(pl.col("received_at") >= first, pl.col("mission").is_in(list(missions)))


def came(files: pl.DataFrame) -> list[CameFile]:
    """Rows of ops.files as the accounting has them."""
    return [_came(row) for row in files.iter_rows(named=True)]


def _came(row: dict[str, Any]) -> CameFile:
    whole = row["status"] == "ingested"
    return CameFile(
        row["name"], row["file_sha256"], row["mission"], row["instrument"], row["received_at"], row["bytes"],
        row["packets"], whole, "" if whole else one_line(row["reason"] or row["status"]), row["arrival"] or 0,
    )  # fmt: skip


def missing_by_file(lake: Lake, files: pl.DataFrame) -> dict[str, int]:
    """Packets missing in the gaps that end in each of these files, by its sha256.

    Level 0 is read only where there are gaps at all, which is seldom.
    """
    gaps = lost(read_ops(lake, "gaps"))
    if gaps.is_empty() or files.is_empty():
        return {}
    days = gaps.select("mission", "instrument", "day").unique()
    own = current_contents(lake).filter(pl.col("file_sha256").is_in(files["file_sha256"].unique().to_list()))
    found = spans(lake, own.join(days, on=["mission", "instrument", "day"], how="semi"))
    counted = gaps_of_files(found, gaps, files).group_by("file_sha256").agg(pl.col("missing").cast(pl.Int64).sum())
    return dict(counted.iter_rows())


def newest_receptions(lake: Lake) -> pl.DataFrame:
    """The newest row of ops.receptions of each file of a source, in the order in which they were noted."""
    rows = read_ops(lake, "receptions").sort("noted_at", "run_id", maintain_order=True)
    return rows.unique(["source", "path"], keep="last", maintain_order=True)


def troubles(lake: Lake, first: datetime, now: datetime) -> list[Trouble]:
    """Files that sources have or announce and that have not come, seen since then."""
    rows = newest_receptions(lake).filter(pl.col("state").is_in(OPEN), pl.col("first_seen_at") >= first)
    return [_trouble(lake.definitions, row, now) for row in rows.iter_rows(named=True)]


def _trouble(definitions: Definitions, row: dict[str, Any], now: datetime) -> Trouble:
    name = name_of(row["path"])
    words = one_line(f"{row['state']} at source {row['source']}: {row['detail']}")
    return Trouble(one_line(name), mission_of(definitions, name, now), row["first_seen_at"], words)


def name_of(path: str) -> str:
    """The name of a file at a source: the last part of its path."""
    return path.rpartition("/")[2]


def mission_of(definitions: Definitions, name: str, now: datetime) -> str:
    """The mission whose grammar accepts a name; "" if none does."""
    for mission in definitions.missions:
        try:
            parse_name(mission.names, name, now)
        except FileNameError:
            continue
        return mission.name
    return ""


def one_line(text: str, longest: int = LONGEST_WORDS) -> str:
    """A text of others as it is told: one line, bounded, with what cannot be printed as an escape."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
    return shown if len(shown) <= longest else f"{shown[: longest - 3]}..."
