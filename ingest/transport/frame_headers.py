# SPDX-License-Identifier: Apache-2.0
"""Headers of TM and AOS transfer frames, many at once (CCSDS 132.0-B-3, 4.1; CCSDS 732.0-B-4, 4.1)."""

from __future__ import annotations

from binascii import crc_hqx
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.checksums import CRC16_PRESET
from lake.source_definitions import Frames

Octets = NDArray[np.uint8]
Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]

HEADER_BYTES = 6
VERSIONS = {"tm": 0, "aos": 1}  # transfer frame version numbers
COUNTS = {"tm": 1 << 8, "aos": 1 << 24}  # of the virtual channel frame count
AOS_IDLE_CHANNEL = 63
ONLY_IDLE = 0x7FE  # first header pointer of a frame without packets
NO_START = 0x7FF  # first header pointer of a frame in which no packet starts


@dataclass(frozen=True)
class Headers:
    """What frames say of themselves, one element each; `starts` and `stops` bound the packets in a frame.

    `carries`: the frame is of a channel with packets, and its header says that packets are in it. `shaped`: it has the
    right version, and its parts fit into it.
    """

    spacecraft: Positions
    channels: Positions
    counts: Positions
    pointers: Positions
    starts: Positions
    stops: Positions
    carries: Mask
    shaped: Mask


def frame_headers(data: Octets, frames: Frames, at: Positions) -> Headers:
    """The headers of the frames that begin at these places, all of them whole."""
    octets = data[at[:, None] + np.arange(HEADER_BYTES)].astype(np.int64).T
    read = _tm if frames.kind == "tm" else _aos
    spacecraft, channels, counts, pointers, starts, stops, packets = read(data, frames, at, octets)
    wanted = np.isin(channels, frames.channels) if frames.channels else np.ones(len(at), bool)
    if frames.kind == "aos":
        wanted &= channels != AOS_IDLE_CHANNEL
    inside = (pointers >= ONLY_IDLE) | (pointers < stops - starts)
    shaped = (octets[0] >> 6 == VERSIONS[frames.kind]) & (starts < stops) & (inside | ~(wanted & packets))
    return Headers(spacecraft, channels, counts, pointers, starts, stops, wanted & packets, shaped)


Fields = tuple[Positions, Positions, Positions, Positions, Positions, Positions, Mask]


def _tm(data: Octets, frames: Frames, at: Positions, octets: Positions) -> Fields:
    status = octets[4] << 8 | octets[5]
    secondary = status >> 15 == 1
    # The first byte of a secondary header has its length less one in its lower six bits.
    sizes = np.where(secondary, (data[at + HEADER_BYTES] & 0x3F).astype(np.int64) + 1, 0)
    starts = HEADER_BYTES + sizes
    stops = frames.length - 4 * (octets[1] & 1) - 2 * frames.error_control
    spacecraft = (octets[0] & 0x3F) << 4 | octets[1] >> 4
    return spacecraft, octets[1] >> 1 & 7, octets[3], status & 0x7FF, starts, stops, status >> 14 & 1 == 0


def _aos(data: Octets, frames: Frames, at: Positions, octets: Positions) -> Fields:
    # The two highest bits of the spacecraft's number are in the signalling field.
    spacecraft = (octets[5] >> 4 & 3) << 8 | (octets[0] & 0x3F) << 2 | octets[1] >> 6
    counts = octets[2] << 16 | octets[3] << 8 | octets[4]
    unit = at + HEADER_BYTES + 2 * frames.header_error_control + frames.insert_zone
    unit = np.minimum(unit, at + frames.length - 2)
    pointers = (data[unit].astype(np.int64) << 8 | data[unit + 1]) & 0x7FF
    starts = unit + 2 - at
    stops = np.full(len(at), frames.length - 4 * frames.operational_control - 2 * frames.error_control, np.int64)
    return spacecraft, octets[1] & 0x3F, counts, pointers, starts, stops, np.ones(len(at), bool)


def crc_good(data: Octets, frames: Frames, at: Positions) -> Mask:
    """True for frames whose CRC is right: over a frame and its CRC it is 0 (CCSDS 132.0-B-3, 4.1.6)."""
    octets, length = data.data, frames.length
    return np.array([crc_hqx(octets[place : place + length], CRC16_PRESET) == 0 for place in at.tolist()], np.bool_)
