# SPDX-License-Identifier: Apache-2.0
"""Who is let in by the packet server, what it refuses, and that nobody's secret is told; frames as bytes."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exports.forward import serving as module
from exports.forward import strangers
from exports.forward.client import Address, Subscription, tls_context
from exports.forward.wire import LONGEST_FRAME, FrameReader, WireError, frame, line, parse_time, read_hello
from ingest.packets import RawPackets
from lake.clock import NS, tt2000_of_day
from lake.errors import ConfigurationError, WayError
from lake.health import Health
from lake.store import Lake
from tests.packet_lines import SECONDS, TOKEN, Line, address, arrive, forward_settings, greeting, serving, ticks
from tests.servers import wait_until
from tests.toy import DAY, toy_lake
from tests.upload_server import make_certificate


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return toy_lake(tmp_path)


def answer(port: int, octets: bytes) -> dict[str, Any]:
    """What the server says to these bytes before it hangs up."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as line_:
        line_.sendall(octets)
        said = b""
        while more := line_.recv(65536):
            said += more
    content: dict[str, Any] = json.loads(said)
    return content


# ---- who is let in -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("hello", "words"),
    [
        ({"token": "wrong"}, "no such client, or not its token"),
        ({"token": ""}, "no such client, or not its token"),
        ({"token": "\ud800"}, "token: input should be a valid string"),
        ({"client": "nobody"}, "no such client, or not its token"),
        ({"from": "yesterday"}, "from: is none of cursor, now, beginning"),
        ({"to": "1.2"}, "to: is no time"),
        ({"speed": 0}, "speed '0.0' is none"),
        ({"apids": [2048]}, "apids.0: input should be less than or equal to 2047"),
        ({"wish": 1}, "wish: extra inputs are not permitted"),
        ({"version": 2}, "version: input should be less than or equal to 1"),
        ({"client": "few", "apids": [7]}, "apids: '7' is not among what this client may have"),
        ({"missions": ["hermes"]}, "no packet of what this client may have is among these"),
        ({"apids": [2047]}, "no packet of what this client may have is among these"),
        ({"from": "2024-12-31T23:59:60Z"}, "from: is none of cursor, now, beginning"),
    ],
)
def test_what_is_wrong_in_a_greeting_is_named_without_the_token(lake: Lake, hello: dict[str, Any], words: str) -> None:
    with serving(lake) as server:
        found = answer(server.port, json.dumps(greeting(**hello)).encode() + b"\n")
    assert (found["accepted"], found["again"]) == (False, False)
    assert words in found["error"]
    assert TOKEN not in found["error"]


@pytest.mark.parametrize(
    "octets", [b"\n", b"[]\n", b"{\n", b"\xff\xfe\n", b"[" * 60_000 + b"\n", b"GET / HTTP/1.1\r\n\r\n", b"x" * 70_000]
)
def test_rubbish_is_refused_in_a_line(lake: Lake, octets: bytes) -> None:
    with serving(lake) as server:
        assert answer(server.port, octets)["error"] in (
            "a line is no JSON object", "a line is too long", "client: field required",
        )  # fmt: skip


