# SPDX-License-Identifier: Apache-2.0
"""The few layouts that a packet CSV cannot say. A module is named in instrument.yaml (`unpacker:`) and has

unpack(data, offsets, lengths, columns) -> Extra, or unpacker(packet), which makes such a function from the definition
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ingest.unpack import Column
from lake.errors import DefinitionError
from lake.packet_definitions import Packet


@dataclass(frozen=True)
class Extra:
    """What an unpacker adds to the columns of n packets.

    packet : columns [n] or [n, items] of the packet table
    event : columns [sum(counts)] of the event table, masked where a value is not sent
    counts : events of each packet [n]; packets that `bad` marks have none
    bad : packets [n] whose bytes fit no layout
    """

    packet: dict[str, NDArray[np.generic]]
    event: dict[str, NDArray[np.generic]] = field(default_factory=dict)
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    bad: NDArray[np.bool_] | None = None


Unpacker = Callable[[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64], dict[str, Column]], Extra]


def unpacker_of(packet: Packet) -> Unpacker | None:
    """The unpacker that a packet definition names, or None. Raises DefinitionError if there is no such module."""
    if packet.unpacker is None:
        return None
    try:
        module = importlib.import_module(f"ingest.unpackers.{packet.unpacker}")
    except ModuleNotFoundError:
        raise DefinitionError(
            f"packet {packet.name}: there is no ingest/unpackers/{packet.unpacker}.py. Write it or correct `unpacker`."
        ) from None
    function: Unpacker = module.unpacker(packet) if hasattr(module, "unpacker") else module.unpack
    return function
