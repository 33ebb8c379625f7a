# SPDX-License-Identifier: Apache-2.0
"""Frames of MeDDEA's tables for the tests of its transforms; columns that are not given are 0 or empty."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lake.definition_files import read_definitions
from lake.definitions import Calibration
from tests.frames import dtypes as types_of
from transforms.padre import meddea

MEDDEA = read_definitions(Path(__file__).parents[2] / "missions").mission("padre").instrument("meddea")
TABLES = {table.name.removeprefix("meddea_"): table for table in MEDDEA.tables}
CLOCK_INVALID, RETRANSMITTED = 1, 2
PIXEL_UNKNOWN, GUARD_RING, ENERGY_UNCALIBRATED, GROUND_DETECTOR = 1 << 8, 1 << 9, 1 << 10, 1 << 11
GARBAGE, SLOT_NOT_DEFAULT, OUT_OF_RANGE = 1 << 12, 1 << 13, 1 << 14
PHOTONS_DROPPED, LIVE_TIME_ZERO, BIN_SATURATED = 1 << 15, 1 << 16, 1 << 17
NOON = {"time": datetime(2026, 8, 1, 12, tzinfo=UTC), "day": date(2026, 8, 1)}


def calibration(name: str, day: date = date(2024, 9, 16)) -> Calibration:
    found = MEDDEA.calibration(name, day)
    assert found is not None
    return found


def changed(name: str, frame: pl.DataFrame) -> Calibration:
    return Calibration(name, date(2024, 1, 1), Path(f"{name}_20240101.csv"), "", frame)


def dtypes(name: str) -> dict[str, Any]:
    return types_of(TABLES[name])


def frame(name: str, rows: list[dict[str, Any]], **common: Any) -> pl.LazyFrame:
    """Rows of an L0 or L1 table; columns that are not given are 0 or empty."""
    types = dtypes(name)
    blank = {column: "" if kind == pl.String else 0 for column, kind in types.items()}
    return pl.LazyFrame([{**blank, **NOON, **common, **row} for row in rows], schema=types)


def checked(name: str, result: pl.LazyFrame) -> pl.DataFrame:
    """The result, cast as the engine does."""
    types = {column: kind for column, kind in dtypes(name).items() if column != "day"}
    return result.collect().select(list(types)).cast(types, strict=True)  # type: ignore[arg-type]


def l1_photon(photon: pl.LazyFrame, **changes: Any) -> pl.DataFrame:
    calibrations: dict[str, Any] = {n: calibration(n) for n in ("pixel_map", "decimation")}
    return checked("l1_photon", meddea.l1_photon(TABLES["l1_photon"], photon=photon, **calibrations | changes))


def l1_spectrum(spectrum: pl.LazyFrame, **changes: Any) -> pl.DataFrame:
    calibrations: dict[str, Any] = {n: calibration(n) for n in ("spectrum_energy", "default_slots")}
    return checked(
        "l1_spectrum", meddea.l1_spectrum(TABLES["l1_spectrum"], spectrum=spectrum, **calibrations | changes)
    )


def l1_housekeeping(housekeeping: pl.LazyFrame) -> pl.DataFrame:
    names = ("housekeeping_polynomial", "housekeeping_spline")
    result = meddea.l1_housekeeping(
        TABLES["l1_housekeeping"], housekeeping=housekeeping, **{n: calibration(n) for n in names}
    )
    return checked("l1_housekeeping", result)


def ql_lightcurve(spectrum: pl.DataFrame, bands: Calibration | None = None) -> pl.DataFrame:
    bands = bands or calibration("lightcurve_bands")
    result = meddea.ql_lightcurve(TABLES["ql_lightcurve"], spectrum=spectrum.lazy(), lightcurve_bands=bands)
    return checked("ql_lightcurve", result)


DEFAULT_IDS = calibration("default_slots").frame["pixel_id"].to_list()
BLANK = {"integration_time": 781_250, "live_time": 729_476, "pixel_id": DEFAULT_IDS}


def histogram(*bins: tuple[int, int, int]) -> list[int]:
    counts = np.zeros((24, 512), int)
    for slot, bin_, count in bins:
        counts[slot, bin_] = count
    counts_list: list[int] = counts.ravel().tolist()
    return counts_list


def spectra(*rows: dict[str, Any]) -> pl.LazyFrame:
    return frame(
        "l0_spectrum",
        [{"epoch_tt2000": 10 * i, "byte_offset": i, "time_s": i, **BLANK, **r} for i, r in enumerate(rows)],
    )
