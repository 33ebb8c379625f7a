# SPDX-License-Identifier: Apache-2.0
"""A mission of one instrument for random histories: small enough for thousands of nights, with all that a lake does.

`sea.buoy_l0_tick` holds raw values; `sea.buoy_l1_tick` keeps one of each, multiplies by the calibration `gain` and adds
what the neighbouring days show in their margins; `sea.buoy_ql_mean` has the mean of a day. Level 1 is a product.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from textwrap import dedent

from lake.config import CHECKOUT

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
LEAP_SECONDS = 5  # since the epoch, after 2017
APID = 7

FILES = {
    "sea/mission.yaml": """\
        name: sea
        title: A mission for histories
        valid_time: {start: 2024-01-01, stop: 2050-01-01}
        cdf:
          Source_name: "SEA>A mission for histories"
          Project: "SEA>A mission for histories"
          Discipline: "Solar Physics>Heliospheric Physics"
          Mission_group: SEA
          PI_name: Nobody
          PI_affiliation: Nowhere
          Acknowledgement: None
          Rules_of_use: None
          HTTP_LINK: "https://example.org/"
          LINK_TEXT: Page of
          LINK_TITLE: the mission
        """,
    "sea/names.yaml": """\
        mission: sea
        extension: fits
        levels: [raw, l0, l1, ql]
        min_valid_time: 2020-01-01T00:00:00Z
        clock_skew: P1D
        instruments:
          buoy: {short_name: buoy, other_names: [by]}
        descriptors: {by01: tick}
        families:
          - {extension: dat, pattern: "{mission}{stream}_{time}", time: two_digit_year, level: raw, aliases: [by]}
        """,
    "sea/buoy/instrument.yaml": """\
        name: buoy
        short_name: buoy
        title: A buoy
        description: It measures one number
        status: flying
        clock: {epoch: "2000-01-01T00:00:00", policy: leap, coarse: time_s}
        packets:
          tick: {apids: [7], identity: [time_s]}
        cdf:
          Descriptor: "BUOY>A buoy"
          Instrument_type: Imaging and Remote Sensing (Sun)
        """,
    "sea/buoy/packets/tick.csv": """\
        name,data_type,bit_length,unit,description,valid_min,valid_max
        time_s,uint,32,s,Seconds since the clock's epoch,,
        value,uint,16,adu,Measured value,,
        """,
    "sea/buoy/calibration/gain_20240101.csv": """\
        factor
        2
        """,
    "sea/buoy/tables.yaml": """\
        tables:
          buoy_l0_tick:
            title: Ticks
            grain: one row per packet
            packet: tick
          buoy_l1_tick:
            title: Ticks in volts
            grain: one row per packet
            inputs: {tick: buoy_l0_tick}
            margins: {tick: [120, 120]}
            calibrations: [gain]
            columns:
              - epoch_tt2000
              - {name: voltage_v, type: float64, unit: V, description: Voltage}
          buoy_ql_mean:
            title: Mean voltage
            grain: one row per day
            inputs: {tick: buoy_l1_tick}
            columns:
              - {name: voltage_v, type: float64, unit: V, description: Mean voltage, nullable: true}
        """,
    "sea/buoy/cdf.yaml": """\
        products:
          buoy_l1_tick:
            version: "1.0"
            title: Ticks in volts
            time_resolution: 1 second
            bin_location: 0.0
            text: Ticks of a buoy in volts, each received once, for histories of the lake.
            mods: ["1.0: first version"]
        """,
}

TRANSFORM = '''\
"""A buoy in volts."""
import polars as pl

from lake.clock import day_bounds


def l1_tick(table, *, tick, gain, day):
    """Volts, with what is around the day added."""
    first, stop = day_bounds(day)
    good = tick.filter((pl.col("quality_flag") & 3) == 0)
    own = pl.col("epoch_tt2000").is_between(first, stop, closed="left")
    around = good.filter(~own).select(around=pl.col("value").sum())
    rows = good.filter(own).join(around, how="cross").sort("epoch_tt2000", "sequence_count", "value")
    volts = (pl.col("value") * float(gain.frame["factor"][0]) + pl.col("around") + OFFSET).cast(pl.Float64)
    return rows.select("epoch_tt2000", voltage_v=volts)


def ql_mean(table, *, tick):
    """The day's mean."""
    return tick.select(pl.col("voltage_v").mean())
'''


def write_missions(folder: Path) -> Path:
    """The definitions as a folder missions/."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    for name in ("columns.csv", "flags.csv"):
        shutil.copy(CHECKOUT / "missions" / name, folder / name)
    return folder


def write_transform(package: Path, offset: int) -> None:
    """The code, which adds `offset` volts."""
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").touch()
    (package / "buoy.py").write_text(TRANSFORM.replace("OFFSET", str(offset)))


def packet(time_s: int, value: int) -> bytes:
    """A packet of 12 bytes; its sequence count is that of its second."""
    count = time_s % 16384
    header = bytes([0, APID, 0xC0 | count >> 8, count & 0xFF, 0, 5])
    return header + time_s.to_bytes(4, "big") + value.to_bytes(2, "big")


def met(day: date, second: int) -> int:
    """The clock at a second of a day."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return round((midnight - EPOCH).total_seconds()) + LEAP_SECONDS + second


def telemetry(ticks: Iterable[tuple[date, int, int]]) -> bytes:
    """Packets of (day, second, value)."""
    return b"".join(packet(met(day, second), value) for day, second, value in ticks)
