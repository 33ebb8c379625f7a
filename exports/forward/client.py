# SPDX-License-Identifier: Apache-2.0
"""A client of the packet server: takes packets, confirms them, comes back when the line was cut.

It is also what to read before writing one in another language; docs/how-to/forward-packets.md describes the line.
"""

from __future__ import annotations

import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exports.forward.standing import WINDOW
from exports.forward.wire import LONGEST_LINE, Frame, FrameReader, Hello, WireError, line, read_line
from lake.errors import ConfigurationError, WayError

CONNECT_SECONDS = 10.0
CONFIRM_SECONDS, CONFIRM_PACKETS = 0.2, 100  # whichever is reached first: what is not confirmed comes again
PAUSES = 0.1, 0.5, 1.0, 2.0, 5.0, 10.0  # before the next attempts to connect; the last one from then on
SILENCES = 3  # signs of life that may be missed before the line is taken for dead
LEAVE_SECONDS = 5.0  # for the server to take what was confirmed last
RECEIVE_BYTES = 1 << 16
log = logging.getLogger(__name__)


class LineBrokenError(Exception):
    """The line is gone; the next attempt may have more luck."""


@dataclass(frozen=True)
class Address:
    """Where the server is, and by which certificates both are known. Without `tls` the line is open to all."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    def connect(self) -> socket.socket:
        """A line to it. Raises LineBrokenError."""
        try:
            plain = socket.create_connection((self.host, self.port), CONNECT_SECONDS)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return self.tls.wrap_socket(plain, server_hostname=self.host) if self.tls else plain
        except OSError as error:
            raise LineBrokenError(error.strerror or str(error)) from None


def tls_context(ca_file: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """TLS with the server's certificate verified, and our own if it asks for one. Raises ConfigurationError."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except OSError as error:  # an SSLError is one, too
        where = ", ".join(str(path) for path in (ca_file, certificate, key) if path is not None)
        reason = getattr(error, "reason", None) or error.strerror
        raise ConfigurationError(f"{where}: no certificates that fit ({reason}). Correct them.") from None
    return context


