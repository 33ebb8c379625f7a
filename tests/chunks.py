# SPDX-License-Identifier: Apache-2.0
"""All that the chunks of a file hold, with the books checked: every byte is in one packet, one stretch, or overhead."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

from ingest.ccsds import Chunk, Reason, Stretch

DAMAGE = ("flip", "drop", "insert", "insert zeros", "zero", "swap", "cut")


class Found:
    """Packets and stretches of a file of `size` bytes, in the order of the file."""

    def __init__(self, chunks: Iterable[Chunk], size: int) -> None:
        rows: list[tuple[int, bytes, int]] = []
        self.overhead, stretches = 0, []
        for chunk in chunks:
            assert chunk.overhead >= 0
            self.overhead += chunk.overhead
            stretches += chunk.stretches
            segments = [1] * len(chunk.offsets) if chunk.segments is None else chunk.segments.tolist()
            spans = zip(chunk.offsets.tolist(), chunk.lengths.tolist(), strict=True)
            octets = [chunk.data[start : start + length].tobytes() for start, length in spans]
            rows += zip(chunk.at.tolist(), octets, segments, strict=True)
        rows.sort()
        self.places, self.packets, self.segments = ([row[i] for row in rows] for i in range(3))
        self.stretches: list[Stretch] = sorted(stretches, key=lambda stretch: stretch.offset)
        self._check(size)

    def _check(self, size: int) -> None:
        position = 0
        for stretch in self.stretches:
            assert stretch.length > 0
            assert stretch.offset >= position, "stretches overlap"
            position = stretch.offset + stretch.length
            inside = [place for place in self.places if stretch.offset <= place < position]
            assert not inside, "packets begin in a stretch"
        assert position <= size
        stretched = sum(stretch.length for stretch in self.stretches)
        assert sum(map(len, self.packets)) + stretched + self.overhead == size

    @property
    def reasons(self) -> list[Reason]:
        """The reasons of all stretches."""
        return [stretch.reason for stretch in self.stretches]


def damaged(rng: random.Random, file: bytes, kind: str) -> tuple[bytes, int, int]:
    """The file with damage somewhere, and the range of its bytes that were touched."""
    place, size = rng.randrange(len(file)), rng.choice((1, 2, 7, 40, 900, 3000))
    before, after = file[:place], file[place:]
    changed = {
        "flip": bytes([after[0] ^ 1 << rng.randrange(8)]) + after[1:],
        "drop": after[size:],
        "insert": rng.randbytes(size) + after,
        "insert zeros": bytes(size) + after,
        "zero": bytes(len(after[:size])) + after[size:],
        "swap": after[size : 2 * size] + after[:size] + after[2 * size :],
        "cut": b"",
    }[kind]
    touched = {"flip": 1, "insert": 0, "insert zeros": 0, "swap": 2 * size, "cut": len(after)}.get(kind, size)
    return before + changed, place, place + touched


def lost(sent: Iterable[bytes], found: Iterable[bytes]) -> int:
    """Number of packets that were sent and not found."""
    return (Counter(sent) - Counter(found)).total()
