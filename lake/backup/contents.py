# SPDX-License-Identifier: Apache-2.0
"""What of a lake is copied: tables at versions that were looked up first, then all else in an order that holds.

If a night is at work, the copy is as if it had been killed at the moment when the versions were looked up, which a
night is made to survive: the books come first, so that they tell of nothing that a table has not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from lake.definitions import Table
from lake.errors import StorageError, TableError
from lake.files import reading
from lake.maintenance import half_written, released_states
from lake.reading import data_files, open_table
from lake.storage import Entry
from lake.store import RAW, Lake

RECEIPT = re.compile(r"(raw/[^/]+/[^/]+/[^/]+/[0-9a-f]{64})-[0-9a-f]{12}\.json")
LOG_FILE = re.compile(r"(\d{20})\.")
FILES_LAST = "files"  # ops.files is written last of the books, so it is looked up first


class Item(NamedTuple):
    """A file to be copied. `path` is where it is if not in the lake; a steady one never changes under its name."""

    key: str
    bytes: int
    modified: float
    is_steady: bool
    path: Path | None = None


@dataclass(frozen=True)
class Pinned:
    """A table at one version: its identity, and the keys of the files of this version and of those of releases."""

    version: int
    table_id: str
    files: set[str]


@dataclass
class Pins:
    """Tables at a consistent set of versions, by address. `at_rest`: no night was at work."""

    at_rest: bool
    tables: dict[str, Pinned] = field(default_factory=dict)


def pin(lake: Lake) -> Pins:
    """Look up the versions of all tables; between two nights if there is none at work, else in the order of trust.

    That is: ops.files, the other books, then tables from the highest level down. What a table has and the books of
    earlier do not tell of is made again, as after a night that was killed.
    """
    with ExitStack() as leases:
        pins = Pins(at_rest=_alone(lake, leases))
        for table in _in_order_of_trust(lake):
            delta = open_table(lake, table)
            if delta is not None:
                keys = {lake.storage.key(uri) for uri in data_files(delta)}
                pins.tables[table.address] = Pinned(delta.version(), str(delta.metadata().id), keys)
    for state in released_states(lake):
        _add_release(Lake(lake.root, lake.definitions, state), pins)
    return pins


def _alone(lake: Lake, leases: ExitStack) -> bool:
    """Whether both leases of a night could be had at once; they are held then."""
    try:
        for name in ("ingest", "build"):
            leases.enter_context(lake.storage.alone(name, wait_seconds=0))
    except StorageError:
        leases.close()
        return False
    return True


def _in_order_of_trust(lake: Lake) -> list[Table]:
    books = sorted(lake.definitions.ops, key=lambda table: table.name != FILES_LAST)
    return [*books, *reversed(lake.definitions.tables.values())]  # which are in the order in which they are built


def _add_release(past: Lake, pins: Pins) -> None:
    """Add the files of a release, so that it stays readable; what it has lost already cannot be copied."""
    for table in (*past.definitions.ops, *past.definitions.tables.values()):
        if table.address in pins.tables:
            try:
                delta = open_table(past, table)
            except TableError:
                continue
            files = data_files(delta) if delta is not None else []
            pins.tables[table.address].files.update(past.storage.key(uri) for uri in files)


def contents(lake: Lake, pins: Pins, configuration: Mapping[str, Path]) -> Iterator[Item]:
    """All files to be copied, in the order of a snapshot. Each part is listed when it is come to.

    `configuration` has files of this machine by their path below config/.
    """
    for name, path in sorted(configuration.items()):
        with reading(path):
            status = path.stat()
        yield Item(f"config/{name}", status.st_size, status.st_mtime, is_steady=False, path=path)
    for kind in ("state", "fits", "exports", "journal"):
        for entry in _listed(lake, f"{kind}/"):
            yield _item(entry, is_steady=kind != "state")
    yield from _raw(lake)
    places = {
        f"{lake.table_key(table)}/": table for table in (*lake.definitions.tables.values(), *lake.definitions.ops)
    }
    for place, table in sorted(places.items()):
        if table.address in pins.tables:
            yield from _table(lake, place, pins.tables[table.address])


def _item(entry: Entry, is_steady: bool) -> Item:
    return Item(entry.key, entry.bytes, entry.modified, is_steady)


def _listed(lake: Lake, prefix: str) -> Iterator[Entry]:
    """What lies below a prefix, without what is on its way there."""
    for entry in lake.storage.entries(prefix):
        if not half_written(entry.key) and not any(part.startswith(".") for part in entry.key.split("/")):
            yield entry


def _raw(lake: Lake) -> Iterator[Item]:
    """The archive. Bytes are there before their receipt, but a listing that takes long may have passed them by."""
    last = ""
    for entry in _listed(lake, RAW):
        receipt = RECEIPT.fullmatch(entry.key)
        if receipt is not None and receipt[1] != last:
            late = next((found for found in lake.storage.entries(receipt[1]) if found.key == receipt[1]), None)
            if late is not None:
                yield _item(late, is_steady=True)
        last = receipt[1] if receipt is not None else entry.key
        yield _item(entry, is_steady=True)


def _table(lake: Lake, place: str, pinned: Pinned) -> Iterator[Item]:
    """The files of a table that its versions name, and its log up to the newest of them.

    The log's note on its last checkpoint, which services write at any time, is left out. It is a hint that saves a
    listing to whoever opens the table; if it is of a later version than the log, nobody can open the table.

    A file that is named and not there is an item nevertheless: whoever reads it says that it is missing.
    """
    found = {entry.key: entry for entry in lake.storage.entries(place)}
    log = sorted(key for key in found if _is_log_until(pinned.version, key.removeprefix(f"{place}_delta_log/")))
    for key in sorted({*pinned.files, *log}):
        yield _item(found.get(key, Entry(key, 0, 0)), is_steady=True)


def _is_log_until(version: int, name: str) -> bool:
    """Whether a file of the log is of a version up to this one."""
    found = LOG_FILE.match(name)
    return found is not None and int(found[1]) <= version and not half_written(name)
