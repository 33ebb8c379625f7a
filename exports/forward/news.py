# SPDX-License-Identifier: Apache-2.0
"""Whether something has arrived: one looks for all who wait."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from exports.forward.threads import Threads
from lake.errors import SwxlakeError
from lake.packet_log import BEGINNING, Cursor, PacketLog

AGAIN_SECONDS = 1.0  # after an error of the archive
log = logging.getLogger(__name__)


class News:
    """The end of the log as it was seen last. `anybody` says whether there is somebody to be told."""

    def __init__(self, packets: PacketLog, threads: Threads, every_seconds: float, anybody: Callable[[], bool]) -> None:
        self.log, self.threads, self.every_seconds, self.anybody = packets, threads, every_seconds, anybody
        self.end, self._arrived = BEGINNING, asyncio.Condition()

    async def behind(self, position: Cursor, seconds: float) -> bool:
        """Wait until there is something behind a position, for so long at most; whether there is."""
        try:
            # Not wait_for, which in Python 3.11 takes no notice of a cancellation that comes with what it waits for.
            async with asyncio.timeout(seconds), self._arrived:
                await self._arrived.wait_for(lambda: self.end > position)
        except TimeoutError:
            return False
        return True

    async def look(self) -> None:
        """Look again and again; it never ends."""
        while True:
            await asyncio.sleep(self.every_seconds)
            if not self.anybody():
                continue
            try:
                end = await self.threads.look(self.log.end)
            except SwxlakeError as error:  # it may pass; who reads on is told if it does not
                log.warning("forward: the archive cannot be looked at: %s", error)
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            if end > self.end:
                async with self._arrived:
                    self.end = end
                    self._arrived.notify_all()
