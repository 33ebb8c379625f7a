# SPDX-License-Identifier: Apache-2.0
"""A connection is kept as long as something comes of it: a header in time, an answer that is taken, however slowly."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from lake.connections import Limits, peer_of
from lake.web_server import server_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

MB = 1 << 20
LARGE = 24 * MB  # more than the buffers of two sockets hold
ASK = b"GET /%b HTTP/1.1\r\nHost: lake\r\n\r\n"


async def give(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that gives much at /large, the same piece by piece at /pieces, else one word."""
    del receive
    pieces = {"/large": [b"x" * LARGE], "/pieces": [b"x" * MB] * (LARGE // MB)}.get(scope["path"], [b"hello"])
    length = str(sum(len(piece) for piece in pieces)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@contextmanager
def served(most: int, **limits: Any) -> Iterator[int]:
    """The application with so many connections; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = server_of(give, listener, None, Limits("test", most, most, **limits))
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def asked(port: int, path: bytes = b"") -> Iterator[socket.socket]:
    """A connection on which was asked for a path, with little room for what comes."""
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        line.settimeout(10)
        line.connect(("127.0.0.1", port))
        line.sendall(ASK % path)
        yield line


def is_served(port: int) -> bool:
    try:
        with asked(port) as line:
            return line.recv(12) == b"HTTP/1.1 200"
    except ConnectionError:
        return False


def taken(line: socket.socket, pause: float) -> int:
    """How many bytes come, with a pause after each half of a megabyte."""
    found = since = 0
    while block := line.recv(65536):
        found += len(block)
        since += len(block)
        if since > LARGE // 12:
            since = 0
            time.sleep(pause)
    return found


@pytest.mark.parametrize("path", [b"large", b"pieces"])
def test_an_answer_that_is_taken_slowly_is_taken_whole(path: bytes) -> None:
    with served(2, header_seconds=0.1, stalled_seconds=0.7) as port, asked(port, path) as line:
        started = time.monotonic()
        assert taken(line, 0.08) > LARGE
        assert time.monotonic() - started > 0.8, "or nothing was tried"


@pytest.mark.parametrize("path", [b"large", b"pieces"])
def test_who_takes_nothing_gives_its_place_to_others(path: bytes) -> None:
    with served(1, header_seconds=0.1, stalled_seconds=0.1) as port, asked(port, path):
        deadline = time.monotonic() + 5
        while not is_served(port):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_connection_that_is_kept_open_is_closed_after_a_while() -> None:
    with served(1, header_seconds=0.2) as port, asked(port) as line:
        time.sleep(0.1)
        line.sendall(ASK % b"")
        found = b"".join(iter(lambda: line.recv(65536), b""))  # until it is closed
        assert found.count(b"HTTP/1.1 200") == 2


def test_addresses_of_one_network_are_one_client() -> None:
    assert peer_of("2001:db8::1") == peer_of("2001:db8::ffff:2") != peer_of("2001:db8:0:1::1")
    assert peer_of("192.0.2.1") != peer_of("192.0.2.2")


def test_handshakes_of_one_client_leave_room_for_others() -> None:
    limits = Limits("test", most=4, of_peer=3, told=4)
    of_one = ["one"] * 6
    assert not limits.is_room("one", of_one)
    assert limits.is_room("other", of_one)
    assert not limits.is_room("other", [*of_one, "a", "b"])
