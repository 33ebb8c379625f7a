# SPDX-License-Identifier: Apache-2.0
"""The books of the packet server: rows of ops.forwards, one for each connection that ended, and its metrics."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from exports.forward.cursors import Cursors
from exports.forward.metrics import Metrics
from exports.forward.settings import Client
from exports.forward.settings import wanted as wanted_by
from exports.forward.standing import Standing
from exports.forward.threads import Threads
from lake.errors import SwxlakeError
from lake.ledger import new_run_id
from lake.packet_log import PacketLog
from lake.presence import Presence
from lake.store import Lake
from lake.tables import append_ops

BOOKS_SECONDS = 10.0  # between two looks at how all stand
MOST_ROWS = 10_000  # of ops.forwards that wait to be written
log = logging.getLogger(__name__)


class Books:
    """What is said of connections. All of it is called in the event loop; what takes a while is done in threads."""

    def __init__(
        self, lake: Lake, packets: PacketLog, metrics: Metrics, threads: Threads, now: Callable[[], datetime]
    ) -> None:
        self.lake, self.log, self.metrics, self.threads, self.now = lake, packets, metrics, threads, now
        self.connections = self.packets = 0
        self.presence = Presence(lake)
        self._run_id, self._rows = new_run_id(now()), deque[dict[str, Any]](maxlen=MOST_ROWS)

    async def keep(self, clients: Mapping[str, Client], standings: Callable[[], Collection[Standing]]) -> None:
        """Say that we live, how far each client is behind, and which connections have ended; it never ends.

        Raises StorageError if the lake is gone.
        """
        while True:
            self.presence.check()
            try:
                await self.measure(clients, standings())
            except SwxlakeError as error:
                log.warning("forward: how clients stand cannot be told: %s", error)
            await asyncio.sleep(BOOKS_SECONDS)
            await self.write()

    async def measure(self, clients: Mapping[str, Client], standings: Collection[Standing]) -> None:
        """Look once how all stand. Raises SwxlakeError if the lake or the folder of health cannot be used."""
        self.metrics.connected(standings)
        await self.threads.keep(lambda: self._lags(clients, f"{len(standings)} connected"))

    def _lags(self, clients: Mapping[str, Client], state: str) -> None:
        now, cursors = self.now(), Cursors(self.lake)
        for name, client in clients.items():
            cursor = cursors.read(name)
            if cursor is not None:
                self.metrics.lag(name, self.log.lag(cursor, wanted_by(client), now))
        self.metrics.health.beat(state, now)

    def ended(self, standing: Standing) -> None:
        """Note a connection that has ended."""
        self._rows.append(standing.row(self.now(), self._run_id))
        self.metrics.sent(standing)
        self.connections, self.packets = self.connections + 1, self.packets + standing.packets

    async def write(self) -> None:
        """Write the rows that wait; they go on waiting if that fails."""
        rows = [self._rows.popleft() for _ in range(len(self._rows))]
        if not rows:
            return
        try:
            self.presence.check()
            await self.threads.keep(lambda: append_ops(self.lake, "forwards", rows))
        except SwxlakeError as error:
            log.warning("forward: %d ended connections are not in ops.forwards yet: %s", len(rows), error)
            self._rows.extendleft(reversed(rows))
