# SPDX-License-Identifier: Apache-2.0
"""Simulated NEMISIS files, read back with struct alone and compared with the bench's behaviour and the truth."""

from __future__ import annotations

import csv
import struct
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lake.definition_files import read_definitions
from lake.errors import ConfigurationError
from lake.names import parse_name
from simulate.faults import Fault, read_faults
from simulate.files import Simulated
from simulate.hermes.nemisis import Run, simulate_day
from tests.hermes_nemisis import MISSIONS, NEMISIS

HERMES = read_definitions(MISSIONS).mission("hermes")
DAY = date(2026, 8, 1)
NS = 10**9
# TT seconds since J2000 at 2026-08-01T00:00 UTC: 9708.5 days since 2000-01-01T12:00, 37 leap seconds, 32.184 s.
MIDNIGHT_S = 9708.5 * 86_400 + 69.184


@dataclass(frozen=True)
class Sent:
    """One packet's fields as struct reads them."""

    count: int
    sent: float
    tone: float
    header: tuple[int, ...]
    isr: int
    data: np.ndarray
    raw: bytes

    @property
    def pkt_id(self) -> int:
        return self.header[1]


def read(raw: bytes) -> Sent:
    first, second, length = struct.unpack_from(">3H", raw)
    assert (first, second >> 14, length) == (0x0889, 3, 1122)
    seconds, sub, sync, pkt_id, position, bits = struct.unpack_from(">IHHIBB", raw, 6)
    met, stcf, stcf_sub, isr = struct.unpack_from(">IIHH", raw, 27)
    assert sync == 0xE7F3
    triples = np.frombuffer(raw, np.uint8, 1080, 39).reshape(-1, 3).astype(np.int64)
    data = (triples[:, 0] << 16 | triples[:, 1] << 8 | triples[:, 2]) ^ 0x800000
    header = (position, pkt_id, bits >> 7, bits >> 6 & 1, bits >> 1 & 1, bits & 1, met, stcf, stcf_sub)
    tone = (met + stcf) % 2**32 + stcf_sub / 65536
    return Sent(second & 0x3FFF, seconds + sub / 65536, tone, header, isr, (data - 0x800000).reshape(40, 9), raw)


def packets_of(done: Simulated) -> list[Sent]:
    data = b"".join(path.read_bytes() for path in done.files)
    assert len(data) == done.bytes == 1129 * done.packets
    return [read(data[at : at + 1129]) for at in range(0, len(data), 1129)]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nemisis")


@pytest.fixture(scope="module")
def done(out: Path) -> Simulated:
    return simulate_day(HERMES, NEMISIS, DAY, out, seed=7, hours=1)


@pytest.fixture(scope="module")
def sent(done: Simulated) -> list[Sent]:
    return packets_of(done)


