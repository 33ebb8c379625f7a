# SPDX-License-Identifier: Apache-2.0
"""The diary of a night: what each stage did, when, and how it ended, as rows of ops.nights."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Self

from lake.clock import utc_now
from lake.errors import SwxlakeError
from lake.ledger import new_run_id, release
from lake.store import Lake
from lake.tables import append_ops
from swxlake.outcome import Outcome
from swxlake.sql_output import json_value

log = logging.getLogger(__name__)

KEPT = 100  # notes and problems of a stage; all of them were printed


class Diary:
    """The rows of one night, written to ops.nights at the end of the block, also of one that an error ends."""

    def __init__(self, lake: Lake) -> None:
        self.lake, self.night_id = lake, new_run_id(utc_now())
        self.rows = list[dict[str, Any]]()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Write the rows. Raises TableError, unless that would hide another error."""
        try:
            append_ops(self.lake, "nights", self.rows)
        except SwxlakeError as refusal:
            if error is None:
                raise
            log.info("ops.nights does not tell of this night: %s", refusal)  # as a rule for the same reason

    def stage(self, name: str, work: Callable[[], Outcome]) -> Outcome:
        """What comes of a stage; its row is noted, also if an error ends it."""
        outcome, started_at, began = None, utc_now(), time.perf_counter()
        try:
            outcome = work()
        finally:
            known = outcome or Outcome(problems=[_ended(sys.exception())])
            self._note(name, started_at, time.perf_counter() - began, known)
        return outcome

    def _note(self, name: str, started_at: datetime, seconds: float, outcome: Outcome) -> None:
        row = {"night_id": self.night_id, "number": len(self.rows) + 1, "stage": name, "started_at": started_at}
        code = {"code_version": release()[0], "run_id": self.night_id}
        self.rows.append(row | {"seconds": seconds} | _told(outcome) | code)


def _ended(error: BaseException | None) -> str:
    return "interrupted" if isinstance(error, KeyboardInterrupt) else f"ended by an error: {error}"


def _told(outcome: Outcome) -> dict[str, str]:
    return {
        "state": "failed" if outcome.problems else "warn" if outcome.notes else "ok",
        "facts": json.dumps(outcome.facts, default=json_value),
        "notes": json.dumps(outcome.notes[:KEPT]),
        "problems": json.dumps(outcome.problems[:KEPT]),
    }
