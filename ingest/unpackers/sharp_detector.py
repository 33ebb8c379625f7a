# SPDX-License-Identifier: Apache-2.0
"""Packets of PADRE/SHARP: the payload as sent, where a frame begins in it, and the records that it seems to hold.

The frame's layout is inferred from one real file. Its numbers are little-endian: sync 55 BB 01, two bytes with the
length 25 + 6 n, three bytes of unknown use, two bytes with the number n of records, more header up to byte 32, then n
records of three 16-bit words. Frames whose byte 5 is 3 instead of 1 are two bytes longer, nobody knows where: their
records are not read. Frames do not keep to the borders of packets, and most of their bytes are missing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ingest.bits import Octets, Positions
from ingest.unpack import Column
from ingest.unpackers import Extra

FIRST_PAYLOAD = 12  # behind primary header and counter
SYNC = b"\x55\xbb\x01"
FRAME_HEADER, RECORD = 32, 6  # bytes
_LENGTH, _COUNT = 3, 8  # bytes of the header at which length and number of records stand
_LENGTH_WITHOUT_RECORDS = 25
_UNKNOWN_AND_CHECKSUM = 2  # bytes behind the records that the sum covers


def unpack(data: Octets, offsets: Positions, lengths: Positions, columns: dict[str, Column]) -> Extra:
    """Payload and place of the first frame of each packet, and the records of that frame."""
    octets = data.tobytes()
    packets = [octets[at : at + length] for at, length in zip(offsets.tolist(), lengths.tolist(), strict=True)]
    frames = np.array([packet.find(SYNC, FIRST_PAYLOAD) for packet in packets], np.int32)
    payloads = np.empty(len(packets), object)
    payloads[:] = [packet[FIRST_PAYLOAD:] for packet in packets]
    records = [
        records_of(packet[at:]) if at > 0 else _NONE for packet, at in zip(packets, frames.tolist(), strict=True)
    ]
    sums = np.array([sum_of(packet[at:]) for packet, at in zip(packets, frames.tolist(), strict=True)], np.int16)
    counts = np.array([len(found) for found in records], np.int64)
    words = np.concatenate([_NONE, *records]).astype(np.int32)
    numbers = np.concatenate([_NONE[:, 0], *(np.arange(len(found)) for found in records)]).astype(np.int16)
    event: dict[str, NDArray[np.generic]] = {
        "record_number": numbers,
        "tick": words[:, 0],
        "word": words[:, 1],
        "value": words[:, 2],
        "frame_sum": np.ma.masked_less(np.repeat(sums, counts), 0),
    }
    packet: dict[str, NDArray[Any]] = {"frame_offset": np.ma.masked_less(frames, 0), "payload": payloads}
    return Extra(packet, event, counts)


_NONE: NDArray[np.uint16] = np.empty((0, 3), np.uint16)


def sum_of(frame: bytes) -> int:
    """Sum of the bytes of a frame, its checksum included, modulo 256: 0 if it verifies; -1 if bytes are missing."""
    covered = FRAME_HEADER + RECORD * int.from_bytes(frame[_COUNT : _COUNT + 2], "little") + _UNKNOWN_AND_CHECKSUM
    return sum(frame[:covered]) % 256 if FRAME_HEADER <= covered <= len(frame) else -1


def records_of(frame: bytes) -> NDArray[np.uint16]:
    """The whole records [n, 3] of a frame, of which the end may be missing; none if its header contradicts itself."""
    if len(frame) < FRAME_HEADER:
        return _NONE
    length, count = (int.from_bytes(frame[at : at + 2], "little") for at in (_LENGTH, _COUNT))
    if length != _LENGTH_WITHOUT_RECORDS + RECORD * count:
        return _NONE
    there = min(count, (len(frame) - FRAME_HEADER) // RECORD)
    return np.frombuffer(frame, "<u2", 3 * there, FRAME_HEADER).reshape(there, 3).astype(np.uint16)
