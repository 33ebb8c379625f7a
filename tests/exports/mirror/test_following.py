# SPDX-License-Identifier: Apache-2.0
"""Messages of a queue that a mirror follows: deleted when their files are here, and left to come again else."""

from __future__ import annotations

import json
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from exports.mirror import following
from exports.mirror.round import Round
from lake import queues
from lake.queues import EventQueue, Listener
from lake.ways.settings import S3Way

EVENT = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "some-bucket"}, "object": {"key": "a.dat"}}}


class Client:
    """A queue with one message, which counts what is asked of it."""

    def __init__(self) -> None:
        self.left, self.renewed, self.deleted = 1, 0, 0

    def receive_message(self, **_: Any) -> dict[str, Any]:
        self.left -= 1
        body = json.dumps({"Records": [EVENT]})
        return {"Messages": [{"MessageId": "1", "ReceiptHandle": "r", "Body": body}]} if self.left == 0 else {}

    def change_message_visibility_batch(self, **_: Any) -> dict[str, Any]:
        self.renewed += 1
        return {}

    def delete_message_batch(self, **_: Any) -> dict[str, Any]:
        self.deleted += 1
        return {}


@pytest.mark.parametrize("is_complete", [False, True])
def test_messages_of_a_round_that_is_not_complete_come_again(
    is_complete: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "RENEW_SECONDS", 0.0)
    client, told = Client(), list[frozenset[str] | None]()
    queue = EventQueue("mirror", "https://sqs.us-east-1.amazonaws.com/1/q", S3Way(address="s3://some-bucket"))
    queue.__dict__["client"] = client

    def look(_: datetime, paths: frozenset[str] | None) -> Round:
        told.append(paths)
        return Round(is_complete=is_complete or paths is None)

    def beat() -> None:
        if len(told) == 2:
            raise KeyboardInterrupt

    mirror: Any = SimpleNamespace(
        round=look, settings=SimpleNamespace(every_seconds=300), state=SimpleNamespace(due=lambda _: frozenset())
    )
    listener, health = Listener(queue), SimpleNamespace(beat=beat)
    with pytest.raises(KeyboardInterrupt):
        following.follow(mirror, listener, health, lambda *_: None)  # type: ignore[arg-type]
    listener.close()
    assert told == [None, {"a.dat"}]
    client.renewed = 0
    queue.renew()
    assert (client.renewed, client.deleted) == (0, int(is_complete))
