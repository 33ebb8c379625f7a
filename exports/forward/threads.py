# SPDX-License-Identifier: Apache-2.0
"""Threads of the packet server, in three sorts, so that who writes holds up nobody who reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

READERS = 32  # threads that read the log; who finds none free waits for some milliseconds of work
KEEPERS = 4  # threads that write cursors and books, which waits for a disk: nobody who reads is held up by that
Result = TypeVar("Result")


class Threads:
    """What takes a while is done in these, for whoever awaits it in the event loop."""

    def __init__(self) -> None:
        self._readers = ThreadPoolExecutor(READERS, "forward-read")
        self._keepers = ThreadPoolExecutor(KEEPERS, "forward-keep")
        self._looker = ThreadPoolExecutor(1, "forward-look")

    async def work(self, call: Callable[[], Result]) -> Result:
        """Read something."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, call)

    async def keep(self, call: Callable[[], Result]) -> Result:
        """Write something."""
        return await asyncio.get_running_loop().run_in_executor(self._keepers, call)

    async def look(self, call: Callable[[], Result]) -> Result:
        """Look whether something has arrived: one thread does nothing else."""
        return await asyncio.get_running_loop().run_in_executor(self._looker, call)

    def later(self, call: Callable[[], object]) -> None:
        """Do something that nobody waits for."""
        self._readers.submit(call)

    def close(self) -> None:
        """Begin nothing more."""
        for pool in (self._readers, self._keepers, self._looker):
            pool.shutdown(wait=False, cancel_futures=True)
