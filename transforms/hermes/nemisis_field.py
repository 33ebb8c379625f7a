# SPDX-License-Identifier: Apache-2.0
"""NEMISIS's field: spikes, temperature, gain, orthogonality, attitude, and the host's part of it.

Vectors are arrays [n, 3] in nT; a value that is not known is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, rank_filter
from scipy.spatial.transform import Rotation, Slerp

from lake.clock import NS, tt2000_from_unix_ns
from lake.definitions import Calibration
from lake.errors import CalibrationError
from transforms.conversions import calibration_rows
from transforms.hermes.nemisis_calibration import SENSORS, Floats, Response, by_sensor, nanoseconds

Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

MAD_TO_SIGMA = 1.4826022185056018  # 1 / (the normal distribution's 75 % quantile): sigma of a median deviation of 1
UTC_TIME = "%Y-%m-%dT%H:%M:%S%.fZ"
QUATERNION = ("qx", "qy", "qz", "qw")
WINDOWS = 32_768  # windows sorted at once: 5 MB of 21 samples each


# ---- spikes --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class SpikeRule:
    """What a spike is: more than `sigmas` and `floor_nt` away from the median of a `window` of samples.

    No window holds samples on both sides of a step in time of more than `gap_ns`.
    """

    window: int
    sigmas: float
    floor_nt: float
    gap_ns: int

    @property
    def reach_s(self) -> float:
        """Seconds from a sample to the farthest that may be in its window."""
        return self.window // 2 * self.gap_ns / NS


def read_spike_rules(despike: Calibration) -> list[SpikeRule]:
    """The rule of each sensor. Raises CalibrationError unless windows are odd."""
    rows = by_sensor(despike, "window", "sigmas", "floor_nt", "gap_s")
    if (rows[:, 0] % 2 != 1).any():
        raise CalibrationError(f"{despike.path} (window): is not odd, so it has no middle. Correct it.")
    return [SpikeRule(int(window), sigmas, floor, nanoseconds(gap)) for window, sigmas, floor, gap in rows.tolist()]


def spikes(times: Int64, values: Floats, rule: SpikeRule) -> Bool:
    """Where values [n] are more than some sigmas away from the median of the window around them (Hampel 1974).

    sigma is 1.4826 times the median absolute deviation in the window. A window counts places: a NaN holds its place,
    but has no part in the medians. `times` [ns] ascend; at a longer step than the rule's gap, as at both ends, the
    window has its other half only. With half a window of values or fewer nothing is told from a spike.
    """
    half = rule.window // 2
    stretch = np.cumsum(np.diff(times, prepend=times[:1]) > rule.gap_ns)
    place = np.arange(len(values)) + half * (stretch + 1)
    row = np.full(len(values) + half * (int(stretch[-1:].sum()) + 2), np.nan)
    row[place] = values
    return np.asarray(_spikes(row, rule)[place])


def _spikes(row: Floats, rule: SpikeRule) -> Bool:
    """Spikes among values that follow each other; half a window of NaN stands before, after, and in each gap."""
    window, half, quarter = rule.window, rule.window // 2, rule.window // 4
    empty = np.isnan(row)
    values = np.where(empty, 0.0, row)
    ranks = (half - quarter, half, half + quarter)
    low, median, high = (rank_filter(values, rank, size=window) for rank in ranks)
    # More than half of a full window lies within one median deviation, so that reaches one of these ranks at least:
    # most values are cleared without sorting their window.
    least = np.minimum(high - median, median - low)
    suspect = np.abs(values - median) > np.maximum(rule.floor_nt, rule.sigmas * MAD_TO_SIGMA * least)
    suspect |= maximum_filter1d(empty.astype(np.uint8), window) > 0
    suspects, found = np.flatnonzero(suspect & ~empty), np.zeros(len(row), np.bool_)
    for at in range(0, len(suspects), WINDOWS):
        which = suspects[at : at + WINDOWS]
        found[which] = _far_from_median(row[which], row[which[:, None] + np.arange(-half, half + 1)], rule)
    return found


def _far_from_median(values: Floats, windows: Floats, rule: SpikeRule) -> Bool:
    """Which values [n] are spikes in their windows [n, window]."""
    median, count = _medians(windows)
    deviation, _ = _medians(np.abs(windows - median[:, None]))
    far = np.abs(values - median) > np.maximum(rule.floor_nt, rule.sigmas * MAD_TO_SIGMA * deviation)
    return np.asarray(far & (count > rule.window // 2))


def _medians(windows: Floats) -> tuple[Floats, Int64]:
    """Median of the values of each window that are not NaN, and their number, which is not 0."""
    ordered, here = np.sort(windows, axis=1), np.arange(len(windows))  # NaN come last
    count = np.count_nonzero(~np.isnan(windows), axis=1)
    return 0.5 * (ordered[here, (count - 1) // 2] + ordered[here, count // 2]), count


# ---- gains and frames ----------------------------------------------------------------------------------------------
def calibrated(pseudo: Floats, temperature_degc: Floats | None, sensor: int, response: Response) -> Floats:
    """nT in the sensor's orthogonal frame: M (g(T) b) - o(T), where g = g0 (1 + a dT) and o = o0 + c dT.

    `pseudo` is pseudo-nT [n, 3], `temperature_degc` [n]; dT counts from each axis's own reference temperature. Without
    temperatures g0 and o0 are taken as they are.
    Source: the usual calibration of a vector magnetometer, e.g. Acuna 2002, Rev. Sci. Instrum. 73, 3717.
    """
    reference = response.reference_degc[sensor]
    warmer = np.zeros(3) if temperature_degc is None else temperature_degc[:, None] - reference
    gain = response.gain[sensor] * (1 + response.gain_per_degc[sensor] * warmer)
    offset = response.offset_nt[sensor] + response.offset_nt_per_degc[sensor] * warmer
    return np.asarray((gain * pseudo) @ response.matrix[sensor].T - offset, np.float64)


def connected(times: Int64, known_at: Int64, gap_ns: int) -> Bool:
    """Whether each time lies at or between two neighbours of `known_at` (sorted) that are at most a gap apart."""
    if not len(known_at):
        return np.zeros(len(times), np.bool_)
    after = np.searchsorted(known_at, times)
    last = len(known_at) - 1
    exact = known_at[np.minimum(after, last)] == times
    between = (after > 0) & (after <= last)
    short = known_at[np.minimum(after, last)] - known_at[np.maximum(after - 1, 0)] <= gap_ns
    return np.asarray(exact | (between & short))


def interpolated(times: Int64, known_at: Int64, values: Floats, gap_ns: int) -> Floats:
    """Values at times, linear between neighbours at most a gap apart, else held for half a gap around; NaN elsewhere.

    `known_at` is sorted; values that are NaN are left out. Nothing farther than a gap has a part in a value.
    """
    known = ~np.isnan(values)
    known_at, values = known_at[known], values[known]
    if not len(known_at):
        return np.full(len(times), np.nan)
    last = len(known_at) - 1
    left = np.maximum(np.searchsorted(known_at, times, "right") - 1, 0)
    right = np.minimum(left + 1, last)
    part = (times - known_at[left]) / np.maximum(known_at[right] - known_at[left], 1)
    linear = values[left] + part * (values[right] - values[left])
    nearest = np.where(np.abs(times - known_at[left]) <= np.abs(known_at[right] - times), left, right)
    held = np.where(np.abs(times - known_at[nearest]) <= gap_ns // 2, values[nearest], np.nan)
    return np.where(connected(times, known_at, gap_ns), linear, held)


# ---- attitude ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Attitudes:
    """The bus in GSE: rotations at TT2000 times [ns], in order of time."""

    times: Int64
    rotations: Rotation


def read_attitudes(attitude: Calibration) -> Attitudes:
    """Rows time (UTC, 2026-08-01T00:00:00Z) and qx, qy, qz, qw, from the bus frame to GSE. Raises CalibrationError."""
    rows = calibration_rows(attitude, key=("time",), numbers=QUATERNION)
    try:
        unix_ns = rows["time"].str.to_datetime(UTC_TIME, time_unit="ns").cast(pl.Int64).to_numpy()
    except pl.exceptions.PolarsError:
        raise CalibrationError(
            f"{attitude.path} (time): a cell is no UTC time. Write each as 2026-08-01T00:00:00Z."
        ) from None
    # Sorted as text, 00:00:00.5Z comes before 00:00:00Z.
    times = tt2000_from_unix_ns(unix_ns)
    order = np.argsort(times)
    if (np.diff(times[order]) == 0).any():
        raise CalibrationError(f"{attitude.path} (time): a time is there twice. Leave one row for each.")
    quaternions = rows.select(QUATERNION).cast(pl.Float64).to_numpy()[order]
    if (np.abs(np.linalg.norm(quaternions, axis=1) - 1) > 1e-6).any():
        raise CalibrationError(f"{attitude.path}: a quaternion is not of length 1. Correct it.")
    return Attitudes(times[order], Rotation.from_quat(quaternions))


def to_gse(times: Int64, attitudes: Attitudes | None, gap_ns: int) -> Floats:
    """Matrices [n, 3, 3] from the bus frame to GSE, by spherical interpolation (Shoemake 1985) between two attitudes.

    NaN where the attitudes around are more than a gap apart, and outside all of them: nothing is extrapolated.
    """
    matrices = np.full((len(times), 3, 3), np.nan)
    if attitudes is None:
        return matrices
    known = connected(times, attitudes.times, gap_ns)
    if known.any():
        matrices[known] = _between(times[known], attitudes).as_matrix()
    return matrices


def _between(times: Int64, attitudes: Attitudes) -> Rotation:
    """Rotations at times that lie between attitudes, or at the only one."""
    if len(attitudes.times) == 1:
        return attitudes.rotations[np.zeros(len(times), np.int64)]
    origin = attitudes.times[0]
    return Slerp((attitudes.times - origin) / NS, attitudes.rotations)((times - origin) / NS)


def turned(matrices: Floats, vectors: Floats) -> Floats:
    """Each vector [n, 3] turned by its matrix [n, 3, 3]."""
    return np.asarray(np.einsum("nij,nj->ni", matrices, vectors), np.float64)


# ---- the host's field ----------------------------------------------------------------------------------------------
def ambient_weights(host_sources: Calibration, noise: Calibration) -> tuple[Floats, float]:
    """Weights of the sensors in the ambient field, and the uncertainty [nT] of a component of it.

    Sensor k sees B + sum over the sources j of a_kj s_j, a_kj = (r_pni1,j / r_kj)^3: each source is a dipole, and the
    sensors lie on a line with it, so that its field keeps its direction. Weighted least squares, weights 1/noise^2,
    gives B, which is a sum of the sensors with weights that add up to 1 and cancel every source; for one source and
    two sensors that is the gradiometer (B_out - a B_in) / (1 - a) (Ness et al. 1971, J. Geophys. Res. 76, 3564).
    Raises CalibrationError if the sensors cannot tell the sources from the ambient field.
    """
    sigma = by_sensor(noise, "noise_nt")[:, 0]
    design = np.concatenate([np.ones((len(SENSORS), 1)), _couplings(host_sources)], axis=1)
    if (sigma <= 0).any() or np.linalg.matrix_rank(design, tol=1e-6) < design.shape[1]:
        raise CalibrationError(
            f"{host_sources.path}, {noise.path}: {design.shape[1] - 1} sources cannot be told from the ambient "
            f"field. Name fewer than {len(SENSORS)} sources, at different distances, and give each sensor its noise."
        )
    weights = np.linalg.pinv(design / sigma[:, None])[0] / sigma
    return weights, float(np.sqrt((weights**2 * sigma**2).sum()))


def _couplings(host_sources: Calibration) -> Floats:
    """The field of each source at each sensor [sensor, source], relative to that at PNI 1."""
    rows = calibration_rows(host_sources, key=("host_source", "sensor"), numbers=("distance_m",))
    found = rows.pivot("sensor", index="host_source", values="distance_m", maintain_order=True)
    if (
        set(found.columns) != {"host_source", *SENSORS}
        or sum(found.null_count().row(0))
        or (rows["distance_m"] <= 0).any()
    ):
        raise CalibrationError(
            f"{host_sources.path}: needs a distance above 0 from each source to each of {', '.join(SENSORS)}. "
            "Correct its rows."
        )
    distances = found.select(SENSORS).cast(pl.Float64).to_numpy().T
    return np.asarray((distances[SENSORS.index("pni1")] / distances) ** 3, np.float64)
