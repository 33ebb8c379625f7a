# SPDX-License-Identifier: Apache-2.0
"""EEA's formulas against numbers worked out by hand, by scipy's integrals, and by ccsdspy; one value for each."""

from __future__ import annotations

import io
import warnings

import numpy as np
import polars as pl
import pytest
from scipy import constants, integrate
from scipy.special import erf

from lake.config import CHECKOUT
from simulate.hermes.eea_sweeps import Electrons, expected_counts, read_analyser
from tests.hermes_eea import (
    DAY,
    EEA,
    REAL_FILE,
    SHAPE,
    TABLES,
    calibrations,
    cells,
    counts_frame,
    flux_frame,
    flux_of,
    maxwellian_flux,
    moments_of,
)
from tests.shared_data import telemetry_folder
from transforms import moments, physics

pytestmark = pytest.mark.oracle

RESPONSE = 3.0e-4 * 6.0e-3  # cm2 sr eV/eV times s


def test_the_electron_mass_in_ev_s2_per_cm2():
    assert pytest.approx(5.685630e-16, rel=1e-6) == physics.ELECTRON_MASS
    # m c2 = 510,998.95 eV
    assert physics.ELECTRON_MASS * (constants.c * 100) ** 2 == pytest.approx(510_998.95, rel=1e-8)
    assert pytest.approx(1.043968e-12, rel=1e-6) == physics.PROTON_MASS


def test_speed_of_electrons_by_hand():
    # 593.1 km/s at 1 eV, the text-book value.
    assert physics.speed(1.0, physics.ELECTRON_MASS) / 1e5 == pytest.approx(593.1, rel=1e-4)


def test_phase_space_density_to_flux_by_hand():
    # Maxwellian of 5 cm-3 and 10 eV at 20 eV: f = 5 (m / 2 pi 10)^1.5 e^-2 = 1.8419e-26; J_E = f E^2 / (m^2 / 2).
    f = 5 * (5.685630e-16 / (2 * np.pi * 10)) ** 1.5 * np.exp(-2.0)
    assert f * 400 / 1.616319e-31 == pytest.approx(4.558e7, rel=2e-4)
    assert physics.phase_space_density(4.558e7, 20.0, physics.ELECTRON_MASS) == pytest.approx(f, rel=2e-4)


@pytest.mark.parametrize(("energy", "counts"), [(5, 23.0), (10, 55.8), (20, 82.05), (40, 44.4), (80, 3.25)])
def test_counts_of_a_maxwellian_in_a_step_are_the_known_ones(energy: float, counts: float):
    """The same values by the simulator's forward model, between the energies next to them."""
    electrons = Electrons(np.array([5.0]), np.array([10.0]), np.zeros((1, 3)))
    analyser = read_analyser(EEA, DAY)
    expected = expected_counts(analyser, electrons, 0.0)[0, :41, 0]
    # ln(counts / E^2) = constant - E / T is a straight line in E.
    ladder = analyser.energy_ev[:41]
    found = np.exp(np.interp(energy, ladder[:25], np.log(expected[:25] / ladder[:25] ** 2))) * energy**2
    assert found == pytest.approx(counts, rel=2e-3)


def test_flux_of_the_known_counts_is_the_known_flux():
    rows = flux_of(counts_frame(np.full((1, *SHAPE), 82, np.int64)))
    # 82.05 counts are 4.558e7; dead time adds 82 * 100 ns / 6 ms = 0.14 percent.
    assert cells(rows, "energy_flux")[0, 0, 0, 0] == pytest.approx(4.558e7 * 82 / 82.05 * 1.00137, rel=2e-4)


def test_dead_time_by_hand():
    assert physics.without_dead_time(np.array([2.5e6]), 100e-9)[0] == pytest.approx(2.5e6 / 0.75)


