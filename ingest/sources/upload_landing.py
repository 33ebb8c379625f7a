# SPDX-License-Identifier: Apache-2.0
"""Landing uploads in groups: what comes while one group lands is the next one, and the disk is waited for once."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from ingest.sources.nouns import Arrived, Lands, Taken
from ingest.sources.upload_bodies import RETRY_SECONDS, stopping
from ingest.sources.upload_requests import Refusal
from lake.errors import StorageError, TableError
from lake.names import shown

log = logging.getLogger(__name__)

Result = TypeVar("Result")

PATIENCE_SECONDS = 120.0  # a sender waits for its answer; another process that lands may go on for an hour
STOP_SECONDS = 0.5  # for what is being landed when the server is told to stop


@dataclass(frozen=True, eq=False)
class Waiting:
    """A whole file that waits. `check` raises Refusal if it is not to be landed after all."""

    arrived: Arrived
    check: Callable[[], None]
    answer: asyncio.Future[Taken]


class Landing:
    """One group at a time. `late` is called when something has landed whose sender waits no more."""

    def __init__(self, lands: Lands, late: Callable[[], object] = lambda: None) -> None:
        self.lands, self.late = lands, late
        self.waiting, self.open = list[Waiting](), set[Waiting]()
        self.work: asyncio.Task[None] | None = None
        self.closed = False

    async def land(self, arrived: Arrived, check: Callable[[], None]) -> Taken:
        """What came of a file. Raises what `check` and `Lands.take` raise, and Refusal if that takes too long.

        All that wait when a group has landed are the next one, so that most find theirs done with others.
        """
        if self.closed:
            raise stopping()
        mine = Waiting(arrived, check, asyncio.get_running_loop().create_future())
        self.waiting.append(mine)
        self.open.add(mine)
        if self.work is None or self.work.done():
            self._begin()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await mine.answer
        except TimeoutError:
            raise Refusal(503, "BUSY", "another process is landing. Repeat later", RETRY_SECONDS) from None
        finally:
            self.open.discard(mine)

    def close(self) -> None:
        """In a moment nobody waits any more; what is at work then may still land."""
        asyncio.get_running_loop().call_later(STOP_SECONDS, self._give_up)

    def _give_up(self) -> None:
        self.closed = True
        for one in self.open:
            if not one.answer.done():
                one.answer.set_exception(stopping())

    def _begin(self) -> None:
        self.work = asyncio.create_task(self._work())
        self.work.add_done_callback(self._ended)

    def _ended(self, work: asyncio.Task[None]) -> None:
        """Go on with those who still wait after a mistake of ours."""
        if not work.cancelled() and (error := work.exception()) is not None:
            log.error("upload: landing has failed", exc_info=error)
            if self.work is work:
                self._begin()

    async def _work(self) -> None:
        """Land as long as anybody waits."""
        while group := self._next_group():
            await self._land_group(group)

    def _next_group(self) -> list[Waiting]:
        """All that wait, but of each name only the first: whether a name is free shows when that has landed."""
        group, later = dict[str, Waiting](), list[Waiting]()
        for one in self.waiting:
            if one.answer.done():  # its sender has gone
                continue
            if group.setdefault(one.arrived.name, one) is not one:
                later.append(one)
        self.waiting = later
        return list(group.values())

    async def _land_group(self, group: list[Waiting]) -> None:
        try:
            results = await _in_thread(lambda: self._taken(group))
            for one, result in zip(group, results, strict=True):
                self._answer(one, result)
        finally:  # nobody waits for what will not come
            for one in group:
                one.answer.cancel()

    def _answer(self, one: Waiting, result: Taken | Exception) -> None:
        if not one.answer.done():
            if isinstance(result, Taken):
                one.answer.set_result(result)
            else:
                one.answer.set_exception(result)
        elif isinstance(result, Taken) and result.state == "landed":
            log.info("upload name=%s landed after its sender had gone", shown(one.arrived.name))
            self.late()

    def _taken(self, group: list[Waiting]) -> list[Taken | Exception]:
        """What came of each file of a group."""
        refused = {one.arrived.name: refusal for one in group if (refusal := _refusal(one)) is not None}
        files = [one.arrived for one in group if one.arrived.name not in refused]
        try:
            taken = {one.arrived.name: one for one in self.lands.take(files)} if files else {}
        except (StorageError, TableError) as error:
            return [refused.get(one.arrived.name, error) for one in group]
        return [refused.get(one.arrived.name) or taken[one.arrived.name] for one in group]


def _refusal(one: Waiting) -> Refusal | None:
    try:
        one.check()
    except Refusal as refusal:
        return refusal
    return None


def _in_thread(call: Callable[[], Result]) -> asyncio.Future[Result]:
    """What a call gives, made in a thread that nobody has to wait for: at the end of the process it is cut off."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Result] = loop.create_future()

    def tell(result: Result | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = call()
        except BaseException as caught:  # noqa: BLE001  it is raised where the answer is awaited
            error = caught
        with suppress(RuntimeError):  # the loop has ended, and nobody asks
            loop.call_soon_threadsafe(tell, result, error)

    threading.Thread(target=run, name="upload landing", daemon=True).start()
    return answer
