# SPDX-License-Identifier: Apache-2.0
"""The packet server: every packet at least once, from where each client has come to, and nobody waits for another."""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from exports.forward import books, standing, subscribers
from exports.forward.client import Address, Subscription
from exports.forward.cursors import Cursors
from exports.forward.metrics import Metrics
from exports.forward.serving import PacketServer, ServerError
from exports.forward.wire import Frame
from ingest.packets import RawPackets
from lake.health import Health
from lake.heartbeats import STOPPED
from lake.ledger import read_ops
from lake.packet_log import Cursor
from lake.store import Lake
from tests.kept_lake import flip, only
from tests.packet_lines import (
    NOON,
    SECONDS,
    Line,
    address,
    arrive,
    forward_settings,
    greeting,
    relay,
    serving,
    taken,
    tick,
    ticks,
)
from tests.toy import toy_lake

RANGE = {"from": "2024-09-16T12:00:02Z", "to": "2024-09-16T12:00:05Z"}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return toy_lake(tmp_path)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


@pytest.fixture(autouse=True)
def _notes_are_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscribers, "NOTE_SECONDS", 0.05)


def counts(frames: list[Frame]) -> list[int]:
    return [frame.header["count"] for frame in frames]


def noted(lake: Lake, client: str, cursor: Cursor) -> bool:
    """Whether the lake has this cursor of a client, soon."""
    return soon(lambda: Cursors(lake).read(client) == cursor)


def soon(is_so: Callable[[], bool]) -> bool:
    """Whether something becomes so."""
    until = time.monotonic() + SECONDS
    while not is_so():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


# ---- every packet, over broken lines -------------------------------------------------------------------------------
def test_a_thousand_packets_come_once_each_and_in_order_although_the_line_is_cut(lake: Lake, inbox: Path) -> None:
    """They arrive at 200 a second while the client listens; the line is cut amid the 400th, and the next answer."""
    found: list[Frame] = []
    begin = time.monotonic()

    def feed() -> None:
        for number in range(25):
            time.sleep(max(0.0, begin + number * 0.2 - time.monotonic()))
            arrive(lake, inbox, ticks(40 * number, 40), number)

    with serving(lake) as server, relay(server.port, [400 * 290, 50]) as port:
        feeding = threading.Thread(target=feed)
        feeding.start()
        near = Address("127.0.0.1", port)
        subscription = Subscription(near, greeting(), found.append, stop=lambda _: len(found) == 1000)
        assert subscription.run() == "stopped"
        feeding.join()
    assert counts(found) == list(range(1000))
    assert len({frame.header["id"] for frame in found}) == 1000
    assert [frame.data for frame in found] == ticks(0, 1000)
    assert subscription.connections == 2
    assert Cursors(lake).read("near") == Cursor(25, 40)


def test_what_was_not_confirmed_comes_again_with_the_same_id(lake: Lake, inbox: Path) -> None:
    arrive(lake, inbox, ticks(0, 5), 1)
    with serving(lake) as server:
        with Line(server.port) as line:
            first = line.packets(5)
            line.say({"ack": "1.2"})
            assert noted(lake, "near", Cursor(1, 2))
        with Line(server.port) as line:
            assert line.answer["cursor"] == "1.2"
            again = line.packets(3)
    assert [frame.header["id"] for frame in again] == [frame.header["id"] for frame in first[2:]]


def test_confirming_what_was_not_sent_ends_the_connection(lake: Lake, inbox: Path) -> None:
    arrive(lake, inbox, ticks(0, 2), 1)
    with serving(lake) as server:
        for nonsense, words in (("9.1", "what was sent ends at"), ("x", "is no position")):
            with Line(server.port) as line:
                line.next("alive")
                line.say({"ack": nonsense})
                end = line.next("end")
                assert words in end.header["reason"]
                assert end.header["again"] is False
    assert Cursors(lake).read("near") == Cursor(0, 0)


def test_after_all_that_was_asked_for_the_line_is_closed_soon_although_nothing_is_confirmed(
    lake: Lake, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscribers, "LAST_SECONDS", 0.1)
    arrive(lake, inbox, ticks(0, 10), 1)
    with serving(lake) as server, Line(server.port, **RANGE) as line:
        assert line.next("end").header["again"] is False
        line.socket.settimeout(SECONDS)
        before = time.monotonic()
        assert line.socket.recv(1) == b""
        assert time.monotonic() - before < subscribers.FAREWELL_SECONDS / 2


