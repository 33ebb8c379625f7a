# SPDX-License-Identifier: Apache-2.0
"""Packets that were sent in parts, put together by their sequence flags (CCSDS 133.0-B-2, 4.1.3.4.2).

The parts of an APID follow each other by their sequence counts. The whole has the header of the first part and the data
fields of all; a checksum at the end of a part is of that part, so only the last one stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ingest.ccsds import Chunk, Reason, Stretch
from ingest.limits import MOST_BYTES, MOST_PARTS, SEQUENCE_COUNTS
from lake.packet_definitions import CHECKSUM_BITS, HEADER_BYTES, Packet

FIRST, CONTINUATION, LAST, WHOLE = 1, 0, 2, 3  # sequence flags

Positions = NDArray[np.int64]


@dataclass
class _Group:
    """The parts of one packet so far: where each one is, its length, and its bytes as they will be in the whole."""

    kind: int
    apid: int
    next_count: int
    places: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    wrong: str = "of which other parts are missing"

    def append(self, place: int, length: int, part: bytes) -> None:
        """One more part."""
        self.places.append(place)
        self.lengths.append(length)
        self.parts.append(part)
        self.size += len(part)
        self.next_count = (self.next_count + 1) % SEQUENCE_COUNTS

    def has_room(self, length: int) -> bool:
        """True if a part of that length keeps the whole within its limits."""
        return len(self.places) < MOST_PARTS and self.size + length <= MOST_BYTES

    def stretches(self) -> list[Stretch]:
        """Where the parts are, for the quarantine; those that touch make one stretch."""
        found: list[Stretch] = []
        for place, length in zip(self.places, self.lengths, strict=True):
            last = found[-1] if found else None
            if last and last.offset + last.length == place:
                found[-1] = replace(last, length=last.length + length, packets=last.packets + 1)
                continue
            detail = f"a part of a packet of APID {self.apid}, {self.wrong}"
            found.append(Stretch(place, length, Reason.INCOMPLETE, detail, self.apid, 1))
        return found


class SegmentJoiner:
    """Joins the parts of packets chunk by chunk; packets of types that are not segmented pass as they are."""

    def __init__(self, packets: tuple[Packet, ...]) -> None:
        self.segmented = np.array([packet.segmented for packet in packets], bool)
        # xor16 has no place of its own at the end; it is where the layout has it, in every part.
        self.trailers = [
            CHECKSUM_BITS[packet.checksum] // 8 if packet.checksum not in (None, "xor16") else 0 for packet in packets
        ]
        self.open: dict[int, _Group] = {}

    @property
    def open_from(self) -> int | None:
        """Where the first part of the first unfinished packet is; None if there is no such packet."""
        return min((group.places[0] for group in self.open.values()), default=None)

    def join(self, chunk: Chunk) -> Chunk:
        """The chunk with whole packets instead of parts; unfinished ones are kept for the next chunk."""
        chosen = np.flatnonzero(self.segmented[chunk.types]) if self.segmented.any() else np.empty(0, np.int64)
        words = _words(chunk, chunk.offsets[chosen] + 2)
        if not len(chosen) or ((words >> 14 == WHOLE).all() and not self.open):
            return chunk
        done: list[tuple[int, _Group]] = []
        lost: list[_Group] = []
        for index, word in zip(chosen.tolist(), words.tolist(), strict=True):
            self._take(chunk, index, word, done, lost)
        is_part = np.zeros(len(chunk.offsets), bool)
        is_part[chosen] = words >> 14 != WHOLE
        return _joined(chunk, is_part, done, lost)

    def finish(self) -> tuple[Stretch, ...]:
        """The parts of packets that never came to an end."""
        groups, self.open = list(self.open.values()), {}
        return tuple(stretch for group in groups for stretch in group.stretches())

    def _take(self, chunk: Chunk, index: int, word: int, done: list[tuple[int, _Group]], lost: list[_Group]) -> None:
        """Add one packet or part to the packet that its APID has open, or end that one."""
        flags, count = word >> 14, word % SEQUENCE_COUNTS
        start, length, kind = int(chunk.offsets[index]), int(chunk.lengths[index]), int(chunk.types[index])
        key = int(chunk.data[start]) << 8 | int(chunk.data[start + 1])
        group = self.open.pop(key, None)
        follows = group is not None and count == group.next_count and flags in (CONTINUATION, LAST)
        if group is not None and not (follows and group.has_room(length)):
            if follows:
                group.wrong = f"which has more than {MOST_PARTS} parts or {MOST_BYTES} bytes"
            lost.append(group)
            group = None
        if flags == WHOLE:
            return
        begins = flags == FIRST or group is None
        group = group or _Group(kind, key & 0x7FF, count)
        self._append(group, chunk, start, length, int(chunk.at[index]), flags)
        if begins and flags != FIRST:
            lost.append(group)
        elif flags == LAST:
            done.append((index, group))
        else:
            self.open[key] = group

    def _append(self, group: _Group, chunk: Chunk, start: int, length: int, place: int, flags: int) -> None:
        skipped = HEADER_BYTES if group.parts else 0
        dropped = 0 if flags == LAST else self.trailers[group.kind]
        octets = chunk.data[start + skipped : start + max(length - dropped, skipped)]
        group.append(place, length, octets.tobytes())


def _words(chunk: Chunk, at: Positions) -> Positions:
    """The 16 bits at these places of the chunk's bytes."""
    return chunk.data[at].astype(np.int64) << 8 | chunk.data[at + 1]


def _joined(chunk: Chunk, is_part: NDArray[np.bool_], done: list[tuple[int, _Group]], lost: Iterable[_Group]) -> Chunk:
    """The chunk without parts, with the packets that came to an end where their last parts were."""
    kept, groups = np.flatnonzero(~is_part), [group for _, group in done]
    sizes = np.array([group.size for group in groups], np.int64)
    order = np.argsort(np.concatenate([kept, [index for index, _ in done]]), kind="stable")
    whole = np.frombuffer(b"".join(part for group in groups for part in group.parts), np.uint8)
    stretches = tuple(stretch for group in lost for stretch in group.stretches())

    def merged(of_kept: NDArray[np.generic], of_groups: Iterable[int]) -> Positions:
        return np.concatenate([of_kept.astype(np.int64), np.array(list(of_groups), np.int64)])[order]

    return replace(
        chunk,
        data=np.concatenate([chunk.data, whole]),
        offsets=merged(chunk.offsets[kept], (len(chunk.data) + np.cumsum(sizes) - sizes).tolist()),
        lengths=merged(chunk.lengths[kept], sizes.tolist()),
        types=merged(chunk.types[kept], (group.kind for group in groups)).astype(np.int16),
        stretches=chunk.stretches + stretches,
        places=merged(chunk.at[kept], (group.places[0] for group in groups)),
        overhead=chunk.overhead + sum(sum(group.lengths) - group.size for group in groups),
        segments=merged(np.ones(len(kept)), (len(group.places) for group in groups)),
    )
