# SPDX-License-Identifier: Apache-2.0
"""What the lake knows about itself: reading the ops tables, run ids, and which version of the code is running."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import polars as pl
import yaml

from lake.clock import utc_now
from lake.code import find, shapes
from lake.config import CHECKOUT
from lake.definitions import Instrument, Mission, Table
from lake.errors import ConfigurationError
from lake.leap_seconds import LEAP_SECONDS
from lake.margins import Margin, Seen
from lake.reading import scan
from lake.snapshots import Snapshot, Source, snapshot
from lake.store import Lake

RUN_COLUMNS = ("run_id", "table_name", "day", "started_at", "status", "error", "rows", "content", "depends_on", "files")
RUN_TIME = "%Y%m%dT%H%M%S.%f"
TABLE_DAY = ["table_name", "day"]

Run = dict[str, Any]  # a row of ops.runs, of which RUN_COLUMNS may be relied on


def new_run_id(now: datetime, after: str = "") -> str:
    """A run id that sorts by time: `20260801T020000.123456Z-1a2b3c`; behind `after` even if the clock has gone back."""
    last = after.partition("Z")[0]
    if last:
        now = max(now, datetime.strptime(last, RUN_TIME).replace(tzinfo=UTC) + timedelta(microseconds=1))
    return f"{now:{RUN_TIME}}Z-{secrets.token_hex(3)}"


def next_run_id(lake: Lake, *tables: str) -> str:
    """A run id newer than all in these ops tables, for the books go by the newest. To be asked for under a lease."""
    newest = [scan(lake, lake.ops(name)).select(pl.col("run_id").max()).collect().item() for name in tables]
    return new_run_id(utc_now(), max((run_id for run_id in newest if run_id), default=""))


def read_ops(lake: Lake, name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The rows of `ops.<name>`; where the table has a key, the newest row of each key, oldest run first.

    `columns` leaves out others; the key and `run_id` must be among them where the table has a key.
    """
    table = lake.ops(name)
    frame = scan(lake, table).select(columns or pl.all()).collect()
    if not table.key:
        return frame
    return frame.sort("run_id", maintain_order=True).unique(list(table.key), keep="last", maintain_order=True)


def fingerprint(*parts: object) -> str:
    """sha256 of JSON-able parts, in hex."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def l0_definition(mission: Mission, instrument: Instrument) -> str:
    """Fingerprint of everything that decoding depends on; words are left out.

    That is: clock and leap seconds, packet layouts, the code that unpacks them, L0 columns, and the bits of flags.
    """
    words = {"description", "unit", "label", "valid_min", "valid_max", "cadence_seconds", "file"}
    sources = (*instrument.packets, *instrument.records, *instrument.transports)
    packets = [_without(source.model_dump(mode="json", exclude_defaults=True), words) for source in sources]
    tables = [
        (t.name, t.packet, t.records, t.rows, [(c.name, c.type, t.shape(c), c.ragged) for c in t.columns])
        for t in instrument.tables
        if t.level == "l0"
    ]
    flags = [(flag.name, flag.bit) for flag in instrument.flags]
    clock = [
        instrument.clock.model_dump(exclude={"assumed"}),
        LEAP_SECONDS,
        str(instrument.valid_time or mission.valid_time),
    ]
    clock += [str(mission.names.clock_skew)] if instrument.records else []  # rows of the future have no time
    return fingerprint(clock, packets, _decoding_code(instrument), tables, flags)


def _decoding_code(instrument: Instrument) -> tuple[tuple[str, str], ...]:
    """The code that an instrument's raw files are decoded with: what it does not use does not count."""
    modules = ["lake.clock"]
    # All that ways of transport need is much; who declares none should not depend on it.
    modules += ["ingest.transport.forms"] if instrument.transports else []
    modules += ["ingest.variants"] if any(packet.when for packet in instrument.packets) else []
    modules += ["ingest.transport.segments"] if any(packet.segmented for packet in instrument.packets) else []
    if instrument.packets:
        unpackers = {f"ingest.unpackers.{packet.unpacker}" for packet in instrument.packets if packet.unpacker}
        modules += ["ingest.unpack", *sorted(name for name in unpackers if find(name))]
    modules += ["ingest.record.files", "ingest.record.known_by"] if instrument.records else []
    return shapes(tuple(modules), "ingest")


