# SPDX-License-Identifier: Apache-2.0
"""uvicorn for one application on one socket, with limits on its connections (lake.connections).

uvicorn waits for a handshake of TLS for a minute, and counts no connection before its handshake has ended. So they are
accepted here.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import uvicorn

from lake.connections import Limits, Punctual, come_again, peer_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp

log = logging.getLogger(__name__)

HEADER_BYTES = 16384  # those that we know are of some hundreds
PAUSE_SECONDS = 1.0  # before the next connection is accepted, when this machine has no room for one
STOP_SECONDS = 5  # for answers that are under way when the server is told to stop


class Server(uvicorn.Server):
    """uvicorn with limits on how long handshakes take, and on how many there are."""

    def __init__(
        self,
        config: uvicorn.Config,
        listener: socket.socket,
        tls: ssl.SSLContext | None,
        limits: Limits,
        before_stop: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self.listener, self.tls, self.limits, self.before_stop = listener, tls, limits, before_stop
        self.beginning = dict[
            asyncio.Task[None], str
        ]()  # connections whose handshake has not ended, and whose they are

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
                log.warning("%s: no connection can be accepted: %s", self.limits.service, error.strerror)
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            self._begin(connection, str(peer[0]))
            await asyncio.sleep(0)  # those who have a connection are to be served, however many others come

    def _begin(self, connection: socket.socket, host: str) -> None:
        """Begin with a connection, unless there are too many. Before a handshake of TLS there is no way to say so."""
        peer = peer_of(host)
        made = [other.peer for other in self.server_state.connections if isinstance(other, Punctual)]
        if self.tls is not None and not self.limits.is_room(peer, [*made, *self.beginning.values()]):
            log.warning("%s peer=%s refused: %d connections", self.limits.service, host, len(made))
            connection.close()
            return
        task = asyncio.create_task(self._met(connection, host))
        self.beginning[task] = peer
        task.add_done_callback(self.beginning.pop)

    async def _met(self, connection: socket.socket, host: str) -> None:
        """Shake hands; from then on the connection is served by its protocol."""
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._connection,
                connection,
                ssl=self.tls,
                ssl_handshake_timeout=None if self.tls is None else self.limits.header_seconds,
                ssl_shutdown_timeout=None if self.tls is None else self.limits.farewell_seconds,
            )
        except OSError as error:
            log.info("%s peer=%s closed: %s", self.limits.service, host, error)

    def _connection(self) -> asyncio.Protocol:
        make: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = make(config=self.config, server_state=self.server_state, app_state={})
        return protocol


def server_of(
    app: ASGIApp,
    listener: socket.socket,
    tls: ssl.SSLContext | None,
    limits: Limits,
    before_stop: Callable[[], None] = lambda: None,
    refusing: ASGIApp = come_again,
) -> Server:
    """A server, to be run in a thread of its own; `before_stop` is called in that thread when it is told to stop.

    `refusing` answers those for whom there is no connection.
    """
    config = uvicorn.Config(
        app,
        http=type("Connection", (Punctual,), {"limits": limits, "refusing": staticmethod(refusing)}),
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # whoever connects could claim any address by them
        server_header=False,
        timeout_keep_alive=max(1, round(limits.header_seconds)),
        timeout_graceful_shutdown=STOP_SECONDS,
        h11_max_incomplete_event_size=HEADER_BYTES,
    )
    config.load()
    return Server(config, listener, tls, limits, before_stop)
