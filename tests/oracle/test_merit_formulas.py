# SPDX-License-Identifier: Apache-2.0
"""One value of each MERiT formula, by hand or by another library."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad

from simulate.hermes.merit import simulate_day
from simulate.hermes.merit_response import power_law_integral
from tests.hermes_merit import BINS, DAY, HERMES, MERIT, calibration, edges
from transforms.hermes.merit_flux import Rates, bin_mean, count_rates, without_leakage

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module")
def packets(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The packets of a simulated minute, split with struct alone."""
    out = tmp_path_factory.mktemp("minute")
    simulate_day(HERMES, MERIT, DAY, out, seed=3, hours=1 / 60)
    data, found = next(Path(out).glob("*.bin")).read_bytes(), []
    while data:
        size = struct.unpack_from(">H", data, 4)[0] + 7
        found.append(data[:size])
        data = data[size:]
    assert len(found) == 120
    return found


def fletcher(octets: bytes) -> int:
    """Fletcher's checksum modulo 255, byte by byte (Fletcher 1982)."""
    a = b = 0
    for octet in octets:
        a = (a + octet) % 255
        b = (b + a) % 255
    return b << 8 | a


def test_the_checksum_of_each_packet_by_a_plain_loop(packets: list[bytes]) -> None:
    assert fletcher(b"abcde") == 0xC8F0  # the usual test value
    assert {len(p) for p in packets[::2]} == {154}
    for packet in packets:
        assert struct.unpack(">H", packet[-2:])[0] == fletcher(packet[12:-2])


def test_the_clock_of_a_packet_counts_from_j2000(packets: list[bytes]) -> None:
    seconds, ticks = struct.unpack_from(">IH", packets[0], 6)
    # J2000 is 2000-01-01T11:58:55.816 UTC; five leap seconds until 2017, none since.
    elapsed = timedelta(seconds=seconds - 5, microseconds=ticks / 65_536 * 1e6)
    utc = datetime(2000, 1, 1, 11, 58, 55, 816_000, tzinfo=UTC) + elapsed
    assert abs(utc - datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)) < timedelta(microseconds=16)


@pytest.mark.parametrize("index", [0.7, 1.0, 1.000001, 2.5, 5.0])
def test_the_mean_over_a_bin_is_the_integral_over_its_width(index: float) -> None:
    for species in ("proton", "electron"):
        energy, low, high = edges(species)
        ours = bin_mean(np.full(len(energy), index), energy, (low, high))
        for i in (0, 5, len(energy) - 1):
            integral = quad(lambda e, i=i, energy=energy: (e / energy[i]) ** -index, low[i], high[i])[0]
            assert ours[i] == pytest.approx(integral / (high[i] - low[i]), rel=1e-9)


@pytest.mark.parametrize("index", [1.0, 1.000001, 2.5, 3.0])
def test_the_simulated_flux_in_a_bin_is_the_integral_of_the_power_law(index: float) -> None:
    _, low, high = edges("proton")
    ours = power_law_integral(np.array([100.0]), np.array([index]), 10.0, low, high)[0]
    for i in range(len(low)):
        assert ours[i] == pytest.approx(quad(lambda e: 100 * (e / 10) ** -index, low[i], high[i])[0], rel=1e-9)


def test_the_integral_flux_above_1_mev_by_hand() -> None:
    """Integral of 100 (E/10)^-2.5 from 1 to 190 MeV: (1000 / 1.5) (0.1^-1.5 - 19^-1.5) = 21073.8."""
    _, low, high = edges("proton")
    total = power_law_integral(np.array([100.0]), np.array([2.5]), 10.0, low, high).sum()
    assert total == pytest.approx(21_073.8, rel=1e-5)


def test_the_dead_time_by_hand() -> None:
    """7200 counts in 0.9 s are 8000/s; 90000 triggers are 100000/s, a dead part of 0.2: 8000 / 0.8 = 10000/s."""
    rates = count_rates(
        np.array([[[7200.0]]]), np.array([[0.9]]), np.array([[90_000.0]]), np.array([2e-6]), np.array([0.9])
    )
    assert rates.dead_fraction[0, 0] == pytest.approx(0.2)
    assert rates.rate[0, 0, 0] == pytest.approx(10_000)
    assert rates.sigma[0, 0, 0] == pytest.approx(np.sqrt(7200) / 0.9 / 0.8)


def test_the_inverse_of_leakage_of_three_bins() -> None:
    leakage = np.array([[0.97, 0.02, 0.01], [0.03, 0.96, 0.02], [0.0, 0.02, 0.97]])
    measured, sigma = np.array([100.0, 50.0, 20.0]), np.array([10.0, 7.0, 4.0])
    rate, error = without_leakage(Rates(measured[None, None], sigma[None, None], np.zeros((1, 1))), leakage)
    np.testing.assert_allclose(rate[0, 0], np.linalg.solve(leakage, measured), rtol=1e-12)
    # Errors of measured bins add in squares, each carried through the same equations.
    carried = [np.linalg.solve(leakage, np.where(np.arange(3) == i, sigma, 0)) for i in range(3)]
    np.testing.assert_allclose(error[0, 0], np.sqrt(np.sum(np.square(carried), axis=0)), rtol=1e-12)


@pytest.mark.parametrize(
    ("species", "start", "stop", "bins", "ratio"), [("proton", 1, 190, 20, 1.29998), ("electron", 0.3, 9, 11, 1.3624)]
)
def test_edges_are_evenly_spaced_in_log_energy(
    species: str, start: float, stop: float, bins: int, ratio: float
) -> None:
    energy, low, high = edges(species)
    expected = np.geomspace(start, stop, bins + 1)
    np.testing.assert_allclose(low, expected[:-1], rtol=1e-8)
    np.testing.assert_allclose(high, expected[1:], rtol=1e-8)
    np.testing.assert_allclose(energy, np.sqrt(expected[:-1] * expected[1:]), rtol=1e-8)
    assert high[0] / low[0] == pytest.approx(ratio, rel=1e-4)


def test_leakage_loses_no_particle() -> None:
    rows = calibration("leakage").frame
    sums = np.bincount(rows["true_bin"].to_numpy(), rows["fraction"].to_numpy(), BINS)
    np.testing.assert_allclose(sums, 1, rtol=1e-12)