class Subscription:
    """Packets of one client, over as many connections as it takes. Each id is given once.

    `take` is called with each packet, and `settle` before what was taken is confirmed; what was not comes again.
    `stop` waits for so many seconds and says whether to stop; without it there is no end.
    """

    def __init__(
        self,
        address: Address,
        hello: Mapping[str, Any],
        take: Callable[[Frame], object],
        settle: Callable[[], object] = lambda: None,
        stop: Callable[[float], bool] | None = None,
    ) -> None:
        self.address, self.hello, self.take, self.settle = address, dict(hello), take, settle
        self.stop = stop or threading.Event().wait
        self.connections = self.packets = self.repeated = 0
        self.unreadable: list[str] = []
        self.cursor = ""
        self._seen: dict[str, None] = {}
        self._confirmed, self._open, self._since = "", 0, 0.0

    def run(self) -> str:
        """Take packets until the server says that there are no more, or `stop` says so; why it ended.

        Raises WayError if the server refuses the client for good; where it is full, there are further attempts.
        """
        attempt = 0
        while True:
            before = self.packets
            try:
                with closing(self.address.connect()) as connection:
                    return self._stay(connection)
            except (LineBrokenError, WireError) as error:
                attempt = 0 if self.packets > before else attempt + 1
                pause = PAUSES[min(attempt, len(PAUSES) - 1)]
                log.warning("%s:%d: %s. Again in %g s", self.address.host, self.address.port, ascii(str(error)), pause)
            if self.stop(pause):
                return "stopped"

    def _stay(self, connection: socket.socket) -> str:
        """Take what comes over one line; why it ended. Raises LineBrokenError if it broke."""
        welcome, rest = self._greet(connection)
        self.connections += 1
        self.cursor = str(welcome["cursor"])
        self._confirmed, self._open, self._since = self.cursor, 0, time.monotonic()
        for frame in self._frames(connection, rest, float(welcome["keepalive_seconds"]) * SILENCES):
            if frame is None or frame.kind == "alive":
                self.cursor = frame.cursor if frame else self.cursor
                self._confirm(connection, always=frame is not None)
            elif frame.kind == "packet":
                self._packet(frame)
                self._confirm(connection)
            elif frame.kind == "unreadable":
                self.unreadable.append(str(frame.header.get("detail"))[:1000])
                self.cursor = frame.cursor
            elif frame.kind == "end":
                return self._ended(connection, frame)
            if self.stop(0):
                self._confirm(connection, always=True)
                _leave(connection)
                return "stopped"
        raise LineBrokenError("the server has gone")

    def _greet(self, connection: socket.socket) -> tuple[dict[str, Any], bytes]:
        """The server's answer, and what came behind it. Raises WayError if it refuses, LineBrokenError if
        it does so for now.
        """
        _send(connection, line(self._again()))
        connection.settimeout(CONNECT_SECONDS)
        octets = b""
        while b"\n" not in octets:
            octets += _received(connection) or b""
            if len(octets) > LONGEST_LINE + RECEIVE_BYTES:
                raise WireError("the answer is no line")
        answer, _, rest = octets.partition(b"\n")
        welcome = read_line(answer)
        if welcome.get("accepted") is not True:
            why = ascii(str(welcome.get("error"))[:500])
            if welcome.get("again") is True:
                raise LineBrokenError(f"has no place now ({why})")
            raise WayError(f"{self.address.host}:{self.address.port}: refuses ({why}). Correct what it names.")
        return welcome, rest

    def _again(self) -> dict[str, Any]:
        """The greeting; a reading that the server keeps no cursor for goes on where it was cut."""
        kept = not self.cursor or Hello.model_validate(self.hello).moves_cursor
        return self.hello if kept else self.hello | {"after": self.cursor}

    def _frames(self, connection: socket.socket, rest: bytes, silence: float) -> Iterator[Frame | None]:
        """Frames as they come; None now and then while there are none. Ends with the line."""
        reader, heard = FrameReader(bytearray()), time.monotonic()
        connection.settimeout(CONFIRM_SECONDS)
        octets: bytes | None = rest
        while True:
            if octets:
                heard = time.monotonic()
                yield from reader.feed(octets)
            if time.monotonic() - heard > silence:
                raise LineBrokenError(f"no sign of life for {silence:g} s")
            octets = _received(connection, patient=True)
            if octets is None:
                yield None
            elif not octets:
                return

    def _packet(self, frame: Frame) -> None:
        """Hand a packet on, unless it was here before."""
        name = str(frame.header.get("id"))
        if name in self._seen:
            self.repeated += 1
        else:
            self.take(frame)
            self.packets += 1
            self._seen[name] = None
            if len(self._seen) > 2 * WINDOW:  # no more than a window comes again
                self._seen.pop(next(iter(self._seen)))
        self.cursor = frame.cursor
        self._open += 1

    def _confirm(self, connection: socket.socket, always: bool = False) -> None:
        """Confirm what was taken, together with what follows it closely."""
        due = self._open >= CONFIRM_PACKETS or time.monotonic() - self._since >= CONFIRM_SECONDS
        if always or (due and self.cursor != self._confirmed):
            self.settle()
            _send(connection, line({"ack": self.cursor}))
            self._confirmed, self._open, self._since = self.cursor, 0, time.monotonic()

    def _ended(self, connection: socket.socket, frame: Frame) -> str:
        if frame.header.get("again"):
            raise LineBrokenError(str(frame.header.get("reason"))[:200])
        self.cursor = frame.cursor
        self._confirm(connection, always=True)
        _leave(connection)
        return str(frame.header.get("reason"))[:200]


def _send(connection: socket.socket, octets: bytes) -> None:
    try:
        connection.sendall(octets)
    except OSError as error:
        raise LineBrokenError(error.strerror or str(error)) from None


def _leave(connection: socket.socket) -> None:
    """Say that there is no more to come, and wait for the server to have heard all: a line that is closed with bytes
    unread is cut, and what was confirmed last may be lost with it.
    """
    connection.settimeout(LEAVE_SECONDS)
    try:
        if isinstance(connection, ssl.SSLSocket):
            connection.unwrap()
            return
        connection.shutdown(socket.SHUT_WR)
        until = time.monotonic() + LEAVE_SECONDS
        while time.monotonic() < until and connection.recv(RECEIVE_BYTES):
            pass
    except OSError:  # it has hung up already
        return


def _received(connection: socket.socket, patient: bool = False) -> bytes | None:
    """What comes next, empty at the end; None if nothing came in time and we are patient. Raises LineBrokenError."""
    try:
        octets = connection.recv(RECEIVE_BYTES)
    except TimeoutError:
        if patient:
            return None
        raise LineBrokenError("no answer in time") from None
    except OSError as error:
        raise LineBrokenError(error.strerror or str(error)) from None
    if not octets and not patient:
        raise LineBrokenError("the server has hung up without an answer")
    return octets


def printed(frame: Frame) -> None:
    """Print a packet as a line of JSON, its bytes in hex."""
    print(json.dumps(frame.header | {"data": frame.data.hex()}), flush=True)
