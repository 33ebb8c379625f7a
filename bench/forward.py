# SPDX-License-Identifier: Apache-2.0
"""How late packets reach a subscriber over loopback: 1,000 packets at 200 a second, alone, beside a client that reads
one byte a second, and beside twenty that follow too; and how many a second at full speed.

python -m bench.forward

Live: from when the landing of a file of ten packets has returned. Replay: behind the time at which a packet is due, as
the first one came. The server, the landing and the client are processes of their own. Target: p99 below 50 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exports.forward.client import Address, Subscription
from exports.forward.wire import Frame
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.store import Lake
from tests.packet_lines import TOKEN, arrive, greeting, ticks
from tests.toy import toy_lake

RATE, PACKETS, TOGETHER = 200, 1000, 10
NAMES = ("near", "slow", *(f"n{number}" for number in range(20)))
TABLE = """| beside | live p50, ms | live p99, ms | replay p50, ms | replay p99, ms |
|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """Latencies in milliseconds."""

    beside: str
    live: Sequence[float]
    replay: Sequence[float]

    def line(self) -> str:
        """A line of the table."""
        parts = [f"{figure:.1f}" for values in (self.live, self.replay) for figure in _percentiles(values)]
        return f"| {self.beside} | {' | '.join(parts)} |"


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    parts = statistics.quantiles(values, n=100)
    return parts[49], parts[98]


@contextmanager
def _server(folder: Path) -> Iterator[int]:
    """A server in a process of its own; its port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    clients = "".join(f'[clients.{n}]\nsubscriber = true\ntoken_env = "SWX_TEST_TOKEN"\n' for n in NAMES)
    (folder / "forward.toml").write_text(f'lake = "lake"\n{clients}[serve]\nport = {port}\n')
    places = {"SWXLAKE_ROOT": str(folder / "lake"), "SWXLAKE_MISSIONS": str(folder / "missions")}
    program = "import sys; from swxlake.cli import main; sys.argv[0] = 'swxlake'; main()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "forward", "serve", "-v"],
        cwd=folder,
        env=os.environ | places | {"SWX_TEST_TOKEN": TOKEN, "PYTHONPATH": str(CHECKOUT)},
        stderr=subprocess.PIPE,
    ) as server:
        assert server.stderr is not None
        server.stderr.readline()  # it listens
        threading.Thread(target=server.stderr.read, daemon=True).start()
        yield port
        server.terminate()


@contextmanager
def _slow(port: int) -> Iterator[None]:
    """A client that reads one byte a second of all there is."""
    ended = threading.Event()
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(json.dumps(greeting("slow", **{"from": "beginning", "ack": False})).encode() + b"\n")

        def read() -> None:
            while not ended.wait(1) and line.recv(1):
                pass

        thread = threading.Thread(target=read)
        thread.start()
        yield
        ended.set()
        thread.join()


@contextmanager
def _followers(port: int) -> Iterator[None]:
    """Twenty clients that follow, in a process of their own."""
    with subprocess.Popen([sys.executable, "-m", "bench.forward", "--follow", str(port)], cwd=CHECKOUT) as others:
        time.sleep(4)  # until they are connected
        yield
        others.kill()


def follow(port: int) -> None:
    """Follow with twenty clients until killed."""
    for name in NAMES[2:]:
        subscription = Subscription(Address("127.0.0.1", port), greeting(name), lambda _: None)
        threading.Thread(target=subscription.run, daemon=True).start()
    time.sleep(600)


def land(folder: Path, first: int) -> None:
    """Let packets arrive at the rate, and print when each file had."""
    lake = Lake(folder / "lake", read_definitions(folder / "missions"))
    begin = time.monotonic() + 0.5
    for number in range(PACKETS // TOGETHER):
        time.sleep(max(0.0, begin + number * TOGETHER / RATE - time.monotonic()))
        arrive(lake, folder / "inbox", ticks(first + number * TOGETHER, TOGETHER), first // TOGETHER + number)
        print(time.monotonic(), flush=True)


def _taken(port: int, number: int, **hello: Any) -> list[float]:
    """When each of so many packets came."""
    came: list[float] = []

    def take(_: Frame) -> None:
        came.append(time.monotonic())

    Subscription(Address("127.0.0.1", port), greeting(**hello), take, stop=lambda _: len(came) >= number).run()
    return came


def _live(folder: Path, port: int, first: int) -> list[float]:
    """Milliseconds from the landing of each packet's file to the packet."""
    command = [sys.executable, "-m", "bench.forward", "--land", str(folder), str(first)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as landing:
        came = _taken(port, PACKETS, **{"from": "now"})
        assert landing.stdout is not None
        landed = [float(line) for line in landing.stdout]
    return [1000 * max(0.0, at - landed[number // TOGETHER]) for number, at in enumerate(came)]


def _replay(port: int) -> list[float]:
    """Milliseconds by which packets came later than they were due."""
    asked: dict[str, Any] = {"from": "2024-09-16T12:00:00Z", "to": "2024-09-16T12:16:40Z", "speed": RATE}
    came = _taken(port, PACKETS, **asked)
    return [1000 * (at - came[0] - number / RATE) for number, at in enumerate(came)]


def run() -> tuple[list[Row], float]:
    """Latencies in each company, and packets a second at full speed."""
    rows, places = [], {"nobody": None, "one that reads a byte a second": _slow, "20 that follow": _followers}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lake = toy_lake(folder)
        arrive(lake, folder / "inbox", ticks(0, PACKETS), 50_000)
        arrive(lake, folder / "inbox", ticks(20_000, 1000) * 100, 50_001)  # 1.2 MB, so that the slow one is stuck
        with _server(folder) as port:
            for number, (beside, company) in enumerate(places.items(), 1):
                with ExitStack() as stack:
                    if company is not None:
                        stack.enter_context(company(port))
                    rows.append(Row(beside, _live(folder, port, 2000 * number), _replay(port)))
            before = time.monotonic()
            count = len(_taken(port, 100_000, **{"from": "2.0"}))
            return rows, count / (time.monotonic() - before)


def table(rows: Sequence[Row], speed: float) -> str:
    """The figures as they stand in docs/benchmarks.md."""
    return f"{TABLE}{chr(10).join(row.line() for row in rows)}\n\nAt full speed: {speed:,.0f} packets/s of 12 bytes."


def main() -> None:
    """Measure and print, or be one of the processes of a measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--land", nargs=2, metavar=("FOLDER", "FIRST"), help=argparse.SUPPRESS)
    parser.add_argument("--follow", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.land:
        land(Path(options.land[0]), int(options.land[1]))
    elif options.follow:
        follow(options.follow)
    else:
        print(table(*run()))


if __name__ == "__main__":
    main()
