# SPDX-License-Identifier: Apache-2.0
"""Names at a recipient: which are possible, and under which a file is sent until it is whole."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from exports.delivery.transport import PathError
from lake.errors import DeliveryError

INCOMING = ".incoming"  # in the recipient's folder, so that a rename stays within its file system
PART = ".part"
STALE_SECONDS = 86400.0  # no file takes a day to send; what lies there longer is of a process that died
SMALL_BYTES = 256 << 20  # what is read whole: notes, manifests, a feed of a million changes
SLOWEST_BYTES_PER_SECOND = 1000  # a recipient that takes or gives less stands still, whatever it trickles


def checked(recipient: str, path: str) -> str:
    """The path, if it is one below a recipient's folder. Raises PathError for any other."""
    parts = path.split("/")
    if any(part in ("", ".", "..") or "\\" in part or not part.isprintable() for part in parts) or parts[0] == INCOMING:
        raise PathError(f"recipient {recipient}: {path!r} is no path below its folder. Correct the layout.")
    return path


def plain(names: Iterable[str]) -> list[str]:
    """Names of a listing that a file of ours could have, sorted; a server may say anything."""
    return sorted(
        name for name in names if name.isprintable() and not set(name) & {"/", "\\"} and name[:1] not in ("", ".")
    )


def new_sender() -> str:
    """A name of one open way, so that two lakes that send the same path do not write into each other's file."""
    return uuid.uuid4().hex[:16]


def sent_as(path: str, sender: str) -> str:
    """The name out of sight under which a file is sent.

    What a line that drops leaves is overwritten by the next try of the same sender, and what a crash leaves is removed
    by whoever opens the way a day later.
    """
    return f"{INCOMING}/{hashlib.sha256(path.encode()).hexdigest()[:16]}-{sender}{PART}"


def is_stale(name: str, modified: float) -> bool:
    """Whether something in `.incoming` was left behind by a process that died; `modified` in Unix seconds."""
    return name.endswith(PART) and time.time() - modified > STALE_SECONDS


class Patience:
    """How long one transfer is waited for: `seconds`, and more for what has come through."""

    def __init__(self, recipient: str, path: str, seconds: float) -> None:
        self.recipient, self.path, self.seconds = recipient, path, seconds
        self.started = time.monotonic()

    def after(self, done: int) -> None:
        """Raises DeliveryError if so many bytes are too few by now."""
        if time.monotonic() - self.started > self.seconds + done / SLOWEST_BYTES_PER_SECOND:
            raise DeliveryError(
                f"recipient {self.recipient}: {self.path}: only {done} bytes in {self.seconds:g} s. "
                "Look at the link, or give it more `seconds`."
            )


@contextmanager
def hung_up_after(seconds: float, hang_up: Callable[[], object]) -> Iterator[None]:
    """Ends the connection if the block takes longer, and raises TimeoutError then.

    A server that trickles its answer never stays silent for long, so that no limit on silence ends it.
    """
    late = threading.Event()

    def end() -> None:
        late.set()
        hang_up()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if late.is_set():
            raise TimeoutError(f"no answer in {seconds:g} s") from None
