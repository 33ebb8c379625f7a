# SPDX-License-Identifier: Apache-2.0
"""Messages about buckets, as S3, SNS and EventBridge write them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lake.events import Change, changes_in


def record(key: str, name: str = "ObjectCreated:Put") -> dict[str, Any]:
    return {"eventSource": "aws:s3", "eventName": name, "s3": {"bucket": {"name": "b"}, "object": {"key": key}}}


def records(*given: dict[str, Any]) -> str:
    return json.dumps({"Records": list(given)})


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("dir/a+b%2Bc.dat", "dir/a b+c.dat"),  # as S3 itself writes it
        ("dir%2Fa+b%2Bc.dat", "dir/a b+c.dat"),  # as other services do
        ("%C3%BC%25.dat", "ü%.dat"),
    ],
)
def test_keys_of_s3_are_encoded_as_in_a_form(encoded: str, key: str) -> None:
    assert changes_in(records(record(encoded))) == (Change("b", key),)


def test_a_message_may_have_several_records_and_removals() -> None:
    gone = record("y", "ObjectRemoved:DeleteMarkerCreated")
    assert changes_in(records(record("x"), gone)) == (Change("b", "x"), Change("b", "y", removed=True))


def test_an_event_within_a_notification_of_sns_is_unwrapped_once() -> None:
    wrapped = json.dumps({"Type": "Notification", "Message": records(record("a+b"))})
    assert changes_in(wrapped) == (Change("b", "a b"),)
    assert changes_in(json.dumps({"Type": "Notification", "Message": wrapped})) is None


def test_keys_of_eventbridge_are_not_encoded() -> None:
    detail = {"bucket": {"name": "b"}, "object": {"key": "a+b c%20.dat"}}
    event = {"source": "aws.s3", "detail-type": "Object Created", "detail": detail}
    assert changes_in(json.dumps(event)) == (Change("b", "a+b c%20.dat"),)
    assert changes_in(json.dumps(event | {"detail-type": "Object Deleted"})) == (Change("b", "a+b c%20.dat", True),)


def test_the_test_event_tells_of_nothing() -> None:
    test = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"})
    assert changes_in(test) == ()
    assert changes_in(json.dumps({"Type": "Notification", "Message": test})) == ()


@pytest.mark.parametrize(
    "body",
    [
        "", "{", "[]", "null", "7", "[" * 100_000, '{"Records": []}', '{"Records": "x"}', '{"Records": [null]}',
        '{"Records": [{"s3": {"bucket": {}}}]}', '{"source": "aws.s3"}', '{"Type": "Notification"}',
        '{"Type": "Notification", "Message": {"Records": 1}}', '{"hello": "world"}',
    ],
)  # fmt: skip
def test_what_is_no_event_of_a_bucket_is_none(body: str) -> None:
    assert changes_in(body) is None
