# SPDX-License-Identifier: Apache-2.0
"""fsck of the Delta tables: their Parquet files, level 0 against ops.contents, the other levels against ops.runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Set
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import polars as pl

from lake.definitions import Definitions, Table
from lake.ledger import Contents, decoded_contents, read_contents, read_ops
from lake.maintenance import ever_named
from lake.reading import file_sizes, files_by_day, open_parquet, open_table, scan, table_id
from lake.store import Lake, iso_day
from swxlake.findings import Findings

ANEW = "Remove {place}; the next night makes the table again."
Run = dict[str, Any]
BUILT = "Run `swxlake transform`, which builds the day again."


def look_at_files(found: Findings) -> set[str]:
    """Compare the Parquet files that tables name with those that are there; addresses of tables that can be read."""
    whole = set()
    definitions = found.lake.definitions
    tables = (*definitions.tables.values(), *definitions.ops)
    for table in tables:
        remedy = ANEW.format(place=found.lake.table_uri(table))
        before = len(found.problems)
        with found.reading(found.lake.table_uri(table), remedy):
            _files(found, table, remedy)
            if table.mission == "ops":
                read_ops(found.lake, table.name)
        if len(found.problems) == before:
            whole.add(table.address)
    _strangers(found, {found.lake.table_key(table) for table in tables})
    return whole


def _files(found: Findings, table: Table, remedy: str) -> None:
    delta = open_table(found.lake, table)
    named = file_sizes(delta) if delta is not None else {}
    sizes = {found.lake.storage.key(path): size for path, size in named.items()}
    for key, size in sizes.items():
        if (there := found.size(key)) != size:
            what = "is missing" if there is None else f"has {there} bytes instead of {size}"
            found.problem(found.uri(key), what, remedy)
        elif not found.quick:
            _pages(found, key, size, remedy)
    found.counts["table_files"] += len(sizes)
    _left_behind(found, table, sizes.keys())


def _pages(found: Findings, key: str, size: int, remedy: str) -> None:
    """Read a whole file: its pages carry checksums of their own, which no book repeats."""
    found.counts["bytes_hashed"] += size
    with (
        found.reading(found.uri(key), remedy),
        open_parquet(found.lake, found.uri(key), page_checksum_verification=True) as file,
    ):
        for _ in file.iter_batches():
            pass


def _left_behind(found: Findings, table: Table, current: Set[str]) -> None:
    """Files below a table's place that the newest version does not name: those of older ones are where they belong."""
    place = found.lake.table_key(table)
    logs = f"{place}/_delta_log/"
    left = [e for e in found.below(f"{place}/") if e.key not in current and not e.key.startswith(logs)]
    named = ever_named(found.lake, table) if left else set()
    for entry in (entry for entry in left if entry.key not in named):
        if entry.key.endswith(".parquet"):
            what = f"no version of {table.address} names it, {found.age(entry)}"
            found.notes.append(f"{found.uri(entry.key)}: {what}; `swxlake maintain` removes it in time")
        else:
            found.problem(found.uri(entry.key), "is no part of a table", "Move it away.")


def _strangers(found: Findings, known: set[str]) -> None:
    """Folders below tables/ that belong to no table of the definitions."""
    places = {"/".join(entry.key.split("/")[:3]) for entry in found.below("tables/")}
    for place in sorted(places - known):
        found.notes.append(f"{found.uri(place)}: no definition names this table; remove it, or restore the definition")


@dataclass(frozen=True)
class _Whole(Definitions):
    """Definitions without the tables that cannot be read."""

    addresses: frozenset[str] = frozenset()

    @cached_property
    def tables(self) -> dict[str, Table]:
        """As of `Definitions`; those that are left."""
        every = Definitions(self.path, self.missions, self.ops).tables
        return {address: table for address, table in every.items() if address in self.addresses}


def _lake_of(lake: Lake, whole: set[str]) -> Lake:
    """The lake as far as it can be read."""
    d = lake.definitions
    return Lake(lake.root, _Whole(d.path, d.missions, d.ops, frozenset(whole)))


def look_at_tables(found: Findings, whole: set[str]) -> None:
    """Compare the rows of level 0 with ops.contents, and the days of the other levels with ops.runs.

    What was said of tables that are not whole is enough.
    """
    lake = _lake_of(found.lake, whole)
    current, outdated = decoded_contents(lake)
    contents = pl.concat([current, _not_there(found, lake, outdated)])
    runs, known = _good_runs(found), read_contents(lake)
    for table in found.lake.definitions.tables.values():
        if table.address in whole and table.level == "l0":
            with found.reading(table.address, ANEW.format(place=found.lake.table_uri(table))):
                _contents(found, table, contents.filter(pl.col("table_name") == table.address))
        elif table.address in whole:
            of_table = {day: run for (address, day), run in runs.items() if address == table.address}
            with found.reading(table.address, BUILT):
                _runs(found, table, of_table, known)


