# SPDX-License-Identifier: Apache-2.0
"""An application that answers browsers and programs: uvicorn in a thread, on this machine alone unless there is TLS.

For what is read only. Uploads have a server of their own (ingest.sources), which trusts those who connect less.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lake.errors import ConfigurationError
from lake.serving import Listen

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONNECTIONS = 64  # at a time; more are answered 503
OF_PEER = 48  # of these from one address, so that it alone cannot shut out others; a proxy in front of it has no more
TOLD = 64  # more that may ask, to be answered 503; beyond, there is no time to hear them out
HEADER_SECONDS = 10.0  # for the header of a request to be complete, and the handshake of TLS
STALLED_SECONDS = 120.0  # a client that takes nothing of its answer for so long is cut off
STOP_SECONDS = 10  # for the server to have stopped: what is under way has half of them
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; frame-ancestors 'none'; "
        b"base-uri 'none'; form-action 'self'",
    ),
)


class Guarded:
    """An application of which every answer has the headers that keep browsers from doing what was not meant."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the headers."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message.get("headers", ())}
                message["headers"] = [*message.get("headers", ()), *(h for h in HEADERS if h[0] not in own)]
            await send(message)

        await self.app(scope, receive, guarded)


@contextmanager
def serving(app: ASGIApp, listen: Listen, stalled_seconds: float = STALLED_SECONDS) -> Iterator[str]:
    """The application during the block; the address where it is, such as http://127.0.0.1:8080.

    Port 0 is one that is free. Raises ConfigurationError if it is taken, or the certificate does not fit.
    """
    from lake.connections import Limits, come_again  # noqa: PLC0415  only who serves needs uvicorn
    from lake.web_server import server_of  # noqa: PLC0415

    tls = listen.context()
    limits = Limits("web", CONNECTIONS, OF_PEER, TOLD, HEADER_SECONDS, stalled_seconds)
    with _listening(listen) as listener:
        server = server_of(Guarded(app), listener, tls, limits, refusing=Guarded(come_again))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            host, port = listener.getsockname()[:2]
            yield f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
        finally:
            server.should_exit = True
            thread.join(STOP_SECONDS)


@contextmanager
def _listening(listen: Listen) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        listener = socket.create_server((listen.host, listen.port), family=family)
    except OSError as error:
        where = f"port {listen.port} of {listen.host}"
        raise ConfigurationError(f"{where}: {error.strerror}. Give another port, or stop what listens there.") from None
    with listener:
        yield listener
