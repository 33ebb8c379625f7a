# SPDX-License-Identifier: Apache-2.0
"""How well anomalies are found: 60 simulated days of housekeeping with 200 labelled faults of eight kinds.

python -m bench.anomalies --seeds 11 12 13

Events are counted: an episode that overlaps a fault of its channel is right, once. Methods were tuned on seeds 1 to 3.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from bench.anomalies_days import TABLE, day_rows, open_lake, write_day
from bench.anomalies_faults import KINDS, UNSIZED, Fault, draw, inject
from lake.ledger import read_ops
from lake.store import Lake
from quality.alerts.episodes import anomaly_rows, episodes_of
from quality.alerts.nouns import Episode
from quality.anomalies.watch import watch_all
from quality.checks import check_all

FIRST = date(2026, 8, 1)
DAYS, FAULTS = 60, 200
CHANNELS = 14
LEARNING = 10  # clean days at the beginning; others lie in the middle and at the end
CLEAN = (range(LEARNING), range(30, 35), range(55, 60))
SIZES = ((3.0, 5.0), (5.0, 10.0), (10.0, 31.0))
REOPENED = timedelta(hours=24)  # episodes of one channel that are nearer belong to one alert
SEVERAL = " several"
SHORT = "spike of 1 or 2 rows"
AROUND = timedelta(minutes=5)  # between an episode and its fault: a window of the slowest method


@dataclass(frozen=True)
class Found:
    """What came of one lake: its faults, episodes, infos, clean days, CPU seconds of checking and watching."""

    faults: tuple[Fault, ...]
    episodes: tuple[Episode, ...]
    infos: pl.DataFrame
    clean: frozenset[date]
    check_s: float
    watch_s: float
    days: int

    def of(self, fault: Fault) -> list[Episode]:
        """The episodes that overlap a fault of their channel."""
        return [episode for episode in self.episodes if _meets(episode, fault)]

    @property
    def false(self) -> list[Episode]:
        """The episodes that overlap no fault of their channel."""
        return [episode for episode in self.episodes if not any(_meets(episode, fault) for fault in self.faults)]

    @property
    def on_clean_days(self) -> list[Episode]:
        """The episodes that begin on a day without faults."""
        return [episode for episode in self.episodes if episode.start.date() in self.clean]

    def found(self, fault: Fault) -> bool:
        """Whether the fault is in an alert, or at least among the infos."""
        return bool(self.of(fault)) or self.told(fault)

    def told(self, fault: Fault) -> bool:
        """Whether the fault is among the infos."""
        near = pl.col("start_time").is_between(fault.begins - AROUND, fault.ends + AROUND)
        return not self.infos.filter(near, pl.col("column_name") == fault.column).is_empty()


def _subject(fault: Fault) -> str:
    return f"{TABLE}.{fault.column}" if fault.column else TABLE


def _meets(episode: Episode, fault: Fault) -> bool:
    several = episode.subject.endswith(SEVERAL) and fault.column in episode.message  # it lists its channels
    return (
        (several or episode.subject == _subject(fault))
        and episode.start <= fault.ends + AROUND
        and episode.end >= fault.begins - AROUND
    )


def run(
    seed: int, days: int = DAYS, faults: int = FAULTS, clean: Iterable[range] = CLEAN, checked: bool = True
) -> Found:
    """Simulate, check (which gives metrics of days to be watched), watch and count."""
    quiet = {day for part in clean for day in part}
    with tempfile.TemporaryDirectory() as folder:
        lake, house = open_lake(Path(folder))
        drawn = draw(house, seed, _blocks(days, quiet), faults)
        for number in range(days):
            day = FIRST + timedelta(days=number)
            rows = day_rows(house, day, seed)
            inject(house, rows, drawn, np.random.default_rng((seed, number, 7)))
            write_day(lake, house, day, rows, f"run-{number:03}")
        check_s, watch_s = _judge(lake, checked)
        anomalies, table = read_ops(lake, "anomalies"), lake.definitions.tables[TABLE]
        last = {TABLE: FIRST + timedelta(days=days - 1)}
        episodes = episodes_of(anomaly_rows(anomalies, {TABLE: table}), {TABLE: table}, last)
    dates = frozenset(FIRST + timedelta(days=number) for number in quiet)
    infos = anomalies.filter(pl.col("severity") == "info")
    return Found(tuple(drawn), tuple(episodes), infos, dates, check_s, watch_s, days)


def _judge(lake: Lake, checked: bool) -> tuple[float, float]:
    table = lake.definitions.tables[TABLE]
    start = time.process_time()
    if checked:
        check_all(lake, tables=[table])
    between = time.process_time()
    watch_all(lake, tables=[table])
    return between - start, time.process_time() - between


def _blocks(days: int, quiet: set[int]) -> list[tuple[date, date]]:
    """Stretches of days that are not clean."""
    busy = [number for number in range(days) if number not in quiet]
    starts = [n for n in busy if n - 1 not in busy]
    ends = [n for n in busy if n + 1 not in busy]
    return [(FIRST + timedelta(days=a), FIRST + timedelta(days=b)) for a, b in zip(starts, ends, strict=True)]


@dataclass(frozen=True)
class Count:
    """Faults, how many were found, in how many episodes, how often one gave more than one alert, median delay [s]."""

    faults: int
    found: int
    episodes: int
    repeated: int
    delay_s: float

    @property
    def recall(self) -> float:
        """Found over all; 1 if there are none."""
        return self.found / self.faults if self.faults else 1.0


def select(
    runs: Sequence[Found], rows: Iterable[str], low: float = 0.0, high: float = 1e9
) -> list[tuple[Found, Fault]]:
    """The faults of some rows of the table and sizes, each with its lake. One without a size counts as large."""
    return [
        (one, fault)
        for one in runs
        for fault in one.faults
        if row_of(fault) in rows and low <= (1e3 if fault.kind in UNSIZED else fault.size) < high
    ]


def row_of(fault: Fault) -> str:
    """The row of the table that a fault counts in: short spikes, which are to alert nobody, have their own."""
    return SHORT if fault.short else fault.kind


def count(runs: Sequence[Found], rows: Iterable[str], low: float = 0.0, high: float = 1e9) -> Count:
    """How many faults of some rows of the table and sizes raise an alert, in how many episodes."""
    about = select(runs, rows, low, high)
    met = [(fault, one.of(fault)) for one, fault in about]
    delays = [(episodes[0].start - fault.begins).total_seconds() for fault, episodes in met if episodes]
    delay = float(np.median(np.maximum(delays, 0))) if delays else float("nan")
    return Count(
        len(met), sum(bool(e) for _, e in met), sum(len(e) for _, e in met), sum(_alerts(e) > 1 for _, e in met), delay
    )


def _alerts(episodes: Sequence[Episode]) -> int:
    """How many alerts the episodes that meet one fault are."""
    found = sorted((e for e in episodes if not e.subject.endswith(SEVERAL)), key=lambda e: e.start)
    return 1 + sum(later.start - one.end > REOPENED for one, later in pairwise(found)) if found else 0


def precision(runs: Sequence[Found]) -> float:
    """Episodes that overlap a fault, over all."""
    total = sum(len(one.episodes) for one in runs)
    return 1 - sum(len(one.false) for one in runs) / total if total else 1.0


def table(runs: Sequence[Found]) -> str:
    """Recall by kind and size, as Markdown."""
    lines = [
        "| kind | faults | 3 to 5 sigma | 5 to 10 | above 10 | episodes | two alerts | median delay |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in (*KINDS, SHORT):
        parts = [count(runs, [kind], low, high) for low, high in SIZES]
        if kind in UNSIZED:
            parts = [Count(0, 0, 0, 0, 0.0), Count(0, 0, 0, 0, 0.0), count(runs, [kind])]
        whole = count(runs, [kind])
        cells = " | ".join(f"{part.found} of {part.faults}" if part.faults else "" for part in parts)
        lines.append(
            f"| {kind} | {whole.faults} | {cells} | {whole.episodes} | {whole.repeated} | {_words(whole.delay_s)} |"
        )
    return "\n".join(lines)


def _words(seconds: float) -> str:
    if np.isnan(seconds):
        return "never alerted"
    return f"{seconds / 86_400:.1f} days" if seconds >= 86_400 else f"{seconds:.0f} s"


def summary(runs: Sequence[Found]) -> str:
    """What matters in a few lines."""
    large, every = count(runs, KINDS, 5.0), select(runs, (*KINDS, SHORT), 5.0)
    found, short = sum(one.found(fault) for one, fault in every), select(runs, [SHORT], 5.0)
    told, woken = sum(one.told(fault) for one, fault in short), sum(bool(one.of(fault)) for one, fault in short)
    days = sum(one.days for one in runs)
    clean, false = sum(len(one.clean) for one in runs), sum(len(one.on_clean_days) for one in runs)
    infos = sum(one.infos.filter(pl.col("day").is_in(list(one.clean))).height for one in runs)
    channels = CHANNELS
    return "\n".join(
        [
            f"recall above 5 sigma, all kinds: {found / len(every):.3f} ({found} of {len(every)} are anomalies)",
            f"alerts above 5 sigma for faults of 3 rows and more: {large.recall:.3f} ({large.found} of {large.faults})",
            f"spikes of 1 or 2 rows above 5 sigma: {told} of {len(short)} are told as info, {woken} raise an alert",
            f"precision: {precision(runs):.3f} ({sum(len(one.false) for one in runs)} false of "
            f"{sum(len(one.episodes) for one in runs)} episodes)",
            f"alerts on {clean} clean days: {false}; infos on them: {infos}",
            f"faults with more than one alert: {count(runs, KINDS).repeated}",
            f"CPU per channel-day: {1e3 * sum(one.watch_s for one in runs) / days / channels:.1f} ms to watch "
            f"({sum(one.watch_s for one in runs) / days:.3f} s per table-day of {channels} channels and 8640 rows), "
            f"{sum(one.check_s for one in runs) / days:.3f} s to check",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    parser.add_argument("--false", action="store_true", help="list false episodes and missed faults")
    options = parser.parse_args()
    runs = [run(seed) for seed in options.seeds]
    if options.false:
        for one in runs:
            _list(one)
    print(table(runs))
    print()
    print(summary(runs))


def _list(one: Found) -> None:
    for episode in one.false:
        print("false", episode.start, episode.end, episode.subject, episode.rules, episode.message)
    for fault in one.faults:
        met = one.of(fault)
        if not met and fault.kind != "spike":
            print("missed", fault.kind, fault.column, fault.begins, fault.ends, f"{fault.size:.1f}")
        if len(met) > 1:
            print("twice", fault.kind, fault.column, fault.begins, fault.ends, f"{fault.size:.1f}")
            for episode in met:
                print("      ", episode.start, episode.end, episode.rules, episode.message)


if __name__ == "__main__":
    main()