def test_who_does_not_say_who_it_is_is_hung_up_on(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GREETING_SECONDS", 0.2)
    with serving(lake) as server:
        assert answer(server.port, b'{"client":')["error"] == "no greeting in time"


def test_no_more_clients_than_allowed_are_let_in(lake: Lake) -> None:
    with serving(lake, forward_settings(lake, max_clients=2)) as server:
        with Line(server.port, client="near"), Line(server.port, client="far"):
            with Line(server.port, client="late") as late:
                assert "2 clients are connected" in late.answer["error"]
                assert late.answer["again"] is True
            with Line(server.port, client="near") as again:  # it takes the place of its own line
                assert again.answer["accepted"] is True
        for _ in range(50):
            with Line(server.port, client="late") as late:
                if late.answer["accepted"]:
                    return
            time.sleep(0.05)
    pytest.fail("places do not become free")


def test_one_client_does_not_take_all_places_and_comes_again_for_one(
    lake: Lake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arrive(lake, tmp_path / "in", ticks(0, 2), 1)
    found: list[Any] = []

    def stop(seconds: float) -> bool:
        time.sleep(min(seconds, 0.05))
        return len(found) == 2

    with serving(lake, forward_settings(lake, max_of_one=1)) as server:
        with Line(server.port, **{"from": "now", "ack": False}), Line(server.port, client="far") as other:
            assert other.answer["accepted"] is True
            hello = greeting(**{"from": "beginning"})
            waiting = threading.Thread(target=Subscription(address(server), hello, found.append, stop=stop).run)
            waiting.start()
            wait_until(lambda: "max_of_one: near has 1. End a connection, or try again later" in caplog.text)
            assert not found
        waiting.join(SECONDS)
    assert len(found) == 2


def test_strangers_who_only_hold_a_line_keep_no_client_out(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest of them has to go."""
    monkeypatch.setattr(module, "GREETING_SECONDS", SECONDS)
    monkeypatch.setattr(strangers, "MOST_OF_ONE", 4)
    with serving(lake, forward_settings(lake, max_clients=1)) as server:
        waiting = [socket.create_connection(("127.0.0.1", server.port), SECONDS) for _ in range(8)]
        with Line(server.port) as client:
            assert client.answer["accepted"] is True
        assert json.loads(waiting[0].recv(1000))["error"] == "no greeting in time"
        for one in waiting:
            one.close()


def test_of_too_many_strangers_the_address_with_most_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strangers, "MOST", 4)
    gone: list[str] = []

    async def wait(here: strangers.Strangers, name: str) -> None:
        try:
            async with here.one(name[0], SECONDS):
                await asyncio.sleep(SECONDS)
        except TimeoutError:
            gone.append(name)

    async def come() -> None:
        here = strangers.Strangers()
        tasks = [asyncio.create_task(wait(here, name)) for name in ("a1", "b1", "b2", "b3", "c1", "d1")]
        await asyncio.sleep(0.05)
        assert gone == ["b1", "b2"]
        here.let_go()
        await asyncio.gather(*tasks)

    asyncio.run(come())
    assert sorted(gone) == ["a1", "b1", "b2", "b3", "c1", "d1"]


def test_no_log_has_a_token_and_a_client_that_is_refused_gives_up(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(lake) as server:
        hello = greeting() | {"token": TOKEN + "-nearly"}
        with pytest.raises(WayError, match="no such client, or not its token"):
            Subscription(Address("127.0.0.1", server.port), hello, lambda _: None).run()
        with Line(server.port):
            pass
    assert "forward refused peer=127.0.0.1" in caplog.text
    assert TOKEN not in caplog.text


def test_a_missing_token_is_told_before_anybody_is_served(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = forward_settings(lake)
    monkeypatch.delenv("SWX_TEST_TOKEN")
    with pytest.raises(WayError, match="client near: the environment variable SWX_TEST_TOKEN is not set"):
        module.PacketServer(lake, RawPackets(lake), settings, Health("forward"))


# ---- TLS -----------------------------------------------------------------------------------------------------------
def test_over_tls_both_sides_are_known_by_certificates(lake: Lake, tmp_path: Path) -> None:
    arrive(lake, tmp_path / "in", ticks(0, 3), 1)
    server_pem, client_pem = (make_certificate(tmp_path / f"{name}.pem") for name in ("server", "client"))
    tls = {"certificate": server_pem, "key": server_pem, "client_ca": client_pem}
    with serving(lake, forward_settings(lake, **tls)) as server:
        found: list[Any] = []
        both = Address("127.0.0.1", server.port, tls_context(server_pem, client_pem, client_pem))
        Subscription(both, greeting(), found.append, stop=lambda _: len(found) == 3).run()
        assert len(found) == 3
        nameless = Address("127.0.0.1", server.port, tls_context(server_pem, None, None))
        tries = iter((False, True))
        Subscription(nameless, greeting(), found.append, stop=lambda _: next(tries)).run()
        assert len(found) == 3


def test_certificates_that_do_not_fit_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.pem: no certificates that fit \(No such file"):
        tls_context(tmp_path / "none.pem", None, None)


# ---- lines and frames as such --------------------------------------------------------------------------------------
FRAMES = st.lists(st.tuples(st.dictionaries(st.text(max_size=5), st.integers()), st.binary(max_size=60)), max_size=4)


@settings(max_examples=30)
@given(FRAMES, st.integers(1, 50))
def test_frames_are_found_in_pieces_of_any_size(sent: list[tuple[dict[str, Any], bytes]], size: int) -> None:
    octets = b"".join(frame(header, data) for header, data in sent)
    reader = FrameReader(bytearray())
    found = [one for at in range(0, len(octets), size) for one in reader.feed(octets[at : at + size])]
    assert [(one.header, one.data) for one in found] == sent


def test_a_frame_is_what_the_page_says() -> None:
    """docs/how-to/forward-packets.md, byte by byte."""
    assert frame({"kind": "alive"}, b"\x01\x02") == b"\0\0\0\x14" + b"\0\x10" + b'{"kind":"alive"}' + b"\x01\x02"


@pytest.mark.parametrize("octets", [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\2\0\5", b"\0\0\0\4\0\2[]"])
def test_what_is_no_frame_is_refused(octets: bytes) -> None:
    with pytest.raises(WireError):
        FrameReader(bytearray()).feed(octets)


def test_a_frame_longer_than_any_is_refused_before_it_is_read() -> None:
    with pytest.raises(WireError, match="a frame of"):
        FrameReader(bytearray()).feed((LONGEST_FRAME + 1).to_bytes(4))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-09-16", 0),
        ("2024-09-16T12:00:00Z", 43_200),
        ("2024-09-16T12:00:00.25", 43_200.25),
        ("2024-09-16T14:00:00+02:00", 43_200),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(text: str, seconds: float) -> None:
    assert parse_time(text) == tt2000_of_day(DAY) + round(seconds * NS)


def test_a_leap_second_is_a_time() -> None:
    after = tt2000_of_day(date(2017, 1, 1))
    assert parse_time("2016-12-31T23:59:60Z") == after - NS
    assert parse_time("2017-01-01T00:59:60.5+01:00") == after - NS // 2


@pytest.mark.parametrize(
    "text", ["2024-12-31T23:59:60Z", "", "noon", "1800-01-01", "2400-01-01", "0001-01-01T00:00:00+23:00"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        parse_time(text)


@pytest.mark.parametrize(
    "more", [{"to": "2024-09-16"}, {"speed": 1}, {"after": "1.2"}, {"from": "beginning"}, {"ack": False}]
)
def test_a_replay_never_moves_a_cursor_and_its_client_says_where_it_was(more: dict[str, Any]) -> None:
    assert not read_hello(line(greeting(**more))).moves_cursor
    assert _second_greeting(more)["after"] == "7.120"


def test_a_reading_from_the_cursor_moves_it_and_its_client_leaves_it_to_the_server() -> None:
    assert read_hello(line(greeting())).moves_cursor
    assert "after" not in _second_greeting({})


def _second_greeting(more: dict[str, Any]) -> dict[str, Any]:
    """What the client says when it comes again."""
    subscription = Subscription(Address("127.0.0.1", 1), greeting(**more), lambda _: None)
    subscription.cursor = "7.120"
    return subscription._again()
