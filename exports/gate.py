# SPDX-License-Identifier: Apache-2.0
"""Whether a product-day may go out: its lineage is built from what is there now, and its checks passed."""

from __future__ import annotations

import json
from datetime import date

import polars as pl

from exports.books import Books, raw_of
from exports.provenance import lineage
from lake.definitions import Table
from lake.labels import Labels
from lake.store import Lake


def gate(lake: Lake, books: Books, table: Table, day: date) -> str | None:
    """Why the day may not be exported: what it descends from failed or changed, or its checks failed or are lacking."""
    runs, ancestors = books.held.runs, lake.definitions.ancestors(table)
    waits = [a.address for a in ancestors if runs.get((a.address, day), {}).get("status") == "failed"]
    if waits:
        return f"{waits[-1]} of that day failed; mend it first"
    return _stale(lake, books, table, day) or _of_nothing(lake, books, table, day) or _unchecked(books, table, day)


def _stale(lake: Lake, books: Books, table: Table, day: date) -> str | None:
    """The first table-day of the lineage that a transform would build: the rows are not of what the books name now."""
    for ancestor, its_day in lineage(lake.definitions, table, day):
        if not ancestor.inputs:
            continue
        labels = books.labels_of(lake.definitions, ancestor)
        if any(read in books.held.outdated for read in labels.reads(its_day).values()):
            return f"{ancestor.address}@{its_day} waits for level 0 to be decoded again; run `swxlake ingest`"
        if not _is_built(lake, books, labels, its_day):
            return f"{ancestor.address}@{its_day} is not built from what is there now; run `swxlake transform`"
    return None


def _is_built(lake: Lake, books: Books, labels: Labels, day: date) -> bool:
    held, address = books.held, labels.table.address
    depends_on, run = labels.depends_on(lake, held, day), held.runs.get((address, day))
    if run is None:
        return day not in held.tables[address].files and not labels.makes_something(depends_on)
    return bool(json.loads(str(run["depends_on"])) == depends_on)


def _of_nothing(lake: Lake, books: Books, table: Table, day: date) -> str | None:
    if raw_of(lake, books, table, day):
        return None
    return "no raw file is known that it was made from; run `swxlake fsck`, and restore what is lost"


def _unchecked(books: Books, table: Table, day: date) -> str | None:
    latest = books.checks.filter(pl.col("table_name") == table.address, pl.col("day") == day)
    if latest.is_empty() or latest["content"][0] != books.contents[table.address, day]:
        return "not checked yet; run `swxlake check`"
    failed = latest.filter(pl.col("severity") == "fail", ~pl.col("passed"))
    if failed.is_empty():
        return None
    rules = ", ".join(failed["rule"].sort().to_list())
    return f"checks failed: {rules}; `swxlake check {table.address}@{day} --rows` lists the rows"
