# SPDX-License-Identifier: Apache-2.0
"""A bucket for copies: objects of a storage class of their own, which nobody can delete before their time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from lake.backup.settings import Place
from lake.clock import utc_now
from lake.storage_s3 import FIRST_ATTEMPTS, Bucket
from lake.ways.bucket import BucketTransport
from lake.ways.settings import S3Way


class KeepingBucket(Bucket):
    """A bucket that writes with a storage class and an object lock."""

    storage_class: str | None = None
    lock: tuple[str, timedelta] | None = None

    def written_with(self) -> dict[str, Any]:
        """Storage class and lock, in the words of S3; the lock counts from now."""
        facts: dict[str, Any] = {"StorageClass": self.storage_class} if self.storage_class else {}
        if self.lock is not None:
            mode, days = self.lock
            facts |= {"ObjectLockMode": mode.upper(), "ObjectLockRetainUntilDate": utc_now() + days}
        return facts


def open_keeping(who: str, place: Place, way: S3Way, storage_class: str | None) -> BucketTransport:
    """The bucket for what is kept in one storage class. Nothing is asked of it yet."""
    bucket = KeepingBucket(way.address, way.seconds, FIRST_ATTEMPTS, way.profile, way.endpoint)
    bucket.storage_class = storage_class
    if place.object_lock_days is not None:
        bucket.lock = (place.object_lock_mode, timedelta(days=place.object_lock_days))
    return BucketTransport(who, bucket)
