# SPDX-License-Identifier: Apache-2.0
"""The HAPI server as an application for the web: what is asked for by name, and what is answered.

Source: HAPI Data Access Specification 3.3. The server reads; names come from the definitions, and no text of a client
gets into a path or a query.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import anyio
import pyarrow as pa
from starlette.responses import Response

from exports.hapi import documents
from exports.hapi.data import Body
from exports.hapi.encoding import MEDIA_TYPES
from exports.hapi.holdings import Dataset, Holdings
from exports.hapi.landing import landing
from exports.hapi.requests import (
    OF_CATALOG,
    OF_DATA,
    OF_INFO,
    data_request,
    dataset_of,
    depth_of,
    fields_of,
    read_query,
)
from exports.hapi.status import INPUT, INTERNAL, OK, Refusal, Status
from exports.hapi.streaming import READ_ERRORS, Stream, gzipped, nothing, takes_gzip
from lake.answers import Answers
from lake.health import Health
from lake.hosts import LOOPBACK, Hosts
from lake.store import Lake
from lake.web_reasons import REASON

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

ROOT = "/hapi"
BUSY = (b"retry-after", b"5")  # seconds after which a client may ask again
# Programs in pages of anybody may read what is public (specification, section 5.1).
OPEN = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, HEAD"),
    (b"access-control-allow-headers", b"Content-Type"),
)

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Asked:
    """What of a request matters."""

    query: str
    head: bool
    gzip: bool


@dataclass(frozen=True)
class Answer:
    """An answer and its status over HTTP."""

    status: int
    app: ASGIApp


@dataclass(frozen=True)
class Manner:
    """How the server serves.

    records : most that one request may ask for. seconds : a client that takes nothing for so long is cut off.
    streams : most answers with data that are made at the same time. contact : whom `about` names. public : whether
    programs in pages of any site may read (CORS).
    """

    records: int = 100_000_000
    seconds: float = 60.0
    streams: int = 8
    contact: str = "Whoever runs this server: it was started without --contact."
    public: bool = False


def application(
    lake: Lake,
    answers: Answers,
    health: Health,
    manner: Manner | None = None,
    hosts: frozenset[str] | None = LOOPBACK,
) -> ASGIApp:
    """The application that answers below /hapi, and Prometheus at /metrics, to who calls it by one of `hosts`.

    `answers` tell what was exported. Products that cannot be served are named in the log before the first request.
    """
    server = Server(lake, answers, health, manner or Manner())
    try:
        server.holdings.datasets()
    except READ_ERRORS as error:  # which each request tries again
        log.warning("hapi start error=%r", str(error))
    return Hosts(server, hosts)


class Server:
    """The application. Answers are made in threads."""

    def __init__(self, lake: Lake, answers: Answers, health: Health, manner: Manner) -> None:
        self.lake, self.manner, self.health = lake, manner, health
        self.holdings = Holdings(lake, answers)
        self._slots = threading.BoundedSemaphore(manner.streams)
        self._asked = health.counter("requests", "Requests by what they asked for and how it ended", ("kind", "status"))
        self._sent = health.counter("sent_bytes", "Bytes of answers with data")
        self._open = health.gauge("streams", "Answers with data that are under way")
        self._kinds: dict[str, Callable[[Asked], Answer]] = {
            "": self._landing,
            "/capabilities": self._capabilities,
            "/about": self._about,
            "/catalog": self._catalog,
            "/info": self._info,
            "/data": self._data,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        kind = scope["path"].removeprefix(ROOT) if scope["path"].startswith(ROOT) else "other"
        answer = await anyio.to_thread.run_sync(self._answer, scope, kind)
        self._asked.labels(kind.strip("/") or "landing" if kind in self._kinds else "other", answer.status).inc()
        is_open = self.manner.public and kind != "other"
        await answer.app(scope, receive, _opened(send) if is_open else send)

    def _answer(self, scope: Scope, kind: str) -> Answer:
        if scope["path"] == "/metrics":
            return Answer(200, Response(self.health.exposition(), media_type="text/plain; version=0.0.4"))
        query = scope["query_string"].decode("latin-1")
        try:
            if scope["method"] not in ("GET", "HEAD"):
                raise Refusal(INPUT, "Ask by GET or HEAD.", 405)
            if kind.endswith("/") and kind[:-1] in self._kinds:
                return _moved(f"{ROOT}{kind[:-1]}", query)
            if kind not in self._kinds:
                raise Refusal(INPUT, f"There are {', '.join(ROOT + known for known in self._kinds)}.", 404)
            return self._kinds[kind](Asked(query, scope["method"] == "HEAD", takes_gzip(scope)))
        except Refusal as refusal:
            return _json(refusal.status)
        except READ_ERRORS as error:
            log.error("hapi asked=%r error=%r", query[:200], str(error))
            return _json(Status(INTERNAL, "The log of the server says why."))

    def _landing(self, asked: Asked) -> Answer:
        read_query(asked.query, ())
        page = landing(list(self.holdings.datasets().values()), self.manner.contact)
        return _whole(Status(OK), page.encode(), "text/html; charset=utf-8")

    def _capabilities(self, asked: Asked) -> Answer:
        read_query(asked.query, ())
        return _json(Status(OK), documents.capabilities())

    def _about(self, asked: Asked) -> Answer:
        read_query(asked.query, ())
        datasets = self.holdings.datasets()
        return _json(
            Status(OK), documents.about(self.lake.definitions, datasets, self.manner.contact), *datasets.values()
        )

    def _catalog(self, asked: Asked) -> Answer:
        depth = depth_of(read_query(asked.query, OF_CATALOG))
        datasets = self.holdings.datasets()
        return _json(Status(OK), documents.catalog(datasets, depth, self.manner.records), *datasets.values())

    def _info(self, asked: Asked) -> Answer:
        query = read_query(asked.query, OF_INFO)
        dataset = dataset_of(query, self.holdings.datasets())
        return _json(Status(OK), documents.info(dataset, fields_of(query, dataset), self.manner.records), dataset)

    def _data(self, asked: Asked) -> Answer:
        query = read_query(asked.query, OF_DATA)
        request = data_request(query, self.holdings.datasets(), self.manner.records)
        if not self._slots.acquire(blocking=False):
            raise Refusal(INTERNAL, "As many answers as may be are under way. Ask again in some seconds.", 503)
        try:
            body = Body(self.lake, request, self.manner.records)
        except BaseException:
            self._slots.release()
            raise
        self._open.inc()
        headers = _headers(body.status, MEDIA_TYPES[request.format], request.dataset)
        chunks = nothing() if asked.head else body.chunks()
        if asked.gzip and request.format != "binary":
            headers.append((b"content-encoding", b"gzip"))
            chunks = chunks if asked.head else gzipped(chunks)
        return Answer(200, Stream(headers, chunks, self.manner.seconds, partial(self._done, body)))

    def _done(self, body: Body, sent: int) -> None:
        body.close()
        pa.default_memory_pool().release_unused()  # or a server that waits keeps what its streams took
        self._slots.release()
        self._open.dec()
        self._sent.inc(sent)


def _opened(send: Send) -> Send:
    """The same for answers that programs in pages of any site may read."""

    async def opened(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *OPEN]
        await send(message)

    return opened


def _headers(status: Status, media_type: str, *datasets: Dataset) -> Headers:
    newest = max((day.published_at for dataset in datasets for day in dataset.days), default=None)
    known = [(b"last-modified", f"{newest:%a, %d %b %Y %H:%M:%S GMT}".encode())] if newest else []
    named = [(b"content-type", media_type.encode()), (REASON, status.reason.encode()), (b"vary", b"accept-encoding")]
    return [*known, *named, *([BUSY] if status.http_status == 503 else [])]


def _whole(status: Status, body: bytes, media_type: str, datasets: Iterable[Dataset] = ()) -> Answer:
    response = Response(body, status.http_status)
    response.raw_headers.extend(_headers(status, media_type, *datasets))
    return Answer(status.http_status, response)


def _json(status: Status, document: dict[str, Any] | None = None, *datasets: Dataset) -> Answer:
    """A document with its status before all else; the header says when one of the datasets was changed last."""
    text = json.dumps(status.document() | (document or {}))
    return _whole(status, text.encode(), "application/json", datasets)


def _moved(path: str, query: str) -> Answer:
    """To the same without the slash at its end; the path is one of ours."""
    target = f"{path}?{quote(query, safe='=&,:+%-._~')}" if query else path
    return Answer(301, Response(status_code=301, headers={"location": target}))
