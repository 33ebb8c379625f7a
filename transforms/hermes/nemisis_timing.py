# SPDX-License-Identifier: Apache-2.0
"""When NEMISIS's samples were taken: tones, interrupts, a straight line through them, and packets without a valid tone.

Source of the tone formula and of its exceptions: the instrument team's packet code, with the correlation factor's
16-bit part read as 1/65536 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lake.clock import NS
from transforms.hermes.nemisis_calibration import Floats, Parameters

Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

SUBSECONDS = 65536  # ticks of the correlation factor in a second
SECONDS_MODULUS = 1 << 32  # MET and correlation factor are 32 bits wide, and so is their sum
FIELDS = (
    *("epoch_tt2000", "pkt_id", "acq_pos_num", "xsum", "start_flag", "relay_state"),
    *("met_seconds", "stcf_seconds", "stcf_subseconds", "isr_count"),
)
ROWS = 512  # packets fitted at once: 5 MB for each array of a window of 40 minutes


@dataclass(frozen=True)
class Line:
    """Straight lines through the tones, one for each packet [n].

    The packet's acquired sample began `shift_ns` after its own `start_ns`, and samples are `period_ns` apart. `fitted`
    is false where no line was found and the packet stands for itself.
    """

    shift_ns: Floats
    period_ns: Floats
    fitted: Bool


@dataclass(frozen=True)
class Timing:
    """Time of each packet's tone and first sample, TT2000 ns, the distance of its samples, and how they were found.

    Where `timed` is false there is no time; `tone_valid` says whether the packet's own tone can be believed.
    """

    tone_ns: Int64
    tone_valid: Bool
    first_ns: Int64
    period_ns: Floats
    timed: Bool
    back_filled: Bool
    fitted: Bool
    slipped: Bool

    def sample_times(self, samples: int) -> Int64:
        """TT2000 [ns] of every sample [n, samples]; meaningless where not `timed`."""
        return self.first_ns[:, None] + np.rint(self.period_ns[:, None] * np.arange(samples)).astype(np.int64)


def time_packets(packets: pl.DataFrame, parameters: Parameters, samples: int) -> Timing:
    """The timing of packets that are sorted by the time when they were sent.

    Each result depends only on packets within fit_half_window_s, and on the next good one where it is back-filled.
    """
    columns = {name: packets[name].to_numpy().astype(np.int64) for name in FIELDS}
    tone = tone_times(columns["met_seconds"], columns["stcf_seconds"], columns["stcf_subseconds"])
    valid = _tone_is_valid(columns, tone, parameters, samples)
    start = tone - _since_start(columns["isr_count"], parameters)
    line = _lines_of_all(start, valid, parameters)
    own = start + np.rint(line.shift_ns - line.period_ns * columns["acq_pos_num"]).astype(np.int64)
    giver, packets_on = _timed_by(columns, valid, parameters)
    first = own[giver] - np.rint(samples * packets_on * line.period_ns[giver]).astype(np.int64)
    timed, period = giver >= 0, line.period_ns[giver]
    slipped = _slipped(columns["pkt_id"], timed, first, period, samples)
    return Timing(tone, valid, first, period, timed, timed & ~valid, line.fitted[giver], slipped)


def _lines_of_all(start: Int64, valid: Bool, parameters: Parameters) -> Line:
    """The lines through the valid tones, with places for the packets that have none."""
    found = fit_lines(start[valid], parameters)
    shift, period, fitted = np.zeros(len(start)), np.zeros(len(start)), np.zeros(len(start), np.bool_)
    shift[valid], period[valid], fitted[valid] = found.shift_ns, found.period_ns, found.fitted
    return Line(shift, period, fitted)


def tone_times(met_seconds: Int64, stcf_seconds: Int64, stcf_subseconds: Int64) -> Int64:
    """TT2000 [ns] of the tone: MET + STCF + STCFsub/65536 seconds past J2000 TT, to the nearest nanosecond."""
    seconds = (met_seconds + stcf_seconds) % SECONDS_MODULUS
    return np.asarray(seconds * NS + (2 * stcf_subseconds * NS + SUBSECONDS) // (2 * SUBSECONDS), np.int64)


def _since_start(isr_count: Int64, parameters: Parameters) -> Int64:
    """Nanoseconds from the start of the acquired sample to the tone."""
    ticks = isr_count + parameters["isr_phase_ticks"]
    return np.asarray(np.rint(ticks * parameters["isr_tick_ns"]), np.int64)


def _tone_is_valid(columns: dict[str, Int64], tone: Int64, parameters: Parameters, samples: int) -> Bool:
    """Whether the packet says that it had a tone, and the packet was sent soon after it."""
    age = columns["epoch_tt2000"] - tone
    youngest, oldest = (parameters.nanoseconds(f"tone_age_{end}_s") for end in ("min", "max"))
    had_tone = (columns["relay_state"] == 1) & (columns["start_flag"] == 0) & (columns["xsum"] == 1)
    return np.asarray(had_tone & (columns["acq_pos_num"] < samples) & (age >= youngest) & (age <= oldest))


# ---- lines through the tones ---------------------------------------------------------------------------------------
def fit_lines(start: Int64, parameters: Parameters) -> Line:
    """A straight line around each packet through the starts of the acquired samples, against the number of the slot.

    Both counters step by 15 us, the oscillator does not: over many packets the steps average out. A line is believed
    if every packet of its window lies within the steps of it; otherwise the window is quartered.
    """
    shift, period = np.zeros(len(start)), np.full(len(start), parameters["sample_period_ns"])
    fitted = np.zeros(len(start), np.bool_)
    for first, stop, slots in _stretches(start, parameters):
        part = slice(first, stop)
        shift[part], period[part], fitted[part] = _fit_stretch(start[part], slots, parameters)
    return Line(shift, period, fitted)


def _stretches(start: Int64, parameters: Parameters) -> list[tuple[int, int, Int64]]:
    """Stretches in which each tone is a whole number of slots after the one before, and the slots in each."""
    steps = np.diff(start)
    slots = np.rint(steps / parameters["sample_period_ns"]).astype(np.int64)
    off = np.abs(steps / parameters["sample_period_ns"] - slots)
    broken = (off > parameters["slot_tolerance"]) | (slots < 1) | (steps > parameters.nanoseconds("fit_gap_max_s"))
    edges = [0, *(np.flatnonzero(broken) + 1).tolist(), len(start)] if len(start) else [0]
    number = np.concatenate([np.zeros(1, np.int64), np.cumsum(slots)])
    return [(a, b, number[a:b] - number[a]) for a, b in pairwise(edges)]


def _fit_stretch(start: Int64, slots: Int64, parameters: Parameters) -> tuple[Floats, Floats, Bool]:
    shift, period = np.zeros(len(start)), np.full(len(start), parameters["sample_period_ns"])
    waiting, half = np.arange(len(start)), parameters.nanoseconds("fit_half_window_s")
    while len(waiting) and half >= parameters.nanoseconds("fit_half_window_min_s"):
        good = np.zeros(len(waiting), np.bool_)
        for at in range(0, len(waiting), ROWS):
            rows = waiting[at : at + ROWS]
            value, slope, good[at : at + ROWS] = _fit_windows(start, slots, rows, half, parameters)
            shift[rows], period[rows] = value, slope
        waiting, half = waiting[~good], half // 4
    shift[waiting], period[waiting] = 0.0, parameters["sample_period_ns"]
    fitted = np.ones(len(start), np.bool_)
    fitted[waiting] = False
    return shift, period, fitted


def _fit_windows(
    start: Int64, slots: Int64, rows: Int64, half_ns: int, parameters: Parameters
) -> tuple[Floats, Floats, Bool]:
    """Least-squares line of the window around each of the rows: value at the row [ns], period [ns], believed or not.

    Everything counts from the row itself, so the result does not depend on where the stretch begins.
    """
    first, stop = np.searchsorted(start, start[rows] - half_ns), np.searchsorted(start, start[rows] + half_ns, "right")
    index = first[:, None] + np.arange(int((stop - first).max()))
    inside = index < stop[:, None]
    index = np.minimum(index, len(start) - 1)
    x = (slots[index] - slots[rows, None]).astype(np.float64)
    y = (start[index] - start[rows, None]) - x * parameters["sample_period_ns"]
    count = inside.sum(axis=1)
    x_mean, y_mean = (np.where(inside, v, 0.0).sum(axis=1) / count for v in (x, y))
    dx, dy = (np.where(inside, v - mean[:, None], 0.0) for v, mean in ((x, x_mean), (y, y_mean)))
    slope = (dx * dy).sum(axis=1) / np.maximum((dx * dx).sum(axis=1), 1.0)
    worst = np.abs(dy - slope[:, None] * dx).max(axis=1)
    # Half a step of both counters, and 2.5 standard errors of such a line at the ends of its window.
    steps = 0.5 * parameters["isr_tick_ns"] + 0.5 * NS / SUBSECONDS
    good = (worst <= steps * (1 + 2 / np.sqrt(count))) & (count >= parameters["fit_packets_min"])
    return y_mean - slope * x_mean, slope + parameters["sample_period_ns"], good


# ---- packets without a valid tone ----------------------------------------------------------------------------------
def _timed_by(columns: dict[str, Int64], valid: Bool, parameters: Parameters) -> tuple[Int64, Int64]:
    """Which packet gives each packet its time, -1 if none does, and how many packets later that one comes.

    A good packet times itself. One without a valid tone is timed by the next good one, if both are of the same run:
    their numbers and the times when they were sent go together.
    """
    here, numbers = np.arange(len(valid)), np.append(np.flatnonzero(valid), -1)
    giver = numbers[np.searchsorted(numbers[:-1], here)]
    packets = columns["pkt_id"][giver] - columns["pkt_id"]
    sent, cadence = columns["epoch_tt2000"][giver] - columns["epoch_tt2000"], parameters.nanoseconds("packet_period_s")
    same_run = (packets >= 1) & (packets <= parameters["back_fill_packets_max"])
    same_run &= np.abs(sent - packets * cadence) <= cadence // 2
    known = (giver >= 0) & (valid | same_run)
    return np.where(known, giver, -1), np.where(known, packets, 0)


def _slipped(pkt_id: Int64, timed: Bool, first: Int64, period: Floats, samples: int) -> Bool:
    """Packets before which the instrument dropped a slot: one more has passed than the packets since explain."""
    which = np.flatnonzero(timed)
    slots = np.rint(np.diff(first[which]) / period[which[1:]])
    packets = np.diff(pkt_id[which])
    extra = slots - samples * packets
    slipped = np.zeros(len(pkt_id), np.bool_)
    slipped[which[1:]] = (packets >= 1) & (extra >= 1) & (extra <= packets)
    return slipped
