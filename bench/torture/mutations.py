# SPDX-License-Identifier: Apache-2.0
"""Seeded damage to packet files: flipped bits, cuts, insertions, swaps, blocks of zeros, stretches that occur twice."""

from __future__ import annotations

import random
from collections.abc import Iterator


def split(data: bytes) -> list[bytes]:
    """The packets of an undamaged file, by their length fields."""
    packets = []
    while data:
        size = packet_bytes(data, 0)
        packets.append(data[:size])
        data = data[size:]
    return packets


def packet_bytes(data: bytes, offset: int) -> int:
    """Length of the packet at an offset, as its header says."""
    return (data[offset + 4] << 8 | data[offset + 5]) + 7


def in_turns(*files: bytes) -> bytes:
    """A file in which the packets of several files take turns."""
    return b"".join(packet for few in zip(*map(split, files), strict=True) for packet in few)


def flip(data: bytearray, rng: random.Random) -> None:
    """One bit turns over."""
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def cut(data: bytearray, rng: random.Random) -> None:
    """A stretch is lost."""
    start = rng.randrange(len(data))
    del data[start : start + rng.choice((1, 2, 7, 40, 600, 5000))]


def insert(data: bytearray, rng: random.Random) -> None:
    """Noise comes in between."""
    start = rng.randrange(len(data) + 1)
    data[start:start] = rng.randbytes(rng.choice((1, 3, 8, 90, 700)))


def swap(data: bytearray, rng: random.Random) -> None:
    """Two stretches change places."""
    size = min(rng.choice((1, 6, 22, 300)), len(data) // 2)
    first = rng.randrange(len(data) - 2 * size + 1)
    second = rng.randrange(first + size, len(data) - size + 1)
    earlier, later = slice(first, first + size), slice(second, second + size)
    data[earlier], data[later] = data[later], data[earlier]


def zero(data: bytearray, rng: random.Random) -> None:
    """A block is blanked."""
    start = rng.randrange(len(data))
    size = min(rng.choice((1, 2, 16, 200, 3000)), len(data) - start)
    data[start : start + size] = bytes(size)


def repeat(data: bytearray, rng: random.Random) -> None:
    """A stretch occurs a second time, somewhere after itself."""
    start = rng.randrange(len(data))
    stretch = bytes(data[start : start + rng.choice((1, 6, 40, 700, 6000, 30_000))])
    place = rng.randrange(start, len(data)) + 1
    data[place:place] = stretch


MUTATIONS = (flip, cut, insert, swap, zero, repeat)


def mutate(originals: list[bytes], seed: int) -> tuple[bytes, bytes, int]:
    """An original, what has become of it, and by how many corruptions."""
    rng = random.Random(seed)  # noqa: S311  damage has to be the same in each run
    [original] = rng.choices(originals, weights=range(len(originals), 0, -1))
    data, corruptions = bytearray(original), rng.choice((1, 1, 1, 2, 3))
    for _ in range(corruptions):
        if data:
            rng.choice(MUTATIONS)(data, rng)
    return original, bytes(data), corruptions


def places(data: bytes, packet: bytes) -> Iterator[int]:
    """Offsets at which a packet lies in a file, whole."""
    place = data.find(packet)
    while place >= 0:
        yield place
        place = data.find(packet, place + len(packet))
