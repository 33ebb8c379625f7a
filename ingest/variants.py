# SPDX-License-Identifier: Apache-2.0
"""Packet types that share an APID, told apart by conditions on their fields, many packets at once."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ingest.unpack import Plan, compile_plan, unpack
from lake.packet_definitions import Packet

OPERATORS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]


def split(
    packets: tuple[Packet, ...], kind: int, data: NDArray[np.uint8], offsets: Positions, lengths: Positions
) -> Iterator[tuple[int | None, Mask]]:
    """The types that packets of a kind have, by their conditions, and which ones; None for those that meet none.

    `kind` is the first type of its first word. A packet that meets the conditions of two types is of the first.
    """
    family = [i for i, packet in enumerate(packets) if set(packet.first_words) & set(packets[kind].first_words)]
    left = np.ones(len(offsets), bool)
    words = data[offsets].astype(np.int64) << 8 | data[offsets + 1] if len(family) > 1 else None
    for index in family:
        own = left if words is None else left & np.isin(words, packets[index].first_words)
        chosen = own & _meets(packets[index], data, offsets, lengths)
        left &= ~chosen
        if chosen.any():
            yield index, chosen
    if left.any():
        yield None, left


def _meets(packet: Packet, data: NDArray[np.uint8], offsets: Positions, lengths: Positions) -> Mask:
    """True for packets that are long enough for the fields of all conditions, and meet them."""
    if not packet.when:
        return np.ones(len(offsets), bool)
    unpacked = unpack(_plan(packet), data, offsets, lengths)
    met = ~(unpacked.short | unpacked.overflow)
    good = np.ones(int(met.sum()), bool)
    for condition in packet.when:
        good &= OPERATORS[condition.operator](np.asarray(unpacked.columns[condition.field]), condition.value)
    met[met] = good
    return met


@cache
def _plan(packet: Packet) -> Plan:
    """A plan for the beginning of a packet, up to the last field that a condition names."""
    wanted = {condition.field for condition in packet.when}
    last = max((i for i, field in enumerate(packet.fields) if field.name in wanted), default=-1)
    return compile_plan(packet.model_copy(update={"fields": packet.fields[: last + 1], "unpacker": None}))
