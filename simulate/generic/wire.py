# SPDX-License-Identifier: Apache-2.0
"""Simulated packets as they travel: bare, each between markers, or within transfer frames."""

from __future__ import annotations

import numpy as np

from lake.definitions import Instrument
from lake.source_definitions import Transport
from simulate.packets import Packets
from simulate.transport import Wrapper


class Wire:
    """Puts packets into what carries them in files of a name. Counters of frames run on from call to call."""

    def __init__(self, instrument: Instrument, file_name: str) -> None:
        self.transport = instrument.transport_of(file_name) or Transport()
        self.bare = self.transport.frames is None and not self.transport.prefix
        self.wrapper = Wrapper(self.transport)

    def carry(self, packets: Packets) -> Packets:
        """What is sent, piece by piece: packets, packets with their markers, or frames.

        A frame has the time and APID of the packet that lies as far into the batch as it does.
        """
        if self.bare:
            return packets
        frames = self.transport.frames
        if frames is None:
            around = (len(self.transport.prefix) + len(self.transport.suffix)) // 2
            return Packets(self.wrapper.wrap(packets.data), packets.sizes + around, packets.times, packets.apids)
        data, size = self.wrapper.wrap(packets.data), frames.length + len(frames.sync) // 2
        count = len(data) // size
        of_packet = np.arange(count) * len(packets) // max(count, 1)
        return Packets(data, np.full(count, size, np.int64), packets.times[of_packet], packets.apids[of_packet])
