# SPDX-License-Identifier: Apache-2.0
"""MeDDEA housekeeping and register reads: physical values that follow the orbit, turned back into raw words."""

from __future__ import annotations

from datetime import date

import numpy as np
import numpy.typing as npt
from scipy.interpolate import make_interp_spline

from lake.definitions import Instrument
from lake.errors import CalibrationError, DefinitionError
from simulate.orbit import Orbit
from simulate.packets import Int64
from simulate.padre.meddea_detector import calibration_frame
from simulate.padre.meddea_scenario import SCENARIO, Contacts, HousekeepingChannel, HousekeepingRules
from simulate.sun import Float64

COEFFICIENTS = ("c0", "c1", "c2", "c3")


class Inverse:
    """Raw words of physical values: the calibration curve of a channel, tabulated for every word and turned round."""

    def __init__(self, words: Int64, values: Float64) -> None:
        rising = values[-1] >= values[0]
        values, self.words = (values, words) if rising else (values[::-1], words[::-1])
        self.values = np.maximum.accumulate(values)

    def __call__(self, values: Float64) -> Int64:
        """The words whose calibrated values are nearest; values outside the curve give its ends."""
        return np.rint(np.interp(values, self.values, self.words)).astype(np.int64)


def read_inverses(instrument: Instrument, day: date) -> dict[str, Inverse]:
    """The inverse calibration of each housekeeping channel that has one on the day."""
    found = {}
    for row in calibration_frame(instrument, "housekeeping_polynomial", day).iter_rows(named=True):
        words = np.arange(row["adc_min"], row["adc_max"] + 1, dtype=np.int64)
        values = np.polynomial.polynomial.polyval(words.astype(np.float64), [row.get(c) or 0.0 for c in COEFFICIENTS])
        found[str(row["channel"])] = Inverse(words, np.asarray(values, np.float64))
    splines = calibration_frame(instrument, "housekeeping_spline", day).sort("channel", "adc")
    for (channel,), points in splines.group_by("channel", maintain_order=True):
        adc = points["adc"].to_numpy().astype(np.int64)
        words = np.arange(adc[0], adc[-1] + 1, dtype=np.int64)
        spline = make_interp_spline(adc.astype(np.float64), points["value"].to_numpy())
        found[str(channel)] = Inverse(words, np.asarray(spline(words), np.float64))
    return found


def channel_values(channel: HousekeepingChannel, phase: Float64, random: np.random.Generator) -> Float64:
    """Physical values of a channel at phases of the orbit."""
    swing = channel.swing * np.cos(2 * np.pi * (phase - channel.lag))
    return np.asarray(channel.mean + swing + channel.noise * random.standard_normal(len(phase)), np.float64)


def housekeeping_values(
    rules: HousekeepingRules, inverses: dict[str, Inverse], phase: Float64, random: np.random.Generator
) -> dict[str, npt.NDArray[np.int64]]:
    """Raw words of the calibrated channels. Raises CalibrationError if a channel of the scenario has no calibration."""
    missing = sorted(set(rules.channels) - set(inverses))
    if missing:
        raise CalibrationError(
            f"{SCENARIO} (housekeeping.channels): {', '.join(missing)} has no calibration. Remove it or add its curve."
        )
    return {name: inverses[name](channel_values(channel, phase, random)) for name, channel in rules.channels.items()}


def error_mask(instrument: Instrument, rules: HousekeepingRules, day: date) -> int:
    """The error summary with the scenario's bit set. Raises DefinitionError if there is no such bit."""
    bits = dict(calibration_frame(instrument, "error_bits", day).select("name", "bit").iter_rows())
    if rules.error_bit not in bits:
        raise DefinitionError(
            f"{SCENARIO} (housekeeping.error_bit): {rules.error_bit!r} is in no error_bits_*.csv. Correct the name."
        )
    return 1 << int(bits[rules.error_bit])


def register_addresses(instrument: Instrument, contacts: Contacts, day: date) -> Int64:
    """Addresses of the registers that the scenario reads. Raises DefinitionError if one is unknown."""
    known = dict(calibration_frame(instrument, "registers", day).select("name", "address").iter_rows())
    unknown = [name for name in contacts.registers if name not in known]
    if unknown:
        raise DefinitionError(
            f"{SCENARIO} (contacts.registers): {', '.join(unknown)} is in no registers_*.csv. Correct the name."
        )
    return np.array([known[name] for name in contacts.registers], np.int64)


def contact_times(contacts: Contacts, orbit: Orbit, days_unix_s: list[float]) -> Float64:
    """Unix seconds of every register read of the days, in time order."""
    begins = [
        orbit.sunrise(day, n) + 60 * contacts.minutes_after_sunrise for day in days_unix_s for n in contacts.orbits
    ]
    steps = contacts.step_s * np.arange(len(contacts.registers))
    return np.asarray((np.sort(begins)[:, None] + steps).reshape(-1), np.float64)
