# SPDX-License-Identifier: Apache-2.0
"""Physical constants in the units of particle analysers (eV, cm, s), and the elementary formulas of counts and flux.

Constants: CODATA, as scipy.constants gives them.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import constants

Real = TypeVar("Real", NDArray[np.float32], NDArray[np.float64])
Floats = NDArray[np.float64]

CM_PER_KM = 1e5
# A mass in kg, divided by the elementary charge, is in eV s2 m-2; 1 m2 is 1e4 cm2.
EV_S2_CM2_PER_KG = 1e-4 / constants.e
ELECTRON_MASS = constants.m_e * EV_S2_CM2_PER_KG  # eV s2 cm-2
PROTON_MASS = constants.m_p * EV_S2_CM2_PER_KG  # eV s2 cm-2
ATOMIC_MASS = constants.atomic_mass * EV_S2_CM2_PER_KG  # eV s2 cm-2, of one unified atomic mass unit
ELECTRON_CHARGE = -1  # in elementary charges


def speed(energy_ev: ArrayLike, mass: float) -> Floats:
    """Speed [cm/s] of particles of a mass [eV s2 cm-2] and kinetic energy [eV]: v = sqrt(2 E / m)."""
    return np.asarray(np.sqrt(2 * np.asarray(energy_ev, np.float64) / mass))


def phase_space_density(energy_flux: ArrayLike, energy_ev: ArrayLike, mass: float) -> Floats:
    """Phase space density [s3 cm-6] of a differential energy flux [eV/(cm2 s sr eV)]: f = (m2 / 2) J_E / E2.

    Source: dj = f v2 dv dOmega with j = J_E / E, so f = j m2 / (2 E); Paschmann and Daly 1998, chapter 6.
    """
    energy = np.asarray(energy_ev, np.float64)
    return np.asarray(mass**2 / 2 * np.asarray(energy_flux) / energy**2)


def without_dead_time(rate: Real, dead_time_s: float) -> Real:
    """True rate [1/s] of a measured one after a non-paralysable dead time: R0 = R / (1 - R tau).

    Source: G. F. Knoll, Radiation Detection and Measurement, 4.VII. Infinite or negative where R tau >= 1.
    """
    with np.errstate(divide="ignore"):
        return rate / (1 - rate * rate.dtype.type(dead_time_s))


def energy_flux(rate: Real, geometric_factor: Real) -> Real:
    """Differential energy flux [eV/(cm2 s sr eV)] of a rate [1/s] in pixels of G times efficiency [cm2 sr eV/eV]."""
    return rate / geometric_factor
