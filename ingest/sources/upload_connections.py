# SPDX-License-Identifier: Apache-2.0
"""Connections of the upload server: so many at a time, and none on which a header, or a handshake, does not end.

uvicorn itself waits for the header of a first request as long as it takes, for a handshake of TLS for a minute, and
counts no connection before its handshake has ended. So they are accepted here.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from ingest.sources.upload_settings import UploadSettings

log = logging.getLogger(__name__)

HEADER_BYTES = 16384  # ours are of some hundreds
FAREWELL_SECONDS = 1.0  # for the other side to take leave of TLS; a sender that keeps a connection open does not
PAUSE_SECONDS = 1.0  # before the next connection is accepted, when this machine has no room for one
STOP_SECONDS = 5  # for what is being landed when the server is told to stop
CROWDED = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Punctual(H11Protocol):
    """A connection that is closed unless the header of each request is complete in time.

    Its settings are set by `serve`, in a class of its own for each server: uvicorn makes the connections.
    """

    upload: UploadSettings
    deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a header, unless there are too many others."""
        super().connection_made(transport)
        if len(self.connections) > self.upload.max_connections:
            log.warning("upload peer=%s refused: %d connections are open", self.client, len(self.connections) - 1)
            transport.write(CROWDED)
            transport.close()
        else:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._wait_no_more()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Take what came; a header that is complete begins a new cycle."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._wait_no_more()

    def on_response_complete(self) -> None:
        """Wait for the header of the next request."""
        self._wait()
        super().on_response_complete()

    def _wait(self) -> None:
        self._wait_no_more()
        self.deadline = self.loop.call_later(self.upload.header_seconds, self._hang_up)

    def _wait_no_more(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def _hang_up(self) -> None:
        if self.cycle is None or not self.cycle.response_complete:  # else it was merely kept open
            log.warning("upload peer=%s closed: no header in %g s", self.client, self.upload.header_seconds)
        self.transport.abort()


class Server(uvicorn.Server):
    """uvicorn for one application on one socket, with limits on how long handshakes take, and on how many there are."""

    def __init__(
        self,
        config: uvicorn.Config,
        listener: socket.socket,
        tls: ssl.SSLContext | None,
        settings: UploadSettings,
        before_stop: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self.listener, self.tls, self.upload, self.before_stop = listener, tls, settings, before_stop
        self.beginning = set[asyncio.Task[None]]()  # connections whose handshake has not ended

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, as uvicorn would but for the limits."""
        del sockets
        await super().startup(sockets=[])
        self.listener.setblocking(False)
        self.accepting = asyncio.create_task(self._accept())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what would go on for long, then stop as uvicorn does."""
        self.before_stop()
        self.accepting.cancel()
        await asyncio.sleep(0)  # so that each connection is in hands that close it
        for task in self.beginning:
            task.cancel()
        await super().shutdown(sockets)

    async def _accept(self) -> None:
        """Accept connections until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, peer = await loop.sock_accept(self.listener)
            except ConnectionAbortedError:
                continue
            except OSError as error:
                log.warning("upload: no connection can be accepted: %s", error.strerror)
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            self._begin(connection, str(peer[0]))
            await asyncio.sleep(0)  # those who have a connection are to be served, however many others come

    def _begin(self, connection: socket.socket, peer: str) -> None:
        """Begin with a connection, unless there are too many. Before a handshake of TLS there is no way to say so."""
        number = len(self.beginning) + len(self.server_state.connections)
        if self.tls is not None and number >= self.upload.max_connections:
            log.warning("upload peer=%s refused: %d connections are open", peer, number)
            connection.close()
            return
        task = asyncio.create_task(self._met(connection, peer))
        self.beginning.add(task)
        task.add_done_callback(self.beginning.discard)

    async def _met(self, connection: socket.socket, peer: str) -> None:
        """Shake hands; from then on the connection is served by its protocol."""
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._connection,
                connection,
                ssl=self.tls,
                ssl_handshake_timeout=None if self.tls is None else self.upload.header_seconds,
                ssl_shutdown_timeout=None if self.tls is None else FAREWELL_SECONDS,
            )
        except OSError as error:
            log.info("upload peer=%s closed: %s", peer, error)

    def _connection(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(config=self.config, server_state=self.server_state, app_state={})
        return protocol


def server_of(
    app: ASGIApp,
    settings: UploadSettings,
    listener: socket.socket,
    tls: ssl.SSLContext | None,
    before_stop: Callable[[], None],
) -> Server:
    """A server, to be run in a thread of its own; `before_stop` is called in that thread when it is told to stop."""
    config = uvicorn.Config(
        app,
        http=type("Connection", (Punctual,), {"upload": settings}),
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # whoever connects could claim any address by them
        server_header=False,
        timeout_keep_alive=max(1, round(settings.header_seconds)),
        timeout_graceful_shutdown=STOP_SECONDS,
        h11_max_incomplete_event_size=HEADER_BYTES,
    )
    config.load()
    return Server(config, listener, tls, settings, before_stop)
