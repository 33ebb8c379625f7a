# SPDX-License-Identifier: Apache-2.0
"""X-rays that a detector counts: steady sources, flares that rise and decay, and their photon spectra.

Rates are counts per second in the detector; the spectra are those of the counted photons.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from lake.packet_definitions import Noun
from simulate.orbit import Orbit

Float64 = npt.NDArray[np.float64]


class Band(Noun):
    """The energies that the detector can count [keV], with a soft lower threshold."""

    low_kev: float = Field(gt=0)
    high_kev: float
    threshold_kev: float
    threshold_width_kev: float = Field(gt=0)

    @cached_property
    def grid(self) -> Float64:
        """Energies [keV] on which spectra are tabulated."""
        return np.linspace(self.low_kev, self.high_kev, 4001)

    @cached_property
    def efficiency(self) -> Float64:
        """Part of the photons that trigger, at the energies of the grid."""
        return np.asarray(1 / (1 + np.exp(-(self.grid - self.threshold_kev) / self.threshold_width_kev)), np.float64)


class Spectrum(Noun):
    """The shape of a photon spectrum: thermal bremsstrahlung of `kt_kev`, or a power law of index `gamma`."""

    kt_kev: float | None = Field(default=None, gt=0)
    gamma: float | None = None
    cutoff_kev: float = 0.0

    @model_validator(mode="after")
    def _one_shape(self) -> Spectrum:
        if (self.kt_kev is None) == (self.gamma is None):
            raise ValueError("give either kt_kev (thermal) or gamma (power law)")
        return self

    def density(self, energy: Float64) -> Float64:
        """Relative number of photons per keV."""
        if self.kt_kev is not None:
            return np.asarray(np.exp(-energy / self.kt_kev) / energy, np.float64)
        assert self.gamma is not None  # noqa: S101  held by the validator
        return np.where(energy >= self.cutoff_kev, energy**-self.gamma, 0.0)

    def sample(self, band: Band, uniform: Float64) -> Float64:
        """Energies [keV] of counted photons from uniform random numbers, by the inverse of the distribution."""
        cumulative = np.cumsum(self.density(band.grid) * band.efficiency)
        return np.interp(uniform, cumulative / cumulative[-1], band.grid)


class Source(Noun):
    """A steady source of counts; `solar` sources are gone in orbit night."""

    name: str
    rate: float = Field(ge=0)
    solar: bool
    spectrum: Spectrum


class Pulse(Noun):
    """One emission of a flare: Gaussian rise to the peak, exponential decay."""

    peak_rate: float = Field(ge=0)
    delay_s: float
    rise_s: float = Field(gt=0)
    decay_s: float = Field(gt=0)
    spectrum: Spectrum

    def rate(self, since_peak_s: Float64) -> Float64:
        """Counts per second at times relative to the flare's peak."""
        t = since_peak_s - self.delay_s
        rise = np.exp(-((np.minimum(t, 0) / self.rise_s) ** 2))
        return np.asarray(self.peak_rate * rise * np.exp(-np.maximum(t, 0) / self.decay_s), np.float64)


class FlarePlan(Noun):
    """A flare of every simulated day: so many minutes after the sunrise of an orbit, give or take the jitter."""

    orbit: int = Field(ge=0)
    minutes_after_sunrise: float
    jitter_minutes: float = Field(ge=0)
    pulses: tuple[Pulse, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Flare:
    """A flare with its peak in Unix seconds."""

    peak_unix_s: float
    pulses: tuple[Pulse, ...]

    @property
    def span(self) -> tuple[float, float]:
        """Unix seconds between which the flare gives more than about 2 % of its peak."""
        begins = min(p.delay_s - 2 * p.rise_s for p in self.pulses)
        ends = max(p.delay_s + 4 * p.decay_s for p in self.pulses)
        return self.peak_unix_s + begins, self.peak_unix_s + ends


def flares_of_day(
    plans: tuple[FlarePlan, ...], orbit: Orbit, day_unix_s: float, random: np.random.Generator
) -> list[Flare]:
    """The day's flares, their peaks moved by a random part of the jitter."""
    flares = []
    for plan in plans:
        jitter = plan.jitter_minutes * random.uniform(-1, 1)
        peak = orbit.sunrise(day_unix_s, plan.orbit) + 60 * (plan.minutes_after_sunrise + jitter)
        flares.append(Flare(float(np.round(peak)), plan.pulses))
    return flares


def light_curves(
    sources: tuple[Source, ...], flares: list[Flare], orbit: Orbit, unix_s: Float64
) -> list[tuple[Spectrum, Float64]]:
    """The rate of each component at the times, with its spectrum; a flare has one component for each pulse."""
    sunlit = orbit.sunlit(unix_s)
    curves: list[tuple[Spectrum, Float64]] = [
        (s.spectrum, np.where(sunlit | (not s.solar), s.rate, 0.0)) for s in sources
    ]
    for flare in flares:
        curves += [(p.spectrum, p.rate(unix_s - flare.peak_unix_s) * sunlit) for p in flare.pulses]
    return curves
