# SPDX-License-Identifier: Apache-2.0
"""How the clients of `forward.toml` stand: where each has come to, what it lacks, and what is wrong now."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl

from exports.forward.cursors import Cursors
from exports.forward.nouns import REPLAY
from exports.forward.settings import Client, wanted
from exports.forward.tries import Tries
from ingest.packets import RawPackets
from lake.clock import utc_now
from lake.config import Settings
from lake.ledger import read_ops
from lake.packet_log import BEGINNING, Cursor, Lag
from lake.store import Lake
from swxlake.forwarding import needed_settings
from swxlake.outcome import Outcome

FAILED = ("failed", "given_up")  # states of ops.forwards that say that something is wrong


def status(lake: Lake, settings: Settings) -> Outcome:
    """How far each client is, what it lacks, and when it last got something; packets that it was given again do not
    count."""
    found, packets, cursors, now = needed_settings(lake, settings), RawPackets(lake), Cursors(lake), utc_now()
    end, books = packets.end(), _Books(lake)

    def row(name: str, client: Client) -> dict[str, Any]:
        cursor = cursors.read(name)
        start = BEGINNING if client.start == "beginning" else end
        lag = packets.lag(cursor or start, wanted(client), now)
        confirmed, last = books.given(name)
        return {
            "client": name,
            "way": client.kind,
            "cursor": str(cursor) if cursor is not None else None,
            "confirmed": confirmed,
            "last": f"{last:%Y-%m-%dT%H:%M:%SZ}" if last is not None else "never",
            "files_behind": lag.files,
            "packets_behind": lag.packets,
            "seconds_behind": round(lag.seconds),
            "detail": books.wrong(name, cursor, lag) if cursor is not None else f"never here, begins at {start}",
        }

    rows = [row(name, client) for name, client in found.clients.items()]
    return Outcome(facts={"settings": str(settings.forward), "end": str(end)}, tables={"clients": rows})


class _Books:
    """What ops.forwards and the notes of tries say of clients."""

    def __init__(self, lake: Lake) -> None:
        rows = read_ops(lake, "forwards").filter(~pl.col("detail").str.starts_with(REPLAY))
        totals = rows.group_by("client").agg(pl.col("packets").sum(), pl.col("ended_at").max())
        self._totals = {name: (count, at) for name, count, at in totals.iter_rows()}
        newest = rows.sort("ended_at").select("client", "state", "to_cursor", "detail", "ended_at")
        self._newest = {row["client"]: row for row in newest.iter_rows(named=True)}
        self._tries = Tries(lake)

    def given(self, client: str) -> tuple[int, datetime | None]:
        """How many packets a client has confirmed, and when it last ended a connection or was pushed to."""
        return self._totals.get(client, (0, None))

    def wrong(self, client: str, cursor: Cursor, lag: Lag) -> str:
        """What a client has not taken, or why it failed last, as long as it has come no farther since."""
        if (trouble := self._tries.read(client)) is not None:
            return trouble.words if not trouble.place else trouble.reason
        last = self._newest.get(client)
        holds = last is not None and last["state"] in FAILED and last["to_cursor"] == str(cursor) and lag.files
        return f"{last['ended_at']:%Y-%m-%dT%H:%M:%SZ}: {last['detail']}" if last is not None and holds else ""
