# SPDX-License-Identifier: Apache-2.0
"""Exports: one CDF for each product-day whose checks passed; a new version only where the bytes differ."""

from __future__ import annotations

import json
import logging
import math
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from lake.clock import utc_now
from lake.definitions import Instrument, Mission, Product, Table
from lake.errors import CalibrationError, ExportError
from lake.ledger import current_contents, fingerprint, read_contents, read_ops, release, standing_checks
from lake.margins import Seen, files_of_margins
from lake.reading import ARROW_TYPES, data_files, open_table
from lake.store import Journal, Lake, sha256_of, writing
from lake.tables import append_ops

if TYPE_CHECKING:  # loading the CDF library takes half a second, which a night without news should not cost
    from exports.cdf import WrittenProduct
    from exports.istp import Structure
    from exports.istp_globals import Edition

log = logging.getLogger(__name__)

ASIDE = ".export-"  # folders in which files are written before they are published
LEFT_BEHIND_SECONDS = 3600
BATCH_BYTES, BATCH_ROWS = 4 << 20, 1 << 16  # of one column, read at a time


@dataclass
class Exported:
    """Outcome of exports."""

    published: list[Path] = field(default_factory=list)
    unchanged: int = 0
    blocked: list[tuple[str, date, str]] = field(default_factory=list)
    failed: list[tuple[str, date, str]] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Books:
    """What the ops tables say, read once for a run of exports."""

    contents: dict[tuple[str, date], str]
    checks: pl.DataFrame
    exports: dict[tuple[str, date], dict[str, Any]]
    files: dict[str, dict[str, Any]]
    origins: pl.DataFrame
    margins: dict[tuple[str, int, int], Seen]
    runs: dict[tuple[str, date], dict[str, Any]]


def export_all(
    lake: Lake, run_id: str, tables: list[Table] | None = None, days: set[date] | None = None, force: bool = False
) -> Exported:
    """Export every product-day that is not exported in its present state. A day that fails does not stop the others."""
    _sweep(lake)
    books, exported = _read_books(lake), Exported()
    wanted = None if tables is None else {table.address for table in tables}
    for mission, instrument, product in _products(lake):
        table = lake.definitions.tables[f"{mission.name}.{product.table}"]
        if wanted is not None and table.address not in wanted:
            continue
        for day in sorted(
            d for address, d in books.contents if address == table.address and (days is None or d in days)
        ):
            try:
                subject = _subject(lake, books, (mission, instrument, product), table, day)
                _export_day(lake, books, subject, run_id, force, exported)
            except (ExportError, CalibrationError) as error:
                exported.failed.append((table.address, day, str(error)))
    return exported


def _products(lake: Lake) -> Iterator[tuple[Mission, Instrument, Product]]:
    return ((m, i, p) for m in lake.definitions.missions for i in m.instruments for p in i.products)


def _read_books(lake: Lake) -> Books:
    exports = read_ops(lake, "exports").sort("run_id", maintain_order=True)
    files = read_ops(lake, "files").filter(pl.col("status") == "ingested").sort("received_at", "name", descending=True)
    held = read_contents(lake)
    empty = {key for key, run in held.runs.items() if run["rows"] == 0}  # a day without rows makes no product
    return Books(
        contents={key: content for key, content in held.known.items() if key not in empty},
        checks=standing_checks(lake),
        exports={(row["product"], row["day"]): row for row in exports.iter_rows(named=True)},
        files={row["file_sha256"]: row for row in files.iter_rows(named=True)},
        origins=current_contents(lake),
        margins=held.margins,
        runs=held.runs,
    )


@dataclass(frozen=True)
class Origin:
    """What a product-day was made from: names of raw files, and the date of the newest of them or of a calibration."""

    parents: tuple[str, ...]
    newest: date


@dataclass(frozen=True)
class Subject:
    """A product on one day: `table` has the values of its axes on that day."""

    mission: Mission
    instrument: Instrument
    product: Product
    table: Table
    day: date
    origin: Origin
    assumptions: tuple[str, ...]

    @property
    def deliverable(self) -> bool:
        """True if the product may be delivered: measured in flight, and resting on no assumption."""
        return self.instrument.status == "flying" and not self.assumptions


