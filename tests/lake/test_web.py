# SPDX-License-Identifier: Apache-2.0
"""What is served is served on this machine alone, with headers that keep browsers in, and ends when it is told to."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
import requests

from lake import web
from lake.errors import ConfigurationError
from lake.serving import Listen
from lake.web import serving

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that says one word."""
    del receive
    assert scope["type"] == "http"
    headers = [(b"content-type", b"text/plain"), (b"referrer-policy", b"origin")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


def test_an_application_answers_during_the_block_and_not_after() -> None:
    with serving(hello, Listen(port=0)) as address:
        assert address.startswith("http://127.0.0.1:")
        assert requests.get(address, timeout=5).text == "hello"
    with pytest.raises(requests.ConnectionError):
        requests.get(address, timeout=5)


def test_every_answer_has_the_headers_that_guard_it_and_keeps_its_own() -> None:
    with serving(hello, Listen(port=0)) as address:
        headers = requests.get(address, timeout=5).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "script-src" not in headers["content-security-policy"]  # no exception for scripts: only files of the site
    assert headers["referrer-policy"] == "origin"
    assert "server" not in headers


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} of 127.0.0.1: .* Give another port"):
            serving(hello, Listen(port=port)).__enter__()


def test_no_thread_is_left() -> None:
    before = threading.active_count()
    with serving(hello, Listen(port=0)) as address:
        requests.get(address, timeout=5)
    assert threading.active_count() == before


@contextmanager
def silent(address: str, number: int) -> Iterator[list[socket.socket]]:
    """Connections on which no header comes to its end; every other one has begun with it."""
    host, _, port = address.removeprefix("http://").partition(":")
    with ExitStack() as stack:
        found = [stack.enter_context(socket.create_connection((host, int(port)), timeout=10)) for _ in range(number)]
        for line in found[::2]:
            line.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        yield found


def ask_from(source: str, address: str) -> requests.Response:
    """An answer to a client at another address of this machine."""
    session = requests.Session()
    with session:
        adapter = session.get_adapter(address)
        assert isinstance(adapter, requests.adapters.HTTPAdapter)
        adapter.init_poolmanager(1, 1, source_address=(source, 0))
        return session.get(address, timeout=5)


def test_who_opens_many_connections_and_says_nothing_shuts_out_nobody_else() -> None:
    with serving(hello, Listen(port=0)) as address, silent(address, web.CONNECTIONS) as lines:
        assert len(lines) > web.OF_PEER
        refused = requests.get(address, timeout=5)
        assert refused.status_code == 503
        assert "Ask again" in refused.json()["error"]
        assert refused.headers["retry-after"] == "5"
        assert "default-src 'self'" in refused.headers["content-security-policy"]
        assert ask_from("127.0.0.2", address).text == "hello"


def test_connections_that_say_nothing_shut_the_server_for_seconds_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "HEADER_SECONDS", 0.3)
    with serving(hello, Listen(port=0)) as address, silent(address, web.CONNECTIONS):
        assert requests.get(address, timeout=5).status_code == 503
        for _ in range(100):
            if requests.get(address, timeout=5).status_code == 200:
                break
            time.sleep(0.05)
        else:
            pytest.fail("it answers no more")
