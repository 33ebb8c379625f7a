# SPDX-License-Identifier: Apache-2.0
"""EEA's moments: missing steps, what is below the lowest energy, fast flows, finite cells and uncertainties."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy.special import gammainc

from tests.hermes_eea import (
    EXTRAPOLATED,
    FEW,
    FLOW_FAST,
    INCOMPLETE,
    SHAPE,
    TABLES,
    UNFIT,
    changed,
    counts_frame,
    flux_frame,
    flux_of,
    maxwellian_flux,
    moments_of,
    quick_moments_of,
)

RESPONSE = 3e-4 * 6e-3  # cm2 sr eV/eV times s
Steps = list[tuple[int, int]]
# Fourteen steps of one deflection, where most of a plasma of 10 eV is.
BLOCK = [(energy, 0) for energy in range(8, 22)]
DRIFT = (0.0, 0.0, 106.7)


def without(missing: Steps) -> NDArray[np.bool_]:
    """Which cells of a sweep are there."""
    there = np.ones((1, *SHAPE), np.bool_)
    for energy, deflection in missing:
        there[0, energy, deflection] = False
    return there


def seen_without(flux: NDArray[Any], missing: Steps) -> pl.DataFrame:
    """Moments of fluxes [n, 41, 4, 32] of which steps (energy, deflection) are missing."""
    there = np.broadcast_to(without(missing), flux.shape)
    rows = flux_frame(np.where(there, flux, -1)).collect()
    cells = rows["energy_flux"].explode()
    lists = pl.select(pl.when(cells >= 0).then(cells)).to_series().reshape((len(flux), -1)).arr.to_list()
    complete = pl.lit(1 - len(missing) / 164, pl.Float32)
    return moments_of(rows.with_columns(lists.alias("energy_flux"), completeness=complete).lazy())


def drawn(flux: NDArray[Any], n: int, seed: int = 5) -> NDArray[np.float64]:
    """The flux of n Poisson draws."""
    return np.asarray(np.random.default_rng(seed).poisson(flux * RESPONSE, (n, *SHAPE)) / RESPONSE)


def flux_with_missing(steps: Steps) -> pl.LazyFrame:
    """Counts of a Maxwellian of which steps are missing, as flux."""
    counts = np.rint(maxwellian_flux(5, 10) * RESPONSE)[None].astype(np.int64)
    return flux_of(counts_frame(counts, without(steps), INCOMPLETE if steps else 0)).lazy()


# ---- missing steps -------------------------------------------------------------------------------------------------
def test_missing_steps_are_stood_for_by_others_of_their_energy():
    whole = moments_of(flux_with_missing([]))
    rows = moments_of(flux_with_missing([(10, 0), (11, 0), (12, 1)]))
    assert rows["density_cm3"][0] == pytest.approx(whole["density_cm3"][0], rel=1e-3)
    assert rows["temperature_ev"][0] == pytest.approx(whole["temperature_ev"][0], rel=1e-3)
    assert rows["coverage"][0] == pytest.approx(0.38268 * (1 - 3 / 164), rel=1e-3)
    assert rows["density_uncertainty_cm3"][0] > whole["density_uncertainty_cm3"][0]
    assert rows["quality_flag"].to_list() == [INCOMPLETE]


@pytest.mark.parametrize("missing", [BLOCK, [(e, d) for e in range(9, 17) for d in (0, 1)], [(12, 0), (12, 3)]])
@pytest.mark.parametrize("velocity", [DRIFT, (150.0, -80.0, -60.0)])
def test_a_drift_is_the_same_without_some_steps(missing: Steps, velocity: tuple[float, float, float]):
    flux = maxwellian_flux(5, 10, velocity)[None]
    whole, rows = seen_without(flux, []), seen_without(flux, missing)
    assert rows["density_cm3"][0] == pytest.approx(whole["density_cm3"][0], rel=0.003)
    assert rows["temperature_ev"][0] == pytest.approx(whole["temperature_ev"][0], rel=0.004)
    np.testing.assert_allclose(rows["velocity_km_s"][0], whole["velocity_km_s"][0], atol=4)


def test_a_drift_without_some_steps_is_unbiased_in_noise_and_its_sigma_is_right():
    n = 200
    flux = maxwellian_flux(5, 10, DRIFT)
    truth = seen_without(flux[None], [])
    rows = seen_without(drawn(flux, n), BLOCK)
    velocity = np.array(rows["velocity_km_s"].to_list())
    np.testing.assert_allclose(velocity.mean(axis=0), DRIFT, atol=5)
    assert velocity.std(axis=0).max() < 20
    assert rows["density_cm3"].mean() == pytest.approx(truth["density_cm3"][0], rel=0.002)
    scatter = rows["density_cm3"].std() / rows["density_uncertainty_cm3"].mean()
    assert scatter == pytest.approx(1, abs=0.2)


def test_the_sigma_of_a_filled_energy_is_that_of_the_fit():
    """All counts at one energy, of which one deflection is missing: what is seen weighs up to 2.3 times."""
    flux = np.zeros(SHAPE)
    flux[10] = maxwellian_flux(5, 10)[10]
    rows = seen_without(drawn(flux, 400), [(10, 0)])
    assert rows["density_cm3"].std() == pytest.approx(rows["density_uncertainty_cm3"].mean(), rel=0.1)


@pytest.mark.parametrize("missing", [[(e, 0) for e in range(20)], [(10, d) for d in range(4)]])
def test_a_sweep_with_too_few_steps_or_an_energy_without_any_has_no_moments(missing: Steps):
    rows = moments_of(flux_with_missing(missing))
    assert rows["quality_flag"].to_list() == [INCOMPLETE | UNFIT]
    assert rows.select("density_cm3", "density_uncertainty_cm3", "temperature_ev").row(0) == (None, None, None)
    assert rows["extrapolated_fraction"].to_list() == [None]
    assert rows["velocity_km_s"].to_list() == [[None] * 3]
    assert rows["temperature_tensor_ev"].to_list() == [[None] * 6]


def test_an_energy_seen_at_one_deflection_has_a_density_only():
    rows = moments_of(flux_with_missing([(10, d) for d in (0, 1, 3)]))
    assert rows["quality_flag"].to_list() == [INCOMPLETE | FEW]
    assert rows["density_cm3"][0] == pytest.approx(5, rel=0.02)
    assert rows["velocity_km_s"].to_list() == [[None] * 3]


def test_what_is_the_same_at_all_deflections_is_known_from_one():
    flux = np.zeros((1, *SHAPE))
    flux[:, 10] = maxwellian_flux(5, 10)[10]
    rows = seen_without(flux, [(10, d) for d in (1, 2, 3)])
    assert rows["density_cm3"][0] == pytest.approx(seen_without(flux, [])["density_cm3"][0], rel=1e-5)


# ---- below the lowest energy ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("temperature", [20, 10, 5, 3, 2])
def test_a_cold_plasma_is_recovered_and_what_is_extrapolated_is_told(temperature: float):
    rows = moments_of(flux_frame(maxwellian_flux(5, temperature)[None]))
    assert rows["density_cm3"][0] == pytest.approx(5, rel=0.002)
    assert rows["temperature_ev"][0] == pytest.approx(temperature, rel=0.002)
    # The first cell begins at 1.984 eV; of a Maxwellian the part P(3/2, E / T) is below E.
    part = gammainc(1.5, 1.984086 / temperature)
    assert rows["extrapolated_fraction"][0] == pytest.approx(part, rel=0.005)
    assert rows["quality_flag"].to_list() == [(EXTRAPOLATED if part > 0.25 else 0)]


def test_a_negative_potential_is_extrapolated_and_flagged():
    potential = changed("detector", pl.DataFrame({"potential_v": [-5.0]}))
    flux = flux_frame(maxwellian_flux(5, 10, potential_v=-5)[None])
    rows = moments_of(flux, spacecraft_potential=potential)
    assert rows["density_cm3"][0] == pytest.approx(5, rel=0.002)
    assert rows["quality_flag"].to_list() == [EXTRAPOLATED]


def test_the_sigma_holds_that_of_the_slope():
    potential = changed("detector", pl.DataFrame({"potential_v": [-5.0]}))
    flux = flux_frame(drawn(maxwellian_flux(5, 10, potential_v=-5), 200))
    rows = moments_of(flux, spacecraft_potential=potential)
    assert rows["density_cm3"].std() == pytest.approx(rows["density_uncertainty_cm3"].mean(), rel=0.2)


def test_of_a_cell_across_the_potential_the_part_above_is_taken():
    """At 10.85 V the cell of 11.87 eV reaches from -0.04 to 2.2 eV in the plasma."""
    potential = changed("detector", pl.DataFrame({"potential_v": [10.85]}))
    rows = moments_of(flux_frame(maxwellian_flux(5, 5, potential_v=10.85)[None]), spacecraft_potential=potential)
    assert rows["density_cm3"][0] == pytest.approx(5, rel=0.015)
    assert rows["extrapolated_fraction"][0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("density", [5.0, 0.5, 0.05])
def test_noise_is_not_extrapolated(density: float):
    """The mean is right to a percent and the scatter the given one, down to 1,000 counts in a sweep."""
    rows = moments_of(flux_frame(drawn(maxwellian_flux(density, 10), 100)))
    assert rows["density_cm3"].mean() == pytest.approx(density, rel=0.01)
    assert rows["density_cm3"].std() / rows["density_uncertainty_cm3"].mean() == pytest.approx(1, abs=0.35)
    assert rows["extrapolated_fraction"].max() < 0.25


# ---- fast flows ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("velocity", "fast"),
    [((0, 0, -340), False), ((0, 0, -360), True), ((-400, 20, -10), False), ((-600, 0, 0), True), ((0, 0, 0), False)],
)
def test_a_flow_that_costs_more_than_three_percent_of_the_density_is_flagged(
    velocity: tuple[float, float, float], fast: bool
):
    rows = moments_of(flux_frame(maxwellian_flux(5, 10, velocity)[None]))
    assert rows["quality_flag"].to_list() == [(FLOW_FAST if fast else 0)]
    assert (abs(rows["density_cm3"][0] / 5 - 1) > 0.03) == fast


# ---- finite cells --------------------------------------------------------------------------------------------------
def test_a_maxwellian_over_finite_cells_is_recovered():
    """What a cell counts is the mean over its width in log energy, not the flux at its centre."""
    axis = TABLES["l2_flux"].axis("energy")
    lower, upper = np.subtract(axis.values, axis.minus), np.add(axis.values, axis.plus)
    nodes, share = np.polynomial.legendre.leggauss(12)
    energy = lower[:, None] * (upper / lower)[:, None] ** ((nodes + 1) / 2)
    # At rest J_E goes with E^2 exp(-E / T).
    centre = np.array(axis.values)[:, None]
    over_cell = ((energy / centre) ** 2 * np.exp((centre - energy) / 10)) @ (share / 2)
    rows = moments_of(flux_frame((maxwellian_flux(5, 10) * over_cell[:, None, None])[None]))
    # The widths of dE/E 0.19 and 0.28 make a tenth of a percent.
    assert rows["density_cm3"][0] == pytest.approx(5, rel=0.002)
    assert rows["temperature_ev"][0] == pytest.approx(10, rel=0.002)


# ---- what can be believed ------------------------------------------------------------------------------------------
def test_the_sigma_of_the_density_is_that_of_its_counts():
    counts = np.zeros((1, *SHAPE), np.int64)
    counts[0, 10] = 400
    rows = quick_moments_of(counts_frame(counts))
    assert rows["density_uncertainty_cm3"][0] / rows["density_cm3"][0] == pytest.approx(51_200**-0.5, rel=0.002)


def test_no_counts_are_uncertain_by_one_count_where_it_weighs_most():
    """The rule of the flux, whose sigma is sqrt(C + 1)."""
    counts = np.zeros((2, *SHAPE), np.int64)
    counts[1, 0, 1, 5] = 1
    rows = quick_moments_of(counts_frame(counts))
    assert rows["density_cm3"][0] == 0
    assert rows["density_uncertainty_cm3"][0] == pytest.approx(rows["density_cm3"][1], rel=1e-5)
    assert rows["density_uncertainty_cm3"][1] == pytest.approx(np.sqrt(2) * rows["density_cm3"][1], rel=1e-5)


def test_a_negative_temperature_is_fill():
    """All counts in one cell off the plane: the flow that stands for the sky is faster than the electrons."""
    counts = np.zeros((1, *SHAPE), np.int64)
    counts[0, 20, 3, 5] = 400
    rows = quick_moments_of(counts_frame(counts))
    assert rows["density_cm3"][0] > 0
    assert rows["temperature_ev"].to_list() == [None]
    assert rows["velocity_km_s"].to_list() == [[None] * 3]
    assert rows["quality_flag"].to_list() == [FEW]
