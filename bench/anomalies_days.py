# SPDX-License-Identifier: Apache-2.0
"""Days of MeDDEA housekeeping for the benchmark of anomalies: the simulator's channels with the orbit's pattern.

Values are turned into words and back, as the instrument and its calibration do. The level of each day differs a little
from that of the day before, as instruments do and simulators do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from lake.clock import DAY_S, NS, tt2000_from_unix_ns
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.definitions import Table
from lake.ledger import file_list
from lake.reading import arrow_schema
from lake.store import Lake
from lake.tables import append_ops, replace_day
from quality.anomalies.series import Bool, Float64, Int64
from simulate.padre.meddea_housekeeping import Inverse, read_inverses
from simulate.padre.meddea_scenario import HousekeepingChannel, read_scenario

TABLE = "padre.meddea_l1_housekeeping"
SOURCES = {
    "fp_temp_degc": "fp_temp",
    "dib_temp_degc": "dib_temp",
    "hvps_temp_degc": "hvps_temp",
    "hvps_vsense_v": "hvps_vsense",
    "hvps_csense_na": "hvps_csense",
    "csense_15v_ma": "csense_15v",
    "csense_33vd_ma": "csense_33vd",
    "csense_33va_ma": "csense_33va",
    "heater_pwm_duty_cycle_percent": "heater_pwm_duty_cycle",
}
WANDER = 0.3  # sigma of a channel, from day to day
HIT_RATE, HIT_SWING = 12.0, 8.0  # counts per second: quiet Sun by day, background by night
STATES = ("error_summary",)
SCIENCE = ("hit_rate", "decimation_rate")  # only frozen or saturated ones are told
COUNTERS = ("good_cmd_cnt", "error_cnt")
FIRST_S = 4.1


@dataclass(frozen=True)
class House:
    """The instrument as it is simulated: its table, orbit and channels."""

    table: Table
    orbit_s: float
    channels: Mapping[str, HousekeepingChannel]
    inverses: Mapping[str, Inverse]
    cadence_s: float
    error_mask: int = 1 << 13

    @property
    def sigmas(self) -> dict[str, float]:
        """One standard deviation of each measured channel, in its unit."""
        noise = {column: self.channels[source].noise for column, source in SOURCES.items()}
        return noise | {"hit_rate": HIT_RATE**0.5}

    def swing(self, column: str) -> float:
        """Half of the pattern's height, in sigma."""
        height = HIT_SWING if column == "hit_rate" else self.channels[SOURCES[column]].swing
        return height / self.sigmas[column]


@dataclass
class Rows:
    """A day before it is written: times as Unix nanoseconds, physical values by column, rows that are not sent."""

    unix_ns: Int64
    phase: Float64
    values: dict[str, Float64]
    kept: Bool = field(default_factory=lambda: np.zeros(0, bool))


def open_lake(folder: Path) -> tuple[Lake, House]:
    """An empty lake with the mission's own definitions, and the instrument."""
    definitions = read_definitions(CHECKOUT / "missions")
    scenario = read_scenario()
    table = definitions.tables[TABLE]
    inverses = read_inverses(definitions.instrument(table), date(2026, 8, 1))
    channels = dict(scenario.housekeeping.channels)
    orbit = definitions.mission("padre").orbit_seconds or 0.0
    house = House(table, orbit, channels, inverses, scenario.housekeeping.cadence_s)
    return Lake(folder, definitions), house


def day_rows(house: House, day: date, seed: int) -> Rows:
    """A day as usual; the same seed gives the same day."""
    random = np.random.default_rng((seed, day.toordinal()))
    start = (day - date(1970, 1, 1)).days * DAY_S
    unix = start + FIRST_S + house.cadence_s * np.arange(round(DAY_S / house.cadence_s))
    phase = np.asarray(unix / house.orbit_s % 1.0, np.float64)
    values = {c: pattern(house, c, phase) for c in house.sigmas}
    for column, sigma in house.sigmas.items():
        values[column] += WANDER * sigma * random.standard_normal()
        if column != "hit_rate":
            values[column] += sigma * random.standard_normal(len(unix))
    values["hit_rate"] = random.poisson(np.maximum(values["hit_rate"], 0)).astype(np.float64)
    values["good_cmd_cnt"] = np.full(len(unix), 10.0) + (day.toordinal() % 50)
    values["error_cnt"] = np.full(len(unix), 2.0)
    values["decimation_rate"] = np.zeros(len(unix))
    values["error_summary"] = house.error_mask * (random.random(len(unix)) < 0.0002).astype(np.float64)
    return Rows(np.round(unix * NS).astype(np.int64), phase, values, np.ones(len(unix), bool))


def pattern(house: House, column: str, phase: Float64) -> Float64:
    """What a channel does in the course of an orbit."""
    if column == "hit_rate":
        return np.asarray(HIT_RATE + HIT_SWING * np.cos(2 * np.pi * phase), np.float64)
    channel = house.channels[SOURCES[column]]
    return np.asarray(channel.mean + channel.swing * np.cos(2 * np.pi * (phase - channel.lag)), np.float64)


def as_sent(house: House, column: str, values: Float64) -> Float64:
    """Values after they were turned into words and calibrated."""
    if column not in SOURCES:
        return np.clip(np.rint(values), 0, 65_535)
    inverse = house.inverses[SOURCES[column]]
    words, step = inverse(values), 1 if inverse.words[0] < inverse.words[-1] else -1  # the words follow each other
    return np.asarray(inverse.values[(words - inverse.words[0]) * step], np.float64)


def write_day(lake: Lake, house: House, day: date, rows: Rows, run_id: str) -> None:
    """The day's rows in the table, and the row of ops.runs that says so."""
    kept = rows.kept
    columns: dict[str, object] = {
        "epoch_tt2000": tt2000_from_unix_ns(rows.unix_ns[kept]),
        "time": rows.unix_ns[kept] // 1000,
        "sequence_count": np.flatnonzero(kept) % 16_384,
        "quality_flag": np.zeros(kept.sum(), np.int32),
    }
    columns |= {name: as_sent(house, name, values)[kept] for name, values in rows.values.items()}
    schema = arrow_schema(house.table, stored=True)
    table = pa.table([pa.array(columns[f.name]).cast(f.type) for f in schema], schema=schema)
    written = replace_day(lake, house.table, day, table, {"run_id": run_id})
    row = {"run_id": run_id, "table_name": TABLE, "day": day, "fingerprint": written.content, "reason": "bench"}
    row |= {"rows": written.rows, "input_rows": written.rows, "seconds": 0.0, "code_version": "bench", "plan": None}
    row |= {"started_at": datetime(2026, 8, 1, tzinfo=UTC), "status": "done", "error": None, "depends_on": "{}"}
    row |= {"content": written.content, "table_id": written.table_id, "files": file_list(written.files)}
    append_ops(lake, "runs", [row])
