# SPDX-License-Identifier: Apache-2.0
"""Connections of our servers: so many at a time, and none that is kept open by doing nothing.

uvicorn itself waits for the header of a first request as long as it takes, and for a client that takes no more of its
answer, too. Whoever opens as many connections as there may be, and says nothing, would shut the server for all.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from lake.web_reasons import ReasonedProtocol

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

log = logging.getLogger(__name__)

RETRY_SECONDS = 5
BUSY = json.dumps({"error": "The server has as many connections as it may. Ask again in some seconds."}).encode()
CROWDED = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"Retry-After: %d\r\nConnection: close\r\n\r\n%b"
)


@dataclass(frozen=True)
class Limits:
    """What connections to a server may do.

    service : its name in the log.
    most : connections at a time.
    of_peer : of these, from one address.
    told : so many more, and from one address no more than `of_peer`, may ask, only to be answered 503; what comes
        beyond is answered before it asks, and such an answer is lost if the question arrives while the connection ends.
    header_seconds : for the handshake of TLS, and for the header of a request to be complete.
    stalled_seconds : a client that takes nothing of its answer for so long is cut off, after twice that at the latest.
    farewell_seconds : with TLS, for the other side to take leave when a connection is closed, and to take the rest of
        its answer before: by then asyncio tells nobody what was taken.
    """

    service: str
    most: int
    of_peer: int
    told: int = 0
    header_seconds: float = 10.0
    stalled_seconds: float = 120.0
    farewell_seconds: float = 30.0

    def has_seat(self, peer: str, served: Collection[str]) -> bool:
        """Whether one more from `peer` is served, beside those who are."""
        return len(served) < self.most and _count(peer, served) < self.of_peer

    def has_ear(self, peer: str, told: Collection[str]) -> bool:
        """Whether one more is heard who will be told to come again."""
        return len(told) < self.told and _count(peer, told) < self.of_peer

    def is_room(self, peer: str, all_peers: Collection[str]) -> bool:
        """Whether one more may begin a handshake, beside all others, those who are still at theirs included."""
        of_peer = self.of_peer + min(self.told, self.of_peer)
        return len(all_peers) < self.most + self.told and _count(peer, all_peers) < of_peer


class Punctual(ReasonedProtocol):
    """A connection that is closed unless the header of each request is complete in time, and its answer is taken.

    `limits` and `refusing` are set in a class of its own for each server: uvicorn makes the connections.
    """

    limits: Limits
    refusing: ASGIApp
    peer = ""
    is_served = True
    left: float = math.inf  # bytes of an answer that were not taken when we looked last
    deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a header, unless there are too many others."""
        super().connection_made(transport)
        self.peer = peer_of(self.client[0] if self.client else "")
        others = [other for other in self.connections if isinstance(other, Punctual) and other is not self]
        self.is_served = self.limits.has_seat(self.peer, [other.peer for other in others if other.is_served])
        if self.is_served:
            self._wait(self.limits.header_seconds)
        else:
            self._refuse([other.peer for other in others if not other.is_served])

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._wait_no_more()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Take what came; a header that is complete begins a new cycle, perhaps before the last answer is taken."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._wait_no_more()
            if self.flow.write_paused:
                self._wait(self.limits.stalled_seconds)

    def on_response_complete(self) -> None:
        """Wait for the header of the next request."""
        self._wait(self.limits.header_seconds)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait for the client to take what is made for it."""
        super().pause_writing()
        if self._is_answering():
            self._wait(self.limits.stalled_seconds)

    def resume_writing(self) -> None:
        """The client takes it."""
        super().resume_writing()
        if self._is_answering():
            self._wait_no_more()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection on which nothing is asked, but not before the last answer is taken."""
        if not self.transport.get_write_buffer_size():
            super().timeout_keep_alive_handler()

    def _refuse(self, told: Collection[str]) -> None:
        """Let it ask only to be told to come again; tell it at once if there are too many of these."""
        log.warning("%s peer=%s refused: %d connections", self.limits.service, self.client, len(self.connections) - 1)
        if self.limits.has_ear(self.peer, told):
            self.app = self.refusing
        else:
            self.transport.write(CROWDED % (len(BUSY), RETRY_SECONDS, BUSY))
            self.transport.close()
        self._wait(self.limits.header_seconds)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self, seconds: float, left: float = math.inf) -> None:
        self._wait_no_more()
        self.left = left
        self.deadline = self.loop.call_later(seconds, self._hang_up)

    def _wait_no_more(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def _hang_up(self) -> None:
        """Close it, unless an answer is being taken, however slowly."""
        left = self.transport.get_write_buffer_size()
        if 0 < left < self.left:
            self._wait(self.limits.stalled_seconds, left)
        elif left == 0 and self.cycle is not None and self.cycle.response_complete:
            self.timeout_keep_alive_handler()  # it was merely kept open
        else:
            what = f"nothing was taken in {self.limits.stalled_seconds:g} s" if left else "no header in time"
            log.warning("%s peer=%s closed: %s", self.limits.service, self.client, what)
            self.transport.abort()


async def come_again(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that answers 503 as JSON, with when to ask again, and ends the connection."""
    del scope, receive
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(BUSY)).encode()),
        (b"cache-control", b"no-store"),
        (b"retry-after", str(RETRY_SECONDS).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": HTTPStatus.SERVICE_UNAVAILABLE, "headers": headers})
    await send({"type": "http.response.body", "body": BUSY})


def peer_of(host: str) -> str:
    """Whom an address belongs to: of IPv6 its first 64 bits, as one machine has all addresses of such a network."""
    return IPv6Address(host).packed[:8].hex() if ":" in host else host


def _count(peer: str, peers: Iterable[str]) -> int:
    return sum(other == peer for other in peers)
