# SPDX-License-Identifier: Apache-2.0
"""Checksums of FITS (standard 4.0, appendix J), a block at a time: ones' complement sums of 32-bit words."""

from __future__ import annotations

import numpy as np

BLOCK = 2880  # header and data of a unit are filled up to a multiple of this (standard 4.0, section 3.1)
WORD = (1 << 32) - 1
LARGEST = 1 << 30  # bytes at a time, far below the number at which 64 bits would overflow
# Characters between digits and letters, and between upper and lower case, are avoided (appendix J).
PUNCTUATION = frozenset(b":;<=>?@[\\]^_`")


def add(content: bytes, total: int = 0) -> int:
    """The sum with these bytes; all blocks but the last have a multiple of four of them."""
    for start in range(0, len(content), LARGEST):
        part = content[start : start + LARGEST]
        total += int(np.frombuffer(part + b"\0" * (-len(part) % 4), ">u4").sum(dtype=np.uint64))
        while total > WORD:
            total = (total & WORD) + (total >> 32)
    return total


def encode(total: int) -> str:
    """The 16 letters and digits of a CHECKSUM card that bring the sum of its unit from `total` to minus zero.

    Each byte of the complement becomes four characters whose offsets from `0` add up to it; all are then moved one
    place to the right, because the value of a card begins at a place that is one less than a multiple of four.
    """
    columns = [_characters(byte) for byte in (~total & WORD).to_bytes(4, "big")]
    letters = [columns[byte][place] for place in range(4) for byte in range(4)]
    return bytes(letters[-1:] + letters[:-1]).decode("ascii")


def _characters(byte: int) -> list[int]:
    """Four characters whose offsets from `0` add up to a byte, without punctuation."""
    quarter, rest = divmod(byte, 4)
    found = [ord("0") + quarter + (rest if place == 0 else 0) for place in range(4)]
    while PUNCTUATION & set(found):
        for low, high in ((0, 1), (2, 3)):
            if {found[low], found[high]} & PUNCTUATION:
                found[low], found[high] = found[low] + 1, found[high] - 1
    return found
