# SPDX-License-Identifier: Apache-2.0
"""Packets as they travel: between markers, or in TM or AOS transfer frames (CCSDS 132.0-B-3, CCSDS 732.0-B-4).

Packets go to the virtual channels by turns. The last frame of each channel is filled up with an idle packet.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Iterator
from itertools import pairwise

from lake.source_definitions import Frames, Transport
from simulate.packets import SEQUENCE_MODULUS

HEADER_BYTES = 6
IDLE_FIRST_WORD = b"\x07\xff"  # version 0, APID 2047
FILL = b"\x55"
NO_START = 0x7FF  # first header pointer of a frame in which no packet starts
WHOLE = 0xC000  # sequence flags of a packet in one part
SHORTEST_PACKET = 7


class Wrapper:
    """Wraps packets as a transport says; the counters of its frames and idle packets run on from call to call."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        channels = (transport.frames.channels if transport.frames else ()) or (0,)
        self.channels = {channel: Channel(transport.frames, channel) for channel in channels if transport.frames}
        self.sent = 0  # frames and packets so far
        self.packets = 0

    def wrap(self, packets: bytes) -> bytes:
        """Whole packets, one after the other, as they lie in a raw file."""
        single = list(split_packets(packets))
        if not self.transport.frames:
            prefix, suffix = (bytes.fromhex(text) for text in (self.transport.prefix, self.transport.suffix))
            return b"".join(prefix + packet + suffix for packet in single)
        own: dict[int, list[bytes]] = {channel: [] for channel in self.channels}
        for packet in single:
            own[list(own)[self.packets % len(own)]].append(packet)
            self.packets += 1
        return b"".join(self._frames(own))

    def _frames(self, own: dict[int, list[bytes]]) -> Iterator[bytes]:
        for channel, packets in own.items():
            for pointer, data in self.channels[channel].frames_of(packets):
                yield self.channels[channel].frame(self.sent, pointer, data)
                self.sent += 1


def split_packets(packets: bytes) -> Iterator[bytes]:
    """Each packet, by its length field."""
    at = 0
    while at < len(packets):
        stop = at + int.from_bytes(packets[at + 4 : at + 6], "big") + 7
        yield packets[at:stop]
        at = stop


class Channel:
    """One virtual channel: its frames, and how many it has sent."""

    def __init__(self, frames: Frames, channel: int) -> None:
        self.frames, self.channel = frames, channel
        self.count = 0
        self.idle_count = 0
        # TM frames without operational control say so; AOS frames have what was declared.
        self.trailer = b"\x01\x00\x00\x00" if frames.kind == "aos" and frames.operational_control else b""
        head = HEADER_BYTES if frames.kind == "tm" else len(self._aos_header(0))
        self.room = frames.length - head - len(self.trailer) - 2 * frames.error_control

    def frames_of(self, packets: list[bytes]) -> Iterator[tuple[int, bytes]]:
        """First header pointer and packet bytes of the frames that these packets fill."""
        if not packets:
            return
        rest = -sum(map(len, packets)) % self.room
        fill = [self._idle(size) for size in self._idle_sizes(rest)]
        whole, starts, at = b"".join([*packets, *fill]), [], 0
        for packet in (*packets, *fill):
            starts.append(at)
            at += len(packet)
        edges = range(0, len(whole) + 1, self.room)
        for begin, end in pairwise(edges):
            while starts and starts[0] < begin:
                starts.pop(0)
            yield (starts[0] - begin if starts and starts[0] < end else NO_START), whole[begin:end]

    def _idle_sizes(self, rest: int) -> list[int]:
        """Sizes of the idle packets that fill the rest of a frame, and another one where it is too short for one."""
        while 0 < rest < SHORTEST_PACKET:
            rest += self.room
        return [rest] if rest else []

    def _idle(self, size: int) -> bytes:
        header = IDLE_FIRST_WORD + (WHOLE | self.idle_count).to_bytes(2, "big")
        self.idle_count = (self.idle_count + 1) % SEQUENCE_MODULUS
        return header + (size - HEADER_BYTES - 1).to_bytes(2, "big") + FILL * (size - HEADER_BYTES)

    def frame(self, sent: int, pointer: int, data: bytes) -> bytes:
        """One frame with its marker; `sent` counts the frames of all channels."""
        header = self._tm_header(sent, pointer) if self.frames.kind == "tm" else self._aos_header(pointer)
        self.count += 1
        octets = header + data + self.trailer
        if self.frames.error_control:
            octets += crc_hqx(octets, 0xFFFF).to_bytes(2, "big")
        return bytes.fromhex(self.frames.sync) + octets

    def _tm_header(self, sent: int, pointer: int) -> bytes:
        first = (self.frames.spacecraft or 0) << 4 | self.channel << 1
        # Packets are not segmented here: the segment length identifier is 11.
        return first.to_bytes(2, "big") + bytes([sent % 256, self.count % 256]) + (0x1800 | pointer).to_bytes(2, "big")

    def _aos_header(self, pointer: int) -> bytes:
        spacecraft = self.frames.spacecraft or 0
        first = 1 << 14 | (spacecraft & 0xFF) << 6 | self.channel
        header = first.to_bytes(2, "big") + (self.count % (1 << 24)).to_bytes(3, "big")
        header += bytes([(spacecraft >> 8) << 4])
        header += bytes(2 * self.frames.header_error_control + self.frames.insert_zone)
        return header + pointer.to_bytes(2, "big")
