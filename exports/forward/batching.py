# SPDX-License-Identifier: Apache-2.0
"""Packets in batches, so that the same packets make the same batches whenever they are asked for.

A batch ends with its raw file or at a limit. Both are the same at each try, whatever else has arrived by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from exports.forward.nouns import Batch
from exports.forward.pacing import Pace, Speed
from exports.forward.settings import Limits
from lake.packet_log import LoggedPacket, UnreadableFileError

EARLY_SECONDS = 1.0  # a packet of a replay may come so much before it is due, so that not each is a message of its own


def batches(
    packets: Iterator[LoggedPacket],
    client: str,
    limits: Limits,
    again: str = "",
    speed: Speed = None,
    wait: Callable[[float], bool | None] = lambda seconds: None,
) -> Iterator[Batch]:
    """Batches in the order of the log. They end early if `wait` says True.

    Before the error for a file that cannot be read, all that was before it is given.

    again : sets a replay apart, see Batch. speed : at which they are given; `wait` waits.
    """
    pace, held = Pace(speed), _Held(client, limits, again)
    try:
        for packet in packets:
            delay = pace.delay(packet.epoch_tt2000)
            late = delay > EARLY_SECONDS
            if late or not held.fits(packet):
                yield from held.given()
            if late and wait(delay):
                return
            held.add(packet)
    except UnreadableFileError:
        yield from held.given()
        raise
    yield from held.given()


@dataclass
class _Held:
    """Packets of the next batch."""

    client: str
    limits: Limits
    again: str
    packets: list[LoggedPacket] = field(default_factory=list)
    size: int = 0

    def fits(self, packet: LoggedPacket) -> bool:
        """Whether a packet may go with those that are held."""
        same_file = not self.packets or self.packets[-1].cursor.arrival == packet.cursor.arrival
        small = self.size + len(packet.data) <= self.limits.bytes and len(self.packets) < self.limits.packets
        return same_file and small

    def add(self, packet: LoggedPacket) -> None:
        """Hold a packet, of whatever size."""
        self.packets.append(packet)
        self.size += len(packet.data)

    def given(self) -> Iterator[Batch]:
        """The batch, if there is any, after which nothing is held."""
        packets, self.packets, self.size = tuple(self.packets), [], 0
        if packets:
            yield Batch(self.client, packets, self.again)
