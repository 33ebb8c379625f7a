# SPDX-License-Identifier: Apache-2.0
"""The books of the upload server: a line of the log and a count of each upload, rows of ops.receptions in groups."""

from __future__ import annotations

import logging
import threading
from datetime import datetime
from typing import Any

from ingest.sources.nouns import Taken
from ingest.sources.upload_requests import Announced, Refusal
from lake.errors import StorageError, TableError
from lake.health import Health
from lake.ledger import new_run_id
from lake.names import shown
from lake.presence import Presence
from lake.store import Lake
from lake.tables import append_ops

log = logging.getLogger(__name__)

FLUSH_SECONDS = 10.0  # a commit in object storage takes half a second, so that rows wait for others
MOST_ROWS = 10_000  # that wait while the lake's tables cannot be written
REASON_CHARACTERS = 500


class Books:
    """What is written down of uploads. Rows that were not yet written when a process is killed are lost, nothing else.

    What landed has its receipt in the archive by then, and a sender that got no answer sends again.
    """

    def __init__(self, lake: Lake, health: Health) -> None:
        self.lake, self.rows, self.lock = lake, list[dict[str, Any]](), threading.Lock()
        self.presence = Presence(lake)
        self.up = health.gauge("upload_up", "Whether the upload server is at work")
        self.answers = health.counter("uploads_total", "Uploads answered", ("status", "code"))
        self.bytes = health.counter("upload_bytes_total", "Bytes of uploads that landed")

    def took(self, sender: str, announced: Announced, taken: Taken, at: datetime) -> None:
        """Write down what came of a whole file."""
        log.info("upload sender=%s path=%s %s", sender, shown(announced.path), taken.state)
        self.answers.labels(taken.state, "").inc()
        if taken.state == "landed":
            self.bytes.inc(announced.bytes)
        self._note(sender, announced, taken.state, taken.detail, at)

    def refused(self, sender: str | None, peer: str, path: str, refusal: Refusal) -> None:
        """Write down that something was not taken. What others wrote is escaped and cut short."""
        message = "upload sender=%s peer=%s path=%s refused: %d %s, %s"
        reason = refusal.reason[:REASON_CHARACTERS]
        log.warning(message, sender or "?", peer, shown(path), refusal.status, refusal.code, reason)
        self.answers.labels("refused", refusal.code).inc()

    def refused_whole(self, sender: str, announced: Announced, refusal: Refusal, at: datetime) -> None:
        """The row of a file that came to its end and was not taken; `refused` is said as well."""
        self._note(sender, announced, "refused", f"{refusal.code}: {refusal.reason}", at)

    def _note(self, sender: str, announced: Announced, state: str, detail: str, at: datetime) -> None:
        row = {
            "source": f"upload-{sender}",
            "path": announced.path,
            "bytes": announced.bytes,
            "file_sha256": announced.sha256,
            "state": state,
            "detail": detail[:REASON_CHARACTERS],
            "attempts": 1,
            "first_seen_at": at,
            "noted_at": at,
        }
        with self.lock:
            if len(self.rows) < MOST_ROWS:
                self.rows.append(row)
                return
        log.error("upload path=%s: no row of ops.receptions, %d wait. Mend the lake.", shown(announced.path), MOST_ROWS)

    def keep(self, stop: threading.Event) -> None:
        """Write rows every few seconds until told to stop, and those of the end."""
        while not stop.wait(FLUSH_SECONDS):
            self.flush()
        self.flush()

    def flush(self) -> None:
        """Write the rows that wait; those that cannot be written wait on."""
        with self.lock:
            rows, self.rows = self.rows, []
        if not rows:
            return
        try:
            self.presence.check()
            run_id = new_run_id(rows[-1]["noted_at"])
            append_ops(self.lake, "receptions", [row | {"run_id": run_id} for row in rows])
        except (StorageError, TableError) as error:
            log.error("upload: %d rows of ops.receptions wait: %s", len(rows), error)
            with self.lock:
                self.rows = rows + self.rows
