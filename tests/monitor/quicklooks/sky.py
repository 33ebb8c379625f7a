# SPDX-License-Identifier: Apache-2.0
"""A mission with one table that can be drawn in every way: rates, counts over energies and slots, a state."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pyarrow as pa

from lake.day_files import structure
from lake.definition_files import read_definitions
from lake.reading import arrow_schema
from lake.store import Lake
from lake.tables import replace_day
from monitor.quicklooks.bins import SECOND_US, Whole, day_start
from tests.toy import write_missions

ADDRESS = "toy.box_l1_sky"
DAY, NEXT = date(2024, 9, 16), date(2024, 9, 17)
MIDNIGHT = day_start(DAY)
TABLES = """\
    axes:
      energy: {size: 4, cells: [10, 100, 1000, 10000], unit: eV, description: Energy, label: Energy, scale: log}
      slot: {size: 2, first: 0, step: 1, type: int16, description: Slot, label: Slot}
      component: {size: 3, labels: [x, y, z], description: Component, label: Component}
    tables:
      box_l0_tick:
        title: Ticks
        grain: one row per packet
        packet: tick
      box_l1_sky:
        title: The sky above the box
        grain: one row per packet
        order: strict
        inputs: {tick: box_l0_tick}
        columns:
          - epoch_tt2000
          - time
          - {name: rate, type: float64, unit: count/s, description: Rate, nullable: true, label: Rate, scale: log}
          - {name: fast, type: float64, unit: count/s, description: Another rate, nullable: true, label: Fast}
          - {name: counts, type: float32, unit: count, description: Counts, nullable: true, label: Counts,
             axes: [slot, energy], scale: log}
          - {name: b_nt, type: float32, unit: nT, description: Field, nullable: true, axes: [component], label: B}
          - {name: sunlit, type: bool, description: Whether the Sun is up, label: Sunlit}
          - {name: height, type: int16, unit: adu, description: Pulse height, valid: [0, 255], label: Height}
          - {name: net, type: float64, unit: 1/(cm2 s), description: Flux without its background, nullable: true,
             valid: [-1000, 1000], label: Net, scale: log, export: false}
          - quality_flag
"""
QUICKLOOK = """\
    quicklooks:
      box_l1_sky:
        rates: {kind: lines, columns: [rate, fast], title: "Rates $1"}
        counts: {kind: spectrogram, columns: [counts], sum: [slot]}
        sun: {kind: states, columns: [sunlit]}
"""
SUMMARY = "summary: [box_l1_sky.rates, box_l1_sky.counts]\n"


def sky_missions(folder: Path, quicklook: str = QUICKLOOK, summary: str = SUMMARY) -> Path:
    """A folder missions/ with the table and its quick look."""
    missions = write_missions(folder / "missions")
    (missions / "toy/box/tables.yaml").write_text(dedent(TABLES))
    (missions / "toy/box/quicklook.yaml").write_text(dedent(quicklook))
    (missions / "toy/quicklook.yaml").write_text(summary)
    return missions


def sky_lake(folder: Path) -> Lake:
    """A lake in folder/lake."""
    return Lake(folder / "lake", read_definitions(sky_missions(folder)))


def every(seconds: float, rows: int, start: int = MIDNIGHT) -> Whole:
    """Times of rows that follow each other after `seconds`."""
    return start + np.arange(rows, dtype=np.int64) * round(seconds * SECOND_US)


def write(lake: Lake, time: Whole | Sequence[int], day: date = DAY, **columns: Sequence[Any]) -> None:
    """Replace the rows of a day; columns that are not given hold ones."""
    table, rows = lake.definitions.tables[ADDRESS], len(time)
    given = {
        "time": pa.array(time, pa.int64()).cast(pa.timestamp("us", "UTC")),
        "rate": [1.0] * rows,
        "counts": [[1.0] * 8] * rows,
        "b_nt": [[1.0, 2.0, 3.0]] * rows,
        "sunlit": [True] * rows,
    }
    schema = arrow_schema(table, stored=True)
    found = given | columns
    made = pa.table({name: found.get(name, [0] * rows) for name in schema.names}, schema=schema)
    replace_day(lake, table, day, made, {}, structure(table))
