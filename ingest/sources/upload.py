# SPDX-License-Identifier: Apache-2.0
"""The upload server: telemetry that senders PUT, answered once it would survive a power loss.

    PUT /[folder/]name   with Content-Length, Content-Digest (RFC 9530) and a bearer token; a JSON receipt is the answer
    HEAD /[folder/]name  the size and digest of what is archived under the name
    GET /health          whether the server is up; needs no token

The same bytes under the same name are one delivery however often they come. Other bytes under a name are a revision of
it, unless the sender says `If-None-Match: *`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from ingest.sources import upload_answers as answers
from ingest.sources.nouns import Arrived, Lands, Taken
from ingest.sources.upload_bodies import RETRY_SECONDS, Room, receive_body
from ingest.sources.upload_books import Books
from ingest.sources.upload_landing import Landing
from ingest.sources.upload_requests import Announced, Refusal, announced, path_of, sender_of
from ingest.sources.upload_settings import UploadSettings
from lake.clock import utc_now
from lake.connections import Limits
from lake.errors import ConfigurationError, FileNameError, StorageError, TableError
from lake.health import Health
from lake.store import Receipt
from lake.web_server import Server, server_of

log = logging.getLogger(__name__)

FAREWELL_SECONDS = 1.0  # our answers are short, and a sender that keeps a connection open takes no leave of TLS
BODY = "body"  # the name of a file while it comes; that which the sender gives is never one of ours


@contextmanager
def serving(
    settings: UploadSettings, lands: Lands, health: Health, landed: Callable[[], object] = lambda: None
) -> Iterator[int]:
    """A server in a thread of its own, for the block; the port that it listens on.

    `landed` is called, in that thread, whenever something new has landed, and must return at once.
    Raises ConfigurationError before anything is served: no such address, no certificate, a token that is not there.
    """
    for name, sender in settings.senders.items():
        sender.tokens(f"sender {name}")
    tls, uploads = settings.context(), _Uploads(settings, lands, Books(lands.lake, health), landed)
    with _listening(settings) as listener:
        port, stop = int(listener.getsockname()[1]), threading.Event()
        server = server_of(uploads, listener, tls, _limits(settings), uploads.close)
        books = uploads.books
        threads = threading.Thread(target=_run, args=(server, books)), threading.Thread(target=books.keep, args=(stop,))
        for thread in threads:
            thread.start()
        log.info("upload listens on %s port %d, tls=%s", settings.host, port, tls is not None)
        try:
            yield port
        finally:
            server.should_exit = True
            threads[0].join()
            stop.set()
            threads[1].join()


def _limits(settings: UploadSettings) -> Limits:
    """Of connections. Those of one address are not counted: all senders may come through one station's proxy."""
    most = settings.max_connections
    return Limits("upload", most, most, header_seconds=settings.header_seconds, farewell_seconds=FAREWELL_SECONDS)


def _run(server: Server, books: Books) -> None:
    """Serve until told to stop; if it ends by itself, say so, since whoever follows sources goes on without it."""
    books.up.set(1)
    try:
        server.run()
    finally:
        books.up.set(0)
        if not server.should_exit:
            log.error("upload: the server has ended by itself. Restart the service.")


