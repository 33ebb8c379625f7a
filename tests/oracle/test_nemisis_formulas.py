# SPDX-License-Identifier: Apache-2.0
"""NEMISIS's formulas, each against a plain loop, exact fractions, a hand-made matrix or another library."""

from __future__ import annotations

import io
import math
import statistics
import warnings
from datetime import UTC, date, datetime
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.ccsds import scan_packets
from ingest.unpack import compile_plan, unpack
from simulate.hermes.nemisis import Run
from tests.hermes_nemisis import (
    DAY,
    MISSIONS,
    NEMISIS,
    NS,
    calibration,
    changed,
    l1_mag,
    l1_status,
    l2_mag,
    packets,
    rtc,
    samples,
    status_at,
    vectors,
)
from transforms.hermes.nemisis_field import SpikeRule, ambient_weights, spikes

pytestmark = pytest.mark.oracle

PACKET = NEMISIS.packet("mag")
CSV = MISSIONS / "hermes" / "nemisis" / "packets" / "mag.csv"


@pytest.fixture(scope="module")
def simulated() -> bytes:
    """Nine packets of the simulator."""
    return next(Run(NEMISIS, DAY, 3, 0.01).packets()).data


# ---- the packet ----------------------------------------------------------------------------------------------------
def fletcher(octets: bytes) -> int:
    a = b = 0
    for octet in octets:
        a = (a + octet) % 255
        b = (b + a) % 255
    return b << 8 | a


def test_a_plain_loop_finds_the_checksum_of_every_packet(simulated: bytes) -> None:
    found = [simulated[at : at + 1129] for at in range(0, len(simulated), 1129)]
    assert len(found) == 8
    for packet in found:
        assert int.from_bytes(packet[1127:]) == fletcher(packet[12:1127])


def test_one_wrong_bit_is_a_checksum_failure(simulated: bytes) -> None:
    damaged = bytearray(simulated)
    damaged[1129 + 500] ^= 4
    (chunk,) = scan_packets(io.BytesIO(bytes(damaged)), (PACKET,))
    assert len(chunk.offsets) == 7


def signed(bits: int, octets: bytes) -> int:
    value = int.from_bytes(octets)
    return value - (1 << bits) if value >> (bits - 1) else value


def test_the_layout_is_that_of_the_bench(simulated: bytes) -> None:
    """Byte offsets as the corrected packet definition says, read with whole numbers alone."""
    (chunk,) = scan_packets(io.BytesIO(simulated), (PACKET,))
    columns = unpack(compile_plan(PACKET), chunk.data, chunk.offsets, chunk.lengths).columns
    for number in range(8):
        p = simulated[1129 * number : 1129 * (number + 1)]
        scalars = {
            "seconds": p[6:10],
            "subsecs": p[10:12],
            "sync": p[12:14],
            "pkt_id": p[14:18],
            "acq_pos_num": p[18:19],
            "rtc_csec": p[20:21],
            "rtc_year": p[26:27],
            "met_seconds": p[27:31],
            "stcf_seconds": p[31:35],
            "stcf_subseconds": p[35:37],
            "isr_count": p[37:39],
            "checksum": p[1127:],
        }
        assert {name: int(columns[name][number]) for name in scalars} == {  # type: ignore[index]
            name: int.from_bytes(octets) for name, octets in scalars.items()
        }
        states = (p[19] >> 7, p[19] >> 6 & 1, p[19] >> 1 & 1, p[19] & 1)
        names = ("xsum", "start_flag", "ops_mode", "relay_state")
        assert tuple(int(columns[name][number]) for name in names) == states  # type: ignore[index]
        data = [signed(24, p[39 + 3 * i : 42 + 3 * i]) for i in range(360)]
        assert np.asarray(columns["mag_data"][number]).ravel().tolist() == data  # type: ignore[index]
        assert int(columns["fg_temp"][number]) == signed(16, p[1121:1123])  # type: ignore[index]


