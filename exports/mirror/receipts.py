# SPDX-License-Identifier: Apache-2.0
"""Receipts of a mirror: one JSON file for each file that it has, in the form that our delivery reads.

They lie in `receipts/` of the folder, and go into `receipts/` of the source where it lets us write. A receipt has the
same name whenever it is about the same bytes, so that one that was sent before a crash is not sent twice.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from exports.mirror.placing import INCOMING, make_folder
from exports.mirror.settings import RECEIPTS
from exports.mirror.state import FILE_MODE, HIDDEN, State, text
from lake.errors import PathError, StorageError, WayError
from lake.files import sync, sync_all, writing
from lake.ways.transport import Found, Transport

BEAT_SECONDS = 5.0
LONGEST_NAME = 80  # characters of a file's name in that of its receipt; the hash tells receipts apart


@dataclass(frozen=True)
class Said:
    """What a receipt says: a file was accepted, or rejected for a reason."""

    found: Found
    sha256: str
    reason: str = ""

    @property
    def status(self) -> str:
        """In the delivery's words."""
        return "rejected" if self.reason else "accepted"

    @property
    def name(self) -> str:
        """The name of the receipt."""
        about = "\n".join((self.found.path, self.sha256, self.status, f"{self.found.modified}"))
        stem = re.sub(r"[^\w.-]", "_", self.found.path.rpartition("/")[2], flags=re.ASCII)[:LONGEST_NAME]
        return f"{stem}-{hashlib.sha256(about.encode()).hexdigest()[:16]}.json"

    def text(self, now: datetime) -> bytes:
        """The receipt as it is written."""
        content = {
            "path": self.found.path,
            "sha256": self.sha256,
            "status": self.status,
            "reason": self.reason,
            "bytes": self.found.bytes,
            "received_at": text(now),
        }
        return json.dumps(content, indent=1).encode() + b"\n"


def write_receipts(folder: Path, disk: int | None, said: Sequence[Said], now: datetime) -> list[str]:
    """Write those receipts that are not there; the names of all. `disk` is as in `place_all`.

    When it returns they would survive a power loss; each is there whole or not at all.
    """
    new = {one.name: one for one in said if not (folder / RECEIPTS / one.name).exists()}
    parts = {folder / HIDDEN / INCOMING / f"{uuid.uuid4().hex}.part": one for one in new.values()}
    with writing(folder / RECEIPTS):
        for part, one in parts.items():
            part.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(one.text(now))
            part.chmod(FILE_MODE)
        sync_all(list(parts), disk)
        if parts:
            make_folder(folder / RECEIPTS)
            for part, one in parts.items():
                part.replace(folder / RECEIPTS / one.name)
            sync(folder / RECEIPTS)
    return [one.name for one in said]


def send_receipts(folder: Path, ways: Sequence[Transport], state: State, beat: Callable[[], object]) -> str | None:
    """Put receipts that wait where the center reads them, by several ways at once; what keeps one from getting there.

    The threads end with the process; what is sent and not noted is found there the next time.
    """
    sending = _Sending(folder, state.receipts)
    threads = [threading.Thread(target=sending.work, args=(way,), daemon=True) for way in ways[: len(state.receipts)]]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(BEAT_SECONDS)
            beat()
    state.receipts = [name for name in state.receipts if name not in sending.sent]
    for error in sending.failed:
        if not isinstance(error, WayError | StorageError):
            raise error
    return str(sending.failed[0]) if sending.failed else None


class _Sending:
    """Receipts that threads send: those that are left, those that are there, and what went wrong."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder, self.left = folder, deque(names)
        self.sent, self.failed = set[str](), list[Exception]()

    def work(self, way: Transport) -> None:
        """Send until nothing is left, or something has failed."""
        while self.left and not self.failed:
            with suppress(IndexError):  # another thread took the last one
                name = self.left.popleft()
                self._send(way, name)

    def _send(self, way: Transport, name: str) -> None:
        try:
            _send(self.folder, way, name)
            self.sent.add(name)
        except Exception as error:  # noqa: BLE001  the main thread raises what is no refusal
            self.failed.append(error)


def _send(folder: Path, transport: Transport, name: str) -> None:
    source = folder / RECEIPTS / name
    if source.is_file():  # else somebody removed it here, and there is nothing to be said any more
        _put(transport, f"{RECEIPTS}/{name}", source)


def _put(transport: Transport, path: str, source: Path) -> None:
    """Put a receipt, unless it is there: the process may have died before it noted that."""
    try:
        transport.put(path, source)
    except PathError:
        if transport.size(path) != source.stat().st_size:
            raise