def _subject(lake: Lake, books: Books, facts: tuple[Mission, Instrument, Product], table: Table, day: date) -> Subject:
    """Raises CalibrationError if an axis has no values on the day."""
    on_day = lake.definitions.on_day(table, day)
    return Subject(*facts, on_day, day, _origin(lake, books, table, day), lake.definitions.assumptions(table, day))


def _export_day(lake: Lake, books: Books, subject: Subject, run_id: str, force: bool, exported: Exported) -> None:
    table, day = subject.table, subject.day
    mark = _mark(books, subject)
    last = books.exports.get((table.address, day))
    if last and last["fingerprint"] == mark and not force and _is_there(lake, last):
        exported.unchanged += 1
        return
    reason = _gate(books, lake.definitions.ancestors(table), table, day)
    if reason:
        exported.blocked.append((table.address, day, reason))
        return
    row = _make(lake, subject, exported)
    known = last is not None and last["sha256"] == row["sha256"] and row["status"] == "unchanged"
    status = "unchanged" if known else "published"
    append_ops(lake, "exports", [row | {"run_id": run_id, "fingerprint": mark, "status": status}])
    if status == "published":
        exported.published.append(lake.root / row["path"])
    else:
        exported.unchanged += 1


def _mark(books: Books, subject: Subject) -> str:
    """Fingerprint of everything that a product-day's data and attributes depend on.

    The release of the code is left out: a release alone is no reason for a new version of every product.
    """
    mission, product, table, origin = subject.mission, subject.product, subject.table, subject.origin
    words = {"short_name", "title", "status", "status_reason", "unknowns", "cdf"}
    return fingerprint(
        books.contents[table.address, subject.day], product.model_dump(mode="json"), table.model_dump(mode="json"),
        subject.instrument.model_dump(mode="json", include=words), mission.cdf, str(mission.valid_time),
        origin.parents, str(origin.newest), subject.assumptions,
    )  # fmt: skip


def _is_there(lake: Lake, row: dict[str, Any]) -> bool:
    path = lake.root / row["path"]
    return bool(path.is_file() and path.stat().st_size == row["bytes"])


def _gate(books: Books, ancestors: list[Table], table: Table, day: date) -> str | None:
    """Why the day may not be exported: what it is made from failed, it was not checked as it is, or a check failed."""
    waits = [a.address for a in ancestors if books.runs.get((a.address, day), {}).get("status") == "failed"]
    if waits:
        return f"{waits[-1]} of that day failed; mend it first"
    latest = books.checks.filter(pl.col("table_name") == table.address, pl.col("day") == day)
    if latest.is_empty() or latest["content"][0] != books.contents[table.address, day]:
        return "not checked yet; run `swxlake check`"
    failed = latest.filter(pl.col("severity") == "fail", ~pl.col("passed"))
    return f"checks failed: {', '.join(failed['rule'].sort().to_list())}" if len(failed) else None


def _make(lake: Lake, subject: Subject, exported: Exported) -> dict[str, Any]:
    """Write the file and publish it if its bytes are new; the row of ops.exports."""
    from exports.cdf import publish  # noqa: PLC0415
    from exports.istp import compile_product  # noqa: PLC0415

    mission, instrument, table, day = subject.mission, subject.instrument, subject.table, subject.day
    structure = compile_product(subject.product, table, instrument, mission, subject.assumptions)
    folder = lake.root / "exports" / mission.name / instrument.name / table.level / f"{day.year:04d}"
    with writing(folder), tempfile.TemporaryDirectory(prefix=ASIDE, dir=lake.root) as aside:
        maker = Maker(lake, structure, day, subject.origin, Path(aside))
        version, written, is_new = _versioned(lake, maker)
        final = folder / structure.file_name(maker.edition(version))
        exported.damaged += _put_away(lake, final, written.sha256)
        published = is_new or not final.exists()
        publish(written.path, final)
    return {
        "product": table.address,
        "day": day,
        "version": version,
        "path": final.relative_to(lake.root).as_posix(),
        "bytes": written.bytes,
        "sha256": written.sha256,
        "records": written.records,
        "parents": json.dumps(subject.origin.parents),
        "created_at": utc_now(),
        "status": "published" if published else "unchanged",
        "code_version": release()[0],
        "deliverable": subject.deliverable,
    }


