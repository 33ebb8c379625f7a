# SPDX-License-Identifier: Apache-2.0
"""Simulated MERiT files, read back with struct alone and compared with the truth."""

from __future__ import annotations

import struct
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lake.clock import NS, tt2000_of_day
from lake.errors import ConfigurationError, DefinitionError
from lake.names import parse_name
from simulate.faults import Fault
from simulate.hermes.l0_names import l0_name
from simulate.hermes.merit import simulate_day
from simulate.hermes.merit_events import event_layout, event_words
from simulate.hermes.merit_response import count, read_response, true_rates
from simulate.hermes.merit_scenario import read_merit_scenario
from simulate.hermes.plasma import plasma_at, read_scenario
from tests.hermes_merit import BINS, DAY, HEADS, HERMES, MERIT, edges

SCENARIO = read_merit_scenario()
HALF_HOUR = 1800


def walk(data: bytes) -> list[bytes]:
    """The packets of a file."""
    packets, offset = [], 0
    while offset < len(data):
        size = struct.unpack_from(">H", data, offset + 4)[0] + 7
        packets.append(data[offset : offset + size])
        offset += size
    assert offset == len(data)
    return packets


def apid(packet: bytes) -> int:
    return int(struct.unpack_from(">H", packet)[0]) & 0x7FF


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    simulate_day(HERMES, MERIT, DAY, folder, seed=1, hours=0.5)
    return folder


@pytest.fixture(scope="module")
def packets(out: Path) -> list[bytes]:
    return [packet for path in sorted(out.glob("*.bin")) for packet in walk(path.read_bytes())]


@pytest.fixture(scope="module")
def truth(out: Path) -> pl.DataFrame:
    return pl.read_csv(out / "truth" / f"merit_{DAY:%Y%m%d}.csv")


def counters(packets: list[bytes]) -> np.ndarray:
    """The 69 words behind clock, mode and table of bins of each counts packet, before the checksum."""
    return np.array([struct.unpack_from(">4H2h62HH", p, 14) for p in packets if apid(p) == 384])


def test_each_second_has_a_packet_of_either_kind(packets: list[bytes]) -> None:
    assert Counter(apid(p) for p in packets) == {384: HALF_HOUR, 385: HALF_HOUR}
    for kind in (384, 385):
        own = [p for p in packets if apid(p) == kind]
        counts = [struct.unpack_from(">H", p, 2)[0] & 0x3FFF for p in own]
        assert set(np.diff(counts) % 16_384) == {1}
        ticks = [seconds * 65_536 + fine for seconds, fine in (struct.unpack_from(">IH", p, 6) for p in own)]
        assert set(np.diff(ticks)) == {65_536}


def test_the_name_of_a_file_is_that_of_its_first_packet(out: Path) -> None:
    names = [path.name for path in out.glob("*.bin")]
    assert names == ["hermes_MERIT_l0_2025213-000000_v0.bin"]
    found = parse_name(HERMES.names, names[0], datetime(2027, 1, 1, tzinfo=UTC))
    assert (found.mission, found.instrument, found.level) == ("hermes", "merit", "l0")


def test_counts_are_those_of_the_truth(packets: list[bytes], truth: pl.DataFrame) -> None:
    counts = counters(packets)[:, 6:68].reshape(-1, HEADS, BINS).sum(axis=2)
    for head in range(HEADS):
        assert counts[:, head].reshape(-1, 10).sum(axis=1).tolist() == truth[f"counts_head_{head}"].to_list()
    events = [struct.unpack_from(">H", p, 12)[0] for p in packets if apid(p) == 385]
    assert np.reshape(events, (-1, 10)).sum(axis=1).tolist() == truth["events"].to_list()


def test_counts_follow_the_power_law(packets: list[bytes], truth: pl.DataFrame) -> None:
    """Protons of 10 MeV and electrons of 1 MeV in the sunward head, by the mid-point rule and the efficiencies."""
    late = slice(1500, 1800)
    counts = counters(packets)[late, 6:68].reshape(-1, HEADS, BINS).sum(axis=0)
    live = counters(packets)[late, 0].sum() * 2e-5
    for species, bin_, first, efficiency in (("proton", 8, 0, 0.6 + 0.35 * 8 / 19), ("electron", 23, 20, 0.69)):
        energy, low, high = edges(species)
        at = bin_ - first
        j0, index = (truth[f"{species}_{name}"][150:].mean() for name in ("j0", "index"))
        flux = j0 * (energy[at] / {"proton": 10, "electron": 1}[species]) ** -index  # type: ignore[operator]
        expected = flux * (high[at] - low[at]) * 0.5 * efficiency * live
        for head, part in ((0, 1.0), (1, 0.6)):
            # Neighbours and bin width count for a few percent.
            counting = 3 * (part * expected) ** -0.5
            assert counts[head, bin_] == pytest.approx(part * expected, rel=0.04 + counting)