def _not_there(found: Findings, lake: Lake, outdated: pl.DataFrame) -> pl.DataFrame:
    """Names level-0 rows whose table is not there any more; those that only wait to be decoded are returned."""
    here = {address: table_id(lake, table) for address, table in lake.definitions.tables.items()}
    unread = found.lake.definitions.tables.keys() - here.keys()
    known = outdated.filter(~pl.col("table_name").is_in(list(unread)))
    is_there = pl.col("table_id") == pl.col("table_name").replace_strict(here, default=None, return_dtype=pl.String)
    waiting = known.filter(is_there)
    for row in known.filter(is_there.not_() | is_there.is_null()).iter_rows(named=True):
        what = f"{row['rows']} rows of the raw file {row['file_sha256']} went with a table that is not there any more"
        found.problem(f"{row['table_name']}@{row['day']}", what, "Run `swxlake night`, which decodes the file again.")
    if len(waiting):
        found.notes.append(f"{len(waiting)} parts of level 0 wait to be decoded again; run `swxlake night`")
    return waiting


def _contents(found: Findings, table: Table, contents: pl.DataFrame) -> None:
    """Rows of a level-0 table by raw file and day, and what ops.contents says of them."""
    counted = scan(found.lake, table).group_by("day", "file_sha256").len().collect(engine="streaming")
    there = {(day, sha256): rows for day, sha256, rows in counted.iter_rows()}
    said = {(d, s): rows for d, s, rows in contents.select("day", "file_sha256", "rows").iter_rows()}
    for day, sha256 in sorted(there.keys() | said.keys()):
        rows, expected = there.get((day, sha256), 0), said.get((day, sha256), 0)
        if rows != expected:
            what = f"has {rows} rows of the raw file {sha256}, ops.contents says {expected}"
            remedy = f"Run `swxlake rebuild {table.address} --why fsck`, which decodes it again."
            found.problem(f"{table.address}@{day}", what, remedy)


def _good_runs(found: Findings) -> dict[tuple[str, date], list[Run]]:
    """The good runs of each table-day, oldest first."""
    good: dict[tuple[str, date], list[Run]] = {}
    rows = read_ops(found.lake, "runs").filter(pl.col("status") == "done").sort("run_id", maintain_order=True)
    for run in rows.iter_rows(named=True):
        good.setdefault((run["table_name"], run["day"]), []).append(run)
    return good


def _with_input(table: Table, contents: Contents) -> set[date]:
    """Days for which an input of a table has content; without any, rows that went with a table are not missed."""
    inputs = {f"{table.mission}.{name}" for name in table.inputs.values()}
    return {day for address, day in contents.known if address in inputs}


def _runs(found: Findings, table: Table, runs: dict[date, list[Run]], contents: Contents) -> None:
    """The days of a table, and what ops.runs says was written to each."""
    files = files_by_day(open_table(found.lake, table))
    for day in sorted(files.keys() | (runs.keys() & _with_input(table, contents))):
        what = _wrong(found, table, day, runs.get(day, []), files.get(day, ()))
        if what:
            found.problem(f"{table.address}@{day}", what, BUILT)


def _wrong(found: Findings, table: Table, day: date, runs: list[Run], files: tuple[str, ...]) -> str | None:
    """How a table-day differs from what a run wrote; None if it does not."""
    wrote = [run for run in runs if tuple(sorted(json.loads(run["files"] or "[]"))) == files]
    if not wrote and not files:
        return f"holds no file any more, but {runs[-1]['run_id']} wrote {runs[-1]['rows']} rows"
    if not wrote:
        return f"holds {', '.join(files)}, which no run in ops.runs has written"
    content = wrote[-1]["content"]
    if found.quick or not files or not content or _content(found, table, day, files) == content:
        return None
    return f"the bytes of {', '.join(files)} are not those that {wrote[-1]['run_id']} wrote"


def _content(found: Findings, table: Table, day: date, files: tuple[str, ...]) -> str:
    """The content fingerprint of a day's files, as `lake.tables.Written` has it."""
    digest = hashlib.sha256()
    for name in files:
        digest.update(bytes.fromhex(found.sha256(f"{found.lake.table_key(table)}/day={iso_day(day)}/{name}") or ""))
    return digest.hexdigest()
