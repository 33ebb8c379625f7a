# SPDX-License-Identifier: Apache-2.0
"""A folder behind SSH as a source: cut transfers, lost connections, files that still grow."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.sources.sftp import SftpSource, open_sftp
from lake.errors import PathError, WayError
from lake.ways.settings import SftpWay
from tests.sftp_server import PASSWORD, SftpServer, sftp_server

CONTENT = bytes(range(256)) * 1200


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SftpServer]:
    monkeypatch.setenv("SWX_SFTP_PASSWORD", PASSWORD)
    with sftp_server(tmp_path / "moc", tmp_path / "state") as running:
        yield running


@pytest.fixture
def source(server: SftpServer) -> Iterator[SftpSource]:
    opened = open_sftp("moc", SftpWay(**server.way()))
    yield opened
    opened.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of the library, whose link is cut
def test_a_cut_transfer_is_tried_again_and_then_told(server: SftpServer, source: SftpSource, tmp_path: Path) -> None:
    (server.folder / "2024").mkdir()
    (server.folder / "2024/a.dat").write_bytes(CONTENT)
    assert [(found.path, found.bytes) for found in source.offered()] == [("2024/a.dat", len(CONTENT))]
    assert list(source.offered(frozenset({"none.dat"}))) == []
    server.running.say(cuts=1)
    assert source.fetch("2024/a.dat", tmp_path / "a") == hashlib.sha256(CONTENT).hexdigest()
    assert (tmp_path / "a").read_bytes() == CONTENT
    server.running.say(cuts=100_000)
    with pytest.raises(WayError, match=r"source moc: .*2024/a\.dat"):
        source.fetch("2024/a.dat", tmp_path / "b")
    assert not (tmp_path / "b").exists()
    server.running.say(more=-5)
    with pytest.raises(PathError, match="holds more bytes"):
        source.fetch("2024/a.dat", tmp_path / "b")


def test_a_lost_connection_is_told_and_the_next_round_connects_anew(
    server: SftpServer, source: SftpSource, tmp_path: Path
) -> None:
    (server.folder / "a.dat").write_bytes(CONTENT)
    assert len(list(source.offered())) == 1
    server.running.kill()
    with pytest.raises(WayError, match="source moc: sftp://"):
        list(source.offered())
    with sftp_server(server.folder, tmp_path / "state", port=server.running.port):
        assert [found.path for found in source.offered()] == ["a.dat"]


def test_waiting_for_news_ends_when_the_source_is_closed(source: SftpSource) -> None:
    threading.Timer(0.1, source.close).start()
    begun = time.monotonic()
    assert source.news(60) is None  # type: ignore[func-returns-value]
    assert time.monotonic() - begun < 20
