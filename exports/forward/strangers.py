# SPDX-License-Identifier: Apache-2.0
"""Connections that have not said who they are yet: so many at most, and none of them for long.

They take no place of a client. Where there are too many, the oldest one of the address that has most is let go: who
says at once who it is gets in, however many others only hold a line.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

MOST, MOST_OF_ONE = 64, 16  # connections, and those of one address


class Strangers:
    """Who has not said who it is, by address, the oldest first."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[asyncio.Timeout, None]] = {}

    @asynccontextmanager
    async def one(self, address: str, seconds: float) -> AsyncIterator[None]:
        """A stranger for the block, which raises TimeoutError after so long, or when others take its place."""
        async with asyncio.timeout(seconds) as patience:
            mine = self._waiting.setdefault(address, {})
            mine[patience] = None
            self._make_room(len(mine))
            try:
                yield
            finally:
                self._leave(address, patience)

    def let_go(self) -> None:
        """Wait for none of them any longer."""
        for patience in [one for waiting in self._waiting.values() for one in waiting]:
            patience.reschedule(asyncio.get_running_loop().time())

    def _make_room(self, of_one: int) -> None:
        if of_one <= MOST_OF_ONE and sum(map(len, self._waiting.values())) <= MOST:
            return
        address, fullest = max(self._waiting.items(), key=lambda item: len(item[1]))
        oldest = next(iter(fullest))
        oldest.reschedule(asyncio.get_running_loop().time())
        self._leave(address, oldest)

    def _leave(self, address: str, patience: asyncio.Timeout) -> None:
        waiting = self._waiting.get(address, {})
        waiting.pop(patience, None)
        if not waiting:
            self._waiting.pop(address, None)
