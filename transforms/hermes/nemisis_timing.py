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
from transforms.hermes.nemisis_calibration import Floats, nanoseconds

Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]
Parameters = dict[str, float]

SUBSECONDS = 65536  # ticks of the correlation factor in a second
SECONDS_MODULUS = 1 << 32  # MET and correlation factor are 32 bits wide, and so is their sum
FIELDS = (
    *("epoch_tt2000", "pkt_id", "acq_pos_num", "xsum", "start_flag", "relay_state"),
    *("met_seconds", "stcf_seconds", "stcf_subseconds", "isr_count"),
)
NEEDED = (
    *("isr_tick_ns", "isr_phase_ticks", "sample_period_ns", "tone_age_min_s", "tone_age_max_s", "packet_period_s"),
    *("slot_tolerance", "fit_gap_max_s", "fit_half_window_s", "fit_half_window_min_s", "fit_packets_min"),
    "back_fill_packets_max",
)
ROWS = 512  # packets fitted at once: 5 MB for each array of a window of 40 minutes


@dataclass(frozen=True)
class Line:
    """Straight lines through the tones, one for each packet [n].

    The packet's acquired sample began `shift_ns` after its own `start_ns`, and samples are `period_ns` apart. Of the
    packets that the line goes through, none lies farther from it than `residual_ns`. `fitted` is false where no line
    was found and the packet stands for itself; there is no residual then.
    """

    shift_ns: Floats
    period_ns: Floats
    residual_ns: Floats
    fitted: Bool

    def put(self, rows: Int64 | Bool, found: Line) -> None:
        """Takes over lines that were found for some of the packets."""
        for name, values in vars(found).items():
            getattr(self, name)[rows] = values

    def take(self, rows: Int64 | Bool) -> Line:
        """The lines of some of the packets."""
        return Line(**{name: values[rows] for name, values in vars(self).items()})


@dataclass(frozen=True)
class Timing:
    """Time of each packet's tone and first sample, TT2000 ns, the distance of its samples, and how they were found.

    Where `timed` is false there is no time; `tone_valid` says whether the packet's own tone can be believed. Of a run
    of packets that are `slip_unplaced`, the instrument dropped a slot before one, and no tone tells which.
    """

    tone_ns: Int64
    tone_valid: Bool
    first_ns: Int64
    period_ns: Floats
    residual_ns: Floats
    timed: Bool
    back_filled: Bool
    fitted: Bool
    slipped: Bool
    slip_unplaced: Bool

    def sample_times(self, samples: int) -> Int64:
        """TT2000 [ns] of every sample [n, samples]; meaningless where not `timed`."""
        return self.first_ns[:, None] + np.rint(self.period_ns[:, None] * np.arange(samples)).astype(np.int64)


