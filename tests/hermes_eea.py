# SPDX-License-Identifier: Apache-2.0
"""EEA packets built by hand, a lake that takes them in, and frames of its tables for the tests of its transforms."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest.intake import Intake, take_in
from lake.definition_files import read_definitions
from lake.definitions import Calibration, Definitions, Table
from lake.reading import scan
from lake.store import Lake
from tests import frames
from tests.shared_data import CHECKOUT, golden_folder, telemetry_folder
from transforms.hermes import eea

REAL_FILE = "hermes_EEA_l0_2023042-000000_v0.bin"
DAY = date(2000, 1, 1)
NOW = datetime(2026, 8, 2, tzinfo=UTC)
PACKET_BYTES, STEPS, PERIOD_US = 72, 164, 1_013_629
SHAPE = (41, 4, 32)
CLOCK_INVALID, RETRANSMITTED, TIME_CONFLICT, INCOMPLETE, STEP_UNKNOWN, COUNTER_SATURATED = 1, 2, 4, 8, 16, 32
DEAD_HIGH, DEAD_REJECTED, UNFIT, FEW, TOTAL_SATURATED = 64, 128, 256, 512, 2048
TIME_UNLIKELY, EXTRAPOLATED, FLOW_FAST = 4096, 8192, 16384


def missions_of_eea(folder: Path, clock: str = "tt_j2000") -> Path:
    """A copy of missions/ with EEA alone, its clock read in one of the two ways."""
    source = CHECKOUT / "missions"
    (folder / "hermes").mkdir(parents=True)
    for path in (*source.glob("*.csv"), *(source / "hermes").glob("*.yaml")):
        shutil.copy(path, folder / path.relative_to(source))
    shutil.copytree(source / "hermes" / "eea", folder / "hermes" / "eea")
    text = folder / "hermes" / "eea" / "instrument.yaml"
    changed = text.read_text().replace("clock: tt_j2000\n", f"clock: {clock}\n")
    text.write_text(changed)
    return folder


DEFINITIONS: Definitions = read_definitions(CHECKOUT / "missions")
EEA = DEFINITIONS.mission("hermes").instrument("eea")
TABLES: dict[str, Table] = {t.descriptor: DEFINITIONS.on_day(t, DAY) for t in EEA.tables}


def calibrations(*names: str) -> dict[str, Calibration]:
    """Calibrations by name, as a transform takes them."""
    found = {name: EEA.calibration(name, DAY) for name in names}
    return {name: calibration for name, calibration in found.items() if calibration is not None}


def changed(name: str, frame: pl.DataFrame | None = None, **values: float) -> Calibration:
    """A calibration with other rows, or with other values of rows name, value."""
    before = calibrations(name)[name]
    rows = before.frame if frame is None else frame
    for row, value in values.items():
        rows = rows.with_columns(value=pl.when(pl.col("name") == row).then(value).otherwise(pl.col("value")))
    return Calibration(name, DAY, Path(f"{name}_20000101.csv"), "", rows)


# ---- packets -------------------------------------------------------------------------------------------------------
def packet(count: int, time_us: int, step: int, accum: Iterable[int], sheid: int = 1, counters: int = 0) -> bytes:
    """A science packet of 72 bytes, written bit by bit; `time_us` counts from the clock's epoch."""
    fields = [(time_us // 10**6, 32), (time_us % 10**6, 20), (0, 4), (sheid, 8), (step, 8)]
    fields += [(counters, 16), (counters, 16), *((value, 12) for value in accum)]
    bits = "".join(format(value, f"0{width}b") for value, width in fields)
    assert len(bits) == 8 * (PACKET_BYTES - 8)
    body = int(bits, 2).to_bytes(PACKET_BYTES - 8, "big")
    header = (0x0904 << 32 | (0xC000 | count % 16384) << 16 | PACKET_BYTES - 7).to_bytes(6, "big")
    return header + body + (sum(body[8:]) % 65536).to_bytes(2, "big")


def stamps_us() -> list[int]:
    """When the packets of a sweep are stamped: 6083 us apart, and 10083 us into steps 41, 82, 123 and 163."""
    return np.cumsum([0, *(10_083 if step in (41, 82, 123, 163) else 6083 for step in range(1, STEPS))]).tolist()


def sweep_packets(number: int, start_us: int, steps: Iterable[int] = range(STEPS), **values: int) -> list[bytes]:
    """Packets of a sweep; anode a of step s of sweep k counts (k + s + a) % 7."""
    stamps = stamps_us()
    counts = {step: [(number + step + anode) % 7 for anode in range(32)] + [0, 0] for step in steps}
    return [
        packet(number * STEPS + step, start_us + stamps[step], step, accum, **values) for step, accum in counts.items()
    ]


def real_packets() -> list[bytes]:
    """The packets of the real file; the test is skipped where it is not there."""
    data = (telemetry_folder("hermes", "eea") / REAL_FILE).read_bytes()
    return [data[at : at + PACKET_BYTES] for at in range(0, len(data), PACKET_BYTES)]


def golden_skymap() -> dict[str, NDArray[Any]]:
    """The sweeps of the real file, assembled by separate code."""
    with np.load(golden_folder("hermes") / "eea_skymap_independent.npz") as arrays:
        return dict(arrays)


# ---- through intake and L1 -----------------------------------------------------------------------------------------
def take(lake: Lake, folder: Path, *contents: bytes) -> Intake:
    """Takes files of these contents in, named for days of 2023 in order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"hermes_EEA_l0_{2023001 + i}-000000_v0.bin" for i in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return take_in(lake, paths, "run", NOW, 0)


def l0(lake: Lake) -> pl.LazyFrame:
    """All packets of a lake."""
    return scan(lake, lake.definitions.tables["hermes.eea_l0_sci"])


def l1(sci: pl.LazyFrame, day: date = DAY, **options: Any) -> pl.DataFrame:
    """The sweeps of a day."""
    return together("l1_counts", eea.l1_counts(TABLES["l1_counts"], sci=sci, day=day, **cal_l1() | options))


def cal_l1() -> dict[str, Calibration]:
    """The calibrations of l1_counts."""
    return calibrations("stepper", "readout")


def together(name: str, blocks: Iterator[pl.DataFrame]) -> pl.DataFrame:
    """All blocks of a transform, checked against its table as the engine does."""
    return frames.checked(TABLES[name], blocks, DAY)


def sweeps_of(tmp_path: Path, *contents: bytes, **options: Any) -> pl.DataFrame:
    """The sweeps of files of these contents, by way of a lake."""
    lake = Lake(tmp_path / "lake", DEFINITIONS)
    take(lake, tmp_path / "inbox", *contents)
    return l1(l0(lake), **options)


def cells(frame: pl.DataFrame, column: str, missing: int = -1) -> NDArray[Any]:
    """An array column [n, 41, 4] or [n, 41, 4, 32] with a number for null."""
    size = len(frame[column][0])
    shape = SHAPE if size == int(np.prod(SHAPE)) else SHAPE[:2]
    return frame[column].explode().fill_null(missing).to_numpy().reshape(frame.height, *shape)


# ---- frames --------------------------------------------------------------------------------------------------------
def counts_frame(counts: NDArray[Any], there: NDArray[np.bool_] | None = None, flags: int = 0) -> pl.LazyFrame:
    """Rows of eea_l1_counts, as far as later levels read them, of counts [n, 41, 4, 32]."""
    n = len(counts)
    mask = np.ones(counts.shape, np.bool_) if there is None else np.broadcast_to(there, counts.shape)
    accum = [
        [int(c) if m else None for c, m in zip(row.reshape(-1), seen.reshape(-1), strict=True)]
        for row, seen in zip(counts, mask, strict=True)
    ]
    steps = mask.any(axis=3).sum(axis=(1, 2))
    return pl.LazyFrame(
        {
            "epoch_tt2000": np.arange(n, dtype=np.int64) * PERIOD_US * 1000,
            "time": pl.Series([datetime(2000, 1, 1, 12, tzinfo=UTC)] * n, dtype=pl.Datetime("us", "UTC")),
            "delta_minus_s": np.full(n, 0.006),
            "delta_plus_s": np.full(n, 1.0),
            "accum": pl.Series(accum, dtype=pl.List(pl.Int16)),
            "n_steps": steps.astype(np.int16),
            "completeness": (steps / STEPS).astype(np.float32),
            "total_counts": (counts * mask).sum(axis=(1, 2, 3)).astype(np.int32),
            "quality_flag": pl.Series([flags] * n, dtype=pl.Int32),
        }
    )


def flux_of(counts: pl.LazyFrame, **options: Calibration) -> pl.DataFrame:
    """The flux of counts."""
    used = calibrations("readout", "geometry", "efficiency", "detector") | options
    return together("l2_flux", eea.l2_flux(TABLES["l2_flux"], counts=counts, **used))


def moments_of(flux: pl.LazyFrame, **options: Calibration) -> pl.DataFrame:
    """The moments of fluxes."""
    used = calibrations("geometry", "efficiency", "detector", "moments") | options
    return together("l2_moments", eea.l2_moments(TABLES["l2_moments"], flux=flux, **used))


def quick_moments_of(counts: pl.LazyFrame, **options: Calibration) -> pl.DataFrame:
    """The quick-look moments of counts."""
    used = calibrations("geometry", "efficiency", "detector", "moments") | options
    return together("ql_moments", eea.ql_moments(TABLES["ql_moments"], counts=counts, **used))


# ---- plasma --------------------------------------------------------------------------------------------------------
ELECTRON_MASS = 5.685630e-16  # eV s2 cm-2, as a table of constants has it


def maxwellian_flux(
    density: float, temperature_ev: float, velocity_km_s: tuple[float, float, float] = (0, 0, 0), potential_v: float = 0
) -> NDArray[np.float64]:
    """Differential energy flux [41, 4, 32] of drifting electrons at an analyser at this potential against them."""
    ladders = [2.18 * (200.2 / 2.18) ** (k / 24) for k in range(25)]
    ladders += [239.8 * (16380 / 239.8) ** ((k - 25) / 15) for k in range(25, 41)]
    energy = np.array(ladders)[:, None, None]
    theta = np.deg2rad([-16.875, -5.625, 5.625, 16.875])[:, None]
    phi = np.deg2rad(5.625 + 11.25 * np.arange(32))
    look = np.stack([np.cos(theta) * np.cos(phi), np.cos(theta) * np.sin(phi), np.sin(theta) + 0 * phi], axis=-1)
    plasma_ev = energy - potential_v
    speed = np.sqrt(2 * np.maximum(plasma_ev, 0) / ELECTRON_MASS)
    away = ((-look * speed[..., None] - np.array(velocity_km_s) * 1e5) ** 2).sum(axis=-1)
    f = (
        density
        * (ELECTRON_MASS / (2 * np.pi * temperature_ev)) ** 1.5
        * np.exp(-ELECTRON_MASS * away / (2 * temperature_ev))
    )
    return np.where(plasma_ev > 0, f * 2 * energy**2 / ELECTRON_MASS**2, 0)


def flux_frame(flux: NDArray[np.float64]) -> pl.LazyFrame:
    """Rows of eea_l2_flux of fluxes [n, 41, 4, 32] with 10,000 counts each."""
    rows = counts_frame(np.zeros((len(flux), *SHAPE), np.int64)).collect()
    lists = pl.Series(flux.reshape(len(flux), -1).astype(np.float32)).arr.to_list()
    total = pl.lit(10_000, pl.Int32)
    return rows.drop("accum").with_columns(energy_flux=lists, total_counts=total).lazy()
