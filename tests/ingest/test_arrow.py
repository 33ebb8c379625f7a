# SPDX-License-Identifier: Apache-2.0
"""Decoded columns become Arrow arrays of the type that their definition says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ingest import arrow
from ingest.unpack import compile_plan, unpack
from lake.definition_tables import field_axes, field_column
from lake.definitions import Table
from lake.packet_definitions import Packet, PacketField
from lake.reading import column_type
from tests.packets import pack

COUNT = PacketField(name="n", kind="uint", bits=8)
OCTETS = [b"\0", b"\1", b"\2"]
SENT = {
    "texts of any length": (PacketField(name="x", kind="str", bits=8, length_field="n"), ["a", "b", "c"], "abc"),
    "bytes of any length": (PacketField(name="x", kind="bytes", bits=8, length_field="n"), OCTETS, b"".join(OCTETS)),
    "numbers of any count": (PacketField(name="x", kind="uint", bits=12, length_field="n"), [1, 2, 3], [1, 2, 3]),
    "an array of texts": (PacketField(name="x", kind="str", bits=16, shape=(3,)), ["ab", "c", ""], ["ab", "c", ""]),
    "an array of bytes": (PacketField(name="x", kind="bytes", bits=16, shape=(2,)), [b"ab", b"\0\0"], [b"ab", b"\0\0"]),
    "one text": (PacketField(name="x", kind="str", bits=24), "abc", "abc"),
}  # fmt: skip


@pytest.mark.parametrize("name", SENT)
def test_every_kind_of_field_becomes_a_column(name: str) -> None:
    field, values, expected = SENT[name]
    packet = Packet(name="p", apids=(5,), fields=(COUNT, field), max_bytes=100)
    items: Any = values
    packets = [pack(packet, [3, items])] * 2
    lengths = np.array([len(p) for p in packets])
    columns = unpack(compile_plan(packet, whole=True), b"".join(packets), np.cumsum(lengths) - lengths, lengths).columns
    column = field_column(field)
    table = Table(
        mission="m",
        instrument="i",
        name="i_l0_p",
        level="l0",
        title="Packets",
        grain="one row per packet",
        columns=(column,),
        axes=field_axes(field),
    )
    made = arrow.column(table, "x", columns["x"])
    assert made.type == column_type(column)
    assert made.to_pylist() == [expected] * 2
    made.validate(full=True)
