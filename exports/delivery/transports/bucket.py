# SPDX-License-Identifier: Apache-2.0
"""Delivery into a bucket. An object appears whole when its last byte is there, so that no other name is needed.

The rights to put and to get objects are enough. Who may not list hears "denied" of an object that is not there, as of
one that it may not see: that counts as nothing before it is sent, where the bucket itself refuses a key that is taken,
and as a refusal of this path when it is read back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exports.delivery.transport import PathError
from exports.delivery.transports.names import SMALL_BYTES, checked, plain
from exports.delivery.ways import S3Way
from lake.errors import ConfigurationError, DeliveryError, StorageError
from lake.files import sha256_of
from lake.storage import Storage
from lake.storage_s3 import ObjectError, open_foreign


def open_recipient(recipient: str, way: S3Way) -> BucketTransport:
    """The bucket. Nothing is asked of it yet."""
    return BucketTransport(recipient, open_foreign(way.address, way.seconds, way.profile, way.endpoint))


class BucketTransport:
    """A recipient's bucket."""

    def __init__(self, recipient: str, storage: Storage) -> None:
        self.recipient, self.storage = recipient, storage

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
        with self._told(DeliveryError):  # who may not put one object may put none
            if replace:
                self.storage.put(self._key(path), source)
            elif not self.storage.put_new(self._key(path), source):
                place = self.storage.uri(path)
                raise PathError(f"recipient {self.recipient}: {place} is there already. Compare it, or remove it.")
        return False

    def read(self, path: str) -> bytes | None:
        """All bytes of a small object."""
        with self._told():
            size = self.size(path)
            if size is not None and size > SMALL_BYTES:
                place = self.storage.uri(path)
                raise PathError(f"recipient {self.recipient}: {place} is too large to be read. Remove it there.")
            return None if size is None else self.storage.read(path)

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
        return checked(self.recipient, path)

    @contextmanager
    def _told(self, kind: type[DeliveryError] = PathError) -> Iterator[None]:
        """Turn errors of the storage into those of delivery; of one object into `kind`."""
        try:
            yield
        except ObjectError as error:
            raise kind(f"recipient {self.recipient}: {error}") from None
        except (StorageError, ConfigurationError) as error:
            raise DeliveryError(f"recipient {self.recipient}: {error}") from None