def _without(value: object, words: set[str]) -> object:
    if isinstance(value, dict):
        left_out = words - {"valid_min", "valid_max"} if value.get("strict") else words
        return {k: _without(v, words) for k, v in value.items() if k not in left_out}
    return [_without(v, words) for v in value] if isinstance(value, list) else value


def table_definition(table: Table) -> str:
    """Fingerprint of what a transform's result depends on in its table's definition."""
    columns = [(c.name, c.type, table.shape(c), c.ragged, c.source, c.conversion, c.nullable) for c in table.columns]
    words = {"type", "unit", "description", "label", "scale", "valid", "spase"}
    axes = [axis.model_dump(exclude=words) for axis in table.axes]
    flags = [(flag.name, flag.bit) for flag in table.flags]
    calibrations = (table.calibrations, table.optional_calibrations)
    return fingerprint(
        table.address, columns, axes, flags, table.inputs, table.margins, table.identity, calibrations, table.method
    )


def _l0_days(current: pl.DataFrame) -> Iterator[tuple[tuple[str, date], list[str], list[str]]]:
    """Each L0 table-day, which raw files contributed, and decoded with which definition."""
    rows = current.sort("table_name", "day", "file_sha256")
    for table, day, files, definitions in (
        rows.group_by(TABLE_DAY, maintain_order=True).agg("file_sha256", "definition").iter_rows()
    ):
        yield (table, day), files, definitions


def current_contents(lake: Lake) -> pl.DataFrame:
    """Rows of ops.contents that were decoded with today's definitions into the tables that are there today."""
    return decoded_contents(lake)[0]


def outdated_contents(lake: Lake) -> pl.DataFrame:
    """Rows of ops.contents about files that have to be decoded again: a definition or a table is another one now."""
    return decoded_contents(lake)[1]


def decoded_contents(lake: Lake) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The current rows of ops.contents and the outdated ones, both as of one moment."""
    decodes = _last_decodes(lake).with_columns(holds=_holds(lake, _snapshots(lake, built=False)))
    return decodes.filter("holds").drop("holds"), decodes.filter(~pl.col("holds")).drop("holds")


def _last_decodes(lake: Lake) -> pl.DataFrame:
    """Rows of ops.contents of the newest decoding of each file; an older one may have put rows on other days.

    The same bytes may have come under the names of two instruments. Each decodes them for itself.
    """
    # Rows from before these columns were there have them in the address of their table.
    mission = pl.coalesce("mission", pl.col("table_name").str.extract(r"^(.+?)\."))
    instrument = pl.coalesce("instrument", pl.col("table_name").str.extract(r"\.(.+?)_l0_"))
    rows = read_ops(lake, "contents").with_columns(mission=mission, instrument=instrument)
    newest = pl.col("run_id") == pl.col("run_id").max().over("mission", "instrument", "file_sha256")
    return rows.filter(newest).filter(pl.col("rows") > 0)


def _snapshots(lake: Lake, built: bool) -> dict[str, Snapshot]:
    """The tables that transforms build, or those of L0, as they are now, by address."""
    return {t.address: snapshot(lake, t) for t in lake.definitions.tables.values() if bool(t.inputs) == built}


def _holds(lake: Lake, tables: Mapping[str, Snapshot]) -> pl.Expr:
    """True for rows of ops.contents whose definition is today's and whose table is the one that is there."""
    today = [l0_definition(mission, i) for mission in lake.definitions.missions for i in mission.instruments]
    there = [f"{address} {found.table_id}" for address, found in tables.items() if found.table_id]
    where = pl.concat_str("table_name", "table_id", separator=" ", ignore_nulls=True)
    return pl.col("definition").is_in(today) & where.is_in(there)


def standing_checks(lake: Lake, about: pl.Expr | None = None) -> pl.DataFrame:
    """The newest verdicts about each table-day: columns of ops.checks, one row per rule.

    `about` leaves out rows before they are held in memory: there are millions over the years.
    """
    table = lake.ops("checks")
    rows = scan(lake, table)
    newest = rows.group_by(TABLE_DAY).agg(pl.col("run_id").max()).collect()
    asked = rows if about is None else rows.filter(about)
    found = asked.join(newest.lazy(), on=[*TABLE_DAY, "run_id"], how="semi").collect()
    return found.sort("run_id", maintain_order=True).unique(list(table.key), keep="last", maintain_order=True)


