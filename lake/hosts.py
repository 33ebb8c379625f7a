# SPDX-License-Identifier: Apache-2.0
"""Whom a request is meant for: a page of another site must not read this one by a name that it points here."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

from lake.serving import Listen

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Hosts:
    """An application that answers only to some names of its host; to any if `names` is None, as with TLS, where the
    browser compares the name with the certificate."""

    def __init__(self, app: ASGIApp, names: frozenset[str] | None) -> None:
        self.app, self.names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or say that the request is misdirected (421)."""
        given = [value for name, value in scope.get("headers", ()) if name == b"host"]
        if (
            scope["type"] == "http"
            and self.names is not None
            and not (len(given) == 1 and name_of(given[0]) in self.names)
        ):
            text = "The Host header names another host. Use the address that the server printed."
            refusal = JSONResponse({"error": text}, HTTPStatus.MISDIRECTED_REQUEST)
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, send)


def names_of(listen: Listen) -> frozenset[str] | None:
    """The names of a server that listens there: this machine's own, or any with TLS."""
    return None if listen.certificate else LOOPBACK | {listen.host.lower()}


def name_of(host: bytes) -> str:
    """The name in a Host header, without its port."""
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]
