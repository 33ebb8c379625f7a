# SPDX-License-Identifier: Apache-2.0
"""Leases: one process at a time does a kind of work. They save work; that commits are right never rests on them."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lake.clock import utc_now
from lake.errors import StorageError
from lake.files import writing

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2


def signature() -> bytes:
    """Who holds a lease, in JSON: host, process, since when, and a word that nobody else has."""
    holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": f"{utc_now():%Y-%m-%dT%H:%M:%SZ}"}
    return json.dumps(holder | {"token": secrets.token_hex(8)}).encode()


def holder_of(text: bytes) -> str:
    """The holder of a lease in words."""
    try:
        holder = json.loads(text)
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process"


def wait_for_lease(
    place: str, wait_seconds: float, attempt: Callable[[], str | None], poll: float = POLL_SECONDS
) -> None:
    """Repeat an attempt until it succeeds (None); what it returns else is who is in the way. Raises StorageError."""
    started, told = time.monotonic(), ""
    while (holder := attempt()) is not None:
        if time.monotonic() - started >= wait_seconds:
            raise StorageError(f"{place}: {holder} is at work. Repeat when it has finished, or end it.")
        if holder != told:
            log.warning("waiting for %s, which holds %s", holder, place)
            told = holder
        time.sleep(poll)


@contextmanager
def flocked(path: Path, wait_seconds: float) -> Iterator[None]:
    """Hold a lock of the operating system on a file within the block; it ends with the process."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        wait_for_lease(str(path), wait_seconds, lambda: _try_flock(handle))
        with suppress(OSError):  # a full disk: nobody reads who it is, that is all
            os.truncate(handle, 0)
            os.pwrite(handle, signature(), 0)
        yield
    finally:
        os.close(handle)


def _try_flock(handle: int) -> str | None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return holder_of(os.pread(handle, 1000, 0))
    return None
