# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from ingest.unpack import Ragged, Unpacked, compile_plan, unpack
from lake.errors import PacketError
from lake.packet_definitions import Packet, PacketField
from tests.packets import build_packet, pack


def _field(name: str, kind: str = "uint", bits: int = 8, **rest: Any) -> PacketField:
    return PacketField(name=name, kind=kind, bits=bits, **rest)  # type: ignore[arg-type]


def _packet(*fields: PacketField, unpacker: str | None = None) -> Packet:
    return Packet(name="test", apids=(5,), fields=fields, max_bytes=65_542, unpacker=unpacker)


def _unpack(packet: Packet, packets: list[bytes], gap: bytes = b"") -> Unpacked:
    lengths = np.array([len(p) for p in packets], np.int64)
    offsets = np.cumsum(lengths + len(gap)) - lengths
    return unpack(compile_plan(packet), b"".join(gap + p for p in packets), offsets, lengths)


def _column(packet: Packet, packets: list[bytes], name: str) -> Any:
    return _unpack(packet, packets).columns[name]


def test_a_packet_worked_out_by_hand() -> None:
    fields = (_field("a", bits=4), _field("b", "int", 12), _field("c", "float", 32), _field("d", bits=3))
    octets = bytes.fromhex("0805 c07b 0006 7fff 3fc00000 a0")
    columns = _unpack(_packet(*fields), [octets]).columns
    assert {name: column[0] for name, column in columns.items()} == {
        "sequence_count": 123,
        "sequence_flags": 3,
        "apid": 5,
        "a": 7,
        "b": -1,
        "c": 1.5,
        "d": 5,
    }


def test_columns_have_the_narrowest_signed_type() -> None:
    bits = {7: "int8", 8: "int16", 15: "int16", 16: "int32", 31: "int32", 32: "int64", 63: "int64", 64: "int64"}
    packet = _packet(*(_field(f"u{n}", bits=n) for n in bits), *(_field(f"i{n}", "int", n) for n in (8, 16, 32, 64)))
    columns = _unpack(packet, [pack(packet, [2 ** (n - 1) - 1 for n in bits] + [-1] * 4)]).columns
    assert {n: str(columns[f"u{n}"].dtype) for n in bits} == bits  # type: ignore[union-attr]
    assert [str(columns[f"i{n}"].dtype) for n in (8, 16, 32, 64)] == [  # type: ignore[union-attr]
        "int8",
        "int16",
        "int32",
        "int64",
    ]
    assert [columns[f"i{n}"][0] for n in (8, 16, 32, 64)] == [-1] * 4  # type: ignore[index]


@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize("kind", ["uint", "int"])
def test_every_width_at_every_bit(bit: int, kind: str) -> None:
    rng = np.random.default_rng(bit)
    for bits in range(1, 65):
        head = [_field("pad", "fill", bit)] if bit else []
        packet = _packet(*head, _field("x", kind, bits))
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if kind == "int" else (0, min(2**bits, 2**63))
        values = [low, high - 1, *(int(v) for v in rng.integers(low, high - 1, 3, endpoint=True))]
        packets = [pack(packet, [0] * len(head) + [value]) for value in values]
        assert _column(packet, packets, "x").tolist() == values


@pytest.mark.parametrize("items", [1, 6, 9])
def test_arrays_of_every_width_at_every_bit(items: int) -> None:
    rng = np.random.default_rng(items)
    for bits in range(1, 65):
        for bit, kind in ((0, "uint"), (int(rng.integers(1, 8)), "uint"), (int(rng.integers(1, 8)), "int")):
            low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if kind == "int" else (0, min(2**bits, 2**63))
            values = rng.integers(low, high - 1, (3, items), endpoint=True).tolist()
            head = [_field("pad", "fill", bit)] if bit else []
            packet = _packet(*head, _field("x", kind, bits, shape=(items,)), _field("y"))
            packets = [pack(packet, [0] * len(head) + [row, 7]) for row in values]
            assert _column(packet, packets, "x").tolist() == values


