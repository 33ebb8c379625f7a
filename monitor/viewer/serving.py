# SPDX-License-Identifier: Apache-2.0
"""The server of the viewer: the site, and what its pages of channels zoom to. Nothing is ever written.

/                       files of the site
/api/channels           tables and channels; ?table=
/api/series             a channel at the level that fits; ?table=&channel=&start=&stop=[&points=]
/api/rows               rows as they are; ?table=&columns=&start=&stop=[&limit=]
/api/status             the site's status.json
/metrics                of the lake, as the last build of the site left them, of the machine, and of this service
/health, /health.json   whether the lake answers; not behind those who ask for data
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from lake.answers import Answers
from lake.errors import LimitError, QueryError, StorageError, SwxlakeError, TimeLimitError
from lake.health import Health
from lake.hosts import LOOPBACK, Hosts
from lake.store import Lake
from monitor.site import places
from monitor.viewer.answering import answer_channels, answer_rows, answer_series
from monitor.viewer.asking import RETRY_SECONDS, Desk
from monitor.viewer.questions import UnknownError, rows_asked, series_asked, table_asked
from monitor.viewer.site_files import site_file

if TYPE_CHECKING:
    from starlette.types import ASGIApp

log = logging.getLogger(__name__)

METRICS = "text/plain; version=0.0.4; charset=utf-8"  # Prometheus' text format 0.0.4
SERVED = "assets/viewer-served.js"  # where the static site says that nobody answers below api/

Endpoint = Callable[[Request], Awaitable[Response]]


class Server:
    """The endpoints over one lake."""

    def __init__(self, lake: Lake, answers: Answers, health: Health, desk: Desk | None = None) -> None:
        self.lake, self.answers, self.health, self.desk = lake, answers, health, desk or Desk()
        self.health_desk = Desk(at_once=1)  # whoever asks whether the lake answers waits for none who asks it for data
        self.requests = health.counter("requests_total", "Answers that were given", ("status",))

    @property
    def routes(self) -> list[Route]:
        """Paths with what answers them; all are for GET and HEAD alone."""
        found: dict[str, Endpoint] = {
            "/api/series": self.series,
            "/api/rows": self.rows,
            "/api/channels": self.channels,
            "/api/status": self.status,
            "/metrics": self.metrics,
            "/health": self.well,
            "/health.json": self.well,
            f"/{SERVED}": self.served,
            "/{path:path}": self.file,
        }
        return [Route(path, partial(self._guarded, endpoint), methods=["GET"]) for path, endpoint in found.items()]

    async def series(self, request: Request) -> Response:
        """A channel over a time."""
        asked = series_asked(self.lake.definitions, request.query_params.multi_items())
        return await self._json(request, lambda: answer_series(self.answers, asked))

    async def rows(self, request: Request) -> Response:
        """Rows over a time."""
        asked = rows_asked(self.lake.definitions, request.query_params.multi_items())
        return await self._json(request, lambda: answer_rows(self.answers, asked))

    async def channels(self, request: Request) -> Response:
        """Tables and channels."""
        only = table_asked(self.lake.definitions, request.query_params.multi_items())
        return await self._json(request, lambda: answer_channels(self.lake.definitions, only))

    async def status(self, request: Request) -> Response:
        """What the site last said of the lake."""
        del request
        key = places.SITE + places.STATUS
        body = await run_in_threadpool(self.lake.storage.read, key)
        return Response(body, media_type="application/json", headers={"Cache-Control": "no-cache"})

    async def metrics(self, request: Request) -> Response:
        """Metrics for Prometheus: of the lake, if a site was built, of the machine, and of this service."""
        del request
        body = await run_in_threadpool(self._metrics)
        return Response(body, headers={"Content-Type": METRICS, "Cache-Control": "no-store"})

    async def well(self, request: Request) -> Response:
        """Whether the lake answers."""
        await self.health_desk.ask(request, lambda: self.answers.ask("SELECT 1"))
        if request.url.path == "/health":
            return PlainTextResponse("ok\n", headers={"Cache-Control": "no-store"})
        return _said(
            {
                "service": self.health.service,
                "state": "well",
                "started_at": f"{self.health.started_at:%Y-%m-%dT%H:%M:%SZ}",
            }
        )

    async def served(self, request: Request) -> Response:
        """Tells the pages that they may ask below api/."""
        del request
        return Response(b'window.swxlakeApi = "api/";\n', media_type="text/javascript; charset=utf-8")

    async def file(self, request: Request) -> Response:
        """A file of the site."""
        return await site_file(self.lake.storage, request)

    async def _json(self, request: Request, question: Callable[[], dict[str, Any]]) -> Response:
        return _body(await self.desk.ask(request, lambda: json.dumps(question(), allow_nan=False).encode()))

    async def _guarded(self, endpoint: Endpoint, request: Request) -> Response:
        """The answer, or what went wrong as JSON with what to do; never a traceback."""
        try:
            answer = await endpoint(request)
        except HTTPException as refusal:
            answer = _said({"error": refusal.detail}, refusal.status_code, dict(refusal.headers or {}))
        except SwxlakeError as error:
            status = _status(error)
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                log.warning("viewer path=%r status=%d error=%r", request.url.path[:200], status, str(error)[:300])
            answer = _said({"error": str(error) if isinstance(error, QueryError) else _PRIVATE}, status, _retry(status))
        self.requests.labels(str(answer.status_code)).inc()
        return answer

    def _metrics(self) -> bytes:
        from monitor.metrics import machine_metrics  # noqa: PLC0415  whoever looks at pages alone does without it

        storage, key = self.lake.storage, places.SITE + places.METRICS
        left = b"" if storage.size(key) is None else storage.read(key)
        return left + machine_metrics(self.lake.root) + self.health.exposition()


_PRIVATE = "The lake cannot be read now. Look into the server's log, or ask again later."


def application(
    lake: Lake,
    answers: Answers,
    health: Health,
    hosts: frozenset[str] | None = LOOPBACK,
    desk: Desk | None = None,
) -> ASGIApp:
    """The application that serves the site and answers below /api, to clients that call it by one of `hosts`."""
    server = Server(lake, answers, health, desk)
    handlers: dict[Any, Any] = {HTTPException: _refused, HTTPStatus.INTERNAL_SERVER_ERROR: _broken}
    return Hosts(Starlette(routes=server.routes, exception_handlers=handlers), hosts)


async def _refused(request: Request, refusal: Exception) -> Response:
    """What no endpoint saw, such as another method."""
    del request
    status = refusal.status_code if isinstance(refusal, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
    text = "Only GET and HEAD are answered: nothing can be written here."
    headers = dict(getattr(refusal, "headers", None) or {})
    return _said(
        {"error": text if status == HTTPStatus.METHOD_NOT_ALLOWED else "There is nothing here."}, status, headers
    )


async def _broken(request: Request, error: Exception) -> Response:
    log.error("viewer path=%r error=%r", request.url.path[:200], error)
    return _said({"error": "The server failed. Look into its log."}, HTTPStatus.INTERNAL_SERVER_ERROR)


def _status(error: SwxlakeError) -> int:
    if isinstance(error, TimeLimitError):
        return HTTPStatus.GATEWAY_TIMEOUT
    if isinstance(error, LimitError):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    if isinstance(error, UnknownError):
        return HTTPStatus.NOT_FOUND
    if isinstance(error, QueryError):
        return HTTPStatus.BAD_REQUEST
    return HTTPStatus.SERVICE_UNAVAILABLE if isinstance(error, StorageError) else HTTPStatus.INTERNAL_SERVER_ERROR


def _retry(status: int) -> dict[str, str]:
    return {"Retry-After": str(RETRY_SECONDS)} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}


def _said(content: dict[str, Any], status: int = HTTPStatus.OK, headers: dict[str, str] | None = None) -> Response:
    return _body(json.dumps(content).encode(), status, headers or {})


def _body(body: bytes, status: int = HTTPStatus.OK, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status, {"Cache-Control": "no-store", **(headers or {})}, "application/json")
