# SPDX-License-Identifier: Apache-2.0
"""Simulated MeDDEA files, read back with struct alone and compared with the mission's documents and the truth."""

from __future__ import annotations

import csv
import re
import struct
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest

from lake.definition_files import read_definitions
from lake.definitions import Definitions, Instrument
from lake.errors import ConfigurationError, StorageError
from lake.names import parse_name
from simulate.files import Simulated
from simulate.packets import SequenceCounts
from simulate.padre.meddea import simulate_day
from simulate.padre.meddea_detector import Events
from simulate.padre.meddea_housekeeping import read_inverses
from simulate.padre.meddea_photons import Decimation, Packer, PhotonPackets
from simulate.padre.meddea_scenario import FillTime, read_scenario
from simulate.run import simulate

MISSIONS = Path(__file__).parents[2] / "missions"
DAY = date(2025, 8, 1)
# 2025-08-01T00:00:00 is Unix 1,754,006,400; the clock's epoch 2000-01-01 is 946,684,800; 5 leap seconds in between.
MET_POSIX = 1_754_006_400 - 946_684_800
MET_LEAP = MET_POSIX + 5


@dataclass(frozen=True)
class Packet:
    offset: int
    apid: int
    sequence: int
    data: bytes


def walk(data: bytes) -> list[Packet]:
    packets, offset = [], 0
    while offset < len(data):
        first, second, length = struct.unpack_from(">3H", data, offset)
        assert first >> 11 == 0
        assert second >> 14 == 3
        packets.append(Packet(offset, first & 0x7FF, second & 0x3FFF, data[offset : offset + length + 7]))
        offset += length + 7
    assert offset == len(data)
    return packets


def xor16(data: bytes) -> int:
    result = 0
    for (word,) in struct.iter_unpack(">H", data):
        result ^= word
    return result


@pytest.fixture(scope="module")
def definitions() -> Definitions:
    return read_definitions(MISSIONS)


@pytest.fixture(scope="module")
def instrument(definitions: Definitions) -> Instrument:
    return definitions.mission("padre").instrument("meddea")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("simulated")


@pytest.fixture(scope="module")
def simulated(definitions: Definitions, out: Path) -> Simulated:
    return simulate(definitions, "padre", "meddea", DAY, out, seed=7, hours=1.5)


@pytest.fixture(scope="module")
def packets(simulated: Simulated) -> dict[int, list[Packet]]:
    found: dict[int, list[Packet]] = {160: [], 162: [], 163: [], 153: []}
    for path in simulated.files:
        for packet in walk(path.read_bytes()):
            found[packet.apid].append(packet)
    return found