def test_little_endian_fields() -> None:
    fields = [_field("pad", "fill", 3)]
    fields += [_field(f"u{n}", bits=n, byte_order="little") for n in (8, 16, 32, 64)]
    fields += [_field(f"i{n}", "int", n, byte_order="little") for n in (8, 16, 32, 64)]
    fields += [_field(f"f{n}", "float", n, byte_order="little") for n in (32, 64)]
    fields += [_field("a", bits=16, shape=(3,), byte_order="little")]
    values = [0, 200, 0xABCD, 0x89ABCDEF, 0x0102030405060708, -3, -300, -70_000, -(2**60), 0.5, -2.25, [1, 256, 65_535]]
    for packet, sent in ((_packet(*fields), values), (_packet(*fields[1:]), values[1:])):
        columns = _unpack(packet, [pack(packet, sent)] * 2).columns  # type: ignore[arg-type]
        for field, value in zip(packet.fields, sent, strict=True):
            if field.kind != "fill":
                assert_array_equal(columns[field.name][1], value)  # type: ignore[index]


def test_unsigned_64_bit_numbers_that_no_column_can_hold_are_reported() -> None:
    packet = _packet(_field("x", bits=64), _field("y"))
    packets = [pack(packet, [value, 7]) for value in (1, 2**63, 2**63 - 1, 2**64 - 1)]
    result = _unpack(packet, packets)
    assert result.overflow.tolist() == [False, True, False, True]
    assert not result.short.any()
    assert_array_equal(result.columns["x"], [1, 2**63 - 1])
    assert_array_equal(result.columns["y"], [7, 7])


def test_texts_are_utf_8_and_bytes_keep_their_zeros() -> None:
    packet = _packet(_field("s", "str", 32), _field("b", "bytes", 24), _field("n", "str", 16, shape=(2,)))
    packets = [pack(packet, ["ab", b"\x01\0\0", ["xy", "z"]]), pack(packet, ["a\xe9cd", b"\0\0\0", ["", "q"]])]
    columns = _unpack(packet, packets).columns
    assert columns["s"].tolist() == ["ab", "a\ufffdcd"]  # type: ignore[union-attr]
    assert [bytes(value) for value in columns["b"]] == [b"\x01\0\0", b"\0\0\0"]  # type: ignore[union-attr]
    assert columns["n"].tolist() == [["xy", "z"], ["", "q"]]  # type: ignore[union-attr]


def test_letters_of_two_bytes_are_one_letter() -> None:
    packet = _packet(_field("s", "str", 32), _field("n"), _field("t", "str", 8, length_field="n"))
    octets = ["zé\0".encode(), b"\x02", "é".encode()]
    packets = [build_packet(5, "".join(f"{octet:08b}" for octet in b"".join(octets)))]
    columns = _unpack(packet, packets).columns
    assert columns["s"].tolist() == ["zé"]  # type: ignore[union-attr]
    assert columns["t"].tolist() == ["é"]  # type: ignore[union-attr]


@pytest.mark.parametrize("bits", [24, 40, 48, 56])
@pytest.mark.parametrize("kind", ["uint", "int"])
@pytest.mark.parametrize("bit", [0, 3])
def test_the_least_significant_of_any_number_of_bytes_may_come_first(bits: int, kind: str, bit: int) -> None:
    pad = [_field("pad", "fill", bit)] if bit else []
    value = 2 ** (bits - 1) - 0x0102 if kind == "uint" else -0x0102
    packet = _packet(
        *pad,
        _field("x", kind, bits, byte_order="little"),
        _field("n"),
        _field("y", kind, bits, byte_order="little", length_field="n"),
    )
    packets = [pack(packet, [*([0] * len(pad)), value, 2, [value, 1]])] * 3
    columns = _unpack(packet, packets).columns
    assert_array_equal(columns["x"], [value] * 3)
    assert_array_equal(columns["y"].values, [value, 1] * 3)  # type: ignore[union-attr]


