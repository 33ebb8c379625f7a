# SPDX-License-Identifier: Apache-2.0
"""One file to one recipient: hashed in the lake, sent, renamed, read back; and batches of what happened, as it does."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from exports.delivery.ledger import EVENTS_PER_ENTRY, Ledger
from exports.delivery.nouns import Event, Parcel
from lake.errors import DamageError, PathError, StorageError, WayError
from lake.files import COPY_BYTES, reading
from lake.storage import Storage
from lake.ways.transport import Transport

PAUSES = (1.0, 4.0)  # seconds between three tries: enough for a link that stumbles, not for a night to wait long
FILES_PER_BATCH = 1000  # a manifest of so many files is about a megabyte

Result = TypeVar("Result")


class NameTakenError(PathError):
    """Something that we have not put there has the name of a file; trying again is of no use."""


class Hashes(NamedTuple):
    """Hashes of a file's bytes, in hex."""

    sha256: str
    md5: str


def hashes(path: Path) -> Hashes:
    """sha256 and MD5 of a file, read once. Raises StorageError if it cannot be read."""
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with reading(path), path.open("rb") as stream:
        while block := stream.read(COPY_BYTES):
            sha256.update(block)
            md5.update(block)
    return Hashes(sha256.hexdigest(), md5.hexdigest())


@contextmanager
def whole(storage: Storage, parcel: Parcel) -> Iterator[tuple[Path, str]]:
    """The lake's file with its MD5, verified against what was exported. Raises DamageError if it is not whole."""
    if storage.size(parcel.key) != parcel.bytes:
        raise DamageError(f"{storage.uri(parcel.key)}: is missing, or has changed since it was exported")
    with storage.local(parcel.key) as path:
        try:
            found = hashes(path)
        except StorageError as error:
            raise DamageError(str(error)) from None
        if found.sha256 != parcel.sha256:
            raise DamageError(f"{storage.uri(parcel.key)}: has changed since it was exported")
        yield path, found.md5


def tried(call: Callable[[], Result], pauses: Sequence[float]) -> Result:
    """What a call to a recipient gives; repeated after each pause if it fails. Raises the last WayError.

    What is refused for its path alone is refused the next time, too, so that it is not repeated.
    """
    for pause in pauses:
        try:
            return call()
        except PathError:
            raise
        except WayError:
            time.sleep(pause)
    return call()


@dataclass
class Sending:
    """Sending one file. `ours` says that what has its name at the recipient may have been put there by us."""

    transport: Transport
    parcel: Parcel
    ours: bool

    def attempt(self, source: Path) -> bool:
        """Send the file unless it is there already; True if it was sent. Raises WayError."""
        parcel, transport = self.parcel, self.transport
        size = transport.size(parcel.path)
        if size == parcel.bytes and transport.sha256(parcel.path) == parcel.sha256:
            return False
        if size is not None and not self.ours:
            raise NameTakenError(f"{parcel.path}: another file has this name. Remove it there, or give another layout.")
        self.ours = True  # also if the answer is lost
        is_right = transport.put(parcel.path, source, replace=size is not None)
        if not is_right and transport.sha256(parcel.path) != parcel.sha256:
            raise WayError(f"{parcel.path}: what was read back is not what was sent. Look at the link and the disk.")
        return True


@dataclass
class Batch:
    """Events of one recipient, written to the journal by the tens; a new batch is begun when one is full.

    It may be left by an error at any place: what is lost is seen again at the recipient by the next run.
    """

    ledger: Ledger
    recipient: str
    size: int = FILES_PER_BATCH
    name: str = ""
    part: int = 0
    count: int = 0
    events: list[Event] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Note an event."""
        self.events.append(event)
        self.count += 1
        if len(self.events) >= min(EVENTS_PER_ENTRY, self.size) or self.count >= self.size:
            self.flush()

    def flush(self) -> None:
        """Write what was noted."""
        if not self.events:
            return
        self.name = self.name or self.ledger.new_batch(self.recipient)
        self.part += 1
        self.ledger.write(self.recipient, self.name, self.part, self.events)
        self.events = []
        if self.count >= self.size:
            self.name, self.part, self.count = "", 0, 0