def time_packets(packets: pl.DataFrame, parameters: Parameters, samples: int) -> Timing:
    """The timing of packets that are sorted by the time when they were sent.

    Each result depends only on packets within `reach_s`, to the last bit.
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
    slipped = _slipped(columns["pkt_id"], timed, first, np.rint(samples * period), parameters)
    back_filled, line = timed & ~valid, line.take(giver)
    # Packets without a tone are counted back from the next good one, so a dropped slot shows before the first of them.
    unplaced = timed & np.isin(giver, giver[slipped & back_filled])
    return Timing(tone, valid, first, period, line.residual_ns, timed, back_filled, line.fitted, slipped, unplaced)


def reach_s(parameters: Parameters) -> tuple[float, float]:
    """Seconds before and after a sample within which all packets that have a part in its time were sent.

    A line goes through half a window to either side, that of a back-filled packet around the next good one; a dropped
    slot is seen over a gap of a line. A packet is sent within a tone's age and a packet of its samples.
    """
    sent = 2 * max(abs(parameters[f"tone_age_{end}_s"]) for end in ("min", "max")) + 3 * parameters["packet_period_s"]
    half, back_fill = (
        parameters["fit_half_window_s"],
        parameters["back_fill_packets_max"] * parameters["packet_period_s"],
    )
    return max(half, parameters["fit_gap_max_s"]) + sent, half + back_fill + sent


def _lines_of_all(start: Int64, valid: Bool, parameters: Parameters) -> Line:
    """The lines through the valid tones, with places for the packets that have none."""
    lines = _no_lines(len(start), parameters)
    lines.put(valid, fit_lines(start[valid], parameters))
    return lines


def _no_lines(packets: int, parameters: Parameters) -> Line:
    """Of packets that stand for themselves."""
    period = np.full(packets, parameters["sample_period_ns"])
    return Line(np.zeros(packets), period, np.full(packets, np.nan), np.zeros(packets, np.bool_))


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
    youngest, oldest = (nanoseconds(parameters[f"tone_age_{end}_s"]) for end in ("min", "max"))
    had_tone = (columns["relay_state"] == 1) & (columns["start_flag"] == 0) & (columns["xsum"] == 1)
    return np.asarray(had_tone & (columns["acq_pos_num"] < samples) & (age >= youngest) & (age <= oldest))


# ---- lines through the tones ---------------------------------------------------------------------------------------
def fit_lines(start: Int64, parameters: Parameters) -> Line:
    """A straight line around each packet through the starts of the acquired samples, against the number of the slot.

    Both counters step by 15 us, the oscillator does not: over many packets the steps average out. A line is believed
    if every packet of its window lies within the steps of it; otherwise the window is quartered.
    """
    lines = _no_lines(len(start), parameters)
    for first, stop, slots in _stretches(start, parameters):
        lines.put(np.arange(first, stop), _fit_stretch(start[first:stop], slots, parameters))
    return lines


def _stretches(start: Int64, parameters: Parameters) -> list[tuple[int, int, Int64]]:
    """Stretches in which each tone is a whole number of slots after the one before, and the slots in each."""
    steps = np.diff(start)
    slots = np.rint(steps / parameters["sample_period_ns"]).astype(np.int64)
    off = np.abs(steps / parameters["sample_period_ns"] - slots)
    broken = (off > parameters["slot_tolerance"]) | (slots < 1) | (steps > nanoseconds(parameters["fit_gap_max_s"]))
    edges = [0, *(np.flatnonzero(broken) + 1).tolist(), len(start)] if len(start) else [0]
    number = np.concatenate([np.zeros(1, np.int64), np.cumsum(slots)])
    return [(a, b, number[a:b] - number[a]) for a, b in pairwise(edges)]


def _fit_stretch(start: Int64, slots: Int64, parameters: Parameters) -> Line:
    lines, waiting = _no_lines(len(start), parameters), np.arange(len(start))
    half, least = (nanoseconds(parameters[name]) for name in ("fit_half_window_s", "fit_half_window_min_s"))
    while len(waiting) and half >= least:
        for at in range(0, len(waiting), ROWS):
            rows = waiting[at : at + ROWS]
            found = _fit_windows(start, slots, rows, half, parameters)
            lines.put(rows[found.fitted], found.take(found.fitted))
        waiting, half = waiting[~lines.fitted[waiting]], half // 4
    return lines


def _fit_windows(start: Int64, slots: Int64, rows: Int64, half_ns: int, parameters: Parameters) -> Line:
    """Least-squares lines of the windows around the rows, `fitted` where they can be believed.

    Everything counts from the row itself, in whole numbers whose sums are exact in any order: the result does not
    depend on where the stretch begins or on which rows are fitted together.
    """
    first, stop = np.searchsorted(start, start[rows] - half_ns), np.searchsorted(start, start[rows] + half_ns, "right")
    index, count = first[:, None] + np.arange(int((stop - first).max())), stop - first
    # Beyond its window each row stands in for itself: at 0, 0 it adds nothing to a sum.
    index = np.where(index < stop[:, None], index, rows[:, None])
    period = round(parameters["sample_period_ns"])
    x = slots[index] - slots[rows, None]
    y = (start[index] - start[rows, None]) - x * period
    x_mean, y_mean = x.sum(axis=1) / count, y.sum(axis=1) / count
    xx, xy = ((x * v).sum(axis=1) - count * x_mean * mean for v, mean in ((x, x_mean), (y, y_mean)))
    slope = xy / np.maximum(xx, 1.0)
    shift = y_mean - slope * x_mean
    worst = np.abs(y - shift[:, None] - slope[:, None] * x).max(axis=1)
    # Half a step of both counters, and 2.5 standard errors of such a line at the ends of its window.
    steps = 0.5 * parameters["isr_tick_ns"] + 0.5 * NS / SUBSECONDS
    good = (worst <= steps * (1 + 2 / np.sqrt(count))) & (count >= parameters["fit_packets_min"])
    return Line(shift, slope + period, worst, good)


# ---- packets without a valid tone ----------------------------------------------------------------------------------
def _timed_by(columns: dict[str, Int64], valid: Bool, parameters: Parameters) -> tuple[Int64, Int64]:
    """Which packet gives each packet its time, -1 if none does, and how many packets later that one comes.

    A good packet times itself. One without a valid tone is timed by the next good one, if both are of the same run:
    their numbers and the times when they were sent go together.
    """
    here, numbers = np.arange(len(valid)), np.append(np.flatnonzero(valid), -1)
    giver = numbers[np.searchsorted(numbers[:-1], here)]
    packets = columns["pkt_id"][giver] - columns["pkt_id"]
    sent, cadence = columns["epoch_tt2000"][giver] - columns["epoch_tt2000"], nanoseconds(parameters["packet_period_s"])
    same_run = (packets >= 1) & (packets <= parameters["back_fill_packets_max"])
    same_run &= np.abs(sent - packets * cadence) <= cadence // 2
    known = (giver >= 0) & (valid | same_run)
    return np.where(known, giver, -1), np.where(known, packets, 0)


def _slipped(pkt_id: Int64, timed: Bool, first: Int64, length: Floats, parameters: Parameters) -> Bool:
    """Packets before which the instrument dropped a slot: one more has passed than the packets since explain.

    `length` [ns] is that of each packet. Over a longer silence than a line nothing is said.
    """
    which = np.flatnonzero(timed)
    passed, packets = np.diff(first[which]), np.diff(pkt_id[which])
    extra = np.rint((passed - packets * length[which[1:]]) / parameters["sample_period_ns"])
    known = (packets >= 1) & (passed <= nanoseconds(parameters["fit_gap_max_s"]))
    slipped = np.zeros(len(pkt_id), np.bool_)
    slipped[which[1:]] = known & (extra >= 1) & (extra <= packets)
    return slipped
