# SPDX-License-Identifier: Apache-2.0
"""Checksums against a plain reading of their definitions, one byte after the other."""

from __future__ import annotations

import random
import zlib
from binascii import crc_hqx

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


def crc16_ccitt(octets: bytes, first_byte: int) -> bool:
    """The last two bytes state the CRC of those before: bit by bit, x^16 + x^12 + x^5 + 1, preset to ones."""
    register = 0xFFFF
    for octet in octets[first_byte:-2]:
        for place in range(7, -1, -1):
            carry = register >> 15 ^ octet >> place & 1
            register = (register << 1 & 0xFFFF) ^ 0x1021 * carry
    return register == octets[-2] << 8 | octets[-1]


def crc32(octets: bytes, first_byte: int) -> bool:
    """The last four bytes state the CRC of IEEE 802.3, lowest bit first, preset to ones and inverted."""
    register = 0xFFFF_FFFF
    for octet in octets[first_byte:-4]:
        for place in range(8):
            carry = register & 1 ^ octet >> place & 1
            register = register >> 1 ^ 0xEDB8_8320 * carry
    return register ^ 0xFFFF_FFFF == int.from_bytes(octets[-4:])


PLAIN = {"xor16": xor16, "byte_sum": byte_sum, "fletcher255": fletcher255, "crc16_ccitt": crc16_ccitt, "crc32": crc32}


def made_good(kind: str, octets: bytes, first_byte: int) -> bytes:
    """The bytes with their last two so that the plain checksum is right: found by trying, not by computing.

    Of a CRC-32 the last four bytes are taken from zlib, and the plain reading has to agree.
    """
    stem = octets[:-2]
    if kind == "crc32":
        return octets[:-4] + zlib.crc32(octets[first_byte:-4]).to_bytes(4, "big")
    if kind == "crc16_ccitt":
        return stem + crc_hqx(octets[first_byte:-2], 0xFFFF).to_bytes(2, "big")
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


@pytest.mark.parametrize("kind", list(PLAIN))
@pytest.mark.parametrize("first_byte", [0, 6, 14])
def test_checksums_agree_with_their_plain_definition(kind: Checksum, first_byte: int) -> None:
    rng = random.Random(f"{kind} {first_byte}")
    fills = (b"\0", b"\xff", b"\xfe\xff", b"")
    packets = []
    for number in range(120):
        size = rng.randrange(10, 25) * 2 + (kind != "xor16" and number % 2)
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


def test_known_answers_of_the_cyclic_redundancy_checks() -> None:
    # The check values of the catalogues for the text "123456789".
    assert crc16_ccitt(b"123456789\x29\xb1", 0)
    assert crc32(b"123456789\xcb\xf4\x39\x26", 0)
    text = np.frombuffer(b"123456789\x29\xb1123456789\xcb\xf4\x39\x26" + bytes(8), np.uint8)
    sums = Checksums(text[:32])
    assert sums.good("crc16_ccitt", np.array([0]), np.array([11]), 0).all()
    assert sums.good("crc32", np.array([11]), np.array([24]), 0).all()
    assert not sums.good("crc32", np.array([11, 0]), np.array([23, 3]), 0).any()
    assert not sums.good("crc16_ccitt", np.array([0]), np.array([1]), 0).any()


def test_sums_far_into_a_large_window_are_exact() -> None:
    size = 1 << 23
    octets = np.full(size, 255, np.uint8)
    stops = np.array([size - 8])
    starts, length = stops - 65_542, 65_542
    sums = Checksums(octets)
    assert sums.byte_sums(starts, stops).tolist() == [255 * length]
    assert sums.second_sums(starts, stops, sums.byte_sums(starts, stops)).tolist() == [255 * length * (length + 1) // 2]
