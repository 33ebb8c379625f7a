# SPDX-License-Identifier: Apache-2.0
"""A mission whose only instrument writes housekeeping as CSV, four channels once a minute, for tests of watching.

A day of it is made here with faults put in, and lies in an inbox as a file of its own.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from textwrap import dedent

import numpy as np
import numpy.typing as npt

from lake.config import CHECKOUT

TABLE = "house.rack_l1_hk"
CADENCE_S = 60
ROWS_PER_DAY = 86_400 // CADENCE_S
ORBIT_S = 5400.0
# Each channel as sent: its level, the amplitude of the orbit's pattern, and its noise (one standard deviation).
CHANNELS: dict[str, tuple[float, float, float]] = {
    "temp_degc": (20.0, 5.0, 0.2),
    "bus_v": (28.0, 0.4, 0.05),
    "load_ma": (400.0, 60.0, 5.0),
    "wheel_rpm": (3000.0, 0.0, 8.0),
}
STEPS = {"temp_degc": 0.05, "bus_v": 0.01, "load_ma": 1.0, "wheel_rpm": 1.0}

FILES = {
    "house/mission.yaml": f"""\
        name: house
        title: A mission for tests
        valid_time: {{start: 2024-01-01, stop: 2050-01-01}}
        orbit_seconds: {ORBIT_S:.0f}
        """,
    "house/names.yaml": """\
        mission: house
        extension: cdf
        levels: [raw, l0, l1]
        min_valid_time: 2020-01-01T00:00:00Z
        instruments: {}
        """,
    "house/rack/names.yaml": """\
        short_name: rck
        families:
          - {extension: csv, pattern: "{mission}_rack_{time}", time: archive}
        """,
    "house/rack/instrument.yaml": """\
        name: rack
        short_name: rck
        title: A rack
        description: It tells how it is, once a minute
        status: flying
        clock: {epoch: "1970-01-01T00:00:00", policy: posix, coarse: ms, coarse_ticks_per_second: 1000}
        records:
          hk: {format: csv, files: ["*.csv"]}
        """,
    "house/rack/records/hk.csv": """\
        name,header,type,unit,description,valid_min,valid_max
        ms,ms,int64,ms,Time of the row,,
        temp_degc,temp_degc,float64,degC,Temperature of the rack,,
        bus_v,bus_v,float64,V,Voltage of the bus,,
        load_ma,load_ma,float64,mA,Current into the load,,
        wheel_rpm,wheel_rpm,float64,1/min,Speed of the wheel,,
        """,
    "house/rack/tables.yaml": f"""\
        tables:
          rack_l0_hk: {{title: Housekeeping as sent, grain: one row per row, records: hk}}
          rack_l1_hk:
            title: Housekeeping
            grain: one row per minute
            order: strict
            cadence_seconds: {CADENCE_S}
            inputs: {{hk: rack_l0_hk}}
            method: calibrated
            watch: {{period: orbit}}
            columns:
              - epoch_tt2000
              - time
              - temp_degc
              - bus_v
              - load_ma
              - wheel_rpm
              - quality_flag
        """,
    "house/rack/channels.csv": """\
        table,column,kind,mode
        rack_l1_hk,temp_degc,analog,
        rack_l1_hk,bus_v,analog,
        rack_l1_hk,load_ma,analog,
        rack_l1_hk,wheel_rpm,analog,
        """,
    "house/rack/limits.csv": """\
        table,column,severity,low,high,when,samples,seconds,source
        rack_l1_hk,temp_degc,yellow,5,35,,,,a data sheet
        rack_l1_hk,temp_degc,red,-10,50,,,,a data sheet
        rack_l1_hk,bus_v,yellow,25,31,,,,a data sheet
        """,
}


def write_house(folder: Path) -> Path:
    """The mission's definitions as a folder missions/."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    for name in ("columns.csv", "flags.csv"):
        shutil.copy(CHECKOUT / "missions" / name, folder / name)
    return folder


def channels(day: date, seed: int = 1) -> dict[str, npt.NDArray[np.float64]]:
    """A day of all channels without faults; the same seed gives the same day."""
    random = np.random.default_rng((seed, day.toordinal()))
    phase = 2 * np.pi * (times(day) / 1000 % ORBIT_S) / ORBIT_S
    return {
        name: level + swing * np.sin(phase + i) + noise * random.standard_normal(ROWS_PER_DAY)
        for i, (name, (level, swing, noise)) in enumerate(CHANNELS.items())
    }


def times(day: date) -> npt.NDArray[np.int64]:
    """Unix milliseconds of a day's rows."""
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
    return start + 1000 * CADENCE_S * np.arange(ROWS_PER_DAY, dtype=np.int64)


def write_day(
    inbox: Path,
    day: date,
    values: Mapping[str, npt.NDArray[np.float64]],
    missing: slice = slice(0, 0),
    part: int = 0,
) -> Path:
    """A file of a day's rows but for the missing ones, each value to its channel's step; `part` makes another name."""
    kept = np.ones(ROWS_PER_DAY, bool)
    kept[missing] = False
    columns = [np.round(values[name] / STEPS[name]) * STEPS[name] for name in CHANNELS]
    rows = zip(times(day), *columns, strict=True)
    lines = [
        f"{row[0]}," + ",".join(f"{value:.6g}" for value in row[1:])
        for row, keep in zip(rows, kept, strict=True)
        if keep
    ]
    inbox.mkdir(parents=True, exist_ok=True)
    path = inbox / f"house_rack_{day:%Y%m%d}T{part:06d}.csv"
    path.write_text("\n".join(["ms," + ",".join(CHANNELS), *lines]) + "\n")
    return path
