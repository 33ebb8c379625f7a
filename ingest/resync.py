# SPDX-License-Identifier: Apache-2.0
"""Where packets can start: header tables, checksums, and the search for the next good packet after damage.

CCSDS packets carry no sync marker. A place is believed to be the start of a packet when its first word is known, its
length is one that the definition allows, and the checksum is right; without a checksum, when the headers that follow
are linked to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ingest.checksums import Checksums
from lake.errors import PacketError
from lake.packet_definitions import HEADER_BYTES, LONGEST_PACKET, Packet

ZERO_RUN = 8  # so many zero bytes are padding, not the start of a packet
_IMPOSSIBLE = 1 << 30
_FURTHER_HEADERS = 2
_CHAIN_STEPS = 6
_CHAIN_REACH = 1 << 18
_FEW_WORDS = 16
_SPARE_BYTES = 16

Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class HeaderTable:
    """What the definitions say about each of the 65,536 possible first words of a packet.

    `kinds` is the index of the packet type, -1 if unknown. `shortest` and `longest` bound the length in bytes; unknown
    APIDs may have any length, and words that no packet of the stream can start with have none.
    """

    kinds: NDArray[np.int16]
    shortest: NDArray[np.int32]
    longest: NDArray[np.int32]
    checked: Mask
    words: tuple[int, ...]
    packets: tuple[Packet, ...]

    @cached_property
    def kinds_by_checksum(self) -> dict[tuple[str, int], list[int]]:
        """Indices of the packet types that share a checksum and the first byte that it covers."""
        groups: dict[tuple[str, int], list[int]] = {}
        for kind, packet in enumerate(self.packets):
            if packet.checksum is not None:
                groups.setdefault((packet.checksum, packet.checksum_first_byte), []).append(kind)
        return groups

    @cached_property
    def bounds(self) -> tuple[list[int], list[int]]:
        """`shortest` and `longest` as lists, which a loop reads faster than arrays."""
        return self.shortest.tolist(), self.longest.tolist()

    @cached_property
    def reach(self) -> int:
        """Number of bytes after a place that decide whether a packet starts there."""
        if not self.checked.all():
            return _CHAIN_REACH
        return 2 * int(self.longest[list(self.words)].max(initial=0)) + 2 * ZERO_RUN

    @property
    def look_ahead(self) -> int:
        """Number of bytes after the start of an item that decide what the item is."""
        return self.reach + LONGEST_PACKET + ZERO_RUN


def header_table(packets: tuple[Packet, ...]) -> HeaderTable:
    """The table of first words of these packet types.

    Raises: PacketError if two types claim the same first word.
    """
    kinds = np.full(65_536, -1, np.int16)
    shortest, longest = _bounds_of_unknown(packets)
    for index, packet in enumerate(packets):
        # Eight bytes at least for word 0, so that seven zero bytes never make a packet.
        low, high = _length_bounds(packet)
        for word in packet.first_words:
            if kinds[word] < 0:
                kinds[word], shortest[word], longest[word] = index, max(low, 8 if word == 0 else 7), high
                continue
            _check_family(packets[kinds[word]], packet, word & 0x7FF)
            shortest[word], longest[word] = min(shortest[word], low), max(longest[word], high)
    checked = np.array([packet.checksum is not None for packet in packets], bool)
    return HeaderTable(kinds, shortest, longest, checked, tuple(np.flatnonzero(kinds >= 0).tolist()), packets)


def _length_bounds(packet: Packet) -> tuple[int, int]:
    """Bytes of the shortest and of the longest packet of a type, or part of one if it is segmented."""
    if packet.segmented:
        return HEADER_BYTES + 1, LONGEST_PACKET
    return packet.min_bytes, min(packet.max_bytes, LONGEST_PACKET) if packet.variable else packet.min_bytes


def _check_family(first: Packet, other: Packet, apid: int) -> None:
    """Raises PacketError if two types with the same first word cannot be told apart, or have not the same checksum."""
    if not (first.when and other.when):
        raise PacketError(
            f"packets {first.name} and {other.name} both claim APID {apid}. Give it to one, or give both a `when`"
        )
    checksums = {(packet.checksum, packet.checksum_first_byte, packet.segmented) for packet in (first, other)}
    if len(checksums) > 1:
        raise PacketError(
            f"packets {first.name} and {other.name} share APID {apid} and differ in their checksum. Make it the same"
        )


def _bounds_of_unknown(packets: tuple[Packet, ...]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Length bounds of unknown APIDs: any length if the version is one of the stream's."""
    words = np.arange(65_536)
    possible = np.isin(words >> 13, [packet.version for packet in packets]) & (words != 0)
    shortest = np.where(possible, 7, _IMPOSSIBLE).astype(np.int32)
    longest = np.where(possible, LONGEST_PACKET, 0).astype(np.int32)
    return shortest, longest


