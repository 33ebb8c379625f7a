# SPDX-License-Identifier: Apache-2.0
"""MERiT's calibrations as arrays: counters, heads, efficiency and background, leakage between bins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.definitions import Calibration, Table
from lake.errors import CalibrationError
from transforms.conversions import Floats, calibration_rows, named_numbers

SPECIES = ("proton", "electron")
HEAD_COLUMNS = (
    "geometric_factor_cm2_sr",
    "dead_time_s",
    "trusted_dead_fraction",
    "largest_dead_fraction",
    "systematic_fraction",
)


TIMES = ("live_time_unit", "live_time_min", "index_stretch")


@dataclass(frozen=True)
class Counters:
    """Units and capacities of the counters and how to use them: times in s, temperature in degC, the rest as sent.

    `saturation_bits` has the bit of each head in the saturation word, 0 the lowest.
    """

    live_time_unit: float
    live_time_min: float
    accumulation: float
    trigger_unit: float
    temperature_unit: float
    full: float
    solar_mode: float
    burst_mode: float
    index_stretch: float
    significant_sigma: float
    saturation_bits: tuple[int, ...] = ()


COUNTERS = tuple(field.name for field in fields(Counters) if field.name != "saturation_bits")


@dataclass(frozen=True)
class Heads:
    """What belongs to each head [heads]: geometric factor [cm2 sr], dead time [s] and fractions."""

    geometric_factor_cm2_sr: Floats
    dead_time_s: Floats
    trusted_dead_fraction: Floats
    largest_dead_fraction: Floats
    systematic_fraction: Floats


@dataclass(frozen=True)
class Response:
    """Efficiency and background [1/s] of each head and bin, and the bins of each species from low to high energy."""

    efficiency: Floats
    background_per_s: Floats
    bins: dict[str, NDArray[np.int64]]


def read_counters(table: Table, counter: Calibration) -> Counters:
    """The rows name, value of a calibration. Raises CalibrationError if a name is missing."""
    bits = [f"head_{head}_saturation_bit" for head in range(table.axis("head").size)]
    values = named_numbers(counter, *COUNTERS, *bits, units=dict.fromkeys(TIMES, "s"))
    return Counters(**{name: values[name] for name in COUNTERS}, saturation_bits=tuple(int(values[b]) for b in bits))


def read_heads(table: Table, head: Calibration) -> Heads:
    """One row for each head. Raises CalibrationError if one is missing or a number is impossible."""
    rows = calibration_rows(head, key=("head",), numbers=("head", *HEAD_COLUMNS))
    size = table.axis("head").size
    if rows["head"].to_list() != list(range(size)):
        raise CalibrationError(f"{head.path}: needs one row for each head 0 to {size - 1}. Add or remove rows.")
    values = {name: rows[name].cast(pl.Float64).to_numpy() for name in HEAD_COLUMNS}
    if (values["geometric_factor_cm2_sr"] <= 0).any() or (values["largest_dead_fraction"] >= 1).any():
        raise CalibrationError(
            f"{head.path}: a geometric factor is not above 0, or a dead fraction not below 1. Correct it."
        )
    return Heads(**values)


def read_response(table: Table, response: Calibration, energies: Sequence[Calibration]) -> Response:
    """One row for each head and bin. Raises CalibrationError if they do not fit the bins of the energies.

    `energies` are the calibrations of the energy axes of protons and of electrons.
    """
    numbers = ("head", "bin", "efficiency", "background_per_s")
    rows = calibration_rows(response, key=("head", "bin"), numbers=numbers)
    shape = (table.axis("head").size, table.axis("bin").size)
    expected = [(head, bin_) for head in range(shape[0]) for bin_ in range(shape[1])]
    if rows.select("head", "bin").rows() != expected or (rows["efficiency"] <= 0).any():
        raise CalibrationError(
            f"{response.path}: needs one row for each of {shape[0]} heads and {shape[1]} bins with an efficiency above "
            "0. Correct its rows."
        )
    efficiency, background = (
        rows[name].cast(pl.Float64).to_numpy().reshape(shape) for name in ("efficiency", "background_per_s")
    )
    bins = {species: _bins(species, known, response, rows) for species, known in zip(SPECIES, energies, strict=True)}
    return Response(efficiency, background, bins)


def _bins(species: str, energy: Calibration, response: Calibration, rows: pl.DataFrame) -> NDArray[np.int64]:
    """The bins of a species in the order of its energy axis, which is the one of the energy calibration's rows."""
    calibration_rows(energy, key=("bin",), numbers=("bin",))
    bins = energy.frame["bin"].to_list()
    found = rows.filter(pl.col("species") == species)["bin"].unique().sort().to_list()
    if bins != found:
        raise CalibrationError(
            f"{response.path} (species): the {species}s have the bins {_text(found)}, in {energy.path} "
            f"{_text(bins)}. Give both files the same bins from low to high."
        )
    return np.array(bins, np.int64)


def _text(bins: list[int]) -> str:
    return ", ".join(map(str, bins)) or "(none)"


def read_leakage(table: Table, leakage: Calibration) -> Floats:
    """The part [measured bin, true bin] of the particles of a bin that is counted in another; what is not there is 0.

    Raises CalibrationError if a bin is not on the axis or the matrix cannot be inverted.
    """
    key = ("measured_bin", "true_bin")
    rows = calibration_rows(leakage, key=key, numbers=(*key, "fraction"))
    size = table.axis("bin").size
    measured, true = (rows[name].cast(pl.Int64).to_numpy() for name in key)
    if not ((measured >= 0) & (measured < size) & (true >= 0) & (true < size)).all():
        raise CalibrationError(f"{leakage.path}: a bin is not in 0 to {size - 1}. Correct it.")
    matrix = np.zeros((size, size))
    matrix[measured, true] = rows["fraction"].cast(pl.Float64).to_numpy()
    off_diagonal = matrix.sum(axis=0) - np.diag(matrix)
    # A diagonal above the rest of its column is enough for an inverse (Levy-Desplanques theorem).
    if not (np.diag(matrix) > off_diagonal).all():
        bin_ = int(np.argmin(np.diag(matrix) - off_diagonal))
        raise CalibrationError(f"{leakage.path}: bin {bin_} gives others more than it keeps. Correct its fractions.")
    return matrix
