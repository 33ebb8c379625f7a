# SPDX-License-Identifier: Apache-2.0
"""Simulated SPAN-I files, read back with struct alone and compared with the assumed document and the truth."""

from __future__ import annotations

import csv
import struct
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from lake.errors import ConfigurationError
from lake.names import parse_name
from simulate.faults import Fault
from simulate.files import Simulated
from simulate.hermes import spani
from simulate.hermes.spani_ions import Species, Wind, cells_of, compress, counted, draw_events
from tests.hermes_spani import ANALYSER, DEFINITIONS, LIVE_S, SPANI

MISSION = DEFINITIONS.mission("hermes")
DAY = date(2026, 8, 1)
PERIOD_S = 2**24 / 19.2e6
# 2026-08-01T00:00:00 UTC is 26.58 years after 2000-01-01T12:00:00 TT: 9709 days less 12 h, and 69.184 s of TT - UTC.
MIDNIGHT_TT_S = 9709 * 86400 - 43200 + 69.184


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("simulated")


@pytest.fixture(scope="module")
def simulated(out: Path) -> Simulated:
    return spani.simulate_day(MISSION, SPANI, DAY, out, seed=5, hours=0.2)


@pytest.fixture(scope="module")
def packets(simulated: Simulated) -> list[tuple[int, int, bytes]]:
    """APID, sequence count and bytes of each packet, in the order of the files."""
    found = []
    for path in simulated.files:
        data, offset = path.read_bytes(), 0
        while offset < len(data):
            first, second, length = struct.unpack_from(">3H", data, offset)
            assert first >> 11 == 1  # version 0, telemetry, secondary header
            assert second >> 14 == 3
            found.append((first & 0x7FF, second & 0x3FFF, data[offset : offset + length + 7]))
            offset += length + 7
        assert offset == len(data)
    return found


def of(packets: list[tuple[int, int, bytes]], apid: int) -> list[bytes]:
    return [data for found, _, data in packets if found == apid]


def seconds(data: bytes) -> float:
    met, sub = struct.unpack_from(">IH", data, 6)
    return float(met) + float(sub) / 65536


def test_three_species_and_rates_every_cycle(simulated: Simulated, packets: list[tuple[int, int, bytes]]) -> None:
    expected = int(0.2 * 3600 / PERIOD_S)
    assert [len(of(packets, apid)) for apid in (320, 321, 322, 326)] == [expected] * 4
    assert simulated.packets == 4 * expected
    assert {len(data) for data in of(packets, 321)} == {4118}
    assert {len(data) for data in of(packets, 326)} == {6 + 6 + 2 + 2 + 96 + 2}
    times = np.array([seconds(data) for data in of(packets, 320)])
    np.testing.assert_allclose(np.diff(times), PERIOD_S, atol=1.01 / 65536)
    assert 0 <= times[0] - MIDNIGHT_TT_S < PERIOD_S
    assert (
        times.tolist() == [seconds(data) for data in of(packets, 322)] == [seconds(data) for data in of(packets, 326)]
    )


def test_checksums_are_byte_sums_from_byte_12(packets: list[tuple[int, int, bytes]]) -> None:
    for _, _, data in packets[::37]:
        assert sum(data[12:-2]) % 65536 == struct.unpack_from(">H", data, len(data) - 2)[0]


def test_headers_count_and_carry_the_settings(packets: list[tuple[int, int, bytes]]) -> None:
    for apid, number in ((320, 1), (321, 2), (322, 3)):
        counts = [count for found, count, _ in packets if found == apid]
        assert np.unique(np.diff(counts) % 16384).tolist() == [1]
        flags, species, table, cycle, status = struct.unpack_from(">BBHHB", of(packets, apid)[1], 12)
        assert (flags, species, table) == (0x92, number, 1)
        assert cycle == struct.unpack_from(">H", of(packets, apid)[0], 16)[0] + 1
        assert status >> 4 & 1 == 1  # high voltage
        assert status >> 6 in (1, 2)


def test_the_beam_is_where_the_truth_says(out: Path, packets: list[tuple[int, int, bytes]]) -> None:
    with (out / "truth" / f"spani_{DAY:%Y%m%d}.csv").open(encoding="utf-8") as file:
        truth = list(csv.DictReader(file))
    h = of(packets, 320)
    assert len(truth) == len(h)
    codes = np.array([np.frombuffer(data, np.uint8, 4096, 20) for data in h[:100]]).reshape(-1, 16, 32, 8).sum(axis=0)
    row = truth[50]
    v = np.array([float(row[f"velocity_{axis}_km_s"]) for axis in "xyz"])
    energy = 0.5 * 1.67262e-27 * (v @ v) * 1e6 / 1.602177e-19
    ladder = 20000 * (1e-4) ** (np.arange(32) / 31)
    step = int(np.argmax(codes.sum(axis=(0, 2))))
    assert abs(np.log(ladder[step] / energy)) < 0.2
    azimuth = np.rad2deg(np.arctan2(-v[1], -v[0])) % 360
    anode = float((codes.sum(axis=(1, 2)) * (np.arange(16) * 11.25 + 5.625)).sum() / codes.sum())
    assert abs(anode - azimuth) < 4
    assert struct.unpack_from(">B", h[50], 19)[0] in (step - 1, step, step + 1)


