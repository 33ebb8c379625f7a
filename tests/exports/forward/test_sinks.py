# SPDX-License-Identifier: Apache-2.0
"""Packets as files in a bucket and behind SFTP: whole, verified, and the same at each try."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exports.forward.nouns import Answer, Batch, Sink
from exports.forward.settings import Client
from exports.forward.sinks import files_of, open_sink
from lake.storage_s3 import Bucket
from tests.exports.forward.stage import packet
from tests.sftp_server import PASSWORD, SftpServer, sftp_server

BATCH = Batch("a", (packet(1, 1), packet(1, 2)))
OTHER = Batch("a", (packet(1, 2),))


def sink(**way: object) -> Sink:
    return open_sink("a", Client.model_validate(way))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SftpServer]:
    monkeypatch.setenv("SWX_SFTP_PASSWORD", PASSWORD)
    with sftp_server(tmp_path / "remote", tmp_path / "state") as running:
        yield running


def test_the_same_packets_have_the_same_names_and_others_have_other_names() -> None:
    again = Batch("another client", BATCH.packets, again="a replay")
    assert files_of(BATCH) == files_of(again)
    assert {name for name, _ in files_of(BATCH)}.isdisjoint(name for name, _ in files_of(OTHER))


def test_a_bucket_gets_each_file_once(s3_root: str) -> None:
    there = sink(s3={"address": s3_root})
    assert [there.send(batch) for batch in (BATCH, BATCH, OTHER)] == [Answer(taken=True)] * 3
    bucket = Bucket(s3_root)
    assert {entry.key for entry in bucket.entries("")} == {name for one in (BATCH, OTHER) for name, _ in files_of(one)}
    assert all(bucket.read(name) == content for name, content in files_of(BATCH))


def test_a_server_that_drops_the_line_gets_the_file_at_the_next_try(server: SftpServer) -> None:
    there = sink(sftp=server.way())
    server.running.say(drop_after=5)
    assert "broke off" in there.send(BATCH).reason
    server.running.say()
    assert there.send(BATCH).taken
    there.close()
    found = {path.name: path.read_bytes() for path in server.folder.iterdir() if path.is_file()}
    assert found == dict(files_of(BATCH))


def test_other_bytes_under_our_name_are_told_and_not_replaced(tmp_path: Path) -> None:
    (name, _), _ = files_of(BATCH)
    (tmp_path / name).write_bytes(b"theirs")
    answer = sink(folder={"path": str(tmp_path)}).send(BATCH)
    assert f"{name} has other bytes" in answer.reason
    assert (tmp_path / name).read_bytes() == b"theirs"