@contextmanager
def _listening(settings: UploadSettings) -> Iterator[socket.socket]:
    """The socket, bound before anybody is told that there is a server."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.create_server(found[4][:2], family=found[0])
    except OSError as error:
        where = f"{settings.host} port {settings.port}"
        raise ConfigurationError(f"upload: cannot listen on {where} ({error.strerror}). Correct them.") from None
    with listener:
        yield listener


class _Uploads:
    """The application (ASGI): one method per kind of request, and what requests share."""

    def __init__(self, settings: UploadSettings, lands: Lands, books: Books, landed: Callable[[], object]) -> None:
        self.settings, self.lands, self.books, self.lake, self.landed = settings, lands, books, lands.lake, landed
        self.room, self.landing = Room(settings), Landing(lands, landed)

    def close(self) -> None:
        """Take no more, and keep nobody waiting for long."""
        self.room.close()
        self.landing.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. There is no router, which would answer some by itself, unread and unlogged."""
        request = Request(scope, receive)
        if request.method == "GET" and scope["raw_path"] == b"/health":
            answer: Response = JSONResponse({"status": "stopping" if self.room.closing else "up"})
        else:
            answer = await self.name(request)
        await answer(scope, receive, send)

    async def name(self, request: Request) -> Response:
        """A request about one name."""
        raw, sender = request.scope["raw_path"], None
        try:
            sender = sender_of(self.settings, request.headers.get("authorization", ""))
            path = path_of(raw, request.scope["query_string"])
            if request.method == "PUT":
                return await self.put(request, sender, path)
            return await self.look(request.method, path.rpartition("/")[2])
        except Refusal as refusal:
            self.books.refused(sender, _peer(request), raw.decode("ascii", "replace"), refusal)
            has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
            return answers.refused(refusal, None, early=has_body)

    async def look(self, method: str, name: str) -> Response:
        """What is archived under a name. Raises Refusal if nothing is."""
        if method not in ("GET", "HEAD"):
            raise Refusal(405, "BAD_METHOD", "the method is none of PUT and HEAD. Use these")
        found = await asyncio.to_thread(self._landed, name)
        if not found:
            raise Refusal(404, "NOT_FOUND", "nothing is archived under this name. Send it")
        return answers.described(found[-1]) if method == "HEAD" else answers.not_given(found[-1])

    async def put(self, request: Request, sender: str, path: str) -> Response:
        """Take a file. Raises Refusal for one that is refused by its header."""
        upload = announced(self.lake, path, request.headers, self.settings.max_bytes, utc_now())
        await asyncio.to_thread(self._check_new, upload)
        try:
            async with self._aside() as folder:
                with self.room.taken(upload.bytes, folder):
                    return await self._take(request, sender, upload, folder / BODY)
        except (StorageError, TableError) as error:
            log.error("upload: %s", error)
            raise _failed() from None

    @asynccontextmanager
    async def _aside(self) -> AsyncIterator[Path]:
        """A folder for a body; others are served while the disk makes and removes it."""
        place = self.lands.aside()
        folder = await asyncio.to_thread(place.__enter__)
        try:
            yield folder
        finally:
            await asyncio.to_thread(place.__exit__, None, None, None)

    async def _take(self, request: Request, sender: str, upload: Announced, file: Path) -> Response:
        """Receive and land. Raises Refusal only while the body may not be whole."""
        whole = False
        try:
            await receive_body(request.stream(), upload, file, self.room)
            whole = True
            return await self._land(sender, upload, file)
        except Refusal as refusal:
            if not whole and refusal.code != "BAD_DIGEST":
                raise
            self.books.refused(sender, _peer(request), upload.path, refusal)
            self.books.refused_whole(sender, upload, refusal, utc_now())
            return answers.refused(refusal, upload, early=False)

    async def _land(self, sender: str, upload: Announced, file: Path) -> Response:
        """Land a whole file. Raises Refusal."""
        now = utc_now()
        arrived = Arrived(f"upload-{sender}", upload.path, upload.name, file, upload.sha256)
        try:
            taken = await self.landing.land(arrived, lambda: self._check_new(upload))
        except (StorageError, TableError) as error:
            log.error("upload: %s", error)
            raise _failed() from None
        at = await asyncio.to_thread(self._received_at, upload, taken, now)
        answer = answers.accepted(taken, upload, at)
        self.books.took(sender, upload, taken, now)
        if taken.state == "landed":
            self.landed()
        return answer

    def _received_at(self, upload: Announced, taken: Taken, now: datetime) -> str:
        """When a file came for the first time."""
        same = self._landed(upload.name) if taken.state == "known" else []
        return next((receipt.received_at for receipt in same if receipt.file_sha256 == upload.sha256), now.isoformat())

    def _landed(self, name: str) -> list[Receipt]:
        """What is archived under a name. Raises Refusal."""
        try:
            self.books.presence.check()
            return answers.landed_as(self.lake, name, utc_now())
        except FileNameError as error:
            raise Refusal(404, error.code, str(error)) from None
        except (StorageError, TableError) as error:
            log.error("upload: %s", error)
            raise _failed() from None

    def _check_new(self, upload: Announced) -> None:
        """Raises Refusal if the name has been taken by other bytes, and the sender wants a new one."""
        found = self._landed(upload.name) if upload.only_new else []
        if found and all(receipt.file_sha256 != upload.sha256 for receipt in found):
            what = f"the name has other bytes, of sha256 {found[-1].file_sha256}"
            raise Refusal(409, "TAKEN", f"{what}. Leave out If-None-Match if this is a correction")


def _failed() -> Refusal:
    """What a sender is told of our own troubles; the log has their words."""
    return Refusal(503, "FAILED", "the lake cannot be written. Repeat later", RETRY_SECONDS)


def _peer(request: Request) -> str:
    return request.client.host if request.client else "?"
