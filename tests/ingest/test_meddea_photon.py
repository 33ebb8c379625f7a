# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from ingest.ccsds import scan_packets
from ingest.unpackers.meddea_photon import Events, unpack_events
from lake.packet_definitions import Packet, PacketField
from tests.packets import build_packet
from tests.shared_data import telemetry_root

ROOT = Path(__file__).parents[2]
TELEMETRY = telemetry_root() / "padre" / "meddea"
CHANNELS = (26, 8, 18, 0, 21, 3)


def _packet(events: Sequence[Sequence[int]], integration_time: int = 39_062) -> bytes:
    """A photon packet with the words of each event as given; its checksum is left 0."""
    header = [0, 1, 0, 2, integration_time, integration_time, 0, 0]
    return build_packet(160, "".join(f"{word:016b}" for word in [*header, *(w for e in events for w in e)]))


def _events(count: int, words: int, seed: int = 0) -> list[list[int]]:
    """Plausible events with 3 or 4 words."""
    rng = np.random.default_rng(seed)
    clocks = np.sort(rng.integers(0, 39_062, count)).tolist()
    return [
        [
            clock,
            int(rng.integers(4)) << 5 | int(rng.choice(CHANNELS)),
            *rng.integers(300, 4096, words - 2).tolist(),
        ]
        for clock in clocks
    ]


def _unpack(packets: list[bytes], previous: int = 0) -> Events:
    lengths = np.array([len(p) for p in packets], np.int64)
    return unpack_events(b"".join(packets), np.cumsum(lengths) - lengths, lengths, previous)


def test_events_without_baseline() -> None:
    events = _unpack([_packet([[10, 0xE8 | 2, 300], [40_000, 26, 4095]]), _packet([[1, 3 << 5 | 31, 7]])])
    assert_array_equal(events.clocks, [10, 40_000, 1])
    assert_array_equal(events.pixel_id, [0xEA, 26, 127])
    assert_array_equal(events.asic, [7, 0, 3])
    assert_array_equal(events.channel, [10, 26, 31])
    assert_array_equal(events.atod, [300, 4095, 7])
    assert events.baseline_null.all()
    assert_array_equal(events.counts, [2, 1])
    assert_array_equal(events.words, [3, 3])
    types = [getattr(events, n).dtype for n in ("clocks", "pixel_id", "asic", "channel", "atod", "baseline")]
    assert [str(t) for t in types] == ["int32", "int32", "int8", "int8", "int16", "int16"]


def test_events_with_baseline_have_it_before_the_adc_value() -> None:
    events = _unpack([_packet([[10, 26, 1000, 300], [11, 8, 0, 301]])])
    assert_array_equal(events.baseline, [1000, 0])
    assert_array_equal(events.atod, [300, 301])
    assert not events.baseline_null.any()


@pytest.mark.parametrize("words", [3, 4])
def test_a_file_of_one_packet_with_four_or_twelve_events_decodes_right(words: int) -> None:
    for count in (4, 12, 24, 3 if words == 4 else 8):
        for seed in range(20):
            sent = _events(count, words, seed)
            events = _unpack([_packet(sent)])
            assert not events.bad_layout.any()
            assert_array_equal(events.clocks, [e[0] for e in sent])
            assert_array_equal(events.atod, [e[-1] for e in sent])
            assert events.baseline_null.all() == (words == 3)


def test_a_packet_that_fits_neither_layout_is_reported() -> None:
    good = _packet(_events(5, 3))
    events = _unpack([good, good + b"\0\0", good[:21], good])
    assert events.bad_layout.tolist() == [False, True, True, False]
    assert events.counts.tolist() == [5, 0, 0, 5]
    assert len(events.clocks) == 10


def test_a_packet_of_which_nothing_tells_the_layout_is_reported() -> None:
    unclear = _packet([[0, 0, 0]] * 4)
    assert _unpack([unclear]).bad_layout.tolist() == [True]


@pytest.mark.parametrize("words", [3, 4])
def test_neighbours_tell_the_layout_of_a_packet_that_says_nothing(words: int) -> None:
    unclear, clear = _packet([[0, 0, 0]] * 4), _packet(_events(5, words))
    for packets in ([unclear, clear], [clear, unclear], [clear, unclear, clear]):
        events = _unpack(packets)
        assert not events.bad_layout.any()
        assert set(events.words.tolist()) == {words}
    assert _unpack([unclear], previous=words).words.tolist() == [words]


def test_the_layout_may_change_within_a_file() -> None:
    sent = [_events(n, 3 if n < 20 else 4, n) for n in (5, 4, 8, 7, 24, 21, 23, 24)]
    events = _unpack([_packet(e) for e in sent])
    assert events.words.tolist() == [3, 3, 3, 3, 4, 4, 4, 4]
    assert_array_equal(events.atod, [e[-1] for packet in sent for e in packet])
    assert_array_equal(events.clocks, [e[0] for packet in sent for e in packet])
    assert_array_equal(events.baseline_null, np.repeat([True, False], [24, 92]))


def test_zero_events_are_fine() -> None:
    for packets in ([_packet([])], [_packet([]), _packet(_events(5, 4)), _packet([])], []):
        events = _unpack(packets)
        assert not events.bad_layout.any()
        assert events.counts.tolist() == [5 if len(p) > 22 else 0 for p in packets]


def test_values_that_no_column_can_hold_are_reported() -> None:
    events = _unpack([_packet(_events(5, 3)), _packet([[1, 26, 0x8000]]), _packet(_events(2, 3))])
    assert events.bad_layout.tolist() == [False, True, False]
    assert events.counts.tolist() == [5, 0, 2]
    assert len(events.atod) == 7


@pytest.mark.telemetry
def test_the_real_photon_file_has_767_events_of_the_ground_detector() -> None:
    path = TELEMETRY / "padreMDA0_240916122901.dat"
    if not path.exists():
        pytest.skip(f"no {path}; set SWXLAKE_TELEMETRY to the folder of the telemetry files")
    fields = [PacketField(name=f"w{n}", kind="uint", bits=16) for n in range(8)]
    fields.append(PacketField(name="events", kind="uint", bits=16, expand=True))
    photon = Packet(name="photon", apids=(160,), fields=tuple(fields), max_bytes=1300, checksum="xor16")
    (chunk,) = scan_packets(io.BytesIO(path.read_bytes()), (photon,))
    events = unpack_events(chunk.data, chunk.offsets, chunk.lengths)
    assert events.counts.tolist() == [190, 193, 194, 190]
    assert set(events.asic.tolist()) == {7}
    assert len(set(events.channel.tolist())) == 12
    assert events.baseline_null.all()
    assert int(events.atod.max()) <= 4095
    ends = np.cumsum(events.counts)
    for start, stop, longest in zip(ends - events.counts, ends, (12_424, 3024, 5154, 15_908), strict=True):
        clocks = events.clocks[start:stop]
        assert (np.diff(clocks) >= 0).all()
        assert clocks[-1] <= longest