def test_density_of_a_maxwellian_by_the_integral_of_scipy():
    """Counts over all energies of one look direction, by quadrature, against the sum over the analyser's cells."""
    mass, temperature = physics.ELECTRON_MASS, 10.0

    def per_energy(energy: float) -> float:
        f = 5 * (mass / (2 * np.pi * temperature)) ** 1.5 * np.exp(-energy / temperature)
        return float(4 * np.pi * f * np.sqrt(2 * energy / mass) / mass)

    whole, _ = integrate.quad(per_energy, 0, 500)
    assert whole == pytest.approx(5, rel=1e-6)
    rows = moments_of(flux_frame(maxwellian_flux(5, 10)[None]))
    assert rows["density_cm3"][0] == pytest.approx(whole, rel=5e-4)
    # Below 1.984 eV, the lower border of the first cell.
    x = 1.984086044 / temperature
    under = erf(np.sqrt(x)) - 2 / np.sqrt(np.pi) * np.sqrt(x) * np.exp(-x)
    assert rows["extrapolated_fraction"][0] == pytest.approx(under, rel=2e-3)


def test_the_seen_part_of_the_sky_by_hand():
    table = TABLES["l2_flux"]
    angles = [
        np.array([np.subtract(a.values, a.minus), a.values, np.add(a.values, a.plus)]).T
        for a in (table.axis("deflection"), table.axis("azimuth"))
    ]
    seen = moments.cells([10], [9], [11], *angles)
    assert seen.coverage == pytest.approx(np.sin(np.pi / 8), rel=1e-12)
    # Integrals of x^2, z^2, x^2 y^2 and x^2 z^2 over the ring, s = sin 22.5 degrees.
    s = np.sin(np.pi / 8)
    first = 2 * np.pi * (s - s**3 / 3), 4 / 3 * np.pi * s**3
    second = np.pi / 4 * 2 * (s - 2 * s**3 / 3 + s**5 / 5), np.pi * 2 * (s**3 / 3 - s**5 / 5)
    expected = [1 / s, *(4 * np.pi / 3 / v for v in first), *(4 * np.pi / 15 / v for v in second)]
    # The cells are seen from their centres: sin^2 of 5.6 and 16.9 degrees is 6 percent less than its mean over them.
    np.testing.assert_allclose(moments.whole_sky(seen)[[0, 1, 3, 7, 8]], expected, rtol=0.06)
    np.testing.assert_allclose(moments.whole_sky(seen)[[1, 7]], [expected[1], expected[3]], rtol=0.006)


def test_the_energies_are_two_geometric_ladders():
    energy = calibrations("energy")["energy"].frame
    low = 2.18 * (200.2 / 2.18) ** (np.arange(25) / 24)
    high = 239.8 * (16380 / 239.8) ** (np.arange(16) / 15)
    np.testing.assert_allclose(energy["energy_ev"], [*low, *high], rtol=1e-8)
    borders = np.sqrt(energy["energy_ev"][1:].to_numpy() * energy["energy_ev"][:-1].to_numpy())
    np.testing.assert_allclose((energy["energy_ev"] + energy["plus_ev"])[:-1], borders, rtol=1e-8)
    np.testing.assert_allclose((energy["energy_ev"] - energy["minus_ev"])[1:], borders, rtol=1e-8)
    ratio = ((energy["energy_ev"] + energy["plus_ev"]) / (energy["energy_ev"] - energy["minus_ev"])).log()
    assert (ratio[0], ratio[40]) == pytest.approx((0.188, 0.2816), abs=5e-4)


def test_the_stepper_table_is_the_flight_stepper():
    lines = (telemetry_folder("hermes", "eea") / "flight_stepper.txt").read_text().split()
    words = [[int(line[a:b], 16) for a, b in ((0, 4), (4, 8), (8, 10), (10, 12), (12, 16))] for line in lines]
    assert calibrations("stepper")["stepper"].frame.rows() == [(step, *row) for step, row in enumerate(words)]


def test_ccsdspy_reads_the_packet_definition_and_finds_the_same_sums():
    file = (telemetry_folder("hermes", "eea") / REAL_FILE).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ccsdspy  # noqa: PLC0415

        path = CHECKOUT / "missions" / "hermes" / "eea" / "packets" / "sci.csv"
        found = ccsdspy.FixedLength.from_file(str(path)).load(io.BytesIO(file))
    assert found["accum"].shape == (3051, 34)
    assert [int(found[name].sum()) for name in ("accum", "counter1", "counter2")] == [391, 433, 425]
    assert pl.Series(found["step"].astype(np.int64)).n_unique() == 164
