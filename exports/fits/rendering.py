# SPDX-License-Identifier: Apache-2.0
"""Renders published CDFs as FITS files, each once: of the same product-day and version, recorded in ops.renditions.

A file is looked at before it gets its name. What has its name already is kept if its hash is that of ops.renditions, or
if it says what the CDF says, whichever release wrote it: a version never changes. All else is put away as damaged.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exports.books import last_exports
from exports.fits.names import FITS, of_cdf
from exports.publishing import publish
from lake.clock import utc_now
from lake.definitions import Table
from lake.errors import ExportError, StorageError
from lake.files import sha256_of
from lake.ledger import next_run_id, read_ops
from lake.store import Lake
from lake.tables import append_ops

if TYPE_CHECKING:  # loading astropy takes half a second, which a night without news should not cost
    from exports.cdf.reader import CdfReader
    from exports.product import WrittenProduct

log = logging.getLogger(__name__)

FORMAT = "fits"
ROWS_PER_COMMIT = 64
TOLD = 5  # findings about a file that are told; the others are mostly of one cause


@dataclass
class Rendered:
    """Outcome of rendering; `made` are keys below the lake's root, `damaged` sentences about what was put away."""

    made: list[str] = field(default_factory=list)
    unchanged: int = 0
    failed: list[tuple[str, date, str]] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def render_all(
    lake: Lake,
    run_id: str | None = None,
    tables: list[Table] | None = None,
    days: set[date] | None = None,
    force: bool = False,
) -> Rendered:
    """Render the newest version of every product-day that has no file of it yet; `force` hashes those that are there.

    A day that fails does not stop the others. Raises StorageError if another process exports all the while.
    """
    rendered = Rendered()
    if not any(FORMAT in mission.formats for mission in lake.definitions.missions):
        return rendered
    with lake.storage.alone("build"):
        run = _Run(lake, run_id or next_run_id(lake, "renditions"), rendered)
        try:
            for export in wanted(lake, tables, days):
                run.take(export, force)
        finally:
            run.note()
    return rendered


def wanted(lake: Lake, tables: list[Table] | None = None, days: set[date] | None = None) -> Iterator[dict[str, Any]]:
    """Rows of ops.exports about the newest versions of what is published as FITS too, by product and day."""
    addresses = None if tables is None else {table.address for table in tables}
    for (address, day), row in sorted(last_exports(lake).items()):
        table = lake.definitions.tables.get(address)
        if table is None or FORMAT not in lake.definitions.mission(table.mission).formats:
            continue
        if (addresses is None or address in addresses) and (days is None or day in days):
            yield row


def last_renditions(lake: Lake) -> dict[str, dict[str, Any]]:
    """The newest row of ops.renditions about each path."""
    rows = read_ops(lake, "renditions").sort("run_id", maintain_order=True)
    return {row["path"]: row for row in rows.iter_rows(named=True)}


