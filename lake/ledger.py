# SPDX-License-Identifier: Apache-2.0
"""What the lake knows about itself: reading the ops tables, run ids, and which version of the code is running."""

from __future__ import annotations

import ast
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from lake.config import CHECKOUT
from lake.definitions import Instrument, Mission, Table
from lake.errors import ConfigurationError, DefinitionError
from lake.leap_seconds import LEAP_SECONDS
from lake.margins import Margin, Seen
from lake.reading import scan, table_id
from lake.store import Lake

UNPACKERS = CHECKOUT / "ingest" / "unpackers"


def new_run_id(now: datetime) -> str:
    """A run id that sorts by time: `20260801T020000.123456Z-1a2b3c`."""
    return f"{now:%Y%m%dT%H%M%S.%f}Z-{secrets.token_hex(3)}"


def read_ops(lake: Lake, name: str) -> pl.DataFrame:
    """The rows of `ops.<name>`; where the table has a key, the newest row of each key, oldest run first."""
    table = lake.ops(name)
    frame = scan(lake, table).collect()
    if not table.key:
        return frame
    return frame.sort("run_id", maintain_order=True).unique(list(table.key), keep="last", maintain_order=True)


def fingerprint(*parts: object) -> str:
    """sha256 of JSON-able parts, in hex."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def l0_definition(mission: Mission, instrument: Instrument) -> str:
    """Fingerprint of everything that decoding depends on; words are left out.

    That is: clock and leap seconds, packet layouts, the code of their unpackers, L0 columns, and the bits of flags.
    """
    words = {"description", "unit", "label", "valid_min", "valid_max", "cadence_seconds"}
    packets = [_without(packet.model_dump(mode="json"), words) for packet in instrument.packets]
    tables = [
        (t.name, t.packet, t.rows, [(c.name, c.type, t.shape(c), c.ragged) for c in t.columns])
        for t in instrument.tables
        if t.level == "l0"
    ]
    paths = [UNPACKERS / f"{packet.unpacker}.py" for packet in instrument.packets if packet.unpacker]
    unpackers = [read_code(path).shape for path in paths if path.exists()]
    flags = [(flag.name, flag.bit) for flag in instrument.flags]
    clock = (instrument.clock.model_dump(exclude={"assumed"}), LEAP_SECONDS, str(mission.valid_time))
    return fingerprint(clock, packets, unpackers, tables, flags)


@dataclass(frozen=True)
class Code:
    """A module: sha256 without comments and docstrings, and what it imports: modules, with names if `from`."""

    shape: str
    imported: tuple[tuple[str, tuple[str, ...]], ...]


@cache
def read_code(path: Path) -> Code:
    """The code of a module; the file is read, not imported, as that might load scientific libraries for nothing.

    Raises: DefinitionError if it is no Python.
    """
    tree = _parsed(path)
    imported: list[tuple[str, tuple[str, ...]]] = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and node.body and _is_docstring(node.body[0]):
            node.body[:] = node.body[1:] or [ast.Pass()]
        elif isinstance(node, ast.Import):
            imported += [(alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported.append((node.module, tuple(alias.name for alias in node.names)))
    return Code(hashlib.sha256(ast.unparse(tree).encode()).hexdigest(), tuple(imported))


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise DefinitionError(f"{path} line {line}: {error}. Correct the code.") from None


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _without(value: object, words: set[str]) -> object:
    if isinstance(value, dict):
        return {k: _without(v, words) for k, v in value.items() if k not in words}
    return [_without(v, words) for v in value] if isinstance(value, list) else value


def table_definition(table: Table) -> str:
    """Fingerprint of what a transform's result depends on in its table's definition."""
    columns = [(c.name, c.type, table.shape(c), c.ragged, c.source, c.conversion, c.nullable) for c in table.columns]
    words = {"type", "unit", "description", "label", "scale", "spase"}
    axes = [axis.model_dump(exclude=words) for axis in table.axes]
    flags = [(flag.name, flag.bit) for flag in table.flags]
    calibrations = (table.calibrations, table.optional_calibrations)
    return fingerprint(table.address, columns, axes, flags, table.inputs, table.margins, table.identity, calibrations)


def _l0_contents(current: pl.DataFrame) -> dict[tuple[str, date], str]:
    """Content fingerprint of each L0 table-day: which raw files contributed, decoded with which definition."""
    rows = current.sort("table_name", "day", "file_sha256")
    grouped = rows.group_by("table_name", "day", maintain_order=True).agg("file_sha256", "definition")
    return {(t, d): fingerprint(files, definitions) for t, d, files, definitions in grouped.iter_rows()}


def current_contents(lake: Lake) -> pl.DataFrame:
    """Rows of ops.contents that were decoded with today's definitions into the tables that are there today."""
    return _last_decodes(lake).filter(_holds(lake))