def test_expected_counts_of_a_beam_are_the_flux_through_the_aperture() -> None:
    """Counts of a narrow beam well inside: n V times what a cell is sensitive to, 3.04e-4 / 2 pi / (d ln E d sin)."""
    proton = ANALYSER.species[0]
    rows = 400
    flow = np.array([-400 * np.cos(np.deg2rad(50.6)), -400 * np.sin(np.deg2rad(50.6)), 0.0])
    wind = Wind(np.full(rows, 5.0), np.tile(flow, (rows, 1)), np.full(rows, 2.0))
    events = draw_events(ANALYSER, proton, wind, np.full(rows, LIVE_S), np.random.default_rng(1))
    per_sr = 3.04e-4 / (2 * np.pi) / (np.log(1e4) / 31) / np.sin(np.deg2rad(11.25))
    expected = 5 * 400e5 * per_sr * LIVE_S  # the two cells on either side of the plane share the beam
    assert events.sum() / rows == pytest.approx(expected, rel=0.02)
    assert events.sum(axis=(1, 2, 3)).var() == pytest.approx(expected, rel=0.25)


def test_species_leak_and_dead_time_takes_its_part() -> None:
    shape = (200, 16, 32, 8)
    h = np.zeros(shape, np.int64)
    h[:, 3, 20, 4] = 3000
    none = np.zeros(shape, np.int64)
    found = counted(ANALYSER, [h, none, none], np.full(200, LIVE_S), np.random.default_rng(2))
    live = 1 / (1 + 3000 / LIVE_S * 500e-9)
    sums = [counts.sum() / 200 for counts in found]
    assert sums[0] == pytest.approx(3000 * 0.988 * live, rel=0.003)
    assert sums[1] == pytest.approx(3000 * 0.01 * live, rel=0.05)
    assert sums[2] == pytest.approx(3000 * 0.002 * live, rel=0.12)


def test_ions_fall_into_the_cell_that_looks_at_them() -> None:
    proton = Species("h", 1, 1.67262e-27, 1)
    velocity = np.array([[-437.7, 0.0, 0.0], [0.0, -437.7, 0.0], [437.7, 0.0, 0.0], [0.0, 100.0, 5000.0]])
    cell, inside = cells_of(ANALYSER, proton, velocity, np.linalg.norm(velocity, axis=1))
    assert inside.tolist() == [True, True, True, False]
    azimuth, energy, deflection = np.unravel_index(cell[:3], ANALYSER.shape)
    assert azimuth.tolist() == [0, 8, 13]  # looking at 0, 90 and 180 deg
    assert energy.tolist() == [21] * 3  # 1 keV between 864 and 1163 eV
    assert deflection.tolist() == [4] * 3


@pytest.mark.parametrize(
    ("count", "code"),
    [(0, 0), (15, 15), (31, 31), (32, 32), (33, 32), (1216, 0x73), (1279, 0x73), (1280, 0x74), (600_000, 255)],
)
def test_codes_round_down(count: int, code: int) -> None:
    assert compress(np.array([count])).tolist() == [code]


def test_same_seed_gives_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    made = [
        spani.simulate_day(MISSION, SPANI, DAY, tmp_path / name, seed=seed, hours=0.02).files[0].read_bytes()
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    ]
    assert made[0] == made[1]
    assert made[0] != made[2]


def test_file_names_follow_the_mission(simulated: Simulated) -> None:
    for path in simulated.files:
        parsed = parse_name(MISSION.names, path.name, datetime(2027, 1, 1, tzinfo=UTC))
        assert parsed.instrument == "spani"
        assert parsed.level == "l0"


def test_faults_and_hours_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="hours 0"):
        spani.simulate_day(MISSION, SPANI, DAY, tmp_path, seed=1, hours=0)
    with pytest.raises(ConfigurationError, match="valid time of hermes"):
        spani.simulate_day(MISSION, SPANI, date(1999, 1, 1), tmp_path, seed=1)
    fault = Fault(kind="gap", stream="photon", start="00:01:00", stop="00:02:00")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="Use spani"):
        spani.simulate_day(MISSION, SPANI, DAY, tmp_path, seed=1, hours=0.1, faults=(fault,))
