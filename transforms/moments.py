# SPDX-License-Identifier: Apache-2.0
"""From differential energy flux to density, velocity and temperature, for top-hat analysers of any species.

All moments of order 0 to 2 are sums over cells, linear in the flux: a matrix of weights, made once, turns the fluxes of
any number of sweeps into their sums. Source of the sums: Paschmann and Daly 1998, Analysis Methods for Multi-Spacecraft
Data, chapter 6.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from transforms.physics import CM_PER_KM, Floats, phase_space_density, speed

# The ten sums, as powers of the direction: 1; x, y, z; xx, yy, zz, xy, xz, yz.
TENSOR = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
ORDERS = 3
ORDER = np.array([0, 1, 1, 1, 2, 2, 2, 2, 2, 2])  # of each sum


@dataclass(frozen=True)
class Cells:
    """The cells of an analyser: energies [e] with their borders [eV], and directions [d, a].

    `flow` [d, a, 3] are unit vectors in the analyser's frame along which the particles fly, against the look direction;
    `solid_angle` [d, a] is in sr.
    """

    energy_ev: Floats
    lower_ev: Floats
    upper_ev: Floats
    flow: Floats
    solid_angle: Floats

    @property
    def coverage(self) -> float:
        """The part of the whole sky that the analyser sees."""
        return float(self.solid_angle.sum() / (4 * np.pi))


@dataclass(frozen=True)
class Moments:
    """Density [n], velocity [n, 3], temperature [n], and the temperature tensor [n, 6]: xx, yy, zz, xy, xz, yz.

    NaN where there is no density.
    """

    density_cm3: Floats
    velocity_km_s: Floats
    temperature_ev: Floats
    temperature_tensor_ev: Floats


def cells(
    energy_ev: ArrayLike, lower_ev: ArrayLike, upper_ev: ArrayLike, deflection_deg: ArrayLike, azimuth_deg: ArrayLike
) -> Cells:
    """The cells of energies [e] with their borders, and of angles given as rows of lower border, centre, upper border.

    `deflection_deg` [d, 3] is the elevation above the plane of the azimuth, `azimuth_deg` [a, 3] runs from +x to +y. A
    particle that comes from (azimuth, deflection) flies the other way. Solid angle: (sin d2 - sin d1) (a2 - a1).
    """
    deflection, azimuth = (np.deg2rad(np.asarray(angle, np.float64)) for angle in (deflection_deg, azimuth_deg))
    d, a = deflection[:, 1, None], azimuth[None, :, 1]
    look = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d) * np.ones_like(a)], axis=-1)
    solid = (np.sin(deflection[:, 2]) - np.sin(deflection[:, 0]))[:, None] * (azimuth[:, 2] - azimuth[:, 0])
    energy, lower, upper = (np.asarray(values, np.float64) for values in (energy_ev, lower_ev, upper_ev))
    return Cells(energy, lower, upper, -look, solid)


def weights(cells: Cells, mass: float, charge: int = 0, potential_v: float = 0.0) -> Floats:
    """Weights [10, e, d, a]: flux [eV/(cm2 s sr eV)] times weight, added up, gives the sums of order 0, 1 and 2.

    f follows from the flux at the energy that the analyser sees and is conserved (Liouville) down to the plasma, where
    a particle of `charge` [elementary charges] has E' = E + charge * potential. Cells with E' <= 0 hold no plasma.
    Each cell adds f v^k v2 dv with v2 dv = v' dE / m, dE = E ln(upper / lower): the midpoint rule on the logarithmic
    ladder. Of a cell that reaches below E' = 0 the part above is taken, with the same f.
    """
    plasma_ev, lower_ev, upper_ev = (
        energy + charge * potential_v for energy in (cells.energy_ev, cells.lower_ev, cells.upper_ev)
    )
    seen = plasma_ev > 0
    v = speed(np.where(seen, plasma_ev, 0), mass)
    width = cells.energy_ev * np.log(cells.upper_ev / cells.lower_ev)
    top = speed(np.where(seen, upper_ev, 0), mass)
    radial = [np.where(lower_ev < 0, top ** (k + 3) / (k + 3), v ** (k + 1) * width / mass) for k in range(ORDERS)]
    flux_to_f = np.where(seen, phase_space_density(1.0, cells.energy_ev, mass), 0)
    return angular_weights(cells, np.stack(radial) * flux_to_f)


def angular_weights(cells: Cells, radial: Floats) -> Floats:
    """Weights [10, e, d, a] of radial weights [3, e] by order."""
    return np.asarray(radial[ORDER][:, :, None, None] * (directions(cells.flow) * cells.solid_angle)[:, None])


def directions(flow: Floats) -> Floats:
    """The products of the flow's components in the order of the ten sums: [10, d, a]."""
    x = np.moveaxis(flow, -1, 0)
    return np.stack([np.ones_like(x[0]), *x, *(x[i] * x[j] for i, j in TENSOR)])


def whole_sky(cells: Cells) -> Floats:
    """Factors [10] that take the sums over the field of view to the whole sky.

    Exact where f(v) = f0 + f1 . v + ...: each sum is divided by the part of its own angular term that is seen (of the
    squares by that of an isotropic plasma). Right for a field of view that is symmetric about the three axes, such as
    a full ring.
    """
    seen = directions(cells.flow)
    second = np.einsum("kda,kda,da->k", seen[1:], seen[1:], cells.solid_angle)
    squares = 4 * np.pi / 3 / second[:3]
    products = 4 * np.pi / 15 / second[6:]
    return np.concatenate([[1 / cells.coverage], squares, squares, products])


def sums(flux: NDArray[np.floating], weights: Floats) -> Floats:
    """The ten sums [n, 10] of fluxes [n, e, d, a]. Cells without a value have to be 0.

    Added up in a fixed order, so that a sweep gives the same bits wherever it stands; a matrix product would depend on
    the linear algebra library and its threads.
    """
    # Weights near 1 and fluxes below 1e20 stay inside the range of float32, the weights themselves would not.
    scale = np.abs(weights).max(axis=(1, 2, 3))
    near_one = (weights / scale[:, None, None, None]).astype(flux.dtype).reshape(len(weights), -1)
    rows = flux.reshape(len(flux), -1)
    added = np.stack([np.einsum("nc,c->n", rows, row) for row in near_one], axis=1)
    return np.asarray(added.astype(np.float64) * scale)


def moments(sums: Floats, mass: float) -> Moments:
    """Moments of the ten sums [n, 10] of particles of a mass [eV s2 cm-2].

    V = S1 / n; T_ij = m (S2_ij / n - V_i V_j); T = trace / 3.
    """
    density = np.where(sums[:, 0] > 0, sums[:, 0], np.nan)
    velocity = sums[:, 1:4] / density[:, None]
    bulk = np.stack([velocity[:, i] * velocity[:, j] for i, j in TENSOR], axis=1)
    tensor = mass * (sums[:, 4:] / density[:, None] - bulk)
    return Moments(density, velocity / CM_PER_KM, tensor[:, :3].mean(axis=1), tensor)
