# SPDX-License-Identifier: Apache-2.0
"""How fast packets are given again: as fast as they were measured, faster by a factor, or as fast as they can be.

The pace is that of the packets' own clock, in the order of the log. Where it steps back (another file, another clock)
the count begins anew, and a packet without a time goes with the one before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from lake.clock import NS

Speed = float | None  # seconds of data in a second; None: as fast as possible
FULL = "full"
MOST_SPEED = 1_000_000.0  # a month in three seconds; what is faster is `full`


def parse_speed(text: object) -> Speed:
    """A speed as people and clients write it: 1, 10, 2.5, "10", "10x" or "full". Raises ValueError."""
    if text == FULL:
        return None
    try:
        speed = float(str(text).removesuffix("x")) if not isinstance(text, bool) else 0.0
    except ValueError:
        speed = 0.0
    if not 0 < speed <= MOST_SPEED:
        raise ValueError(f"speed {str(text)[:20]!r} is none; write a number above 0, such as 1 or 10, or {FULL}")
    return speed


class Pace:
    """When each of a row of packets is due. `clock` counts seconds."""

    def __init__(self, speed: Speed, clock: Callable[[], float] = time.monotonic) -> None:
        self.speed, self.clock = speed, clock
        self._began: tuple[int, float] | None = None  # a packet's time in TT2000, and when it went
        self._last = 0

    def delay(self, epoch_tt2000: int | None) -> float:
        """Seconds until the next packet is due, never below 0."""
        if self.speed is None or epoch_tt2000 is None:
            return 0.0
        now = self.clock()
        if self._began is None or epoch_tt2000 < self._last:
            self._began = epoch_tt2000, now
        self._last = epoch_tt2000
        epoch, at = self._began
        return max(0.0, at + (epoch_tt2000 - epoch) / NS / self.speed - now)
