# SPDX-License-Identifier: Apache-2.0
"""What the simulator puts between markers or into frames is what the reader, and another library, take out of it."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import ccsdspy.utils
import pytest

from ingest.transport.forms import packet_chunks
from lake.source_definitions import Frames, Transport
from simulate.transport import Wrapper, split_packets
from tests.chunks import Found
from tests.ingest.test_transport import TYPES, packets_of
from tests.packets import build_packet

TRANSPORTS = {
    "markers": Transport(prefix="1acffc1d", suffix="00"),
    "tm": Transport(frames=Frames(kind="tm", length=223, sync="1acffc1d", error_control=True, channels=(0, 3))),
    "aos": Transport(
        frames=Frames(
            kind="aos",
            length=500,
            spacecraft=300,
            insert_zone=2,
            header_error_control=True,
            operational_control=True,
            error_control=True,
        )
    ),
    "short frames": Transport(frames=Frames(kind="aos", length=16, sync="1acffc1d")),
}


@pytest.mark.parametrize("form", TRANSPORTS)
def test_wrapped_packets_are_read_again_across_calls(tmp_path: Path, form: str) -> None:
    packets = packets_of(form, 60)
    wrapper = Wrapper(TRANSPORTS[form])
    content = b"".join(wrapper.wrap(b"".join(packets[at : at + 20])) for at in (0, 20, 40))
    file = tmp_path / "wrapped.bin"
    file.write_bytes(content)
    scan = Found(packet_chunks(file, TYPES, TRANSPORTS[form]), len(content))
    assert sorted(scan.packets) == sorted(packets)
    assert scan.stretches == []


def test_frames_have_the_header_that_the_standard_draws() -> None:
    frames = Frames(kind="tm", length=64, spacecraft=0x155, error_control=True, channels=(5,))
    packet = build_packet(22, "1" * 8 * 94)  # 100 bytes
    made = Wrapper(Transport(frames=frames)).wrap(packet)
    # Version 0, spacecraft 0x155, channel 5, no operational control; counts 0, 0; pointer 0.
    assert made[:6] == bytes.fromhex("155a 0000 1800")
    assert made[6:62] == packet[:56]
    # The rest of the packet is 44 bytes long: there an idle packet of 12 bytes starts.
    assert made[64:70] == bytes.fromhex("155a 0101 182c")
    assert made[70:114] == packet[56:]
    assert made[114:126] == bytes.fromhex("07ff c000 0005 555555555555")
    aos = Frames(kind="aos", length=64, spacecraft=0x3A5, channels=(9,))
    # Version 1, the lower 8 bits of 0x3a5, channel 9, count 0, the upper two bits; then the M_PDU header.
    assert Wrapper(Transport(frames=aos)).wrap(packet)[:8] == bytes.fromhex("6949 000000 30 0000")


def test_another_library_finds_the_same_packets_in_the_stream_of_a_channel() -> None:
    packets = packets_of("oracle", 30)
    frames = Frames(kind="tm", length=256)
    made = Wrapper(Transport(frames=frames)).wrap(b"".join(packets))
    stream = b"".join(made[at + 6 : at + 256] for at in range(0, len(made), 256))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = ccsdspy.utils.split_packet_bytes(io.BytesIO(stream))
    assert [packet for packet in found if packet[:2] != b"\x07\xff"] == packets
    assert list(split_packets(stream)) == found