def _put_away(lake: Lake, final: Path, sha256: str) -> list[str]:
    """Move a published file whose bytes are no longer those of its version out of the way, to damaged/."""
    if not final.exists() or (found := sha256_of(final)) == sha256:
        return []
    away = lake.root / "damaged" / f"{final.name}-{found[:12]}"
    away.parent.mkdir(exist_ok=True)
    final.rename(away)
    return [f"{final}: was changed after it had been published; moved to {away} and written again"]


def _sweep(lake: Lake) -> None:
    """Remove what interrupted exports left behind; a younger folder may belong to a night that is running."""
    for folder in lake.root.glob(f"{ASIDE}*"):
        if utc_now().timestamp() - folder.stat().st_mtime > LEFT_BEHIND_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Maker:
    """Writes one product-day under any version number."""

    lake: Lake
    structure: Structure
    day: date
    origin: Origin
    folder: Path

    def edition(self, version: str) -> Edition:
        """What tells this file from others of the product."""
        from exports.istp_globals import Edition  # noqa: PLC0415

        version_of_code, released = release()
        newest = max(self.origin.newest, released)
        return Edition(self.day, version, self.origin.parents, newest, f"swxlake {version_of_code}")

    def write(self, version: str) -> WrittenProduct:
        """The file, written aside."""
        from exports.cdf import write_product  # noqa: PLC0415

        edition = self.edition(version)
        path = self.folder / self.structure.file_name(edition)
        delta = open_table(self.lake, self.structure.table)
        files = data_files(delta, [self.day]) if delta is not None else []
        records = sum(pq.read_metadata(file).num_rows for file in files)
        if not records:
            address = self.structure.table.address
            raise ExportError(f"{address}@{self.day}: holds no rows. Run `swxlake transform {address}` first")
        return write_product(
            self.structure, path, lambda name: _column(files, self.structure.table, name), records, edition
        )


def _column(files: list[str], table: Table, name: str) -> Iterator[pa.Array]:
    """Values of one column, a few megabytes at a time.

    One row group after the other: read in one go, Arrow keeps a dozen of them.
    """
    column = table.by_name[name]
    bits = math.prod(table.shape(column)) * ARROW_TYPES[column.type].bit_width
    rows = min(BATCH_ROWS, max(1, 8 * BATCH_BYTES // bits))
    for path in files:
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            for batch in file.iter_batches(batch_size=rows, row_groups=[group], columns=[name]):
                yield batch.column(0)


def _versioned(lake: Lake, maker: Maker) -> tuple[str, WrittenProduct, bool]:
    """The file under its version: the last one given out if the bytes are the same, else the next.

    Version numbers are given out in the journal before the file is published, and never twice.
    """
    journal, product = Journal(lake), maker.structure.product
    stem = f"{maker.structure.logical_source}_{maker.day:%Y%m%d}_v{product.version}."
    given = journal.entries("versions", stem)
    last = max((int(key.rsplit(".", 1)[1]) for key in given), default=-1)
    if last >= 0:
        version = f"{product.version}.{last}"
        written = maker.write(version)
        if written.sha256 == given[f"{stem}{last}"]["sha256"]:
            return version, written, False
        written.path.unlink()
    while True:
        last += 1
        version = f"{product.version}.{last}"
        written = maker.write(version)
        entry = {"sha256": written.sha256, "bytes": written.bytes, "records": written.records}
        if journal.write_once("versions", f"{stem}{last}", entry):
            return version, written, True
        written.path.unlink()


def _origin(lake: Lake, books: Books, table: Table, day: date) -> Origin:
    """Raw files with packets in the product-day, and the newest of these files and of the calibrations."""
    ancestors = lake.definitions.ancestors(table)
    sources = [t.address for t in ancestors if t.level == "l0"]
    rows = books.origins.filter(pl.col("table_name").is_in(sources), pl.col("day") == day, pl.col("new_rows") > 0)
    hashes = {*rows["file_sha256"], *files_of_margins(lake.definitions, books.margins, table, day)}
    files = [books.files[sha] for sha in hashes if sha in books.files]
    instrument = lake.definitions.instrument(table)
    names = {name for t in ancestors for name in (*t.calibrations, *t.optional_calibrations, *t.axis_calibrations)}
    calibrations = [c for name in names if (c := instrument.calibration(name, day)) is not None]
    dates = [f["received_at"].date() for f in files] + [c.valid_from for c in calibrations]
    return Origin(tuple(sorted(f["name"] for f in files)), max(dates, default=date.min))
