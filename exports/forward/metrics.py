# SPDX-License-Identifier: Apache-2.0
"""What the packet server says of itself: who is connected, what was sent, how far each client is behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from exports.forward.standing import Standing
from lake.health import Health
from lake.packet_log import Lag


class Metrics:
    """Metrics of the packet server."""

    def __init__(self, health: Health) -> None:
        self.health = health
        self.refused = health.counter("refused", "Connections that were refused")
        self._clients = health.gauge("connections", "Connections of a client", ("client",))
        self._packets = health.counter("packets", "Packets sent to a client", ("client",))
        self._lag_files = health.gauge("lag_files", "Files behind the cursor of a client", ("client",))
        self._lag_packets = health.gauge("lag_packets", "Packets behind the cursor of a client", ("client",))
        self._lag_seconds = health.gauge(
            "lag_seconds", "For how long the first packet behind the cursor of a client has been here", ("client",)
        )
        self._seen: set[str] = set()

    def connected(self, standings: Iterable[Standing]) -> None:
        """Note all connections there are."""
        count: Counter[str] = Counter()
        for standing in standings:
            count[standing.client] += 1
            self.sent(standing)
        self._seen |= count.keys()
        for client in self._seen:
            self._clients.labels(client).set(count[client])

    def sent(self, standing: Standing) -> None:
        """Count what was sent on a connection since it was last looked at: in the event loop alone, which sends it."""
        new = standing.packets_sent - standing.packets_told
        standing.packets_told += new
        self._packets.labels(standing.client).inc(new)

    def lag(self, client: str, lag: Lag) -> None:
        """Note how far a client is behind."""
        self._lag_files.labels(client).set(lag.files)
        self._lag_packets.labels(client).set(lag.packets)
        self._lag_seconds.labels(client).set(lag.seconds)