def test_pulse_heights_are_of_species_and_heads_that_were_counted(packets: list[bytes]) -> None:
    species: Counter[int] = Counter()
    for counted, pha in zip(counters(packets), (p for p in packets if apid(p) == 385), strict=True):
        (number,) = struct.unpack_from(">H", pha, 12)
        words = struct.unpack_from(f">{number}Q", pha, 14)
        assert len(pha) == 16 + 8 * number
        heads = Counter(word >> 63 for word in words)
        totals = counted[6:68].reshape(HEADS, BINS).sum(axis=1)
        assert [heads[h] for h in range(HEADS)] == np.minimum(totals, SCENARIO.events.most_per_head).tolist()
        offsets = [word >> 40 & 0xFFFF for word in words]
        assert offsets == sorted(offsets)
        species.update(word >> 61 & 3 for word in words)
    assert set(species) == {1, 2}
    assert species[1] > species[2]


def test_burst_mode_and_temperatures_are_as_the_scenario_says(packets: list[bytes]) -> None:
    modes = [p[12] for p in packets if apid(p) == 384]
    burst = SCENARIO.burst
    assert modes[900:1200] == [burst.mode] * 300
    assert set(modes[:900]) == set(modes[1200:]) == {0}
    assert {p[13] for p in packets if apid(p) == 384} == {1}
    degrees = counters(packets)[:, 4:6] / 128
    assert 6 <= degrees[:, 0].min() <= degrees[:, 0].max() <= 18


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path, out: Path) -> None:
    simulate_day(HERMES, MERIT, DAY, tmp_path / "again", seed=1, hours=0.5)
    simulate_day(HERMES, MERIT, DAY, tmp_path / "other", seed=2, hours=0.5)
    (first,), (again,), (other,) = (sorted(f.glob("*.bin")) for f in (out, tmp_path / "again", tmp_path / "other"))
    assert first.read_bytes() == again.read_bytes()
    assert first.read_bytes() != other.read_bytes()


def test_a_run_goes_on_over_midnight_without_a_seam_and_a_day_takes_seconds(tmp_path: Path) -> None:
    began = time.process_time()
    done = simulate_day(HERMES, MERIT, DAY, tmp_path, seed=1, hours=24.5)
    assert time.process_time() - began < 30
    assert done.packets == 2 * 88_200
    found = [p for path in sorted(tmp_path.glob("*.bin")) for p in walk(path.read_bytes()) if apid(p) == 384]
    ticks = [seconds * 65_536 + fine for seconds, fine in (struct.unpack_from(">IH", p, 6) for p in found)]
    assert len(ticks) == 88_200
    assert set(np.diff(ticks)) == {65_536}
    assert max(path.stat().st_size for path in tmp_path.glob("*.bin")) < SCENARIO.file_cap_bytes + 4096


def test_a_head_that_is_flooded_says_so_and_stops_at_the_end_of_its_counters() -> None:
    response, random = read_response(MERIT, DAY), np.random.default_rng(1)
    rates = np.ones((4, HEADS, BINS))
    rates[1, 1, 0] = 200_000
    rates[3, 0] = 1e6 / BINS
    counted = count(rates, SCENARIO, response, random)
    assert counted.saturation.tolist() == [0, 2, 0, 1]
    assert counted.counts[1, 1, 0] == counted.counts.max() == 65_535
    assert counted.counts[3, 0].max() < 65_535
    assert counted.live_time[1, 1] < counted.live_time[0, 1] <= 50_000
    assert counted.triggers[1, 1] > 1000 * counted.triggers[0, 1]


def test_dead_time_hides_counts_as_a_blind_time_for_each_trigger_does() -> None:
    """With n triggers a second and tau each, 1 / (1 + n tau) of them are seen."""
    response, random = read_response(MERIT, DAY), np.random.default_rng(2)
    rates = np.zeros((4000, HEADS, BINS))
    rates[:, :, 4] = 20_000
    counted = count(rates, SCENARIO, response, random)
    incident = 20_000 * SCENARIO.triggers.per_count + SCENARIO.triggers.noise_per_s
    seen = counted.counts[:, :, 4].sum() / (counted.live_time.sum() * 2e-5)
    assert seen == pytest.approx(20_000 / (1 + incident * 2e-6), rel=1e-3)


