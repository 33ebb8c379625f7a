# SPDX-License-Identifier: Apache-2.0
"""A bucket. An object appears whole when its last byte is there, so that no other name is needed.

The rights to put and to get objects are enough. Who may not list hears "denied" of an object that is not there, as of
one that it may not see: that counts as nothing before it is sent, where the bucket itself refuses a key that is taken,
and as a refusal of this path when it is read back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lake.download_s3 import ObjectError, download
from lake.errors import ConfigurationError, PathError, StorageError, WayError
from lake.files import sha256_of
from lake.storage_s3 import Bucket, open_foreign
from lake.ways.names import SMALL_BYTES, PassedOver, Patience, checked, is_path, passed_over, plain
from lake.ways.settings import S3Way
from lake.ways.transport import Found


def open_place(who: str, way: S3Way) -> BucketTransport:
    """The bucket. Nothing is asked of it yet."""
    return BucketTransport(who, open_foreign(way.address, way.seconds, way.profile, way.endpoint))


class BucketTransport:
    """A bucket of others."""

    def __init__(self, who: str, storage: Bucket) -> None:
        self.who, self.storage, self.refused = who, storage, PassedOver()

    def size(self, path: str) -> int | None:
        """Bytes of an object; None also if that may not be known."""
        with self._told():
            try:
                return self.storage.size(self._key(path))
            except ObjectError:
                return None

    def sha256(self, path: str) -> str | None:
        """sha256 of an object's bytes, fetched."""
        with self._told():
            if self.storage.size(self._key(path)) is None:
                return None
            with self.storage.local(path) as copy:
                return sha256_of(copy)

    def put(self, path: str, source: Path, replace: bool = False) -> bool:
        """Write an object; unless `replace` the bucket itself refuses if the key is taken."""
        with self._told(WayError):  # who may not put one object may put none
            if replace:
                self.storage.put(self._key(path), source)
            elif not self.storage.put_new(self._key(path), source):
                place = self.storage.uri(path)
                raise PathError(f"{self.who}: {place} is there already. Compare it, or remove it.")
        return False

    def read(self, path: str) -> bytes | None:
        """All bytes of a small object."""
        with self._told():
            size = self.size(path)
            if size is not None and size > SMALL_BYTES:
                place = self.storage.uri(path)
                raise PathError(f"{self.who}: {place} is too large to be read. Remove it there.")
            return None if size is None else self.storage.read(path)

    def fetch(self, path: str, target: Path, most: int | None = None) -> str:
        """Fetch one version of an object. Raises PathError if it does not fit the SHA-256 that the bucket keeps."""
        with self._told():
            after = Patience(self.who, path, self.storage.seconds).after
            try:
                return download(self.storage, self._key(path), target, after, most)
            except FileNotFoundError:
                raise PathError(f"{self.who}: {self.storage.uri(path)} is not there.") from None

    def found(self, path: str) -> Found | None:
        """An object as `entries` gives it; None if it is not there. Needs the right to list, as that does."""
        with self._told(WayError):
            first = next(self.storage.entries(self._key(path)), None)
            if first is None or first.key != path or not is_path(path):
                return None
            return Found(first.key, first.bytes, first.modified, first.tag)

    def entries(self, folder: str = "") -> Iterator[Found]:
        """Objects below a prefix; what only marks a folder is left out. `refused` has what else was passed over."""
        self.refused.clear()
        with self._told(WayError):
            for entry in self.storage.entries(f"{self._key(folder)}/" if folder else ""):
                if is_path(entry.key):
                    yield Found(entry.key, entry.bytes, entry.modified, entry.tag)
                else:
                    self.refused.note(entry.key, passed_over(entry.key))

    def names(self, folder: str) -> list[str]:
        """Names of the objects right below a prefix."""
        with self._told():
            prefix = f"{self._key(folder)}/" if folder else ""
            names = (entry.key.removeprefix(prefix) for entry in self.storage.entries(prefix))
            return plain(names)

    def remove(self, path: str) -> None:
        """Remove an object."""
        with self._told():
            self.storage.remove(self._key(path))

    def _key(self, path: str) -> str:
        return checked(self.who, path)

    @contextmanager
    def _told(self, kind: type[WayError] = PathError) -> Iterator[None]:
        """Turn errors of the storage into those of the way; of one object into `kind`."""
        try:
            yield
        except ObjectError as error:
            raise kind(f"{self.who}: {error}") from None
        except (StorageError, ConfigurationError) as error:
            raise WayError(f"{self.who}: {error}") from None