# ---- live, catching up, replay -------------------------------------------------------------------------------------
def test_files_that_land_while_clients_are_connected_reach_them(lake: Lake, inbox: Path) -> None:
    with serving(lake) as server, Line(server.port, client="near") as near, Line(server.port, client="late") as late:
        for place in range(1, 4):
            arrive(lake, inbox, ticks(10 * place, 2), place)
            assert counts(near.packets(2)) == counts(late.packets(2)) == [10 * place, 10 * place + 1]


def test_each_client_goes_on_where_it_was_and_a_new_one_begins_as_its_settings_say(lake: Lake, inbox: Path) -> None:
    arrive(lake, inbox, ticks(0, 3), 1)
    with serving(lake) as server:
        assert counts(taken(server, 3, client="near")[1]) == [0, 1, 2]
        with Line(server.port, client="late") as late:
            assert late.answer["cursor"] == "2.0"
        arrive(lake, inbox, ticks(3, 2), 2)
        assert counts(taken(server, 2, client="near")[1]) == [3, 4]
        assert counts(taken(server, 5, client="far")[1]) == [0, 1, 2, 3, 4]
        assert counts(taken(server, 2, client="late")[1]) == [3, 4]


@pytest.mark.parametrize(
    ("start", "expected"), [("beginning", [0, 1, 2, 3]), ("1.1", [1, 2, 3]), ("2024-09-16T12:00:02Z", [2, 3])]
)
def test_any_beginning_can_be_asked_for_and_moves_no_cursor(
    lake: Lake, inbox: Path, start: str, expected: list[int]
) -> None:
    arrive(lake, inbox, ticks(0, 4), 1)
    with serving(lake) as server:
        _, found = taken(server, len(expected), **{"from": start})
    assert counts(found) == expected
    assert Cursors(lake).read("near") is None


@pytest.mark.parametrize("hello", [{}, {"from": "5.0"}, {"after": "5.0", "to": "2024-09-17"}])
def test_who_has_come_farther_than_the_log_is_refused_for_it_would_miss_what_arrives(
    lake: Lake, inbox: Path, hello: dict[str, Any]
) -> None:
    arrive(lake, inbox, ticks(0, 3), 0)
    Cursors(lake).write("near", Cursor(5, 0))
    with serving(lake) as server, Line(server.port, **hello) as line:
        assert line.answer["error"].startswith(
            "5.0 is where near has come to, and the log ends at 2.0: the lake is an older copy. "
        )
        assert ("state/forward/near.json" in line.answer["error"]) is (not hello)


def test_a_replay_ends_by_itself_and_moves_no_cursor(lake: Lake, inbox: Path) -> None:
    arrive(lake, inbox, [*ticks(0, 10), tick(10, NOON + 3)], 1)
    with serving(lake) as server:
        taken(server, 4)
        subscription, found = taken(server, 99, **RANGE)
    assert counts(found) == [2, 3, 4, 10]
    assert subscription.cursor == "2.0"
    assert (Cursors(lake).read("near") or Cursor(0, 0)).number == 4
    rows = read_ops(lake, "forwards").select("client", "way", "packets", "state").rows()
    assert ("near", "tcp", 4, "done") in rows


def test_a_replay_keeps_the_pace_that_was_asked_for(lake: Lake, inbox: Path) -> None:
    arrive(lake, inbox, ticks(0, 10), 1)
    with serving(lake) as server:
        before = time.monotonic()
        taken(server, 99, speed=10, **RANGE)
        assert time.monotonic() - before > 0.19  # two seconds of data


@pytest.mark.parametrize("asked", [{"from": "2024-09-16T12:00:10Z", "to": "2024-09-16T12:10:00Z"}, {"speed": 1e6}])
def test_what_is_cut_amid_a_replay_goes_on_there(lake: Lake, inbox: Path, asked: dict[str, Any]) -> None:
    """Nothing comes twice, for the client says what it has."""
    arrive(lake, inbox, ticks(0, 600), 1)
    first = 10 if "to" in asked else 0
    found: list[Frame] = []
    with serving(lake) as server, relay(server.port, [100 * 290, 200 * 290]) as port:
        address_, hello = Address("127.0.0.1", port), greeting(**asked)
        subscription = Subscription(address_, hello, found.append, stop=lambda _: len(found) == 600 - first)
        subscription.run()
    assert counts(found) == list(range(first, 600))
    assert (subscription.connections, subscription.repeated) == (3, 0)


# ---- nobody waits for another --------------------------------------------------------------------------------------
@contextmanager
def dripped(port: int) -> Iterator[None]:
    """A client that reads one byte a second of all there is."""
    ended = threading.Event()
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", port))
        line.sendall(json.dumps(greeting("far", ack=False)).encode() + b"\n")

        def read() -> None:
            while not ended.wait(1) and line.recv(1):
                pass

        thread = threading.Thread(target=read)
        thread.start()
        yield
        ended.set()
        thread.join()