def outdated_contents(lake: Lake) -> pl.DataFrame:
    """Rows of ops.contents about files that have to be decoded again: a definition or a table is another one now."""
    return _last_decodes(lake).filter(~_holds(lake))


def incomplete_files(lake: Lake) -> set[str]:
    """Hashes of decoded files of which a table lacks rows, because it was removed or made anew since."""
    return set(outdated_contents(lake)["file_sha256"])


def _last_decodes(lake: Lake) -> pl.DataFrame:
    """Rows of ops.contents of the newest decoding of each file; an older one may have put rows on other days."""
    newest = pl.col("run_id") == pl.col("run_id").max().over("file_sha256")
    return read_ops(lake, "contents").filter(newest).filter(pl.col("rows") > 0)


def _holds(lake: Lake) -> pl.Expr:
    """True for rows of ops.contents whose definition is today's and whose table is the one that is there."""
    today = [l0_definition(mission, i) for mission in lake.definitions.missions for i in mission.instruments]
    present = [(t.address, table_id(lake, t)) for t in lake.definitions.tables.values() if t.level == "l0"]
    there = [f"{address} {identity}" for address, identity in present if identity]
    where = pl.concat_str("table_name", "table_id", separator=" ", ignore_nulls=True)
    return pl.col("definition").is_in(today) & where.is_in(there)


def standing_checks(lake: Lake) -> pl.DataFrame:
    """The newest verdicts about each table-day: columns of ops.checks, one row per rule."""
    return read_ops(lake, "checks").filter(pl.col("run_id") == pl.col("run_id").max().over("table_name", "day"))


def last_runs(lake: Lake) -> dict[tuple[str, date], dict[str, Any]]:
    """The newest row of ops.runs of each table-day, as long as the table that it wrote is there."""
    rows = read_ops(lake, "runs").sort("run_id", maintain_order=True)
    newest = rows.unique(["table_name", "day"], keep="last", maintain_order=True)
    there = {t.address: table_id(lake, t) for t in lake.definitions.tables.values() if t.inputs}
    newest = newest.filter((pl.col("status") == "failed") | (pl.col("table_id") == _identity(there)))
    return {(row["table_name"], row["day"]): row for row in newest.iter_rows(named=True)}


def _identity(there: dict[str, str]) -> pl.Expr:
    return pl.col("table_name").replace_strict(there, default=None, return_dtype=pl.String)


@dataclass
class Contents:
    """Content fingerprints of table-days and the last run of each; kept up to date while a plan runs.

    `outdated` are L0 table-days whose files have to be decoded again before anything is built from them. `margins` is
    what ops.margins knows, `read` the margins that were read since.
    """

    known: dict[tuple[str, date], str]
    outdated: set[tuple[str, date]] = field(default_factory=set)
    runs: dict[tuple[str, date], dict[str, Any]] = field(default_factory=dict)
    margins: dict[tuple[str, int, int], Seen] = field(default_factory=dict)
    read: list[Margin] = field(default_factory=list)


def read_contents(lake: Lake) -> Contents:
    """Contents of all table-days: L0 from the files that contributed, higher levels from their last good run."""
    runs = last_runs(lake)
    # A day without rows that had nothing to be made of has no content: nothing depends on it.
    built = {key: str(run["content"]) for key, run in runs.items() if run["status"] == "done" and run["content"]}
    decodes = _last_decodes(lake).with_columns(holds=_holds(lake))
    outdated = set(decodes.filter(~pl.col("holds")).select("table_name", "day").iter_rows())
    return Contents(_l0_contents(decodes.filter("holds")) | built, outdated, runs, read_margins(lake))


def read_margins(lake: Lake) -> dict[tuple[str, int, int], Seen]:
    """What table-days saw of their neighbouring days."""
    return {
        (row["source"], row["start_tt2000"], row["stop_tt2000"]): Seen(
            row["content"], row["fingerprint"], tuple(json.loads(row["files"]))
        )
        for row in read_ops(lake, "margins").iter_rows(named=True)
    }


@cache
def release() -> tuple[str, date]:
    """Version of the code and the day it was released, from CITATION.cff."""
    path = CHECKOUT / "CITATION.cff"
    try:
        content = yaml.safe_load(path.read_text())
        return str(content["version"]), content["date-released"]
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(
            f"{path}: version or date-released cannot be read ({reason}). Restore the file."
        ) from None
