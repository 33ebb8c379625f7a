# SPDX-License-Identifier: Apache-2.0
"""Channels against real servers on loopback: delivered once, in order, with the same id, no secret told."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from lake.store import Journal, Lake
from quality.notices.channels import open_plugin, reason
from quality.notices.outbox import Patience, Sent, enqueue, send, try_channel
from quality.notices.settings import AlertSettings
from tests.quality.notices.servers import LOOPBACK, dripping_server, free_port, mail_server, silent_server, web_server
from tests.quality.notices.stage import AT_ONCE, HOUR, NOON, event, lake_in, settings, yellow

USER, PASSWORD, TOKEN = "flight-ops", "pa55-w0rd-x", "t0ken-of-the-hook"
EVENTS = [event(), yellow(1), yellow(2)]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return lake_in(tmp_path)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", LOOPBACK)


@pytest.fixture
def ready(lake: Lake) -> AlertSettings:
    """Settings with the channel `a` at $A_URL, and three notices for it in the outbox."""
    enqueue(lake, settings("a"), EVENTS, NOON)
    return settings("a")


def mail_url(port: int, login: str = "") -> str:
    return f"mailto://{login}{LOOPBACK}:{port}?smtp={LOOPBACK}&from=lake@example.org&to=team@example.org"


def ids(lake: Lake) -> list[str]:
    return [entry["notice_id"] for entry in Journal(lake).entries("notices").values()]


def test_a_receiver_that_fails_twice_gets_each_notice_once_in_order(
    lake: Lake, ready: AlertSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web_server([500, 500]) as web:
        monkeypatch.setenv("A_URL", f"json://{LOOPBACK}:{web.port}/hook")
        assert send(lake, ready, NOON, AT_ONCE) == Sent(3, 0, [])
    assert [post.status for post in web.posts] == [500, 500, 200, 200, 200]
    assert [post.headers["Idempotency-Key"] for post in web.accepted] == ids(lake)
    assert {post.headers["Idempotency-Key"] for post in web.posts[:3]} == {ids(lake)[0]}
    assert [post.body["title"][9:21] for post in web.accepted] == ids(lake)
    assert [post.body["type"] for post in web.accepted] == ["failure", "warning", "warning"]
    assert web.accepted[0].body["message"] == Journal(lake).entries("notices").popitem()[1]["body"].replace(
        f"{2:012x}", "a1a1a1a1a1a1"
    )


def test_a_chat_gets_title_and_body_as_one_text(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    enqueue(lake, settings("a"), [event()], NOON)
    with web_server([500, 500]) as web:
        monkeypatch.setenv("A_URL", f"mmost://{LOOPBACK}:{web.port}/{TOKEN}")
        assert send(lake, settings("a"), NOON, AT_ONCE).delivered == 1
    assert {post.path for post in web.posts} == {f"/hooks/{TOKEN}"}
    (post,) = web.accepted
    assert post.body["text"].startswith(f"[swxlake {ids(lake)[0]}] RED opened: toy.box_l1_tick.voltage_v")
    assert "swxlake alerts show a1a1a1a1a1a1" in post.body["text"]


def test_a_receiver_that_fails_for_good_is_told_and_gets_all_in_the_next_run(
    lake: Lake, ready: AlertSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web_server([200, 503, 503, 503]) as web:
        monkeypatch.setenv("A_URL", f"json://{LOOPBACK}:{web.port}")
        sent = send(lake, ready, NOON, AT_ONCE)
        assert (sent.delivered, sent.waiting) == (1, 2)
        assert sent.failed[0].startswith(
            "channel a: the server answered 503 (Service Unavailable). Its notices (2) wait"
        )
        assert send(lake, ready, NOON + HOUR, AT_ONCE) == Sent(2, 0, [])
    assert [post.headers["Idempotency-Key"] for post in web.accepted] == ids(lake)


def test_a_failure_is_one_even_if_the_url_calls_the_service_optional(
    lake: Lake, ready: AlertSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web_server([500] * 3) as web:
        monkeypatch.setenv("A_URL", f"json://{LOOPBACK}:{web.port}?optional=yes&retry=5")
        assert send(lake, ready, NOON, AT_ONCE).delivered == 0
    assert len(web.posts) == 3


def test_a_server_that_is_down_gets_all_when_it_is_up_again(
    lake: Lake, ready: AlertSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("A_URL", f"json://{LOOPBACK}:{port}")
    (line,) = send(lake, ready, NOON, AT_ONCE).failed
    assert line.startswith("channel a: connection refused. Its notices (3) wait")
    with web_server(port=port) as web:
        assert send(lake, ready, NOON + HOUR, AT_ONCE).delivered == 3
    assert [post.headers["Idempotency-Key"] for post in web.accepted] == ids(lake)


@pytest.mark.parametrize("scheme", ["json", "mailto"])
def test_a_server_that_hangs_is_given_up(
    scheme: str, lake: Lake, ready: AlertSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with silent_server() as port:
        url = f"json://{LOOPBACK}:{port}" if scheme == "json" else mail_url(port)
        monkeypatch.setenv("A_URL", url)
        (line,) = send(lake, ready, NOON, Patience(pauses=(), answer=0.1)).failed
    assert line.startswith("channel a: the server did not answer in time.")


def test_a_mail_has_the_id_in_subject_and_header(
    lake: Lake, ready: AlertSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_server() as mail:
        monkeypatch.setenv("A_URL", mail_url(mail.port))
        assert send(lake, ready, NOON, AT_ONCE) == Sent(3, 0, [])
    assert [message["X-Swxlake-Notice"] for message in mail.messages] == ids(lake)
    assert [message["Subject"][9:21] for message in mail.messages] == ids(lake)
    first = mail.messages[0]
    assert (first["From"], first["To"]) == ("lake@example.org", "team@example.org")
    assert first.get_content().splitlines()[0] == "12 V step for 60 min, z 41"


@pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning")
def test_a_wrong_password_is_told_without_it(lake: Lake, ready: AlertSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server("another") as mail:
        monkeypatch.setenv("A_URL", mail_url(mail.port, f"{USER}:{PASSWORD}@"))
        (line,) = send(lake, ready, NOON, Patience(pauses=(), answer=10)).failed
    assert line.startswith("channel a: the mail server answered 535 (user or password refused).")
    assert mail.messages == []


@pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning")
def test_user_and_password_arrive_and_stand_nowhere_else(
    tmp_path: Path, lake: Lake, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Mail and web, each with a secret, some failing: everything that is kept or shown is read."""
    caplog.set_level(1)
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # the server's own, which knows the user's name
    folder = tmp_path / "secrets"
    folder.mkdir()
    ways = {name: {"url_file": str(folder / name)} for name in ("mail", "hook", "chat", "bad")}
    secret = AlertSettings.model_validate({"channels": ways, "routes": [{"channels": list(ways)}]})
    enqueue(lake, secret, [event()], NOON)
    with mail_server(PASSWORD) as mail, web_server([401, 500]) as web:
        (folder / "mail").write_text(mail_url(mail.port, f"{USER}:{PASSWORD}@") + "\n")
        (folder / "hook").write_text(f"json://{USER}:{PASSWORD}@{LOOPBACK}:{web.port}/{TOKEN}")
        (folder / "chat").write_text(f"mmost://{LOOPBACK}:{web.port}/{TOKEN}")
        (folder / "bad").write_text(f"no-such-service://{USER}:{PASSWORD}@{TOKEN}")
        sent = send(lake, secret, NOON, Patience(pauses=(0, 0), answer=5))
        outcome = [repr(sent), try_channel(secret, "bad", NOON), try_channel(secret, "hook", NOON)]
        arguments = subprocess.run(["/bin/ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert mail.logins == [(USER.encode(), PASSWORD.encode())]
    assert web.posts[-1].path == f"/{TOKEN}"
    assert (sent.delivered, len(sent.failed)) == (3, 1)
    assert isinstance(lake.root, Path)
    kept = [path.read_text(errors="replace") for path in lake.root.rglob("*") if path.is_file()]
    shown = [caplog.text, *(repr(record.__dict__) for record in caplog.records), *capfd.readouterr(), arguments]
    everything = "\n".join([*outcome, *kept, *shown])
    assert "no-such-service" not in everything
    assert [word for word in (USER, PASSWORD, TOKEN) if word in everything] == []
    assert len(kept) > 6


@pytest.mark.parametrize("scheme", ["json", "mmost"])
def test_a_server_whose_answer_never_ends_is_given_up_and_says_nothing_later(
    scheme: str,
    lake: Lake,
    ready: AlertSettings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """At DEBUG, until the thread that was left behind has come to its end."""
    caplog.set_level(logging.DEBUG)
    before = set(threading.enumerate())
    with dripping_server() as drip:
        monkeypatch.setenv("A_URL", f"{scheme}://{USER}:{PASSWORD}@{LOOPBACK}:{drip.port}/{TOKEN}")
        (line,) = send(lake, ready, NOON, Patience(pauses=(0, 0), answer=5, notice=0.2)).failed
        (left,) = (thread for thread in set(threading.enumerate()) - before if thread.name == "notice")
        assert left.daemon  # the end of the process does not wait for it
    left.join(5)
    assert not left.is_alive()
    assert line.startswith("channel a: the server did not answer in time. Its notices (3) wait")
    assert drip.requests == 1
    shown = "\n".join([caplog.text, *capfd.readouterr()])
    assert [word for word in (USER, PASSWORD, TOKEN, LOOPBACK) if word in shown] == []


def test_what_may_have_been_accepted_is_not_sent_again_in_the_same_run(
    lake: Lake, ready: AlertSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dripping_server(pause=60) as drip:
        monkeypatch.setenv("A_URL", f"json://{LOOPBACK}:{drip.port}")
        (line,) = send(lake, ready, NOON, Patience(pauses=(0, 0), answer=0.5)).failed
    assert drip.requests == 1
    assert line.startswith("channel a: the server did not answer in time.")


def test_what_the_libraries_log_is_shown_to_nobody_once_a_url_was_read(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("A_URL", f"json://{LOOPBACK}/{TOKEN}")
    open_plugin(settings("a").channels["a"], 1)
    for name in ("apprise", "apprise.plugins", "urllib3.connectionpool", "requests", "requests_oauthlib.session"):
        logging.getLogger(name).error(TOKEN)
    logging.getLogger("swxlake").error("this is")
    assert [record.getMessage() for record in caplog.records] == ["this is"]


def test_syslog_gets_one_line_with_facility_and_severity(lake: Lake, tmp_path: Path) -> None:
    place = f"/tmp/swxlake-{os.getpid()}.sock"  # noqa: S108  a path of a socket has to be short
    to_syslog = settings(channels={"a": {"syslog": "local3", "address": place}}, routes=[{"channels": ["a"]}])
    enqueue(lake, to_syslog, [event(), yellow(1)], NOON)
    (line,) = send(lake, to_syslog, NOON, AT_ONCE).failed
    assert line.startswith(f"channel a: syslog at {place} cannot be reached (no such file or directory).")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listening:
        listening.bind(place)
        try:
            assert send(lake, to_syslog, NOON, AT_ONCE) == Sent(2, 0, [])
            red, other = listening.recv(9000), listening.recv(9000)
        finally:
            Path(place).unlink()
    # RFC 3164: facility local3 is 19, times 8, plus severity 2 (critical) or 4 (warning).
    assert red.startswith(b"<154>swxlake: [swxlake " + ids(lake)[0].encode())
    assert other.startswith(b"<156>swxlake: [swxlake ")
    assert b"\n" not in red
    assert b"; swxlake alerts show a1a1a1a1a1a1" in red


def test_syslog_may_be_a_host_by_udp(lake: Lake) -> None:
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as listening:
        listening.bind((LOOPBACK, 0))
        listening.settimeout(5)
        place = f"{LOOPBACK}:{listening.getsockname()[1]}"
        to_syslog = settings(channels={"a": {"syslog": "user", "address": place}}, routes=[{"channels": ["a"]}])
        assert try_channel(to_syslog, "a", NOON) == ""
        assert listening.recv(9000).startswith(b"<14>swxlake: [swxlake ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"Failed to send to {TOKEN}: Not Found, error=404.", "the server answered 404 (Not Found)"),
        (f"error=599 {TOKEN}", "the server answered 599"),
        (f"Socket Exception: (550, b'no such user {TOKEN}')", "the mail server answered 550"),
        (f"SSLError({TOKEN}: CERTIFICATE_VERIFY_FAILED)", "the certificate of the server is not trusted"),
        (f"{TOKEN}: [Errno -2] Name or service not known", "the name of the host is not known"),
        (f"{TOKEN}: [Errno 113] No route to host", "no route to host"),
        (f"{TOKEN} timed out", "the server did not answer in time"),
        (TOKEN, "the server did not accept it"),
    ],
)
def test_of_a_librarys_words_only_codes_are_taken(text: str, words: str) -> None:
    assert reason(text) == words