class Window:
    """A piece of a file in memory, `end` bytes long and followed by spare zero bytes.

    Positions are relative to the window. `last` is true if the file ends where the window ends.
    """

    def __init__(self, table: HeaderTable, buffer: bytearray, base: int, end: int, last: bool) -> None:
        self.table = table
        self.buffer = buffer
        self.base = base
        self.end = end
        self.last = last
        self.octets: NDArray[np.uint8] = np.frombuffer(buffer, np.uint8, (end + _SPARE_BYTES) // 8 * 8)
        self.checksums = Checksums(self.octets)
        self._pairs: NDArray[np.uint16] = np.ndarray((len(buffer) - 1,), ">u2", buffer, 0, (1,))

    @staticmethod
    def allocate(size: int) -> bytearray:
        """A buffer for `size` bytes with the spare bytes that a window needs, a multiple of eight long."""
        return bytearray((size + 2 * _SPARE_BYTES) // 8 * 8)

    @property
    def horizon(self) -> int:
        """Up to here it can be decided whether a packet starts."""
        return self.end if self.last else self.end - self.table.reach

    @property
    def limit(self) -> int:
        """Items that start before this position can be decided."""
        return self.end if self.last else self.end - self.table.look_ahead

    def checksum_good(self, starts: Positions, stops: Positions, kinds: NDArray[np.int16]) -> Mask:
        """True where the packet [start, stop) has the checksum that its type asks for; all types must have one."""
        groups = self.table.kinds_by_checksum
        if len(groups) == 1:
            ((checksum, first_byte),) = groups
            return self.checksums.good(checksum, starts, stops, first_byte)
        good = np.empty(len(starts), bool)
        for (checksum, first_byte), members in groups.items():
            chosen = np.flatnonzero(np.isin(kinds, members))
            if len(chosen):
                good[chosen] = self.checksums.good(checksum, starts[chosen], stops[chosen], first_byte)
        return good

    def first_words(self, at: Positions) -> NDArray[np.uint16]:
        """The 16 bits at each position."""
        stride = int(at[1] - at[0]) if len(at) > 1 else 0
        if stride > 0 and at[-1] - at[0] == stride * (len(at) - 1) and (np.diff(at) == stride).all():
            return self.header_words(int(at[0]), 0, len(at), stride).astype(np.uint16)
        return self._pairs[at].astype(np.uint16)

    def header_words(self, start: int, byte: int, count: int, stride: int) -> NDArray[np.uint16]:
        """The 16 bits at a byte of `count` headers that lie `stride` bytes apart; a view."""
        return np.ndarray((count,), ">u2", self.buffer, start + byte, (stride,))

    def lengths(self, at: Positions) -> Positions:
        """The packet length in bytes that a header at each position would state."""
        return self._pairs[at + 4].astype(np.int64) + 7

    def kind_at(self, at: int) -> int:
        """Index of the packet type that the first word at a position belongs to, -1 if none."""
        return int(self.table.kinds[int(self._pairs[at])]) if at + 2 <= self.end else -1

    def length_at(self, at: int) -> int:
        """The packet length that a header at this position would state; 0 if the header is cut off."""
        return int(self._pairs[at + 4]) + 7 if at + HEADER_BYTES <= self.end else 0

    def plausible(self, at: Positions, known: bool) -> Mask:
        """True where a header stands whose length is allowed; of known types only if `known`."""
        inside = at + HEADER_BYTES <= self.end
        safe = np.where(inside, at, 0)
        words, lengths = self.first_words(safe), self.lengths(safe)
        good = inside & (lengths >= self.table.shortest[words]) & (lengths <= self.table.longest[words])
        return good & (self.table.kinds[words] >= 0) if known else good

    def candidates(self, start: int, stop: int) -> Positions:
        """Positions in [start, stop) of headers of known types with an allowed length, in order."""
        hits = self._known_words(start, min(stop, self.end - HEADER_BYTES + 1)) + start
        return hits[self.plausible(hits, known=True)] if len(hits) else hits

    def _known_words(self, start: int, stop: int) -> Positions:
        if stop <= start:
            return np.empty(0, np.int64)
        if len(self.table.words) > _FEW_WORDS:
            return np.flatnonzero(self.table.kinds[self._pairs[start:stop]] >= 0)
        # Comparing single bytes is many times faster than looking up 16-bit words.
        high, low = self.octets[start:stop], self.octets[start + 1 : stop + 1]
        found = np.zeros(stop - start, bool)
        for word in self.table.words:
            found |= (high == word >> 8) & (low == word & 0xFF)
        return np.flatnonzero(found)

    def acceptable(self, at: Positions) -> Positions:
        """Those of the candidates that are good packets by their checksum and the headers that follow."""
        stops = at + self.lengths(at)
        at, stops = at[stops <= self.end], stops[stops <= self.end]
        checked = self.table.checked[self.table.kinds[self.first_words(at)]]
        good = np.empty(len(at), bool)
        if checked.any():
            good[checked] = self._confirmed(at[checked], stops[checked])
        if not checked.all():
            good[~checked] = self._chained(at[~checked])
        return at[good]

    def _confirmed(self, at: Positions, stops: Positions) -> Mask:
        """True where the checksum is good and no chance: by length, by what follows, or for want of a better packet."""
        words = self.first_words(at)
        good = self.checksum_good(at, stops, self.table.kinds[words])
        doubtful = good & (self.table.shortest[words] != self.table.longest[words])
        if doubtful.any():
            doubtful[doubtful] = ~self._linked(stops[doubtful])
        for index in np.flatnonzero(doubtful).tolist():
            good[index] = not self._hides_another(int(at[index]), int(stops[index]))
        return good

    def _hides_another(self, start: int, stop: int) -> bool:
        """True if a packet with a good checksum that is linked to the next one starts within a packet."""
        inside = self.candidates(start + 1, stop)
        stops = inside + self.lengths(inside)
        inside, stops = inside[stops <= self.end], stops[stops <= self.end]
        kinds = self.table.kinds[self.first_words(inside)]
        checked = self.table.checked[kinds]
        inside, stops, kinds = inside[checked], stops[checked], kinds[checked]
        stops = stops[self.checksum_good(inside, stops, kinds)]
        return bool(self._linked(stops).any())

    def _linked(self, following: Positions) -> Mask:
        """True where a known first word, zeros or the end of the file follow."""
        safe = np.minimum(following, self.end)
        known = self.table.kinds[self.first_words(safe)] >= 0
        zeros = np.array([not any(self.buffer[p : p + ZERO_RUN]) for p in safe[~known].tolist()], bool)
        known[~known] = zeros
        return known | (self.last & (following + 2 > self.end))

    def _chained(self, at: Positions) -> Mask:
        """True where two further headers of known types, or the end of the file, are linked to a position."""
        accepted, alive = np.zeros(len(at), bool), np.ones(len(at), bool)
        links, place = np.zeros(len(at), np.int8), at.copy()
        for _ in range(_CHAIN_STEPS):
            place[alive] += self.lengths(place[alive])
            if self.last:
                accepted |= alive & (place == self.end)
            alive &= place + HEADER_BYTES <= np.minimum(at + _CHAIN_REACH, self.end)
            links[alive] += self.plausible(place[alive], known=True)
            alive[alive] = self.plausible(place[alive], known=False)
            accepted |= links >= _FURTHER_HEADERS
        return accepted

    def next_good(self, start: int) -> int | None:
        """Position of the first good packet that starts in [start, horizon)."""
        for low, high in _growing(start, self.horizon):
            found = self.acceptable(self.candidates(low, high))
            if len(found):
                return int(found[0])
        return None

    def continues_at(self, stop: int) -> tuple[bool, bool]:
        """Whether a plausible header, or zeros, and whether a header of a known type stands at a position.

        The end of the file is as good as either.
        """
        if self.last and stop >= self.end:
            return True, True
        at = np.array([stop], np.int64)
        zeros = not any(self.buffer[stop : stop + ZERO_RUN])
        return zeros or bool(self.plausible(at, known=False)[0]), bool(self.plausible(at, known=True)[0])

    def zero_run(self, start: int) -> int:
        """Where the run of zeros at a position ends; the position itself if there is no such run."""
        stop = self._zeros_end(start)
        if stop == self.end and not self.last:
            # The rest of the run is long enough to be recognised again in the next window.
            return max(start, stop - 2 * ZERO_RUN)
        if stop - start < ZERO_RUN and stop != self.end:
            return start
        # The last zero may be the upper byte of the next header.
        return stop - 1 if stop < self.end and self.kind_at(stop - 1) >= 0 else stop

    def _zeros_end(self, start: int) -> int:
        for low, high in _growing(start, self.end):
            used = self.octets[low:high] != 0
            if used.any():
                return low + int(used.argmax())
        return self.end


def _growing(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Consecutive ranges that cover [start, stop), from half a kB up to 1 MB."""
    size = 1 << 9
    while start < stop:
        yield start, min(start + size, stop)
        start, size = start + size, min(size * 4, 1 << 20)
