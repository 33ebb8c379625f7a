# SPDX-License-Identifier: Apache-2.0
"""What one client is to get next, read from the log at its own pace: some packets at a time, made into frames.

It is asked from any thread, by one at a time, and holds no more than one batch and one piece of a file.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import NamedTuple, cast

from exports.forward.wire import packet_frame
from lake.packet_log import Cursor, LoggedPacket, PacketLog, UnreadableFileError, Wanted

BATCH_PACKETS = 256  # some milliseconds of work, so that others have their turn
HOLD_SECONDS, LOOK_SECONDS = 0.005, 0.5  # packets wait no longer for others to go with them; nor do we look on for any


class Item(NamedTuple):
    """A packet, ready to be sent. `size` is that of the packet alone."""

    cursor: Cursor
    epoch_tt2000: int | None
    frame: bytes
    size: int


@dataclass
class Batch:
    """What comes next. `position` is behind all that was looked at, also what is not asked for.

    ended : the log has no more for now. unreadable : why a file was passed over, which is told.
    """

    position: Cursor
    items: list[Item] = field(default_factory=list)
    ended: bool = False
    unreadable: str = ""


class Feed:
    """The log behind a position, for one client."""

    def __init__(self, log: PacketLog, wanted: Wanted, position: Cursor, batch_bytes: int) -> None:
        self.log, self.wanted, self.position, self.batch_bytes = log, wanted, position, batch_bytes
        self._lock = Lock()
        self._end = position
        self._packets: Iterator[LoggedPacket | Cursor] | None = None

    def take(self) -> Batch:
        """The next packets. Raises StorageError if the log itself cannot be read."""
        with self._lock:
            if self._packets is None:
                self._end = self.log.end()
                self._packets = self.log.walk(self.position, self.wanted)
            batch = Batch(self.position)
            try:
                self._fill(batch, self._packets)
            except UnreadableFileError as error:
                batch.position, batch.unreadable = error.behind, str(error)
                self._packets = None
            self.position = batch.position
            return batch

    def _fill(self, batch: Batch, packets: Iterator[LoggedPacket | Cursor]) -> None:
        size, since = 0, time.monotonic()
        for one in packets:
            if isinstance(one, Cursor):
                batch.position = one
                if time.monotonic() - since > (HOLD_SECONDS if batch.items else LOOK_SECONDS):
                    return
                continue
            batch.items.append(Item(one.cursor, one.epoch_tt2000, packet_frame(one), len(one.data)))
            batch.position = one.cursor
            size += len(one.data)
            if len(batch.items) >= BATCH_PACKETS or size >= self.batch_bytes:
                return
        batch.ended, batch.position = True, max(batch.position, self._end)
        self._packets = None

    def close(self) -> None:
        """Let go of the file that is being read."""
        with self._lock:
            if self._packets is not None:
                cast("Generator[LoggedPacket | Cursor]", self._packets).close()
            self._packets = None
