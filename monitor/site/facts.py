# SPDX-License-Identifier: Apache-2.0
"""What the site is about: the lake's books, each read once and only if a page asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import polars as pl

from lake.definitions import Definitions
from lake.ledger import Contents, read_contents, read_ops, standing_checks
from lake.reading import scan
from lake.store import Lake, RawArchive

WINDOW_DAYS = 30  # with data: a month, as reports to agencies have it
RUN_COLUMNS = ("run_id", "table_name", "day", "reason", "rows", "seconds", "started_at", "status", "error", "content")

Made = TypeVar("Made")


@dataclass(frozen=True)
class Facts:
    """The state of a lake as the site tells it.

    `planned` has the table-days that are out of date, with the reason, as a plan of transforms gives them.
    """

    lake: Lake
    now: datetime
    planned: Mapping[tuple[str, date], str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the lake's folder, without where it is, which concerns nobody; the address of a bucket."""
        root = self.lake.root
        return root.resolve().name if isinstance(root, Path) else str(root)

    @property
    def definitions(self) -> Definitions:
        """What missions/ says."""
        return self.lake.definitions

    @cached_property
    def contents(self) -> Contents:
        """Table-days that there are, and the run of each that counts."""
        return read_contents(self.lake)

    @cached_property
    def rules(self) -> dict[tuple[str, date], tuple[int, str]]:
        """How many rules each table-day was checked by, when it was last, and of which content that was told.

        Of millions of rows, these alone.
        """
        rows = scan(self.lake, self.lake.ops("checks"))
        last = pl.col("run_id") == pl.col("run_id").max()
        found = pl.col("rule").filter(last).n_unique(), pl.col("content").filter(last).first()
        counts = rows.group_by("table_name", "day").agg(*found).collect()
        return {(table, day): (count, content) for table, day, count, content in counts.iter_rows()}

    @cached_property
    def broken(self) -> pl.DataFrame:
        """Those of the newest verdicts about each table-day that say that a rule does not hold: few of many."""
        return standing_checks(self.lake, ~pl.col("passed")).sort("table_name", "day", "rule")

    @cached_property
    def runs(self) -> pl.DataFrame:
        """All attempts to build table-days, without what they depended on, which is long."""
        rows = scan(self.lake, self.lake.ops("runs")).select(RUN_COLUMNS)
        return rows.sort("run_id", "started_at", maintain_order=True).collect()

    @cached_property
    def file_days(self) -> Mapping[str, date]:
        """The UTC day in the name of each raw file, by its receipt: the archive keeps files by it."""
        found = dict[str, date]()
        for receipt, key in RawArchive(self.lake).keys().items():
            try:
                found[receipt] = date.fromisoformat(PurePosixPath(key).parts[3])
            except ValueError:  # the name tells no day
                continue
        return found

    @cached_property
    def days(self) -> tuple[date, ...]:
        """UTC days with packets or rows, in order; not those of the future."""
        return tuple(day for day in self._all_days if day <= self.latest)

    @cached_property
    def future(self) -> tuple[date, ...]:
        """UTC days with packets or rows that are not yet: a clock, or a packet, was wrong."""
        return tuple(day for day in self._all_days if day > self.latest)

    @property
    def latest(self) -> date:
        """The last day that there can be data of: tomorrow, for clocks differ."""
        return self.now.date() + timedelta(days=1)

    @cached_property
    def window(self) -> tuple[date, date] | None:
        """The first of the last 30 UTC days with data, and the day after the last; None without data."""
        last = self.days[-WINDOW_DAYS:]
        return (last[0], last[-1] + timedelta(days=1)) if last else None

    @property
    def span(self) -> str:
        """The window in a sentence."""
        if self.window is None:
            return "The lake has no data yet."
        days = min(len(self.days), WINDOW_DAYS)
        words = f"the last {days} UTC days that have data" if days > 1 else "the only UTC day that has data"
        return f"Window: {self.window[0]} to {self.days[-1]}, {words}."

    @property
    def last_night(self) -> str:
        """The newest night in ops.nights; empty before there is one."""
        return str(self.ops("nights")["night_id"].max() or "")

    def ops(self, name: str) -> pl.DataFrame:
        """Rows of one of the lake's own tables; the newest row of each key where it has one."""
        if name not in self._read:
            self._read[name] = read_ops(self.lake, name)
        return self._read[name]

    def once(self, make: Callable[[Facts], Made]) -> Made:
        """What a function makes of these facts, made once: pages of several parts show the same."""
        if make not in self._made:
            self._made[make] = make(self)
        found: Made = self._made[make]
        return found

    def in_window(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows whose `day` is in the window."""
        return rows.filter(self.within)

    @cached_property
    def within(self) -> pl.Expr:
        """The condition that a `day` is in the window."""
        return pl.col("day").is_between(*self.window, closed="left") if self.window else pl.lit(value=False)

    @cached_property
    def _all_days(self) -> list[date]:
        packets = self.ops("packets").filter(pl.col("received") > 0)["day"].unique()
        return sorted({*packets, *(day for _, day in self.contents.known)})

    @cached_property
    def _read(self) -> dict[str, pl.DataFrame]:
        return {}

    @cached_property
    def _made(self) -> dict[Callable[[Facts], Any], Any]:
        return {}
