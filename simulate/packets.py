# SPDX-License-Identifier: Apache-2.0
"""CCSDS space packets as arrays: primary headers, fields of any width, checksums, and batches of packets."""

from __future__ import annotations

import math
import zlib
from binascii import crc_hqx
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lake.errors import DefinitionError
from lake.packet_definitions import Packet, PacketField

Int64 = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint16]
Octets = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.integer] | npt.NDArray[np.floating]
Fields = tuple[PacketField, ...]

HEADER_BYTES = 6
CRCS: dict[str, tuple[int, Callable[[bytes], int]]] = {
    "crc16_ccitt": (2, lambda octets: crc_hqx(octets, 0xFFFF)),
    "crc32": (4, zlib.crc32),
}
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
    values: Mapping[str, Numbers],
    tail: tuple[Words, Int64] | None = None,
    *,
    apid: int | None = None,
) -> Packets:
    """Packets of one type from the values of its fields, shape [packets] or [packets, items]; the checksum is computed.

    Fields without values are 0. Values of `bytes` and `str` fields are single bytes; those of `float` fields are
    rounded to their width. `tail` holds the 16-bit words of the field of variable length, packet after packet, and the
    number of words of each. `apid` is the packet's first one unless given.
    Raises DefinitionError if a field cannot be simulated or a value does not fit into it.
    """
    apid = packet.apids[0] if apid is None else apid
    words, word_counts = tail or (np.empty(0, np.uint16), np.zeros(len(sequence), np.int64))
    head, behind = _around_the_tail(packet)
    before, after = (_field_bytes(packet, part, values, len(sequence)) for part in (head, behind))
    sizes = HEADER_BYTES + before.shape[1] + 2 * word_counts + after.shape[1]
    before = np.concatenate([_header_bytes(packet, apid, sequence, sizes), before], axis=1)
    octets = _interleave(before, words.astype(">u2").view(np.uint8), 2 * word_counts, after)
    _seal(packet, octets, sizes)
    return Packets(octets.tobytes(), sizes, times, np.full(len(sequence), apid, np.int64))


def _header_bytes(packet: Packet, apid: int, sequence: Int64, sizes: Int64) -> Octets:
    """Primary headers of unsegmented packets [packets, 6]."""
    if apid not in packet.apids:
        raise DefinitionError(f"packet {packet.name}: has no APID {apid}. Use one of {packet.apids}.")
    first = np.full(len(sequence), packet.first_words[packet.apids.index(apid)], np.int64)
    header = np.stack([first, UNSEGMENTED | sequence, sizes - HEADER_BYTES - 1], axis=1)
    return header.astype(">u2").view(np.uint8)


def _around_the_tail(packet: Packet) -> tuple[Fields, Fields]:
    """The fields before and behind the one of variable length."""
    variable = [index for index, field in enumerate(packet.fields) if field.variable]
    if len(variable) > 1:
        raise DefinitionError(
            f"packet {packet.name}: has {len(variable)} fields of variable length. Simulate packets with one at most."
        )
    at = variable[0] if variable else len(packet.fields)
    return packet.fields[:at], packet.fields[at + 1 :]


def _field_bytes(packet: Packet, fields: Fields, values: Mapping[str, Numbers], rows: int) -> npt.NDArray[np.uint8]:
    """The bytes of fields that follow each other [packets, bytes]; those that share bytes are joined bit by bit."""
    parts: list[Octets] = [np.empty((rows, 0), np.uint8)]
    shared: list[Octets] = []
    for field in fields:
        items = _items(packet, field, values, rows)
        if not shared and field.bits * field.items % 8 == 0 and (whole := _whole_bytes(field, items)) is not None:
            parts.append(whole)
            continue
        shared.append(_bits(field, items))
        if sum(bits.shape[1] for bits in shared) % 8 == 0:
            parts.append(np.packbits(np.concatenate(shared, axis=1), axis=1))
            shared = []
    if shared:
        raise DefinitionError(f"packet {packet.name}: its fields do not fill whole bytes. Add a fill field at the end.")
    return np.concatenate(parts, axis=1)


