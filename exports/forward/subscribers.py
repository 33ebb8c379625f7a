# SPDX-License-Identifier: Apache-2.0
"""One subscriber that is connected: what it is sent, at its own pace, and what it confirms.

Whatever it does, it costs its own batch, its own buffer and its own turn in a thread: nobody waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from exports.forward.cursors import Cursors
from exports.forward.feed import Batch, Feed, Item
from exports.forward.news import News
from exports.forward.pacing import Pace
from exports.forward.settings import Serve
from exports.forward.standing import Standing
from exports.forward.threads import Threads
from exports.forward.wire import Hello, WireError, frame, parse_cursor, read_line
from lake.errors import SwxlakeError
from lake.packet_log import Cursor

NOTE_SECONDS = 1.0  # between two notes of a cursor: each is a file that is synced, or an object
FAREWELL_SECONDS = 5.0  # for the last words to a client
LAST_SECONDS = 2.0  # without a confirmation at the end of a range, of which only the books know
TOGETHER_BYTES = 65_536  # frames that are handed to the line at once
log = logging.getLogger(__name__)


class Closed(Exception):  # noqa: N818  it is what happened, and mostly nothing is wrong
    """The connection is to end; `state` and the text are those of ops.forwards, `again` whether to connect again."""

    def __init__(self, state: str, detail: str, again: bool = True) -> None:
        super().__init__(detail)
        self.state, self.again = state, again


@dataclass(frozen=True)
class Around:
    """What a subscriber has of the server around it."""

    limits: Serve
    cursors: Cursors
    threads: Threads
    news: News


class Subscriber:
    """A connection after its greeting."""

    def __init__(
        self,
        around: Around,
        hello: Hello,
        feed: Feed,
        line: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        standing: Standing,
    ) -> None:
        self.around, self.hello, self.feed, self.standing = around, hello, feed, standing
        self.reader, self.writer = line
        self.pace = Pace(hello.pace)
        self.moved = asyncio.Event()  # something was confirmed
        self.ending = asyncio.Event()
        self.ended = asyncio.Event()
        self.reason: Closed | None = None
        self.all_sent = False
        self.noted = standing.began
        self.heard = self.spoke = asyncio.get_running_loop().time()
        self._writing = Lock()
        self._out: list[bytes] = []
        self._waiting_bytes = 0

    def end(self, state: str, detail: str, again: bool) -> None:
        """Let it end soon, with these words."""
        self.reason = self.reason or Closed(state, detail, again)
        self.ending.set()

    async def run(self) -> None:
        """Send and listen until either side has had enough; the standing says what came of it."""
        tasks = [asyncio.ensure_future(part()) for part in (self._send, self._hear, self._watch, self._told_to_end)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await _stop(tasks)
            self._conclude(next(iter(done)).exception())
        finally:
            await _stop(tasks)
            try:
                await self.note()
            finally:
                self.ended.set()

    async def note(self) -> None:
        """Keep in the lake what was confirmed."""
        confirmed = self.standing.confirmed
        if self.hello.moves_cursor and confirmed != self.noted:
            await self.around.threads.keep(lambda: self._write(confirmed))

    def _write(self, confirmed: Cursor) -> None:
        """Write a cursor, unless a later one is written: threads may come to it in another order."""
        with self._writing:
            if confirmed > self.noted:
                self.around.cursors.write(self.hello.client, confirmed)
                self.noted = confirmed

    # ---- what is sent ----------------------------------------------------------------------------------------------
    async def _send(self) -> None:
        while True:
            batch = await self._take()
            for item in batch.items:
                await self._item(item)
            await self._flush()
            if batch.unreadable:
                await self._say("unreadable", batch.position, detail=batch.unreadable)
            if batch.ended:
                await self._wait(batch)

    async def _take(self) -> Batch:
        """What comes next; signs of life while it is looked for, which takes long where little is asked for of much."""
        taking = asyncio.ensure_future(self.around.threads.work(self.feed.take))
        try:
            while not taking.done():
                await asyncio.wait([taking], timeout=max(0.0, self._quiet_seconds()))
                if not taking.done():
                    await self._say("alive", self.standing.sent)
            batch = await taking
        finally:
            taking.cancel()
        if not batch.items and self._quiet_seconds() <= 0:
            await self._say("alive", batch.position)
        return batch

    async def _item(self, item: Item) -> None:
        """Send a packet when it is due and there is room for it."""
        while (delay := self.pace.delay(item.epoch_tt2000)) > 0:
            await self._flush()
            await asyncio.sleep(min(delay, self._quiet_seconds()))
            if self._quiet_seconds() <= 0:
                await self._say("alive", self.standing.sent)
        while self.standing.room <= 0:
            await self._flush()
            await self._until_moved()
        self.standing.send(item.cursor, item.size)
        self._out.append(item.frame)
        self._waiting_bytes += len(item.frame)
        if self._waiting_bytes >= TOGETHER_BYTES:
            await self._flush()

    async def _wait(self, batch: Batch) -> None:
        """At the end of the log: end, or wait for more and show signs of life."""
        if self.hello.stop is not None:
            self.all_sent = True
            await self._say("end", batch.position, reason="all that was asked for", again=False)
            self.writer.transport.set_write_buffer_limits(high=0)
            await self._drained()  # all of it is on its way
            await self._until_confirmed()
            raise Closed("done", "")
        if batch.position > self.standing.sent:  # what was looked at and not asked for need not be looked at again
            await self._say("alive", batch.position)
        while not await self.around.news.behind(batch.position, max(0.0, self._quiet_seconds())):
            await self._say("alive", self.standing.sent)

    async def _say(self, kind: str, cursor: Cursor, **more: str | bool) -> None:
        self.standing.send(cursor)
        self._out.append(frame({"kind": kind, "cursor": str(cursor), **more}))
        await self._flush()

    async def _flush(self) -> None:
        """Hand over what waits, and wait until the line has taken most of it."""
        if not self._out:
            return
        self.writer.write(b"".join(self._out))
        self._out.clear()
        self._waiting_bytes = 0
        self.spoke = asyncio.get_running_loop().time()
        await self._drained()

    async def _drained(self) -> None:
        transport = self.writer.transport
        while True:
            before = transport.get_write_buffer_size()
            try:
                async with asyncio.timeout(self.around.limits.idle_seconds):  # not wait_for, see News.behind
                    await self.writer.drain()
            except TimeoutError:
                if transport.get_write_buffer_size() < before:
                    continue
                raise Closed("failed", f"took nothing for {self.around.limits.idle_seconds:g} s") from None
            return

    def _quiet_seconds(self) -> float:
        """Seconds until a sign of life is due."""
        limits = self.around.limits
        every = min(limits.keepalive_seconds, limits.idle_seconds / 3)
        return self.spoke + every - asyncio.get_running_loop().time()

    async def _until_moved(self) -> None:
        self.moved.clear()
        await self.moved.wait()

    async def _until_confirmed(self) -> None:
        """Wait until all is confirmed, as long as something is now and then."""
        try:
            while self.standing.waits:
                async with asyncio.timeout(LAST_SECONDS):
                    await self._until_moved()
        except TimeoutError:
            log.warning("forward client=%s did not confirm its last packets in time", self.hello.client)

    # ---- what is heard ---------------------------------------------------------------------------------------------
    async def _hear(self) -> None:
        while octets := await read_one_line(self.reader):
            self.heard = asyncio.get_running_loop().time()
            said = read_line(octets)
            if "ack" in said and self.standing.confirms:
                try:
                    self.standing.confirm(parse_cursor(str(said["ack"])))
                except ValueError as error:
                    raise WireError(f"ack: {error}") from None
                self.moved.set()
        raise Closed("done", "") if self.all_sent else Closed("closed", "by the client")

    async def _watch(self) -> None:
        """Note what was confirmed, and hang up on who says nothing."""
        while True:
            await asyncio.sleep(min(NOTE_SECONDS, self.around.limits.idle_seconds / 2))
            await self.note()
            silent = asyncio.get_running_loop().time() - self.heard
            if self.standing.confirms and silent > self.around.limits.idle_seconds:
                raise Closed("failed", f"said nothing for {self.around.limits.idle_seconds:g} s")

    async def _told_to_end(self) -> None:
        await self.ending.wait()
        raise self.reason or Closed("closed", "")

    # ---- the end ---------------------------------------------------------------------------------------------------
    def _conclude(self, error: BaseException | None) -> None:
        """Note how it ended, and say so to the client if it still listens."""
        standing = self.standing
        if isinstance(error, Closed):
            standing.state, standing.detail = error.state, str(error)
        elif isinstance(error, OSError):
            standing.state, standing.detail = "failed", f"the line broke ({error.strerror or type(error).__name__})"
        elif isinstance(error, (WireError, SwxlakeError)):
            standing.state, standing.detail = "failed", str(error)
        elif error is not None:
            raise error
        if standing.state != "done" and standing.detail != "by the client":
            self._farewell(error.again if isinstance(error, Closed) else not isinstance(error, WireError))

    def _farewell(self, again: bool) -> None:
        """The reason, for a client that takes it at once; whoever is behind finds out by itself."""
        if self.writer.transport.get_write_buffer_size() == 0 and not self.writer.is_closing():
            header = {"kind": "end", "cursor": str(self.standing.confirmed), "reason": self.standing.detail}
            self.writer.write(frame(header | {"again": again}))


async def read_one_line(reader: asyncio.StreamReader) -> bytes:
    """A line; empty at the end. Raises WireError if it is too long."""
    try:
        return await reader.readuntil(b"\n")
    except asyncio.IncompleteReadError:  # half a line says nothing
        return b""
    except asyncio.LimitOverrunError:
        raise WireError("a line is too long") from None


async def _stop(tasks: Sequence[asyncio.Future[None]]) -> None:
    """Cancel tasks and wait for them; what they raise was looked at, or does not matter any more."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
