# SPDX-License-Identifier: Apache-2.0
"""SPAN-I packets of three species as accumulations: one row for each time, codes decompressed and put on the axes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.clock import NS
from lake.definitions import Calibration, Table
from lake.errors import CalibrationError
from transforms.conversions import Floats, calibration_rows
from transforms.rows import (
    ORIGIN,
    flat,
    list_column,
    set_flags,
    spare_packets,
    with_conflicts,
    with_valid_clock,
    without,
)

SPECIES = ("h", "he", "o")
EPOCH = "epoch_tt2000"
LARGEST_CODE = 255
SETTINGS = ("sweeps_log2", "table_id", "cycle", "attenuator", "summed", "log_compressed")
STATE = ("test_pulser", "high_voltage_on")
Frames = dict[str, pl.LazyFrame]
Mask = NDArray[np.bool_]


# ---- codes ---------------------------------------------------------------------------------------------------------
def code_table() -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The smallest count [256] that each code stands for, and how many counts it stands for.

    Code c with e = c >> 4 and m = c & 15: m for e = 0, else (16 + m) << (e - 1). Codes were rounded down.
    Source: log compression 19 to 8 bits of SPAN-I on Parker Solar Probe.
    """
    code = np.arange(256, dtype=np.int32)
    exponent, mantissa = code >> 4, code & 15
    shift = np.maximum(exponent - 1, 0)
    values = np.where(exponent == 0, mantissa, (16 + mantissa) << shift)
    return values.astype(np.int32), (1 << shift).astype(np.int32)


def code_uncertainty() -> NDArray[np.float32]:
    """Uncertainty [256] of the count of each code: sqrt(C + dQ2 / 12), where a code of one count has no width dQ."""
    values, width = code_table()
    return np.sqrt(values + np.where(width > 1, width**2 / 12, 0)).astype(np.float32)


def middle(counts: Floats) -> Floats:
    """The middle of the counts that have the same code as these smallest ones; what is NaN stays NaN.

    From 16 on a code is 2^(k - 4) wide where 2^k is the largest power of two in the count.
    """
    power = np.frexp(np.nan_to_num(counts))[1] - 1
    return np.asarray(counts + (np.exp2(np.maximum(power - 4, 0)) - 1) / 2, np.float64)


# ---- order of the cells --------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Layout:
    """Which table of energies and deflections is known, and where in a packet each cell of the axes stands."""

    table_id: int
    places: NDArray[np.intp]


def layout(table: Table, sweep: Calibration, energy: Calibration, deflection: Calibration) -> Layout:
    """The layout of the table of the calibrations, which has to be the same in all three.

    Raises: CalibrationError if it is not, or if the sweep does not reach each energy and deflection once.
    """
    ids = {int(i) for c in (sweep, energy, deflection) for i in calibration_rows(c, (), ("table_id",))["table_id"]}
    if len(ids) != 1:
        raise CalibrationError(
            f"{sweep.path}: table_id is {sorted(ids)} in the sweep, energy and deflection calibrations of one day. "
            "Give all three files the same table."
        )
    azimuths, energies, deflections = (table.axis(name).size for name in ("azimuth", "energy", "deflection"))
    rows = calibration_rows(sweep, key=("step",), numbers=("step", "energy", "deflection"))
    cell = rows["energy"].to_numpy() * deflections + rows["deflection"].to_numpy()
    steps = energies * deflections
    if sorted(cell.tolist()) != list(range(steps)) or rows["step"].to_list() != list(range(steps)):
        raise CalibrationError(f"{sweep.path}: needs steps 0 to {steps - 1}, each cell once. Correct its rows.")
    places = np.arange(azimuths)[:, None] * steps + np.argsort(cell)
    return Layout(ids.pop(), places.reshape(-1))


# ---- accumulations -------------------------------------------------------------------------------------------------
def accumulations(table: Table, inputs: Frames, species: Calibration, known_table: int) -> pl.DataFrame:
    """One row for each time of full sweeps, in order: settings, flags, and for each species where its packet is.

    `<species>_usable` tells whether the codes can be put on the axes.
    """
    rows = calibration_rows(species, key=("species",), numbers=("number", "full_apid"))
    packets = {row["species"]: _packets(table, inputs[row["species"]], row) for row in rows.iter_rows(named=True)}
    times = pl.concat([p.select(EPOCH, "time") for p in packets.values()]).unique(EPOCH, keep="any").sort(EPOCH)
    for name in SPECIES:
        times = times.join(packets[name].drop("time"), on=EPOCH, how="left", maintain_order="left")
    return _with_settings(table, times.lazy(), known_table).collect()