def last_runs(lake: Lake, tables: Iterable[Snapshot] | None = None) -> dict[tuple[str, date], Run]:
    """The run of each table-day that counts: the one that wrote the files which are there, or a later one that failed.

    So the books cannot tell of other rows than the table has, whoever wrote last and whatever row was lost.
    """
    if tables is None:
        tables = _snapshots(lake, built=True).values()
    rows = read_ops(lake, "runs", RUN_COLUMNS).sort("run_id", "started_at", maintain_order=True)
    failed = rows.unique(TABLE_DAY, keep="last").filter(status="failed")
    wrote = rows.filter(status="done").join(_files_now(tables), on=[*TABLE_DAY, "files"], how="semi")
    counting = pl.concat([wrote.unique(TABLE_DAY, keep="last").join(failed, on=TABLE_DAY, how="anti"), failed])
    return {(row["table_name"], row["day"]): row for row in counting.sort(TABLE_DAY).iter_rows(named=True)}


def _files_now(tables: Iterable[Snapshot]) -> pl.DataFrame:
    found = [(s.table.address, day, file_list(names)) for s in tables for day, names in s.files.items()]
    return pl.DataFrame(found, {"table_name": pl.String, "day": pl.Date, "files": pl.String}, orient="row")


def file_list(names: Iterable[str]) -> str:
    """Names of files as ops.runs has them."""
    return json.dumps(sorted(names))


@dataclass
class Contents:
    """Content fingerprints of table-days and the last run of each; kept up to date while a plan runs.

    `raw` has, for each L0 table-day, the hashes of the files whose rows its content stands for; rows of other files are
    not in the books yet, and must not be read. `parents` are those that brought what no file before them had.
    `outdated` are L0 table-days whose files have to be decoded again before anything is built from them. `margins` is
    what ops.margins knows, `read` the margins that were read since. `tables` are the tables that all this is about.
    """

    known: dict[tuple[str, date], str]
    raw: dict[tuple[str, date], tuple[str, ...]] = field(default_factory=dict)
    parents: dict[tuple[str, date], tuple[str, ...]] = field(default_factory=dict)
    outdated: set[tuple[str, date]] = field(default_factory=set)
    runs: dict[tuple[str, date], Run] = field(default_factory=dict)
    margins: dict[tuple[str, int, int], Seen] = field(default_factory=dict)
    read: list[Margin] = field(default_factory=list)
    tables: dict[str, Snapshot] = field(default_factory=dict)

    def copy(self) -> Contents:
        """The same, for a plan that supposes what will come of its steps."""
        return replace(self, known=dict(self.known), runs=dict(self.runs))

    def source(self, address: str, day: date) -> Source:
        """The rows of a table-day that its content stands for; none if it has no content."""
        files = self.tables[address].files.get(day, ()) if self.known.get((address, day)) else ()
        raw = self.raw.get((address, day))
        # A file holds rows of one raw file: as many as the books have are just those.
        return Source(address, day, files, None if raw is None or len(raw) == len(files) else raw)


def read_contents(lake: Lake) -> Contents:
    """Contents of all table-days: L0 from the files that contributed, higher levels from their last good run."""
    # The order matters where others are at work: who builds a day was to claim it before the books were read. Rows of
    # L0 that came after the books are told by their file, which `raw` does not name.
    tables = _snapshots(lake, built=True)
    runs = last_runs(lake, tables.values())
    decodes, margins = _last_decodes(lake), read_margins(lake)
    tables |= _snapshots(lake, built=False)
    decodes = decodes.with_columns(holds=_holds(lake, tables))
    outdated = set(decodes.filter(~pl.col("holds")).select(TABLE_DAY).iter_rows())
    # A day without rows that had nothing to be made of has no content: nothing depends on it.
    built = {key: str(run["content"]) for key, run in runs.items() if run["status"] == "done" and run["content"]}
    l0 = list(_l0_days(decodes.filter("holds")))
    known = {key: fingerprint(files, definitions) for key, files, definitions in l0} | built
    raw = {key: tuple(files) for key, files, _ in l0}
    parents = {key: tuple(files) for key, files, _ in _l0_days(decodes.filter("holds", pl.col("new_rows") > 0))}
    return Contents(known, raw, parents, outdated, runs, margins, tables=tables)


def read_margins(lake: Lake) -> dict[tuple[str, int, int], Seen]:
    """What table-days saw of their neighbouring days."""
    columns = ("source", "start_tt2000", "stop_tt2000", "content", "fingerprint", "files", "run_id")
    return {
        (source, start, stop): Seen(content, mark, tuple(json.loads(files)))
        for source, start, stop, content, mark, files, _ in read_ops(lake, "margins", columns).iter_rows()
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
