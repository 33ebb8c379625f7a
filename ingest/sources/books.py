# SPDX-License-Identifier: Apache-2.0
"""ops.receptions: what sources gave, one row per file and change of its state."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from ingest.sources.attempts import Seen
from lake.ledger import new_run_id
from lake.names import shown
from lake.store import Lake
from lake.tables import append_ops

DETAIL = 500  # characters; texts of others are bounded


class Books:
    """Rows that wait to be written, of all sources; those of a batch go in one commit."""

    def __init__(self, lake: Lake) -> None:
        self.lake, self.lock = lake, threading.Lock()
        self.last = datetime.min.replace(tzinfo=UTC)

    def write(self, source: str, changes: dict[str, Seen], now: datetime) -> None:
        """Write what changed at a source; nothing if nothing did. Raises TableError."""
        if not changes:
            return
        with self.lock:
            # Two changes of a path in one round are told apart by their times.
            self.last = max(now, self.last + timedelta(microseconds=1))
            run_id = new_run_id(self.last)
            rows = [_row(source, path, seen, self.last, run_id) for path, seen in sorted(changes.items())]
            append_ops(self.lake, "receptions", rows)


def _row(source: str, path: str, seen: Seen, now: datetime, run_id: str) -> dict[str, Any]:
    return {
        "source": source,
        "path": text(path),
        "bytes": seen.bytes,
        "file_sha256": seen.sha256,
        "state": seen.state,
        "detail": text(seen.detail)[:DETAIL],
        "attempts": seen.attempts,
        "manifest": seen.manifest,
        "first_seen_at": datetime.fromisoformat(seen.first),
        "noted_at": now,
        "run_id": run_id,
    }


def text(of_others: str) -> str:
    """A text that can be stored and shown: what is not printable is escaped."""
    return of_others if of_others.isprintable() else shown(of_others)
