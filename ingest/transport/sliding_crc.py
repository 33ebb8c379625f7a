# SPDX-License-Identifier: Apache-2.0
"""CRC-16 of all stretches of one length in a piece of a file, at a cost for each that does not grow with the length.

The CRC is linear: that of a stretch is the difference of two running ones, the first of them carried on over as many
zero bytes as the stretch has.
"""

from __future__ import annotations

from binascii import crc_hqx
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ingest.checksums import CRC16_PRESET

Register = NDArray[np.uint16]
Mask = NDArray[np.bool_]


def sliding_crc_good(octets: NDArray[np.uint8], length: int) -> Mask:
    """True for each place where `length` bytes begin, of which the last two are the CRC of those before."""
    running = np.concatenate([np.zeros(1, np.uint16), _of_bytes()[octets]])
    step = 0
    while 1 << step < len(running):
        running[1 << step :] ^= _over_zeros(step)[running[: -(1 << step)]]
        step += 1
    carried = running[: max(len(running) - length, 0)] ^ np.uint16(CRC16_PRESET)
    for step in range(length.bit_length()):
        if length >> step & 1:
            carried = _over_zeros(step)[carried]
    good: Mask = carried == running[length:]
    return good


@cache
def _of_bytes() -> Register:
    """The CRC of each byte, from a register of zeros."""
    return np.array([crc_hqx(bytes([octet]), 0) for octet in range(256)], np.uint16)


@cache
def _over_zeros(step: int) -> Register:
    """What becomes of each register over 2**step zero bytes."""
    if step:
        half = _over_zeros(step - 1)
        return half[half]
    register = np.arange(1 << 16, dtype=np.uint16)
    over: Register = register << np.uint16(8) ^ _of_bytes()[register >> np.uint16(8)]
    return over
