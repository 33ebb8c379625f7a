# SPDX-License-Identifier: Apache-2.0
"""SPAN-I's formulas against values worked out by hand or by another library, one for each formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import constants
from scipy.integrate import quad, tplquad

from tests.hermes_spani import SPANI, TABLES, calibration
from transforms.hermes.spani_counts import code_table, code_uncertainty, middle
from transforms.hermes.spani_direction import centre, mean_of, parts_between
from transforms.hermes.spani_fit import energy_bins, spectrum
from transforms.hermes.spani_flux import flux_of, leakage_matrix, timing_of
from transforms.physics import ATOMIC_MASS, speed

PROTON_U = 1.007276466621


def decompressed(code: int) -> int:
    """The fact sheet's rule in words: four bits behind a leading one, moved up; the first 32 codes are themselves."""
    exponent, mantissa = divmod(code, 16)
    if exponent == 0:
        return mantissa
    value = 16 + mantissa
    for _ in range(exponent - 1):
        value *= 2
    return value


def test_all_256_codes_are_decompressed() -> None:
    values, width = code_table()
    assert values.tolist() == [decompressed(code) for code in range(256)]
    assert values[255] == 507_904
    assert (values[:-1] + width[:-1]).tolist() == values[1:].tolist()  # each code ends where the next begins


def test_the_uncertainty_of_a_code_by_hand() -> None:
    # 0x15 = 21 exactly; 0x2F stands for 62 and 63; 0xFF for 16384 counts from 507,904 on.
    sigma = code_uncertainty()
    assert sigma[0] == 0
    assert sigma[0x15] == pytest.approx(math.sqrt(21))
    assert sigma[0x2F] == pytest.approx(math.sqrt(62 + 4 / 12), rel=1e-6)
    assert sigma[0xFF] == pytest.approx(math.sqrt(507_904 + 16_384**2 / 12), rel=1e-6)


def test_the_middle_of_a_code_is_half_way_to_the_next() -> None:
    values, width = code_table()
    np.testing.assert_array_equal(middle(values.astype(float)), values + (width - 1) / 2)
    assert math.isnan(middle(np.array([math.nan]))[0])


def test_a_proton_of_1_kev_flies_at_437_7_km_per_s() -> None:
    assert speed(1000.0, PROTON_U * ATOMIC_MASS) / 1e5 == pytest.approx(437.7, abs=0.05)
    by_hand = math.sqrt(2 * 1000 * constants.e / (PROTON_U * constants.atomic_mass)) / 1e3
    assert speed(1000.0, PROTON_U * ATOMIC_MASS) / 1e5 == pytest.approx(by_hand, rel=1e-9)


def test_alphas_of_the_same_speed_have_twice_the_energy_per_charge() -> None:
    bins = {
        z: energy_bins(np.array([1000.0]), np.array([1000.1]), m * ATOMIC_MASS, z)
        for z, m in ((1, PROTON_U), (2, 4.001506))
    }
    ratio = (bins[1].speed / bins[2].speed) ** 2
    assert ratio.mean() == pytest.approx(4.001506 / 2 / PROTON_U, rel=1e-6)


def test_the_ladder_of_energies_and_the_width_of_its_bins() -> None:
    energy = np.array(TABLES["l1_counts"].axis("energy").values)
    assert energy[[0, -1]].tolist() == pytest.approx([2, 20_000])
    assert (energy[:-1] / energy[1:]).tolist() == pytest.approx([0.74296] * 31, abs=5e-6)
    axis = TABLES["l1_counts"].axis("energy")
    relative = (np.array(axis.minus) + np.array(axis.plus)) / energy
    assert relative.tolist() == pytest.approx([0.2985] * 32, abs=5e-4)


def test_angles_cover_the_field_of_view() -> None:
    azimuth, deflection = TABLES["l1_counts"].axis("azimuth"), TABLES["l1_counts"].axis("deflection")
    assert sum(azimuth.minus) + sum(azimuth.plus) == pytest.approx(247.5)
    assert deflection.values[0] - deflection.minus[0] == -45
    assert deflection.values == tuple(-39.375 + 11.25 * i for i in range(8))


def test_times_of_a_sweep_and_of_a_cell() -> None:
    timing = timing_of(calibration("timing"))
    assert 4 * timing.sweep_s == pytest.approx(2**24 / 19.2e6, rel=1e-9)
    assert 4 * timing.sweep_s == pytest.approx(0.87381, abs=1e-5)
    assert 4 * timing.step_s == pytest.approx(3.072e-3, rel=1e-9)


def test_energy_flux_of_100_protons_by_hand() -> None:
    # The code of 100 stands for 100 to 103, so for 101.5: over 3.072 ms 33,040.4/s; dead for 1.652 % of the time, so
    # 33,595.4/s; 98.8 % of the protons are seen as such, so 34,003.4/s; over 9.5e-6 cm2 sr 3.5793e9.
    timing, matrix = timing_of(calibration("timing")), leakage_matrix(calibration("leakage"))
    counts, sigma = np.array([[100.0], [0.0], [0.0]]), np.array([[10.0], [0.0], [0.0]])
    geometric = calibration("anode").frame["geometric_factor_cm2_sr"].to_numpy()[:1]
    made = flux_of(counts, sigma, np.ones((3, 1), np.bool_), np.array([3.072e-3]), geometric, matrix, timing)
    rate = 101.5 / 3.072e-3
    assert made.values[0, 0] == pytest.approx(rate / (1 - rate * 5e-7) / 0.988 / 9.5e-6, rel=1e-9)
    assert made.values[0, 0] == pytest.approx(3.5793e9, rel=1e-4)
    assert made.uncertainty[0, 0] == pytest.approx(
        math.sqrt(101) / 3.072e-3 / (1 - rate * 5e-7) ** 2 / 0.988 / 9.5e-6, rel=1e-9
    )


