# SPDX-License-Identifier: Apache-2.0
"""A packet log that holds what it is told, a lake for it, and a server of webhooks that answers as it is told."""

from __future__ import annotations

import base64
import hashlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from exports.forward.settings import ForwardSettings
from lake.clock import tt2000_of_day
from lake.packet_log import Cursor, LoggedPacket, UnreadableFileError, Wanted
from lake.store import Lake
from tests.toy import DAY, toy_lake

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER_SECRET = "whsec_" + base64.b64encode(bytes(range(100, 132))).decode()


def packet(arrival: int, number: int, apid: int = 7) -> LoggedPacket:
    """A packet of the toy whose bytes and second say which it is."""
    data = apid.to_bytes(2, "big") + (0xC000 | number).to_bytes(2, "big") + b"\x00\x03" + number.to_bytes(4, "big")
    sha256 = hashlib.sha256(f"file {arrival}".encode()).hexdigest()
    epoch = tt2000_of_day(DAY) + ((arrival - 1) * 1000 + number) * 10**9
    at = f"2026-08-01T00:{arrival:02d}:00Z"
    return LoggedPacket(Cursor(arrival, number), "toy", "box", apid, number, epoch, at, sha256, number * 10, data)


@dataclass
class ToyLog:
    """Files of packets in the order in which they arrived; those that are `damaged` cannot be read."""

    files: list[list[LoggedPacket]] = field(default_factory=list)
    damaged: set[int] = field(default_factory=set)

    def arrive(self, count: int, apid: int = 7) -> list[LoggedPacket]:
        """A file of so many packets."""
        self.files.append([packet(len(self.files) + 1, number + 1, apid) for number in range(count)])
        return self.files[-1]

    def end(self) -> Cursor:
        return Cursor(len(self.files) + 1, 0)

    def after(self, cursor: Cursor, wanted: Wanted) -> Iterator[LoggedPacket]:
        return self._walk(self.files[:], cursor, wanted)

    def _walk(self, files: list[list[LoggedPacket]], cursor: Cursor, wanted: Wanted) -> Iterator[LoggedPacket]:
        for arrival, file in enumerate(files, 1):
            if arrival in self.damaged and arrival >= cursor.arrival:
                raise UnreadableFileError(f"file {arrival} has changed in the archive.", Cursor(arrival + 1, 0))
            yield from (one for one in file if one.cursor > cursor and _fits(one, wanted))

    @property
    def ids(self) -> list[str]:
        return [one.id for file in self.files for one in file]


def _fits(one: LoggedPacket, wanted: Wanted) -> bool:
    epoch = one.epoch_tt2000
    assert epoch is not None
    inside = (wanted.first is None or epoch >= wanted.first) and (wanted.last is None or epoch < wanted.last)
    return inside and wanted.fits_file(one.mission, one.instrument) and (not wanted.apids or one.apid in wanted.apids)


@dataclass
class Stage:
    """A lake, a log, and settings of clients that begin at the beginning, whose tries follow each other at once."""

    folder: Path
    lake: Lake
    log: ToyLog

    def settings(self, clients: dict[str, dict[str, Any]], **retries: float) -> ForwardSettings:
        given = {name: {"start": "beginning", **client} for name, client in clients.items()}
        hurried = {"first_seconds": 0.01, "most_seconds": 0.02, "patience_seconds": 0.1, **retries}
        return ForwardSettings.model_validate({"lake": str(self.lake.root), "clients": given, "retries": hurried})

    def place(self, name: str) -> Path:
        """A folder of a client."""
        (self.folder / name).mkdir(exist_ok=True)
        return self.folder / name


def new_stage(folder: Path) -> Stage:
    """A stage with an empty lake and an empty log."""
    return Stage(folder, toy_lake(folder), ToyLog())


@dataclass
class Hook:
    """A server of webhooks. `answers` are its next ones; then it takes all. `heard` is what was sent to it."""

    port: int = 0
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    before: Callable[[], object] = time.monotonic

    def client(self, **more: Any) -> dict[str, Any]:
        """Settings of a client that it is."""
        url = f"http://127.0.0.1:{self.port}/in"
        return {"webhook": {"url": url, "secret_env": "SWX_HOOK", "allow_private": True, **more}}

    @property
    def names(self) -> list[str]:
        """The ids of the messages, in the order in which they came."""
        return [headers["webhook-id"] for headers, _ in self.heard]


@contextmanager
def hook(certificate: Path | None = None) -> Iterator[Hook]:
    """A server for the block, over TLS if a certificate with its key is given."""
    told = Hook()

    class Request(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.before()
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.heard.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status, headers = told.answers.pop(0) if told.answers else (204, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Request) as server:
        server.daemon_threads, server.block_on_close = True, False
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        told.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield told
        server.shutdown()
        thread.join()
