# SPDX-License-Identifier: Apache-2.0
"""The packets of a raw file, however they lie in it: one after the other, between markers, or in transfer frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ingest.ccsds import Chunk, scan_packets
from ingest.transport.frames import frame_chunks
from ingest.transport.idle import with_idle, without_idle
from ingest.transport.markers import marker_chunks
from ingest.transport.pieces import no_packets
from ingest.transport.segments import SegmentJoiner
from lake.packet_definitions import Packet
from lake.source_definitions import Transport


def packet_chunks(path: Path, packets: tuple[Packet, ...], transport: Transport) -> Iterator[Chunk]:
    """Chunks of good packets of a file; every byte is in one packet, in one stretch, or counted as overhead.

    Packets that were sent in parts are whole; the headers of all parts but the first are overhead.
    """
    if transport.frames:
        chunks = frame_chunks(path, packets, transport.frames)
    elif transport.prefix:
        chunks = marker_chunks(path, packets, transport)
    else:
        chunks = _plain_chunks(path, packets, transport.idle)
    yield from (chunk for chunk in chunks if not chunk.empty)


def _plain_chunks(path: Path, packets: tuple[Packet, ...], idle: bool) -> Iterator[Chunk]:
    """Chunks of a file in which packet follows packet."""
    joiner = SegmentJoiner(packets)
    with path.open("rb") as stream:
        for chunk in scan_packets(stream, with_idle(packets) if idle else packets):
            yield joiner.join(without_idle(chunk, len(packets)))
    yield no_packets(joiner.finish(), 0)
