# SPDX-License-Identifier: Apache-2.0
"""fsck of products in other formats: ops.renditions, the files below fits/, and the CDFs that they were made from."""

from __future__ import annotations

from typing import Any

from exports.fits.names import FITS, of_fits
from exports.fits.rendering import key_of, last_renditions, wanted
from exports.versions import KEY
from lake.store import JOURNAL
from swxlake.findings import Findings

AGAIN = "Run `swxlake export`, which makes it again from its CDF."
FORCE = "Run `swxlake export --force`, which puts it away and makes it again."
OLDER = "Move it away, or restore it from a backup: it is of an older version."
Rows = dict[str, dict[str, Any]]


def look_at_renditions(found: Findings, books: bool) -> None:
    """Compare fits/ with ops.renditions if `books`, and both with the versions of CDFs that the journal gave out."""
    versions = {key for key in found.journal("versions", bytes=int, sha256=str) if KEY.fullmatch(key)}
    files = _files(found, versions)
    found.counts["renditions"] = len(files)
    if not books:
        return
    rows, newest = last_renditions(found.lake), _newest(found)
    for path, row in rows.items():
        _row(found, path, row, is_newest=path in newest)
    for path in sorted(files - rows.keys()):
        _unrecorded(found, path, is_newest=path in newest)
    if waiting := sorted(newest - rows.keys() - files):
        what = f"{len(waiting)} products are not there as FITS yet, such as {waiting[-1]}"
        found.notes.append(f"{found.uri(FITS)}: {what}; `swxlake export` makes them")


def _files(found: Findings, versions: set[str]) -> set[str]:
    """Keys of files that are FITS of a version that was given out; all others are differences."""
    files = set[str]()
    for entry in found.below(FITS):
        file = of_fits(entry.key)
        if file is None:
            found.problem(found.uri(entry.key), "is no product of this lake", "Move it away.")
        elif file.file_id not in versions:
            what = f"is of {file.file_id}, a version that journal/versions did not give out"
            found.problem(
                found.uri(entry.key), what, "Move it away, or restore the entry of the journal from a backup."
            )
        else:
            files.add(entry.key)
    return files


def _newest(found: Findings) -> set[str]:
    """Paths that the newest versions of all products have or will have."""
    return {key_of(found.lake, row) for row in wanted(found.lake)}


def _row(found: Findings, path: str, row: dict[str, Any], is_newest: bool) -> None:
    """A row of ops.renditions, its file, and the CDF that it was made from."""
    wrong = found.differs(path, row["bytes"], row["sha256"])
    if wrong == "is missing":
        if is_newest:
            found.problem(found.uri(path), "was made and is missing", AGAIN)
        else:
            found.notes.append(f"{found.uri(path)}: an older version that is not in fits/ any more")
    elif wrong:
        found.problem(found.uri(path), wrong, FORCE if is_newest else OLDER)
    file = of_fits(path)
    key = file.file_id if file else ""
    entry = found.journal("versions", bytes=int, sha256=str).get(key)
    if entry is not None and entry["sha256"] != row["cdf_sha256"]:
        what = f"was made from a CDF of sha256 {row['cdf_sha256']}, {JOURNAL}versions/{key} says {entry['sha256']}"
        found.problem(f"ops.renditions: {path}", what, FORCE if is_newest else OLDER)


def _unrecorded(found: Findings, path: str, is_newest: bool) -> None:
    """A file without a row: not noted before a crash, or of a version that was there before ops/ was made anew."""
    if is_newest:
        remedy = "Run `swxlake export`, which looks at it and writes the row."
        found.problem(found.uri(path), "has no row in ops.renditions", remedy)
    else:
        what = "an older version without a row in ops.renditions, which was made anew since; it can stay"
        found.notes.append(f"{found.uri(path)}: {what}")
