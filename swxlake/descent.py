# SPDX-License-Identifier: Apache-2.0
"""Lineage in both directions: what a product descends from, and what descends from a raw file, calibration or day."""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Any

import polars as pl

from exports.versions import version_key
from lake.catalog import open_catalog
from lake.definitions import Table
from lake.ledger import read_ops
from lake.store import Journal, Lake
from swxlake.outcome import Outcome

UNDATED = re.compile(r"_\d{8}$")
PART_OF_SHA256 = re.compile(r"[0-9a-f]{8,64}")
ANCESTORS = "SELECT ancestor_kind, ancestor, ancestor_day, ancestor_sha256 FROM ops.lineage WHERE descendant = ?"
DESCENDANTS = "SELECT DISTINCT descendant_kind, descendant, day FROM ops.lineage WHERE "
ORDER = " ORDER BY ALL"


def descendants_of_day(lake: Lake, table: Table, day: date) -> list[dict[str, Any]]:
    """Table-days and products that were made from a table-day."""
    where = "ancestor_kind = 'table-day' AND ancestor = ? AND ancestor_day = ?"
    return _descendants(lake, where, [table.address, day])


def descendants_of_bytes(lake: Lake, sha256: str) -> list[dict[str, Any]]:
    """Table-days and products that were made from a raw file or a calibration with this hash."""
    return _descendants(lake, "ancestor_sha256 = ?", [sha256])


def _descendants(lake: Lake, where: str, values: list[Any]) -> list[dict[str, Any]]:
    with open_catalog(lake) as connection:
        rows = connection.execute(f"{DESCENDANTS}{where}{ORDER}", values).fetchall()
    return [{"kind": kind, "name": name, "day": day} for kind, name, day in rows]


def describe_raw_file(lake: Lake, name: str) -> Outcome | None:
    """What became of the raw file of this name, or with this (beginning of a) sha256; None if there is none."""
    files = read_ops(lake, "files").filter((pl.col("name") == name) | _begins("file_sha256", name))
    if files.is_empty():
        return None
    columns = ["name", "file_sha256", "received_at", "bytes", "bytes_decoded", "bytes_quarantined", "packets"]
    outcome = Outcome(facts={"raw file": name})
    outcome.tables["arrivals"] = files.select(*columns, "duplicates", "status", "reason").to_dicts()
    for sha256 in files["file_sha256"].unique(maintain_order=True):
        if rows := descendants_of_bytes(lake, sha256):
            outcome.tables[f"descends from {sha256[:12]}"] = rows
    return outcome


def describe_calibration(lake: Lake, name: str) -> Outcome | None:
    """What was made with the calibration file of this name, or with this (beginning of a) sha256; None if none is.

    Also with bytes that the file had once: what the lake has was made with them.
    """
    stem, missions = name.removesuffix(".csv"), lake.definitions.missions
    # A calibration that an instrument borrows is the lender's file.
    known = {(c.path, c.stem): c for m in missions for i in m.instruments for c in i.calibrations}.values()
    files = [
        {"name": c.stem, "sha256": c.sha256, "stands": f"today's missions/{c.path.relative_to(lake.definitions.path)}"}
        for c in known
        if stem == c.stem or _is_begin(c.sha256, name)
    ]
    for sha256, its_name in _calibrations_used(lake).items():
        is_asked_for = its_name in (stem, UNDATED.sub("", stem)) or _is_begin(sha256, name)
        if is_asked_for and sha256 not in {c.sha256 for c in known}:
            files.append({"name": its_name, "sha256": sha256, "stands": "no more"})
    if not files:
        return None
    outcome = Outcome(facts={"calibration": name}, tables={"files": files})
    for file in files:
        if rows := descendants_of_bytes(lake, file["sha256"]):
            outcome.tables[f"descends from {file['name']} {file['sha256'][:12]}"] = rows
    return outcome


def _calibrations_used(lake: Lake) -> dict[str, str]:
    """Names by sha256 of all calibrations that something descends from; only products have noted their dates."""
    query = "SELECT DISTINCT ancestor_sha256, ancestor FROM ops.lineage WHERE ancestor_kind = 'calibration'"
    with open_catalog(lake) as connection:
        return dict(connection.execute(f"{query}{ORDER}").fetchall())


def _begins(column: str, name: str) -> pl.Expr:
    return pl.col(column).str.starts_with(name) if PART_OF_SHA256.fullmatch(name) else pl.lit(value=False)


def _is_begin(sha256: str, name: str) -> bool:
    return PART_OF_SHA256.fullmatch(name) is not None and sha256.startswith(name)


def describe_product(lake: Lake, name: str) -> Outcome | None:
    """What a version of a product was made from, by its name or path, without version the newest; None if unknown."""
    file_name = f"{version_key(Journal(lake), name)}.cdf"
    rows = read_ops(lake, "exports").filter(pl.col("path").str.ends_with(f"/{file_name}")).sort("run_id")
    if rows.is_empty():
        return None
    row = rows.row(-1, named=True)
    shown = ("path", "product", "day", "version", "bytes", "sha256", "records", "deliverable", "created_at")
    made_from = json.loads(row["made_from"] or "{}")
    outcome = Outcome(facts={name: row[name] for name in shown})
    outcome.facts |= {f"made by {name}": made_from[name] for name in ("release", "commit") if made_from.get(name)}
    with open_catalog(lake) as connection:
        found = connection.execute(f"{ANCESTORS}{ORDER}", [file_name]).fetchall()
    names = ("kind", "name", "day", "sha256")
    if found:
        outcome.tables["descends from"] = [dict(zip(names, values, strict=True)) for values in found]
    return outcome