class _Run:
    """One run of rendering: what is there, and what came of it."""

    def __init__(self, lake: Lake, run_id: str, rendered: Rendered) -> None:
        self.lake, self.run_id, self.rendered = lake, run_id, rendered
        self.rows: list[dict[str, Any]] = []
        self.present = {entry.key: entry.bytes for entry in lake.storage.entries(FITS)}
        self.last = {row["cdf_sha256"]: row for row in last_renditions(lake).values()}

    def take(self, export: dict[str, Any], force: bool) -> None:
        """Render a CDF, or note why not."""
        last = self.last.get(export["sha256"])
        try:
            if last and self._is_there(last, force):
                self.rendered.unchanged += 1
                return
            row = self._render(export)
        except (ExportError, StorageError) as error:
            self.rendered.failed.append((export["product"], export["day"], str(error)))
            return
        if last and (last["path"], last["sha256"]) == (row["path"], row["sha256"]):
            return  # its row stands
        self.rows.append(row)
        if len(self.rows) >= ROWS_PER_COMMIT:
            self.note()

    def _is_there(self, last: dict[str, Any], force: bool) -> bool:
        """Whether the file of a row is there by its size; with `force` by its hash."""
        if self.present.get(last["path"]) != last["bytes"]:
            return False
        if not force:
            return True
        with self.lake.storage.local(last["path"]) as path:
            return sha256_of(path) == str(last["sha256"])

    def note(self) -> None:
        """Write what was rendered to ops.renditions. What a crash keeps from it is compared again the next time."""
        rows, self.rows = self.rows, []
        append_ops(self.lake, "renditions", rows)

    def _render(self, export: dict[str, Any]) -> dict[str, Any]:
        """Write the file, look at it, and publish it; the row of ops.renditions."""
        from exports.cdf.reader import CdfReader  # noqa: PLC0415
        from exports.fits.file import write_fits  # noqa: PLC0415

        storage = self.lake.storage
        with storage.local(export["path"]) as path, storage.scratch() as folder:
            if sha256_of(path) != export["sha256"]:
                raise ExportError(f"{storage.uri(export['path'])}: has changed. Run `swxlake export --force` first")
            with CdfReader(path) as cdf:
                written = write_fits(cdf, folder)
                refuse_wrong(written.path, cdf)
                key = key_of(self.lake, export)
                size, sha256 = self._publish(key, written, cdf)
        log.info("render product=%s day=%s bytes=%d", export["product"], export["day"], size)
        about = {name: export[name] for name in ("product", "day", "version", "records")}
        made = {"format": FORMAT, "path": key, "bytes": size, "sha256": sha256, "cdf_sha256": export["sha256"]}
        return about | made | {"created_at": utc_now(), "run_id": self.run_id}

    def _publish(self, key: str, written: WrittenProduct, cdf: CdfReader) -> tuple[int, str]:
        """Give the file its name, unless what has it is as good; bytes and sha256 of what has it then."""
        if kept := self._kept(key, written, cdf):
            self.rendered.unchanged += 1
            return kept
        published = publish(self.lake.storage, key, written)
        if published.damaged:
            self.rendered.damaged.append(published.damaged)
        elif key in {row["path"] for row in self.last.values()}:
            self.rendered.damaged.append(f"{self.lake.storage.uri(key)}: was missing; written again")
        self.rendered.made.append(key)
        return written.bytes, written.sha256

    def _kept(self, key: str, written: WrittenProduct, cdf: CdfReader) -> tuple[int, str] | None:
        """Bytes and sha256 of the file that is there, if it says what the CDF says."""
        if key not in self.present:
            return None
        with self.lake.storage.local(key) as path, self.lake.storage.scratch() as folder:
            sha256 = sha256_of(path)
            if sha256 == written.sha256:
                return written.bytes, sha256
            named = folder / written.path.name
            named.symlink_to(path.resolve())
            return None if findings_of(named, cdf) else (path.stat().st_size, sha256)


def key_of(lake: Lake, export: dict[str, Any]) -> str:
    """Where the FITS file of a row of ops.exports is published. Raises ExportError if its path is no product's."""
    table, file = lake.definitions.tables[export["product"]], of_cdf(export["path"])
    if file is None:
        raise ExportError(f"ops.exports: {export['path']} is not the path of a product. Run `swxlake fsck`")
    return f"{FITS}{table.mission}/{table.instrument}/{table.level}/{export['day'].year:04d}/{file.fits_name}"


def findings_of(path: Path, cdf: CdfReader) -> list[str]:
    """What stops a file from being published, in words."""
    from exports.fits.check import check_fits  # noqa: PLC0415

    return [str(finding) for finding in check_fits(path, cdf) if finding.severity == "error"]


def refuse_wrong(path: Path, cdf: CdfReader) -> None:
    """Raises ExportError if a file that was just written does not say what its CDF says."""
    found = findings_of(path, cdf)
    if found:
        more = f" ({len(found) - TOLD} more)" if len(found) > TOLD else ""
        raise ExportError(f"{path.name}: is not published: {' '.join(found[:TOLD])}{more}")