def test_ccsdspy_reads_the_same_from_the_same_csv(simulated: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ccsdspy  # noqa: PLC0415

        theirs = ccsdspy.FixedLength.from_file(str(CSV)).load(io.BytesIO(simulated), include_primary_header=True)
    (chunk,) = scan_packets(io.BytesIO(simulated), (PACKET,))
    ours = unpack(compile_plan(PACKET), chunk.data, chunk.offsets, chunk.lengths).columns
    for field in PACKET.fields:
        if field.kind != "fill":
            expected = np.asarray(theirs[field.name]).astype(np.int64)
            assert np.array_equal(np.asarray(ours[field.name]).reshape(expected.shape), expected), field.name


# ---- times ---------------------------------------------------------------------------------------------------------
@settings(max_examples=50, deadline=None)
@given(
    met=st.integers(0, 2**32 - 1), seconds=st.integers(8 * 10**8, 9 * 10**8), sub=st.integers(0, 65535),
    isr=st.integers(0, 6697), position=st.integers(0, 39),
)  # fmt: skip
def test_times_of_a_single_packet_are_the_formula(met: int, seconds: int, sub: int, isr: int, position: int) -> None:
    tone = Fraction(seconds) + Fraction(sub, 65536)
    first = tone - Fraction(isr * 14933, 10**9) - position * Fraction("0.0999921")
    epoch = int(tone * NS) + 3 * NS
    day = (datetime(2000, 1, 1, 11, 58, 55, 816_000, tzinfo=UTC).timestamp() + float(first) - 5) // 86_400
    when = date.fromordinal(date(1970, 1, 1).toordinal() + int(day))
    clock = {"met_seconds": met, "stcf_seconds": (seconds - met) % 2**32, "stcf_subseconds": sub, "isr_count": isr}
    frame, _ = packets(1, acq_pos_num=position)
    frame = frame.with_columns(epoch_tt2000=epoch, **clock).cast(dict(frame.schema))
    times = l1_mag(frame, when)["epoch_tt2000"].to_list()
    exact = [first * NS + i * Fraction(99_992_100) for i in range(40)]
    assert all(abs(time - value) <= 2 for time, value in zip(times, exact[: len(times)], strict=True))
    sent = datetime.fromtimestamp(946_727_935.816 + epoch / NS - 5, UTC).date()
    assert l1_status(frame, sent)["tone_tt2000"].to_list() == [round(tone * NS)]


def test_a_straight_line_through_many_packets_is_the_least_squares_line() -> None:
    frame, _ = packets(200)
    found = l1_status(frame)["first_sample_tt2000"].to_numpy()
    start = [
        (Fraction(m + s) + Fraction(u, 65536)) * NS - i * 14933
        for m, s, u, i in frame.select("met_seconds", "stcf_seconds", "stcf_subseconds", "isr_count").iter_rows()
    ]
    slots = np.cumsum([0, *(round((b - a) / 99_992_100) for a, b in pairwise(start))])
    centred = np.array([float(s - start[0] - int(k) * 99_992_100) for s, k in zip(start, slots, strict=True)])
    slope, value = np.polyfit(slots, centred, 1)
    line = value + slope * (slots - 8)
    exact = [float(int(f) - start[0] - (int(k) - 8) * 99_992_100) for f, k in zip(found, slots, strict=True)]
    np.testing.assert_allclose(exact, line, atol=2)


def test_the_real_time_clock_is_read_nibble_by_nibble() -> None:
    frame, _ = packets(1, **rtc("310817235958"))
    shown = l1_status(frame)["rtc_time"][0]
    assert shown == datetime(2031, 8, 17, 23, 59, 58, 450_000, tzinfo=UTC)


# ---- temperatures --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("word", "degrees"), [(910, 20.111718750), (848, 0.131250000), (1000, 49.115625)])
def test_the_fluxgate_temperature_is_10_mv_a_kelvin(word: int, degrees: float) -> None:
    frame, _ = packets(1, fg_temp=word, ebox_temp=-128, pni1_temp=-512)
    row = l1_status(frame).row(0, named=True)
    assert row["fg_temp_degc"] == pytest.approx(degrees, abs=1e-9)
    assert (row["ebox_temp_degc"], row["pni1_temp_degc"]) == (-1, -2)


# ---- spikes --------------------------------------------------------------------------------------------------------
def hampel(times: list[int], values: list[float], rule: SpikeRule) -> list[bool]:
    """The filter as its definition says: places to either side, up to a silence; more than half a window of values."""
    half, found = rule.window // 2, []
    breaks = [0, *(i + 1 for i, (a, b) in enumerate(pairwise(times)) if b - a > rule.gap_ns), len(times)]
    for first, stop in pairwise(breaks):
        for i in range(first, stop):
            around = [v for v in values[max(first, i - half) : min(stop, i + half + 1)] if not math.isnan(v)]
            if math.isnan(values[i]) or len(around) <= half:
                found.append(False)
                continue
            median = statistics.median(around)
            deviation = statistics.median(abs(v - median) for v in around)
            limit = max(rule.floor_nt, rule.sigmas * 1.4826022185056018 * deviation)
            found.append(abs(values[i] - median) > limit)
    return found


@pytest.mark.parametrize("length", [1, 2, 5, 10, 20, 21, 22, 300])
@pytest.mark.parametrize(("window", "sigmas"), [(21, 6.0), (21, 2.0), (5, 3.0)])
@pytest.mark.parametrize(("unknown", "silences"), [(0.0, 0.0), (0.1, 0.0), (0.5, 0.0), (0.1, 0.05)])
def test_a_plain_loop_finds_the_same_spikes(
    length: int, window: int, sigmas: float, unknown: float, silences: float
) -> None:
    rng = np.random.default_rng(length)
    values = np.rint(rng.normal(0, 5, length) * 2) / 2 + np.where(rng.random(length) < 0.05, 80, 0)
    values[rng.random(length) < unknown] = np.nan
    steps = np.where(rng.random(length) < silences, 1000, rng.choice([1, 2], length))
    times, rule = np.cumsum(steps), SpikeRule(window, sigmas, 0.5, 3)
    assert spikes(times, values, rule).tolist() == hampel(times.tolist(), values.tolist(), rule)


# ---- frames --------------------------------------------------------------------------------------------------------
def tt2000_of(utc: str) -> int:
    """TT2000 [ns] of a UTC time after 2017: 37 s of TAI - UTC and 32.184 s of TT - TAI."""
    seconds = (datetime.fromisoformat(utc) - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds()
    return int(seconds) * NS + 69_184_000_000


def matrix_of(x: float, y: float, z: float, w: float) -> list[list[float]]:
    """The rotation of a unit quaternion, scalar last (e.g. Wertz 1978, eq. 12-13 transposed)."""
    return [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]


def test_a_vector_is_turned_by_the_matrix_of_the_quaternion() -> None:
    row = calibration("attitude").frame.filter(time="2026-08-01T12:20:00Z")
    quaternion = [float(row[name][0]) for name in ("qx", "qy", "qz", "qw")]
    tt = [tt2000_of("2026-08-01T12:20:00Z")]
    level2 = l2_mag(samples(tt, fg_b=[[3000.0, -700.0, 90.0]]), status_at(tt)).row(0, named=True)
    expected = np.array(matrix_of(*quaternion)) @ np.array(level2["fg_b_bus_nt"])
    assert level2["fg_b_gse_nt"] == pytest.approx(expected.tolist(), rel=1e-5)


def test_attitudes_between_two_are_on_the_great_circle() -> None:
    """Slerp by its formula: sin((1-t) a) / sin a, sin(t a) / sin a (Shoemake 1985)."""
    rows = calibration("attitude").frame
    one, two = (np.array([float(rows[n][i]) for n in ("qx", "qy", "qz", "qw")]) for i in (80, 81))
    angle = math.acos(float(one @ two))
    part = 0.3
    between = (math.sin((1 - part) * angle) * one + math.sin(part * angle) * two) / math.sin(angle)
    tt = [tt2000_of(rows["time"][80]) + 180 * NS]
    level2 = l2_mag(samples(tt, fg_b=[[3000.0, -700.0, 90.0]]), status_at(tt)).row(0, named=True)
    expected = np.array(matrix_of(*between)) @ np.array(level2["fg_b_bus_nt"])
    assert level2["fg_b_gse_nt"] == pytest.approx(expected.tolist(), rel=1e-5)


def test_the_calibration_of_a_sensor_by_hand() -> None:
    """One vector of the fluxgate at 30 degC, number by number."""
    times = [838_857_669_184_000_000]
    x, y, z = 1200.0, -300.0, 45.0
    field = vectors(l2_mag(samples(times, fg_b=[[x, y, z]]), status_at(times, fg=30))["fg_b_bus_nt"])[0]
    bx, by, bz = (g * (1 + 20e-6 * 10) * b for g, b in ((1.0012, x), (0.9987, y), (1.0005, z)))
    sx = bx - (3.2 + 0.2)
    sy = math.sin(math.radians(0.10)) * bx + by - (-1.7 + 0.2)
    sz = math.sin(math.radians(-0.05)) * bx + math.sin(math.radians(0.08)) * by + bz - (5.4 + 0.2)
    turned = [(sx - sy) / math.sqrt(2), (sx + sy) / math.sqrt(2), sz]
    np.testing.assert_allclose(field, turned, rtol=1e-6)


# ---- the host's field ----------------------------------------------------------------------------------------------
def test_weights_of_the_sensors_cancel_each_dipole() -> None:
    """Three equations for three weights: their sum is 1, and neither source is left."""
    weights, sigma = ambient_weights(calibration("host_sources"), calibration("noise"))
    heater = [(0.45 / r) ** 3 for r in (2.4, 0.45, 0.60)]
    pump = [(0.65 / r) ** 3 for r in (2.6, 0.65, 0.52)]
    expected = np.linalg.solve(np.array([[1, 1, 1], heater, pump]), [1, 0, 0])
    np.testing.assert_allclose(weights, expected, rtol=1e-10)
    assert sigma == pytest.approx(math.hypot(*(w * s for w, s in zip(expected, (0.05, 5, 5), strict=True))))


def test_one_source_and_an_exact_outer_pair_is_the_gradiometer() -> None:
    """With the third sensor too noisy to count: B = (B_out - alpha B_in) / (1 - alpha), alpha = (0.45/2.4)^3."""
    one = calibration("host_sources").frame.filter(host_source="heater")
    noise = calibration("noise").frame.with_columns(noise_nt=np.array([0.05, 5.0, 5e6]))
    weights, _ = ambient_weights(changed("host_sources", one), changed("noise", noise))
    alpha = (0.45 / 2.4) ** 3
    assert alpha == pytest.approx(0.0066, abs=5e-5)
    np.testing.assert_allclose(weights, [1 / (1 - alpha), -alpha / (1 - alpha), 0], atol=1e-9)
