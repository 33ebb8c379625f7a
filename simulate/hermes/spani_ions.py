# SPDX-License-Identifier: Apache-2.0
"""What SPAN-I counts: ions drawn one by one from drifting Maxwellians, sorted into cells, and lost to dead time.

Nothing is averaged over cells, so that the counts say what a real beam would do that is narrower than a cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import constants

from lake.definitions import Instrument
from simulate.hermes.calibrations import calibration_frame

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
CALIBRATIONS = ("species", "anode", "energy", "deflection", "sweep", "timing", "leakage", "attenuator", "mounting")
FARTHEST = 5.0  # thermal speeds; a Maxwellian has 6e-7 of its ions beyond


@dataclass(frozen=True)
class Species:
    """An ion: its name, number in the packets, mass [kg], charge [elementary charges]."""

    name: str
    number: int
    mass_kg: float
    charge: int


@dataclass(frozen=True)
class Analyser:
    """SPAN-I as its calibrations describe it: borders of the cells, place in the packet, sensitivity.

    `sensitivity` [a, e, d] in cm3 s-1 s: the expected counts of a cell are the integral of f v d3v over it, times this
    and the seconds that it counts.
    """

    species: tuple[Species, ...]
    azimuth: Float64
    energy_ev_q: Float64
    deflection: Float64
    sensitivity: Float64
    places: Int64
    table_id: int
    dead_time_s: float
    step_s: float
    leakage: Float64
    attenuation: dict[int, float]
    to_bus: Float64

    @property
    def shape(self) -> tuple[int, int, int]:
        """Anodes, energies, deflections."""
        return len(self.azimuth) - 1, len(self.energy_ev_q) - 1, len(self.deflection) - 1


def read_analyser(instrument: Instrument, day: date) -> Analyser:
    """SPAN-I on a day. Raises CalibrationError if a calibration is missing."""
    frames = {name: calibration_frame(instrument, name, day) for name in CALIBRATIONS}
    azimuth = np.deg2rad(_borders(frames["anode"], "azimuth_deg", "minus_deg", "plus_deg"))
    energy = _borders(frames["energy"], "energy_ev_q", "minus_ev_q", "plus_ev_q")
    deflection = np.deg2rad(_borders(frames["deflection"], "deflection_deg", "minus_deg", "plus_deg"))
    solid = np.diff(azimuth)[:, None, None] * np.diff(np.sin(deflection))
    geometric = frames["anode"]["geometric_factor_cm2_sr"].to_numpy()[:, None, None]
    timing, sweep, species = (
        frames["timing"].row(0, named=True),
        frames["sweep"].sort("step"),
        _species(frames["species"]),
    )
    return Analyser(
        species=species,
        azimuth=azimuth,
        energy_ev_q=energy,
        deflection=deflection,
        sensitivity=geometric / (solid * np.diff(np.log(energy))[:, None]),
        places=(sweep["energy"] * (len(deflection) - 1) + sweep["deflection"]).to_numpy().astype(np.int64),
        table_id=int(sweep["table_id"][0]),
        dead_time_s=timing["dead_time_s"],
        step_s=timing["sweep_s"] / timing["steps"] * (1 - timing["settle_part"]),
        leakage=_leakage(frames["leakage"], [s.name for s in species]),
        attenuation={r["position"]: r["factor"] for r in frames["attenuator"].iter_rows(named=True)},
        to_bus=frames["mounting"].select("instrument_x", "instrument_y", "instrument_z").to_numpy().astype(np.float64),
    )


def _species(frame: pl.DataFrame) -> tuple[Species, ...]:
    return tuple(
        Species(r["species"], r["number"], r["mass_u"] * constants.atomic_mass, r["charge"])
        for r in frame.iter_rows(named=True)
    )


def _leakage(frame: pl.DataFrame, order: list[str]) -> Float64:
    """The part [from, to] of the events of a species that is taken for a species."""
    leakage = np.zeros((len(order), len(order)))
    for row in frame.iter_rows(named=True):
        leakage[order.index(row["from_species"]), order.index(row["to_species"])] = row["part"]
    return leakage


def _borders(frame: object, column: str, minus: str, plus: str) -> Float64:
    values, below, above = (np.asarray(frame[name], np.float64) for name in (column, minus, plus))  # type: ignore[index]
    return np.append(values - below, values[-1] + above[-1])


@dataclass(frozen=True)
class Wind:
    """One species at n times: density [cm-3], velocity [n, 3] in the instrument's frame [km/s], temperature [eV]."""

    density_cm3: Float64
    velocity_km_s: Float64
    temperature_ev: Float64

    def thermal_km_s(self, species: Species) -> Float64:
        """sqrt(T / m) [km/s]."""
        return np.asarray(np.sqrt(self.temperature_ev * constants.e / species.mass_kg) / 1e3)


