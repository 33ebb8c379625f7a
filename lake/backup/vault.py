# SPDX-License-Identifier: Apache-2.0
"""A place of copies, open: objects that are sent, read back and fetched, and the snapshots that tell of them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar

from lake.backup.by_hand import README, README_TEXT
from lake.backup.sealing import key_mark, seal
from lake.backup.settings import COLD, Place
from lake.backup.snapshots import KINDS, NAME, STAMP, ChangedError, Line, Snapshot, is_whole
from lake.errors import PathError, WayError
from lake.files import folder_while_alive, sha256_of
from lake.ways.settings import S3Way, open_way
from lake.ways.transport import Transport

AT_ONCE = 8  # files on their way to or from a bucket, or read back
Given = TypeVar("Given")
Result = TypeVar("Result")
SNAPSHOTS, OBJECTS, RENEWALS = "snapshots", "objects", "renewals"
RENEWAL = re.compile(r"\d{8}T\d{6}Z-([0-9a-f]{16})\.json")


@contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder of this machine, gone after the block; if this process is killed, a later one removes it."""
    parent = folder_while_alive(Path(tempfile.gettempdir()) / f"swxlake-{os.getuid()}")
    with tempfile.TemporaryDirectory(dir=parent, ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def open_vault(name: str, place: Place) -> Iterator[Vault]:
    """The place, open for the block. Raises WayError, which begins with `backup NAME`, if it cannot be reached."""
    who = f"backup {name}"
    with open_way(who, place.way) as transport, scratch() as folder:
        yield Vault(who, place, transport, folder)


@dataclass
class Vault:
    """A place of copies. `folder` is for files on their way; `renewed` has what was sealed anew, by object."""

    who: str
    place: Place
    transport: Transport
    folder: Path
    renewed: dict[str, tuple[int, str]] = field(default_factory=dict)
    _numbers: int = 0
    _by_class: dict[str | None, Transport] = field(default_factory=dict)

    # ---- snapshots -------------------------------------------------------------------------------------------------
    def snapshots(self) -> list[str]:
        """Names of the snapshots, the oldest first."""
        return [name for name in self.transport.names(SNAPSHOTS) if NAME.fullmatch(name)]

    def snapshot(self, name: str) -> Snapshot:
        """A snapshot, fetched. Raises WayError if its bytes are not those that its name was made of."""
        path = self.folder / name
        if not path.exists():
            self.transport.fetch(f"{SNAPSHOTS}/{name}", path)
            if not is_whole(name, path):
                path.unlink()
                raise ChangedError(f"{self.who}: snapshot {name} has changed there. Take another one by --as-of.")
        return Snapshot(self.who, name, path)

    def add_snapshot(self, path: Path) -> None:
        """Send a snapshot, and what says how to read it by hand."""
        if self.transport.size(README) != len(README_TEXT.encode()):
            text = self.folder / README
            text.write_text(README_TEXT, encoding="utf-8")
            self.transport.put(README, text, replace=True)
        self._put(self._way(None), f"{SNAPSHOTS}/{path.name}", path, replace=False, read_back=True)

    # ---- objects ---------------------------------------------------------------------------------------------------
    def objects(self) -> dict[str, int]:
        """Size of each object that is there, by its path."""
        return {found.path: found.bytes for found in self.transport.entries(OBJECTS)}

    def object_of(self, sha256: str) -> str:
        """The path of the object with the bytes of this hash, as they are stored now."""
        sealed = f".{key_mark(self.place.encrypt_to)}.age" if self.place.encrypt_to else ""
        return f"{OBJECTS}/{sha256[:2]}/{sha256}{sealed}"

    def is_as_now(self, line: Line) -> bool:
        """Whether the object of a line is one that would be sent now: not in the clear, nor for other keys."""
        return line.object == self.object_of(line.sha256)

    def send(self, line: Line, source: Path, replace: bool) -> Line:
        """Send the bytes of a line to its object; the line with what is stored. `replace` what has its name.

        Raises WayError if the place refuses, or if other bytes came there.
        """
        line, path = self.sealed(line, source)
        self.put(line, path, replace)
        if path != source:
            path.unlink()
        return line

    def sealed(self, line: Line, source: Path) -> tuple[Line, Path]:
        """The line with what is to be stored, and the file that has it: the source, or a new one if it is encrypted."""
        if not line.is_sealed:
            return line._replace(stored_bytes=line.bytes, stored_sha256=line.sha256), source
        path = self.new_path()
        seal(source, path, self.place.encrypt_to)
        if source.is_relative_to(self.folder):
            source.unlink()
        return line._replace(stored_bytes=path.stat().st_size, stored_sha256=sha256_of(path)), path

    def put(self, line: Line, path: Path, replace: bool) -> None:
        """Send a file of `sealed`. Raises WayError if the place refuses, or if other bytes came there."""
        kind = self.place.class_of(line.kind)
        read_back = self.place.read_back and kind not in COLD
        self._put(self._way(kind), line.object, path, replace, read_back, line.stored_sha256)
        if line.is_sealed and replace:
            self.renewed[line.object] = line.stored_bytes, line.stored_sha256

    def new_path(self) -> Path:
        """A name that no file has, in the folder of what is on its way."""
        self._numbers += 1
        return self.folder / f"{self._numbers}.part"

    def mapped(self, call: Callable[[Given], Result], given: Iterable[Given]) -> Iterator[Result]:
        """What a call gives for each, in order; several at once if the place is a bucket, slow to answer."""
        if not isinstance(self.place.way, S3Way):
            yield from map(call, given)
            return
        self._open_ways()
        rest = iter(given)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while batch := list(islice(rest, AT_ONCE)):
                yield from pool.map(call, batch)

    def _open_ways(self) -> None:
        """Open the way for each storage class, before several threads ask for it."""
        for kind in KINDS:
            self._way(self.place.class_of(kind))

    def _put(
        self, way: Transport, path: str, source: Path, replace: bool, read_back: bool, sha256: str | None = None
    ) -> None:
        """Send a file; an error if other bytes came there, whether on the way or because the file changed."""
        before = source.stat()
        was_compared = way.put(path, source, replace)
        after = source.stat()
        changed = (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size)
        if changed or (read_back and not was_compared and way.sha256(path) != (sha256 or sha256_of(source))):
            way.remove(path)
            raise WayError(f"{self.who}: {path} came as other bytes. Look at the link and the disks, then repeat.")

    def _way(self, storage_class: str | None) -> Transport:
        """The way for what is kept in a storage class; only buckets tell them apart."""
        if not isinstance(self.place.way, S3Way):
            return self.transport
        if storage_class not in self._by_class:
            from lake.backup.cold import open_keeping  # noqa: PLC0415  boto3 takes a second to load

            self._by_class[storage_class] = open_keeping(self.who, self.place, self.place.way, storage_class)
        return self._by_class[storage_class]

    def stored(self, path: str) -> str | None:
        """sha256 of an object, read back; None if it is not there or cannot be read."""
        try:
            return self.transport.sha256(path)
        except PathError:
            return None

    @contextmanager
    def fetched(self, path: str, folder: Path) -> Iterator[tuple[Path, str | None]]:
        """A file with the bytes of an object, and their sha256; None if it is not there or cannot be read."""
        target = folder / "fetched"
        try:
            sha256: str | None = self.transport.fetch(path, target)
        except PathError:
            sha256 = None
        yield target, sha256

    # ---- what was sealed anew --------------------------------------------------------------------------------------
    def renewals(self) -> dict[str, tuple[int, str]]:
        """Size and hash of objects that were sealed anew after a snapshot was made: no two sealings are alike."""
        found: dict[str, tuple[int, str]] = {}
        for name in self.transport.names(RENEWALS):
            content = self.transport.read(f"{RENEWALS}/{name}") if RENEWAL.fullmatch(name) else None
            if content is not None and hashlib.sha256(content).hexdigest()[:16] == name[17:33]:
                found |= {path: (int(size), str(sha256)) for path, (size, sha256) in json.loads(content).items()}
        return found

    def note_renewals(self, now: datetime) -> None:
        """Write down what was sealed anew since this was open."""
        if self.renewed:
            content = json.dumps(self.renewed, indent=1).encode()
            path = self.folder / f"{now:{STAMP}}-{hashlib.sha256(content).hexdigest()[:16]}.json"
            path.write_bytes(content)
            self.transport.put(f"{RENEWALS}/{path.name}", path, replace=True)
            self.renewed.clear()