def test_the_spectrum_over_all_directions_by_numerical_integration() -> None:
    """J_E = 2 f E2 / m2 of a drifting Maxwellian, integrated over the sphere and averaged over a bin of ln E."""
    n, bulk, temperature = 5.0, 400e5, 10.0
    mass = PROTON_U * ATOMIC_MASS
    low, high = 700.0, 940.0

    def energy_flux(polar: float, azimuth: float, log_energy: float) -> float:
        energy = math.exp(log_energy)
        v = math.sqrt(2 * energy / mass)
        squared = v**2 + bulk**2 - 2 * v * bulk * math.cos(polar)
        f = n * (mass / (2 * math.pi * temperature)) ** 1.5 * math.exp(-mass * squared / (2 * temperature))
        return float(2 * f * energy**2 / mass**2 * math.sin(polar))

    whole, _ = tplquad(energy_flux, math.log(low), math.log(high), 0, 2 * math.pi, 0, math.pi / 2, epsrel=1e-6)
    bins = energy_bins(np.array([low]), np.array([high]), mass, 1)
    found, _ = spectrum(bins, np.array([n]), np.array([bulk]), np.array([math.sqrt(temperature / mass)]))
    assert found[0, 0] == pytest.approx(whole / math.log(high / low), rel=1e-5)


def test_the_density_is_the_integral_of_the_spectrum_over_the_speed() -> None:
    # n = integral of J_E / v over ln E and directions; a bin as wide as needed holds all of it.
    mass, bulk, thermal = PROTON_U * ATOMIC_MASS, 450e5, 35e5

    def over_speed(log_energy: float) -> float:
        v = math.sqrt(2 * math.exp(log_energy) / mass)
        narrow = energy_bins(np.array([math.exp(log_energy)]), np.array([math.exp(log_energy + 1e-9)]), mass, 1)
        return float(spectrum(narrow, np.array([7.0]), np.array([bulk]), np.array([thermal]))[0][0, 0]) / v

    total, _ = quad(over_speed, math.log(200), math.log(4000), epsrel=1e-8)
    assert total == pytest.approx(7, rel=1e-6)


def test_the_centre_of_a_distribution_that_bins_cut() -> None:
    edges = np.deg2rad(np.array([0, 11.25, 22.5, 33.75, 56.25]))
    truth, spread = np.deg2rad(np.array([14.0, 27.0])), np.deg2rad(np.array([4.0, 9.0]))
    parts = parts_between(edges, truth, spread)
    by_erf = [math.erf(float(x - truth[0]) / float(spread[0]) / math.sqrt(2)) / 2 for x in edges]
    assert parts[0].tolist() == pytest.approx(np.diff(by_erf).tolist(), abs=1e-12)
    mean, error = mean_of(parts * 1000, edges, np.ones(2))
    np.testing.assert_allclose(centre(mean, edges, spread), truth, atol=2e-6)
    middle = (edges[1:] + edges[:-1]) / 2
    expected = [
        math.sqrt(sum(p * (x - m) ** 2 for p, x in zip(row, middle, strict=True)) * 1000 / t**2 + (s / t) ** 2)
        for row, m, t, s in zip(parts, mean, parts.sum(axis=1) * 1000, np.deg2rad([11.25, 11.25]), strict=True)
    ]
    assert error.tolist() == pytest.approx(expected, rel=1e-3)


def test_parts_far_from_a_distribution_are_as_exact_above_as_below() -> None:
    edges = np.array([-12.0, -10.0, 10.0, 12.0])
    parts = parts_between(edges, np.zeros(1), np.ones(1))[0]
    assert parts[0] == parts[2] == pytest.approx(math.erfc(10 / math.sqrt(2)) / 2, rel=1e-6)
    assert parts.sum() == pytest.approx(1)


def test_the_leakage_keeps_every_event() -> None:
    matrix = leakage_matrix(calibration("leakage"))
    assert matrix.sum(axis=0).tolist() == pytest.approx([1, 1, 1])
    assert matrix[1, 0] == 0.01
    assert matrix[2, 0] == 0.002


def test_the_packet_has_the_sizes_and_places_of_the_document() -> None:
    packet = SPANI.packet("h")
    assert packet.min_bytes == packet.max_bytes == 4118
    bits, places = 48, {}
    for field in packet.fields:
        places[field.name] = bits / 8
        bits += field.bits * field.items
    expected = {"met": 6, "subseconds": 10, "log_compressed": 12, "species": 13, "table_id": 14, "cycle": 16}
    expected |= {"attenuator": 18, "peak_bin": 19, "codes": 20, "checksum": 4116}
    assert {name: places[name] for name in expected} == expected
