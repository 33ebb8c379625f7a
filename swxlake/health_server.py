# SPDX-License-Identifier: Apache-2.0
"""An endpoint of this machine alone for the health of its services: /metrics for Prometheus, /health for people.

Its answers are read from files anew each time, so it needs neither the lake nor the services.
"""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from lake import heartbeats
from lake.errors import ConfigurationError
from swxlake.signals import stopped_by_signals

LOOPBACK = "127.0.0.1"
METRICS = "text/plain; version=0.0.4; charset=utf-8"  # Prometheus' text format 0.0.4, as prometheus_client writes it
SECONDS = 10.0  # a client that says nothing for so long is cut off


class _Answers(BaseHTTPRequestHandler):
    """GET /metrics and GET /health; nothing else is there."""

    timeout: ClassVar[float] = SECONDS
    server_version, sys_version = "swxlake", ""

    def __init__(self, folder: Path, max_age: float, *rest: object) -> None:
        self.folder, self.max_age = folder, max_age
        super().__init__(*rest)  # type: ignore[arg-type]  # socketserver gives request, address, server

    def do_GET(self) -> None:
        """Answer; what is not there is 404, a service that is not well 503."""
        if self.path == "/metrics":
            self._give(HTTPStatus.OK, METRICS, heartbeats.metrics(self.folder))
        elif self.path == "/health":
            self._health()
        else:
            self._give(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"There are /metrics and /health.\n")

    def _health(self) -> None:
        found = heartbeats.pulses(self.folder, self.max_age, datetime.now(UTC))
        well = bool(found) and all(pulse.state in ("well", "stopped") for pulse in found)
        services = [dataclasses.asdict(pulse) for pulse in found]
        body = json.dumps({"healthy": well, "services": services}).encode() + b"\n"
        self._give(HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE, "application/json", body)

    def _give(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the standard library's
        """Scrapes come every half minute; they are no news."""


@contextmanager
def serving(folder: Path, port: int, max_age: float) -> Iterator[int]:
    """The endpoint during the block; its port, for 0 one that is free. Raises ConfigurationError if it is taken."""
    try:
        server = ThreadingHTTPServer((LOOPBACK, port), partial(_Answers, folder, max_age))
    except OSError as error:
        raise ConfigurationError(f"port {port} of {LOOPBACK}: {error.strerror}. Give --serve another port.") from None
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def serve(folder: Path, port: int, max_age: float) -> None:
    """Serve until SIGTERM or SIGINT."""
    with stopped_by_signals() as ended, serving(folder, port, max_age) as found:
        print(f"http://{LOOPBACK}:{found}/metrics and /health", flush=True)
        ended.wait()
