# SPDX-License-Identifier: Apache-2.0
"""Moments of top-hat analysers of any species: beams, Maxwellians, potentials and fields of view."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate
from scipy.spatial.transform import Rotation

from transforms.moments import Cells, Moments, cells, moments, sums, weights, whole_sky
from transforms.moments_below import SlopeRules, below, rises, slope, sums_below
from transforms.physics import ATOMIC_MASS, ELECTRON_MASS, PROTON_MASS, phase_space_density, speed


def borders(centre: NDArray[np.float64], half: float) -> NDArray[np.float64]:
    return np.stack([centre - half, centre, centre + half], axis=1)


def analyser(low: float, high: float, energies: int, elevation: float = 90.0, rings: int = 36) -> Cells:
    """Energies on one ladder; rings of 10 deg azimuth over elevations up to +-`elevation`."""
    energy = np.geomspace(low, high, energies)
    half = np.sqrt(energy[1] / energy[0])
    width = 2 * elevation / rings
    deflection = borders(-elevation + width * (np.arange(rings) + 0.5), width / 2)
    return cells(energy, energy / half, energy * half, deflection, borders(5.0 + 10 * np.arange(36), 5.0))


def drifting(
    seen: Cells, mass: float, density: float, temperature: float, velocity: tuple[float, ...], shift_ev: float = 0.0
) -> NDArray[np.float64]:
    """Flux [1, e, d, a] of a drifting Maxwellian whose particles have `shift_ev` more energy than the analyser sees."""
    energy = seen.energy_ev[:, None, None]
    v = np.sqrt(2 * np.maximum(energy + shift_ev, 0) / mass)[..., None] * seen.flow
    away = ((v - np.array(velocity) * 1e5) ** 2).sum(axis=-1)
    f = density * (mass / (2 * np.pi * temperature)) ** 1.5 * np.exp(-mass * away / (2 * temperature))
    return np.where(energy + shift_ev > 0, 2 * f * energy**2 / mass**2, 0)[None]


def test_the_whole_sky_is_four_pi():
    seen = analyser(10, 100, 5)
    assert seen.solid_angle.sum() == pytest.approx(4 * np.pi)
    assert seen.coverage == pytest.approx(1)


def test_a_ring_of_22_5_degrees_covers_38_percent():
    assert analyser(10, 100, 5, 22.5, 4).coverage == pytest.approx(np.sin(np.deg2rad(22.5)))


def test_a_particle_flies_against_the_look_direction():
    seen = cells([10], [9], [11], [[-1, 0, 1]], [[-1, 0, 1], [89, 90, 91]])
    np.testing.assert_allclose(seen.flow[0], [[-1, 0, 0], [0, -1, 0]], atol=1e-15)


@pytest.mark.parametrize("mass", [PROTON_MASS, 4 * ATOMIC_MASS, 16 * ATOMIC_MASS])
def test_a_drifting_maxwellian_is_recovered_where_the_whole_sky_is_seen(mass: float):
    seen = analyser(20, 40_000, 120)
    velocity = (-400.0, 30.0, -15.0)
    # The thermal speed is 98 km/s, more than a cell of 10 degrees is wide at 400 km/s.
    temperature = 100 * mass / PROTON_MASS
    found = moments(sums(drifting(seen, mass, 5.0, temperature, velocity), weights(seen, mass)), mass)
    assert found.density_cm3[0] == pytest.approx(5.0, rel=0.005)
    np.testing.assert_allclose(found.velocity_km_s[0], velocity, rtol=0.01)
    assert found.temperature_ev[0] == pytest.approx(temperature, rel=0.01)


def test_the_tensor_has_the_temperature_of_each_axis():
    seen = analyser(0.05, 2000, 80)
    v = speed(seen.energy_ev, ELECTRON_MASS)[:, None, None, None] * seen.flow
    temperature = np.array([10.0, 20.0, 30.0])
    f = 3 * np.prod(np.sqrt(ELECTRON_MASS / (2 * np.pi * temperature)))
    f = f * np.exp(-(ELECTRON_MASS * v**2 / (2 * temperature)).sum(axis=-1))
    flux = (2 * f * seen.energy_ev[:, None, None] ** 2 / ELECTRON_MASS**2)[None]
    found = moments(sums(flux, weights(seen, ELECTRON_MASS)), ELECTRON_MASS)
    np.testing.assert_allclose(found.temperature_tensor_ev[0], [10, 20, 30, 0, 0, 0], rtol=0.01, atol=0.01)
    assert found.temperature_ev[0] == pytest.approx(20, rel=0.01)


RULES = SlopeRules(cells=5, sigmas=2.0, limit=10.0)
MANY = 1e6  # counts in each energy


def extended(seen: Cells, flux: NDArray[np.float64], potential_v: float = 0.0, counts: float = MANY) -> Moments:
    """Moments of electrons, with what is below the lowest energy, and the part of the density that is there."""
    under = below(seen, ELECTRON_MASS, -1, potential_v, RULES)
    mean = flux[:, under.lowest :][:, : len(under.energy_ev)].mean(axis=(2, 3))
    factor, _ = rises(under, slope(under, mean, np.full(mean.shape, counts))[0])
    more = sums_below(under, flux[:, under.lowest], factor)
    sky = whole_sky(seen) if seen.coverage < 0.99 else 1
    return moments((sums(flux, weights(seen, ELECTRON_MASS, -1, potential_v)) + more) * sky, ELECTRON_MASS)


@pytest.mark.parametrize("potential", [-5.0, 3.0, 10.0])
def test_a_known_potential_is_taken_off_electrons(potential: float):
    """At -5 V electrons of less than 5 eV are turned away; the others tell how many they are."""
    seen = analyser(1, 2000, 80)
    found = extended(seen, drifting(seen, ELECTRON_MASS, 5.0, 30.0, (0, 0, 0), -potential), potential)
    assert found.density_cm3[0] == pytest.approx(5.0, rel=0.002)
    assert found.temperature_ev[0] == pytest.approx(30.0, rel=0.002)


@pytest.mark.parametrize("temperature", [10.0, 5.0, 3.0, 2.0])
def test_a_cold_plasma_is_extended_below_the_lowest_energy(temperature: float):
    seen = analyser(2.18, 2000, 40)
    found = extended(seen, drifting(seen, ELECTRON_MASS, 5.0, temperature, (0, 0, 0)))
    assert found.density_cm3[0] == pytest.approx(5.0, rel=0.005)
    assert found.temperature_ev[0] == pytest.approx(temperature, rel=0.005)


def test_the_slope_is_that_of_a_maxwellian_and_its_sigma_that_of_the_counts():
    under = below(analyser(2.18, 2000, 40), ELECTRON_MASS, -1, 0.0, RULES)
    random, counts = np.random.default_rng(2), 4000 * np.exp(-under.energy_ev / 4) * under.energy_ev**2
    drawn = random.poisson(counts, (4000, 5))
    rise, sigma, _ = slope(under, drawn.astype(np.float64), drawn.astype(np.float64))
    assert rise.mean() == pytest.approx(1 / 4, rel=0.01)
    assert sigma.mean() == pytest.approx(rise.std(), rel=0.05)


def test_a_slope_in_the_noise_is_none_and_a_steep_one_is_limited():
    under = below(analyser(2.18, 2000, 40), ELECTRON_MASS, -1, 0.0, RULES)
    flux = np.exp(-under.energy_ev / 4)[None] * under.energy_ev**2
    assert slope(under, flux, np.full((1, 5), 2.0))[0].tolist() == [0]
    assert slope(under, np.zeros((1, 5)), np.zeros((1, 5)))[0].tolist() == [0]
    falling = np.exp(under.energy_ev / 4)[None] * under.energy_ev**2
    assert slope(under, falling, np.full((1, 5), MANY))[0].tolist() == [0]
    steep = np.exp(-under.energy_ev / 0.5)[None] * under.energy_ev**2
    assert slope(under, steep, np.full((1, 5), MANY))[0] == pytest.approx(np.log(10) / 2.18)


def test_the_rise_below_by_the_integral_of_scipy():
    under = below(analyser(2.18, 2000, 40), ELECTRON_MASS, -1, 0.0, RULES)
    found, change = rises(under, np.array([0.9]))

    def more(order: int, rise: float) -> float:
        def f(t: float) -> float:
            return (order + 3) * t ** (order + 2) * np.exp(rise * (2.18 - under.border_ev * t**2))

        return float(integrate.quad(f, 0, 1)[0])

    np.testing.assert_allclose(found[0], [more(k, 0.9) for k in range(3)], rtol=1e-6)
    np.testing.assert_allclose(change[0], [(more(k, 0.901) - more(k, 0.899)) / 2e-3 for k in range(3)], rtol=1e-5)


def test_a_known_potential_is_given_back_to_ions_by_their_charge():
    seen = analyser(20, 40_000, 120)
    flux = drifting(seen, 4 * ATOMIC_MASS, 0.2, 400.0, (-400, 0, 0), 2 * 10.0)
    found = moments(sums(flux, weights(seen, 4 * ATOMIC_MASS, 2, 10.0)), 4 * ATOMIC_MASS)
    assert found.velocity_km_s[0, 0] == pytest.approx(-400, rel=0.005)
    assert found.density_cm3[0] == pytest.approx(0.2, rel=0.01)


def test_what_a_ring_sees_stands_for_the_sky():
    ring = analyser(0.5, 2000, 60, 22.5, 8)
    flux = drifting(ring, ELECTRON_MASS, 5.0, 10.0, (100, -50, 80))
    found = extended(ring, flux)
    assert found.density_cm3[0] == pytest.approx(5.0, rel=0.01)
    np.testing.assert_allclose(found.velocity_km_s[0], [100, -50, 80], rtol=0.02)
    np.testing.assert_allclose(found.temperature_tensor_ev[0], [10, 10, 10, 0, 0, 0], rtol=0.02, atol=0.05)


def test_each_element_of_the_tensor_is_that_of_its_two_axes():
    """Axes of 10, 20 and 30 eV turned by 30, 40 and 50 degrees, so that xy, xz and yz are all different."""
    seen = analyser(0.05, 3000, 90)
    turned = Rotation.from_euler("ZYX", [30, 40, 50], degrees=True).as_matrix()
    wanted = turned @ np.diag([10.0, 20.0, 30.0]) @ turned.T
    v = speed(seen.energy_ev, ELECTRON_MASS)[:, None, None, None] * seen.flow
    f = 3 * np.sqrt(np.linalg.det(ELECTRON_MASS / (2 * np.pi) * np.linalg.inv(wanted)))
    f = f * np.exp(-ELECTRON_MASS / 2 * np.einsum("...i,ij,...j->...", v, np.linalg.inv(wanted), v))
    flux = (2 * f * seen.energy_ev[:, None, None] ** 2 / ELECTRON_MASS**2)[None]
    found = moments(sums(flux, weights(seen, ELECTRON_MASS)), ELECTRON_MASS).temperature_tensor_ev[0]
    xy, xz, yz = wanted[0, 1], wanted[0, 2], wanted[1, 2]
    assert min(abs(xy - xz), abs(xz - yz), abs(xy - yz)) > 1
    np.testing.assert_allclose(found, [*np.diag(wanted), xy, xz, yz], rtol=0.01, atol=0.02)


def test_a_field_of_view_of_the_whole_sky_needs_no_factor():
    # The smooth integrals over 10 degree cells depart from the exact ones by a little.
    np.testing.assert_allclose(whole_sky(analyser(10, 100, 5)), np.ones(10), rtol=0.01)


def test_a_sweep_gives_the_same_bits_wherever_it_stands():
    seen = analyser(1, 1000, 41, 22.5, 4)
    factors = weights(seen, ELECTRON_MASS)
    flux = np.random.default_rng(5).random((300, *factors.shape[1:])).astype(np.float32)
    together = sums(flux, factors)
    assert np.array_equal(sums(flux[17:18], factors)[0], together[17])
    assert np.array_equal(sums(flux[:50], factors), together[:50])


def test_no_flux_is_no_plasma_and_no_warning():
    seen = analyser(1, 1000, 10)
    found = moments(sums(np.zeros((1, 10, 36, 36)), weights(seen, ELECTRON_MASS)), ELECTRON_MASS)
    assert np.isnan([found.density_cm3[0], found.temperature_ev[0], *found.velocity_km_s[0]]).all()


def test_phase_space_density_by_hand():
    # m2/2 = 1.616319e-31 for electrons; 1e8 at 100 eV.
    assert phase_space_density(1e8, 100.0, ELECTRON_MASS) == pytest.approx(1.616319e-31 * 1e8 / 1e4, rel=1e-6)
