# SPDX-License-Identifier: Apache-2.0
"""A bucket as a source: whatever becomes of its events, everything in it is offered, and events are put away."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest

from ingest.sources.bucket import BucketSource, open_bucket
from ingest.sources.nouns import News
from lake import queues
from lake.errors import PathError, WayError
from lake.ways.settings import S3Way
from tests.s3_server import Faults, Server, environment
from tests.servers import wait_until

KEYS = ("plain.dat", "2024/a b.dat", "2024/a+b.dat", "ü/%41.dat", "2024/x=1&y.dat")
RUBBISH = ("rubbish", json.dumps({"Records": [{"s3": None}]}), json.dumps({"hello": "world"}))


@cache
def clients() -> tuple[Any, Any]:
    return boto3.client("s3"), boto3.client("sqs")


@dataclass
class Feed:
    """A bucket, the queue of its events, and the source at `in/`."""

    bucket: str
    url: str
    source: BucketSource
    got: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.s3, self.sqs = clients()

    def put(self, key: str, body: bytes) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=f"in/{key}", Body=body, ChecksumAlgorithm="SHA256")

    def bodies(self) -> list[str]:
        """All messages, which are taken out."""
        found: list[str] = []
        while messages := self.sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(message["Body"])
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return found

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def counts(self) -> tuple[int, int]:
        """Messages in sight, and those out of sight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def follow(self, folder: Path, left: tuple[int, int]) -> None:
        """Work on all news until these messages are left, then sweep, as whoever lands files does."""

        def done() -> bool:
            if (news := self.source.news(0.1)) is not None:
                self.take(folder, news.paths)
                self.source.dealt_with(news)
            return self.counts() == left

        wait_until(done, 60)
        self.take(folder, None)

    def take(self, folder: Path, paths: frozenset[str] | None) -> None:
        for found in self.source.offered(paths):
            target = folder / hashlib.sha256(f"{found.path}{len(list(folder.iterdir()))}".encode()).hexdigest()
            self.got[found.path] = self.source.fetch(found.path, target)


@pytest.fixture
def feed(moto: Server) -> Iterator[Feed]:
    with environment(moto.environment):
        bucket = moto.make_bucket()
        url = moto.make_queue(bucket, "in/")
        source = open_bucket("moc", S3Way(address=f"s3://{bucket}/in"), url)
        yield Feed(bucket, url, source)
        source.close()


def of_others(body: str) -> str:
    return body.replace('"name": "lake-', '"name": "other-')


def in_sns(body: str) -> str:
    return json.dumps({"Type": "Notification", "Message": body})


def test_whatever_becomes_of_events_the_end_is_the_same(feed: Feed, tmp_path: Path) -> None:
    for key in KEYS:
        feed.put(key, b"first")
    feed.put("plain.dat", b"second")
    feed.put("gone.dat", b"x")
    feed.s3.delete_object(Bucket=feed.bucket, Key="in/gone.dat")
    test, *bodies = feed.bodies()
    assert "s3:TestEvent" in test
    assert len(bodies) == 8
    lost, *others = bodies
    late = [*others[::-1], others[0]]  # out of order, and one of them twice
    feed.send(test, of_others(lost), late[0], in_sns(late[1]), *RUBBISH, *late[2:], RUBBISH[0])
    # What is no event of the bucket waits for the dead-letter queue; all the rest is deleted.
    feed.follow(tmp_path, (0, 5))
    expected = {key: hashlib.sha256(b"first").hexdigest() for key in KEYS}
    assert feed.got == expected | {"plain.dat": hashlib.sha256(b"second").hexdigest()}


def test_events_name_the_paths_before_any_sweep(feed: Feed) -> None:
    for key in KEYS:
        feed.put(key, b"x")
    seen: set[str] = set()

    def told() -> bool:
        news = feed.source.news(0.1)
        seen.update((news.paths or ()) if news is not None else ())
        return seen == set(KEYS)

    wait_until(told, 60)
    assert [found.path for found in feed.source.offered(frozenset({"2024/a b.dat", "no.dat"}))] == ["2024/a b.dat"]


def test_a_message_stays_until_it_is_dealt_with(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "VISIBLE_AGAIN_SECONDS", 1)
    monkeypatch.setattr(queues, "RENEW_SECONDS", 0.2)
    monkeypatch.setattr(queues, "POLL_SECONDS", 0)
    feed.bodies()
    feed.put("plain.dat", b"x")
    news = feed.source.news(60)
    assert news is not None
    assert feed.source.news(1.6) is None, "it is kept out of sight for longer than it would be by itself"
    assert feed.counts() == (0, 1)
    feed.source.dealt_with(news)
    assert feed.counts() == (0, 0)