def test_a_client_that_reads_a_byte_a_second_delays_no_other(lake: Lake, inbox: Path) -> None:
    """If others waited for it, they would for a minute: its line has no room. bench/forward.py has the latencies."""
    arrive(lake, inbox, ticks(0, 1000) * 30, 1)
    landed, came = list[float](), list[float]()
    minute = forward_settings(lake, idle_seconds=60)
    with serving(lake, minute) as server, dripped(server.port):
        assert soon(lambda: bool(server._subscribers))
        (stuck,) = server._subscribers
        assert soon(lambda: stuck.writer.transport.get_write_buffer_size() > 0)
        with Line(server.port, **{"from": "now", "ack": False}) as near:
            for number in range(20):
                arrive(lake, inbox, ticks(10 * number, 10), 2 + number)
                landed.append(time.monotonic())
                near.packets(10)
                came.append(time.monotonic())
        assert stuck.writer.transport.get_write_buffer_size() > 0
        assert stuck.standing.packets_sent < 30_000
    delays = [at - since for at, since in zip(came, landed, strict=True)]
    assert statistics.median(delays) < 2, delays


def test_who_confirms_nothing_gets_a_window_and_no_more(
    lake: Lake, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "WINDOW", 500)
    arrive(lake, inbox, ticks(0, 600), 1)
    with serving(lake) as server, Line(server.port) as line:
        assert line.packets(500)[-1].cursor == "1.500"
        line.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            line.next()
        line.socket.settimeout(SECONDS)
        line.say({"ack": "1.10"})
        assert line.packets(10)[-1].cursor == "1.510"


def test_twenty_clients_at_once_are_served(lake: Lake, inbox: Path) -> None:
    arrive(lake, inbox, ticks(0, 200), 1)
    with serving(lake, forward_settings(lake, max_of_one=20)) as server:
        lines = [Line(server.port, **{"from": "beginning", "ack": False}) for _ in range(20)]
        arrive(lake, inbox, ticks(200, 5), 2)
        assert all(counts(line.packets(205)) == list(range(205)) for line in lines)
        for line in lines:
            line.socket.close()


def test_a_client_that_comes_again_takes_over_from_its_dead_line(lake: Lake, inbox: Path) -> None:
    arrive(lake, inbox, ticks(0, 4), 1)
    with serving(lake) as server, Line(server.port) as old:
        old.packets(4)
        old.say({"ack": "1.3"})
        assert noted(lake, "near", Cursor(1, 3))
        with Line(server.port) as new:
            assert new.answer["cursor"] == "1.3"
            assert old.next("end").header["again"] is False
            assert counts(new.packets(1)) == [3]


# ---- what is asked for ---------------------------------------------------------------------------------------------
def test_what_was_passed_over_is_not_looked_at_again(lake: Lake, inbox: Path) -> None:
    arrive(lake, inbox, ticks(0, 4), 1)
    with serving(lake) as server:
        with Line(server.port, client="few") as line:
            assert line.next("alive").cursor == "2.0"
            line.say({"ack": "2.0"})
        assert noted(lake, "few", Cursor(2, 0))


def test_a_damaged_file_is_named_and_what_follows_comes(lake: Lake, inbox: Path) -> None:
    arrive(lake, inbox, ticks(0, 2), 1)
    flip(only(lake, f"raw/*/*/*/{'?' * 64}"), 3)
    arrive(lake, inbox, ticks(2, 2), 2)
    with serving(lake) as server:
        subscription, found = taken(server, 2)
    assert counts(found) == [2, 3]
    assert "has changed in the archive" in subscription.unreadable[0]


# ---- the service ---------------------------------------------------------------------------------------------------
def test_who_leaves_is_let_go_at_once_whatever_it_is_being_told(lake: Lake, inbox: Path) -> None:
    """A sign of life is on its way each time."""
    arrive(lake, inbox, ticks(0, 3), 1)
    with serving(lake, forward_settings(lake, keepalive_seconds=0.1, idle_seconds=SECONDS)) as server:
        for _ in range(8):
            with Line(server.port, **{"from": "beginning"}) as line:
                line.packets(3)
                line.say({"ack": "2.0"})
                line.socket.shutdown(socket.SHUT_WR)
                before = time.monotonic()
                while line.socket.recv(65536):
                    assert time.monotonic() - before < 2


