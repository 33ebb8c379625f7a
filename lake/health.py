# SPDX-License-Identifier: Apache-2.0
"""The health of a service: a heartbeat for whoever restarts it, and metrics for Prometheus, as files.

Both lie in the folder that SWXLAKE_HEALTH names: `<service>.json`, and `<service>.prom` for the textfile collector of
the node exporter. They appear whole or not at all. `exposition` is the same text for an endpoint.
"""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from lake.clock import utc_now
from lake.errors import ConfigurationError
from lake.files import temporary, writing
from lake.heartbeats import FORM, STOPPED

PREFIX = "swxlake"
NAME = re.compile(r"[a-z][a-z0-9_]*")
FILE_MODE = 0o644  # others read it, such as the node exporter


class Health:
    """What one service says of itself. `service` is a short name such as `watch`; without a folder nothing is written.

    Metrics are named swxlake_<service>_<name>, by the conventions of Prometheus (base units, `_total` for counters).
    Raises ConfigurationError if the name is none.
    """

    def __init__(self, service: str, folder: Path | None = None) -> None:
        if not NAME.fullmatch(service):
            raise ConfigurationError(f"{service!r}: is no name of a service. Write small letters, digits and _.")
        self.service, self.folder = service, folder
        self.started_at = utc_now()
        self.registry = CollectorRegistry()
        self._beat = self.gauge("heartbeat_timestamp_seconds", "When the service was last at work, in Unix seconds")

    def gauge(self, name: str, description: str, labels: tuple[str, ...] = ()) -> Gauge:
        """A number that goes up and down."""
        return Gauge(self._metric(name), description, labels, registry=self.registry)

    def counter(self, name: str, description: str, labels: tuple[str, ...] = ()) -> Counter:
        """A number that only rises as long as the process lives; its name ends in `_total`."""
        return Counter(self._metric(name), description, labels, registry=self.registry)

    def _metric(self, name: str) -> str:
        return f"{PREFIX}_{self.service}_{name}"

    def beat(self, state: str = "at work", now: datetime | None = None) -> None:
        """Say that the service is alive and what it does. Raises StorageError if the folder cannot be written."""
        at = now or utc_now()
        self._beat.set(at.timestamp())
        if self.folder is None:
            return
        text = {
            "service": self.service,
            "state": state,
            "at": f"{at.astimezone(UTC):{FORM}}",
            "started_at": f"{self.started_at:{FORM}}",
            "pid": os.getpid(),
        }
        replace_file(self.folder / f"{self.service}.json", json.dumps(text).encode() + b"\n")
        replace_file(self.folder / f"{self.service}.prom", self.exposition())

    def stop(self, now: datetime | None = None) -> None:
        """Say that the service ends as it should, so that nobody takes its silence for a fault.

        Its metrics go: Prometheus would compare the time of the last heartbeat with its clock for ever.
        """
        self.beat(STOPPED, now)
        if self.folder is not None:
            path = self.folder / f"{self.service}.prom"
            with writing(path):
                path.unlink(missing_ok=True)

    def exposition(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self.registry)


def replace_file(path: Path, text: bytes) -> None:
    """Replace a file. It need not survive a power loss, so it is not waited for."""
    with writing(path), temporary(path) as (part, file):
        file.write(text)
        file.flush()
        part.chmod(FILE_MODE)
        part.replace(path)
