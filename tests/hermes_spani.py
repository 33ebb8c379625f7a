# SPDX-License-Identifier: Apache-2.0
"""SPAN-I for the tests: L0 frames from codes, beams counted by the simulated analyser, and the way up to moments."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ingest.unpack import Ragged, compile_plan, unpack
from lake.clock import tt2000_from_met
from lake.definition_files import read_definitions
from lake.definitions import Calibration
from simulate.hermes.spani_ions import Analyser, Wind, compress, counted, draw_events, peak_rate, read_analyser
from simulate.packets import Packets, assemble
from tests import frames
from transforms.hermes import spani

DAY = date(2026, 8, 1)
DEFINITIONS = read_definitions(Path(__file__).parents[1] / "missions")
SPANI = DEFINITIONS.mission("hermes").instrument("spani")
TABLES = {t.name.removeprefix("spani_"): DEFINITIONS.on_day(t, DAY) for t in SPANI.tables}
FLAGS = {flag.name: flag.mask for flag in SPANI.flags}
ANALYSER = read_analyser(SPANI, DAY)
SPECIES = ("h", "he", "o")
APIDS = {"h": 320, "he": 321, "o": 322}
LIVE_S = 4 * 0.21845333333 / 256 * 0.9
MET = 839_000_000  # in 2026
SETTINGS = {
    "log_compressed": 1,
    "no_targeted": 0,
    "tof_compressed": 0,
    "summed": 1,
    "sweeps_log2": 2,
    "table_id": 1,
    "attenuator": 1,
    "test_pulser": 0,
    "high_voltage_on": 1,
    "high_voltage_mode": 4,
}


def calibration(name: str) -> Calibration:
    return frames.calibration(SPANI, name, DAY)


def changed(name: str, **columns: Any) -> Calibration:
    """A calibration with columns replaced."""
    known = calibration(name)
    return Calibration(name, known.valid_from, known.path, "", known.frame.with_columns(**columns))


def packets(
    name: str, codes: np.ndarray, first_met: int = MET, apid: int | None = None, sequence: int = 100, **settings: Any
) -> Packets:
    """Packets of a species, one each second, with settings that hold for all of them or one for each."""
    n = len(codes)
    values = {k: np.broadcast_to(v, n).astype(np.int64) for k, v in {**SETTINGS, **settings}.items()}
    values.setdefault("species", np.full(n, SPECIES.index(name) + 1))
    values |= {"met": first_met + np.arange(n), "cycle": np.arange(n), "codes": codes}
    return assemble(SPANI.packet(name), np.arange(n) + sequence, values["met"], values, apid=apid)


def l0(name: str, sent: Packets, file: str = "a", flags: int = 0) -> pl.LazyFrame:
    """The L0 rows of packets, unpacked as ingest does."""
    packet = SPANI.packet(name)
    columns = unpack(compile_plan(packet), sent.data, sent.offsets, sent.sizes).columns
    plain = {k: v for k, v in columns.items() if not isinstance(v, Ragged)}
    tt2000 = tt2000_from_met(SPANI.clock, plain["met"].astype(np.int64), plain["subseconds"].astype(np.int64))
    frame = pl.DataFrame({k: pl.Series(v).arr.to_list() if v.ndim > 1 else v for k, v in plain.items()})
    frame = frame.with_columns(
        epoch_tt2000=pl.Series(tt2000),
        time=pl.lit(datetime(2026, 8, 1, 12, tzinfo=UTC)).cast(pl.Datetime("us", "UTC")),
        quality_flag=pl.lit(flags, pl.Int32),
        file_sha256=pl.lit(file),
        byte_offset=pl.Series(sent.offsets),
        packet_bytes=pl.Series(sent.sizes).cast(pl.Int32),
        day=pl.lit(DAY),
    )
    return frame.select(column.name for column in TABLES[f"l0_{name}"].columns).lazy()


def nothing(name: str) -> pl.LazyFrame:
    """An L0 table without rows."""
    return l0(name, packets(name, np.zeros((1, 4096), np.int64))).head(0)


def collected(name: str, pieces: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """All pieces of a transform, checked against its table as the engine does."""
    return frames.checked(TABLES[name], pieces, DAY)


def l1_counts(h: pl.LazyFrame, he: pl.LazyFrame, o: pl.LazyFrame, **changes: Any) -> pl.DataFrame:
    known: dict[str, Any] = {n: calibration(n) for n in TABLES["l1_counts"].calibrations}
    return collected("l1_counts", spani.l1_counts(TABLES["l1_counts"], h=h, he=he, o=o, **known | changes))


def l2_flux(counts: pl.DataFrame, **changes: Any) -> pl.DataFrame:
    known: dict[str, Any] = {n: calibration(n) for n in TABLES["l2_flux"].calibrations}
    return collected("l2_flux", spani.l2_flux(TABLES["l2_flux"], counts=counts.lazy(), **known | changes))


def l2_moments(flux: pl.DataFrame, **changes: Any) -> pl.DataFrame:
    known: dict[str, Any] = {n: calibration(n) for n in TABLES["l2_moments"].calibrations}
    return collected("l2_moments", spani.l2_moments(TABLES["l2_moments"], flux=flux.lazy(), **known | changes))


def cells(rows: pl.DataFrame, column: str) -> np.ndarray:
    """A column of cells as [n, azimuth, energy, deflection]; NaN for null."""
    return np.stack([np.full((16, 32, 8), np.nan) if row is None else _cube(row) for row in rows[column]])


def _cube(row: pl.Series) -> np.ndarray:
    return row.cast(pl.Float64).to_numpy().reshape(16, 32, 8)


def flagged(rows: pl.DataFrame, name: str) -> list[bool]:
    return [bool(flags & FLAGS[name]) for flags in rows["quality_flag"]]


def velocity(speed: float, azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    """Velocity [km/s] of a wind that comes from a look direction."""
    a, e = np.deg2rad(azimuth_deg), np.deg2rad(elevation_deg)
    return -speed * np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])


def beam(
    density: float,
    flow: np.ndarray,
    temperature: float,
    rows: int,
    seed: int,
    *,
    alphas: float = 0.04,
    oxygen: float = 0.001,
    analyser: Analyser = ANALYSER,
) -> tuple[dict[str, np.ndarray], int]:
    """Counts [n, 16, 32, 8] of each species of a wind, and the position of the attenuator that suits it."""
    random = np.random.default_rng(seed)
    parts = {"h": (1.0, 1), "he": (alphas, 4), "o": (oxygen, 16)}
    winds = {
        s: Wind(np.full(rows, density * part), np.tile(flow, (rows, 1)), np.full(rows, temperature * heat))
        for s, (part, heat) in parts.items()
    }
    dead = peak_rate(analyser, analyser.species[0], winds["h"])[0] * analyser.dead_time_s
    position = 2 if dead > 0.4 else 1
    live = np.full(rows, LIVE_S)
    events = [
        draw_events(analyser, s, winds[s.name], live / (10 if position == 2 else 1), random) for s in analyser.species
    ]
    return dict(zip(SPECIES, counted(analyser, events, live, random), strict=True)), position


def codes_of(counts: np.ndarray) -> np.ndarray:
    """The codes [n, 4096] as a packet carries counts [n, 16, 32, 8]."""
    return compress(counts).reshape(*counts.shape[:2], -1)[:, :, ANALYSER.places].reshape(len(counts), -1)


def flux_of_counts(counts: dict[str, np.ndarray], position: int) -> pl.DataFrame:
    """From counts through packets to flux."""
    frames = {s: l0(s, packets(s, codes_of(c), attenuator=position)) for s, c in counts.items()}
    return l2_flux(l1_counts(**frames))


def moments_of(counts: dict[str, np.ndarray], position: int) -> pl.DataFrame:
    """From counts through packets to moments."""
    return l2_moments(flux_of_counts(counts, position))
