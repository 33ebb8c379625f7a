# SPDX-License-Identifier: Apache-2.0
"""Asking a lake several questions for one answer, all of which have to be answered before one deadline."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import pyarrow as pa

from lake.answers import Answers, Parameters
from lake.errors import TimeLimitError
from lake.store import Lake


@dataclass(frozen=True)
class Asked:
    """Answers of a lake until a moment of time.monotonic(), which is when `allowed` seconds are over. Two of the same
    lake are the same whatever their deadlines, so that what was learned for one is kept for the other."""

    answers: Answers
    until: float = field(default=math.inf, compare=False)
    allowed: float = field(default=math.inf, compare=False)

    @property
    def lake(self) -> Lake:
        """The lake that is asked."""
        return self.answers.lake

    def seconds(self) -> float:
        """What is left for the next question. Raises TimeLimitError if nothing is."""
        left = min(self.until - time.monotonic(), self.answers.limits.seconds)
        if left <= 0:
            raise self._late()
        return left

    def ask(self, sql: str, parameters: Parameters = ()) -> pa.Table:
        """The rows of a question, as `Answers.ask` has them. Raises LimitError, QueryError."""
        batches = []
        try:
            for batch in self.answers.stream(sql, parameters, self.seconds()):
                batches.append(batch)
                self.seconds()
        except TimeLimitError:
            raise self._late() from None
        return pa.Table.from_batches(batches[1:], schema=batches[0].schema)

    def _late(self) -> TimeLimitError:
        allowed = min(self.allowed, self.answers.limits.seconds)
        return TimeLimitError(f"takes longer than {allowed:g} s. Ask for a shorter time.")


def asked(answers: Answers, seconds: float | None = None) -> Asked:
    """Questions that may take so long together; as long as one alone may if not given."""
    allowed = answers.limits.seconds if seconds is None else seconds
    return Asked(answers, time.monotonic() + allowed, allowed)
