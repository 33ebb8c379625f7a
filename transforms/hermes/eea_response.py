# SPDX-License-Identifier: Apache-2.0
"""EEA's response: what a number of counts in a cell means as a rate and as a flux."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.definitions import Axis, Calibration, Table
from lake.errors import CalibrationError
from transforms.conversions import calibration_rows, named_numbers
from transforms.physics import Floats, energy_flux, without_dead_time

US_PER_S = 1e6
NS_PER_S = 1e9


@dataclass(frozen=True)
class Response:
    """What counts in a cell mean: time of counting and dead time with its limits, and `factor` [e, 1, a].

    `factor` is the geometric factor times the efficiency [cm2 sr eV/eV].
    """

    seconds: float
    dead_time_s: float
    dead_high: float
    dead_limit: float
    factor: Floats

    @property
    def flux_per_count(self) -> Floats:
        """Differential energy flux [eV/(cm2 s sr eV)] of one count without dead time: [e, 1, a]."""
        return np.asarray(energy_flux(np.full_like(self.factor, 1 / self.seconds), self.factor))


def read_response(table: Table, geometry: Calibration, efficiency: Calibration, detector: Calibration) -> Response:
    """The response of the analyser. Raises CalibrationError if an anode or an energy lacks its number."""
    anodes = _row_per_cell(geometry, "anode", "geometric_factor_cm2_sr", table.axis("azimuth"))
    energies = _row_per_cell(efficiency, "energy_index", "efficiency", table.axis("energy"))
    names, units = ("accumulation_time", "dead_time", "dead_time_high", "dead_time_limit"), {"dead_time": "ns"}
    known = named_numbers(detector, *names, units={**units, "accumulation_time": "us"})
    if energies.max() > 1:
        raise CalibrationError(f"{efficiency.path} (efficiency): is above 1, but a part of the electrons. Correct it.")
    return Response(
        known["accumulation_time"] / US_PER_S,
        known["dead_time"] / NS_PER_S,
        known["dead_time_high"],
        known["dead_time_limit"],
        energies[:, None, None] * anodes[None, None, :],
    )


def _row_per_cell(calibration: Calibration, key: str, column: str, axis: Axis) -> Floats:
    rows = calibration_rows(calibration, key=(key,), numbers=(key, column))
    values = rows[column].cast(pl.Float64).to_numpy()
    if rows[key].to_list() != list(range(axis.size)) or not (values > 0).all():
        raise CalibrationError(
            f"{calibration.path}: needs a {column} above 0 for each {key} 0 to {axis.size - 1}. Correct its rows."
        )
    return values


@dataclass(frozen=True)
class FluxByCount:
    """By the counts of a cell: true rate and its uncertainty [1/s], dead part of the time, and whether it is usable."""

    rate: NDArray[np.float32]
    sigma: NDArray[np.float32]
    dead: Floats
    usable: NDArray[np.bool_]


def flux_by_count(response: Response, full: int) -> FluxByCount:
    """Rates of 0 to `full` counts. Sigma of C counts is sqrt(C + 1): never 0, and sqrt(C) where there are many."""
    counts = np.arange(full + 1, dtype=np.float64)
    dead = counts / response.seconds * response.dead_time_s
    usable = (dead <= response.dead_limit) & (counts < full)
    rate = np.where(usable, without_dead_time(counts / response.seconds, response.dead_time_s), 0)
    # dR0/dR = 1 / (1 - R tau)^2
    sigma = np.where(usable, np.sqrt(counts + 1) / response.seconds / np.where(usable, 1 - dead, 1) ** 2, 0)
    return FluxByCount(rate.astype(np.float32), sigma.astype(np.float32), dead, usable)
