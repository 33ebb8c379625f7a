# SPDX-License-Identifier: Apache-2.0
"""A lake and its two immutable parts: the raw archive with receipts, and the journal of what cannot be derived."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from lake.definitions import Definitions, Table
from lake.errors import DamageError, StorageError
from lake.files import copy_hashed, sha256_of, writing
from lake.storage import Storage, open_storage

RAW, JOURNAL, DAMAGED = "raw/", "journal/", "damaged/"
LANDING = "landing"  # the lease under which files are archived


@dataclass(frozen=True)
class AsOf:
    """A state in the past: the version of each Delta table by address, and its words (a release's name, a time).

    A table that is not named did not exist. `table_ids` are the identities that the tables had, where they are known.
    """

    words: str
    versions: Mapping[str, int]
    table_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Lake:
    """A lake: its root, a folder or the address of a prefix in object storage, and the definitions it is read with.

    With `as_of` its tables are read as they were, and cannot be written.
    """

    root: Path | str
    definitions: Definitions
    as_of: AsOf | None = None

    @cached_property
    def storage(self) -> Storage:
        """Where its bytes are."""
        return open_storage(self.root)

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs; it opens the storage by itself."""
        return {name: value for name, value in self.__dict__.items() if name != "storage"}

    def table_key(self, table: Table) -> str:
        """Prefix of a Delta table; the name in SQL is what follows tables/."""
        return f"tables/{table.mission}/{table.name}"

    def table_uri(self, table: Table) -> str:
        """Path or URI of a Delta table."""
        return self.storage.uri(self.table_key(table))

    def ops(self, name: str) -> Table:
        """The definition of one of the lake's own tables."""
        return {table.name: table for table in self.definitions.ops}[name]


@dataclass(frozen=True)
class Receipt:
    """The arrival of a file: what it was called, its bytes by hash, when it came and from where."""

    name: str
    file_sha256: str
    bytes: int
    received_at: str
    source: str
    mission: str
    instrument: str
    day: str
    revision: int = 1

    @property
    def key(self) -> str:
        """Identity of the arrival: the same bytes under the same name have the same key."""
        return receipt_key(self.file_sha256, self.name)


def receipt_key(file_sha256: str, name: str) -> str:
    """File name of a receipt, without extension."""
    return f"{file_sha256}-{name_hash(name)}"


@functools.lru_cache(maxsize=4096)  # it is asked for several times in a row while a file is archived
def name_hash(name: str) -> str:
    """A short hash of a file name, by which receipts tell revisions of one name without being opened."""
    return hashlib.sha256(name.encode()).hexdigest()[:12]


class RawArchive:
    """raw/<mission>/<instrument>/<day>/: <sha256> holds the bytes, <sha256>-<name hash>.json is a receipt.

    The bytes are written before the receipt; a file is archived once its receipt is there.
    """

    def __init__(self, lake: Lake) -> None:
        self.storage = lake.storage

    def keys(self) -> dict[str, str]:
        """Keys of receipts in storage, by the key of the arrival. Names alone: nothing is opened."""
        return self.listing()[0]

    def listing(self) -> tuple[dict[str, str], dict[str, int]]:
        """What `keys` gives, and the sizes of all objects below raw/ by their key, seen at one time."""
        sizes = {entry.key: entry.bytes for entry in self.storage.entries(RAW)}
        receipts = (key for key in sizes if key.endswith(".json") and key.count("/") == 4)
        return {Path(key).stem: key for key in receipts}, sizes

    def receipt(self, key: str) -> Receipt:
        """The receipt under a key of `keys`."""
        try:
            return Receipt(**json.loads(self.storage.read(key)))
        except (ValueError, TypeError) as error:
            where = self.storage.uri(key)
            raise StorageError(f"{where}: is no readable receipt ({error}). Restore it from a backup.") from None

    def bytes_key(self, receipt: Receipt) -> str:
        """Where the bytes of a receipt are."""
        return f"{self._folder(receipt)}/{receipt.file_sha256}"

    def _folder(self, receipt: Receipt) -> str:
        return f"{RAW}{receipt.mission}/{receipt.instrument}/{receipt.day}"

    def damage(self, receipt: Receipt) -> str | None:
        """What is wrong with the archived bytes of a receipt (missing, unreadable, changed); None if they are whole."""
        if receipt.bytes == 0:
            return None
        try:
            with self.local(receipt):
                return None
        except StorageError as error:
            return str(error)

    @contextmanager
    def local(self, receipt: Receipt) -> Iterator[Path]:
        """A file with the bytes of a receipt, verified. Raises DamageError if they are missing or have changed."""
        key = self.bytes_key(receipt)
        where, size = self.storage.uri(key), self.storage.size(key)
        remedy = f"Restore {receipt.name} (sha256 {receipt.file_sha256}) from a backup; it is left out until then."
        if size is None:
            raise DamageError(f"{where}: cannot be read (No such file or directory). {remedy}")
        with self.storage.local(key) as path:
            try:
                whole = size == receipt.bytes and sha256_of(path) == receipt.file_sha256
            except StorageError as error:
                raise DamageError(f"{where}: cannot be read ({error}). {remedy}") from None
            if not whole:
                raise DamageError(f"{where}: has changed in the archive. {remedy}")
            yield path

    def add(self, receipt: Receipt, source: Path) -> None:
        """Copy the bytes of `source`, verify them, then write the receipt; a receipt that is there stands.

        Raises StorageError; leaves nothing half.
        """
        key = self.bytes_key(receipt)
        if self.storage.size(key) is None:
            self._add_bytes(key, receipt, source)
        self.storage.put_new(f"{key.rpartition('/')[0]}/{receipt.key}.json", _json(asdict(receipt)))

    def add_all(self, copies: Sequence[tuple[Receipt, Path]], folder: Path, disk: int | None = None) -> list[bool]:
        """Archive copies whose hashes are those of their receipts; False where a receipt had been there.

        `folder`, in `scratch`, holds them. All bytes would survive a power loss before the first receipt is there, and
        all receipts when this returns. The caller holds the lease `LANDING`; `disk` is as in `sync_all`.
        """
        self.storage.put_group([(self.bytes_key(receipt), copy) for receipt, copy in copies], disk)
        receipts = list[tuple[str, Path]]()
        with writing(folder):
            for number, (receipt, _) in enumerate(copies):
                path = folder / f"{number}.json"
                _write_new(path, _receipt_json(receipt))
                receipts.append((f"{self._folder(receipt)}/{receipt.key}.json", path))
        return self.storage.put_group(receipts, disk)

    def restore(self, key: str, source: Path) -> str:
        """Archive the bytes of a hash again; where those that are there were moved to, "" if there are none to keep.

        Raises StorageError, leaving what was there in its place.
        """
        with self._copied(source, key.rpartition("/")[2]) as copy:
            away = self._put_away(key)
            self.storage.put(key, copy, mode=0o444)
        return away

    def _put_away(self, key: str) -> str:
        """Copy an object to damaged/, under its name and the hash of its bytes."""
        if self.storage.size(key) is None:
            return ""
        with self.storage.local(key) as path:
            try:
                away = f"{DAMAGED}{key.rpartition('/')[2]}-{sha256_of(path)[:12]}"
            except StorageError:  # the disk does not give these bytes any more
                return ""
            self.storage.put(away, path)
        return self.storage.uri(away)

    def _add_bytes(self, key: str, receipt: Receipt, source: Path) -> None:
        with self._copied(source, receipt.file_sha256) as copy:
            self.storage.put_new(key, copy, mode=0o444)

    @contextmanager
    def _copied(self, source: Path, digest: str) -> Iterator[Path]:
        """A verified copy, to be put in place: what has the name of a hash never has other bytes."""
        with self.storage.scratch() as folder:
            copy = folder / digest
            with writing(copy), copy.open("wb") as file:
                if copy_hashed(source, file) != digest:
                    raise StorageError(f"{source}: changed while it was copied. It will be taken the next time.")
            yield copy


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=1, sort_keys=True).encode() + b"\n"


