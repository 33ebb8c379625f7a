# SPDX-License-Identifier: Apache-2.0
"""SPAN-I's moments at their limits: beams at the edge of the field of view, cold, slow, hot, and with other species."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import constants

from simulate.hermes.spani_ions import Species
from tests.hermes_spani import (
    ANALYSER,
    beam,
    changed,
    flagged,
    flux_of_counts,
    l2_moments,
    moments_of,
    velocity,
)
from transforms.hermes.spani_direction import direction
from transforms.hermes.spani_fit import energy_bins, spectrum
from transforms.physics import PROTON_MASS

EDGES = np.geomspace(2 / 1.16018, 20000 * 1.16018, 33)
OF_DIRECTION = (
    "h_density_cm3",
    "h_density_uncertainty_cm3",
    "h_velocity_km_s",
    "h_velocity_bus_km_s",
    "h_direction_uncertainty_deg",
    "h_coverage",
)


# ---- the edge of the field of view ---------------------------------------------------------------------------------
def held(rows: pl.DataFrame, n: float, flow: np.ndarray) -> None:
    """What is given of a beam is right: densities within 5 % and velocities within 2 % beyond counting."""
    given = rows.filter(pl.col("h_density_cm3").is_not_null())
    off, sigma = (given["h_density_cm3"] / n - 1).abs(), given["h_density_uncertainty_cm3"] / n
    assert (off <= pl.Series(np.maximum(0.05, 3.5 * sigma))).all()
    direction_off = np.deg2rad(given["h_direction_uncertainty_deg"].to_numpy())
    found = np.array(given["h_velocity_km_s"].to_list()).reshape(-1, 3)
    distance = np.linalg.norm(found - flow, axis=1) / np.linalg.norm(flow)
    assert (distance <= np.maximum(0.02, 3.5 * direction_off)).all()
    missing = rows["h_density_cm3"].is_null().to_list()
    assert all(rows[name].is_null().to_list() == missing for name in OF_DIRECTION)
    assert flagged(rows, "h_direction_unknown") == missing
    assert rows["h_speed_km_s"].null_count() == 0
    assert rows["h_speed_km_s"].mean() == pytest.approx(np.linalg.norm(flow), rel=0.02)


@pytest.mark.parametrize(
    ("n", "speed", "temperature", "azimuth", "elevation", "given"),
    [
        (30, 700, 5, 236.25, 0, 0),  # all in the outermost anode: nobody knows how much more there is beside it
        (5, 450, 8, 236.25, 0, 0.08),
        (10, 400, 10, 236.25, 0, 1),  # the anode before it sees enough
        (10, 400, 10, 232, 0, 1),
        (10, 600, 5, 5.625, 0, 1),
        (10, 400, 10, 56.25, 39.375, 1),
        (10, 400, 10, 56.25, -39.375, 1),
        (30, 700, 5, 56.25, 39.375, 0),
        (30, 400, 10, 168.75, 0, 1),  # in the middle of a wide anode, far from the edge
    ],
)
def test_beams_at_the_edge_have_the_right_density_or_none(
    n: float, speed: float, temperature: float, azimuth: float, elevation: float, given: float
) -> None:
    flow = velocity(speed, azimuth, elevation)
    rows = moments_of(*beam(n, flow, temperature, rows=24, seed=1))
    held(rows, n, flow)
    part = 1 - rows["h_density_cm3"].null_count() / 24
    assert part == pytest.approx(given, abs=0.1)
    if given == 1:
        assert rows["h_density_cm3"].mean() == pytest.approx(n, rel=0.05)


@pytest.mark.parametrize(
    ("temperature", "azimuth", "elevation"),
    [(10, 245, 0), (10, -3, 0), (10, 255, 0), (10, 56.25, 48), (20, 56.25, -48)],
)
def test_the_density_of_a_beam_whose_centre_is_outside_is_never_made_up(
    temperature: float, azimuth: float, elevation: float
) -> None:
    flow = velocity(400, azimuth, elevation)
    rows = moments_of(*beam(30, flow, temperature, rows=24, seed=1))
    for name in OF_DIRECTION:
        assert rows[name].is_null().all()
    seen = rows["h_speed_km_s"].is_not_null().to_list()
    assert flagged(rows, "h_direction_unknown") == seen
    assert flagged(rows, "h_not_fitted") == [not s for s in seen]


def test_the_uncertainty_of_a_density_at_the_edge_is_its_scatter() -> None:
    rows = moments_of(*beam(5, velocity(400, 56.25, 42.5), 30, rows=150, seed=9))
    assert rows["h_density_cm3"].null_count() == 0
    scatter, sigma = rows["h_density_cm3"].std(), rows["h_density_uncertainty_cm3"].mean()
    assert scatter == pytest.approx(sigma, rel=0.2)  # what part is seen makes up more than half of it


def test_alphas_outside_have_no_density_either() -> None:
    rows = moments_of(*beam(20, velocity(400, 245, 0), 5, rows=24, seed=2, alphas=0.2))
    assert rows["he_density_cm3"].is_null().all()
    assert flagged(rows, "he_direction_unknown") == rows["he_speed_km_s"].is_not_null().to_list()
    assert rows["he_speed_km_s"].is_not_null().mean() > 0.8  # type: ignore[operator]
    assert rows["alpha_ratio"].is_null().all()


def test_flags_of_the_field_of_view_are_those_of_each_species() -> None:
    rows = moments_of(*beam(10, velocity(600, 5.625, 0), 10, rows=24, seed=1))
    for s in ("h", "he"):
        assert flagged(rows, f"{s}_partly_outside") == (rows[f"{s}_coverage"].to_numpy() < 0.95).tolist()
    assert flagged(rows, "h_partly_outside") != flagged(rows, "he_partly_outside")


# ---- direction -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("azimuth", "elevation", "width"), [(8, 33, 0.12), (56.25, 31, 0.16), (60, -33, 0.16)])
def test_the_direction_of_a_hot_beam_from_ions_drawn_one_by_one(azimuth: float, elevation: float, width: float) -> None:
    """Ions of a drifting Maxwellian, each weighted by its speed, sorted by the angles that they come from."""
    random = np.random.default_rng(4)
    ions = velocity(1, azimuth, elevation) + width * random.standard_normal((400_000, 3))
    v = np.linalg.norm(ions, axis=1)
    angles = {"azimuth": np.arctan2(-ions[:, 1], -ions[:, 0]), "deflection": np.arcsin(-ions[:, 2] / v)}
    edges = {"azimuth": ANALYSER.azimuth, "deflection": ANALYSER.deflection}
    ions_inside = np.all([(angles[n] >= e[0]) & (angles[n] < e[-1]) for n, e in edges.items()], axis=0)
    seen = {n: np.histogram(angles[n][ions_inside], edges[n], weights=v[ions_inside])[0][None] for n in angles}
    found = direction(seen, edges, np.ones(1), np.array([width]), np.array([width / 100]))
    look = found.look[0]
    assert np.rad2deg(np.arcsin(look[2])) == pytest.approx(elevation, abs=0.2)
    assert np.rad2deg(np.arctan2(look[1], look[0])) == pytest.approx(azimuth, abs=0.3)
    assert found.coverage[0] == pytest.approx((v * ions_inside).sum() / v.sum(), rel=0.015)


def test_ions_of_other_energies_do_not_turn_the_beam() -> None:
    flow = velocity(440, 50.6, 0)
    counts, position = beam(10, flow, 10, rows=24, seed=3)
    counts["h"][:, 12, 27, 4] += 31  # at az 168.75 deg and 6 keV
    found = np.array(moments_of(counts, position)["h_velocity_km_s"].to_list())
    assert np.linalg.norm(found.mean(axis=0) - flow) < 0.006 * 440


def test_the_uncertainty_of_the_direction_is_its_scatter() -> None:
    flow = velocity(400, 56.25, 3)
    rows = moments_of(*beam(5, flow, 20, rows=100, seed=4))
    found = np.array(rows["h_velocity_km_s"].to_list())
    across = found - (found @ flow / 400**2)[:, None] * flow
    scatter = np.rad2deg(np.sqrt((across**2).sum(axis=1).mean()) / 400)
    assert scatter / rows["h_direction_uncertainty_deg"].mean() == pytest.approx(1, abs=0.25)


# ---- temperature ---------------------------------------------------------------------------------------------------
def least_sigma(counts: float, speed: float, temperature: float) -> float:
    """The smallest relative uncertainty of a temperature that so many counts allow (Cramer and Rao): 3 unknowns."""
    bins = energy_bins(EDGES[:-1], EDGES[1:], PROTON_MASS, 1)
    thermal = np.sqrt(temperature / PROTON_MASS)
    flux, slopes = spectrum(bins, np.ones(1), np.array([speed * 1e5]), np.array([thermal]))
    expected, by = counts * flux[0] / flux.sum(), counts * slopes[0] / flux.sum()
    there = expected > 1e-12
    information = np.einsum("ei,ej,e->ij", by[there], by[there], 1 / expected[there])
    return float(2 * np.sqrt(np.linalg.inv(information)[2, 2]))


@pytest.mark.parametrize("temperature", [5, 8, 12])
@pytest.mark.parametrize("speed", [300, 400, 500, 550, 600, 650, 700])
def test_no_temperature_is_left_out_and_those_that_counts_allow_are_right(speed: float, temperature: float) -> None:
    counts, position = beam(5, velocity(speed, 56.25, 3), temperature, rows=32, seed=20)
    rows = moments_of(counts, position)
    assert rows["h_temperature_ev"].null_count() == 0
    least = least_sigma(counts["h"].sum() / 32, speed, temperature)
    mean, sigma = (rows[f"h_temperature{name}_ev"].mean() for name in ("", "_uncertainty"))
    if least < 0.2:
        assert mean == pytest.approx(temperature, rel=0.15)
        assert np.mean(flagged(rows, "h_temperature_unresolved")) < 0.2
    else:
        assert (speed, temperature) in {(550, 5), (650, 5), (650, 8)}
        assert np.mean(flagged(rows, "h_temperature_unresolved")) > 0.5
        assert abs(mean - temperature) < sigma  # type: ignore[operator]
    assert rows["h_density_cm3"].mean() == pytest.approx(5, rel=0.05)
    assert rows["h_speed_km_s"].mean() == pytest.approx(speed, rel=0.02)


def test_no_fit_could_tell_5_ev_where_a_beam_lies_astride_two_bins() -> None:
    # 553 and 643 km/s are where bins meet. A bin is 0.297 wide in ln E, a beam of 5 eV only 0.08 and 0.07.
    border = np.sqrt(2 * EDGES / PROTON_MASS) / 1e5
    assert border[[22, 23, 24]] == pytest.approx([478, 554, 643], abs=2) or border[[21, 22, 23]] == pytest.approx(
        [478, 554, 643], abs=2
    )
    assert least_sigma(650, 650, 5) > 1
    assert least_sigma(650, 550, 5) > 0.3
    assert least_sigma(650, 600, 5) < 0.1
    assert least_sigma(650, 700, 5) < 0.12


def test_a_beam_colder_than_its_bin_has_a_temperature_that_says_how_little_is_known() -> None:
    speed = 13.8414 * np.sqrt(2 * 10_000 ** (21 / 31))  # the middle of a bin; 1 eV is 13.84 km/s for a proton
    rows = moments_of(*beam(8, velocity(speed, 56.25, 0), 0.3, rows=16, seed=29))
    assert flagged(rows, "h_temperature_unresolved") == [True] * 16
    assert (rows["h_temperature_ev"] - 0.3).abs().to_numpy() == pytest.approx(0, abs=2)
    assert (rows["h_temperature_uncertainty_ev"] >= rows["h_temperature_ev"]).all()
    assert (rows["h_temperature_uncertainty_ev"] < 12).all()
    assert rows["h_density_cm3"].mean() == pytest.approx(8, rel=0.05)
    assert rows["h_speed_km_s"].mean() == pytest.approx(speed, rel=0.02)


def test_a_cold_species_does_not_flag_the_others() -> None:
    rows = moments_of(*beam(5, velocity(500, 56.25, 3), 8, rows=24, seed=20))
    assert not any(flagged(rows, "h_temperature_unresolved"))
    alone = rows["he_temperature_uncertainty_ev"] > 0.5 * rows["he_temperature_ev"]
    assert flagged(rows, "he_temperature_unresolved") == alone.fill_null(value=False).to_list()


def test_slow_flows_are_flagged() -> None:
    slow = moments_of(*beam(10, velocity(200, 56.25, 0), 60, rows=8, seed=5))  # 2.6 thermal speeds
    fast = moments_of(*beam(10, velocity(400, 56.25, 0), 60, rows=8, seed=5))
    assert flagged(slow, "slow_flow") == [True] * 8
    assert not any(flagged(fast, "slow_flow"))


# ---- limits and other species --------------------------------------------------------------------------------------
def test_densities_less_certain_than_the_limit_are_not_given() -> None:
    flux = flux_of_counts(*beam(5, velocity(400, 56.25, 3), 10, rows=8, seed=6))
    assert l2_moments(flux)["h_density_cm3"].null_count() == 0
    strict = l2_moments(flux, fit=changed("fit", largest_density_sigma=pl.lit(0.01)))
    assert strict["h_density_cm3"].is_null().all()
    assert flagged(strict, "h_not_fitted") == [True] * 8


def test_a_ratio_of_densities_out_of_its_range_is_left_out() -> None:
    rows = moments_of(*beam(0.3, velocity(400, 56.25, 3), 8, rows=24, seed=7, alphas=150))
    ratio = rows["he_density_cm3"] / rows["h_density_cm3"]
    assert (ratio > 100).sum() > 5
    assert rows["alpha_ratio"].to_list() == [r if r is not None and r <= 100 else None for r in ratio]


def test_oxygen_has_the_mass_and_charge_of_o_plus() -> None:
    oxygen = Species("o", 3, 15.9943 * constants.atomic_mass, 1)
    typed = replace(ANALYSER, species=(*ANALYSER.species[:2], oxygen))
    flow = velocity(350, 56.25, 3)
    rows = moments_of(*beam(5, flow, 8, rows=24, seed=8, oxygen=1.0, analyser=typed))
    assert rows["o_speed_km_s"].mean() == pytest.approx(350, rel=0.01)
    assert rows["o_density_cm3"].mean() == pytest.approx(5, rel=0.05)
    assert rows["o_temperature_ev"].mean() == pytest.approx(128, rel=0.15)
