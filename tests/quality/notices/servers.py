# SPDX-License-Identifier: Apache-2.0
"""Servers on loopback that notices are sent to: SMTP, HTTP that answers as it is told, one that never answers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

LOOPBACK = "127.0.0.1"


@dataclass
class Post:
    """A request that an HTTP server got: path, headers, JSON body, and how it was answered."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    status: int


@dataclass
class Web:
    """An HTTP server: answers with `statuses` one after the other, then with 200."""

    port: int
    statuses: list[int]
    posts: list[Post] = field(default_factory=list)

    @property
    def accepted(self) -> list[Post]:
        return [post for post in self.posts if post.status == 200]


@contextmanager
def web_server(statuses: Sequence[int] = (), port: int = 0) -> Iterator[Web]:
    web = Web(0, list(statuses))

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = web.statuses.pop(0) if web.statuses else 200
            web.posts.append(Post(self.path, dict(self.headers), body, status))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer((LOOPBACK, port), Answer)
    web.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Mail:
    """An SMTP server: the messages that it took, and the users and passwords that came."""

    port: int = 0
    messages: list[EmailMessage] = field(default_factory=list)
    logins: list[tuple[bytes, bytes]] = field(default_factory=list)

    async def handle_DATA(self, server: object, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)
        self.messages.append(message_from_bytes(content, policy=policy.default))  # type: ignore[arg-type]
        return "250 OK"


@contextmanager
def mail_server(password: str | None = None) -> Iterator[Mail]:
    """A server that wants this password, if one is given."""
    mail = Mail()

    def authenticate(_: object, session: object, envelope: object, mechanism: str, data: LoginPassword) -> AuthResult:
        mail.logins.append((data.login, data.password))
        known = data.password == (password or "").encode()
        return AuthResult(success=known, handled=known)  # what is not handled here the server refuses with 535

    options = {"auth_required": True, "auth_require_tls": False, "authenticator": authenticate} if password else {}
    controller = Controller(mail, hostname=LOOPBACK, port=free_port(), **options)
    mail.port = controller.port
    controller.start()
    try:
        yield mail
    finally:
        controller.stop()


@contextmanager
def silent_server() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server((LOOPBACK, 0), backlog=16) as listening:
        yield listening.getsockname()[1]


@dataclass
class Drip:
    """An HTTP server that is never done: a byte of its answer after each pause. How many requests it got."""

    port: int = 0
    requests: int = 0


@contextmanager
def dripping_server(pause: float = 0.02) -> Iterator[Drip]:
    drip, closing = Drip(), threading.Event()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            drip.requests += 1
            self.wfile.write(b"HTTP/1.1 503 Busy\r\nX-Drip: ")
            while not closing.wait(pause):
                self.wfile.write(b"b")
            self.wfile.write(b"\r\nContent-Length: 0\r\n\r\n")

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer((LOOPBACK, 0), Answer)
    drip.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield drip
    finally:
        closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server((LOOPBACK, 0)) as listening:
        return int(listening.getsockname()[1])
