# SPDX-License-Identifier: Apache-2.0
"""Packet types that share an APID: each packet is of the type whose conditions it meets, or it is quarantined."""

from __future__ import annotations

import binascii
import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from ingest.ccsds import scan_packets
from ingest.intake import take_in
from ingest.resync import header_table
from ingest.variants import split
from lake.definition_files import read_definitions
from lake.errors import PacketError
from lake.ledger import read_ops
from lake.packet_definitions import Condition, Packet
from lake.store import Lake
from tests.lab import write_lab
from tests.packets import pack


@pytest.fixture
def packets(tmp_path: Path) -> tuple[Packet, ...]:
    return read_definitions(write_lab(tmp_path / "missions")).mission("lab").instrument("box").packets


def sealed(packet: bytes) -> bytes:
    return packet[:-2] + binascii.crc_hqx(packet[:-2], 0xFFFF).to_bytes(2, "big")


def kinds(packets: tuple[Packet, ...], data: bytes) -> list[str]:
    """The type of each packet, in the order of the file; `none` for those of no type."""
    found: dict[int, str] = {}
    for chunk in scan_packets(io.BytesIO(data), packets):
        for kind in np.unique(chunk.types).tolist():
            chosen = chunk.types == kind
            offsets = chunk.offsets[chosen]
            for index, mask in split(packets, kind, chunk.data, offsets, chunk.lengths[chosen]):
                name = "none" if index is None else packets[index].name
                found |= dict.fromkeys((chunk.base + offsets[mask]).tolist(), name)
    return [found[offset] for offset in sorted(found)]


def test_packets_of_one_apid_are_told_apart_by_their_fields(packets: tuple[Packet, ...]) -> None:
    warm, wordy, _ = packets
    sent = [
        sealed(pack(warm, (1, 1, 500, 0), 0)),
        sealed(pack(wordy, (2, 2, 3, [1, 2, 3], 0), 1)),
        sealed(pack(warm, (3, 0, 500, 0), 2)),
        sealed(pack(wordy, (4, 255, 0, [], 0), 3)),
        sealed(pack(warm, (5, 1, 501, 0), 4)),
    ]
    assert kinds(packets, b"".join(sent)) == ["warm", "wordy", "none", "wordy", "warm"]


def test_a_packet_that_meets_two_types_is_of_the_first(packets: tuple[Packet, ...]) -> None:
    warm, wordy, _ = packets
    both = wordy.model_copy(update={"when": (Condition(field="kind", operator=">=", value=1),)})
    data = sealed(pack(warm, (1, 1, 500, 0)))
    assert kinds((warm, both), data) == ["warm"]
    assert kinds((both, warm), data) == ["wordy"]


def test_types_of_one_apid_need_conditions_and_the_same_checksum(packets: tuple[Packet, ...]) -> None:
    warm, wordy, _ = packets
    with pytest.raises(PacketError, match="both claim APID 7"):
        header_table((warm, wordy.model_copy(update={"when": ()})))
    with pytest.raises(PacketError, match="differ in their checksum"):
        header_table((warm, wordy.model_copy(update={"checksum": None})))


def test_packet_types_of_one_apid_share_their_counts_so_that_none_is_missing(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", read_definitions(write_lab(tmp_path / "missions")))
    lake.root.mkdir()
    warm, wordy, _ = lake.definitions.mission("lab").instrument("box").packets
    second = 789_000_000  # 2025-01-01T00:00:00 and some hours, in seconds since 2000
    sent = [
        sealed(pack(*((warm, (second + n, 1, 500, 0)) if n % 2 else (wordy, (second + n, 2, 1, [n], 0))), n))
        for n in range(10)
    ]
    inbox = tmp_path / "lab_box_20250101T000000.bin"
    inbox.write_bytes(b"".join(packet for n, packet in enumerate(sent) if n != 4))
    done = take_in(lake, [inbox], None, datetime(2025, 6, 1, tzinfo=UTC), 0)
    assert (done.packets, done.missing) == (9, 1)
    assert read_ops(lake, "gaps").select("apid", "missing").rows() == [(7, 1)]


def test_the_family_has_the_length_bounds_of_all_its_types(packets: tuple[Packet, ...]) -> None:
    table = header_table(packets)
    assert table.shortest[7] == 6 + 8
    assert table.longest[7] == 65_542
