# SPDX-License-Identifier: Apache-2.0
"""fsck: raw files, journal, ops tables, tables and products compared with each other, both ways and by hash.

A difference is a problem with its place and its remedy. What only waits for the next night, or lies about without
harm, is a note. Nothing is changed but locks/, where it says that it is at work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from lake.errors import StorageError
from lake.maintenance import leftovers
from lake.storage import SCRATCH
from lake.store import Lake, Receipt
from swxlake.findings import Findings
from swxlake.fsck_products import look_at_journal, look_at_products
from swxlake.fsck_raw import look_at_raw, look_at_raw_books, read_receipts
from swxlake.fsck_renditions import look_at_renditions
from swxlake.fsck_tables import look_at_files, look_at_tables
from swxlake.outcome import Outcome

KNOWN = (
    *("raw/", "journal/", "tables/", "exports/", "fits/", "envelopes/", "site/", "locks/", "state/", "damaged/"),
    *("catalog.duckdb", ".sql_history"),
)
CORRECT = "Mend the other differences first, then repeat."


def fsck(lake: Lake, quick: bool = False) -> Outcome:
    """Compare everything in a lake with everything else; `quick` compares sizes instead of hashes.

    Waits until no night is at work, or says that it could not.
    """
    found = Findings(lake, quick)
    with _at_rest(found):
        _compare(found)
        _look_around(found)
    facts = {
        name: found.counts[name] for name in ("raw_files", "table_files", "products", "renditions", "bytes_hashed")
    }
    outcome = Outcome(facts={"lake": str(lake.root), "fsck": facts | {"differences": len(found.problems)}})
    outcome.problems, outcome.notes = found.problems, found.notes
    return outcome


def _compare(found: Findings) -> None:
    """Everything that needs no books, then the books if they can all be read.

    A part that cannot be looked at ends none of the others.
    """
    receipts, whole = dict[str, Receipt](), set[str]()
    with found.reading(found.uri("raw"), CORRECT):
        receipts = read_receipts(found)
        look_at_raw(found, receipts)
    with found.reading(found.uri("tables"), CORRECT):
        whole = look_at_files(found)
    books = all(table.address in whole for table in found.lake.definitions.ops)
    with found.reading(found.uri("exports"), CORRECT):
        look_at_products(found, receipts, books)
    with found.reading(found.uri("fits"), CORRECT):
        look_at_renditions(found, books)
    with found.reading(found.uri("journal"), CORRECT):
        look_at_journal(found)
    if books:
        with found.reading("ops.files, ops.quarantine", CORRECT):
            look_at_raw_books(found, receipts)
        with found.reading("ops.contents, ops.runs", CORRECT):
            look_at_tables(found, whole)
    else:
        found.notes.append("the ops tables cannot be read, so nothing was compared with them")


@contextmanager
def _at_rest(found: Findings) -> Iterator[None]:
    """Alone in the lake, if that can be had: not in one that cannot be written."""
    with ExitStack() as leases:
        try:
            for name in ("ingest", "build"):
                leases.enter_context(found.lake.storage.alone(name))
        except StorageError as error:
            found.notes.append(f"looked without a lease, so work in progress may show as a difference ({error})")
        yield


def _place_of(key: str) -> str:
    """The folder of what was being made there, or the object itself."""
    return key.partition("/")[0] if key.startswith(SCRATCH) else key


def _look_around(found: Findings) -> None:
    """What is half-written, put away as damaged, or known to nobody."""
    unfinished = {_place_of(entry.key): entry for entry in leftovers(found.lake)}
    for place, entry in unfinished.items():
        what = f"was never finished, {found.age(entry)}; `swxlake maintain` removes it after its retention"
        found.notes.append(f"{found.uri(place)}: {what}")
    for entry in found.below(""):
        if entry.key.startswith("damaged/"):
            found.notes.append(f"{found.uri(entry.key)}: was put away as damaged; look at it, then remove it")
        elif not entry.key.startswith(KNOWN):
            found.problem(found.uri(entry.key), "is no part of a lake", "Move it away.")