def test_without_particles_only_the_background_is_counted() -> None:
    around, midnight = read_scenario(), tt2000_of_day(DAY)
    plasma = plasma_at(around, midnight + np.arange(2, dtype=np.int64) * NS, midnight)
    none = plasma.__class__(**{**vars(plasma), "proton_j0": np.zeros(2), "electron_j0": np.zeros(2)})
    rates = true_rates(none, around, SCENARIO, read_response(MERIT, DAY))
    assert rates.shape == (2, HEADS, BINS)
    assert rates.sum(axis=2) == pytest.approx(31 * 0.02)


def test_a_gap_takes_packets_of_both_kinds_and_is_written_down(tmp_path: Path) -> None:
    gap = Fault(kind="gap", stream="merit", start=timedelta(seconds=10), stop=timedelta(seconds=15))
    done = simulate_day(HERMES, MERIT, DAY, tmp_path, seed=1, hours=1 / 60, faults=(gap,))
    assert done.packets == 110
    rows = pl.read_csv(tmp_path / "truth" / f"merit_faults_{DAY:%Y%m%d}.csv")
    assert sorted(rows.select("apid", "packets").rows()) == [(384, 5), (385, 5)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"seed": -1}, "negative"),
        ({"hours": 0}, "hours 0"),
        ({"hours": 745}, "744"),
        ({"day": date(2000, 1, 1)}, "the clock of merit begins"),
        ({"day": date(2051, 1, 1)}, "Choose a day"),
        (
            {"faults": (Fault(kind="truncate", stream="eea", start=timedelta(0)),)},
            "there is no stream 'eea'",
        ),
    ],
)
def test_what_cannot_be_simulated_is_refused(tmp_path: Path, changes: dict, reason: str) -> None:
    values = {"day": DAY, "seed": 1, "hours": 0.01, **changes}
    with pytest.raises(ConfigurationError, match=reason):
        simulate_day(HERMES, MERIT, values.pop("day"), tmp_path, **values)


def test_file_names_count_the_days_of_the_year() -> None:
    assert l0_name("MERIT", tt2000_of_day(date(2026, 1, 1)) + 3661 * NS) == "hermes_MERIT_l0_2026001-010101_v0.bin"


# ---- facts that the definitions hold -------------------------------------------------------------------------------
def test_the_words_of_an_event_follow_the_packet_definition() -> None:
    """Species before head, and the pulse heights in another order; 0 for what has no value, 1023 for what is higher."""
    packet, response, random = MERIT.packet("pha"), read_response(MERIT, DAY), np.random.default_rng(3)
    fields = {field.name: field for field in packet.fields}
    heights = ("pha_ssd3", "pha_apd", "pha_ssd1", "pha_ssd2")
    names = ("seconds", "subseconds", "n_events", "species", "head", "event_spare", "t_offset", *heights, "checksum")
    layout = event_layout(packet.model_copy(update={"fields": tuple(fields[name] for name in names)}))
    counts = np.zeros((1, HEADS, BINS), np.int64)
    counts[0, 1, 19] = 3  # protons of about 167 MeV in the second head
    words, number = event_words(counts, layout, response, SCENARIO.events, random)
    assert number.tolist() == [3]
    assert len(words) == 12
    for (word,) in struct.iter_unpack(">Q", words.astype(">u2").tobytes()):
        assert (word >> 62, word >> 61 & 1, word >> 56 & 31) == (1, 1, 0)
        # 167 MeV, its part in the detector, adu per MeV; 0.35 * 167 * 25 is more than 10 bits hold.
        for place, height in ((30, 0.15 * 167 * 5), (20, 0.05 * 167 * 60), (10, 1023), (0, 0.35 * 167 * 12)):
            assert word >> place & 1023 == pytest.approx(height, rel=0.3 if height < 1023 else 0)


def test_events_of_another_length_are_refused() -> None:
    packet = MERIT.packet("pha")
    fields = tuple(field for field in packet.fields if field.name != "event_spare")
    with pytest.raises(DefinitionError, match="59 bits"):
        event_layout(packet.model_copy(update={"fields": fields}))


def test_a_head_sets_the_bit_that_its_calibration_says() -> None:
    response, random = read_response(MERIT, DAY), np.random.default_rng(1)
    rates = np.ones((1, HEADS, BINS))
    rates[0, 1, 0] = 200_000
    moved = replace(response, counters={**response.counters, "head_1_saturation_bit": 7.0})
    assert count(rates, SCENARIO, moved, random).saturation.tolist() == [128]
