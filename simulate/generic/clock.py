# SPDX-License-Identifier: Apache-2.0
"""What the counters of a clock show at given times: the reverse of how time tags are made of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lake.clock import DAY_NS, NS, met_from_tt2000
from lake.definitions import Mission
from lake.packet_definitions import Clock

Int64 = npt.NDArray[np.int64]
SINCE_BOOT_NS = 1000 * NS  # what a clock that tells no time of day shows when a run begins


def counters(clock: Clock, times: Int64, start: int) -> dict[str, Int64]:
    """The clock's fields at TT2000 [ns]; a part of a tick is cut off. A run begins at `start`."""
    met = times - start + SINCE_BOOT_NS if clock.policy == "none" else met_from_tt2000(clock, times)
    shown: dict[str, Int64] = {}
    if clock.days is not None:
        shown[clock.days], met = met // DAY_NS, met % DAY_NS
    seconds, below = met // NS, met % NS
    ticks = below * clock.coarse_ticks_per_second // NS
    shown[clock.coarse] = seconds * clock.coarse_ticks_per_second + ticks
    if clock.fine is not None:
        per_coarse = clock.fine_ticks_per_second // clock.coarse_ticks_per_second
        shown[clock.fine] = _ticks(below, clock.fine_ticks_per_second) - ticks * per_coarse
    return shown


def tick_ns(clock: Clock) -> float:
    """The shortest time [ns] between two packets that the clock tells apart."""
    finest = clock.fine_ticks_per_second if clock.fine is not None else clock.coarse_ticks_per_second
    return NS / max(finest, 1)


def _ticks(below: Int64, per_second: int) -> Int64:
    """Whole ticks in a number of nanoseconds below a second."""
    if per_second > NS:  # picoseconds: the product would not fit
        return np.asarray(below * (per_second // NS), np.int64)
    return np.asarray(below * per_second // NS, np.int64)


def shows(clock: Clock, mission: Mission, bits: dict[str, int], last: int, start: int) -> str | None:
    """Why the clock cannot show a run that ends at `last`; None if it can. `bits` are the widths of its fields."""
    for name, values in counters(clock, np.array([start, last], np.int64), start).items():
        if name in bits and values.min() < 0:
            return f"its clock begins at {clock.epoch}, after the day"
        if name in bits and int(values.max()) >> bits[name]:
            return f"{name} has {bits[name]} bits, too few for a time of {mission.name} since {clock.epoch}"
    return None