@pytest.mark.parametrize(
    ("part", "named"), [("end", "the look for what has arrived"), ("lag", "the keeping of the books")]
)
def test_a_server_ends_with_an_error_if_a_part_of_it_dies(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, named: str
) -> None:
    """Who is connected would hear signs of life and no packets."""
    Cursors(lake).write("near", Cursor(1, 0))
    health = Health("forward", tmp_path)

    def dies(*_: object) -> None:
        raise AssertionError("entries are never removed")

    async def serve() -> None:
        server = PacketServer(lake, RawPackets(lake), forward_settings(lake), health)
        monkeypatch.setattr(server.news, "anybody", lambda: True)
        monkeypatch.setattr(RawPackets, part, dies)
        async with asyncio.timeout(SECONDS):
            await server.run()

    with pytest.raises(ServerError, match=rf"{named} has ended \(AssertionError: entries are never removed\)"):
        asyncio.run(serve())
    beat = tmp_path / "forward.json"
    assert not beat.exists() or STOPPED not in beat.read_text()


def test_who_says_nothing_for_too_long_is_hung_up_on(lake: Lake) -> None:
    with serving(lake, forward_settings(lake, idle_seconds=0.3)) as server, Line(server.port) as line:
        assert line.next("alive")
        assert "said nothing for 0.3 s" in line.next("end").header["reason"]


def test_a_server_that_stops_says_so_and_the_books_have_every_connection(lake: Lake, inbox: Path) -> None:
    arrive(lake, inbox, ticks(0, 3), 1)
    with serving(lake) as server:
        line = Line(server.port)
        line.packets(3)
        line.say({"ack": "1.2"})
        assert noted(lake, "near", Cursor(1, 2))
    assert line.next("end").header == {
        "kind": "end", "cursor": "1.2", "reason": "the server stops", "again": True
    }  # fmt: skip
    line.socket.close()
    row = read_ops(lake, "forwards").row(0, named=True)
    assert (row["from_cursor"], row["to_cursor"], row["packets"], row["bytes"]) == ("0.0", "1.2", 2, 24)
    assert (row["state"], row["detail"]) == ("closed", "the server stops")


def test_metrics_have_the_lag_of_each_client_also_of_those_who_are_away(
    lake: Lake, inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "BOOKS_SECONDS", 0.05)
    arrive(lake, inbox, ticks(0, 3), 1)
    file, told = tmp_path / "forward.prom", list[str]()
    with serving(lake, health=Health("forward", tmp_path)) as server:
        with Line(server.port, client="far") as line:
            line.packets(3)
            line.say({"ack": "1.1"})
            assert noted(lake, "far", Cursor(1, 1))
            assert counts(taken(server, 3, client="near")[1]) == [0, 1, 2]
        assert noted(lake, "near", Cursor(1, 3))
        told = [
            'swxlake_forward_lag_packets{client="far"} 2.0',
            'swxlake_forward_lag_packets{client="near"} 0.0',
            'swxlake_forward_packets_total{client="near"} 3.0',
        ]
        assert soon(lambda: file.exists() and all(line in file.read_text() for line in told))
    assert address(server).port == server.port


def test_what_was_sent_is_counted_by_one_thread(lake: Lake, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two would count the same packets."""
    monkeypatch.setattr(books, "BOOKS_SECONDS", 0.01)
    threads, sent = set[str](), Metrics.sent

    def noted_sent(metrics: Metrics, one: standing.Standing) -> None:
        threads.add(threading.current_thread().name)
        sent(metrics, one)

    monkeypatch.setattr(Metrics, "sent", noted_sent)
    arrive(lake, inbox, ticks(0, 3), 1)
    with serving(lake) as server:
        taken(server, 3)
        with Line(server.port, client="far") as line:
            assert line.packets(3)
            assert line.next("alive")
    assert len(threads) == 1


def test_a_port_that_is_taken_is_told(lake: Lake) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = forward_settings(lake, port=other.getsockname()[1])

        async def serve() -> None:
            await PacketServer(lake, RawPackets(lake), settings, Health("forward")).run()

        with pytest.raises(OSError, match="address already in use"):
            asyncio.run(serve())


def test_a_server_whose_lake_is_gone_ends_with_an_error_and_begins_no_other(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "BOOKS_SECONDS", 0.1)
    root = Path(lake.root)

    async def serve() -> None:
        server = PacketServer(lake, RawPackets(lake), forward_settings(lake), Health("forward"))
        running = asyncio.create_task(server.run())
        await server.ready.wait()
        root.rename(tmp_path / "unmounted")
        async with asyncio.timeout(SECONDS):
            await running

    root.mkdir(exist_ok=True)
    with pytest.raises(ServerError, match="the lake that was here is gone"):
        asyncio.run(serve())
    assert not root.exists()
