# SPDX-License-Identifier: Apache-2.0
"""Exports: one CDF for each product-day whose checks passed; a new version only where the bytes differ."""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exports.books import Books, Subject, mark_of, products, read_books, receipts_of, subject_of
from exports.gate import gate
from exports.istp.globals import logical_source
from exports.provenance import MadeFrom, archive_calibrations, made_from, release_of
from exports.publishing import publish
from exports.rules.nouns import Finding, RefusedError
from exports.rules.skteditor import command_of
from exports.versions import (
    ProductDay,
    Version,
    VersionTakenError,
    choose,
    give_out,
    note_generation,
    parse_version,
    versions_of,
)
from lake.clock import utc_now
from lake.definitions import Product, Table
from lake.errors import CalibrationError, ExportError, StorageError, TableError
from lake.files import sha256_of
from lake.ledger import next_run_id, release
from lake.store import Journal, Lake
from lake.tables import append_ops

if TYPE_CHECKING:  # loading the CDF library takes half a second, which a night without news should not cost
    from exports.inspection import Around
    from exports.making import Maker
    from exports.product import WrittenProduct
    from exports.rules.delivery import Span

log = logging.getLogger(__name__)

ATTEMPTS = 5  # to export a day that another process exports at the same time
ROWS_PER_COMMIT = 64


@dataclass
class Exported:
    """Outcome of exports; `published` are keys below the lake's root.

    `refused` did not pass the gate: no version was given out to them, and no file was left. `warnings` counts, by
    rule, what the gate had to say about the published files; `swxlake cdf check` shows it.
    """

    published: list[str] = field(default_factory=list)
    unchanged: int = 0
    refused: list[tuple[str, date, tuple[Finding, ...]]] = field(default_factory=list)
    warnings: Counter[str] = field(default_factory=Counter)
    blocked: list[tuple[str, date, str]] = field(default_factory=list)
    failed: list[tuple[str, date, str]] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def export_all(
    lake: Lake,
    run_id: str | None = None,
    tables: list[Table] | None = None,
    days: set[date] | None = None,
    force: bool = False,
    skteditor: Path | None = None,
) -> Exported:
    """Export every product-day that is not exported in its present state. A day that fails does not stop the others.

    `skteditor` is the folder of SPDF's own checker, which is asked as well.
    Raises StorageError if another process transforms or exports all the while, and ConfigurationError if SPDF's checker
    cannot be run.
    """
    if skteditor is not None:
        command_of(skteditor)  # a mistake in the configuration is told before anything is done
    with lake.storage.alone("build"):
        run = _Run(lake, run_id or next_run_id(lake, "exports"), force, read_books(lake), skteditor)
        try:
            for product, table in products(lake.definitions):
                if tables is None or table.address in {t.address for t in tables}:
                    for day in run.in_order(table):
                        if days is None or day in days:
                            run.take(product, table, day)
        finally:
            run.note()
    return run.exported