def _packets(table: Table, packets: pl.LazyFrame, known: dict[str, object]) -> pl.DataFrame:
    """The packets of full sweeps, one for each time; names of columns begin with the species."""
    full = with_valid_clock(packets, table).filter(pl.col("apid") == known["full_apid"])
    once = without(full, spare_packets(full, table, once=EPOCH))
    once = with_conflicts(once, full, table)
    right = pl.col("species") == known["number"]
    columns = once.select(EPOCH, "time", *ORIGIN, *SETTINGS, *STATE, "quality_flag", present=True, right=right)
    return columns.rename(lambda name: name if name in (EPOCH, "time") else f"{known['species']}_{name}").collect()


def _with_settings(table: Table, rows: pl.LazyFrame, known_table: int) -> pl.LazyFrame:
    """Settings of the first species that is there, flags, and which packets can be used."""
    first = {name: pl.coalesce(*(f"{s}_{name}" for s in SPECIES)) for name in (*SETTINGS, *STATE)}
    differ = pl.any_horizontal(pl.col(f"{s}_{n}").ne_missing(first[n]) & _present(s) for s in SPECIES for n in first)
    flags = pl.lit(0, pl.Int32)
    for s in SPECIES:
        flags = flags | pl.col(f"{s}_quality_flag").fill_null(0)
    rows = rows.with_columns(quality_flag=flags, differ=differ, **first)
    unpacked = (pl.col("log_compressed") == 1) & (pl.col("summed") == 1)
    good = unpacked & (pl.col("table_id") == known_table) & ~pl.col("differ")
    wrong = pl.any_horizontal(pl.col(f"{s}_right").not_().fill_null(value=False) for s in SPECIES)
    missing = {f"{s}_missing": ~_present(s) for s in SPECIES}
    return rows.with_columns(
        *((good & pl.col(f"{s}_right").fill_null(value=False)).alias(f"{s}_usable") for s in SPECIES),
        quality_flag=set_flags(
            table,
            **missing,
            table_unknown=pl.col("table_id") != known_table,
            packing_unknown=~unpacked,
            species_mismatch=wrong,
            settings_differ=pl.col("differ"),
            not_in_flight_state=(pl.col("test_pulser") == 1) | (pl.col("high_voltage_on") == 0),
        ),
    )


def _present(species: str) -> pl.Expr:
    return pl.col(f"{species}_present").fill_null(value=False)


def stretches(rows: pl.DataFrame, seconds: float) -> Iterator[pl.DataFrame]:
    """Rows that are in order of time, in stretches of so many seconds."""
    if rows.is_empty():
        return
    step = int(seconds * NS)
    since = (rows[EPOCH] - rows[EPOCH][0]) // step
    yield from rows.with_columns(stretch=since).partition_by("stretch", maintain_order=True, include_key=False)


def codes_of(rows: pl.DataFrame, packets: pl.LazyFrame, species: str) -> NDArray[np.uint8]:
    """The codes [usable, cells in the packet] of the rows of a stretch whose packets can be used."""
    wanted = rows.filter(f"{species}_usable")
    origin = wanted.select(EPOCH, *(pl.col(f"{species}_{name}").alias(name) for name in ORIGIN))
    if wanted.is_empty():
        return np.empty((0, 0), np.uint8)
    within = pl.col(EPOCH).is_between(wanted[EPOCH][0], wanted[EPOCH][-1])
    found = packets.filter(within).select(*ORIGIN, "codes").collect()
    codes = origin.join(found, on=list(ORIGIN), how="left", maintain_order="left")["codes"]
    return flat(codes).astype(np.uint8).reshape(len(codes), -1)


# ---- lists of cells ------------------------------------------------------------------------------------------------
def lists_where(values: NDArray[np.generic], present: Mask, missing: Mask | None = None) -> pl.Series:
    """Lists of cells from values [k, cells] of the k rows that are `present`; null for the others."""
    lists = list_column(values, missing)
    if present.all():
        return lists
    if not present.any():
        return pl.Series([None] * len(present), dtype=lists.dtype)
    place = pl.Series(np.where(present, np.cumsum(present) - 1, 0))
    return pl.select(pl.when(pl.Series(present)).then(lists.gather(place))).to_series()


def array_of(lists: pl.Series, cells: int) -> NDArray[np.float32]:
    """Cells [n, cells] of lists; NaN for a cell or a row without a value. Counts of 19 bits are exact in float32."""
    present = lists.is_not_null().to_numpy()
    values = np.full((len(lists), cells), np.nan, np.float32)
    if present.any():
        numbers = lists.drop_nulls().cast(pl.List(pl.Float32)).list.explode().to_numpy()
        values[present] = numbers.reshape(-1, cells)
    return values
