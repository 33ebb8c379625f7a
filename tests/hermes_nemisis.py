# SPDX-License-Identifier: Apache-2.0
"""NEMISIS packets as rows of L0, made by the text book formula, for the tests of its transforms."""

from __future__ import annotations

from datetime import UTC, date, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lake.clock import tt2000_of_day
from lake.definition_files import read_definitions
from lake.definitions import Calibration
from tests.frames import dtypes as types_of
from transforms.hermes import nemisis

MISSIONS = Path(__file__).parents[1] / "missions"
NEMISIS = read_definitions(MISSIONS).mission("hermes").instrument("nemisis")
TABLES = {table.name.removeprefix("nemisis_"): table for table in NEMISIS.tables}
DAY = date(2026, 8, 1)
MIDNIGHT = tt2000_of_day(DAY)
NS = 10**9
NOON = MIDNIGHT + 43_200 * NS
TICK_NS = 14_933
FLAGS = {flag.name: flag.mask for flag in NEMISIS.flags}


def calibration(name: str, day: date = DAY) -> Calibration:
    found = NEMISIS.calibration(name, day)
    assert found is not None
    return found


def changed(name: str, frame: pl.DataFrame) -> Calibration:
    return Calibration(name, date(2000, 1, 1), Path(f"{name}_20000101.csv"), "", frame)


def dtypes(name: str) -> dict[str, Any]:
    return types_of(TABLES[name])


def checked(name: str, result: pl.LazyFrame) -> pl.DataFrame:
    """The result, cast as the engine does."""
    types = {column: kind for column, kind in dtypes(name).items() if column != "day"}
    return result.collect().select(list(types)).cast(types, strict=True)  # type: ignore[arg-type]


