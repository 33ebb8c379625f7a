# SPDX-License-Identifier: Apache-2.0
"""Asking the lake for clients that may go away: a few questions at a time, some that wait, the rest is sent away."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request

from lake.answers import ASKER, Asker

AT_ONCE = 4  # questions: DuckDB has two threads for all of them
WAITING = 28  # a page asks for one series per channel at once
RETRY_SECONDS = 1
LOOK_SECONDS = 0.1  # how often a client that may have gone is looked for

Answer = TypeVar("Answer")


class Desk:
    """Where questions are asked. A client that goes away ends its question."""

    def __init__(self, at_once: int = AT_ONCE, waiting: int = WAITING) -> None:
        self.room = at_once + waiting
        self.inside = 0
        self._threads = ThreadPoolExecutor(at_once, "question")

    async def ask(self, request: Request, question: Callable[[], Answer]) -> Answer:
        """The answer to a question, which is asked in a thread. Raises HTTPException 503 if too many are waiting."""
        if self.inside >= self.room:
            retry = {"Retry-After": str(RETRY_SECONDS)}
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "Too many questions at a time. Ask again soon.", retry)
        self.inside += 1
        try:
            return await self._asked(request, question)
        finally:
            self.inside -= 1

    async def _asked(self, request: Request, question: Callable[[], Answer]) -> Answer:
        asker = Asker()
        context = contextvars.copy_context()
        context.run(ASKER.set, asker)
        asked = asyncio.get_running_loop().run_in_executor(self._threads, context.run, question)
        try:
            while not (await asyncio.wait({asked}, timeout=LOOK_SECONDS))[0]:
                if await request.is_disconnected():
                    asker.abandon()
        except asyncio.CancelledError:
            asker.abandon()
            raise
        return asked.result()
