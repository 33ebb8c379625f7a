# SPDX-License-Identifier: Apache-2.0
"""A toy lake in which packets arrive, a packet server that runs in a thread, and plain lines to it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from exports.forward.client import Address, Subscription
from exports.forward.serving import PacketServer
from exports.forward.settings import ForwardSettings
from exports.forward.wire import Frame, FrameReader
from ingest.landing import land
from ingest.packets import RawPackets
from lake.health import Health
from lake.store import Lake
from tests.meddea import drop, met
from tests.packets import build_packet

NOW = datetime(2024, 9, 17, tzinfo=UTC)
NOON = met(2024, 9, 16, 12)
TOKEN = "a-token-that-no-log-may-show"  # noqa: S105
SECONDS = 60.0  # after which a test has failed, also where much else runs


def tick(count: int, time_s: int = NOON, value: int | None = None) -> bytes:
    """A packet of the toy's box."""
    return build_packet(7, f"{time_s:032b}{count % 65536 if value is None else value:016b}", count)


def ticks(first: int, number: int) -> list[bytes]:
    """Packets that follow each other, one in a second."""
    return [tick(count, NOON + count) for count in range(first, first + number)]


def file_name(number: int) -> str:
    """Names of raw files of the toy's box, for it has the grammar of PADRE."""
    return f"toyMDA0_240916{number // 3600:02}{number // 60 % 60:02}{number % 60:02}.dat"


def arrive(lake: Lake, inbox: Path, packets: Sequence[bytes], number: int) -> None:
    """A file lands."""
    landed = land(lake, [drop(inbox, file_name(number), *packets)], NOW, 0)
    assert len(landed.new) == 1, landed


def forward_settings(lake: Lake, **more: Any) -> ForwardSettings:
    """Two subscribers, `near` and `far`, who get all, and `few`, who gets nothing of the box's APID."""
    os.environ["SWX_TEST_TOKEN"] = TOKEN
    client = {"subscriber": True, "token_env": "SWX_TEST_TOKEN", "start": "beginning"}
    clients = {"near": client, "far": client, "late": client | {"start": "now"}, "few": client | {"apids": [8]}}
    serve = {"port": 0, "keepalive_seconds": 0.2, "idle_seconds": 5.0} | more
    return ForwardSettings.model_validate({"lake": str(lake.root), "clients": clients, "serve": serve})


@contextmanager
def serving(
    lake: Lake, settings: ForwardSettings | None = None, health: Health | None = None
) -> Iterator[PacketServer]:
    """A server for the block."""
    started, found = threading.Event(), []

    async def run() -> None:
        server = PacketServer(lake, RawPackets(lake), settings or forward_settings(lake), health or Health("forward"))
        running = asyncio.create_task(server.run())
        await asyncio.wait([running, asyncio.create_task(server.ready.wait())], return_when=asyncio.FIRST_COMPLETED)
        found.extend([server, asyncio.get_running_loop()])
        started.set()
        await running

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert started.wait(SECONDS)
    server, loop = found
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(server.stopping.set)
        thread.join(SECONDS)
        assert not thread.is_alive()


def greeting(client: str = "near", **more: Any) -> dict[str, Any]:
    return {"client": client, "token": TOKEN} | more


class Line:
    """A line to a server, by hand."""

    def __init__(self, port: int, **hello: Any) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        self.frames, self.reader = list[Frame](), FrameReader(bytearray())
        self.say(greeting(**hello))
        octets = b""
        while b"\n" not in octets:
            more = self.socket.recv(65536)
            assert more, "hung up without an answer"
            octets += more
        answer, _, rest = octets.partition(b"\n")
        self.answer: dict[str, Any] = json.loads(answer)
        self.frames += self.reader.feed(rest)

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def say(self, content: dict[str, Any]) -> None:
        self.socket.sendall(json.dumps(content).encode() + b"\n")

    def next(self, kind: str = "packet") -> Frame:
        """The next frame of a kind; what comes before it is passed over."""
        while True:
            for number, frame in enumerate(self.frames):
                if frame.kind == kind:
                    del self.frames[: number + 1]
                    return frame
            octets = self.socket.recv(65536)
            assert octets, f"the server hung up before it sent {kind}"
            self.frames = self.reader.feed(octets)

    def packets(self, number: int) -> list[Frame]:
        return [self.next() for _ in range(number)]


def address(server: PacketServer) -> Address:
    return Address("127.0.0.1", server.port)


def taken(server: PacketServer, number: int, **hello: Any) -> tuple[Subscription, list[Frame]]:
    """What the reference client takes until it has so many packets."""
    found: list[Frame] = []
    subscription = Subscription(address(server), greeting(**hello), found.append, stop=lambda _: len(found) >= number)
    subscription.run()
    return subscription, found


@contextmanager
def relay(port: int, cut_after: Sequence[int]) -> Iterator[int]:
    """A port that passes bytes on to another one, and cuts its lines, in turn, after so many bytes to the client."""
    limits = iter(cut_after)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_relayed, args=(listening, port, limits), daemon=True).start()
        yield listening.getsockname()[1]


def _relayed(listening: socket.socket, port: int, limits: Iterator[int]) -> None:
    with suppress(OSError):  # the block has ended
        while True:
            near, _ = listening.accept()
            far = socket.create_connection(("127.0.0.1", port))
            threading.Thread(target=_passed, args=(near, far, None), daemon=True).start()
            threading.Thread(target=_passed, args=(far, near, next(limits, None)), daemon=True).start()


def _passed(source: socket.socket, target: socket.socket, limit: int | None) -> None:
    """Pass bytes on to the end, or to the limit, where both lines are cut."""
    left = limit
    with suppress(OSError):
        while octets := source.recv(4096 if left is None else min(4096, left)):
            target.sendall(octets)
            left = None if left is None else left - len(octets)
            if left == 0:
                break
    for line in (source, target):
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)
        line.close()