@pytest.fixture(scope="module")
def truth(done: Simulated, out: Path) -> list[dict[str, str]]:
    assert done.packets
    with (out / "truth" / "nemisis_20260801.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_packets_are_numbered_without_a_gap(sent: list[Sent]) -> None:
    assert [p.pkt_id for p in sent] == list(range(1, len(sent) + 1))
    assert [p.count for p in sent] == list(range(len(sent)))


def test_every_checksum_is_fletcher_of_the_message(sent: list[Sent]) -> None:
    for packet in sent[::50]:
        a = b = 0
        for octet in packet.raw[12:1127]:
            a = (a + octet) % 255
            b = (b + a) % 255
        assert packet.raw[1127:] == bytes([b, a])


def test_a_packet_is_sent_3_s_after_its_tone_and_every_4_s(sent: list[Sent]) -> None:
    assert all(3.07 < p.sent - p.tone < 3.13 for p in sent)
    assert {b.header[6] - a.header[6] for a, b in pairwise(sent)} == {4}
    # The correlation factor falls by a few counts a packet.
    steps = np.diff([p.tone for p in sent])
    assert np.rint((4 - steps) * 65536).astype(int).min() >= 4
    assert np.rint((4 - steps) * 65536).astype(int).max() <= 5


def test_the_count_of_interrupts_rises_by_17_and_wraps_with_a_dropped_slot(
    sent: list[Sent], truth: list[dict[str, str]]
) -> None:
    good = [p for p in sent if p.header[5]]
    steps = np.diff([p.isr for p in good])
    wraps = np.flatnonzero(steps < 0)
    assert set(np.delete(steps, wraps).tolist()) <= {16, 17, 18}
    assert np.all(np.diff(wraps) >= 385)
    assert np.all(np.diff(wraps) <= 400)
    assert max(p.isr for p in good) <= 6697
    marked = [int(row["pkt_id"]) for row in truth if row["slot_dropped_before"] == "1"]
    assert marked == [good[w + 1].pkt_id for w in wraps]
    assert len(marked) == 2


def test_the_true_sample_times_are_those_of_an_oscillator_79_ppm_fast(truth: list[dict[str, str]]) -> None:
    first, last = (np.array([int(row[f"{end}_sample_tt2000"]) for row in truth]) for end in ("first", "last"))
    np.testing.assert_allclose(last - first, 3.9e9 / 1.000079, atol=2)
    slots = (first - first[0]) / (1e8 / 1.000079)
    np.testing.assert_allclose(slots, np.rint(slots), atol=1e-7)
    assert set(np.diff(np.rint(slots)).tolist()) == {40, 41}


def test_the_first_packets_have_no_good_tone(sent: list[Sent], truth: list[dict[str, str]]) -> None:
    states = [p.header[2:6] for p in sent[:4]]  # xsum, start, mode, relay
    assert states == [(0, 1, 0, 0), (1, 0, 0, 0), (1, 0, 0, 1), (1, 0, 0, 1)]
    failed = [p.pkt_id for p in sent if p.header[2:6] != (1, 0, 0, 1)]
    assert failed == [int(row["pkt_id"]) for row in truth if row["timed_by_tone"] == "0"]


def test_the_real_time_clock_is_bcd_and_set_after_a_while(sent: list[Sent]) -> None:
    shown = [bytes(p.raw[20:27][::-1]).hex() for p in sent]
    assert shown[0][:10] == "0001010000"
    assert shown[4][:8] == "00010100"
    assert shown[5][:6] == "260801"
    assert float(shown[-1][6:8]) * 3600 + float(shown[-1][8:10]) * 60 + float(shown[-1][10:12]) == pytest.approx(
        sent[-1].sent - MIDNIGHT_S - 0.73, abs=1
    )


def test_files_are_named_by_their_first_packet(done: Simulated, sent: list[Sent]) -> None:
    assert [path.name for path in done.files] == ["hermes_NEM_l0_2026213-000007_v0.bin"]
    assert int(sent[0].sent - MIDNIGHT_S) == 7
    name = parse_name(HERMES.names, done.files[0].name, datetime(2027, 1, 1, tzinfo=UTC))
    assert (name.instrument, name.level) == ("nemisis", "l0")


def test_the_host_switches_200_nt_at_the_inboard_sensor(sent: list[Sent], truth: list[dict[str, str]]) -> None:
    """The heater is on in the first of each two minutes; the pump not before 130 s."""
    pni1 = np.stack([p.data[:, 3:6] for p in sent[:30]]) * 13.66 / 7
    on = np.array([np.abs(float(row["host_pni1_bus_x_nt"])) > 100 for row in truth[:30]])
    quiet = slice(1, 12), slice(16, 28)
    assert on[quiet[0]].all()
    assert not on[quiet[1]].any()
    step = pni1[quiet[0]].mean(axis=(0, 1)) - pni1[quiet[1]].mean(axis=(0, 1))
    # Bus (133.3, -66.7, 133.3) is sensor (-66.7, -133.3, 133.3); gains 1.02, 0.97, 1.01.
    np.testing.assert_allclose(step, np.array([-66.67 / 1.02, -133.33 / 0.97, 133.33 / 1.01]), atol=4)
    fg = np.stack([p.data[:, :3] for p in sent[:30]]) * 65000 / 2**23
    change = np.median(fg[quiet[0]], axis=(0, 1)) - np.median(fg[quiet[1]], axis=(0, 1))
    assert np.linalg.norm(change) == pytest.approx(200 * (0.45 / 2.4) ** 3, abs=1.0)


def test_same_seed_gives_same_bytes(tmp_path: Path) -> None:
    runs = [
        simulate_day(HERMES, NEMISIS, DAY, tmp_path / name, seed=seed, hours=0.05)
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    ]
    a, b, c = (run.files[0].read_bytes() for run in runs)
    assert a == b
    assert a != c
    assert (tmp_path / "a/truth/nemisis_20260801.csv").read_text() == (
        tmp_path / "b/truth/nemisis_20260801.csv"
    ).read_text()


def test_a_longer_run_begins_like_a_shorter_one(sent: list[Sent], tmp_path: Path) -> None:
    short = packets_of(simulate_day(HERMES, NEMISIS, DAY, tmp_path, seed=7, hours=0.25))
    assert [p.raw for p in short] == [p.raw for p in sent[: len(short)]]


def test_the_instrument_runs_on_over_midnight() -> None:
    run = Run(NEMISIS, DAY, 7, 24.05)
    last = run._chunk(run.tones.packets - 100, run.tones.packets).data
    found = [read(last[at : at + 1129]) for at in range(0, len(last), 1129)]
    assert found[0].sent < MIDNIGHT_S + 86_400 < found[-1].sent < MIDNIGHT_S + 1.002084 * 86_400
    assert {b.pkt_id - a.pkt_id for a, b in pairwise(found)} == {1}
    assert {b.header[6] - a.header[6] for a, b in pairwise(found)} == {4}
    assert all(3.9999 < b.tone - a.tone < 4 for a, b in pairwise(found))
    rows = run.attitude_rows(date(2026, 8, 2))
    assert (rows[0][0], rows[-1][0]) == ("2026-08-01T23:00:00Z", "2026-08-03T01:00:00Z")


def test_the_attitude_has_the_form_of_the_calibration(out: Path, done: Simulated) -> None:
    assert done.packets
    written = (out / "truth" / "attitude_20260801.csv").read_text()
    assert written == (MISSIONS / "hermes/nemisis/calibration/attitude_20260801.csv").read_text()


def test_faults_are_written_down(tmp_path: Path) -> None:
    path = tmp_path / "faults.csv"
    path.write_text(
        "kind,stream,start,stop,count\ngap,nemisis,00:01:00,00:01:10,\nbit_flip,nemisis,00:02:00,00:02:30,2\n"
    )
    done = simulate_day(HERMES, NEMISIS, DAY, tmp_path / "out", seed=1, hours=0.1, faults=read_faults(path))
    assert [(f.kind, f.packets) for f in done.faults] == [("gap", 2), ("bit_flip", 1), ("bit_flip", 1)]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"seed": -1}, "seed -1: is negative"),
        ({"hours": 0}, "hours 0: is not above 0"),
        ({"hours": 0.001}, "the first packet comes later"),
        ({"day": date(2000, 1, 1)}, "day 2000-01-01: the clock of nemisis begins at"),
        ({"faults": (Fault.model_validate({"kind": "truncate", "stream": "mag", "start": 1}),)}, "no stream 'mag'"),
    ],
)
def test_what_cannot_be_simulated_is_refused(tmp_path: Path, changes: dict[str, object], complaint: str) -> None:
    values: dict[str, object] = {"day": DAY, "seed": 1, "hours": 0.1} | changes
    day = values.pop("day")
    with pytest.raises(ConfigurationError, match=complaint):
        simulate_day(HERMES, NEMISIS, day, tmp_path, **values)  # type: ignore[arg-type]