def test_what_a_dead_process_held_comes_again(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "VISIBLE_AGAIN_SECONDS", 1)
    feed.bodies()
    feed.put("plain.dat", b"x")
    way = S3Way(address=f"s3://{feed.bucket}/in")
    held = queues.EventQueue("source moc", feed.url, way).receive(1)
    assert held is not None
    again = queues.EventQueue("source moc", feed.url, way).receive(3)
    assert again is not None
    assert again.paths == held.paths == {"plain.dat"}


def test_a_stray_message_is_logged_once(
    feed: Feed, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "VISIBLE_AGAIN_SECONDS", 0)
    feed.bodies()
    feed.send("rubbish")
    queue = queues.EventQueue("source moc", feed.url, S3Way(address=f"s3://{feed.bucket}/in"))
    with caplog.at_level(logging.WARNING):
        assert [queue.receive(0) for _ in range(3)] == [None, None, None]
    assert len([record for record in caplog.records if "dead-letter" in record.message]) == 1


def test_a_queue_that_is_not_there_is_told_and_the_listing_still_works(feed: Feed) -> None:
    feed.put("plain.dat", b"x")
    way = S3Way(address=f"s3://{feed.bucket}/in")
    source = open_bucket("moc", way, f"{feed.url}-not-there")
    with pytest.raises(WayError, match=r"source moc: http://.*-not-there: refused \(.*NonExistentQueue"):
        source.news(60)
    assert [found.path for found in source.offered()] == ["plain.dat"]
    source.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_listener_that_died_is_started_again(feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    feed.bodies()
    feed.put("plain.dat", b"x")
    with monkeypatch.context() as patch:
        patch.setattr(queues.EventQueue, "receive", lambda _: 1 / 0)
        assert feed.source.news(0.1) is None
    news: list[News | None] = []
    wait_until(lambda: news.append(feed.source.news(0.2)) or news[-1] is not None, 60)  # type: ignore[func-returns-value]
    assert news[-1] is not None
    assert news[-1].paths == frozenset({"plain.dat"})


def test_a_source_without_a_queue_waits(moto: Server) -> None:
    with environment(moto.environment):
        source = open_bucket("moc", S3Way(address=f"s3://{moto.make_bucket()}"))
        assert source.news(0.01) is None
        source.close()
        assert source.news(60) is None, "closing ends the waiting"


@pytest.mark.parametrize("times", [2, 100])
def test_a_transfer_that_is_cut_is_taken_up_where_it_broke(
    feed: Feed, moto: Server, tmp_path: Path, times: int
) -> None:
    body = bytes(range(256)) * 40_000
    feed.put("cut.dat", body)
    with moto.faults(Faults(only="cut.dat", times=times, wrong="cut")):
        if times == 2:
            assert feed.source.fetch("cut.dat", tmp_path / "a") == hashlib.sha256(body).hexdigest()
            assert (tmp_path / "a").read_bytes() == body
        else:
            with pytest.raises(WayError, match=r"source moc: .*cut\.dat: broke off"):
                feed.source.fetch("cut.dat", tmp_path / "a")
            assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("wrong", ["stale", "cut stale"])  # the latter ends in a part, with which no checksum comes
def test_bytes_that_do_not_fit_the_checksum_of_the_object_are_refused(
    feed: Feed, moto: Server, tmp_path: Path, wrong: str
) -> None:
    feed.put("a.dat", b"right")
    times = len(wrong.split())
    with moto.faults(Faults(only="a.dat", times=times, wrong=wrong)), pytest.raises(PathError, match="checksum"):
        feed.source.fetch("a.dat", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_an_object_that_is_replaced_while_it_is_read_is_told(feed: Feed, tmp_path: Path) -> None:
    feed.put("a.dat", b"old")
    client = feed.source.place.storage.client
    client.meta.events.register_first("before-call.s3.GetObject", lambda **_: feed.put("a.dat", b"new"))
    with pytest.raises(PathError, match=r"a\.dat: was replaced or removed while it was read"):
        feed.source.fetch("a.dat", tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_an_object_that_is_gone_is_told(feed: Feed, tmp_path: Path) -> None:
    with pytest.raises(PathError, match=r"source moc: .*in/a\.dat is not there"):
        feed.source.fetch("a.dat", tmp_path / "a")


def test_an_object_in_parts_is_fetched_whole(feed: Feed, tmp_path: Path) -> None:
    body = bytes(11 << 20)
    (tmp_path / "source").write_bytes(body)
    feed.s3.upload_file(str(tmp_path / "source"), feed.bucket, "in/parts.dat")
    assert feed.source.fetch("parts.dat", tmp_path / "a") == hashlib.sha256(body).hexdigest()
