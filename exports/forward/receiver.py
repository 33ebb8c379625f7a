# SPDX-License-Identifier: Apache-2.0
"""A receiver of webhooks that does what each should: verify, drop what came before, keep, and only then say so.

A message is kept as `<webhook-id>.json`, as it came, and the packets in it as `<webhook-id>.pkts`, one behind the
other. Another message under the same id is kept beside it. What is not signed with a secret of ours, is older than five
minutes or from the future is refused with 401.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook as Signer
from standardwebhooks import WebhookVerificationError

from exports.forward.request_places import Places
from exports.forward.webhooks import TYPE, checked_secret
from lake.errors import ConfigurationError, StorageError, WayError
from lake.files import finished, reading, temporary, writing
from lake.serving import Listen
from lake.ways.names import hung_up_after
from lake.ways.settings import secret

MOST_BYTES = 4 << 20  # of a message; ours have 1.4 MB and what is known of 500 packets, unless told otherwise
MOST_TOGETHER = 32 << 20  # of the messages that are being received: who sent them is known when they are here
HEADER_SECONDS, BODY_SECONDS = 10.0, 10.0  # for TLS, request line and headers; for a body, however it trickles, and
LEAST_BYTES_PER_SECOND = 65_536  # more for a large one: what comes more slowly is hung up on
BUSY = b"HTTP/1.0 503 Busy\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,127}")  # of a message, since it becomes that of a file
FILE_MODE = 0o644

log = logging.getLogger(__name__)


def receive(
    listen: Listen, variables: Sequence[str], out: Path, stop: threading.Event, told: Callable[[int], object] = int
) -> None:
    """Receive until `stop` is set; `told` hears the port. `variables` of the environment hold the secrets.

    Raises ConfigurationError if there is no such secret, no such folder, or the address cannot be had.
    """
    try:
        keys = [checked_secret(name, secret("receiver", name, None) or "") for name in variables]
    except WayError as error:
        raise ConfigurationError(str(error)) from None
    with receiving(listen, keys, out) as number:
        told(number)
        stop.wait()


@contextmanager
def receiving(listen: Listen, keys: Sequence[str], out: Path) -> Iterator[int]:
    """A receiver for the block; its port. Raises ConfigurationError."""
    if not out.is_dir():
        raise ConfigurationError(f"{out}: is no folder. Make it, or name another one.")
    if not keys:
        raise ConfigurationError("a receiver without a secret could not tell what is forged. Name one.")
    with _server(listen, keys, out) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def _server(listen: Listen, keys: Sequence[str], out: Path) -> _Server:
    context = listen.context()
    try:
        server = _Server((listen.host, listen.port), partial(_Message, _Desk(tuple(keys), out)))
    except OSError as error:
        raise ConfigurationError(
            f"{listen.host}:{listen.port}: cannot be listened to ({error.strerror}). Choose another one."
        ) from None
    if context is not None:  # the handshake is made in the thread of the connection
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return server


class _Server(ThreadingHTTPServer):
    """A thread for each request, and no more of them than are good for this machine."""

    daemon_threads = True
    request_queue_size = 128  # that wait to be accepted; the system puts off the others for seconds

    def __init__(self, address: tuple[str, int], handler: Callable[..., BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.places = Places()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a request, if there is a place for it."""
        if self.places.take(request, client_address[0]):
            super().process_request(request, client_address)
            return
        log.warning("refused %s: too many requests at once", client_address[0])
        if not isinstance(request, ssl.SSLSocket):  # with which nothing is agreed on yet
            request.setblocking(False)
            with suppress(OSError):
                request.send(BUSY)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a request in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.places.leave(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is no news; what is wrong in here is."""
        log.info("a connection from %s broke", client_address[0], exc_info=True)


class _Room:
    """Bytes that may be held at once by all requests together."""

    def __init__(self, free: int) -> None:
        self.free, self.lock = free, threading.Lock()

    @contextmanager
    def of(self, size: int) -> Iterator[bool]:
        """Whether there is room for so many bytes; it is kept for the block."""
        with self.lock:
            fits = size <= self.free
            self.free -= size * fits
        try:
            yield fits
        finally:
            with self.lock:
                self.free += size * fits


@dataclass(frozen=True)
class _Desk:
    """What all requests share: secrets, the folder, room for bodies, and one turn at a time to keep a message."""

    keys: tuple[str, ...]
    out: Path
    room: _Room = field(default_factory=lambda: _Room(MOST_TOGETHER))
    turn: threading.Lock = field(default_factory=threading.Lock)


class _Message(BaseHTTPRequestHandler):
    """One request."""

    timeout = HEADER_SECONDS
    server_version, sys_version = "swxlake", ""
    server: _Server

    def __init__(self, desk: _Desk, *rest: Any) -> None:
        self.desk, self.limit = desk, ExitStack()
        super().__init__(*rest)

    def handle(self) -> None:
        """Serve it, or hang up when it takes too long."""
        with suppress(TimeoutError, ConnectionError), self.limit:
            self._hurry(HEADER_SECONDS)
            super().handle()

    def _hurry(self, seconds: float) -> None:
        """Hang up after so long from now on. Raises TimeoutError if that has been done."""

        def hang_up() -> None:
            with suppress(OSError):
                socket.socket.shutdown(self.connection, socket.SHUT_RDWR)

        self.limit.close()
        self.limit.enter_context(hung_up_after(seconds, hang_up))

    def do_POST(self) -> None:
        """Take a message."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self._answer(411, "no length")
        elif len(length) > 12 or int(length) > MOST_BYTES:
            self._answer(413, f"more than {MOST_BYTES} bytes")
        else:
            self._hurry(BODY_SECONDS + int(length) / LEAST_BYTES_PER_SECOND)
            with self.desk.room.of(int(length)) as fits:
                self._answer(*self._received(int(length)) if fits else (503, "too much at once"))

    def _received(self, length: int) -> tuple[int, str]:
        body = self.rfile.read(length)
        if len(body) < length:
            return 400, "cut short"
        self.server.places.is_whole(self.connection)
        return self._judged(body)

    def _judged(self, body: bytes) -> tuple[int, str]:
        try:
            body.decode()  # what is signed is text
        except UnicodeDecodeError:
            return 400, "is not UTF-8"
        headers = {name.lower(): value for name, value in self.headers.items()}
        if not is_genuine(self.desk.keys, headers, body):
            return 401, "not signed by whom we know, or not now"
        name = headers["webhook-id"]  # the one that is signed, should there be two
        return self._kept(name, body) if NAME.fullmatch(name) else (400, "has an id that we give no file")

    def _kept(self, name: str, body: bytes) -> tuple[int, str]:
        try:
            with self.desk.turn:
                return (204, f"{name} taken") if keep(self.desk.out, name, body) else (200, f"{name} was here before")
        except StorageError as error:
            log.error("%s", error)
            return 500, "cannot be kept now"
        except (ValueError, RecursionError):
            return 400, "is no message that we understand"

    def _answer(self, status: int, words: str) -> None:
        log.info("%s from %s: %d %s", self.command, self.client_address[0], status, words)
        self.send_response(status)
        if status != 204:  # which has no content
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the standard library's name
        """Nothing: `_answer` logs, and no words of others."""


def is_genuine(keys: Sequence[str], headers: dict[str, str], body: bytes) -> bool:
    """Whether a message was signed with one of the secrets, within the last five minutes.

    The library compares in constant time, and raises ValueError for what is no base64, no UTF-8, or lacks a comma.
    """
    for key in keys:
        with suppress(WebhookVerificationError, ValueError):
            Signer(key).verify(body, headers, json_parse=False)
            return True
    return False


def keep(out: Path, name: str, body: bytes) -> bool:
    """Write a message and the packets in it; False if it is there already. It is on disk when this returns.

    Another message under an id that is there gets a name of its own, with the beginning of its sha256.

    Raises ValueError or RecursionError if it is no message, StorageError if it cannot be written.
    """
    if not out.is_dir():  # a disk that is not mounted any more is not written beside
        raise StorageError(f"{out}: is no folder any more. Mount the disk.")
    kept = out / f"{name}.json"
    if kept.exists() and not _holds(kept, body):
        other = f"{name}.{hashlib.sha256(body).hexdigest()[:16]}"
        log.warning("%s: the id of another message is used once more, which is kept as %s.json", name, other)
        name, kept = other, out / f"{other}.json"
    if kept.exists():
        return False
    content = json.loads(body)
    if not isinstance(content, dict):
        raise ValueError("is no object")
    if content.get("type") == TYPE:
        _write(out / f"{name}.pkts", packets_of(content))
    _write(kept, body)  # last, since it says that the packets are there
    return True


def _holds(path: Path, content: bytes) -> bool:
    with reading(path):
        return path.stat().st_size == len(content) and path.read_bytes() == content


def packets_of(content: dict[str, Any]) -> bytes:
    """The packets of a message, one behind the other. Raises ValueError if there are none."""
    try:
        packets = content["data"]["packets"]
        return b"".join(base64.b64decode(packet["data"], validate=True) for packet in packets)
    except (KeyError, TypeError):
        raise ValueError("has no packets") from None


def _write(target: Path, content: bytes) -> None:
    with writing(target), temporary(target) as (part, file):
        file.write(content)
        finished(file, FILE_MODE)
        part.replace(target)
