# SPDX-License-Identifier: Apache-2.0
"""Simulated packets: each field bit by bit, each checksum byte by byte, and what cannot be simulated."""

from __future__ import annotations

import zlib
from binascii import crc_hqx
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest

from lake.errors import DefinitionError
from lake.packet_definitions import Packet, PacketField
from simulate.packets import Int64, Numbers, Words, assemble
from tests.packets import Value, pack

CHECKSUM = PacketField(name="checksum", kind="uint", bits=16)
ACCUM = (
    PacketField(name="coarse", kind="uint", bits=32),
    PacketField(name="fine", kind="uint", bits=20),
    PacketField(name="spare", kind="fill", bits=4),
    PacketField(name="counts", kind="uint", bits=12, shape=(34,)),
)
MIXED = (
    PacketField(name="start", kind="uint", bits=1),
    PacketField(name="signed", kind="int", bits=5),
    PacketField(name="mode", kind="uint", bits=2, shape=(5,)),
    PacketField(name="vector", kind="int", bits=24, shape=(3, 3)),
    PacketField(name="wide", kind="uint", bits=64),
    PacketField(name="odd", kind="int", bits=37),
    PacketField(name="raw", kind="bytes", bits=24, shape=(2,)),
    PacketField(name="spare", kind="fill", bits=11),
    PacketField(name="temperature", kind="int", bits=16, shape=(2,)),
)
ORDERED = (
    PacketField(name="volts", kind="float", bits=32, shape=(2,)),
    PacketField(name="reversed_volts", kind="float", bits=32, byte_order="little"),
    PacketField(name="double", kind="float", bits=64, byte_order="little", shape=(2,)),
    PacketField(name="word", kind="uint", bits=16, byte_order="little", shape=(3,)),
    PacketField(name="three", kind="int", bits=24, byte_order="little", shape=(2,)),
    PacketField(name="half", kind="uint", bits=4),
    PacketField(name="askew", kind="int", bits=32, byte_order="little"),
    PacketField(name="wide", kind="uint", bits=64, byte_order="little"),
    PacketField(name="text", kind="bytes", bits=40),
    PacketField(name="rest", kind="uint", bits=4),
)
EVENTS = (
    PacketField(name="coarse", kind="uint", bits=32),
    PacketField(name="n_events", kind="uint", bits=16),
    PacketField(name="events", kind="uint", bits=64, length_field="n_events"),
)


def packet_of(fields: tuple[PacketField, ...], **more: object) -> Packet:
    return Packet.model_validate({"name": "test", "apids": (260, 261), "max_bytes": 2000, "fields": fields, **more})


