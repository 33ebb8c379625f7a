# SPDX-License-Identifier: Apache-2.0
"""The reference receiver: what it keeps, what it drops, and what it refuses."""

from __future__ import annotations

import http.client
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exports.forward import receiver
from exports.forward.nouns import Batch
from exports.forward.receiver import MOST_BYTES, MOST_TOGETHER, receiving
from exports.forward.request_places import MOST, MOST_OF_ONE, Places
from exports.forward.settings import Webhook
from exports.forward.webhooks import WebhookSink, message, signed
from lake.clock import utc_now
from lake.errors import ConfigurationError
from lake.serving import Listen
from tests.exports.forward.stage import OTHER_SECRET, SECRET, Hook, packet
from tests.servers import wait_until
from tests.upload_server import make_certificate

BATCH = Batch("a", (packet(1, 1), packet(1, 2)))


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with receiving(Listen(port=0), [SECRET], tmp_path) as number:
        yield number


def post(port: int, headers: dict[str, str], body: bytes) -> int:
    web = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        web.request("POST", "/", body, headers)
        return web.getresponse().status
    finally:
        web.close()


def test_a_message_is_kept_with_its_packets_as_they_were_sent(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWX_HOOK", SECRET)
    way = Hook(port).client()["webhook"]
    assert WebhookSink("a", Webhook(**way)).send(BATCH).taken
    assert (tmp_path / f"{BATCH.id}.pkts").read_bytes() == b"".join(one.data for one in BATCH.packets)
    assert (tmp_path / f"{BATCH.id}.json").read_bytes() == message(BATCH)


def test_what_was_here_before_is_taken_and_not_written_again(port: int, tmp_path: Path) -> None:
    body = message(BATCH)
    statuses = [post(port, signed([SECRET], BATCH.id, utc_now(), body), body) for _ in range(2)]
    assert statuses == [204, 200]
    assert len(list(tmp_path.iterdir())) == 2


def test_forged_old_and_future_messages_are_refused(port: int, tmp_path: Path) -> None:
    body, now = message(BATCH), utc_now()
    good = signed([SECRET], BATCH.id, now, body)
    forged = {
        "by another secret": signed([OTHER_SECRET], BATCH.id, now, body),
        "six minutes old": signed([SECRET], BATCH.id, now - timedelta(minutes=6), body),
        "from the future": signed([SECRET], BATCH.id, now + timedelta(minutes=6), body),
        "under another id": good | {"webhook-id": "msg_other"},
        "with another time": good | {"webhook-timestamp": str(int(now.timestamp()) - 1)},
        "unsigned": {"webhook-id": BATCH.id},
        "of another version": good | {"webhook-signature": good["webhook-signature"].replace("v1,", "v2,")},
        "without a comma": good | {"webhook-signature": "v1"},
        "no base64": good | {"webhook-signature": "v1,*"},
        "no time": good | {"webhook-timestamp": "nan"},
    }
    assert {name: post(port, headers, body) for name, headers in forged.items()} == dict.fromkeys(forged, 401)
    assert post(port, good, body.replace(b'"apid":7', b'"apid":8')) == 401
    assert not list(tmp_path.iterdir())


def test_a_signed_name_that_leads_elsewhere_is_refused(port: int, tmp_path: Path) -> None:
    body = message(BATCH)
    for name in ("../up", "/etc/passwd", "a" * 200, "..", ".hidden", "-option"):
        assert post(port, signed([SECRET], name, utc_now(), body), body) == 400
    assert not list(tmp_path.iterdir())


def test_a_body_without_length_or_of_a_terabyte_is_refused_unread(port: int) -> None:
    assert post(port, {"Content-Length": str(10**12)}, b"") == 413
    assert post(port, {"Content-Length": "9" * 400}, b"") == 413
    assert post(port, {"Content-Length": str(MOST_BYTES + 1)}, b"") == 413
    assert post(port, {"Content-Length": "-1"}, b"") == 411


def test_the_largest_message_that_is_sent_unless_told_otherwise_is_small_enough() -> None:
    packets = tuple(replace(packet(1, number), data=bytes(2097)) for number in range(500))
    assert len(message(Batch("a" * 64, packets))) < MOST_BYTES / 2


def test_what_strangers_announce_together_is_bounded_and_then_messages_are_taken_again(port: int) -> None:
    body, announced = message(BATCH), b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % MOST_BYTES

    def status() -> int:
        return post(port, signed([SECRET], BATCH.id, utc_now(), body), body)

    with ExitStack() as strangers:
        lines = [
            strangers.enter_context(socket.create_connection(("127.0.0.1", port)))
            for _ in range(MOST_TOGETHER // MOST_BYTES + 1)
        ]
        for line in lines:
            line.sendall(announced)
        assert select.select(lines, [], [], 20)[0]  # one of them is refused: the others have all the room
        assert status() == 503
    wait_until(lambda: status() in (200, 204))


def test_signed_nonsense_is_refused_and_not_kept(port: int, tmp_path: Path) -> None:
    deep = b"[" * 100_000
    for body in (b"[]", b"{", deep, b'{"type":"packets"}', b'{"type":"packets","data":{"packets":[{"data":"*"}]}}'):
        assert post(port, signed([SECRET], "msg_1", utc_now(), body), body) == 400
    assert post(port, signed([SECRET], "msg_1", utc_now(), b"{}"), b"\xff") == 400
    assert not list(tmp_path.iterdir())


def test_another_message_under_an_id_that_was_used_is_kept_beside_the_first(
    port: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = message(BATCH), message(Batch("a", (packet(1, 3),)))
    statuses = [post(port, signed([SECRET], "msg_1", utc_now(), body), body) for body in (first, second, first, second)]
    assert statuses == [204, 204, 200, 200]
    assert sorted(path.read_bytes() for path in tmp_path.glob("msg_1*.json")) == sorted((first, second))
    packets = sorted(path.read_bytes() for path in tmp_path.glob("msg_1*.pkts"))
    assert packets == sorted((b"".join(one.data for one in BATCH.packets), packet(1, 3).data))
    assert "msg_1: the id of another message is used once more" in caplog.text


def test_of_two_ids_in_a_request_the_one_that_is_signed_names_the_file(port: int, tmp_path: Path) -> None:
    body = message(BATCH)
    headers = signed([SECRET], "msg_1", utc_now(), body)
    lines = ["POST / HTTP/1.1", f"Content-Length: {len(body)}", "webhook-id: msg_2"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection(("127.0.0.1", port), 5) as line:
        line.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        assert b" 204 " in line.recv(100)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["msg_1.json", "msg_1.pkts"]


def test_half_requests_keep_no_message_out(port: int) -> None:
    """Neither those that stop within their headers, nor those that stop within their body."""
    body = message(BATCH)
    with ExitStack() as strangers:
        for number in range(2 * MOST):
            line = strangers.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            line.sendall(
                b"POST / HTTP/1.1\r\nContent-Le" if number % 2 else b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"
            )
        before = time.monotonic()
        assert post(port, signed([SECRET], BATCH.id, utc_now(), body), body) == 204
        assert time.monotonic() - before < 2


def test_what_is_announced_and_does_not_come_is_hung_up_on(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiver, "HEADER_SECONDS", 0.2)
    monkeypatch.setattr(receiver, "BODY_SECONDS", 0.2)
    for part in (b"POST / HT", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n{"):
        with socket.create_connection(("127.0.0.1", port), 5) as line:
            line.sendall(part)
            assert b"20" not in line.recv(100)


def test_where_all_requests_are_being_served_one_more_is_told_to_come_again() -> None:
    places = Places()
    lines = [socket.socket() for _ in range(MOST_OF_ONE + 1)]
    for line in lines[:-1]:
        assert places.take(line, "a")
        places.is_whole(line)
    assert not places.take(lines[-1], "a")
    assert places.take(lines[-1], "b")
    for line in lines:
        places.leave(line)
        line.close()


def test_what_cannot_be_kept_is_not_said_to_be_taken(tmp_path: Path) -> None:
    out, body = tmp_path / "out", message(BATCH)
    out.mkdir()
    with receiving(Listen(port=0), [SECRET], out) as number:
        out.rmdir()
        assert post(number, signed([SECRET], BATCH.id, utc_now(), body), body) == 500


def test_it_listens_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWX_HOOK", SECRET)
    certificate, out = make_certificate(tmp_path / "server.pem"), tmp_path / "out"
    out.mkdir()
    with receiving(Listen(port=0, certificate=certificate, key=certificate), [SECRET], out) as number:
        way = Hook(number).client(url=f"https://127.0.0.1:{number}", ca_file=str(certificate))["webhook"]
        assert WebhookSink("a", Webhook(**way)).send(BATCH).taken
    assert len(list(out.iterdir())) == 2


def test_a_receiver_needs_a_folder_and_a_secret(tmp_path: Path) -> None:
    for keys, out in (([SECRET], tmp_path / "nowhere"), ([], tmp_path)):
        with pytest.raises(ConfigurationError), receiving(Listen(port=0), keys, out):
            pass
