# SPDX-License-Identifier: Apache-2.0
"""Names at places of others: which are possible, and under which a file is sent until it is whole."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from lake.errors import PathError, WayError

INCOMING = ".incoming"  # in the folder of the place, so that a rename stays within its file system
PART = ".part"
STALE_SECONDS = 86400.0  # no file takes a day to send; what lies there longer is of a process that died
MOST_PASSED_OVER = 1000  # paths of a listing; whoever has mended these sees the others
SMALL_BYTES = 256 << 20  # what is read whole: notes, manifests, a feed of a million changes
LOW_SURROGATES = ("\udc80", "\udcff")  # how bytes that are not UTF-8 are kept in a name (PEP 383)
SLOWEST_BYTES_PER_SECOND = 1000  # a place that takes or gives less stands still, whatever it trickles


def checked(who: str, path: str) -> str:
    """The path, if it is one below the folder of the place. Raises PathError for any other."""
    parts = path.split("/")
    if any(part in ("", ".", "..") or "\\" in part or not part.isprintable() for part in parts) or parts[0] == INCOMING:
        raise PathError(f"{who}: {path!r} is no path below its folder. Correct the layout.")
    return path


def plain(names: Iterable[str]) -> list[str]:
    """Names of a listing that a file of ours could have, sorted; a server may say anything."""
    return sorted(
        name for name in names if name.isprintable() and not set(name) & {"/", "\\"} and name[:1] not in ("", ".")
    )


def check_size(who: str, place: object, size: int, most: int | None) -> None:
    """Raises PathError if a file holds more than is to be taken of it."""
    if most is not None and size > most:
        what = f"holds {size} bytes, of which {most} are to be taken, as it has changed since it was listed"
        raise PathError(f"{who}: {place}: {what}. Repeat when its writer has finished.")


def is_path(path: str) -> bool:
    """Whether a path of a listing is one that we take notice of: printable, and nothing in it begins with a dot."""
    parts = path.split("/")
    return path.isprintable() and "\\" not in path and all(part and part[0] != "." for part in parts)


def passed_over(path: str) -> str:
    """Why a path of a listing is none that we take; "" for one that we do take, hidden files, and marks of folders."""
    parts = path.split("/")
    if any(LOW_SURROGATES[0] <= sign <= LOW_SURROGATES[1] for sign in path):
        return "has a name that is not UTF-8; rename it"
    if not path.isprintable() or "\\" in path:
        return "has control characters or a backslash in its name; rename it"
    if {".", ".."} & set(parts) or "" in parts[:-1]:
        return "has a path of which a part is empty, . or ..; rename it"
    return ""


class PassedOver(dict[str, str]):
    """What a listing passed over and why, by path; so many of them that a place cannot fill our memory with names.

    folders : those among them that could not be listed, so that nothing is known of what is below.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folders: set[str] = set()

    def note(self, path: str, why: str, is_folder: bool = False) -> None:
        """Keep one more, if there is something to be said."""
        if why and len(self) < MOST_PASSED_OVER:
            shown = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
            self[shown] = why
            if is_folder:
                self.folders.add(shown)

    def hides(self, path: str) -> bool:
        """Whether a file may be there, and is not known to be since its folder could not be listed."""
        return any(path.startswith(f"{folder}/") for folder in self.folders)

    def clear(self) -> None:
        """Forget all, before the next listing."""
        super().clear()
        self.folders.clear()


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

    def __init__(self, who: str, path: str, seconds: float) -> None:
        self.who, self.path, self.seconds = who, path, seconds
        self.started = time.monotonic()

    def after(self, done: int) -> None:
        """Raises WayError if so many bytes are too few by now."""
        if time.monotonic() - self.started > self.seconds + done / SLOWEST_BYTES_PER_SECOND:
            raise WayError(
                f"{self.who}: {self.path}: only {done} bytes in {self.seconds:g} s. "
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
