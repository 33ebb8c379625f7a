# SPDX-License-Identifier: Apache-2.0
"""Delivery by PUT, against a real server with TLS: who it is, who we are, and what it does to files on their way."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lake.errors import PathError, WayError
from lake.ways.settings import HttpsWay, open_way
from lake.ways.transport import Transport
from tests.upload_server import TOKEN, UploadServer, make_certificate, upload_server

MEGABYTE = bytes(range(256)) * 4096


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWX_HTTPS_TOKEN", TOKEN)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UploadServer]:
    folder = tmp_path_factory.mktemp("https")
    with upload_server(folder / "root", folder / "state") as running:
        yield running


@pytest.fixture
def server(shared: UploadServer) -> Iterator[UploadServer]:
    yield shared
    shared.running.say()


@pytest.fixture
def transport(server: UploadServer) -> Iterator[Transport]:
    with open_way("recipient sdac", HttpsWay(**server.way())) as opened:
        yield opened


def source(folder: Path, content: bytes = MEGABYTE) -> Path:
    (folder / "source").write_bytes(content)
    return folder / "source"


def test_a_wrong_certificate_gets_nothing(server: UploadServer, tmp_path: Path) -> None:
    other = make_certificate(tmp_path / "other.pem")
    for way in (server.way(ca_file=str(other)), server.way(ca_file=None)):
        with (
            open_way("recipient sdac", HttpsWay(**way)) as opened,
            pytest.raises(WayError, match=r"recipient sdac: .*certificate is not one that we trust"),
        ):
            opened.put("a.cdf", source(tmp_path))
    assert "/a.cdf" not in server.running.calls("put")


def test_a_wrong_token_is_not_repeated(server: UploadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWX_HTTPS_TOKEN", "hunter2")
    with open_way("recipient sdac", HttpsWay(**server.way())) as opened:
        with pytest.raises(WayError, match=r"the token is not accepted.*HTTP 401") as found:
            opened.put("a.cdf", source(tmp_path, b"x"))
        assert "hunter2" not in str(found.value)


@pytest.mark.parametrize(
    ("status", "words"),
    [(403, "is refused"), (413, "too large"), (422, "other bytes arrived"), (429, "pause"), (500, "failed"),
     (503, "failed"), (507, "is full"), (418, "is refused"), (206, "is refused")],
)  # fmt: skip
def test_an_answer_is_told_in_words(
    server: UploadServer, transport: Transport, tmp_path: Path, status: int, words: str
) -> None:
    server.running.say(status=status)
    with pytest.raises(WayError, match=rf"recipient sdac: https://.*/a.cdf: .*{words}.*\(HTTP {status}\)"):
        transport.put("a.cdf", source(tmp_path, b"x"))
    with pytest.raises(WayError, match=rf"HTTP {status}"):
        transport.size("a.cdf")


def test_nothing_is_sent_where_a_server_points_to(server: UploadServer, transport: Transport, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    with upload_server(elsewhere, tmp_path / "s", tls=False) as other:
        server.running.say(elsewhere=f"{other.way()['url']}/a.cdf")
        for attempt in (lambda: transport.put("a.cdf", source(tmp_path, b"x")), lambda: transport.sha256("a.cdf")):
            with pytest.raises(WayError, match=r"sends elsewhere \(307\)"):
                attempt()
        assert not (tmp_path / "s/calls.jsonl").read_text()


def test_a_server_that_spoils_bytes_is_found_out(server: UploadServer, transport: Transport, tmp_path: Path) -> None:
    server.running.say(spoil=True)
    transport.put("spoiled/a.cdf", source(tmp_path))
    assert transport.sha256("spoiled/a.cdf") != hashlib.sha256(MEGABYTE).hexdigest()


def test_a_server_that_lies_about_its_size_is_found_out(
    server: UploadServer, transport: Transport, tmp_path: Path
) -> None:
    transport.put("lied/a.cdf", source(tmp_path))
    server.running.say(more=7)
    with pytest.raises(WayError, match=r"gives other bytes than it says|hung up"):
        transport.sha256("lied/a.cdf")
    server.running.say()
    assert transport.sha256("lied/a.cdf") == hashlib.sha256(MEGABYTE).hexdigest()


def test_a_line_that_drops_leaves_no_file(server: UploadServer, transport: Transport, tmp_path: Path) -> None:
    server.running.say(drop_after=200_000)
    with pytest.raises(WayError, match=r"recipient sdac: .*dropped/a.cdf: .*(reached, or hung up|in time)"):
        transport.put("dropped/a.cdf", source(tmp_path))
    assert transport.size("dropped/a.cdf") is None
    transport.put("dropped/a.cdf", source(tmp_path))
    assert (server.folder / "dropped/a.cdf").read_bytes() == MEGABYTE


def test_a_server_that_does_not_answer_is_given_up(server: UploadServer, tmp_path: Path) -> None:
    with open_way("recipient sdac", HttpsWay(**server.way(seconds=0.3))) as opened:
        server.running.say(slow=1.0)
        with pytest.raises(WayError, match="no answer in time"):
            opened.put("slow/a.cdf", source(tmp_path, b"x"))


def test_nobody_at_the_port_is_said_in_words(tmp_path: Path) -> None:
    way = HttpsWay(url="http://127.0.0.1:1/in")
    with open_way("recipient sdac", way) as opened, pytest.raises(WayError, match="cannot be reached"):
        opened.put("a.cdf", source(tmp_path))


def test_no_proxy_and_no_netrc_comes_between(
    server: UploadServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password hunter2\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    with open_way("recipient sdac", HttpsWay(**server.way())) as opened:
        opened.put("netrc/a.cdf", source(tmp_path))
        assert opened.size("netrc/a.cdf") == len(MEGABYTE)


def test_nothing_is_logged_of_the_token(transport: Transport, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    transport.put("logged/a.cdf", source(tmp_path, b"x"))
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_server_that_trickles_is_given_up(server: UploadServer, tmp_path: Path, part: str) -> None:
    with open_way("recipient sdac", HttpsWay(**server.way(seconds=0.5))) as opened:
        opened.put(f"trickled/{part}", source(tmp_path, b"x"), replace=True)
        server.running.say(trickle=part)
        begun = time.monotonic()
        with pytest.raises(WayError, match=r"no answer in time|only \d+ bytes in 0.5 s"):
            opened.sha256(f"trickled/{part}")
        assert time.monotonic() - begun < 5


@pytest.mark.parametrize(("status", "of_all"), [(413, False), (422, False), (418, False), (401, True), (503, True)])
def test_some_answers_are_about_one_path(
    server: UploadServer, transport: Transport, tmp_path: Path, status: int, of_all: bool
) -> None:
    server.running.say(status=status)
    with pytest.raises(WayError) as found:
        transport.put("a.cdf", source(tmp_path, b"x"))
    assert isinstance(found.value, PathError) is not of_all