def random_values(fields: tuple[PacketField, ...], rows: int, seed: int) -> dict[str, Numbers]:
    random = np.random.default_rng(seed)
    values: dict[str, Numbers] = {}
    for field in fields:
        if field.kind == "bytes":
            values[field.name] = random.integers(0, 256, (rows, field.items * field.bits // 8), np.uint8)
        elif field.kind == "int":
            values[field.name] = random.integers(-(1 << field.bits - 1), 1 << field.bits - 1, (rows, field.items))
        elif field.kind == "float":
            values[field.name] = random.normal(0, 1e6, (rows, field.items))
        elif field.kind == "uint":
            values[field.name] = random.integers(0, 1 << field.bits, (rows, field.items), np.uint64)
    return values


def by_hand(packet: Packet, values: dict[str, Numbers], row: int) -> bytes:
    """The packet of one row, drawn bit by bit; fields without values are 0."""
    drawn: list[Value | list[Value]] = []
    for field in packet.fields:
        items = values[field.name][row].reshape(-1).tolist() if field.name in values else [0] * field.items
        if field.kind == "bytes":
            size = field.bits // 8
            drawn.append([bytes(items[at : at + size]) for at in range(0, len(items), size)])
        else:
            drawn.append(items)
    return pack(packet, drawn, row)


@pytest.mark.parametrize("fields", [ACCUM, MIXED, ORDERED], ids=["twelve bits", "mixed", "byte orders"])
def test_every_field_stands_where_it_is_drawn_by_hand(fields: tuple[PacketField, ...]) -> None:
    packet = packet_of(fields, secondary_header=1)
    values = random_values(fields, 7, 1)
    made = assemble(packet, np.arange(7), np.arange(7), values)
    expected = [by_hand(packet, values, row) for row in range(7)]
    assert made.data == b"".join(expected)
    assert made.sizes.tolist() == [len(one) for one in expected]
    assert set(made.apids.tolist()) == {260}


def test_the_apid_is_one_of_the_packets() -> None:
    packet = packet_of(ACCUM, secondary_header=1)
    made = assemble(packet, np.arange(2), np.arange(2), {}, apid=261)
    assert made.data[:2] == bytes([0x09, 0x05])
    assert made.apids.tolist() == [261, 261]
    with pytest.raises(DefinitionError, match="has no APID 9"):
        assemble(packet, np.arange(2), np.arange(2), {}, apid=9)


def plain_checksum(packet: Packet, data: bytes) -> int:
    """The sum that the last two bytes state, byte by byte."""
    covered = data[packet.checksum_first_byte : -2]
    if packet.checksum == "byte_sum":
        return sum(covered) % 65_536
    first = second = 0
    for octet in covered:
        first = (first + octet) % 255
        second = (second + first) % 255
    return second << 8 | first


def split(data: bytes, sizes: Int64) -> list[bytes]:
    edges = [0, *np.cumsum(sizes).tolist()]
    return [data[start:stop] for start, stop in pairwise(edges)]


@pytest.mark.parametrize("checksum", ["byte_sum", "fletcher255"])
@pytest.mark.parametrize("first_byte", [0, 12])
def test_sums_cover_the_packet_from_their_first_byte_on(checksum: str, first_byte: int) -> None:
    packet = packet_of((*MIXED, CHECKSUM), checksum=checksum, checksum_first_byte=first_byte)
    made = assemble(packet, np.arange(20), np.arange(20), random_values(MIXED, 20, 2))
    for one in split(made.data, made.sizes):
        assert int.from_bytes(one[-2:]) == plain_checksum(packet, one)


@pytest.mark.parametrize("first_byte", [0, 12])
def test_cyclic_redundancy_checks_are_those_of_the_standard_library(first_byte: int) -> None:
    crc32 = PacketField(name="crc", kind="uint", bits=32)
    for checksum, last in (("crc16_ccitt", CHECKSUM), ("crc32", crc32)):
        packet = packet_of((*MIXED, last), checksum=checksum, checksum_first_byte=first_byte)
        made = assemble(packet, np.arange(20), np.arange(20), random_values(MIXED, 20, 2))
        for one in split(made.data, made.sizes):
            if checksum == "crc32":
                assert int.from_bytes(one[-4:]) == zlib.crc32(one[first_byte:-4])
            else:
                assert int.from_bytes(one[-2:]) == crc_hqx(one[first_byte:-2], 0xFFFF)


def events(counts: list[int]) -> tuple[Words, Int64]:
    words = np.random.default_rng(3).integers(0, 65_536, 4 * sum(counts)).astype(np.uint16)
    return words, 4 * np.array(counts, np.int64)


@pytest.mark.parametrize("checksum", ["byte_sum", "fletcher255", "xor16"])
@pytest.mark.parametrize("counts", [[3, 0, 1, 0, 0, 2], [0, 0], [2, 2]], ids=str)
def test_a_checksum_stands_behind_events_of_any_number(checksum: str, counts: list[int]) -> None:
    packet = packet_of((*EVENTS, CHECKSUM), checksum=checksum, checksum_first_byte=6)
    words, sizes = events(counts)
    rows = len(counts)
    values = {"coarse": np.arange(rows), "n_events": np.array(counts)}
    made = assemble(packet, np.arange(rows), np.arange(rows), values, (words, sizes))
    taken = 0
    for row, one in enumerate(split(made.data, made.sizes)):
        expected = words[taken : taken + 4 * counts[row]].astype(">u2").tobytes()
        assert one[12:-2] == expected
        assert int.from_bytes(one[4:6]) == len(one) - 7
        if checksum == "xor16":
            assert reduce(lambda total, word: total ^ word, np.frombuffer(one, ">u2").tolist()) == 0
        else:
            assert int.from_bytes(one[-2:]) == plain_checksum(packet, one)
        taken += 4 * counts[row]


@pytest.mark.parametrize(
    ("field", "values", "message"),
    [
        (PacketField(name="value", kind="uint", bits=12), [1], "do not fill whole bytes"),
        (PacketField(name="value", kind="uint", bits=16), [65_536], "65536 to 65536 does not fit into 16 bits"),
        (PacketField(name="value", kind="uint", bits=16), [-1], "does not fit into 16 bits"),
        (PacketField(name="value", kind="int", bits=8), [128], "Keep the values between -128 and 127"),
    ],
)
def test_what_cannot_be_simulated_is_refused(field: PacketField, values: list[int], message: str) -> None:
    packet = packet_of((field,))
    with pytest.raises(DefinitionError, match=message):
        assemble(packet, np.arange(1), np.arange(1), {"value": np.array(values)})


def test_xor_needs_its_field_and_an_even_number_of_bytes() -> None:
    with pytest.raises(DefinitionError, match="no 16-bit field checksum"):
        assemble(packet_of(ACCUM[:1], checksum="xor16"), np.arange(1), np.arange(1), {})
    odd = (CHECKSUM, PacketField(name="value", kind="uint", bits=8))
    with pytest.raises(DefinitionError, match="even number of bytes"):
        assemble(packet_of(odd, checksum="xor16"), np.arange(3), np.arange(3), {})
