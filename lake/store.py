# SPDX-License-Identifier: Apache-2.0
"""The lake's folders: the immutable raw archive with receipts, the journal, files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import IO, Any

from lake.definitions import Definitions, Table
from lake.errors import StorageError

COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class Lake:
    """A lake: its root folder and the definitions it is read with."""

    root: Path
    definitions: Definitions

    def table_path(self, table: Table) -> Path:
        """Folder of a Delta table; the name in SQL is the path below tables/."""
        return self.root / "tables" / table.mission / table.name

    @property
    def catalog(self) -> Path:
        """The DuckDB file with a view for each table; a cache."""
        return self.root / "catalog.duckdb"

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


def name_hash(name: str) -> str:
    """A short hash of a file name, by which receipts tell revisions of one name without being opened."""
    return hashlib.sha256(name.encode()).hexdigest()[:12]


class RawArchive:
    """raw/<mission>/<instrument>/<day>/: <sha256> holds the bytes, <sha256>-<name hash>.json is a receipt.

    The bytes are written before the receipt; a file is archived once its receipt is there.
    """

    def __init__(self, lake: Lake) -> None:
        self.folder = lake.root / "raw"

    def keys(self) -> dict[str, Path]:
        """Receipts by key. Names alone: no file is opened."""
        with reading(self.folder):
            return {path.stem: path for path in sorted(self.folder.glob("*/*/*/*.json"))}

    def receipt(self, path: Path) -> Receipt:
        """The receipt in a file of `keys`."""
        try:
            return Receipt(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise StorageError(f"{path}: is no readable receipt ({error}). Restore it from a backup.") from None

    def bytes_path(self, receipt: Receipt) -> Path:
        """Where the bytes of a receipt are."""
        return self.folder / receipt.mission / receipt.instrument / receipt.day / receipt.file_sha256

    def damage(self, receipt: Receipt) -> str | None:
        """What is wrong with the archived bytes of a receipt (missing, unreadable, changed); None if they are whole."""
        path = self.bytes_path(receipt)
        remedy = f"Restore {receipt.name} (sha256 {receipt.file_sha256}) from a backup; it is left out until then."
        if receipt.bytes == 0:
            return None
        try:
            whole = path.stat().st_size == receipt.bytes and sha256_of(path) == receipt.file_sha256
        except (OSError, StorageError) as error:
            return f"{path}: cannot be read ({getattr(error, 'strerror', None) or error}). {remedy}"
        return None if whole else f"{path}: has changed in the archive. {remedy}"

    def add(self, receipt: Receipt, source: Path) -> None:
        """Copy the bytes of `source`, verify them, then write the receipt; a receipt that is there stands.

        Raises StorageError; leaves nothing half.
        """
        target = self.bytes_path(receipt)
        if not target.exists():
            with appearing(target, mode=0o444) as file:
                if _copy(source, file) != receipt.file_sha256:
                    raise StorageError(f"{source}: changed while it was copied. It will be taken the next time.")
        path = target.with_name(f"{receipt.key}.json")
        if not path.exists():
            write_json(path, asdict(receipt))


def _copy(source: Path, target: IO[bytes]) -> str:
    """Copy all bytes; their sha256. Only what the source does is called an error of reading."""
    digest = hashlib.sha256()
    with reading(source):
        stream = source.open("rb")
    with stream:
        while block := _block(source, stream):
            digest.update(block)
            target.write(block)
    return digest.hexdigest()


def _block(source: Path, stream: IO[bytes]) -> bytes:
    with reading(source):
        return stream.read(COPY_BYTES)


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes, in hex. Raises StorageError if it cannot be read."""
    with reading(path), path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to read into a StorageError that names the file."""
    try:
        yield
    except OSError as error:
        place = error.filename or path
        raise StorageError(f"{place}: {_cause(error)}. Give the right to read it, or check the disk.") from None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal to write into a StorageError that names the file."""
    try:
        yield
    except OSError as error:
        named = str(error.filename or "")
        place = path if named.endswith(".part") else named or path  # a temporary name tells nobody anything
        raise StorageError(f"{place}: {_cause(error)}. Free space or give the right to write, then repeat.") from None


def _cause(error: OSError) -> str:
    """The operating system's words; Arrow's errors have only their own."""
    return error.strerror or " ".join(str(error).split())


@contextmanager
def appearing(target: Path, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """An open file that becomes `target` when the block ends well, synced to disk, and vanishes when it does not."""
    with writing(target), _temporary(target) as (temporary, file):
        yield file
        _finish(file, mode)
        temporary.replace(target)
        sync(target.parent)


@contextmanager
def _temporary(target: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """A file beside `target` that is gone after the block, unless it was renamed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield Path(name), file
    finally:
        Path(name).unlink(missing_ok=True)


def _finish(file: IO[bytes], mode: int) -> None:
    """Bytes on disk and rights set, before the file gets its name."""
    file.flush()
    os.fchmod(file.fileno(), mode)
    os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, would survive a power loss."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a small JSON file that appears whole."""
    with appearing(path) as file:
        file.write(_json(content))


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=1, sort_keys=True).encode() + b"\n"


class Journal:
    """journal/<kind>/<key>.json: what cannot be derived. Entries are written once and never changed."""

    def __init__(self, lake: Lake) -> None:
        self.folder = lake.root / "journal"

    def write_once(self, kind: str, key: str, content: dict[str, Any]) -> bool:
        """Write an entry unless it is there; False if it was. Safe against a second process."""
        path = self.folder / kind / f"{key}.json"
        if path.exists():
            return False
        with writing(path), _temporary(path) as (temporary, file):
            file.write(_json(content))
            _finish(file, 0o644)
            try:
                path.hardlink_to(temporary)
            except FileExistsError:
                return False
            sync(path.parent)
        return True

    def entries(self, kind: str, prefix: str = "") -> dict[str, dict[str, Any]]:
        """Entries of a kind whose key begins with `prefix`, by key."""
        paths = (path for path in (self.folder / kind).glob("*.json") if path.name.startswith(prefix))
        return {path.stem: _entry(path) for path in sorted(paths)}


def _entry(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StorageError(f"{path}: is no readable entry ({error}). Restore it from a backup.") from None
    return content


def iso_day(day: date) -> str:
    """A date as it stands in paths and partitions."""
    return day.isoformat()
