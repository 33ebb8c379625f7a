# SPDX-License-Identifier: Apache-2.0
"""Answers over a real connection: the words of the status, streams that are cut, clients that go, limits."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

import pytest

from exports.hapi import data, rows
from exports.hapi.serving import Manner, application
from exports.hapi.streaming import Chunks
from lake.answers import Answers
from lake.errors import StorageError
from lake.health import Health
from lake.serving import Listen
from lake.store import Lake
from lake.web import serving
from tests.exports.hapi.conftest import DATASET
from tests.servers import wait_until

URL = f"/hapi/data?dataset={DATASET}&start=2024-09-16&stop=2024-09-18"
CHUNK = bytes(1 << 20)


@pytest.fixture
def address(toy: Lake) -> Iterator[tuple[str, int]]:
    """A server that makes two answers with data at a time, and waits a second for who takes nothing."""
    app = application(toy, Answers(toy), Health("hapi"), Manner(seconds=1.0, streams=2))
    with serving(app, Listen(port=0)) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        yield host, int(port)


@contextmanager
def opened(address: tuple[str, int], path: str = URL) -> Iterator[http.client.HTTPResponse]:
    """An answer whose body is still to be read; the connection is closed after the block."""
    connection = http.client.HTTPConnection(*address, timeout=20)
    with closing(connection):
        connection.request("GET", path)
        with connection.getresponse() as answer:
            yield answer


class Whole(NamedTuple):
    status: int
    reason: str
    headers: http.client.HTTPMessage
    body: bytes


def ask(address: tuple[str, int], path: str = URL) -> Whole:
    with opened(address, path) as answer:
        return Whole(answer.status, answer.reason, answer.headers, answer.read())


def endless(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Bodies without an end; the list tells when one was closed."""
    closed: list[str] = []

    def chunks(_: data.Body) -> Chunks:
        try:
            while True:
                yield CHUNK
        finally:
            closed.append("closed")

    monkeypatch.setattr(data.Body, "chunks", chunks)
    return closed


def test_the_first_line_says_the_status_of_hapi(address: tuple[str, int]) -> None:
    assert ask(address).reason == "OK; HAPI 1200 OK"
    unknown = ask(address, "/hapi/info?dataset=nothing")
    assert (unknown.status, unknown.reason) == (404, "Not Found; HAPI 1406 Bad request - unknown dataset id")
    assert "x-reason-phrase" not in unknown.headers


def test_a_stream_that_fails_has_no_end(
    address: tuple[str, int], toy: Lake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The second day cannot be read when the first was sent already."""
    read = rows.records
    failed = toy.definitions.tables["toy.box_l1_tick"]

    def reading(*arguments: object) -> Iterator[rows.Columns]:
        day = arguments[2]
        if getattr(day, "day", None).day == 17:
            raise StorageError(f"{failed.address}: the disk is gone")
        yield from read(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(data, "records", reading)
    with opened(address) as answer:
        assert answer.status == 200
        with pytest.raises(http.client.IncompleteRead) as cut:
            answer.read()
    assert len(cut.value.partial.splitlines()) == 3
    assert "the disk is gone" in caplog.text
    assert ask(address, "/hapi/catalog").status == 200


def test_a_failure_before_the_first_record_is_an_error(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def reading(*_: object) -> Iterator[rows.Columns]:
        raise StorageError("secret place: the disk is gone")

    monkeypatch.setattr(data, "records", reading)
    for _ in range(3):  # and takes no place from others
        answer = ask(address)
        assert (answer.status, answer.reason) == (500, "Internal Server Error; HAPI 1500 Internal server error")
        assert b"secret" not in answer.body


def test_only_so_many_streams_run_at_a_time(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    closed = endless(monkeypatch)
    with opened(address), opened(address):
        third = ask(address)
        assert (third.status, third.headers["retry-after"]) == (503, "5")
        assert ask(address, "/hapi/catalog").status == 200
    wait_until(lambda: closed == ["closed"] * 2)
    with opened(address) as again:
        assert again.status == 200


def test_a_client_that_goes_ends_its_stream(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    closed = endless(monkeypatch)
    with opened(address) as answer:
        assert len(answer.read(1000)) == 1000
        assert closed == []
    wait_until(lambda: closed == ["closed"])


def test_a_client_that_takes_nothing_is_cut_off(address: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not take is not made meanwhile, either."""
    closed = endless(monkeypatch)
    with socket.create_connection(address) as client:
        client.sendall(f"GET {URL} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        wait_until(lambda: closed == ["closed"])


def test_answers_at_the_same_time_do_not_mix(address: tuple[str, int]) -> None:
    expected = ask(address).body
    found: list[bytes] = []

    def work() -> None:
        while (answer := ask(address)).status == 503:
            pass
        found.append(answer.body)

    _at_once(work, 6)
    assert found == [expected] * 6


def _at_once(work: Callable[[], None], number: int) -> None:
    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_prometheus_reads_what_was_asked(address: tuple[str, int]) -> None:
    ask(address)
    ask(address, "/hapi/info?dataset=x")
    wait_until(lambda: b"swxlake_hapi_streams 0.0" in ask(address, "/metrics").body)
    text = ask(address, "/metrics").body.decode()
    assert 'swxlake_hapi_requests_total{kind="info",status="404"} 1.0' in text
    assert float(text.partition("\nswxlake_hapi_sent_bytes_total ")[2].split()[0]) > 0