@dataclass
class _Run:
    """One run of exports: its books, and what came of it."""

    lake: Lake
    run_id: str
    force: bool
    books: Books
    skteditor: Path | None
    exported: Exported = field(default_factory=Exported)
    rows: list[dict[str, Any]] = field(default_factory=list)
    archived: set[str] = field(default_factory=set)

    def in_order(self, table: Table) -> list[date]:
        """Days of a table, those that have a version first: what they note of generations holds for new days."""
        source = logical_source(table, self.lake.definitions.instrument(table))
        days = self.books.days(table.address)
        return sorted(days, key=lambda day: (ProductDay(source, day).stem not in self.books.versions, day))

    def take(self, product: Product, table: Table, day: date) -> None:
        """Export a day, or note why not."""
        problem = self._problem(product, table, day)
        if problem:
            self.exported.failed.append((table.address, day, problem))
        if len(self.rows) >= ROWS_PER_COMMIT:
            self.note()

    def _problem(self, product: Product, table: Table, day: date) -> str:
        """Why a day failed; it starts over from reading the books where somebody else was faster."""
        problem = ""
        for _ in range(ATTEMPTS):
            try:
                self._export(product, table, day)
                return ""
            except VersionTakenError as error:
                problem = str(error)
                self.books = read_books(self.lake)
            except RefusedError as error:
                self.exported.refused.append((table.address, day, error.findings))
                return ""
            except (CalibrationError, ExportError, StorageError, TableError) as error:
                return str(error)
        return problem

    def _export(self, product: Product, table: Table, day: date) -> None:
        if (table.address, day) not in self.books.contents:
            return  # another process emptied it in the meantime
        subject = subject_of(self.lake, self.books, product, table, day)
        mark = mark_of(self.books, subject)
        last = self.books.exports.get((table.address, day))
        if last and last["fingerprint"] == mark and not self.force and self._stands(subject, last):
            self.exported.unchanged += 1
            return
        reason = gate(self.lake, self.books, table, day)
        if reason:
            self.exported.blocked.append((table.address, day, reason))
            return
        row = self._make(subject)
        known = last is not None and last["sha256"] == row["sha256"] and row["status"] == "unchanged"
        row |= {"run_id": self.run_id, "fingerprint": mark, "status": "unchanged" if known else "published"}
        self.rows.append(row)
        self.books.exports[table.address, day] = row  # for the days beside it
        if known:
            self.exported.unchanged += 1
        else:
            self.exported.published.append(row["path"])

    def note(self) -> None:
        """Write what was exported to ops.exports. What a crash keeps from it is compared again by the next export."""
        rows, self.rows = self.rows, []
        append_ops(self.lake, "exports", rows)

    def _stands(self, subject: Subject, row: dict[str, Any]) -> bool:
        """True if a row of ops.exports is about the newest version given out, and its file is there."""
        newest = self.books.versions.get(self._product_day(subject).stem)
        return newest == parse_version(row["version"]) and self.books.present.get(row["path"]) == row["bytes"]

    def _product_day(self, subject: Subject) -> ProductDay:
        return ProductDay(logical_source(subject.table, subject.instrument), subject.day)

    def _make(self, subject: Subject) -> dict[str, Any]:
        """Write the file and publish it if its bytes are new; the row of ops.exports."""
        from exports.inspection import span_of  # noqa: PLC0415
        from exports.making import maker  # noqa: PLC0415

        with maker(self.lake, subject) as making:
            version, written, origin = self._versioned(making)
            path = making.key(version)
            span = span_of(written.path)
            is_new = self._publish(subject, path, written)
        return {
            "product": subject.table.address,
            "day": subject.day,
            "version": str(version),
            "path": path,
            "bytes": written.bytes,
            "sha256": written.sha256,
            "records": written.records,
            "parents": json.dumps(subject.origin.parents),
            "created_at": utc_now(),
            "status": "published" if is_new else "unchanged",
            "code_version": release()[0],
            "deliverable": subject.deliverable,
            "made_from": json.dumps(asdict(origin), sort_keys=True),
            "first_epoch_tt2000": span.first if span else None,
            "last_epoch_tt2000": span.last if span else None,
        }

    def _versioned(self, making: Maker) -> tuple[Version, WrittenProduct, MadeFrom]:
        """The file under its version: the last one given out if the bytes are the same, else the next."""
        journal, product_day = Journal(self.lake), making.product_day
        last, floor = self.books.versions.get(product_day.stem), making.subject.product.version
        origin = self._made_from(making)
        if last is not None and last >= parse_version(f"{floor}.0"):
            entry = journal.entry("versions", product_day.key(last)) or {}
            # The release that made it is in its bytes; a later one alone is no reason for a new version.
            made_by = release_of(entry)
            written = making.write(last, made_by)
            if written.sha256 == entry.get("sha256"):
                if not self._is_published(making.key(last), written):
                    self._inspect(making, last, written.path, made_by)
                return last, written, origin
            written.path.unlink()
        choice = choose(journal, product_day, last, origin, floor)
        version, written = choice.version, making.write(choice.version)
        self._inspect(making, version, written.path)
        self._archive(making.subject, origin)
        note_generation(journal, product_day, choice)
        entry = {"sha256": written.sha256, "bytes": written.bytes, "records": written.records}
        give_out(journal, product_day, last, version, entry | {"made_from": asdict(origin)})
        self.books.versions[product_day.stem] = version
        return version, written, origin

    def _is_published(self, key: str, written: WrittenProduct) -> bool:
        """True if these bytes passed the gate and are in their place; a run may have ended before they were."""
        if self.books.present.get(key) != written.bytes:
            return False
        with self.lake.storage.local(key) as path:
            return sha256_of(path) == written.sha256

    def _inspect(self, making: Maker, version: Version, path: Path, made_by: tuple[str, date] | None = None) -> None:
        """The gate. Raises RefusedError if the file may not be published; it is gone then."""
        from exports.inspection import inspect, require  # noqa: PLC0415

        inspection = inspect(path, making.structure, making.edition(version, made_by), self._around(making, version))
        require(path, inspection)
        self.exported.warnings.update(finding.rule for finding in inspection.findings)

    def _around(self, making: Maker, version: Version) -> Around:
        from exports.inspection import Around  # noqa: PLC0415

        day, address = making.subject.day, making.subject.table.address
        before, after = (self._span(address, day + timedelta(days=step)) for step in (-1, 1))
        # A version given out since is another process's; `give_out` sees to that.
        last = self.books.versions.get(making.product_day.stem, Version(-1, 0, 0))
        given_out = {v for v in versions_of(Journal(self.lake), making.product_day) if v <= last}
        given_out -= {last} & {version}  # a version that was given out, and its file never published
        return Around(before, after, frozenset(given_out), self.skteditor, making.rows)

    def _span(self, address: str, day: date) -> Span | None:
        """First and last epoch of the newest published file of a day; None if there is none."""
        from exports.inspection import span_of  # noqa: PLC0415
        from exports.rules.delivery import Span  # noqa: PLC0415

        row = self.books.exports.get((address, day))
        if row is None:
            return None
        if row.get("first_epoch_tt2000") is not None:
            return Span(row["path"].rpartition("/")[2], row["first_epoch_tt2000"], row["last_epoch_tt2000"])
        if row["path"] not in self.books.present:
            return None  # lost, of an older lake; fsck tells
        with self.lake.storage.local(row["path"]) as path:
            return span_of(path)

    def _archive(self, subject: Subject, origin: MadeFrom) -> None:
        """Keep the calibration files that a version is made from, before the journal says that it is."""
        new = {stem: sha256 for stem, sha256 in origin.calibrations.items() if sha256 not in self.archived}
        archive_calibrations(Journal(self.lake), subject.mission, subject.table, new)
        self.archived |= set(new.values())

    def _made_from(self, making: Maker) -> MadeFrom:
        definitions, subject, books = self.lake.definitions, making.subject, self.books
        table = definitions.tables[subject.table.address]
        raw = receipts_of(self.lake, books, table, subject.day)
        return made_from(definitions, subject.product, table, subject.day, making.structure, books.held.runs, raw)

    def _publish(self, subject: Subject, key: str, written: WrittenProduct) -> bool:
        """Give the file its name; False if it was there already."""
        published = publish(self.lake.storage, key, written)
        if published.damaged:
            self.exported.damaged.append(published.damaged)
        last = self.books.exports.get((subject.table.address, subject.day))
        if published.is_new and last and last["path"] == key:
            self.exported.damaged.append(f"{self.lake.storage.uri(key)}: was missing; written again")
        return published.is_new