def packets(
    count: int,
    *,
    first_tone_s: float = 43_200.0,
    slot_ns: Fraction = Fraction(10**15, 10_000_790),
    ticks_early: Fraction = Fraction(403, 100),
    phase: Fraction = Fraction(3, 10),
    **fields: Any,
) -> tuple[pl.DataFrame, np.ndarray]:
    """L0 rows of packets that follow each other, and the true time [ns] of the first sample of each.

    Tones fall on ticks of 1/65536 s, each 4 s less `ticks_early` ticks after the one before; slots of the oscillator
    follow each other from `phase` of a slot before the first tone. All arithmetic is exact until the last rounding.
    """
    rows, firsts = [], []
    start = Fraction(MIDNIGHT, NS) + Fraction(first_tone_s)
    first_tick = int(start * 65536)
    for number in range(count):
        ticks = first_tick + 4 * 65536 * number - int(ticks_early * number)
        passed = Fraction(ticks - first_tick, 65536) * NS / slot_ns + phase
        slot = passed.numerator // passed.denominator
        seconds, sub = divmod(ticks - (1000 + 4 * number) * 65536, 65536)
        tone = round(Fraction(ticks, 65536) * NS)
        isr = round((passed - slot) * slot_ns / TICK_NS)
        firsts.append(round(Fraction(first_tick, 65536) * NS + (slot - phase - 8) * slot_ns))
        clock = {"met_seconds": 1000 + 4 * number, "stcf_seconds": seconds, "stcf_subseconds": sub, "isr_count": isr}
        sent = tone + 3_100_000_000
        header = {"seconds": sent // NS, "subsecs": sent % NS * 65536 // NS}
        rows.append({**clock, **header, "epoch_tt2000": sent, "pkt_id": number + 1, "sequence_count": number})
    return _l0(rows, fields), np.array(firsts)


def _l0(rows: list[dict[str, Any]], fields: dict[str, Any]) -> pl.DataFrame:
    types = dtypes("l0_mag")
    blank = {name: "" if kind == pl.String else 0 for name, kind in types.items()}
    blank |= {"time": datetime(2026, 8, 1, tzinfo=UTC), "day": DAY, "mag_data": [0] * 360, **rtc(), **temperatures()}
    blank |= {"acq_pos_num": 8, "xsum": 1, "relay_state": 1, **fields}
    return pl.DataFrame([{**blank, "byte_offset": 1129 * i, **row} for i, row in enumerate(rows)], schema=types)


def rtc(text: str = "260801120000") -> dict[str, int]:
    """The BCD bytes of yymmddHHMMSS, and 45 centiseconds."""
    names = ("year", "month", "day", "hours", "minutes", "seconds")
    digits = [int(text[i : i + 2], 16) for i in range(0, 12, 2)]
    return {"rtc_csec": 0x45} | {f"rtc_{name}": value for name, value in zip(names, digits, strict=True)}


def temperatures() -> dict[str, int]:
    """Raw words near 20 degC: 20 for box and PNI sensors, 910 of 1024 parts of 3.3 V for the fluxgate."""
    return {"ebox_temp": 2560, "fg_temp": 910, "pni1_temp": 5120, "pni2_temp": 5120}


def with_field(frame: pl.DataFrame, packet: int, **values: Any) -> pl.DataFrame:
    """The frame with other values in one of its rows."""
    return pl.DataFrame(
        [{**row, **(values if i == packet else {})} for i, row in enumerate(frame.iter_rows(named=True))],
        schema=frame.schema,
    )


def l1_mag(frame: pl.DataFrame, day: date = DAY, **changes: Any) -> pl.DataFrame:
    calibrations: dict[str, Any] = {n: calibration(n) for n in ("scale", "parameters")}
    return checked("l1_mag", nemisis.l1_mag(TABLES["l1_mag"], mag=frame.lazy(), day=day, **calibrations | changes))


def l1_status(frame: pl.DataFrame, day: date = DAY, **changes: Any) -> pl.DataFrame:
    calibrations: dict[str, Any] = {n: calibration(n) for n in ("temperature_polynomial", "parameters")}
    result = nemisis.l1_status(TABLES["l1_status"], mag=frame.lazy(), day=day, **calibrations | changes)
    return checked("l1_status", result)


def ql_mag(mag: pl.DataFrame, **changes: Any) -> pl.DataFrame:
    names = ("gain_offset", "orthogonality", "alignment", "parameters", "attitude")
    calibrations: dict[str, Any] = {n: calibration(n) for n in names}
    return checked("ql_mag", nemisis.ql_mag(TABLES["ql_mag"], mag=mag.lazy(), **calibrations | changes))


def l2_mag(mag: pl.DataFrame, status: pl.DataFrame, day: date = DAY, **changes: Any) -> pl.DataFrame:
    names = ("gain_offset", "orthogonality", "alignment", "despike", "parameters", "attitude")
    calibrations: dict[str, Any] = {n: calibration(n) for n in names}
    inputs = {"mag": mag.lazy(), "status": status.lazy()}
    return checked("l2_mag", nemisis.l2_mag(TABLES["l2_mag"], **inputs, day=day, **calibrations | changes))


def l3_ambient(mag: pl.DataFrame, **changes: Any) -> pl.DataFrame:
    calibrations: dict[str, Any] = {n: calibration(n) for n in ("host_sources", "noise")}
    return checked("l3_ambient", nemisis.l3_ambient(TABLES["l3_ambient"], mag=mag.lazy(), **calibrations | changes))


def samples(times: list[int], **columns: Any) -> pl.DataFrame:
    """Rows of l1_mag at TT2000 times [ns]; vectors that are not given are 0."""
    types = {name: kind for name, kind in dtypes("l1_mag").items() if name != "day"}
    vectors = {f"{sensor}_b": [[0.0, 0.0, 0.0]] * len(times) for sensor in ("fg", "pni1", "pni2")}
    other = {"time": datetime(2026, 8, 1, tzinfo=UTC), "pkt_id": 1, "sample": 0, "quality_flag": 0}
    values = {**{name: [value] * len(times) for name, value in other.items()}, **vectors, **columns}
    return pl.DataFrame({"epoch_tt2000": times, **values}, schema_overrides=types).select(list(types))


def status_at(times: list[int], fg: float = 20.0, pni1: float = 20.0, pni2: float = 20.0) -> pl.DataFrame:
    """The columns of l1_status that the field needs."""
    degrees = {"fg_temp_degc": fg, "pni1_temp_degc": pni1, "pni2_temp_degc": pni2}
    return pl.DataFrame({"epoch_tt2000": times, **{name: [value] * len(times) for name, value in degrees.items()}})


def vectors(column: pl.Series) -> np.ndarray:
    """A column of vectors [n, 3], NaN for null."""
    return column.list.explode().cast(pl.Float64).fill_null(np.nan).to_numpy().reshape(-1, 3)


def flagged(frame: pl.DataFrame, name: str) -> list[bool]:
    return ((frame["quality_flag"] & FLAGS[name]) > 0).to_list()


def still(count: int = 60, at: int = NOON) -> list[int]:
    return [at + i * 100_000_000 for i in range(count)]
