# SPDX-License-Identifier: Apache-2.0
"""How one connection stands: what was sent, what was confirmed of it, and what waits to be confirmed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from exports.forward.nouns import REPLAY
from exports.forward.wire import WireError
from lake.packet_log import Cursor

WINDOW = 10_000  # packets that may wait to be confirmed; a client that loses its line gets as many twice at most


@dataclass
class Standing:
    """The account of one connection. What is sent without confirmation being asked for counts as confirmed.

    replay : what is confirmed moves no cursor.
    """

    client: str
    confirms: bool
    began: Cursor
    started_at: datetime
    replay: bool = False
    sent: Cursor = field(init=False)
    confirmed: Cursor = field(init=False)
    packets: int = 0
    bytes: int = 0
    packets_sent: int = 0
    packets_told: int = 0
    state: str = "closed"
    detail: str = ""
    _waiting: deque[tuple[Cursor, int]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.sent = self.confirmed = self.began

    @property
    def room(self) -> int:
        """How many packets may be sent now."""
        return WINDOW - len(self._waiting)

    @property
    def waits(self) -> bool:
        """Whether something that was sent is not confirmed."""
        return self.sent > self.confirmed

    def send(self, cursor: Cursor, size: int | None = None) -> None:
        """Note what is sent: a packet of this size, or a position alone."""
        self.sent = cursor
        if size is not None:
            self.packets_sent += 1
            self._waiting.append((cursor, size))
        if not self.confirms:
            self.confirm(cursor)

    def confirm(self, cursor: Cursor) -> None:
        """Note what a client has confirmed, all before it included. Raises WireError for what was not sent."""
        if cursor > self.sent:
            raise WireError(f"confirms {cursor}, and what was sent ends at {self.sent}")
        while self._waiting and self._waiting[0][0] <= cursor:
            _, size = self._waiting.popleft()
            self.packets, self.bytes = self.packets + 1, self.bytes + size
        self.confirmed = max(self.confirmed, cursor)

    def row(self, ended_at: datetime, run_id: str) -> dict[str, Any]:
        """The row of ops.forwards."""
        return {
            "client": self.client,
            "way": "tcp",
            "from_cursor": str(self.began),
            "to_cursor": str(self.confirmed),
            "packets": self.packets,
            "bytes": self.bytes,
            "started_at": self.started_at,
            "ended_at": ended_at,
            "state": self.state,
            "detail": f"{REPLAY if self.replay else ''} {self.detail}".strip(),
            "run_id": run_id,
        }
