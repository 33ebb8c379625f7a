# SPDX-License-Identifier: Apache-2.0
"""The server that subscribers of packets connect to.

One task looks whether something has arrived, for all; each subscriber reads the log by itself from its own cursor. So
live packets, catching up and replay are the same, and there is no queue that could fill.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from exports.forward.books import Books
from exports.forward.cursors import KIND, Cursors
from exports.forward.feed import Feed
from exports.forward.metrics import Metrics
from exports.forward.news import News
from exports.forward.settings import Client, ForwardSettings, fits_nothing
from exports.forward.settings import wanted as wanted_by
from exports.forward.standing import WINDOW, Standing
from exports.forward.strangers import Strangers
from exports.forward.subscribers import FAREWELL_SECONDS, TOGETHER_BYTES, Around, Subscriber, read_one_line
from exports.forward.threads import Threads
from exports.forward.wire import (
    FROM_CURSOR,
    LONGEST_LINE,
    NOW,
    VERSION,
    BusyError,
    Hello,
    WireError,
    line,
    parse_cursor,
    read_hello,
)
from lake.clock import utc_now
from lake.errors import SwxlakeError
from lake.health import Health
from lake.packet_log import BEGINNING, Cursor, PacketLog
from lake.serving import is_token
from lake.store import Lake
from lake.ways.settings import secret

GREETING_SECONDS = 5.0  # within which a client must have said who it is
HANDSHAKE_SECONDS = 10.0  # within which TLS must be agreed on
POLL_SECONDS, POLL_BUCKET_SECONDS = 0.02, 1.0  # a look at a name costs microseconds on a disk; in a bucket it is a call
log = logging.getLogger(__name__)


class ServerError(SwxlakeError):
    """The server has failed, for a reason of its own."""


def token_of(name: str, client: Client) -> str:
    """The token that a subscriber is known by. Raises WayError if there is none where the settings say."""
    return secret(f"client {name}", client.token_env, client.token_file) or ""


class PacketServer:
    """The server; `run` it in an event loop. `port` is where it listens, once `ready` is set."""

    def __init__(
        self,
        lake: Lake,
        packets: PacketLog,
        settings: ForwardSettings,
        health: Health,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.log, self.limits, self.now, self.health, self.port = packets, settings.serve, now, health, 0
        self.clients = {name: client for name, client in settings.clients.items() if client.subscriber}
        for name, client in self.clients.items():
            token_of(name, client)  # missing ones are told at the start
        self.definitions = lake.definitions
        self.ready, self.stopping = asyncio.Event(), asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._subscribers: set[Subscriber] = set()
        self._holders: dict[str, Subscriber] = {}
        self._turns = {name: asyncio.Lock() for name in self.clients}
        self.cursors, self.threads, self.strangers = Cursors(lake), Threads(), Strangers()
        self.news = News(packets, self.threads, _poll_seconds(lake), lambda: bool(self._subscribers))
        self.books = Books(lake, packets, Metrics(health), self.threads, now)
        self.around = Around(self.limits, self.cursors, self.threads, self.news)

    @property
    def packets(self) -> int:
        """Packets that were confirmed on connections that have ended."""
        return self.books.packets

    @property
    def admitted(self) -> int:
        """Connections of clients that have ended."""
        return self.books.connections

    # ---- from the beginning to the end -----------------------------------------------------------------------------
    async def run(self) -> None:
        """Serve until `stopping` is set. Raises OSError if the address cannot be listened at, ServerError."""
        server = await self._listen()
        services = [
            asyncio.create_task(self.news.look(), name="the look for what has arrived"),
            asyncio.create_task(self.books.keep(self.clients, self._standings), name="the keeping of the books"),
        ]
        try:
            await self._until_ended(services)
        finally:
            server.close()
            await self._end_all(services)
            await self.books.write()
            self.threads.close()
        self.health.stop(self.now())  # not after a failure: that is for the watch over heartbeats

    async def _listen(self) -> asyncio.Server:
        server = await asyncio.start_server(
            self._accept,
            self.limits.host,
            self.limits.port,
            limit=LONGEST_LINE,
            ssl=self.limits.context(),
            ssl_handshake_timeout=HANDSHAKE_SECONDS if self.limits.certificate else None,
        )
        self.port = server.sockets[0].getsockname()[1]
        log.info("forward listening host=%s port=%d clients=%d", self.limits.host, self.port, len(self.clients))
        self.ready.set()
        return server

    async def _until_ended(self, services: list[asyncio.Task[None]]) -> None:
        """Wait until we are told to stop. Raises ServerError if a service ends before: none may unseen."""
        told = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait([told, *services], return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
        for service in services:
            if service.done():
                error = service.exception()
                log.error("forward: %s has ended", service.get_name(), exc_info=error)
                why = f"{type(error).__name__}: {error}"
                raise ServerError(f"{service.get_name()} has ended ({why}). Start the server again.") from error

    async def _end_all(self, services: list[asyncio.Task[None]]) -> None:
        """Tell all who are connected, and wait for them for a while."""
        self.strangers.let_go()
        for subscriber in list(self._subscribers):
            subscriber.end("closed", "the server stops", again=True)
        if self._connections:
            await asyncio.wait(self._connections, timeout=FAREWELL_SECONDS)
        tasks = [*services, *self._connections]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _standings(self) -> list[Standing]:
        return [subscriber.standing for subscriber in self._subscribers]

    # ---- who connects ----------------------------------------------------------------------------------------------
    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a task is what runs this
        self._connections.add(task)
        try:
            async with self.strangers.one(_address(writer), GREETING_SECONDS):
                hello = read_hello(await read_one_line(reader))
            await self._admit(hello, reader, writer)
        except (WireError, SwxlakeError) as error:
            self._refuse(writer, str(error), again=isinstance(error, (BusyError, SwxlakeError)))
        except TimeoutError:
            self._refuse(writer, "no greeting in time", again=True)
        except OSError as error:
            log.info("forward: a line broke (%s)", error.strerror or type(error).__name__)
        finally:
            await _closed(writer)
            self._connections.discard(task)

    def _refuse(self, writer: asyncio.StreamWriter, why: str, again: bool) -> None:
        log.warning("forward refused peer=%s: %s", _address(writer), ascii(why))
        self.books.metrics.refused.inc()
        writer.write(line({"accepted": False, "error": why, "again": again}))

    async def _admit(self, hello: Hello, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Let a client in and stay with it to its end. Raises WireError if it may not come in."""
        client = await self._known(hello)
        allowed = hello.wanted(wanted_by(client))
        if fits_nothing(replace(allowed, apids=hello.apids), self.definitions):
            raise WireError("missions, instruments, apids: no packet of what this client may have is among these")
        async with self._turns[hello.client]:
            await self._take_over(hello)
            self._check_places(hello.client)
            began = await self.threads.work(lambda: self._position(hello, client))
            standing = Standing(hello.client, hello.ack, began, self.now(), not hello.moves_cursor)
            feed = Feed(self.log, allowed, began, self.limits.buffer_bytes // 2)
            subscriber = Subscriber(self.around, hello, feed, (reader, writer), standing)
            self._subscribers.add(subscriber)
            if hello.moves_cursor:
                self._holders[hello.client] = subscriber
        await self._stay(subscriber, writer)

    def _check_places(self, client: str) -> None:
        """Raises BusyError if there is no place for one more connection, or none for one more of this client."""
        if len(self._subscribers) >= self.limits.max_clients:
            raise BusyError(f"{self.limits.max_clients} clients are connected. Try again later")
        if sum(one.hello.client == client for one in self._subscribers) >= self.limits.max_of_one:
            raise BusyError(f"max_of_one: {client} has {self.limits.max_of_one}. End a connection, or try again later")

    async def _known(self, hello: Hello) -> Client:
        """The client that has this name and this token. Raises WireError if there is none."""
        client = self.clients.get(hello.client)
        expected = await self.threads.work(lambda: token_of(hello.client, client)) if client is not None else ""
        if not (is_token(hello.token, expected) and client is not None and expected):
            raise WireError("no such client, or not its token")
        return client

    async def _take_over(self, hello: Hello) -> None:
        """End the connection that moves the same cursor: its line is mostly dead, and what it confirmed is kept."""
        before = self._holders.get(hello.client)
        if hello.moves_cursor and before is not None:
            before.end("closed", "another connection of this client took over", again=False)
            await before.ended.wait()

    def _position(self, hello: Hello, client: Client) -> Cursor:
        """Where a client is to begin. Raises WireError if that is behind the end: it would miss what arrives."""
        asked, end = self._asked(hello, client), self.log.end()
        if asked <= end:
            return asked
        what = f"{asked} is where {hello.client} has come to, and the log ends at {end}: the lake is an older copy."
        if hello.after is None and hello.position == FROM_CURSOR:
            mended = f"Without state/{KIND}/{hello.client}.json the client begins as its `start` says"
        else:
            mended = "Begin at a time, now or at the beginning"
        raise WireError(f"{what} {mended}")

    def _asked(self, hello: Hello, client: Client) -> Cursor:
        if hello.after is not None:
            return parse_cursor(hello.after)
        where = hello.position
        if where == FROM_CURSOR:
            return self.cursors.found(hello.client, client, self.log)
        if isinstance(where, Cursor):
            return where
        return self.log.end() if where == NOW else BEGINNING

    async def _stay(self, subscriber: Subscriber, writer: asyncio.StreamWriter) -> None:
        standing = subscriber.standing
        welcome = {"accepted": True, "version": VERSION, "cursor": str(standing.began), "window": WINDOW}
        limits = {"keepalive_seconds": self.limits.keepalive_seconds, "idle_seconds": self.limits.idle_seconds}
        writer.transport.set_write_buffer_limits(high=TOGETHER_BYTES)
        writer.write(line(welcome | limits))
        log.info("forward client=%s connected from=%s", standing.client, standing.began)
        try:
            await subscriber.run()
        finally:
            self._subscribers.discard(subscriber)
            if self._holders.get(standing.client) is subscriber:
                del self._holders[standing.client]
            self.books.ended(standing)
            self.threads.later(subscriber.feed.close)
            how = f"{standing.state} packets={standing.packets} {standing.detail}"
            log.info("forward client=%s %s", standing.client, how)


def _poll_seconds(lake: Lake) -> float:
    return POLL_BUCKET_SECONDS if str(lake.root).startswith("s3:") else POLL_SECONDS


def _address(writer: asyncio.StreamWriter) -> str:
    return str((writer.get_extra_info("peername") or ("?",))[0])


async def _closed(writer: asyncio.StreamWriter) -> None:
    """Close a line; one that takes nothing is cut, with what waits for it."""
    writer.close()
    try:
        async with asyncio.timeout(FAREWELL_SECONDS if writer.transport.get_write_buffer_size() == 0 else 0.2):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        log.debug("forward: a line was cut")
    finally:
        writer.transport.abort()  # also if the server ends meanwhile; nothing is done to one that is closed
