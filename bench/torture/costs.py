# SPDX-License-Identifier: Apache-2.0
"""What a night costs: plans of a long lake, one late file on it, and the same work by several processes.

bench.planning and bench.workers measure the first and the last; here they have their targets.
"""

from __future__ import annotations

import statistics
import time
from datetime import date, timedelta

from bench import planning, workers
from bench.torture.figures import Figure
from bench.torture.world import World, world

PLANNED, PLANNED_SHORT = (30, 90, 365), (10, 30)
LATE, LATE_SHORT = (30, 365), (5, 20)
LATE_FILES = 5
LAST = date(2024, 9, 16)
HOURS, HOURS_SHORT, ROUNDS, ROUNDS_SHORT = 2.0, 0.1, 3, 1
PLAN_SECONDS, LONGER, FASTER = 2.0, 0.2, 1.6


def planned(short: bool) -> Figure:
    """Planning when nothing changed, on lakes of all missions."""
    rows = [planning.run(days) for days in (PLANNED_SHORT if short else PLANNED)]
    text = ", ".join(f"{row.days} days {row.quiet:.2f} s" for row in rows)
    late = ", ".join(f"{row.days} days {row.steps} steps in {row.late:.2f} s" for row in rows)
    return Figure(
        "Planning when nothing changed, all missions",
        f"under {PLAN_SECONDS:g} s CPU; cost grows with changed days, not with the lake",
        text,
        all(row.quiet < PLAN_SECONDS for row in rows) and len({row.steps for row in rows}) == 1,
        (f"with late files: {late}",),
    )


def lake_of(days: int, made: World) -> None:
    """A lake of so many days, made by one night."""
    for back in range(days):
        day = LAST - timedelta(days=back)
        made.drop(f"seaBY01_{day:%y%m%d}000000.dat", [(day, 3600 * hour, hour) for hour in range(1, 23)])
    made.night()


def late_file(days: int) -> tuple[float, set[int]]:
    """Median of the seconds of whole nights that bring one late file, and how many table-days each of them built."""
    with world(whole=True) as made:
        lake_of(days, made)
        made.night()  # whatever is slow only once
        seconds, built = [], set()
        for number in range(LATE_FILES):
            made.drop(f"seaBY01_{LAST:%y%m%d}0001{number:02}.dat", [(LAST, 43_200 + number, number)])
            begun = time.perf_counter()
            outcome = made.night()
            seconds.append(time.perf_counter() - begun)
            built.add(outcome.facts["transform"]["table_days_built"])
        return statistics.median(seconds), built


def late(short: bool) -> Figure:
    """One late file on a short and on a long lake."""
    lengths = LATE_SHORT if short else LATE
    found = {days: late_file(days) for days in lengths}
    (few, _), (many, _) = found.values()
    text = ", ".join(f"{days} days {seconds:.2f} s" for days, (seconds, _) in found.items())
    only_its_days = all(built == {2} for _, built in found.values())
    return Figure(
        f"One late file on a lake of {lengths[1]} days and on one of {lengths[0]}",
        f"only its days are built; a night's wall time within {LONGER:.0%}",
        f"{text}; {'only its table-days' if only_its_days else 'other table-days too'}",
        only_its_days and (short or many <= few * (1 + LONGER)),
    )


def hands(short: bool) -> Figure:
    """The same night by one process, two and a Dask cluster. Raises AssertionError if the lakes differ."""
    rows = workers.run(HOURS_SHORT if short else HOURS, ROUNDS_SHORT if short else ROUNDS)
    faster = [rows[0].together / row.together for row in rows]
    return Figure(
        "The same night serial, with 2 processes, on Dask with 2 workers",
        f"equal contents; 2 processes at least {FASTER:g} times faster",
        "equal; " + ", ".join(f"{row.hands} {times:.2f}x" for row, times in zip(rows, faster, strict=True)),
        short or faster[1] >= FASTER,
    )


def run(short: bool, seed: int) -> list[Figure]:
    """The rows of this test."""
    return [planned(short), late(short), hands(short)]
