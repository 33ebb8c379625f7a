# SPDX-License-Identifier: Apache-2.0
"""Moments of top-hat analysers of any species: beams, Maxwellians, potentials and fields of view."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from transforms.moments import Cells, cells, moments, sums, weights, whole_sky
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


@pytest.mark.parametrize("potential", [-5.0, 10.0])
def test_a_known_potential_is_taken_off_electrons(potential: float):
    seen = analyser(1, 2000, 80)
    flux = drifting(seen, ELECTRON_MASS, 5.0, 30.0, (0, 0, 0), -potential)
    found = moments(sums(flux, weights(seen, ELECTRON_MASS, -1, potential, extend_to_zero=True)), ELECTRON_MASS)
    # At -5 V electrons of less than 5 eV are turned away; what is left is extended.
    assert found.density_cm3[0] == pytest.approx(5.0, rel=0.01 if potential > 0 else 0.03)
    assert found.temperature_ev[0] == pytest.approx(30.0, rel=0.01 if potential > 0 else 0.03)


def test_a_known_potential_is_given_back_to_ions_by_their_charge():
    seen = analyser(20, 40_000, 120)
    flux = drifting(seen, 4 * ATOMIC_MASS, 0.2, 400.0, (-400, 0, 0), 2 * 10.0)
    found = moments(sums(flux, weights(seen, 4 * ATOMIC_MASS, 2, 10.0)), 4 * ATOMIC_MASS)
    assert found.velocity_km_s[0, 0] == pytest.approx(-400, rel=0.005)
    assert found.density_cm3[0] == pytest.approx(0.2, rel=0.01)


def test_what_a_ring_sees_stands_for_the_sky():
    ring = analyser(0.5, 2000, 60, 22.5, 8)
    flux = drifting(ring, ELECTRON_MASS, 5.0, 10.0, (100, -50, 80))
    seen = sums(flux, weights(ring, ELECTRON_MASS, extend_to_zero=True))
    assert seen[0, 0] == pytest.approx(5 * ring.coverage, rel=0.01)
    found = moments(seen * whole_sky(ring), ELECTRON_MASS)
    assert found.density_cm3[0] == pytest.approx(5.0, rel=0.01)
    np.testing.assert_allclose(found.velocity_km_s[0], [100, -50, 80], rtol=0.02)
    np.testing.assert_allclose(found.temperature_tensor_ev[0], [10, 10, 10, 0, 0, 0], rtol=0.02, atol=0.05)


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