def _receipt_json(receipt: Receipt) -> bytes:
    """What `_json` gives of a receipt, which has texts and numbers alone, by the encoder in C, which is much faster."""
    text = json.dumps(vars(receipt), sort_keys=True, separators=(",\n ", ": "))
    return f"{{\n {text[1:-1]}\n}}\n".encode()


def _write_new(path: Path, content: bytes) -> None:
    """Write a small file out of sight, without waiting for the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        os.write(handle, content)
    finally:
        os.close(handle)


class Journal:
    """journal/<kind>/<key>.json: what cannot be derived. Entries are written once and never changed."""

    def __init__(self, lake: Lake) -> None:
        self.storage = lake.storage

    def write_once(self, kind: str, key: str, content: dict[str, Any]) -> bool:
        """Write an entry unless it is there; False if it was. Of several processes one succeeds."""
        return self.storage.put_new(_journal_key(kind, key), _json(content))

    def keys(self, kind: str, prefix: str = "") -> list[str]:
        """Keys of a kind that begin with `prefix`, in order. Names alone: nothing is opened."""
        start, end = f"{JOURNAL}{kind}/", ".json"
        names = (entry.key.removeprefix(start) for entry in self.storage.entries(start + prefix))
        return [name.removesuffix(end) for name in names if name.endswith(end) and "/" not in name]

    def entry(self, kind: str, key: str) -> dict[str, Any] | None:
        """An entry, or None if there is none."""
        path = _journal_key(kind, key)
        return self._read(path) if self.storage.size(path) is not None else None

    def entries(self, kind: str, prefix: str = "") -> dict[str, dict[str, Any]]:
        """Entries of a kind whose key begins with `prefix`, by key."""
        return {key: self._read(_journal_key(kind, key)) for key in self.keys(kind, prefix)}

    def _read(self, path: str) -> dict[str, Any]:
        try:
            content: dict[str, Any] = json.loads(self.storage.read(path))
        except ValueError as error:
            where = self.storage.uri(path)
            raise StorageError(f"{where}: is no readable entry ({error}). Restore it from a backup.") from None
        return content


def _journal_key(kind: str, key: str) -> str:
    return f"{JOURNAL}{kind}/{key}.json"


def iso_day(day: date) -> str:
    """A date as it stands in paths and partitions."""
    return day.isoformat()
