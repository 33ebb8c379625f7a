# SPDX-License-Identifier: Apache-2.0
"""The calibrations of missions/ as the simulators read them, for the forward direction."""

from __future__ import annotations

from datetime import date

import polars as pl

from lake.definitions import Instrument
from lake.errors import CalibrationError


def calibration_frame(instrument: Instrument, name: str, day: date) -> pl.DataFrame:
    """The rows of the calibration that is valid on a day. Raises CalibrationError if there is none."""
    calibration = instrument.calibration(name, day)
    if calibration is None:
        raise CalibrationError(
            f"{instrument.name}: no calibration {name} is valid on {day}. "
            f"Choose a later day or add calibration/{name}_<yyyymmdd>.csv."
        )
    return calibration.frame


def named_values(instrument: Instrument, name: str, day: date) -> dict[str, float]:
    """The values of a calibration of rows name, value. Raises CalibrationError if there is none for the day."""
    rows = calibration_frame(instrument, name, day).select("name", "value")
    return {str(key): float(value) for key, value in rows.iter_rows()}