def peak_rate(analyser: Analyser, species: Species, wind: Wind) -> Float64:
    """About the highest rate [1/s] of a cell: the peak of the flux, v4 f / 2, times the part of the cell that it fills.

    In each of the three directions a normal distribution as high as the peak is sqrt(2 pi) standard deviations wide.
    """
    v, thermal = np.linalg.norm(wind.velocity_km_s, axis=1) * 1e5, wind.thermal_km_s(species) * 1e5
    f = wind.density_cm3 / (np.sqrt(2 * np.pi) * thermal) ** 3
    widths = [
        np.diff(np.log(analyser.energy_ev_q))[0] / 2,
        np.diff(analyser.azimuth)[0],
        np.diff(analyser.deflection)[0],
    ]
    filled = [np.minimum(np.sqrt(2 * np.pi) * thermal / v, width) for width in widths]
    return np.asarray(v**4 * f * np.prod(filled, axis=0) * analyser.sensitivity.max())


def draw_events(
    analyser: Analyser, species: Species, wind: Wind, seconds: Float64, random: np.random.Generator
) -> Int64:
    """Ions that arrive in each cell [n, a, e, d] in so many seconds [n] that each cell counts.

    As many are drawn as the fastest would be at the most sensitive cell; each is kept with its own chance.
    """
    thermal = wind.thermal_km_s(species)
    fastest = np.linalg.norm(wind.velocity_km_s, axis=1) + FARTHEST * thermal
    mean = wind.density_cm3 * fastest * 1e5 * analyser.sensitivity.max() * seconds
    row = np.repeat(np.arange(len(mean)), random.poisson(mean))
    velocity = wind.velocity_km_s[row] + thermal[row, None] * random.standard_normal((len(row), 3))
    v = np.linalg.norm(velocity, axis=1)
    cell, inside = cells_of(analyser, species, velocity, v)
    chance = v / fastest[row] * analyser.sensitivity.reshape(-1)[cell] / analyser.sensitivity.max()
    kept = inside & (random.random(len(row)) < chance)
    size = int(np.prod(analyser.shape))
    counts = np.bincount(row[kept] * size + cell[kept], minlength=len(mean) * size)
    return counts.reshape(len(mean), *analyser.shape)


def cells_of(
    analyser: Analyser, species: Species, velocity: Float64, v: Float64
) -> tuple[Int64, npt.NDArray[np.bool_]]:
    """The cell, as one number, that an ion of a velocity [km/s] flies into against its look direction; if any."""
    energy = species.mass_kg * (v * 1e3) ** 2 / (2 * constants.e * species.charge)
    azimuth = np.arctan2(-velocity[:, 1], -velocity[:, 0]) % (2 * np.pi)
    elevation = np.arcsin(-velocity[:, 2] / v)
    cell, inside = np.zeros(len(v), np.int64), np.ones(len(v), np.bool_)
    for values, borders in (
        (azimuth, analyser.azimuth),
        (energy, analyser.energy_ev_q),
        (elevation, analyser.deflection),
    ):
        index = np.searchsorted(borders, values, side="right") - 1
        inside &= (index >= 0) & (index < len(borders) - 1)
        cell = cell * (len(borders) - 1) + np.clip(index, 0, len(borders) - 2)
    return cell, inside


def counted(analyser: Analyser, events: list[Int64], seconds: Float64, random: np.random.Generator) -> list[Int64]:
    """What is counted for each species: events taken for another species, and lost while the anode was dead.

    Non-paralysable: of a true rate R0 the part 1 / (1 + R0 tau) is counted.
    """
    index = np.flatnonzero(sum(e.reshape(-1) for e in events))
    true = [e.reshape(-1)[index] for e in events]
    seen = [np.zeros(len(index), np.int64) for _ in events]
    for source, number in enumerate(true):
        parts = np.append(analyser.leakage[source], 1 - analyser.leakage[source].sum())
        for target, taken in enumerate(random.multinomial(number, np.maximum(parts, 0)).T[:-1]):
            seen[target] += taken
    live = np.repeat(seconds, int(np.prod(analyser.shape)))[index]
    chance = 1 / (1 + np.add.reduce(seen) / live * analyser.dead_time_s)
    result = []
    for number in seen:
        whole = np.zeros(events[0].size, np.int64)
        whole[index] = random.binomial(number, chance)
        result.append(whole.reshape(events[0].shape))
    return result


def compress(counts: Int64) -> Int64:
    """Log compression of 19 to 8 bits, rounded down; larger counts become 255.

    Below 32 the code is the count; above, the four bits behind the leading one, and its place.
    """
    bits = np.frexp(counts.astype(np.float64))[1]
    shift = np.maximum(bits - 5, 0)
    codes = np.where(counts < 32, counts, 16 * (shift + 1) + (counts >> shift) - 16)
    return np.minimum(codes, 255).astype(np.int64)
