# SPDX-License-Identifier: Apache-2.0
"""ccsdspy and swxlake unpack the same columns from the same packets."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from ingest.unpack import Ragged, compile_plan, unpack
from lake.packet_definitions import Packet, PacketField
from tests.packets import pack

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module")
def ccsdspy() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield pytest.importorskip("ccsdspy")


def _theirs(ccsdspy: Any, packet: Packet, packets: list[bytes]) -> dict[str, Any]:
    fields = []
    for field in packet.fields:
        common = {"name": field.name, "data_type": field.kind, "bit_length": field.bits, "byte_order": field.byte_order}
        shape = "expand" if field.expand else field.length_field or field.shape
        if shape:
            fields.append(ccsdspy.PacketArray(**common, array_shape=shape, array_order="C"))
        else:
            fields.append(ccsdspy.PacketField(**common))
    reader = ccsdspy.VariableLength(fields) if packet.variable else ccsdspy.FixedLength(fields)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        columns: dict[str, Any] = reader.load(io.BytesIO(b"".join(packets)), include_primary_header=True)
    return columns


def _compare(ccsdspy: Any, packet: Packet, rows: list[list[Any]]) -> None:
    packets = [pack(packet, row, n) for n, row in enumerate(rows)]
    lengths = np.array([len(p) for p in packets], np.int64)
    ours = unpack(compile_plan(packet), b"".join(packets), np.cumsum(lengths) - lengths, lengths).columns
    theirs = _theirs(ccsdspy, packet, packets)
    assert_array_equal(ours["sequence_count"], theirs["CCSDS_SEQUENCE_COUNT"])
    assert_array_equal(ours["apid"], theirs["CCSDS_APID"])
    for field in packet.fields:
        if field.kind == "fill":
            continue
        column, expected = ours[field.name], theirs[field.name]
        if isinstance(column, Ragged):
            assert_array_equal(column.values, np.concatenate([np.atleast_1d(values) for values in expected]))
            assert_array_equal(column.counts, [len(np.atleast_1d(values)) for values in expected])
        else:
            assert_array_equal(column.reshape(len(rows), -1), np.asarray(expected).reshape(len(rows), -1))


def _values(rng: np.random.Generator, field: PacketField, items: int) -> list[Any]:
    if field.kind == "float":
        return [float(np.float32(value)) for value in rng.normal(size=items)]
    if field.kind == "fill":
        return [0] * items
    low = -(2 ** (field.bits - 1)) if field.kind == "int" else 0
    high = 2 ** (field.bits - (field.kind == "int")) - 1
    return [int(v) for v in rng.integers(low, min(high, 2**63 - 1), items, endpoint=True)]


def _random_packet(rng: np.random.Generator) -> Packet:
    """A fixed layout of scalars and arrays that ends at a whole byte; the widths are those that ccsdspy reads right."""
    fields, total = [], 0
    for number in range(int(rng.integers(1, 30))):
        kind = str(rng.choice(["uint", "uint", "int", "fill", "float"]))
        bits = int(rng.integers(2, 33))
        if kind == "float":
            bits = 32
            fields.append(PacketField(name=f"align{number}", kind="fill", bits=8 - total % 8))
            total += 8 - total % 8
        shape = ((), (), (4,), (2, 3))[int(rng.integers(4))] if kind == "uint" else ()
        fields.append(PacketField(name=f"f{number}", kind=kind, bits=bits, shape=shape))  # type: ignore[arg-type]
        total += bits * fields[-1].items
    fields.append(PacketField(name="last", kind="fill", bits=16 - total % 8))
    return Packet(name="random", apids=(9,), fields=tuple(fields), max_bytes=65_542)


@pytest.mark.parametrize("seed", range(40))
def test_random_fixed_layouts(ccsdspy: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    packet = _random_packet(rng)
    rows = [[_values(rng, field, field.items) for field in packet.fields] for _ in range(5)]
    _compare(ccsdspy, packet, rows)


def test_the_layout_of_meddea_housekeeping(ccsdspy: Any) -> None:
    rng = np.random.default_rng(1)
    fields = [PacketField(name="time_s", kind="uint", bits=32)]
    fields += [PacketField(name=f"word{n}", kind="uint", bits=16) for n in range(15)]
    packet = Packet(name="hk", apids=(163,), fields=tuple(fields), max_bytes=40)
    _compare(ccsdspy, packet, [[_values(rng, f, 1) for f in fields] for _ in range(50)])


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_arrays_that_fill_the_rest_of_the_packet(ccsdspy: Any, bits: int) -> None:
    rng = np.random.default_rng(bits)
    fields = (
        PacketField(name="time_s", kind="uint", bits=32),
        PacketField(name="data", kind="uint", bits=bits, expand=True),
        PacketField(name="checksum", kind="uint", bits=16),
    )
    packet = Packet(name="photon", apids=(160,), fields=fields, max_bytes=65_542)
    rows = [[_values(rng, f, n if f.expand else 1) for f in fields] for n in rng.integers(2, 90, 30).tolist()]
    _compare(ccsdspy, packet, rows)


def test_arrays_that_take_their_length_from_a_field(ccsdspy: Any) -> None:
    rng = np.random.default_rng(3)
    fields = (
        PacketField(name="n", kind="uint", bits=8),
        PacketField(name="data", kind="uint", bits=16, length_field="n"),
        PacketField(name="m", kind="uint", bits=8),
        PacketField(name="more", kind="uint", bits=8, length_field="m"),
    )
    packet = Packet(name="counted", apids=(160,), fields=fields, max_bytes=65_542)
    rows = []
    for n, m in rng.integers(2, 40, (20, 2)).tolist():
        rows.append([[n], _values(rng, fields[1], n), [m], _values(rng, fields[3], m)])
    _compare(ccsdspy, packet, rows)
