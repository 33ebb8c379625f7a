# SPDX-License-Identifier: Apache-2.0
"""What is told of channels before a night needs them: name, what is wrong, remedy, and no part of a URL."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest

from quality.notices.channels import open_plugin
from quality.notices.reach import host_of, reach
from quality.notices.settings import AlertSettings, Channel
from tests.quality.notices.servers import LOOPBACK, free_port, web_server
from tests.quality.notices.stage import settings

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy", "NO_PROXY", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)


def channel(**values: object) -> AlertSettings:
    return settings(channels={"a": values})


def test_a_reference_to_nothing_is_told_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A_URL", raising=False)
    remedy = "set it to an apprise URL."
    assert reach(settings("a")) == [f"channel a: the environment variable A_URL is not set; {remedy}"]
    path = tmp_path / "url"
    missing = f"channel a: {path} cannot be read (No such file or directory); write an apprise URL into it."
    assert reach(channel(url_file=path)) == [missing]
    path.write_text(" \n")
    assert reach(channel(url_file=path)) == [f"channel a: {path} is empty; write an apprise URL into it."]
    path.write_bytes(b"\xff")
    assert reach(channel(url_file=path)) == [f"channel a: {path} is not UTF-8; write an apprise URL into it."]


def test_a_url_that_apprise_does_not_know_is_told_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_URL", "mailx://user:pa55@host")
    (line,) = reach(settings("a"))
    assert line.startswith("channel a: $A_URL holds no URL that apprise understands; correct it")
    assert "pa55" not in line


@pytest.mark.parametrize("url", ["json://example.org?cto=60&rto=60", "mailtos://user:pa55@mail.example.org"])
def test_a_server_is_waited_for_as_long_as_was_said(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_URL", url)
    plugin = open_plugin(Channel(url_env="A_URL"), 1.5)
    assert not isinstance(plugin, str)
    assert plugin.request_timeout == (1.5, 1.5)


@pytest.mark.parametrize(
    ("url", "count"),
    [
        ("mailtos://user:pa55@mail.example.org?to=a@example.org,b@example.org", 2),
        ("mailtos://user:pa55@mail.example.org?to=a@example.org&cc=b@example.org&bcc=c@example.org", 3),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#a/#b", 2),
        ("json://user:pa55@example.org?retry=3", 1),
    ],
)
def test_a_channel_has_one_recipient(url: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_URL", url)
    opened = open_plugin(Channel(url_env="A_URL"), 1)
    if count == 1:
        assert not isinstance(opened, str)
    else:
        assert opened.startswith(f"$A_URL has {count} recipients; give each a channel of its own")  # type: ignore[union-attr]


@pytest.mark.parametrize("scheme", ["json", "mailto"])
def test_a_host_that_is_down_or_unknown_is_told_without_its_name(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rest = "?smtp={host}&from=a@example.org&to=b@example.org" if scheme == "mailto" else ""
    for host, words in ((LOOPBACK, "connection refused"), ("nowhere.invalid", "the name of the host is not known")):
        monkeypatch.setenv("A_URL", f"{scheme}://user:pa55@{host}:{free_port()}{rest.format(host=host)}")
        (line,) = reach(settings("a"), 1)
        assert line.startswith(
            f"channel a: the host in $A_URL cannot be reached ({words}); correct host and port there"
        )
        assert [word for word in (host, "user", "pa55") if word in line] == []


def test_a_host_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(socket.create_server((LOOPBACK, 0), backlog=0)) as full, contextlib.ExitStack() as stack:
        place = full.getsockname()
        for _ in range(2):  # what a backlog of 0 still takes; the next one waits
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(place)
        monkeypatch.setenv("A_URL", f"json://{LOOPBACK}:{place[1]}")
        (line,) = reach(settings("a"), 0.1)
    assert "(it did not answer in time)" in line


def test_nothing_is_sent_to_a_host_that_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with web_server() as web:
        monkeypatch.setenv("A_URL", f"json://{LOOPBACK}:{web.port}")
        assert reach(settings("a")) == []
    assert web.posts == []


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/", ("hooks.slack.com", 443)),
        ("mmosts://chat.example.org/3ccdd113474722377935511fc85d3dd4", ("chat.example.org", 443)),
        ("jsons://example.org:8443/hook", ("example.org", 8443)),
        ("form://example.org", ("example.org", 80)),
        ("ntfy://a-topic-of-the-public-server", None),
        ("mailtos://user:pa55@mail.example.org", ("mail.example.org", 587)),
    ],
)
def test_the_host_of_a_service_is_known(
    url: str, place: tuple[str, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_URL", url)
    plugin = open_plugin(Channel(url_env="A_URL"), 1)
    assert host_of(plugin) == place


def test_what_goes_through_a_proxy_is_not_reached_past_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example.org:3128")
    monkeypatch.setenv("A_URL", "jsons://nowhere.invalid")
    assert reach(settings("a")) == []


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    assert reach(channel(file=tmp_path / "a.jsonl")) == []
    assert not (tmp_path / "a.jsonl").exists()
    (line,) = reach(channel(file=tmp_path / "no" / "a.jsonl"))
    assert line == f"channel a: {tmp_path}/no is no folder; make it, or name another file."
    (line,) = reach(channel(file=tmp_path))
    assert line == f"channel a: {tmp_path} cannot be written; give the right to write, or name another file."


def test_a_syslog_that_is_not_there_is_told(tmp_path: Path) -> None:
    (line,) = reach(channel(syslog="user", address="/nowhere/log"))
    remedy = "start it, or correct `address`."
    assert line == f"channel a: syslog at /nowhere/log cannot be reached (no such file or directory); {remedy}"
    (line,) = reach(channel(syslog="user", address="nowhere.invalid:514"))
    assert "(the name of the host is not known)" in line
    assert reach(channel(syslog="user", address=f"{LOOPBACK}:514")) == []
