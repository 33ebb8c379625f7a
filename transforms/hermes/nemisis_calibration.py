# SPDX-License-Identifier: Apache-2.0
"""NEMISIS's calibration files as arrays: one row a sensor, one matrix a sensor; and how far they may reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.clock import NS
from lake.definitions import Calibration, Table
from lake.errors import CalibrationError
from transforms.conversions import calibration_rows, check_rotation

Floats = NDArray[np.float64]

SENSORS = ("fg", "pni1", "pni2")
AXES = ("x", "y", "z")


def nanoseconds(seconds: float) -> int:
    """A parameter that is written in seconds."""
    return round(seconds * NS)


def check_reach(table: Table, keyword: str, calibration: Calibration, before_s: float, after_s: float) -> None:
    """Raises CalibrationError if a row may depend on rows of an input that its margins keep from it.

    A dated calibration may reach farther than the one before, the margins hold for the whole mission.
    """
    before, after = table.margins.get(keyword, (0.0, 0.0))
    if before_s > before or after_s > after:
        raise CalibrationError(
            f"{calibration.path}: its numbers reach {before_s:g} s before and {after_s:g} s after a row of "
            f"{table.name}, the table's margins of {keyword} only {before:g} s and {after:g} s. "
            f"Choose smaller numbers or widen the margins in missions/{table.mission}/{table.instrument}/tables.yaml."
        )


def by_sensor(calibration: Calibration, *numbers: str) -> Floats:
    """Numbers of the three sensors [sensor, number]. Raises CalibrationError unless each sensor has one row."""
    rows = calibration_rows(calibration, key=("sensor",), numbers=numbers)
    if rows["sensor"].to_list() != sorted(SENSORS):
        raise CalibrationError(f"{calibration.path}: needs one row for each of {', '.join(SENSORS)}. Correct its rows.")
    return rows.select(numbers).cast(pl.Float64).to_numpy()


def by_axis(calibration: Calibration, axis: str, *numbers: str) -> Floats:
    """Numbers of each axis of each sensor [sensor, axis, number]; `axis` names the column of x, y and z.

    Raises CalibrationError unless each axis of each sensor has one row.
    """
    rows = calibration_rows(calibration, key=("sensor", axis), numbers=numbers)
    wanted = [(sensor, name) for sensor in SENSORS for name in AXES]
    if list(rows.select("sensor", axis).iter_rows()) != wanted:
        raise CalibrationError(f"{calibration.path}: needs rows x, y, z for {', '.join(SENSORS)}. Correct its rows.")
    return rows.select(numbers).cast(pl.Float64).to_numpy().reshape(len(SENSORS), len(AXES), len(numbers))


def rotations(alignment: Calibration) -> Floats:
    """Matrices that turn sensor vectors into the bus frame [sensor, 3, 3]. Raises CalibrationError if one does not."""
    matrices = by_axis(alignment, "bus_axis", *AXES)
    for sensor, matrix in zip(SENSORS, matrices, strict=True):
        check_rotation(alignment, sensor, matrix)
    return matrices


@dataclass(frozen=True)
class Response:
    """How pseudo-nT of a sensor become nT in its frame: gains and offsets at a reference temperature, drifts, matrix.

    All arrays begin with the sensor: [sensor, axis], the matrix [sensor, 3, 3].
    """

    gain: Floats
    gain_per_degc: Floats
    offset_nt: Floats
    offset_nt_per_degc: Floats
    reference_degc: Floats
    matrix: Floats


def read_response(gain_offset: Calibration, orthogonality: Calibration) -> Response:
    """The response of all sensors. Raises CalibrationError if a file does not fit."""
    names = ("gain", "gain_ppm_per_degc", "offset_nt", "offset_nt_per_degc", "reference_degc")
    gain, ppm, offset, drift, reference = np.moveaxis(by_axis(gain_offset, "axis", *names), 2, 0)
    matrix = by_axis(orthogonality, "axis", *AXES)
    if (gain == 0).any() or (np.abs(np.linalg.det(matrix)) < 0.5).any():  # three axes within a plane are no calibration
        raise CalibrationError(
            f"{gain_offset.path}, {orthogonality.path}: a gain is 0 or axes lie in a plane. Correct them."
        )
    return Response(gain, ppm * 1e-6, offset, drift, reference, matrix)
