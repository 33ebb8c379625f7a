# SPDX-License-Identifier: Apache-2.0
"""Leases in object storage: an object that is written under conditions, renewed while its holder lives.

A lease whose object stands still for its length, by the waiting process' own steady clock, is taken over: no two clocks
are compared, and a clock that jumps does no harm.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING

from lake.errors import ConfigurationError, StorageError
from lake.lease import holder_of, signature, wait_for_lease

if TYPE_CHECKING:
    from lake.storage_s3 import Bucket

log = logging.getLogger(__name__)

FREE = b'{"free": true}'
RENEWALS = 4  # within the length of a lease; a call that takes longer than one of them is given up


class Lease:
    """One process' attempt at a lease, and its hold on it."""

    def __init__(self, bucket: Bucket, key: str, seconds: float) -> None:
        self.bucket, self.key, self.seconds = bucket, key, seconds
        self.hurried = bucket.hurried(seconds / RENEWALS)
        self.renewed = 0.0
        self.text, self.tag = signature(), ""
        self.seen: tuple[str, float] = ("", 0.0)
        self.beats, self.ended = 0, Event()

    def attempt(self) -> str | None:
        """Take the lease if it is free or stands still; else who holds it."""
        asked = time.monotonic()
        tag = self.bucket.put_if(self.key, self.text, IfNoneMatch="*")
        if tag is None:
            held, standing = self.bucket.fetch(self.key)
            if held != FREE and not self._stands_still(standing):
                return holder_of(held)
            tag = self.bucket.put_if(self.key, self.text, IfMatch=standing)
            if tag is None:
                return "another process"
        self.tag, self.renewed = tag, asked
        return None

    def _stands_still(self, tag: str) -> bool:
        now = time.monotonic()
        if tag != self.seen[0]:
            self.seen = (tag, now)
        return now - self.seen[1] > self.seconds

    def renew(self) -> None:
        """Write the lease again and again, so that others see it move; sooner after a call that failed."""
        usual = pause = self.seconds / RENEWALS
        while not self.ended.wait(pause):
            asked, pause = time.monotonic(), usual / RENEWALS
            self.beats += 1
            text = json.dumps(json.loads(self.text) | {"beat": self.beats}).encode()
            try:
                tag = self.hurried.put_if(self.key, text, IfMatch=self.tag) or self._still_ours()
            except (StorageError, ConfigurationError) as error:
                log.warning("the lease was not renewed: %s", error)
                continue
            if tag is None:
                self.renewed = -self.seconds
                log.warning("the lease %s was taken over by another process", self.bucket.uri(self.key))
                return
            self.tag, self.renewed, pause = tag, asked, usual

    def confirm(self) -> None:
        """Raises StorageError if another process may have taken the lease over."""
        if time.monotonic() - self.renewed > self.seconds:
            where = self.bucket.uri(self.key)
            raise StorageError(f"{where}: another process may have taken over. Check the network, then repeat.")

    def _still_ours(self) -> str | None:
        """The tag of the lease if we hold it: a renewal that said it failed may have been written."""
        held, tag = self.hurried.fetch(self.key)
        return tag if json.loads(held).get("token") == json.loads(self.text)["token"] else None

    def release(self) -> None:
        """Give the lease back, if it is still ours; said if it is not, or cannot be given back."""
        try:
            if self.bucket.put_if(self.key, FREE, IfMatch=self.tag) is not None:
                return
            tag = self._still_ours()
            if tag is not None and self.bucket.put_if(self.key, FREE, IfMatch=tag) is not None:
                return
            log.warning("the lease %s was not given back: another process has it", self.bucket.uri(self.key))
        except (StorageError, ConfigurationError) as error:
            log.warning("the lease was not given back, others wait until it ends: %s", error)


@contextmanager
def leased(bucket: Bucket, key: str, wait_seconds: float, lease_seconds: float) -> Iterator[None]:
    """Hold a lease within the block. Raises StorageError if another process keeps it for `wait_seconds`."""
    lease = Lease(bucket, key, lease_seconds)
    wait_for_lease(bucket.uri(key), wait_seconds, lease.attempt, poll=min(1.0, lease_seconds / 10))
    renewal = Thread(target=lease.renew, name=f"lease {key}", daemon=True)
    renewal.start()
    bucket.leases.append(lease)
    try:
        yield
    finally:
        bucket.leases.remove(lease)
        lease.ended.set()
        renewal.join()
        lease.release()
