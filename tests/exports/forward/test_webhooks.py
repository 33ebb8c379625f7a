# SPDX-License-Identifier: Apache-2.0
"""Messages to webhooks: how they are signed, where they may go, and what counts as an answer."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook as Signer
from standardwebhooks import WebhookVerificationError

from exports.forward.addresses import is_public
from exports.forward.nouns import Answer, Batch
from exports.forward.settings import Webhook
from exports.forward.webhooks import WebhookSink, checked_secret, pause_seconds
from lake.errors import WayError
from tests.exports.forward.stage import OTHER_SECRET, SECRET, Hook, hook, packet
from tests.upload_server import make_certificate

OLD = {"old_secret_env": "SWX_OLD"}
BATCH = Batch("a", (packet(1, 1),))


def sink(server: Hook, **more: object) -> WebhookSink:
    return WebhookSink("a", Webhook(**server.client(**more)["webhook"]))


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWX_HOOK", SECRET)
    monkeypatch.setenv("SWX_OLD", OTHER_SECRET)


def test_the_library_of_the_standard_accepts_our_signature_and_no_other_body() -> None:
    with hook() as server:
        assert sink(server).send(BATCH) == Answer(taken=True)
        headers, body = server.heard[0]
    Signer(SECRET).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Signer(SECRET).verify(body + b" ", headers)


def test_during_a_rotation_receivers_with_the_old_and_the_new_secret_both_accept() -> None:
    with hook() as server:
        sink(server, **OLD).send(BATCH)
        headers, body = server.heard[0]
    for secret in (SECRET, OTHER_SECRET):
        Signer(secret).verify(body, headers)


def test_a_redirection_is_not_followed() -> None:
    with hook() as server, hook() as other:
        server.answers = [(307, {"Location": f"http://127.0.0.1:{other.port}/in"})]
        answer = sink(server).send(BATCH)
        assert "sends elsewhere (HTTP 307)" in answer.reason
        assert not other.heard


def test_an_answer_that_does_not_come_in_time_is_none() -> None:
    with hook() as server:
        server.before = lambda: time.sleep(0.5)
        answer = sink(server, seconds=0.1).send(BATCH)
    assert (answer.taken, "no answer in 0.1 s" in answer.reason) == (False, True)


def test_this_machine_gets_nothing_unless_that_is_allowed() -> None:
    with hook() as server:
        answer = sink(server, allow_private=False).send(BATCH)
        assert "127.0.0.1 leads to 127.0.0.1, which is no public address" in answer.reason
        assert not server.heard


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "127.0.0.1",
        "169.254.169.254",
        "0.0.0.0",  # noqa: S104  what is refused
        "100.64.0.1",
        "224.0.0.1",
        "::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::1",
    ],
)
def test_private_addresses_are_known_in_all_their_clothes(address: str) -> None:
    assert not is_public(address)


def test_addresses_of_the_internet_are_public() -> None:
    assert all(map(is_public, ("93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e")))


def test_a_server_whose_certificate_nobody_vouches_for_gets_nothing(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path / "server.pem")
    with hook(certificate) as server:
        way = sink(server, url=f"https://127.0.0.1:{server.port}/in").way
        assert "certificate is not one that we trust" in WebhookSink("a", way).send(BATCH).reason
        assert not server.heard
        trusting = way.model_copy(update={"ca_file": certificate})
        assert WebhookSink("a", trusting).send(BATCH).taken


def test_a_secret_that_is_none_is_named_by_its_reference_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("hunter2-hunter2-hunter2", "whsec_c2hvcnQ=", "whsec_***"):
        with pytest.raises(WayError, match="holds no secret of a webhook") as caught:
            checked_secret("SWX_HOOK", text)
        assert text not in str(caught.value)
    monkeypatch.delenv("SWX_HOOK")
    with hook() as server:
        assert "SWX_HOOK is not set" in sink(server).send(BATCH).reason


def test_retry_after_is_seconds_or_a_date_and_never_more_than_a_day() -> None:
    now = datetime(2026, 8, 1, tzinfo=UTC)
    texts = {"120": 120, "Sat, 01 Aug 2026 00:10:00 GMT": 600, "9999999": 86400, "soon": 0, "": 0, "-5": 0}
    texts |= {"Mon, 01 Jan 99999999999999 00:00:00 GMT": 0, "Fri, 31 Dec 9999 23:59:59 -2300": 86400, "9" * 400: 0}
    assert {text: pause_seconds(text, now) for text in texts} == texts