def truth(out: Path, name: str) -> list[dict[str, str]]:
    with (out / "truth" / f"{name}_{DAY:%Y%m%d}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def total(out: Path, column: str) -> float:
    return sum(float(row[column]) for row in truth(out, "rate"))


def ticks(packet: Packet) -> int:
    seconds, clocks = struct.unpack_from(">2I", packet.data, 6)
    assert clocks < 20_000_000
    return int(seconds * 20_000_000 + clocks)


def event_words(packet: Packet, width: int) -> np.ndarray:
    return np.frombuffer(packet.data, ">u2", offset=22).reshape(-1, width).astype(int)


def test_same_seed_gives_same_bytes(definitions: Definitions, tmp_path: Path) -> None:
    runs = [
        simulate(definitions, "padre", None, DAY, tmp_path / name, seed=seed, hours=0.2)
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    ]
    a, b, c = ([path.read_bytes() for path in run.files] for run in runs)
    assert a == b
    assert a[0] != c[0]
    assert truth(tmp_path / "a", "rate") == truth(tmp_path / "b", "rate")


def test_report_counts_what_is_in_the_files(simulated: Simulated, packets: dict[int, list[Packet]]) -> None:
    assert simulated.packets == sum(len(found) for found in packets.values())
    assert simulated.bytes == sum(path.stat().st_size for path in simulated.files)


def test_words_of_every_packet_xor_to_zero(packets: dict[int, list[Packet]]) -> None:
    for found in packets.values():
        assert all(xor16(p.data) == 0 for p in found[:400])
        assert all(any(p.data) for p in found)


def test_sequence_counts_are_continuous(packets: dict[int, list[Packet]]) -> None:
    for found in packets.values():
        steps = np.diff([p.sequence for p in found]) % 16384
        assert np.all(steps == 1)


def test_sequence_count_wraps_at_16383() -> None:
    counts = SequenceCounts({162: 16382})
    assert counts.take(162, 3).tolist() == [16382, 16383, 0]
    assert counts.take(162, 2).tolist() == [1, 2]


def test_sizes_are_those_of_the_packet_types(packets: dict[int, list[Packet]]) -> None:
    assert {len(p.data) for p in packets[162]} == {24_648}
    assert {len(p.data) for p in packets[163]} == {40}
    assert all((len(p.data) - 22) % 8 == 0 for p in packets[160])
    assert max(len(p.data) for p in packets[160]) <= 1_166


def test_names_are_the_time_of_the_first_packet(simulated: Simulated) -> None:
    for path in simulated.files:
        match = re.fullmatch(r"padreMD(A0|A2|U8)_(\d{12})\.DAT", path.name)
        assert match
        (seconds,) = struct.unpack_from(">I", path.read_bytes(), 6)
        utc = np.datetime64(946_684_800 + seconds - 5, "s").item()
        assert match[2] == f"{utc:%y%m%d%H%M%S}"


def test_names_parse_by_the_rules_of_the_mission(definitions: Definitions, simulated: Simulated) -> None:
    rules = definitions.mission("padre").names
    parsed = [parse_name(rules, path.name, datetime(2026, 1, 1, tzinfo=UTC)) for path in simulated.files]
    assert {p.instrument for p in parsed} == {"meddea"}
    assert [p.time.date() for p in parsed if p.time] == [DAY] * len(parsed)


def test_spectrum_files_hold_426_packets(simulated: Simulated) -> None:
    sizes = [path.stat().st_size for path in simulated.files if "MDA2" in path.name]
    assert sizes == [426 * 24_648, 114 * 24_648]


@pytest.mark.parametrize(("policy", "met"), [("leap", MET_LEAP), ("posix", MET_POSIX)])
def test_clock_follows_its_policy(
    definitions: Definitions, instrument: Instrument, tmp_path: Path, policy: str, met: int
) -> None:
    clock = instrument.clock.model_copy(update={"policy": policy})
    changed = instrument.model_copy(update={"clock": clock})
    done = simulate_day(definitions.mission("padre"), changed, DAY, tmp_path, seed=1, hours=0.01)
    spectra = next(path for path in done.files if "MDA2" in path.name)
    assert spectra.name == "padreMDA2_250801000000.DAT"
    assert struct.unpack_from(">2I", spectra.read_bytes(), 6) == (met, 8_000_000)


def test_a_mission_that_tells_no_orbit_is_not_simulated(
    definitions: Definitions, instrument: Instrument, tmp_path: Path
) -> None:
    mission = definitions.mission("padre").model_copy(update={"orbit_seconds": None})
    with pytest.raises(ConfigurationError, match=r"padre: tells no orbit_seconds, .* Add it\."):
        simulate_day(mission, instrument, DAY, tmp_path, seed=1, hours=0.01)


def test_spectra_follow_each_other_after_10_s_of_a_slow_clock(packets: dict[int, list[Packet]]) -> None:
    steps = np.diff([ticks(p) for p in packets[162]])
    assert np.all(steps == 200_000_000 - 9)
    assert {struct.unpack_from(">I", p.data, 14)[0] for p in packets[162]} == {781_250}


def test_spectra_hold_the_default_slots(packets: dict[int, list[Packet]]) -> None:
    expected = [51_738, 51_720, 51_730, 51_712, 51_733, 51_715]
    slots = np.frombuffer(packets[162][5].data, ">u2", 24 * 513, 22).reshape(24, 513)
    assert slots[:, 0].tolist() == [word + 32 * asic for asic in range(4) for word in expected]


def test_housekeeping_comes_every_10_s(packets: dict[int, list[Packet]]) -> None:
    steps = np.diff([struct.unpack_from(">I", p.data, 6)[0] for p in packets[163]])
    assert np.all(np.abs(steps - 10) <= 1)
    assert len(packets[163]) == 540


def test_photon_packets_close_by_time_or_by_size(packets: dict[int, list[Packet]]) -> None:
    for packet in packets[160]:
        integration, live, flags = struct.unpack_from(">3H", packet.data, 14)
        events = event_words(packet, 4)
        assert flags >> 15 == 0
        assert integration == 39_062 or len(events) == 143
        assert np.all(np.diff(events[:, 0]) >= 0)
        assert np.all(events[:, 0] <= integration)
        assert np.all(events[:, 1] < 128)
        assert np.all(events[:, 2:] <= 4095)
        dead = (integration - live) * 12.8
        assert 30 * len(events) - 6.4 <= dead <= 80 * len(events) + 6.4


def test_packets_without_baseline_have_three_words_and_bit_15(
    definitions: Definitions, instrument: Instrument, tmp_path: Path
) -> None:
    mission = definitions.mission("padre")
    done = simulate_day(mission, instrument, DAY, tmp_path, seed=1, hours=0.05, baseline=False)
    for packet in walk(done.files[0].read_bytes()):
        assert struct.unpack_from(">H", packet.data, 18)[0] & 0x8000
        assert np.all(event_words(packet, 3)[:, 2] <= 4095)


def test_counts_agree_with_the_truth(packets: dict[int, list[Packet]], simulated: Simulated, out: Path) -> None:
    expected, counted = 10 * total(out, "expected_rate"), total(out, "counted")
    assert abs(counted - expected) < 5 * expected**0.5
    assert sum((len(p.data) - 22) // 8 for p in packets[160]) == total(out, "sent")
    assert 0 <= counted - total(out, "sent") - total(out, "dropped") < 50
    slots = np.stack([np.frombuffer(p.data, ">u2", 24 * 513, 22).reshape(24, 513) for p in packets[162]])
    # Of each detector four of eight large and two of four small pixels have a slot, and the guard ring has none.
    share = (4 * 9.47 + 2) / (8 * 9.47 + 4 + 0.05)
    assert abs(slots[:, :, 1:].sum() - counted * share) < 5 * (counted * share) ** 0.5


def test_large_pixels_see_as_much_more_as_they_are_larger(packets: dict[int, list[Packet]]) -> None:
    ids = np.concatenate([event_words(p, 4)[:, 1] for p in packets[160]])
    channels = Counter((ids & 31).tolist())
    large = sum(channels[c] for c in (26, 15, 8, 1, 29, 18, 5, 0))
    small = sum(channels[c] for c in (30, 21, 11, 3))
    assert large / small == pytest.approx(9.47 * 2, rel=0.1)
    assert set(channels) <= {26, 15, 8, 1, 29, 18, 5, 0, 30, 21, 11, 3, 31}


def test_the_sun_is_quiet_and_sets(simulated: Simulated, out: Path) -> None:
    rows = [row for row in truth(out, "rate") if row["flare"] == "0"]
    assert {float(row["expected_rate"]) for row in rows if row["sunlit"] == "0"} == {5.0}
    assert max(float(row["expected_rate"]) for row in rows) < 25
    assert len(truth(out, "flares")) == 1


def test_hit_rate_is_the_rate_of_the_photons(packets: dict[int, list[Packet]], out: Path) -> None:
    rates = [struct.unpack_from(">H", p.data, 26)[0] for p in packets[163]]
    expected = total(out, "counted") / 5400
    assert np.mean(rates) == pytest.approx(expected, rel=0.1)


def test_housekeeping_words_are_inside_the_calibrated_ranges(packets: dict[int, list[Packet]]) -> None:
    words = np.array([struct.unpack_from(">8H", p.data, 10) for p in packets[163]])
    low, high = words.min(axis=0), words.max(axis=0)
    assert np.all(low >= [592, 1400, 610, 273, 287, 20000, 20000, 20000])
    assert np.all(high <= [55867, 65101, 65074, 63351, 63357, 40000, 40000, 40000])
    volts = 1.291 - 0.0101 * words[:, 3]
    assert volts.mean() == pytest.approx(-400, abs=1)


@pytest.mark.parametrize(
    ("channel", "value", "word"),
    [("fp_temp", -2.010665, 20_000), ("dib_temp", -6.504985, 55_000), ("hvps_temp", -6.183463, 40_000)],
)
def test_inverse_splines_meet_the_published_values(
    instrument: Instrument, channel: str, value: float, word: int
) -> None:
    assert read_inverses(instrument, DAY)[channel](np.array([value]))[0] == pytest.approx(word, abs=2)


def flood(rate: float, seconds: int) -> Events:
    times = np.arange(0, seconds * 10**9, int(1e9 / rate), dtype=np.int64)
    same = np.full(len(times), 400, np.int64)
    return Events(times, same, same, same, np.full(len(times), 50.0))


def pack(rate: float, seconds: int) -> tuple[PhotonPackets, Packer]:
    half = Decimation(np.array([4096]), np.array([[1], [1]]), np.array([[0], [1]]))
    packer = Packer(read_scenario().photon, 4)
    fill = FillTime(valid_from=DAY, up=3900, down=11000)
    return packer.pack(flood(rate, seconds), seconds * 10**9, half, fill), packer


def test_fast_packets_raise_the_decimation_level() -> None:
    # 143 events at 4,000/s fill a packet in 36 ms, less than 3,900 x 12.8 us = 50 ms.
    made, packer = pack(4000, 5)
    assert made.level.tolist()[:2] == [0, 1]
    assert set(made.level.tolist()[1:]) == {1}
    assert made.dropped[1:].min() >= 142
    assert made.dropped.sum() + len(made.events) + len(packer.waiting) == 5 * 4000
    assert made.flags(True)[1] == 1 << 12 | made.dropped[1]


def test_slow_packets_leave_the_decimation_level() -> None:
    made, _ = pack(1500, 5)
    assert made.level.max() == 0
    assert made.dropped.sum() == 0


def test_days_made_apart_fit_together(definitions: Definitions, tmp_path: Path) -> None:
    first = simulate(definitions, "padre", "meddea", DAY, tmp_path / "1", seed=1, hours=0.01)
    second = simulate(definitions, "padre", "meddea", date(2025, 8, 2), tmp_path / "2", seed=1, hours=0.01)
    for token in ("MDA2", "MDU8"):
        a, b = (next(walk(f.read_bytes())[0].sequence for f in r.files if token in f.name) for r in (first, second))
        assert (b - a) % 16384 == 8640


def test_last_photon_packet_ends_before_midnight(packets: dict[int, list[Packet]]) -> None:
    last = packets[160][-1]
    end = ticks(last) + 256 * struct.unpack_from(">H", last.data, 14)[0]
    assert end <= (MET_LEAP + 5400) * 20_000_000


def test_a_second_run_into_the_folder_must_agree(definitions: Definitions, tmp_path: Path) -> None:
    simulate(definitions, "padre", "meddea", DAY, tmp_path, seed=1, hours=0.02)
    simulate(definitions, "padre", "meddea", DAY, tmp_path, seed=1, hours=0.02)
    with pytest.raises(StorageError, match="holds other data"):
        simulate(definitions, "padre", "meddea", DAY, tmp_path, seed=2, hours=0.02)
    assert not list(tmp_path.rglob(".*"))


def test_two_days_fit_into_one_folder_each_with_its_truth(definitions: Definitions, tmp_path: Path) -> None:
    for day in (DAY, date(2025, 8, 2)):
        simulate(definitions, "padre", "meddea", day, tmp_path, seed=1, hours=0.02)
    names = [path.name for path in sorted((tmp_path / "truth").iterdir())]
    assert names == [f"{kind}_2025080{number}.csv" for kind in ("faults", "flares", "rate") for number in (1, 2)]


def test_unknown_simulator_is_answered_with_the_known_ones(definitions: Definitions, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="padre/nothing: is not defined"):
        simulate(definitions, "padre", "nothing", DAY, tmp_path)


@pytest.mark.parametrize(
    ("day", "hours", "seed", "message"),
    [(DAY, 0, 1, "hours 0"), (date(2020, 1, 1), 1, 1, "outside"), (DAY, 1, -1, "seed -1")],
)
def test_impossible_runs_are_refused(
    definitions: Definitions, tmp_path: Path, day: date, hours: float, seed: int, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        simulate(definitions, "padre", "meddea", day, tmp_path, seed=seed, hours=hours)


def test_an_hour_takes_less_than_two_seconds(definitions: Definitions, tmp_path: Path) -> None:
    before = time.process_time()
    simulate(definitions, "padre", "meddea", DAY, tmp_path, seed=1, hours=1)
    assert time.process_time() - before < 2
