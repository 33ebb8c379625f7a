# SPDX-License-Identifier: Apache-2.0
"""A mission with one table of channels of every kind, written without a night; its days begin on DAY."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import lake.catalog
from lake.answers import Answers, Limits
from lake.catalog import refresh
from lake.day_files import structure
from lake.definition_files import read_definitions
from lake.definitions import Table
from lake.reading import arrow_schema
from lake.store import Lake
from lake.tables import replace_day
from monitor.envelopes.buckets import Floats, Integers
from monitor.envelopes.channels import Viewed, find
from tests.toy import write_missions

ADDRESS = "toy.box_l1_field"
DAY, NEXT, THIRD = date(2024, 9, 16), date(2024, 9, 17), date(2024, 9, 18)
US, MINUTE, HOUR = 10**6, 60 * 10**6, 3600 * 10**6
MIDNIGHT = 1_726_444_800 * US  # of DAY, microseconds since 1970 UTC
TABLES = """\
    axes:
      component: {size: 3, labels: [x, y, z], description: Component, label: Component}
    tables:
      box_l0_tick:
        title: Ticks
        grain: one row per packet
        packet: tick
      box_l1_field:
        title: The field about the box
        grain: one row per packet
        order: strict
        inputs: {tick: box_l0_tick}
        columns:
          - epoch_tt2000
          - time
          - {name: temp_degc, type: float64, unit: degC, description: Temperature, nullable: true, label: Temperature}
          - {name: b_nt, type: float32, unit: nT, description: Field, nullable: true, axes: [component], label: B}
          - {name: is_hot, type: bool, description: Whether it is hot}
          - {name: uptime, type: int64, unit: s, description: Time since it was switched on}
          - {name: mode, type: string, description: Its mode}
          - quality_flag
"""


@contextmanager
def no_views_in(folder: Path) -> Iterator[None]:
    """sql/views/ speaks of the real missions; within the block it is an empty folder."""
    (folder / "views").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lake.catalog, "SQL_VIEWS", folder / "views")
        yield


def box_lake(folder: Path, root: Path | str | None = None, more: str = "") -> Lake:
    """A lake in folder/lake, or at `root`; `more` is another column of the table."""
    missions = write_missions(folder / "missions")
    (missions / "toy/box/tables.yaml").write_text(dedent(TABLES + more))
    return Lake(root or folder / "lake", read_definitions(missions))


def table_of(lake: Lake) -> Table:
    return lake.definitions.tables[ADDRESS]


def channel(lake: Lake, name: str = "temp_degc") -> Viewed:
    return find(lake.definitions, ADDRESS, name)


def every(seconds: float, rows: int, start: int = MIDNIGHT) -> Integers:
    """Times of rows that follow each other after `seconds`."""
    return start + np.arange(rows, dtype=np.int64) * round(seconds * US)


def write(
    lake: Lake,
    time: Integers | Sequence[int | None],
    temperatures: Floats | Sequence[float | None],
    day: date = DAY,
    fields: Sequence[Sequence[float] | None] | None = None,
    **columns: Sequence[Any],
) -> None:
    """Replace the rows of a day."""
    rows = len(time)
    given = {
        "time": pa.array(time, pa.int64()).cast(pa.timestamp("us", "UTC")),
        "temp_degc": temperatures,
        "b_nt": [[0.0, 0.0, 0.0]] * rows if fields is None else fields,
        "is_hot": [False] * rows,
        "mode": ["on"] * rows,
    }
    schema, table = arrow_schema(table_of(lake), stored=True), table_of(lake)
    found = given | columns
    made = pa.table({name: found.get(name, [0] * rows) for name in schema.names}, schema=schema)
    replace_day(lake, table, day, made, {}, structure(table))


def answers(lake: Lake, **limits: Any) -> Answers:
    """Answers from the tables as they are now."""
    refresh(lake)
    return Answers(lake, Limits(**limits))


def keys(lake: Lake) -> set[str]:
    """Names of the files of envelopes."""
    return {entry.key.rpartition("/")[2] for entry in lake.storage.entries("envelopes/")}
