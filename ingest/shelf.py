# SPDX-License-Identifier: Apache-2.0
"""The raw archive as a process knows it: listed once, and told of what is archived since."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from lake.errors import StorageError
from lake.files import sha256_of
from lake.store import Lake, RawArchive, Receipt, name_hash, receipt_key

log = logging.getLogger(__name__)


class Shelf:
    """What the archive holds.

    known : storage keys of receipts by receipt; "" if another process wrote it after the listing.
    sizes : of all objects below raw/ by key.
    names : hashes of the bytes that came under a name, by the hash of that name.
    """

    def __init__(self, lake: Lake) -> None:
        self.lake, self.archive = lake, RawArchive(lake)
        self.known, self.sizes = self.archive.listing()
        self.places = defaultdict[str, set[str]](set)  # where bytes are to be, by their hash, until they were seen to
        for place in {*self.sizes, *(stored.rpartition("-")[0] for stored in self.known.values())}:
            self.places[place.rpartition("/")[2]].add(place)
        self.names = defaultdict[str, list[str]](list)
        self.stamps: dict[str, int] = {}  # when folders changed last that are known to the last file
        for key in self.known:
            self._name(key)

    def _name(self, key: str) -> None:
        digest, _, name = key.rpartition("-")
        self.names[name].append(digest)

    def next_revision(self, name: str) -> int:
        """The revision that other bytes under a name would be, from 1."""
        return len(self.archived(name)) + 1

    def archived(self, name: str) -> list[str]:
        """Hashes of the bytes that came under a name."""
        return self.names.get(name_hash(name), [])

    def note(self, receipt: Receipt) -> None:
        """A file is archived now."""
        key = self.archive.bytes_key(receipt)
        self.known[receipt.key], self.sizes[key] = f"{key.rpartition('/')[0]}/{receipt.key}.json", receipt.bytes
        self._name(receipt.key)
        if receipt.revision > 1:
            message = "landing name=%s revision=%d: same name, other bytes; both are kept"
            log.warning(message, receipt.name, receipt.revision)

    def note_others(self, keys: Iterable[str]) -> None:
        """Receipts that other processes have written since."""
        for key in keys:
            if key not in self.known:
                self.known[key] = ""
                self._name(key)

    def look_again(self, folders: Iterable[str]) -> list[str]:
        """Receipts in folders of the archive, given as keys, that nothing has told of; from now on they are known.

        Whoever wrote them died before the journal had them. The caller holds the lease under which files are archived.
        """
        strays = list[str]()
        for folder in folders:
            if (stamp := self._stamp(folder)) is not None and self.stamps.get(folder) == stamp:
                continue
            for entry in self.lake.storage.entries(f"{folder}/"):
                self.sizes[entry.key] = entry.bytes
                receipt, dot, _ = entry.key.rpartition("/")[2].partition(".json")
                if dot and receipt not in self.known:
                    self.known[receipt] = entry.key
                    self._name(receipt)
                    strays.append(receipt)
            self.saw(folder)
        return strays

    def saw(self, folder: str) -> None:
        """All that is in a folder of the archive is known now."""
        if (stamp := self._stamp(folder)) is not None:
            self.stamps[folder] = stamp

    def _stamp(self, folder: str) -> int | None:
        """When names in a folder changed last; None if that is not known."""
        try:
            return (self.lake.root / folder).stat().st_mtime_ns if isinstance(self.lake.root, Path) else None
        except OSError:
            return None

    def has(self, sha256: str, name: str) -> bool:
        """True if bytes are archived under a name and are there, as far as the listing tells."""
        stored = self.known.get(receipt_key(sha256, name))
        return stored == "" or (stored is not None and stored.rpartition("-")[0] in self.sizes)

    def size(self, sha256: str, name: str) -> int | None:
        """Bytes of what is archived under a name; None if that is not known."""
        return self.sizes.get(self._place(sha256, name))

    def digest(self, sha256: str, name: str, algorithm: str) -> str | None:
        """Another digest of archived bytes; None if they cannot be read."""
        if algorithm == "sha256":
            return sha256
        try:
            with self.lake.storage.local(self._place(sha256, name)) as path, path.open("rb") as stream:
                return hashlib.file_digest(stream, algorithm).hexdigest()
        except (StorageError, OSError):
            return None

    def _place(self, sha256: str, name: str) -> str:
        return self.known.get(receipt_key(sha256, name), "").rpartition("-")[0]

    def is_sound(self, digest: str, size: int) -> bool:
        """True if bytes are as they were wherever the archive is to have them. They are looked at once."""
        sound = all(self._has(place, size) for place in tuple(self.places.get(digest, ())))
        if sound:
            self.places.pop(digest, None)
        return sound

    def mend(self, digest: str, path: Path, size: int, name: str | None = None) -> list[str]:
        """Archive bytes again wherever the archive has not got them as they were; what was done, in words.

        `name` is that of the file they came in, if it is not that of `path`.
        """
        done = (self._restore(place, path, size, name or path.name) for place in self.places.pop(digest, ()))
        return [line for line in done if line]

    def _has(self, place: str, size: int) -> bool:
        return self.sizes.get(place) == size and self._is_whole(place)

    def _restore(self, place: str, path: Path, size: int, name: str) -> str:
        if self._has(place, size):
            return ""
        where, away = self.lake.storage.uri(place), self.archive.restore(place, path)
        self.sizes[place] = size
        was = f"had changed; what was there is now {away}" if away else "was lost"
        log.info("landing name=%s restored in the archive", name)
        return f"{where}: {was}. Restored from {name}"

    def _is_whole(self, place: str) -> bool:
        """True if an object has the bytes of the hash in its name. Object storage looks after its bytes by itself."""
        if not isinstance(self.lake.root, Path):
            return True
        try:
            with self.lake.storage.local(place) as archived:
                return sha256_of(archived) == place.rpartition("/")[2]
        except StorageError:
            return False
