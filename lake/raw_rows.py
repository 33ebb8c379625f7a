# SPDX-License-Identifier: Apache-2.0
"""Which rows of a table of level 0 could not be made again: raw/ no longer has their files as they arrived."""

from __future__ import annotations

from collections import defaultdict

from lake.definitions import Table
from lake.errors import StorageError
from lake.ledger import read_ops
from lake.reading import scan
from lake.store import Lake, RawArchive

SHOWN = 20


def verify_raw(lake: Lake, table: Table) -> None:
    """Read every raw file that has rows in a table of level 0. To be asked before these rows are thrown away.

    Raises StorageError naming the files whose bytes or receipt are missing or changed: the table has the last copy.
    """
    hashes = set(scan(lake, table).select("file_sha256").unique().collect(engine="streaming")["file_sha256"])
    lost = _not_whole(lake, table, hashes)
    if lost:
        more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
        raise StorageError(
            f"{table.address}: nothing was changed, for it has the last rows of {', '.join(lost[:SHOWN])}{more}, which "
            "raw/ does not have as they arrived. Put them into the inbox and run `swxlake ingest`, or restore bytes "
            "and receipts from a backup; then repeat."
        )


def _not_whole(lake: Lake, table: Table, hashes: set[str]) -> list[str]:
    """Names of the files of these hashes that cannot be decoded; of equal bytes one whole copy is enough."""
    archive, copies = RawArchive(lake), defaultdict[str, list[str]](list)
    below = f"raw/{table.mission}/{lake.definitions.instrument(table).name}/"
    for key, place in archive.keys().items():
        if place.startswith(below):
            copies[key.partition("-")[0]].append(place)
    lost = [sha256 for sha256 in sorted(hashes) if not any(_is_whole(archive, place) for place in copies[sha256])]
    names = dict(read_ops(lake, "files").select("file_sha256", "name").iter_rows()) if lost else {}
    return [f"{names.get(sha256, 'a file')} (sha256 {sha256})" for sha256 in lost]


def _is_whole(archive: RawArchive, place: str) -> bool:
    try:
        return archive.damage(archive.receipt(place)) is None
    except StorageError:  # the receipt itself cannot be read
        return False
