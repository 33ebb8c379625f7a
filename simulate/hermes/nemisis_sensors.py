# SPDX-License-Identifier: Apache-2.0
"""NEMISIS's sensors: the field where they are, and the counts that they make of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl

from lake.definitions import Instrument
from lake.errors import CalibrationError, ConfigurationError
from simulate.hermes.nemisis_scenario import NemisisScenario
from simulate.hermes.plasma import PlasmaScenario

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

SENSORS = ("fg", "pni1", "pni2")
AXES = ("x", "y", "z")
COUNT_MAX = (1 << 23) - 1  # 24 bits, signed


@dataclass(frozen=True)
class Sensor:
    """One magnetometer: how it is mounted, what it makes of a field in nT, and how near the host's sources are.

    `couplings` are the parts of each source's field at PNI 1 that arrive here, as vectors in the bus frame [source, 3].
    """

    to_bus: Float64
    matrix: Float64
    gain: Float64
    gain_per_degc: Float64
    offset_nt: Float64
    offset_nt_per_degc: Float64
    reference_degc: Float64
    counts_per_nt: float
    noise_nt: float
    couplings: Float64

    def counts(self, field_bus_nt: Float64, temperature_degc: Float64, extra_nt: Float64) -> Int64:
        """Counts [n, 3] of a field in the bus frame; `extra_nt` (noise, spikes) is added in pseudo-nT."""
        warmer = temperature_degc[:, None] - self.reference_degc
        field = field_bus_nt @ self.to_bus + self.offset_nt + self.offset_nt_per_degc * warmer
        along_axes = np.linalg.solve(self.matrix, field.T).T
        pseudo = along_axes / (self.gain * (1 + self.gain_per_degc * warmer)) + extra_nt
        return np.rint(pseudo * self.counts_per_nt).astype(np.int64).clip(-COUNT_MAX - 1, COUNT_MAX)


def calibration_frame(instrument: Instrument, name: str, day: date) -> pl.DataFrame:
    """The rows of the calibration that is valid on a day. Raises CalibrationError if there is none."""
    calibration = instrument.calibration(name, day)
    if calibration is None:
        raise CalibrationError(f"{instrument.name}: no calibration {name} is valid on {day}. Choose a later day.")
    return calibration.frame


def parameter(instrument: Instrument, day: date, name: str) -> float:
    """A number of the calibration `parameters`."""
    rows = calibration_frame(instrument, "parameters", day).filter(pl.col("name") == name)
    if rows.is_empty():
        raise CalibrationError(f"{instrument.name}: the parameters of {day} lack {name}. Add its row.")
    return float(rows["value"][0])


def read_sensors(
    instrument: Instrument, day: date, scenario: NemisisScenario, around: PlasmaScenario
) -> dict[str, Sensor]:
    """The three sensors by the calibrations of a day. Raises CalibrationError or ConfigurationError."""
    return {name: _sensor(instrument, day, name, scenario, around) for name in SENSORS}


def _sensor(instrument: Instrument, day: date, name: str, scenario: NemisisScenario, around: PlasmaScenario) -> Sensor:
    def rows(calibration: str, axis: str | None, *columns: str) -> Float64:
        frame = calibration_frame(instrument, calibration, day).filter(pl.col("sensor") == name)
        frame = frame.sort(axis) if axis else frame
        return frame.select(pl.col(columns).cast(pl.Float64)).to_numpy()

    names = ("gain", "gain_ppm_per_degc", "offset_nt", "offset_nt_per_degc", "reference_degc")
    gain, ppm, offset, drift, reference = rows("gain_offset", "axis", *names).T
    range_nt, range_count = rows("scale", None, "range_nt", "range_count")[0]
    return Sensor(
        to_bus=rows("alignment", "bus_axis", *AXES),
        matrix=rows("orthogonality", "axis", *AXES),
        gain=gain,
        gain_per_degc=ppm * 1e-6,
        offset_nt=offset,
        offset_nt_per_degc=drift,
        reference_degc=reference,
        counts_per_nt=range_count / range_nt,
        noise_nt=float(rows("noise", None, "noise_nt")[0, 0]),
        couplings=_couplings(instrument, day, name, scenario, around),
    )


def _couplings(
    instrument: Instrument, day: date, name: str, scenario: NemisisScenario, around: PlasmaScenario
) -> Float64:
    """The field of a dipole falls off with the cube of the distance; its direction is the scenario's."""
    rows = calibration_frame(instrument, "host_sources", day)
    distance = {(source, sensor): float(d) for source, sensor, d in rows.select(pl.nth(0, 1, 2)).iter_rows()}
    found = []
    for source in (s.name for s in around.host_sources):
        if source not in scenario.host_directions or (source, name) not in distance:
            raise ConfigurationError(
                f"host source {source}: has no direction in nemisis_scenario.yaml or no distance from {name} in "
                "calibration/host_sources. Add it."
            )
        direction = np.array(scenario.host_directions[source], np.float64)
        part = (distance[source, "pni1"] / distance[source, name]) ** 3
        found.append(part * direction / np.linalg.norm(direction))
    return np.stack(found)


def temperature_words(instrument: Instrument, day: date, degrees: dict[str, Float64]) -> dict[str, Int64]:
    """Raw words of temperatures: the straight line of each channel turned round."""
    rows = calibration_frame(instrument, "temperature_polynomial", day)
    lines = {str(channel): (c0, c1) for channel, c0, c1 in rows.select("channel", "c0", "c1").iter_rows()}
    missing = sorted(set(degrees) - set(lines))
    if missing:
        raise CalibrationError(
            f"{instrument.name}: temperature {missing[0]} has no row in temperature_polynomial. Add it."
        )
    return {
        name: np.rint((value - lines[name][0]) / lines[name][1]).astype(np.int64) for name, value in degrees.items()
    }
