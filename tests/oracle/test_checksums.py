# SPDX-License-Identifier: Apache-2.0
"""Checksums against a plain reading of their definitions, one byte after the other."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.checksums import Checksums
from ingest.resync import Window, header_table
from lake.packet_definitions import Checksum, Packet, PacketField


def xor16(octets: bytes, _: int) -> bool:
    """The XOR of all 16-bit words, itself included, is 0."""
    total = 0
    for at in range(0, len(octets), 2):
        total ^= octets[at] << 8 | octets[at + 1]
    return total == 0


def byte_sum(octets: bytes, first_byte: int) -> bool:
    """The last two bytes state the sum of those before, modulo 65536."""
    total = 0
    for octet in octets[first_byte:-2]:
        total = (total + octet) % 65_536
    return total == octets[-2] << 8 | octets[-1]


def fletcher255(octets: bytes, first_byte: int) -> bool:
    """Fletcher's two sums modulo 255 (IEEE Trans. Commun. 30, 247); the second one is stated first."""
    first = second = 0
    for octet in octets[first_byte:-2]:
        first = (first + octet) % 255
        second = (second + first) % 255
    return (second, first) == (octets[-2], octets[-1])


PLAIN = {"xor16": xor16, "byte_sum": byte_sum, "fletcher255": fletcher255}


def made_good(kind: str, octets: bytes, first_byte: int) -> bytes:
    """The bytes with their last two so that the plain checksum is right: found by trying, not by computing."""
    stem = octets[:-2]
    guesses = (stem + guess.to_bytes(2, "big") for guess in range(65_536))
    return next(guess for guess in guesses if PLAIN[kind](guess, first_byte))


def window_of(kind: Checksum, first_byte: int, data: bytes) -> Window:
    rest = PacketField(name="rest", kind="uint", bits=8, expand=True)
    packet = Packet(
        name="any", apids=(5,), fields=(rest,), max_bytes=65_542, checksum=kind, checksum_first_byte=first_byte
    )
    buffer = Window.allocate(len(data))
    buffer[: len(data)] = data
    return Window(header_table((packet,)), buffer, 0, len(data), last=True)


@pytest.mark.parametrize("kind", ["xor16", "byte_sum", "fletcher255"])
@pytest.mark.parametrize("first_byte", [0, 6, 14])
def test_checksums_agree_with_their_plain_definition(kind: Checksum, first_byte: int) -> None:
    rng = random.Random(f"{kind} {first_byte}")
    fills = (b"\0", b"\xff", b"\xfe\xff", b"")
    packets = []
    for number in range(120):
        size = rng.randrange(8, 25) * 2 + (kind != "xor16" and number % 2)
        fill = fills[number % 4]
        packets.append((fill * size)[:size] if fill else rng.randbytes(size))
    packets[::6] = [made_good(kind, packet, first_byte) for packet in packets[::6]]
    stops = np.cumsum([len(packet) for packet in packets])
    starts = stops - [len(packet) for packet in packets]
    window = window_of(kind, first_byte, b"".join(packets))
    found = window.checksum_good(starts, stops, np.zeros(len(starts), np.int16))
    assert found.tolist() == [PLAIN[kind](packet, first_byte) for packet in packets]
    assert found[::6].all()
    assert not found.all()


@given(data=st.binary(min_size=8, max_size=600), start=st.integers(0, 590), size=st.integers(0, 600))
@settings(max_examples=200, deadline=None)
def test_sums_of_any_stretch_are_exact(data: bytes, start: int, size: int) -> None:
    start = min(start, len(data))
    stretch = data[start : start + size]
    padded = np.frombuffer(data + bytes(16 - len(data) % 8), np.uint8)
    sums = Checksums(padded)
    starts, stops = np.array([start]), np.array([start + len(stretch)])
    first = sums.byte_sums(starts, stops)
    assert first.tolist() == [sum(stretch)]
    assert sums.second_sums(starts, stops, first).tolist() == [sum(sum(stretch[: n + 1]) for n in range(len(stretch)))]


def test_sums_far_into_a_large_window_are_exact() -> None:
    size = 1 << 23
    octets = np.full(size, 255, np.uint8)
    stops = np.array([size - 8])
    starts, length = stops - 65_542, 65_542
    sums = Checksums(octets)
    assert sums.byte_sums(starts, stops).tolist() == [255 * length]
    assert sums.second_sums(starts, stops, sums.byte_sums(starts, stops)).tolist() == [255 * length * (length + 1) // 2]
