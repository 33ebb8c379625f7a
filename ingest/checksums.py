# SPDX-License-Identifier: Apache-2.0
"""Checksums of any packets in a piece of a file: sums from running sums over its 64-bit words, one pass for all; cyclic
redundancy checks packet by packet, in C.
"""

from __future__ import annotations

import zlib
from binascii import crc_hqx
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]
UInt64 = NDArray[np.uint64]

DETAILS = {
    "xor16": "XOR of the 16-bit words of the packet of APID {apid} is not 0",
    "byte_sum": "the byte sum of the packet of APID {apid} is not what its last 16 bits say",
    "fletcher255": "the Fletcher checksum of the packet of APID {apid} is not what its last 16 bits say",
    "crc16_ccitt": "the CRC-16 of the packet of APID {apid} is not what its last 16 bits say",
    "crc32": "the CRC-32 of the packet of APID {apid} is not what its last 32 bits say",
}
CRC16_PRESET = 0xFFFF  # CCSDS 132.0-B-3, 4.1.6.2
_EVEN_BYTES = np.uint64(0x00FF_00FF_00FF_00FF)
# A product with one of these has a weighted sum of four 16-bit lanes in its highest lane; no lane overflows.
_ONES = np.uint64(0x0001_0001_0001_0001)
_PLACES_OF_EVEN = np.uint64(0x0000_0002_0004_0006)
_PLACES_OF_ODD = np.uint64(0x0001_0003_0005_0007)


class Checksums:
    """Answers for stretches [start, stop) of `octets`, a whole number of 64-bit words up to 2**28 bytes long.

    Sums run in 64 bits: that of the bytes is exact, and so is the difference of two sums of bytes times their positions
    as long as it belongs to one packet (65,542 * 255 * 2**28 < 2**64), whether or not the sums themselves wrap.
    """

    def __init__(self, octets: NDArray[np.uint8]) -> None:
        self.octets = octets
        self.words: UInt64 = octets.view("<u8")

    def good(self, checksum: str, starts: Positions, stops: Positions, first_byte: int) -> Mask:
        """True where a packet's checksum is right; all but xor16 cover it from `first_byte` up to what states them."""
        if checksum == "xor16":
            return self.xor_is_zero(starts, stops)
        if checksum in ("crc16_ccitt", "crc32"):
            return self.crc_is_good(checksum, np.minimum(starts + first_byte, stops), stops)
        ends = stops - 2
        starts = np.minimum(starts + first_byte, ends)
        sums = self.byte_sums(starts, ends)
        if checksum == "fletcher255":
            sums = self.second_sums(starts, ends, sums) % 255 << 8 | sums % 255
        stated = self.octets[ends].astype(np.int64) << 8 | self.octets[ends + 1]
        good: Mask = sums & 0xFFFF == stated
        return good

    def xor_is_zero(self, starts: Positions, stops: Positions) -> Mask:
        """True where the XOR of all 16-bit words is 0; never for an odd number of bytes."""
        folded = self._xor_before(stops) ^ self._xor_before(starts)
        folded ^= folded >> np.uint64(32)
        folded ^= folded >> np.uint64(16)
        good: Mask = ((folded & np.uint64(0xFFFF)) == 0) & ((stops - starts) & 1 == 0)
        return good

    def crc_is_good(self, checksum: str, starts: Positions, stops: Positions) -> Mask:
        """True where the last 16 or 32 bits state the CRC of the bytes before; never where there are no such bits."""
        octets, ranges = self.octets.data, zip(starts.tolist(), stops.tolist(), strict=True)
        if checksum == "crc16_ccitt":
            # Over the bytes and the CRC behind them, big-endian, the CRC is 0.
            good = [a + 2 <= b and crc_hqx(octets[a:b], CRC16_PRESET) == 0 for a, b in ranges]
        else:
            good = [
                a + 4 <= b and zlib.crc32(octets[a : b - 4]) == int.from_bytes(octets[b - 4 : b]) for a, b in ranges
            ]
        return np.array(good, np.bool_)

    def byte_sums(self, starts: Positions, stops: Positions) -> Positions:
        """Sums of the bytes."""
        return (self._sum_before(stops) - self._sum_before(starts)).view(np.int64)

    def second_sums(self, starts: Positions, stops: Positions, sums: Positions) -> Positions:
        """Sums of the running byte sums: a byte counts once for itself and for each one behind it."""
        placed = (self._placed_sum_before(stops) - self._placed_sum_before(starts)).view(np.int64)
        return stops * sums - placed

    @cached_property
    def _running_xor(self) -> UInt64:
        running = np.zeros(len(self.words) + 1, np.uint64)
        np.bitwise_xor.accumulate(self.words, out=running[1:])
        return running

    @cached_property
    def _running_sum(self) -> UInt64:
        running = np.zeros(len(self.words) + 1, np.uint64)
        np.cumsum(_sum_of_bytes(self.words), out=running[1:])
        return running

    @cached_property
    def _running_placed_sum(self) -> UInt64:
        """Running sum of the bytes times their positions."""
        first = np.arange(0, 8 * len(self.words), 8, dtype=np.uint64)
        running = np.zeros(len(self.words) + 1, np.uint64)
        np.cumsum(first * _sum_of_bytes(self.words) + _placed_sum_of_bytes(self.words), out=running[1:])
        return running

    def _xor_before(self, at: Positions) -> UInt64:
        xor: UInt64 = self._running_xor[at >> 3] ^ self._begun_word(at)
        return xor

    def _sum_before(self, at: Positions) -> UInt64:
        total: UInt64 = self._running_sum[at >> 3] + _sum_of_bytes(self._begun_word(at))
        return total

    def _placed_sum_before(self, at: Positions) -> UInt64:
        begun, first = self._begun_word(at), (at & ~7).view(np.uint64)
        inside = first * _sum_of_bytes(begun) + _placed_sum_of_bytes(begun)
        total: UInt64 = self._running_placed_sum[at >> 3] + inside
        return total

    def _begun_word(self, at: Positions) -> UInt64:
        """The word in which a position lies, its bytes from there on cleared."""
        below = (np.uint64(1) << ((at & 7) << 3).view(np.uint64)) - np.uint64(1)
        word: UInt64 = self.words[at >> 3] & below
        return word


def _sum_of_bytes(words: UInt64) -> UInt64:
    """Sum of the eight bytes of each word."""
    total: UInt64 = words >> np.uint64(8)
    total &= _EVEN_BYTES
    total += words & _EVEN_BYTES
    total *= _ONES
    total >>= np.uint64(48)
    return total


def _placed_sum_of_bytes(words: UInt64) -> UInt64:
    """Sum of the eight bytes of each word, times 0 to 7 from the lowest one up."""
    even = (words & _EVEN_BYTES) * _PLACES_OF_EVEN
    odd = (words >> np.uint64(8) & _EVEN_BYTES) * _PLACES_OF_ODD
    total: UInt64 = (even >> np.uint64(48)) + (odd >> np.uint64(48))
    return total
