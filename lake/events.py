# SPDX-License-Identifier: Apache-2.0
"""What a message about a bucket says: events of S3 as they come in a queue directly, by SNS, or by EventBridge.

Their forms are those of the S3 user guide ("Event message structure", "EventBridge event message structure"). Nothing
in a message is believed but that something may have happened to a key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

TEST_EVENT = "s3:TestEvent"  # the first message of S3 to a new queue
DEEPEST = 2  # an event within a notification of SNS; nothing has more envelopes


@dataclass(frozen=True)
class Change:
    """Something that happened to an object: its bucket, its key as it is, and whether it is gone."""

    bucket: str
    key: str
    removed: bool = False


def changes_in(body: str) -> tuple[Change, ...] | None:
    """The changes that a message tells of, none for the test event; None if it is no message about a bucket."""
    return _changes(body, DEEPEST)


def _changes(body: object, depth: int) -> tuple[Change, ...] | None:
    content = _object(body)
    if content is None or depth == 0:
        return None
    if content.get("Event") == TEST_EVENT:
        return ()
    try:
        if content.get("Type") == "Notification":
            return _changes(content["Message"], depth - 1)
        if content.get("source") == "aws.s3":
            return (_of_bridge(content),)
        return tuple(_of_records(content["Records"]))
    except (KeyError, TypeError, AttributeError):  # a message of somebody else may look like anything
        return None


def _object(body: object) -> dict[str, Any] | None:
    """A JSON object; None for anything else."""
    try:
        content = json.loads(body) if isinstance(body, str) else None
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _of_records(records: Any) -> Iterator[Change]:
    """Changes of S3's own form, in which keys are encoded as in a form of the web: `a b` is `a+b`, `+` is `%2B`."""
    if not isinstance(records, list) or not records:
        raise TypeError
    for record in records:
        place, name = record["s3"], str(record["eventName"]).removeprefix("s3:")
        yield Change(str(place["bucket"]["name"]), unquote_plus(str(place["object"]["key"])), _is_removal(name))


def _is_removal(name: str) -> bool:
    return name.startswith(("ObjectRemoved", "LifecycleExpiration"))


def _of_bridge(content: dict[str, Any]) -> Change:
    """A change in EventBridge's form, in which keys are not encoded."""
    detail = content["detail"]
    removed = content["detail-type"] == "Object Deleted"
    return Change(str(detail["bucket"]["name"]), str(detail["object"]["key"]), removed)
