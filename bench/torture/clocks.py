# SPDX-License-Identifier: Apache-2.0
"""A wall clock that shows another time: it was set wrong, jumped, or has to be the same in two runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from unittest import mock

from lake import clock


@contextmanager
def clock_at(start: datetime) -> Iterator[None]:
    """Within the block the clock of every module that has asked for it shows `start` and goes on from there."""
    real, began = clock.utc_now, datetime.now(UTC)

    def shown() -> datetime:
        return start + (datetime.now(UTC) - began)

    with ExitStack() as stack:
        for module in [m for m in list(sys.modules.values()) if getattr(m, "utc_now", None) is real]:
            stack.enter_context(mock.patch.object(module, "utc_now", shown))
        yield


@contextmanager
def time_ahead(by: timedelta) -> Iterator[None]:
    """Within the block `time.time` is so far ahead of the real time, by which files are older than they are."""
    real = time.time

    def shown() -> float:
        return real() + by.total_seconds()

    with mock.patch.object(time, "time", shown):
        yield
