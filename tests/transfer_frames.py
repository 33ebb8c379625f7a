# SPDX-License-Identifier: Apache-2.0
"""TM and AOS transfer frames bit by bit, for tests, as the tables of CCSDS 132.0-B-3 and 732.0-B-4 draw them."""

from __future__ import annotations

from binascii import crc_hqx
from dataclasses import dataclass, field
from itertools import pairwise

from lake.source_definitions import Frames


def octets(bits: str) -> bytes:
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def tm_header(
    spacecraft: int, channel: int, ocf: bool, counts: tuple[int, int], pointer: int, secondary: bool
) -> bytes:
    bits = f"00{spacecraft:010b}{channel:03b}{ocf:b}{counts[0] % 256:08b}{counts[1] % 256:08b}"
    return octets(bits + f"{secondary:b}0011{pointer:011b}")


def aos_header(spacecraft: int, channel: int, count: int) -> bytes:
    low, high = spacecraft % 256, spacecraft // 256
    return octets(f"01{low:08b}{channel:06b}{count % 2**24:024b}00{high:02b}0000")


@dataclass
class Link:
    """A spacecraft that sends packets in frames over virtual channels."""

    frames: Frames
    spacecraft: int = 42
    ocf: bool = False
    secondary: bytes = b""
    sent: list[bytes] = field(default_factory=list)
    channels: list[int] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)
    streams: dict[int, bytes] = field(default_factory=dict)
    starts: dict[int, list[int]] = field(default_factory=dict)
    full: dict[int, list[int]] = field(default_factory=dict)

    @property
    def room(self) -> int:
        """Bytes of packets that fit into a frame."""
        one = self.frames
        head = 6 + (len(self.secondary) if one.kind == "tm" else 2 + one.insert_zone + 2 * one.header_error_control)
        return one.length - head - 4 * (self.ocf or one.operational_control) - 2 * one.error_control

    def send(self, channel: int, packet: bytes) -> None:
        """Put a packet into the channel; frames that are full are sent."""
        stream = self.streams.get(channel, b"")
        starts = self.starts.setdefault(channel, [])
        starts.append(len(stream))
        self.streams[channel] = stream = stream + packet
        full = self.full.setdefault(channel, [])
        while (len(full) + 1) * self.room <= len(stream):
            begin = len(full) * self.room
            pointer = next((start - begin for start in starts if start >= begin), self.room)
            data = stream[begin : begin + self.room]
            full.append(self.emit(channel, pointer if pointer < self.room else 0x7FF, data))

    def packets(self) -> list[tuple[bytes, list[int]]]:
        """The packets that were sent to their last byte, with the numbers of the channel's frames from first to last.

        A frame without packets between them counts too: if it is lost, nobody knows that it had none.
        """
        found = []
        for channel, stream in self.streams.items():
            edges = [*self.starts[channel], len(stream)]
            for start, stop in pairwise(edges):
                if stop <= len(self.full[channel]) * self.room:
                    first, last = (self.full[channel][at // self.room] for at in (start, stop - 1))
                    numbers = [n for n in range(first, last + 1) if self.channels[n] == channel]
                    found.append((stream[start:stop], numbers))
        return found

    def emit(self, channel: int, pointer: int, data: bytes) -> int:
        """Send one frame; its number."""
        one, count = self.frames, self.counts.get(channel, 0)
        self.counts[channel] = count + 1
        if one.kind == "tm":
            counts = (len(self.sent), count)
            frame = tm_header(self.spacecraft, channel, self.ocf, counts, pointer, bool(self.secondary))
            frame += self.secondary
        else:
            frame = aos_header(self.spacecraft, channel, count) + b"\xaa\xbb" * one.header_error_control
            frame += b"\xcc" * one.insert_zone + pointer.to_bytes(2, "big")
        frame += data + b"\x01\x02\x03\x04" * (self.ocf or one.operational_control)
        if one.error_control:
            frame += crc_hqx(frame, 0xFFFF).to_bytes(2, "big")
        assert len(frame) == one.length
        self.channels.append(channel)
        self.sent.append(bytes.fromhex(one.sync) + frame)
        return len(self.sent) - 1

    def idle(self, channel: int) -> None:
        """Send a frame of idle data."""
        self.emit(channel, 0x7FE, b"\x55" * self.room)

    @property
    def file(self) -> bytes:
        """All frames sent so far."""
        return b"".join(self.sent)
