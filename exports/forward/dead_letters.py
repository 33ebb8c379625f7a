# SPDX-License-Identifier: Apache-2.0
"""What a client has not taken in all its tries: journal/forward-dead, until it is sent again and taken.

An entry names the packets by their positions; they themselves stay where they are, in raw/.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

from lake.errors import StorageError
from lake.packet_log import Cursor, LoggedPacket, PacketLog, UnreadableFileError, Wanted
from lake.store import Journal, Lake

DEAD, REVIVED = "forward-dead", "forward-revived"


@dataclass(frozen=True)
class DeadLetter:
    """Packets behind `after`, up to `last`, that fit `wanted`; at least `packets` of them. `at` is when it died."""

    client: str
    after: Cursor
    last: Cursor
    packets: int
    wanted: Wanted
    reason: str
    at: str

    @property
    def key(self) -> str:
        """Its name in the journal; a client's name has no dot."""
        digits = self.at.replace("-", "").replace(":", "")
        return f"{self.client}.{self.after}.{self.last}.{digits}"

    def read(self, log: PacketLog) -> Iterator[LoggedPacket]:
        """Its packets. Raises UnreadableFileError if they cannot be read; what is behind them is no matter."""
        try:
            yield from takewhile(lambda packet: packet.cursor <= self.last, log.after(self.after, self.wanted))
        except UnreadableFileError as error:
            if error.beginning < self.last:
                raise


class DeadLetters:
    """The dead letters of a lake."""

    def __init__(self, lake: Lake) -> None:
        self.journal = Journal(lake)

    def add(self, letter: DeadLetter) -> None:
        """Put a letter aside. It is on disk when this returns."""
        wanted = letter.wanted
        content = {
            "client": letter.client,
            "after": list(letter.after),
            "last": list(letter.last),
            "packets": letter.packets,
            "missions": sorted(wanted.missions),
            "instruments": sorted(wanted.instruments),
            "apids": sorted(wanted.apids),
            "reason": letter.reason,
            "at": letter.at,
        }
        self.journal.write_once(DEAD, letter.key, content)

    def waiting(self, client: str | None = None) -> list[DeadLetter]:
        """Those that were not taken since, of one client or all, in the order of the log."""
        prefix = "" if client is None else f"{client}."
        done = set(self.journal.keys(REVIVED, prefix))
        entries = self.journal.entries(DEAD, prefix) if self.count(client) else {}
        letters = [_letter(key, entry) for key, entry in entries.items() if key not in done]
        return sorted(letters, key=lambda letter: (letter.client, letter.after, letter.last))

    def count(self, client: str | None = None) -> int:
        """How many there are; nothing is opened for that."""
        prefix = "" if client is None else f"{client}."
        return len(set(self.journal.keys(DEAD, prefix)) - set(self.journal.keys(REVIVED, prefix)))

    def taken(self, letter: DeadLetter, now: datetime) -> None:
        """Note that one was sent again and taken."""
        self.journal.write_once(REVIVED, letter.key, {"at": f"{now:%Y-%m-%dT%H:%M:%SZ}", "packets": letter.packets})


def _letter(key: str, entry: dict[str, Any]) -> DeadLetter:
    try:
        missions, instruments, apids = (frozenset(entry[name]) for name in ("missions", "instruments", "apids"))
        wanted = Wanted(missions, instruments, apids)
        after, last = Cursor(*entry["after"]), Cursor(*entry["last"])
        return DeadLetter(entry["client"], after, last, entry["packets"], wanted, entry["reason"], entry["at"])
    except (KeyError, TypeError) as error:
        raise StorageError(f"journal/{DEAD}/{key}.json: lacks something ({error}). Restore it from a backup.") from None