def test_a_length_may_be_given_in_bits() -> None:
    packet = _packet(_field("n"), _field("x", bits=16, length_field="n", length_bits=(8, -16)), _field("y"))
    bodies = [(n, n - 2) for n in (2, 4, 8)]
    packets = [pack(packet, [n, [7] * (size // 2), 9]) for n, size in bodies]
    result = _unpack(packet, packets)
    assert not result.short.any()
    assert result.columns["x"].counts.tolist() == [0, 1, 3]  # type: ignore[union-attr]
    assert_array_equal(result.columns["y"], [9, 9, 9])


def test_a_length_that_is_no_whole_number_of_items_or_too_long_for_any_packet_is_bad() -> None:
    fields = (_field("n", "int", 64), _field("x", bits=16, length_field="n", length_bits=(8, 0)))
    packet = _packet(*fields)
    numbers = [2, 3, -2, 2**61 + 2, -(2**63), 2**63 - 1]  # 2**61 + 2 times 8 wraps around to 16
    packets = [build_packet(5, f"{n % 2**64:064b}" + "0" * 16) for n in numbers]
    assert _unpack(packet, packets).short.tolist() == [False, *[True] * 5]
    plain = _packet(fields[0], _field("x", bits=16, length_field="n"))
    wrapping = [1, 2**60 + 1, 2**63 - 1]
    packets = [build_packet(5, f"{n:064b}" + "0" * 16) for n in wrapping]
    assert _unpack(plain, packets).short.tolist() == [False, True, True]


@pytest.mark.parametrize("variable", [False, True])
def test_bytes_behind_the_last_field_do_not_fit_a_plan_for_whole_packets(variable: bool) -> None:
    counted = _field("x", bits=3, length_field="n") if variable else _field("x", bits=3)
    packet = _packet(_field("n"), counted)
    packets = [build_packet(5, f"{1:08b}" + "0" * bits) for bits in (8, 16)]
    lengths = np.array([8, 9])
    for whole, short in ((False, [False, False]), (True, [False, True])):
        plan = compile_plan(packet, whole)
        assert unpack(plan, b"".join(packets), np.array([0, 8]), lengths).short.tolist() == short


def test_two_dimensional_arrays_are_flat_in_row_major_order() -> None:
    packet = _packet(_field("x", bits=12, shape=(2, 3)))
    assert _column(packet, [pack(packet, [[1, 2, 3, 4, 5, 6]])] * 2, "x").tolist() == [[1, 2, 3, 4, 5, 6]] * 2


def test_a_field_can_fill_the_rest_of_the_packet_and_others_follow() -> None:
    packet = _packet(_field("a"), _field("x", bits=16, expand=True), _field("b", bits=12), _field("c", bits=4))
    packets = [pack(packet, [n, list(range(n)), 0xABC, n]) for n in (3, 0, 5)]
    columns = _unpack(packet, packets, gap=b"??").columns
    x = columns["x"]
    assert isinstance(x, Ragged)
    assert x.values.tolist() == [0, 1, 2, 0, 1, 2, 3, 4]
    assert (x.counts.tolist(), x.offsets.tolist()) == ([3, 0, 5], [0, 3, 3, 8])
    assert_array_equal(columns["b"], [0xABC] * 3)
    assert_array_equal(columns["c"], [3, 0, 5])


def test_arrays_take_their_length_from_earlier_fields() -> None:
    packet = _packet(
        _field("n", bits=4),
        _field("x", "int", 11, length_field="n"),
        _field("m", bits=5),
        _field("y", bits=3, length_field="m"),
        _field("z", bits=64),
    )
    packets = [pack(packet, [n, [-i for i in range(n)], m, [i % 8 for i in range(m)], 99]) for n, m in ((2, 3), (5, 0))]
    columns = _unpack(packet, packets).columns
    assert columns["x"].values.tolist() == [0, -1, 0, -1, -2, -3, -4]  # type: ignore[union-attr]
    assert columns["y"].counts.tolist() == [3, 0]  # type: ignore[union-attr]
    assert_array_equal(columns["z"], [99, 99])


def test_texts_and_bytes_of_variable_length() -> None:
    packet = _packet(_field("n"), _field("s", "str", 8, length_field="n"), _field("b", "bytes", 8, expand=True))
    packets = [pack(packet, [3, list("abc"), [b"\0", b"\x07"]]), pack(packet, [0, [], [b"\x09"]])]
    columns = _unpack(packet, packets).columns
    assert columns["s"].tolist() == ["abc", ""]  # type: ignore[union-attr]
    assert columns["b"].values.tolist() == [0, 7, 9]  # type: ignore[union-attr]
    assert columns["b"].counts.tolist() == [2, 1]  # type: ignore[union-attr]


def test_packets_too_short_for_their_fields_are_reported_and_left_out() -> None:
    packet = _packet(_field("n"), _field("x", bits=16, length_field="n"), _field("y"))
    packets = [pack(packet, [n, [7] * n, 1]) for n in (1, 2, 3)]
    packets[1] = packets[1][:6] + b"\xff" + packets[1][7:]
    packets.append(packets[0][:6])
    result = _unpack(packet, packets)
    assert result.short.tolist() == [False, True, False, True]
    assert result.columns["x"].values.tolist() == [7] * 4  # type: ignore[union-attr]
    assert_array_equal(result.columns["y"], [1, 1])


def test_a_part_of_an_item_at_the_end_is_reported() -> None:
    packet = _packet(_field("a"), _field("x", bits=32, expand=True))
    good = pack(packet, [1, [2, 3]])
    assert _unpack(packet, [good, good + b"\0\0\0", good]).short.tolist() == [False, True, False]


def test_what_an_unpacker_takes_is_left_out() -> None:
    packet = _packet(_field("a"), _field("x", bits=16, expand=True), unpacker="meddea_photon")
    assert list(_unpack(packet, [pack(packet, [1, [2, 3]])]).columns) == [
        "sequence_count",
        "sequence_flags",
        "apid",
        "a",
    ]


def test_no_packets_give_empty_columns() -> None:
    packet = _packet(_field("a"), _field("x", bits=12, shape=(4,)), _field("s", "str", 16), _field("r", expand=True))
    columns = _unpack(packet, []).columns
    assert [len(columns[name]) for name in ("sequence_count", "a", "x", "s")] == [0] * 4  # type: ignore[arg-type]
    assert columns["r"].counts.tolist() == []  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((_field("a"), _field("a")), "the name a is taken"),
        ((_field("apid"),), "the name apid is taken"),
        ((_field("x", length_field="n"), _field("n")), "takes its length from n"),
        ((_field("x", expand=True), _field("n"), _field("y", length_field="n")), "before the field that fills"),
        ((_field("x", expand=True), _field("y", expand=True)), "cannot fill the rest too"),
    ],
)
def test_definitions_that_cannot_be_unpacked_are_refused(fields: tuple[PacketField, ...], message: str) -> None:
    with pytest.raises(PacketError, match=message):
        compile_plan(_packet(*fields))


def test_scattered_packets_give_the_same_as_contiguous_ones() -> None:
    rng = np.random.default_rng(1)
    widths = rng.integers(1, 33, 40).tolist()
    packet = _packet(*(_field(f"x{i}", bits=n) for i, n in enumerate(widths)), _field("a", bits=9, shape=(7,)))
    packets = [
        pack(packet, [*(int(rng.integers(2**n)) for n in widths), rng.integers(512, size=7).tolist()], i)
        for i in range(300)
    ]
    whole = _unpack(packet, packets).columns
    order = rng.permutation(300)
    data = b"".join(packets)
    lengths = np.full(300, len(packets[0]), np.int64)
    scattered = unpack(compile_plan(packet), data, order * len(packets[0]), lengths).columns
    for name, column in whole.items():
        assert_array_equal(scattered[name], column[order])  # type: ignore[index, arg-type]


@dataclass(frozen=True)
class _Case:
    packet: Packet
    rows: list[list[Any]]


def _values(draw: st.DrawFn, field: PacketField, count: int) -> list[Any]:
    if field.kind == "float":
        source: st.SearchStrategy[Any] = st.floats(width=field.bits, allow_nan=False)  # type: ignore[arg-type]
    elif field.kind == "bytes":
        source = st.binary(min_size=field.bits // 8, max_size=field.bits // 8)
    elif field.kind == "int":
        source = st.integers(-(2 ** (field.bits - 1)), 2 ** (field.bits - 1) - 1)
    else:
        source = st.integers(0, min(2**field.bits, 2**63) - 1)
    return draw(st.lists(source, min_size=count, max_size=count))


@st.composite
def _cases(draw: st.DrawFn) -> _Case:
    """Random layouts, with at most one field that fills the rest, and two or three packets."""
    fields: list[PacketField] = []
    counts: list[str] = []
    expanded = False
    for number in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["uint", "uint", "int", "float", "bytes", "fill"]))
        bits = draw(
            {"float": st.sampled_from([32, 64]), "bytes": st.sampled_from([8, 24])}.get(kind, st.integers(1, 64))
        )
        order = draw(st.sampled_from(["big", "little"])) if bits in (8, 16, 32, 64) and kind != "bytes" else "big"
        shape = draw(st.sampled_from([(), (), (3,), (2, 5)]))
        rest: dict[str, Any] = {"byte_order": order, "shape": shape}
        role = draw(st.sampled_from(["fixed", "fixed", "count", "length", "expand"]))
        if role == "count" and not expanded:
            kind, bits, rest = "uint", draw(st.integers(3, 8)), {}
            counts.append(f"f{number}")
        elif role == "length" and counts:
            rest = {"byte_order": order, "length_field": draw(st.sampled_from(counts))}
        elif role == "expand" and not expanded and kind != "fill":
            # Items of a byte at least, or the fill bits at the end of the packet could hold one.
            bits = max(bits, 8)
            rest = {"expand": True}
            expanded = True
        fields.append(_field(f"f{number}", kind, bits, **rest))
    packet = _packet(*fields)
    return _Case(packet, [_row(draw, packet) for _ in range(draw(st.integers(1, 3)))])


def _row(draw: st.DrawFn, packet: Packet) -> list[Any]:
    row: dict[str, Any] = {}
    lengths = {field.length_field for field in packet.fields}
    for field in packet.fields:
        count = row[field.length_field][0] if field.length_field else field.items
        if field.expand:
            count = draw(st.integers(0, 5))
        row[field.name] = [draw(st.integers(0, 6))] if field.name in lengths else _values(draw, field, count)
    return list(row.values())


@given(_cases(), st.sampled_from([b"", b"\xff\xff\xff"]))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_what_is_packed_is_unpacked(case: _Case, gap: bytes) -> None:
    bits = [sum(len(values) * f.bits for f, values in zip(case.packet.fields, row, strict=True)) for row in case.rows]
    assume(all(bits))  # there is no packet without data
    # The builder's fill bits stand behind the last field, where a layout with `expand` has none.
    assume(not any(f.expand for f in case.packet.fields) or not any(n % 8 for n in bits))
    packets = [pack(case.packet, row, n) for n, row in enumerate(case.rows)]
    result = _unpack(case.packet, packets, gap)
    assert not result.short.any()
    for index, field in enumerate(case.packet.fields):
        if field.kind == "fill":
            assert field.name not in result.columns
            continue
        sent = [row[index] for row in case.rows]
        column = result.columns[field.name]
        if isinstance(column, Ragged):
            ends = column.offsets.tolist()
            got = [column.values[a:b].tolist() for a, b in pairwise(ends)]
            sent = [list(b"".join(v)) for v in sent] if field.kind == "bytes" else sent
        elif field.kind == "bytes":
            got = [[bytes(v) for v in np.atleast_1d(value)] for value in column]
        else:
            got = column.reshape(len(sent), -1).tolist()
        assert got == sent


@given(st.binary(max_size=60), st.integers(0, 30))
@settings(max_examples=200, deadline=None)
def test_no_packet_makes_the_unpacking_crash(octets: bytes, count: int) -> None:
    packet = _packet(
        _field("n"),
        _field("x", bits=13, length_field="n"),
        _field("b", "bytes", 16, length_field="n"),
        _field("r", bits=24, expand=True),
        _field("t", bits=61),
    )
    data = build_packet(5, "".join(f"{o:08b}" for o in (count, *octets)))
    result = unpack(compile_plan(packet), data, np.zeros(1, np.int64), np.array([len(data)]))
    needed = 6 + 1 + math.ceil((count * 29 + 61) / 8)
    assert bool(result.short[0]) or len(data) >= needed
