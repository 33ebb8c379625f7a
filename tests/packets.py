# SPDX-License-Identifier: Apache-2.0
"""Packets bit by bit, for tests: one long whole number per packet, as a text book would draw it."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from lake.packet_definitions import Packet, PacketField

Value = int | float | str | bytes


def build_packet(
    apid: int,
    bits: str,
    sequence_count: int = 0,
    version: int = 0,
    secondary_header: int = 0,
    sequence_flags: int = 3,
) -> bytes:
    """A packet with a primary header and a data field of these bits ('0' and '1'), filled up to a whole byte."""
    bits += "0" * (-len(bits) % 8)
    header = f"{version:03b}0{secondary_header:b}{apid:011b}{sequence_flags:02b}{sequence_count % 16384:014b}"
    header += f"{len(bits) // 8 - 1:016b}"
    whole = header + bits
    return int(whole, 2).to_bytes(len(whole) // 8, "big")


def bits_of(field: PacketField, value: Value) -> str:
    """One item of a field as a string of '0' and '1'."""
    if isinstance(value, float):
        order = "<" if field.byte_order == "little" else ">"
        octets = struct.pack(order + {32: "f", 64: "d"}[field.bits], value)
    elif isinstance(value, str | bytes):
        octets = value.encode("latin-1") if isinstance(value, str) else value
        octets = octets.ljust(field.bits // 8, b"\0")
    elif field.byte_order == "little":
        octets = (value % 2**field.bits).to_bytes(field.bits // 8, "little")
    else:
        return format(value % 2**field.bits, f"0{field.bits}b")
    return "".join(f"{octet:08b}" for octet in octets)


def pack(packet: Packet, values: Sequence[Value | Sequence[Value]], sequence_count: int = 0) -> bytes:
    """A packet of the first APID of a definition, with one value or list of values per field; no checksum."""
    bits = ""
    for field, value in zip(packet.fields, values, strict=True):
        items: Iterable[Value] = [value] if isinstance(value, int | float | str | bytes) else value
        bits += "".join(bits_of(field, item) for item in items)
    return build_packet(packet.apids[0], bits, sequence_count, packet.version, packet.secondary_header or 0)


def seal(packet: bytes, at: int) -> bytes:
    """The packet with the word at byte `at` set so that the XOR of all 16-bit words is 0."""
    total = 0
    for index in range(0, len(packet), 2):
        if index != at:
            total ^= packet[index] << 8 | packet[index + 1]
    return packet[:at] + bytes([total >> 8, total & 0xFF]) + packet[at + 2 :]