def _items(packet: Packet, field: PacketField, values: Mapping[str, Numbers], rows: int) -> npt.NDArray[np.integer]:
    """The values of a field [packets, items], or [packets, bytes] of texts and bytes."""
    octets = field.kind in ("bytes", "str")
    count, bits = (field.items * field.bits // 8, 8) if octets else (field.items, field.bits)
    if field.kind == "fill" or field.name not in values:
        return np.zeros((rows, count), np.uint8)
    if field.kind == "float":
        numbers = np.asarray(values[field.name], f"f{bits // 8}").reshape(rows, count)
        return _in_byte_order(field, numbers.view(f"u{bits // 8}"))
    items: npt.NDArray[np.integer] = np.asarray(values[field.name]).reshape(rows, count)  # type: ignore[assignment]
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if field.kind == "int" else (0, (1 << bits) - 1)
    if items.size and not low <= int(items.min()) <= int(items.max()) <= high:
        raise DefinitionError(
            f"packet {packet.name} ({field.name}): {items.min()} to {items.max()} does not fit into {bits} bits. "
            f"Keep the values between {low} and {high}."
        )
    return items if octets else _in_byte_order(field, items)


def _in_byte_order(field: PacketField, items: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    """The items of a field; those of a little-endian one with their bytes turned round."""
    if field.byte_order == "big" or field.bits == 8:
        return items
    width = field.bits // 8
    turned = np.zeros((*items.shape, 8), np.uint8)
    turned[:, :, 8 - width :] = _big_endian(items, width)[:, :, ::-1]
    return turned.view(">u8")[:, :, 0].astype(np.uint64)


def _whole_bytes(field: PacketField, items: npt.NDArray[np.integer]) -> Octets | None:
    """Bytes of a field that fills whole bytes; None if no 64-bit number holds the items between two byte borders."""
    if field.kind in ("bytes", "str"):
        return items.astype(np.uint8)
    together = 8 // math.gcd(field.bits, 8)  # items between two byte borders: 2 of 12 bits, 1 of 24
    if together * field.bits > 64 or field.items % together:
        return None
    joined = items
    if together > 1:
        mask = np.uint64((1 << field.bits) - 1)
        joined = items[:, 0::together].astype(np.uint64) & mask
        for first in range(1, together):
            joined <<= np.uint64(field.bits)
            joined |= items[:, first::together].astype(np.uint64) & mask
    width = together * field.bits // 8
    return _big_endian(joined, width).reshape(len(items), joined.shape[1] * width)


def _big_endian(values: npt.NDArray[np.integer], width: int) -> Octets:
    """The lowest `width` bytes of numbers [packets, items] as [packets, items, width], the highest byte first."""
    held = next(size for size in (1, 2, 4, 8) if size >= width)
    octets = np.ascontiguousarray(values.astype(f">u{held}")).view(np.uint8)
    return octets.reshape(*values.shape, held)[:, :, held - width :]


def _bits(field: PacketField, items: npt.NDArray[np.integer]) -> Octets:
    """The bits of a field, one to a byte [packets, bits]."""
    if field.kind in ("bytes", "str"):
        return np.unpackbits(items.astype(np.uint8), axis=1)
    if field.kind == "fill":
        return np.zeros((len(items), field.bits * field.items), np.uint8)
    width = (field.bits + 7) // 8
    bits = np.unpackbits(_big_endian(items, width), axis=2)
    return bits[:, :, 8 * width - field.bits :].reshape(len(items), field.bits * field.items)


def _interleave(before: Octets, tail: Octets, tail_sizes: Int64, after: Octets) -> Octets:
    """What stands before the tail, the tail, and what stands behind it, of the first packet, then of the second."""
    fixed = np.concatenate([before, after], axis=1).reshape(-1)
    if not len(tail):
        return fixed
    runs = np.empty((len(tail_sizes), 3), np.int64)
    runs[:, 0], runs[:, 1], runs[:, 2] = before.shape[1], tail_sizes, after.shape[1]
    in_tail = np.repeat(np.tile([False, True, False], len(tail_sizes)), runs.reshape(-1))
    result = np.empty(len(in_tail), np.uint8)
    result[in_tail], result[~in_tail] = tail, fixed
    return result


def _seal(packet: Packet, octets: Octets, sizes: Int64) -> None:
    """Write the checksums into packets that follow each other."""
    if packet.checksum is None or not len(sizes):
        return
    stops = np.cumsum(sizes)
    starts = stops - sizes
    if packet.checksum == "xor16":
        at = _checksum_place(packet, starts, stops)
        octets[at], octets[at + 1] = 0, 0
        value = _xor_by_packet(packet, octets, starts)
    elif packet.checksum in CRCS:
        value = _crc_by_packet(packet, octets, starts, stops)
        at = stops - 2
    else:
        at = stops - 2
        value = _sums_by_packet(packet, octets, starts, sizes)
    if packet.checksum == "crc32":
        octets[at - 2], octets[at - 1] = value >> 24, value >> 16 & 0xFF
    octets[at], octets[at + 1] = value >> 8 & 0xFF, value & 0xFF


def _crc_by_packet(packet: Packet, octets: Octets, starts: Int64, stops: Int64) -> Int64:
    """CRC of each packet from its `checksum_first_byte` up to where the CRC is stated."""
    width, crc = CRCS[str(packet.checksum)]
    first, whole = packet.checksum_first_byte, octets.tobytes()
    ranges = zip((starts + first).tolist(), (stops - width).tolist(), strict=True)
    return np.array([crc(whole[start:stop]) for start, stop in ranges], np.int64)


def _checksum_place(packet: Packet, starts: Int64, stops: Int64) -> Int64:
    """Where the field `checksum` of each packet begins."""
    head, behind = _around_the_tail(packet)
    bits_behind = sum(field.bits * field.items for field in behind)
    for fields, edge_bits, edge in ((head, 8 * HEADER_BYTES, starts), (behind, -bits_behind, stops)):
        ends = edge_bits + np.cumsum([field.bits * field.items for field in fields], dtype=np.int64)
        for field, end in zip(fields, ends.tolist(), strict=True):
            if field.name == "checksum" and field.bits == 16 and end % 16 == 0:
                return np.asarray(edge + (end - 16) // 8, np.int64)
    raise DefinitionError(
        f"packet {packet.name}: has no 16-bit field checksum at an even byte for its xor16. Add it to the packet's CSV."
    )


def _xor_by_packet(packet: Packet, octets: Octets, starts: Int64) -> Int64:
    """XOR of the 16-bit words of each packet."""
    if len(octets) % 2 or (starts % 2).any():
        raise DefinitionError(f"packet {packet.name}: xor16 needs an even number of bytes. Add a fill field.")
    xor: Int64 = np.bitwise_xor.reduceat(octets.view(">u2"), starts // 2).astype(np.int64)
    return xor


def _sums_by_packet(packet: Packet, octets: Octets, starts: Int64, sizes: Int64) -> Int64:
    """Byte sum or Fletcher sums of each packet, from its `checksum_first_byte` up to its last two bytes."""
    result = np.empty(len(starts), np.int64)
    for size in np.unique(sizes).tolist():
        chosen = np.flatnonzero(sizes == size)
        whole = (
            octets.reshape(-1, size) if len(chosen) == len(sizes) else octets[starts[chosen, None] + np.arange(size)]
        )
        covered = whole[:, packet.checksum_first_byte : -2]
        sums = covered.sum(axis=1, dtype=np.int64)
        if packet.checksum == "fletcher255":
            # The n-th byte from the end is in n of the running sums that the second sum adds up.
            second = covered @ np.arange(covered.shape[1], 0, -1, dtype=np.int64)
            sums = second % 255 << 8 | sums % 255
        result[chosen] = sums & 0xFFFF
    return result


def split_by_size(sizes: Int64, cap: int, filled: int) -> list[tuple[int, int]]:
    """Ranges of packets so that a file, `filled` bytes long already, closes with the packet that reaches `cap`."""
    ends = np.cumsum(sizes) + filled
    edges = [0]
    while edges[-1] < len(sizes):
        used = int(ends[edges[-1] - 1]) if edges[-1] else 0
        edges.append(min(int(np.searchsorted(ends, used + cap)) + 1, len(sizes)))
    return list(pairwise(edges))
