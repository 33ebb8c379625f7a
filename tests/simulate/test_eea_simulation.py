# SPDX-License-Identifier: Apache-2.0
"""Simulated EEA files, read back with numpy alone, and compared with the measured timing and the truth."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from lake.errors import ConfigurationError
from lake.names import parse_name
from simulate.faults import Fault
from simulate.files import Simulated
from simulate.hermes import eea
from simulate.hermes.eea import simulate_day
from simulate.hermes.eea_sweeps import Electrons, draw, expected_counts, read_analyser
from tests.hermes_eea import DEFINITIONS, EEA, NOW, PACKET_BYTES, PERIOD_US, STEPS

HERMES = DEFINITIONS.mission("hermes")
RUN_DAY = date(2026, 8, 1)
# Seconds from 2000-01-01T12:00 TT to 2026-08-01T00:00 UTC: 9708.5 days, and 37 leap seconds and 32.184 s.
MIDNIGHT_US = round((9708.5 * 86_400 + 69.184) * 1e6)


@dataclass(frozen=True)
class Read:
    """Packets of files, field by field."""

    raw: NDArray[np.uint8]

    def number(self, first: int, stop: int) -> NDArray[np.int64]:
        value = np.zeros(len(self.raw), np.int64)
        for byte in range(first, stop):
            value = value * 256 + self.raw[:, byte]
        return value

    @property
    def time_us(self) -> NDArray[np.int64]:
        return self.number(6, 10) * 10**6 + (self.number(10, 13) >> 4)

    @property
    def step(self) -> NDArray[np.int64]:
        return self.number(14, 15)

    @property
    def sequence(self) -> NDArray[np.int64]:
        return self.number(2, 4) & 0x3FFF

    @property
    def accum(self) -> NDArray[np.int64]:
        bits = np.unpackbits(self.raw[:, 19:70], axis=1).reshape(len(self.raw), 34, 12)
        return np.asarray(bits @ (1 << np.arange(11, -1, -1)), np.int64)


def run(out: Path, **options: Any) -> Simulated:
    settings = {"seed": 3, "hours": 0.02} | options
    return simulate_day(HERMES, EEA, RUN_DAY, out, **settings)


def read(*paths: Path) -> Read:
    data = b"".join(path.read_bytes() for path in paths)
    return Read(np.frombuffer(data, np.uint8).reshape(-1, PACKET_BYTES))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Simulated]:
    out = tmp_path_factory.mktemp("eea")
    return out, run(out)


@pytest.fixture(scope="module")
def packets(made: tuple[Path, Simulated]) -> Read:
    return read(*made[1].files)


def test_the_file_has_the_name_of_the_mission(made: tuple[Path, Simulated]):
    [path] = made[1].files
    assert path.name == "hermes_EEA_l0_2026213-000000_v0.bin"
    assert parse_name(HERMES.names, path.name, NOW).instrument == "eea"
    assert made[1].bytes == path.stat().st_size == made[1].packets * PACKET_BYTES


def test_headers_and_checksums_are_those_of_the_real_packets(packets: Read):
    first, length = packets.number(0, 2), packets.number(4, 6)
    assert set(first.tolist()) == {0x0904}
    assert set(length.tolist()) == {65}
    assert set((packets.number(2, 4) >> 14).tolist()) == {3}
    assert np.array_equal(packets.number(70, 72), packets.raw[:, 14:70].sum(axis=1, dtype=np.int64) % 65536)
    assert set(packets.number(13, 14).tolist()) == {1}
    assert set((packets.number(12, 13) & 15).tolist()) == {0}


def test_the_intervals_are_the_measured_ones(packets: Read):
    step, interval = packets.step, np.diff(packets.time_us)
    after = step[1:]
    assert set(interval[after == 0].tolist()) == {6100}
    assert set(interval[np.isin(after, [41, 82, 123, 163])].tolist()) == {10_083}
    assert set(interval[~np.isin(after, [0, 41, 82, 123, 163])].tolist()) == {6083}
    assert np.array_equal(after, (step[:-1] + 1) % STEPS)
    assert set(np.diff(packets.time_us[step == 0]).tolist()) == {PERIOD_US}
    assert np.array_equal(np.diff(packets.sequence) % 16384, np.ones(len(step) - 1, np.int64))


def test_the_run_begins_at_midnight_in_the_middle_of_a_sweep(packets: Read):
    assert 0 <= packets.time_us[0] - MIDNIGHT_US < 10_083
    assert packets.step[0] > 0
    assert packets.time_us[-1] < MIDNIGHT_US + 72_000_000
    assert packets.time_us[-1] > MIDNIGHT_US + 72_000_000 - 10_083


def test_runs_of_two_days_fit_together(tmp_path: Path, packets: Read):
    later = read(*simulate_day(HERMES, EEA, date(2026, 8, 2), tmp_path, seed=3, hours=0.001).files)
    sweeps, rest = divmod(int(later.time_us[later.step == 0][0] - packets.time_us[packets.step == 0][0]), PERIOD_US)
    assert rest == 0
    ahead = int(later.sequence[later.step == 0][0] - packets.sequence[packets.step == 0][0])
    assert ahead % 16384 == sweeps * STEPS % 16384


def test_counters_hold_the_anodes_and_now_and_then_an_event_more(packets: Read):
    anodes = packets.accum[:, :32].sum(axis=1)
    for first in (15, 17):
        more = packets.number(first, first + 2) - anodes
        assert more.min() == 0
        assert 0 < more.mean() < 0.03
    assert packets.accum[:, 32:].max() == 0


def test_counts_are_poisson_around_the_truth(made: tuple[Path, Simulated], packets: Read):
    truth = pl.read_csv(made[0] / "truth" / "eea_sweeps_20260801.csv")
    starts = packets.time_us[packets.step == 0]
    whole = truth.filter(pl.col("epoch_tt2000").is_in((starts * 1000).tolist()))
    anodes = packets.accum[:, :32].sum(axis=1)
    which = np.searchsorted(starts, packets.time_us, side="right") - 1
    counted = np.bincount(which[which >= 0], anodes[which >= 0])
    complete = np.bincount(which[which >= 0]) == STEPS
    assert counted[complete].tolist() == whole["counts"].to_numpy()[complete].tolist()
    # 110,000 counts in a sweep have a sigma of 330; dead time takes a tenth of a percent.
    pull = (whole["counts"] - whole["expected_counts"] * 0.999) / whole["expected_counts"].sqrt()
    assert abs(pull.mean()) < 0.5
    assert 0.7 < pull.std() < 1.3


def test_a_step_has_the_known_counts_without_drift():
    electrons = Electrons(np.array([5.0]), np.array([10.0]), np.zeros((1, 3)))
    expected = expected_counts(read_analyser(EEA, RUN_DAY), electrons, 0.0)
    assert expected.shape == (1, 164, 32)
    # 20.15 eV is energy 12 of the ladder; steps 12, 69, 94 and 151 see it; 82.0 counts with E / T = 2.09.
    steps = expected[0, [12, 69, 94, 151]]
    np.testing.assert_allclose(steps, steps[0, 0], rtol=1e-12)
    energy = 2.18 * (200.2 / 2.18) ** 0.5
    assert steps[0, 0] == pytest.approx(82.05 * (energy / 20) ** 2 * np.exp(-(energy - 20) / 10), rel=1e-3)


def test_a_wind_from_the_sun_is_seen_by_anodes_that_look_at_it():
    electrons = Electrons(np.array([5.0]), np.array([10.0]), np.array([[-400.0, 0, 0]]))
    expected = expected_counts(read_analyser(EEA, RUN_DAY), electrons, 0.0)
    assert expected[0, 20].argmax() in (0, 31)
    assert expected[0, 20].argmin() in (15, 16)


def test_full_counters_and_dead_time():
    analyser = read_analyser(EEA, RUN_DAY)
    random = np.random.default_rng(1)
    assert draw(analyser, np.full((1, 2, 3), 1e6), random).tolist() == [[[4095] * 3] * 2]
    some = draw(analyser, np.full((1, 164, 3200), 2000.0), random)
    assert some.mean() == pytest.approx(2000 / (1 + 2000 * 1e-7 / 6e-3), rel=5e-4)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path, made: tuple[Path, Simulated]):
    again, other = run(tmp_path / "again"), run(tmp_path / "other", seed=4)
    assert again.files[0].read_bytes() == made[1].files[0].read_bytes()
    assert other.files[0].read_bytes() != made[1].files[0].read_bytes()


def test_files_close_at_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    small = eea.read_scenario().model_copy(update={"file_bytes": 300_000, "sweeps_at_once": 7})
    monkeypatch.setattr(eea, "read_scenario", lambda: small)
    done = run(tmp_path)
    sizes = [path.stat().st_size for path in done.files]
    assert len(sizes) > 2
    assert all(300_000 <= size < 300_072 for size in sizes[:-1])
    assert np.array_equal(np.diff(read(*done.files).time_us) > 0, np.ones(done.packets - 1, np.bool_))


def test_a_gap_is_taken_out_and_written_down(tmp_path: Path):
    gap = Fault(kind="gap", stream="eea", start=timedelta(seconds=10), stop=timedelta(seconds=12))
    done = run(tmp_path, faults=(gap,))
    assert len(done.faults) == 1
    assert 300 < done.faults[0].packets < 340
    assert np.diff(read(*done.files).time_us).max() > 1_990_000


def test_truth_names_the_plasma_of_each_sweep(made: tuple[Path, Simulated]):
    truth = pl.read_csv(made[0] / "truth" / "eea_sweeps_20260801.csv")
    plasma = pl.read_csv(made[0] / "truth" / "plasma_20260801.csv")
    ions = plasma["density_cm3"] * (1 + 2 * plasma["alpha_ratio"] + plasma["oxygen_ratio"])
    assert truth["density_cm3"][0] == pytest.approx(ions[0], rel=1e-3)
    assert truth["temperature_ev"][0] == pytest.approx(plasma["electron_temperature_ev"][0], rel=1e-3)
    assert -450 < truth["vx_km_s"][0] < -350


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed -1: is negative"),
        ({"hours": 0}, "hours 0: is not above 0"),
        ({"hours": 745}, "at most 744"),
    ],
)
def test_impossible_orders_are_refused(tmp_path: Path, options: dict[str, Any], message: str):
    with pytest.raises(ConfigurationError, match=message):
        run(tmp_path, **options)


def test_a_fault_in_an_unknown_stream_is_refused(tmp_path: Path):
    fault = Fault(kind="gap", stream="photon", start=timedelta(seconds=1), stop=timedelta(seconds=2))
    with pytest.raises(ConfigurationError, match="there is no stream 'photon'"):
        run(tmp_path, faults=(fault,))
