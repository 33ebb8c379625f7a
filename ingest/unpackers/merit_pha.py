# SPDX-License-Identifier: Apache-2.0
"""Pulse-height events of HERMES/MERiT: 64 bits each, as many as the packet says.

From the top: head 1 bit, species 2, spare 5, time offset 16 (1/65536 s), pulse heights of APD and SSD1 to SSD3 10 each.
Source: assumed interface MRT-A1, APID 385 (0x181); no packet definition of MERiT is public.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ingest.bits import Octets, Positions, join
from ingest.unpack import Column
from ingest.unpackers import Extra

FIRST_EVENT, EVENT_BYTES, CHECKSUM_BYTES = 14, 8, 2
TICKS_PER_SECOND = 1 << 16
NS = 1_000_000_000
# Lowest bit and width of each column of an event.
FIELDS = {
    "head": (63, 1, np.int8),
    "species": (61, 2, np.int8),
    "t_offset": (40, 16, np.int32),
    "pha_apd": (30, 10, np.int16),
    "pha_ssd1": (20, 10, np.int16),
    "pha_ssd2": (10, 10, np.int16),
    "pha_ssd3": (0, 10, np.int16),
}


def unpack(data: Octets, offsets: Positions, lengths: Positions, columns: dict[str, Column]) -> Extra:
    """The columns of the events, one after the other; packets are bad whose size does not fit their `n_events`."""
    counts = np.asarray(columns["n_events"], np.int64)
    bad = lengths != FIRST_EVENT + EVENT_BYTES * counts + CHECKSUM_BYTES
    counts = np.where(bad, 0, counts)
    starts = offsets + FIRST_EVENT
    words = join(data, starts, starts + EVENT_BYTES * counts).view(">u8").astype(np.uint64)
    event: dict[str, NDArray[np.generic]] = {
        name: (words >> np.uint64(low) & np.uint64((1 << bits) - 1)).astype(dtype)
        for name, (low, bits, dtype) in FIELDS.items()
    }
    ticks = event["t_offset"].astype(np.int64)
    event["t_offset_ns"] = ((2 * ticks * NS + TICKS_PER_SECOND) // (2 * TICKS_PER_SECOND)).astype(np.int32)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    event["event_number"] = (np.arange(len(words)) - first).astype(np.int16)
    return Extra({}, event, counts, bad)
