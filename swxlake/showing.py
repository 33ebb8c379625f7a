# SPDX-License-Identifier: Apache-2.0
"""Serving what is read: the viewer and the HAPI server, until SIGTERM or SIGINT."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pydantic import ValidationError

from lake.answers import Answers, Limits
from lake.clock import utc_now
from lake.config import Settings
from lake.errors import ConfigurationError
from lake.health import Health
from lake.hosts import names_of
from lake.serving import Listen
from lake.store import Lake
from lake.web import STALLED_SECONDS, serving
from swxlake.signals import stopped_by_signals

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from starlette.types import ASGIApp

    from exports.hapi.serving import Manner

BEAT_SECONDS = 10.0


def listen_at(host: str, port: int, certificate: Path | None, key: Path | None) -> Listen:
    """Where to listen; on this machine alone, or with TLS. Raises ConfigurationError."""
    try:
        return Listen(host=host, port=port, certificate=certificate, key=key)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ConfigurationError(f"--host {host}: {first['msg'].removeprefix('Value error, ')}.") from None


def serve_monitor(lake: Lake, settings: Settings, listen: Listen, limits: Limits) -> None:
    """Serve the site and the viewer."""
    from monitor.viewer.serving import application  # noqa: PLC0415

    health = Health("monitor", settings.health)
    _serve(application(lake, Answers(lake, limits), health, names_of(listen)), listen, health, "/")


def serve_hapi(lake: Lake, settings: Settings, listen: Listen, manner: Manner) -> None:
    """Serve the products by HAPI; if they are public, by whatever name it is called."""
    from exports.hapi.serving import application  # noqa: PLC0415

    _save_memory()
    health = Health("hapi", settings.health)
    app = application(lake, Answers(lake, Limits()), health, manner, None if manner.public else names_of(listen))
    _serve(app, listen, health, "/hapi", max(STALLED_SECONDS, 2 * manner.seconds))  # so that its own limit is the first


class _Absent:
    """A library that whoever asks for it does not find. (None in sys.modules says so to Python, but not to Arrow.)"""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        """Raises ModuleNotFoundError for the library; for others, asks the next finder."""
        if name == self.name:
            raise ModuleNotFoundError(f"{name} is not needed here", name=name)


def _save_memory() -> None:
    """For the process of a server that streams: what Arrow would take for its speed in computing, and never uses.

    With its first array Arrow loads pandas, 37 MB, to see whether the values are such. Its own allocator keeps an arena
    to a thread; that of the system takes 12 MB less, and gives back what is free.
    """
    sys.meta_path.insert(0, _Absent("pandas"))
    pa.set_memory_pool(pa.system_memory_pool())


def _serve(app: ASGIApp, listen: Listen, health: Health, path: str, stalled_seconds: float = STALLED_SECONDS) -> None:
    with stopped_by_signals() as ended, serving(app, listen, stalled_seconds) as address:
        print(f"{address}{path}", flush=True)
        health.beat("at work", utc_now())
        while not ended.wait(BEAT_SECONDS):
            health.beat("at work", utc_now())
    health.stop()
