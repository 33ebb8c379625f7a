# SPDX-License-Identifier: Apache-2.0
"""NEMISIS's clocks: tones that come a little early, an oscillator that is fast, a real-time clock in BCD."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from lake.clock import NS, unix_ns_from_tt2000
from simulate.hermes.nemisis_scenario import NemisisScenario

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

TICKS = 65536  # of the correlation factor in a second
PACKET_S = 4
SLOT_NS = 1e8  # a sample of an oscillator that is right
BCD_FIELDS = ("rtc_csec", "rtc_seconds", "rtc_minutes", "rtc_hours", "rtc_day", "rtc_month", "rtc_year")


@dataclass(frozen=True)
class Tones:
    """The tones of a run, one a packet: the correlation factor's ticks say their times, so they fall on ticks.

    Sample slots follow each other without regard to the tones; a packet holds 40, `acq_pos_num` of them before the one
    in which its tone falls. When the oscillator has gained a slot on the tones, one slot is in no packet.
    """

    scenario: NemisisScenario
    midnight: int
    packets: int
    tick_ns: float

    @cached_property
    def ticks(self) -> Int64:
        """Ticks of 1/65536 s from J2000 TT to each tone."""
        number = np.arange(self.packets, dtype=np.int64)
        first = self.midnight + round(self.scenario.first_tone_s * NS)
        ticks = first // NS * TICKS + -(-(first % NS) * TICKS // NS)
        early = np.floor(self.scenario.tone_ticks_early * number).astype(np.int64)
        return np.asarray(ticks + PACKET_S * TICKS * number - early, np.int64)

    @cached_property
    def times(self) -> Int64:
        """TT2000 [ns] of each tone."""
        seconds, ticks = np.divmod(self.ticks, TICKS)
        return np.asarray(seconds * NS + (2 * ticks * NS + TICKS) // (2 * TICKS), np.int64)

    @property
    def slot_ns(self) -> float:
        """The length of a sample slot."""
        return SLOT_NS / (1 + self.scenario.oscillator_fast_ppm * 1e-6)

    @cached_property
    def slots(self) -> Int64:
        """The slot in which each tone falls, counted from that of the first tone."""
        passed = (self.times - self.times[:1]) / self.slot_ns + self.scenario.first_slot_phase
        return np.floor(passed).astype(np.int64)

    def sample_times(self, first: int, stop: int, samples: int) -> Int64:
        """TT2000 [ns] at which each sample of some packets begins [packets, samples]."""
        slots = self.slots[first:stop, None] + np.arange(samples) - self.scenario.acq_pos_num
        since = np.rint((slots - self.scenario.first_slot_phase) * self.slot_ns)
        return np.asarray(self.times[0] + since.astype(np.int64), np.int64)

    def isr_count(self, phase: float) -> Int64:
        """Interrupts from the start of the slot to the tone, with the phase of the count that the calibration says."""
        since = self.times - self.times[:1] - (self.slots - self.scenario.first_slot_phase) * self.slot_ns
        return np.floor(since / self.tick_ns - phase + 0.5).astype(np.int64).clip(0)

    def fields(self) -> dict[str, Int64]:
        """The packet's fields MET and correlation factor."""
        met = self.scenario.met_at_start + PACKET_S * np.arange(self.packets, dtype=np.int64)
        factor = self.ticks - met * TICKS
        seconds, ticks = np.divmod(factor, TICKS)
        return {"met_seconds": met, "stcf_seconds": seconds % (1 << 32), "stcf_subseconds": ticks}


def clock_bytes(unix_ns: Int64) -> dict[str, Int64]:
    """The seven BCD bytes that a real-time clock shows at a UTC time."""
    day = (unix_ns // NS).astype("datetime64[s]").astype("datetime64[D]")
    month, year = day.astype("datetime64[M]"), day.astype("datetime64[Y]")
    of_day = unix_ns // (NS // 100) % 8_640_000
    numbers = (
        of_day % 100,
        of_day // 100 % 60,
        of_day // 6000 % 60,
        of_day // 360_000,
        (day - month).astype(np.int64) + 1,
        (month - year).astype(np.int64) + 1,
        year.astype(np.int64) - 30,
    )
    return {name: n // 10 << 4 | n % 10 for name, n in zip(BCD_FIELDS, numbers, strict=True)}


def shown_times(scenario: NemisisScenario, tt2000: Int64, packets: Int64, switched_on: int) -> Int64:
    """Unix nanoseconds that the real-time clock shows: from 2000-01-01 since power-on until it is set, then UTC."""
    unset = int(np.datetime64("2000-01-01", "ns").astype(np.int64)) + tt2000 - switched_on
    right = unix_ns_from_tt2000(tt2000) + round(scenario.rtc_error_s * NS)
    return np.where(packets < scenario.unset_rtc_packets, unset, right)
