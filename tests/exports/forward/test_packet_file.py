# SPDX-License-Identifier: Apache-2.0
"""The file that packets are appended to ends with a whole packet, whatever happened before."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from exports.forward.packet_file import PacketFile
from exports.forward.wire import Frame
from lake.errors import ConfigurationError, StorageError
from lake.files import writing
from tests.packet_lines import ticks
from tests.packets import build_packet

PACKETS = ticks(0, 6)


def append(path: Path, packets: list[bytes]) -> str:
    """What was cut off before."""
    with closing(PacketFile(path)) as file:
        for data in packets:
            file.take(Frame({"kind": "packet"}, data))
        file.settle()
        return file.cut


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "packets.bin"


def test_packets_follow_each_other_over_several_runs(path: Path) -> None:
    assert [append(path, PACKETS[:2]), append(path, PACKETS[2:])] == ["", ""]
    assert path.read_bytes() == b"".join(PACKETS)


@pytest.mark.parametrize("torn", [1, 5, 6, len(PACKETS[0]) - 1])
def test_what_a_crash_left_of_a_packet_is_cut_off_and_told(path: Path, torn: int) -> None:
    path.write_bytes(b"".join(PACKETS[:3]) + PACKETS[3][:torn])
    assert f"{torn} bytes of a packet that was not whole were cut off" in append(path, PACKETS[3:])
    assert path.read_bytes() == b"".join(PACKETS)


def test_a_disk_that_becomes_full_within_a_packet_leaves_whole_ones(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The system takes a part of what is written, as it does then, and refuses the rest."""
    append(path, PACKETS[:2])
    write, room = os.write, [len(PACKETS[2]) + 3]

    def full(handle: int, octets: memoryview) -> int:
        if not room:
            raise OSError(28, os.strerror(28))
        return write(handle, octets[: room.pop()])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StorageError, match="No space left"), writing(path):
        append(path, PACKETS[2:4])
    assert path.read_bytes() == b"".join(PACKETS[:2])
    assert "15 bytes that were not on disk were cut off" in caplog.text


@pytest.mark.parametrize("content", [b"notes of mine", PACKETS[0] + b"notes of mine", PACKETS[0][:-1]])
def test_what_is_no_file_of_packets_is_left_as_it_is(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="Name another file"):
        append(path, PACKETS)
    assert path.read_bytes() == content


def test_packets_of_joined_parts_are_never_cut(path: Path) -> None:
    """The length in their header is that of their first part."""
    first = bytearray(build_packet(7, "0" * 64, 0))
    first[2] = first[2] & 0x3F | 0x40
    content = bytes(first) + b"\0\1\2" * 7
    path.write_bytes(content)
    assert "cannot be seen" in append(path, PACKETS)
    assert path.read_bytes() == content + b"".join(PACKETS)


def test_two_processes_do_not_append_to_one_file(path: Path) -> None:
    with closing(PacketFile(path)), pytest.raises(ConfigurationError, match="another process appends to it"):
        PacketFile(path)
