# SPDX-License-Identifier: Apache-2.0
"""What a zoom costs: a channel of 100 million rows over several spans, by envelopes, against the scan that they save.

python -m bench.envelopes --days 116

The table is hermes.nemisis_ql_mag at its 10 Hz, of noise with a spike in each day, written by the lake's own writer.
`--root` keeps the lake for another run. CPU time of all threads.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.hermes import peak_mb
from lake.answers import Answers, Limits
from lake.catalog import refresh
from lake.config import read_settings
from lake.day_files import structure
from lake.definition_files import read_definitions
from lake.definitions import Table
from lake.reading import arrow_schema
from lake.store import Lake
from lake.tables import replace_day
from monitor.envelopes.channels import find
from monitor.envelopes.layout import DAY_US, US, day_start
from monitor.envelopes.making import make_envelopes
from monitor.envelopes.reading import series

ADDRESS, CHANNEL = "hermes.nemisis_ql_mag", "fg_b_gse_nt.z"
FIRST = date(2026, 1, 1)
DAYS = 116
RATE_HZ = 10
POINTS = 2000  # of a plot a thousand pixels wide
TARGET_MS = 300
SPIKE_NT = 777.25
SCAN = f"""
    SELECT epoch_us(time) // $width AS bucket, count(*), min(z), max(z), avg(z)
    FROM (SELECT time, fg_b_gse_nt[3] AS z FROM {ADDRESS}
          WHERE day >= $first AND day <= $last AND epoch_us(time) >= $start AND epoch_us(time) < $stop)
    GROUP BY bucket ORDER BY bucket
"""  # noqa: S608  constants
HEAD = ("span", "rows", "given as", "points", "first, CPU ms", "again, CPU ms", "scan, CPU ms", "scan over again")
TABLE = f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}\n"


@dataclass(frozen=True)
class Row:
    """Figures of one span: CPU seconds of the first question of a service, of later ones, and of the scan."""

    span: str
    rows: int
    level: str
    points: int
    first: float
    again: float
    scan: float


@dataclass(frozen=True)
class Making:
    """What making took: CPU seconds of all days, of one more day, of a later run that finds nothing, memory, bytes."""

    days: int
    seconds: float
    more: float
    idle: float
    megabytes: float
    share: float


def make_lake(root: Path, days: int) -> Lake:
    """A lake of one table; days that are there stay."""
    lake = Lake(root, read_definitions(read_settings().missions))
    table = lake.definitions.tables[ADDRESS]
    for number in range(days):
        day = FIRST + timedelta(days=number)
        if not Path(lake.table_uri(table), f"day={day}").is_dir():
            replace_day(lake, table, day, _rows(table, day), {}, structure(table))
    refresh(lake)
    return lake


def _rows(table: Table, day: date) -> pa.Table:
    count = RATE_HZ * 86_400
    time = day_start(day) + np.arange(count) * (US // RATE_HZ)
    noise = np.random.default_rng(day.toordinal()).normal(0, 30, 3 * count).astype(np.float32).round(2)
    noise[3 * (count // 3) + 2] = SPIKE_NT
    vectors = pa.ListArray.from_arrays(pa.array(np.arange(0, 3 * count + 1, 3), pa.int32()), noise)
    columns = {"time": pa.array(time).cast(pa.timestamp("us", "UTC")), "epoch_tt2000": time * 1000}
    given = columns | dict.fromkeys(("fg_b_bus_nt", "fg_b_gse_nt"), vectors)
    schema = arrow_schema(table, stored=True)
    return pa.table({name: given.get(name, np.zeros(count, np.int32)) for name in schema.names}, schema=schema)


def _cpu(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def make(lake: Lake) -> Making:
    """Make all envelopes, those of the last day once more, and then nothing."""
    before = peak_mb()
    seconds = _cpu(lambda: make_envelopes(lake, force=True))
    grown = peak_mb() - before
    lake.storage.remove(max(e.key for e in lake.storage.entries("envelopes/") if "/coarse-" not in e.key))
    more = _cpu(lambda: make_envelopes(lake))
    idle = _cpu(lambda: make_envelopes(lake))
    size = {place: sum(e.bytes for e in lake.storage.entries(place)) for place in ("envelopes/", "tables/")}
    days = len(list(Path(lake.table_uri(lake.definitions.tables[ADDRESS])).glob("day=*")))
    return Making(days, seconds, more, idle, grown, size["envelopes/"] / size["tables/"])


def measure(lake: Lake, span: str, length_us: int, rounds: int) -> Row:
    """A span that begins in the middle of the first day or, if that is all there is, at its start.

    Raises AssertionError if the spike of the day is not seen.
    """
    start = day_start(FIRST) + (0 if length_us > DAY_US else DAY_US // 3)
    limits = Limits(seconds=600, memory_mb=4096, rows=10_000_000)
    channel = find(lake.definitions, ADDRESS, CHANNEL)
    answers = Answers(lake, limits)

    def ask(asked: Answers) -> float:
        return _cpu(lambda: series(asked, channel, start, start + length_us, POINTS))

    found = series(answers, channel, start, start + length_us, POINTS)
    assert found.high.max() == SPIKE_NT, "the spike is hidden"
    first = statistics.median(ask(Answers(lake, limits)) for _ in range(rounds))
    again = statistics.median(ask(answers) for _ in range(rounds))
    width = (found.width_s or 60) * US
    within: dict[str, object] = {"start": start, "stop": start + length_us, "width": width}
    within |= {"first": FIRST, "last": FIRST + timedelta(microseconds=start - day_start(FIRST) + length_us - 1)}
    scan = statistics.median(_cpu(lambda: answers.ask(SCAN, within)) for _ in range(rounds))
    return Row(span, int(found.count.sum()), found.level, len(found.time), first, again, scan)


def run(days: int = DAYS, rounds: int = 3, root: Path | None = None) -> tuple[Making, list[Row]]:
    """Figures of a table of so many days, made at `root`, or for this time alone."""
    if root is None:
        with tempfile.TemporaryDirectory() as folder:
            return run(days, rounds, Path(folder) / "lake")
    lake = make_lake(root, days)
    made = make(lake)
    spans = {f"{days} days": days * DAY_US, "30 days": 30 * DAY_US, "a day": DAY_US}
    spans |= {"an hour": DAY_US // 24, "a minute": DAY_US // 1440}
    return made, [measure(lake, span, length, rounds) for span, length in spans.items()]


def table(made: Making, rows: Sequence[Row]) -> str:
    """The figures in Markdown."""
    lines = [
        f"| {r.span} | {r.rows:,} | {r.level} | {r.points:,} | {1000 * r.first:.0f} | {1000 * r.again:.0f} | "
        f"{1000 * r.scan:,.0f} | {r.scan / r.again:.1f} |"
        for r in rows
    ]
    told = (
        f"\n\nMaking them: {made.seconds / made.days:.2f} CPU s a day of six channels at {RATE_HZ} Hz, "
        f"{made.megabytes:.0f} MB more memory than before, {made.share:.2%} of the table's bytes. One more day, with "
        f"the file of its year, takes {made.more:.2f} CPU s, a run that finds nothing to do {made.idle:.2f} CPU s."
    )
    return TABLE + "\n".join(lines) + told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--root", type=Path, help="where the lake is made and stays; a temporary folder if not given")
    options = parser.parse_args()
    print(table(*run(options.days, options.rounds, options.root)))


if __name__ == "__main__":
    main()
