# SPDX-License-Identifier: Apache-2.0
"""Where each client has come to in the packet log: state/forward/<client>.json in the lake.

A cursor moves when the client has confirmed, so that what is lost on the way is sent again.
"""

from __future__ import annotations

from exports.forward.settings import Client
from lake.packet_log import BEGINNING, Cursor, PacketLog
from lake.presence import Presence
from lake.state import State
from lake.store import Lake

KIND = "forward"


class Cursors:
    """The cursors of all clients."""

    def __init__(self, lake: Lake) -> None:
        self.state, self.presence = State(lake, KIND), Presence(lake)

    def read(self, client: str) -> Cursor | None:
        """Where a client has come to; None if it never was here."""
        content = self.state.read(client)
        arrival, number = content.get("arrival"), content.get("number")
        if isinstance(arrival, int) and isinstance(number, int):
            return Cursor(arrival, number)
        return None

    def write(self, client: str, cursor: Cursor) -> None:
        """Note where a client has come to. Raises StorageError, also if the lake is gone."""
        self.presence.check()
        self.state.write(client, {"arrival": cursor.arrival, "number": cursor.number})

    def found(self, name: str, client: Client, log: PacketLog) -> Cursor:
        """Where a client has come to; one that never was here begins where its settings say, and that is noted."""
        cursor = self.read(name)
        if cursor is None:
            cursor = log.end() if client.start == "now" else BEGINNING
            self.write(name, cursor)
        return cursor
