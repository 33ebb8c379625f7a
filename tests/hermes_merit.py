# SPDX-License-Identifier: Apache-2.0
"""Frames and calibrations of MERiT's tables for tests; columns that are not given are 0 or empty."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lake.definition_files import read_definitions
from lake.definitions import Calibration, Table
from tests import frames
from transforms.hermes import merit

MISSIONS = Path(__file__).parents[1] / "missions"
DEFINITIONS = read_definitions(MISSIONS)
HERMES = DEFINITIONS.mission("hermes")
MERIT = HERMES.instrument("merit")
DAY = date(2025, 8, 1)
HEADS, BINS, PROTON_BINS, ELECTRON_BINS = 2, 31, 20, 11
FLAGS = {flag.name: flag.mask for flag in MERIT.flags}
NOON = {"time": datetime(2025, 8, 1, 12, tzinfo=UTC), "day": DAY}
SECOND = 1_000_000_000
# A good second: 0.9 s of live time, 1600 triggers, 20 degC, one count in each bin.
GOOD_L0 = {
    "lut_version": 1,
    "live_time": [45_000, 45_000],
    "triggers": [100, 100],
    "temperature": [2560, 2560],
    "counts": [1] * HEADS * BINS,
}
GOOD_L1 = {
    "lut_version": 1,
    "live_time_s": [0.9, 0.9],
    "triggers": [1600, 1600],
    "counts": [1] * HEADS * BINS,
}


def table(name: str, day: date = DAY) -> Table:
    """A table of MERiT, its axes as they are on the day."""
    return DEFINITIONS.on_day(DEFINITIONS.tables[f"hermes.merit_{name}"], day)


def calibration(name: str) -> Calibration:
    """The calibration that is valid on the day."""
    return frames.calibration(MERIT, name, DAY)


def changed(name: str, **columns: Any) -> Calibration:
    """The calibration with columns replaced by values or expressions."""
    return frames.with_rows(calibration(name), calibration(name).frame.with_columns(**columns))


def only(name: str, rows: pl.Expr) -> Calibration:
    """The calibration without the rows for which the expression is false."""
    return frames.with_rows(calibration(name), calibration(name).frame.filter(rows))


def frame(name: str, rows: list[dict[str, Any]], **common: Any) -> pl.LazyFrame:
    """Rows of a table, a second and a packet apart from each other unless they say otherwise."""
    apart = [
        {"epoch_tt2000": i * SECOND, "byte_offset": i, "sequence_count": i, "seconds": i} for i in range(len(rows))
    ]
    return frames.frame(table(name), [{**NOON, **a, **common, **r} for a, r in zip(apart, rows, strict=True)])


def l0_counts(*rows: dict[str, Any]) -> pl.LazyFrame:
    return frame("l0_counts", list(rows), **GOOD_L0)


def seconds(*rows: dict[str, Any]) -> pl.LazyFrame:
    """Rows of merit_l1_counts."""
    return frame("l1_counts", list(rows), **GOOD_L1)


def checked(name: str, result: pl.LazyFrame | Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The result in one piece, checked as the engine does."""
    return frames.checked(table(name), result, DAY)


def l1_counts(counts: pl.LazyFrame, **changes: Any) -> pl.DataFrame:
    calibrations: dict[str, Any] = {n: calibration(n) for n in ("counter", "lut")}
    return checked("l1_counts", merit.l1_counts(table("l1_counts"), counts=counts, **calibrations | changes))


def l1_pha(pha: pl.LazyFrame, **changes: Any) -> pl.DataFrame:
    calibrations: dict[str, Any] = {"counter": calibration("counter")}
    return checked("l1_pha", merit.l1_pha(table("l1_pha"), pha=pha, **calibrations | changes))


def ql_rates(counts: pl.LazyFrame, **changes: Any) -> pl.DataFrame:
    calibrations: dict[str, Any] = {n: calibration(n) for n in ("counter", "head")}
    return checked("ql_rates", merit.ql_rates(table("ql_rates"), counts=counts, **calibrations | changes))


def l2_flux(counts: pl.LazyFrame, **changes: Any) -> pl.DataFrame:
    calibrations: dict[str, Any] = {n: calibration(n) for n in table("l2_flux").calibrations}
    return checked("l2_flux", merit.l2_flux(table("l2_flux"), counts=counts, **calibrations | changes))


def cells(rows: pl.DataFrame, column: str) -> np.ndarray:
    """A list column as [n, heads, cells], null as NaN."""
    values = rows[column].list.explode(empty_as_null=False).cast(pl.Float64).to_numpy()
    return values.reshape(rows.height, HEADS, -1)


def edges(species: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energy, lower and upper edge [MeV] of the bins of a species."""
    rows = calibration(f"{species}_energy").frame
    energy = rows["energy_mev"].to_numpy()
    return energy, energy - rows["minus_mev"].to_numpy(), energy + rows["plus_mev"].to_numpy()
