# SPDX-License-Identifier: Apache-2.0
"""Idle packets, which are there only to fill: they are found like any others, and counted as overhead."""

from __future__ import annotations

from dataclasses import replace

from ingest.ccsds import Chunk
from lake.packet_definitions import LONGEST_PACKET, Packet, PacketField

IDLE_APID = 2047  # CCSDS 133.0-B-2, 4.1.3.3.4.4


def with_idle(packets: tuple[Packet, ...]) -> tuple[Packet, ...]:
    """The packet types, and behind them the idle packets of version 0 and of their versions.

    What a type claims itself is no idle packet.
    """
    taken = {word for packet in packets for word in packet.first_words}
    idle = [_idle(version) for version in sorted({0, *(packet.version for packet in packets)})]
    return (*packets, *(packet for packet in idle if not taken & set(packet.first_words)))


def _idle(version: int) -> Packet:
    fill = PacketField(name="idle_data", kind="bytes", bits=8, expand=True)
    return Packet(name="idle", apids=(IDLE_APID,), fields=(fill,), max_bytes=LONGEST_PACKET, version=version)


def without_idle(chunk: Chunk, types: int) -> Chunk:
    """The chunk without the packets behind the first `types` types; their bytes are overhead."""
    idle = chunk.types >= types
    if not idle.any():
        return chunk
    kept, overhead = ~idle, chunk.overhead + int(chunk.lengths[idle].sum())
    places = None if chunk.places is None else chunk.places[kept]
    return replace(
        chunk,
        offsets=chunk.offsets[kept],
        lengths=chunk.lengths[kept],
        types=chunk.types[kept],
        places=places,
        overhead=overhead,
    )
