# SPDX-License-Identifier: Apache-2.0
"""Answers that are made while they are sent: one piece at a time, no faster than the client takes them."""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING

import anyio
import pyarrow as pa

from lake.errors import SwxlakeError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

log = logging.getLogger(__name__)

GZIP_LEVEL, GZIP_WINDOW = 1, 31  # the fastest; 15 bits of window with the header of gzip (zlib manual)
# Weight of a coding, from 0 (never) to 1 (RFC 9110, section 12.4.2).
WEIGHT = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")
READ_ERRORS = (SwxlakeError, OSError, pa.ArrowException)

Headers = Sequence[tuple[bytes, bytes]]
Chunks = Generator[bytes]


class Stream:
    """An answer of chunks, which are made in threads.

    `done` is called with the bytes that were sent, whatever becomes of the answer. What fails after the start can only
    cut it: the connection is closed without the end of the body, by which clients know. So it is if the client takes
    nothing for `seconds`.
    """

    def __init__(self, headers: Headers, chunks: Chunks, seconds: float, done: Callable[[int], None]) -> None:
        self.headers, self.chunks, self.seconds, self.done = headers, chunks, seconds, done
        self.bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_until_gone, receive, group.cancel_scope)
                await self._send(scope, send)
                group.cancel_scope.cancel()
        finally:
            self.chunks.close()
            self.done(self.bytes)

    async def _send(self, scope: Scope, send: Send) -> None:
        query = ascii(scope["query_string"][:200])
        try:
            await send({"type": "http.response.start", "status": 200, "headers": list(self.headers)})
            while (chunk := await anyio.to_thread.run_sync(next, self.chunks, None)) is not None:
                with anyio.fail_after(self.seconds):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                self.bytes += len(chunk)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            log.warning(
                "hapi cut=%s bytes=%d reason='the client took nothing for %g s'", query, self.bytes, self.seconds
            )
        except READ_ERRORS as error:
            log.error("hapi cut=%s bytes=%d error=%r", query, self.bytes, str(error))


async def _until_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    """End everything when the client has gone away: what nobody reads need not be made."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def nothing() -> Chunks:
    """No chunks, for an answer of headers alone."""
    yield from ()


def takes_gzip(scope: Scope) -> bool:
    """Whether a client takes gzip, and no less gladly than what is not compressed (RFC 9110, section 12.5.3)."""
    given = b",".join(value for name, value in scope["headers"] if name == b"accept-encoding").decode("latin-1").lower()
    weights = dict(_weighed(coding) for coding in given.split(","))
    weight = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return weight > 0.0 and weight >= weights.get("identity", 0.0)


def _weighed(coding: str) -> tuple[str, float]:
    """A coding and its weight: 1 if there is none, 0 if it cannot be read."""
    name, _, rest = coding.partition(";")
    weight = WEIGHT.fullmatch(rest.strip())
    return name.strip(), float(weight[1]) if weight else float(not rest.strip())


def gzipped(chunks: Chunks) -> Chunks:
    """The same, compressed as quickly as can be."""
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, GZIP_WINDOW)
    try:
        for chunk in chunks:
            if packed := packer.compress(chunk):
                yield packed
        yield packer.flush()
    finally:
        chunks.close()
