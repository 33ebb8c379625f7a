# SPDX-License-Identifier: Apache-2.0
"""CCSDS space packets as arrays: primary headers, 16-bit words, the XOR16 checksum, and batches of packets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lake.errors import DefinitionError
from lake.packet_definitions import Packet, PacketField

Int64 = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint16]
Bool = npt.NDArray[np.bool_]

HEADER_WORDS = 3
UNSEGMENTED = 0xC000  # sequence flags 3, CCSDS 133.0-B-2, 4.1.3.4.2
SEQUENCE_MODULUS = 1 << 14


@dataclass(frozen=True)
class Packets:
    """Packets one after the other: their bytes, and size, start time (TT2000 ns by the instrument) and APID of each."""

    data: bytes
    sizes: Int64
    times: Int64
    apids: Int64

    @property
    def offsets(self) -> Int64:
        """Byte offset of each packet."""
        return np.asarray(np.cumsum(self.sizes) - self.sizes, np.int64)

    def __len__(self) -> int:
        return len(self.sizes)

    def part(self, first: int, stop: int) -> Packets:
        """Packets `first` to `stop` (not included), without copying their bytes one by one."""
        edges = np.concatenate([[0], np.cumsum(self.sizes)])
        data = self.data[edges[first] : edges[stop]]
        return Packets(data, self.sizes[first:stop], self.times[first:stop], self.apids[first:stop])

    def take(self, which: Int64) -> Packets:
        """The packets with these indices, in this order."""
        starts, stops = self.offsets, np.cumsum(self.sizes)
        data = b"".join(self.data[starts[i] : stops[i]] for i in which)
        return Packets(data, self.sizes[which], self.times[which], self.apids[which])


def join(batches: list[Packets]) -> Packets:
    """All packets of the batches, one batch after the other."""
    if not batches:
        return Packets(b"", *(np.empty(0, np.int64) for _ in range(3)))
    return Packets(
        b"".join(b.data for b in batches),
        np.concatenate([b.sizes for b in batches]),
        np.concatenate([b.times for b in batches]),
        np.concatenate([b.apids for b in batches]),
    )


def in_time_order(batches: list[Packets]) -> Packets:
    """All packets of the batches by start time; packets of the same time stay in the order of the batches."""
    together = join(batches)
    return together.take(np.argsort(together.times, kind="stable"))


class SequenceCounts:
    """The next sequence count of each APID: 14 bits, wrapping to 0 after 16383."""

    def __init__(self, first: Mapping[int, int]) -> None:
        self.next_count = dict(first)

    def take(self, apid: int, packets: int) -> Int64:
        """The counts of so many packets."""
        first = self.next_count[apid]
        self.next_count[apid] = (first + packets) % SEQUENCE_MODULUS
        return (first + np.arange(packets, dtype=np.int64)) % SEQUENCE_MODULUS


def assemble(
    packet: Packet,
    sequence: Int64,
    times: Int64,
    values: Mapping[str, npt.NDArray[np.integer]],
    tail: tuple[Words, Int64] | None = None,
) -> Packets:
    """Packets of one type from the values of its fields, one per packet; the checksum is computed.

    `tail` holds the words of the field that expands, packet after packet, and the number of words of each packet.
    Raises DefinitionError if a field is not made of whole 16-bit words.
    """
    tail_words, tail_sizes = tail or (np.empty(0, np.uint16), np.zeros(len(sequence), np.int64))
    fixed = np.concatenate([_field_words(packet, f, values, len(sequence)) for f in packet.fields if not f.variable], 1)
    sizes = 2 * (HEADER_WORDS + fixed.shape[1] + tail_sizes)
    fixed = np.concatenate([_header_words(packet, sequence, sizes), fixed], axis=1)
    if packet.checksum == "xor16":
        fixed[:, _checksum_word(packet)] = np.bitwise_xor.reduce(fixed, axis=1) ^ _xor_by_packet(tail_words, tail_sizes)
    data = _interleave(fixed, tail_words, tail_sizes).astype(">u2").tobytes()
    return Packets(data, sizes, times, np.full(len(sequence), packet.apids[0], np.int64))


def _header_words(packet: Packet, sequence: Int64, sizes: Int64) -> Words:
    first = np.full(len(sequence), packet.first_words[0], np.int64)
    return np.stack([first, UNSEGMENTED | sequence, sizes - 7], axis=1).astype(np.uint16)


def _field_words(packet: Packet, field: PacketField, values: Mapping[str, npt.NDArray[np.integer]], rows: int) -> Words:
    if field.kind != "uint" or field.bits not in (16, 32) or field.byte_order != "big":
        raise DefinitionError(
            f"packet {packet.name} ({field.name}): {field.kind} of {field.bits} bits cannot be simulated. "
            "Extend simulate/packets.py or make it a big-endian uint of 16 or 32 bits."
        )
    if field.name not in values:
        return np.zeros((rows, field.items * field.bits // 16), np.uint16)
    value = values[field.name].reshape(rows, field.items)
    if field.bits == 16:
        return value.astype(np.uint16)
    return np.stack([value >> 16, value & 0xFFFF], axis=2).reshape(rows, 2 * field.items).astype(np.uint16)


def _checksum_word(packet: Packet) -> int:
    before = [f.bits * f.items // 16 for f in packet.fields]
    names = [f.name for f in packet.fields]
    if "checksum" not in names:
        raise DefinitionError(f"packet {packet.name}: has no field checksum for its xor16. Add it to the packet's CSV.")
    return HEADER_WORDS + sum(before[: names.index("checksum")])


def _xor_by_packet(words: Words, sizes: Int64) -> Words:
    """XOR of each packet's tail; 0 where it is empty."""
    result = np.zeros(len(sizes), np.uint16)
    filled = sizes > 0
    if filled.any():
        result[filled] = np.bitwise_xor.reduceat(words, (np.cumsum(sizes) - sizes)[filled])
    return result


def _interleave(fixed: Words, tail: Words, sizes: Int64) -> Words:
    """Fixed words and tail of the first packet, then of the second, and so on."""
    if not len(tail):
        return fixed.reshape(-1)
    width = fixed.shape[1]
    starts = np.cumsum(sizes + width) - (sizes + width)
    result = np.empty(fixed.size + len(tail), np.uint16)
    result[starts[:, None] + np.arange(width)] = fixed
    result[np.arange(len(tail)) + np.repeat(width * np.arange(1, len(sizes) + 1), sizes)] = tail
    return result


def split_by_size(sizes: Int64, cap: int, filled: int) -> list[tuple[int, int]]:
    """Ranges of packets so that a file, `filled` bytes long already, closes with the packet that reaches `cap`."""
    ends = np.cumsum(sizes) + filled
    edges = [0]
    while edges[-1] < len(sizes):
        used = int(ends[edges[-1] - 1]) if edges[-1] else 0
        edges.append(min(int(np.searchsorted(ends, used + cap)) + 1, len(sizes)))
    return list(pairwise(edges))
