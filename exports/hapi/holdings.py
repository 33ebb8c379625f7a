# SPDX-License-Identifier: Apache-2.0
"""What there is to be served: the product-days that were exported, and where their rows are.

A dataset is a product, a day of it is one that has a CDF. Its rows are those of the table as long as they are the ones
that the CDF was made from; then files are named. Else, the CDF is read.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

from exports.books import products
from exports.hapi.fields import Field, fields_of
from exports.istp.globals import logical_source
from exports.istp.structure import Structure, compile_product
from lake.answers import Answers
from lake.clock import tt2000_of_day
from lake.definitions import Axis, Product, Table
from lake.errors import CalibrationError, DefinitionError, ExportError
from lake.snapshots import Source
from lake.store import Lake

log = logging.getLogger(__name__)

FRESH_SECONDS = 2.0  # for which the books are not read again
# An export that finds the same bytes again notes its own time; a version is as old as the row that published it.
DAYS = """
WITH built AS (
    SELECT table_name, day, content, started_at
    FROM ops.runs
    WHERE status = 'done'
),
exported AS (
    SELECT
        path,
        max(first_epoch_tt2000) AS first_epoch_tt2000,
        max(last_epoch_tt2000) AS last_epoch_tt2000,
        min(created_at) FILTER (status = 'published') AS published_at
    FROM ops.exports
    GROUP BY path
)
SELECT
    p.product,
    p.day,
    p.path,
    p.records,
    coalesce(e.published_at, p.created_at) AS published_at,
    e.first_epoch_tt2000,
    e.last_epoch_tt2000,
    d.files,
    arg_max(b.content, b.started_at)
        IS NOT DISTINCT FROM arg_max(b.content, b.started_at) FILTER (b.started_at <= p.created_at) AS stands
FROM ops.latest_products AS p
LEFT JOIN exported AS e USING (path)
LEFT JOIN ops.table_days AS d ON d.table_name = p.product AND d.day = p.day
LEFT JOIN built AS b ON b.table_name = p.product AND b.day = p.day
GROUP BY ALL
ORDER BY p.product, p.day
"""


@dataclass(frozen=True)
class Day:
    """A product on a day: its CDF by key, and the Parquet files of its rows if they are those of the CDF.

    `published_at` is when this version was. First and last record are those of the day where older lakes did not note
    them. Days of one `mark` have the same values of axes.
    """

    day: date
    mark: tuple[str, ...]
    key: str
    records: int
    published_at: datetime
    first_tt2000: int
    last_tt2000: int
    files: tuple[str, ...] = ()

    @property
    def start(self) -> int:
        """The day's first instant, TT2000 [ns]."""
        return tt2000_of_day(self.day)

    @property
    def stop(self) -> int:
        """That of the next day."""
        return tt2000_of_day(self.day + timedelta(days=1))


@dataclass(frozen=True)
class Dataset:
    """A product with its days, in their order."""

    lake: Lake
    product: Product
    table: Table
    days: tuple[Day, ...]

    @property
    def id(self) -> str:
        """The logical source, as archives know the product."""
        return logical_source(self.table, self.lake.definitions.instrument(self.table))

    @cached_property
    def tables(self) -> dict[tuple[str, ...], Table]:
        """The table with the values of its axes, by mark."""
        days = {day.mark: day.day for day in self.days}
        return {mark: self.lake.definitions.on_day(self.table, day) for mark, day in days.items()}

    @property
    def newest(self) -> Table:
        """The table with the values that its axes have on the last day."""
        return self.tables[self.days[-1].mark]

    @cached_property
    def structure(self) -> Structure:
        """The structure of the newest day's CDF."""
        definitions, last = self.lake.definitions, self.days[-1].day
        instrument, mission = definitions.instrument(self.table), definitions.mission(self.table.mission)
        assumptions = definitions.assumptions(self.table, last)
        return compile_product(self.product, self.newest, instrument, mission, assumptions, definitions.path)

    @cached_property
    def varying(self) -> tuple[Axis, ...]:
        """Axes of parameters that have other values on some days than on the last, as they are on that one."""
        used = {name for v in self.structure.variables if v.column for name in v.column.axes}
        return tuple(
            axis
            for axis in self.newest.axes
            if axis.name in used and any(table.axis(axis.name) != axis for table in self.tables.values())
        )

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The fields of a record, its time first."""
        return fields_of(self.structure, self.varying)

    @property
    def problem(self) -> str:
        """Why there is no describing it, with the remedy: its definition is faulty, or an axis has no values."""
        try:
            return "" if self.fields else "no fields"
        except (DefinitionError, ExportError, CalibrationError) as error:
            return str(error)

    def axes(self, day: Day) -> dict[str, Axis]:
        """The axes with the values that they have on a day."""
        return {axis.name: axis for axis in self.tables[day.mark].axes}

    def within(self, start: int, stop: int) -> list[Day]:
        """The days that have a part in a time range."""
        return [day for day in self.days if day.start < stop and start < day.stop]


class Holdings:
    """The datasets of a lake, read again when the books may have changed. May be used by several threads."""

    def __init__(self, lake: Lake, answers: Answers) -> None:
        self.lake, self.answers = lake, answers
        self._lock = threading.Lock()
        self._read_at = 0.0
        self._rows: object = None
        self._datasets: dict[str, Dataset] = {}
        self._told: set[str] = set()

    def datasets(self) -> dict[str, Dataset]:
        """The datasets by id, those of one mission and instrument together; the log names what is left out.

        Raises QueryError if the catalog cannot be read.
        """
        with self._lock:
            if time.monotonic() - self._read_at > FRESH_SECONDS or not self._datasets:
                rows = self.answers.ask(DAYS)
                if self._rows is None or not rows.equals(self._rows):
                    self._datasets, self._rows = self._sound(_datasets(self.lake, rows.to_pylist())), rows
                self._read_at = time.monotonic()
            return self._datasets

    def _sound(self, found: dict[str, Dataset]) -> dict[str, Dataset]:
        """Those that can be described; what is wrong with others is told once."""
        problems = {name: dataset.problem for name, dataset in found.items()}
        for name, problem in problems.items():
            if problem and problem not in self._told:
                self._told.add(problem)
                log.warning("hapi left_out=%s problem=%r", name, problem)
        return {name: dataset for name, dataset in found.items() if not problems[name]}


def _datasets(lake: Lake, rows: Iterable[dict[str, Any]]) -> dict[str, Dataset]:
    by_product: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_product.setdefault(row["product"], []).append(row)
    datasets = (
        Dataset(lake, product, table, tuple(_day(lake, table, row) for row in by_product[table.address]))
        for product, table in products(lake.definitions)
        if table.address in by_product
    )
    return {dataset.id: dataset for dataset in datasets}


def _day(lake: Lake, table: Table, row: dict[str, Any]) -> Day:
    day, first, last = row["day"], row["first_epoch_tt2000"], row["last_epoch_tt2000"]
    names = tuple(json.loads(row["files"])) if row["stands"] and row["files"] is not None else ()
    instrument = lake.definitions.instrument(table)
    valid = [instrument.calibration(name, day) for name in table.axis_calibrations]
    return Day(
        day=day,
        mark=tuple(calibration.sha256 if calibration else "" for calibration in valid),
        key=row["path"],
        records=row["records"],
        published_at=row["published_at"],
        first_tt2000=tt2000_of_day(day) if first is None else first,
        last_tt2000=tt2000_of_day(day + timedelta(days=1)) if last is None else last,
        files=tuple(Source(table.address, day, names).uris(lake)),
    )
