# SPDX-License-Identifier: Apache-2.0
"""What stands for steps of EEA that were not received: f0 + f1 . u, fitted to the cells of the same energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transforms.moments import Cells
from transforms.physics import Floats

Mask = NDArray[np.bool_]
WAY_UP = 3  # of the terms 1, x, y, z: the last, which needs two deflections


@dataclass(frozen=True)
class Filling:
    """How missing steps are filled, by code [p]: a bit for each deflection of an energy that was received.

    `terms` [4, c] are 1, x, y, z of the directions c; `fits` [p, 4, c] give the coefficients of the terms; `gains`
    [p, c] are how many times the sum over the sky counts a cell that was received, and `seen` [p] the part of the
    field of view.
    """

    terms: Floats
    fits: Floats
    gains: Floats
    seen: Floats

    @property
    def full(self) -> int:
        """The code of an energy whose steps are all there."""
        return len(self.seen) - 1


def read_filling(cells: Cells) -> Filling:
    """The least-squares fits for each set of deflections. A single one has no z: the plane of the others is unknown."""
    deflections, azimuths = cells.solid_angle.shape
    terms = np.stack([np.ones_like(cells.solid_angle), *np.moveaxis(cells.flow, -1, 0)]).reshape(4, -1)
    solid = cells.solid_angle.reshape(-1)
    fits, gains, seen = [], [], []
    for code in range(1 << deflections):
        there = np.repeat(_deflections(code, deflections), azimuths)
        known = terms * there
        if code.bit_count() < 2:
            known[WAY_UP] = 0
        fit = np.linalg.pinv(known.T)
        fits.append(fit)
        gains.append(there + (solid * ~there) @ terms.T @ fit / solid)
        seen.append(solid[there].sum() / solid.sum())
    return Filling(terms, *(np.stack(values) for values in (fits, gains, seen)))


def _deflections(code: int, deflections: int) -> Mask:
    return np.asarray(code >> np.arange(deflections) & 1, np.bool_)


def codes(there: Mask) -> NDArray[np.int64]:
    """The codes [n, e] of cells [n, e, d, a] that are there."""
    return np.asarray(there.any(axis=3) @ (1 << np.arange(there.shape[2])), np.int64)


def filled(
    filling: Filling, values: NDArray[Any], there: Mask, code: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Values [n, e, d, a] with every step, and the values whose weighted sum is the variance of their sum.

    A value that the fit uses counts `gain` times in the sum over the sky, its variance the square of that.
    """
    whole, again = values.copy(), values.copy()
    for number in np.unique(code).tolist():
        if 0 < number < filling.full:
            rows = code == number
            known = np.where(there[rows], values[rows], 0)
            flat = known.reshape(len(known), -1).astype(np.float64)
            fit = np.einsum("nc,ic->ni", flat, filling.fits[number])
            fitted = np.einsum("ni,ic->nc", fit, filling.terms).reshape(known.shape)
            whole[rows] = np.where(there[rows], known, fitted)
            again[rows] = (flat * filling.gains[number] ** 2).reshape(known.shape)
    return whole, again
