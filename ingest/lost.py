# SPDX-License-Identifier: Apache-2.0
"""What arrived and raw/ has no longer, as far as names and sizes tell: cheap enough for every night."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from ingest.arrivals import Arrivals
from lake.errors import StorageError
from lake.ledger import read_ops
from lake.store import Lake, RawArchive

AGAIN = "or restore it from a backup."


def lost(lake: Lake, looked_into: AbstractSet[str]) -> list[str]:
    """Sentences about receipts and bytes that are missing, and bytes of another size.

    `looked_into` are receipts whose bytes have just been read, so that nothing need be said of them here.
    """
    receipts, sizes = RawArchive(lake).listing()
    files = read_ops(lake, "files", ("file_sha256", "name", "bytes", "receipt", "run_id"))
    known = {key: (name, size) for name, size, key in files.select("name", "bytes", "receipt").iter_rows()}
    found = dict[str, str]()
    for key, place in receipts.items():
        name, expected = known.get(key, (key, None))
        at = f"{place.rpartition('/')[0]}/{key.partition('-')[0]}"
        if key not in looked_into and expected and sizes.get(at) != expected:
            was = "is missing" if at not in sizes else f"has {sizes[at]} bytes instead of {expected}"
            found[at] = f"{lake.storage.uri(at)}: {was} ({name}). Put {name} into the inbox again, {AGAIN}"
    return [*found.values(), *_lost_receipts(lake, receipts.keys(), {key: name for key, (name, _) in known.items()})]


def _lost_receipts(lake: Lake, there: AbstractSet[str], names: dict[str, str]) -> list[str]:
    """Sentences about receipts that ops.files or journal/arrivals name and raw/ lacks."""
    missing = {key: f"of {names[key]}" for key in names.keys() - there}
    unread = []
    try:
        missing |= dict.fromkeys(Arrivals(lake).lost(there | missing.keys()), "of a file whose name is not known")
    except StorageError as error:
        unread = [str(error)]
    what = "is not in raw/, though the file arrived: its rows cannot be made again. Put the file into the inbox again"
    return [*(f"receipt {key} {whose}: {what}, {AGAIN}" for key, whose in sorted(missing.items())), *unread]
