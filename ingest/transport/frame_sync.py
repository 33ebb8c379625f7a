# SPDX-License-Identifier: Apache-2.0
"""Where transfer frames are in a file: one after the other at a known distance, and found again after damage.

A frame is sure if its CRC is right, where frames have one; else if its marker stands before it, where frames have
one; else if the frame before or behind it is of the same spacecraft. A frame that is not sure is believed to be there
if the next one is sure, and need not be good. Where two in a row are not, the next sure one is searched for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ingest.ccsds import Reason, Stretch
from ingest.transport.frame_headers import VERSIONS, crc_good, frame_headers
from ingest.transport.sliding_crc import sliding_crc_good
from lake.source_definitions import Frames

Octets = NDArray[np.uint8]
Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]

_FIRST_SEARCHED, _MOST_SEARCHED = 1 << 12, 1 << 18  # bytes at a time
_TRIED = 64  # candidates whose CRC is computed one by one
_UNKNOWN = -1  # spacecraft
_NONE = np.empty(0, np.int64)


@dataclass(frozen=True)
class _Slots:
    """Places where frames, or the markers before them, should begin, what is there, and the spacecraft `expected`."""

    at: Positions
    marked: Mask
    shaped: Mask
    intact: Mask
    spacecraft: Positions
    expected: Positions
    sure: Mask

    @property
    def usable(self) -> Mask:
        ours: Mask = self.spacecraft == self.expected
        return self.shaped & self.intact & ours


@dataclass(frozen=True)
class FoundFrames:
    """Good frames of a piece of a file, by the places where the frames themselves begin, and what is none.

    `marked` tells that the marker before a frame is as it should be, or that there are none.
    """

    at: Positions
    marked: Mask
    stretches: tuple[Stretch, ...]

    def and_then(self, other: FoundFrames) -> FoundFrames:
        """These and those behind them."""
        marked = np.concatenate([self.marked, other.marked])
        return FoundFrames(np.concatenate([self.at, other.at]), marked, (*self.stretches, *other.stretches))


class FrameSync:
    """The search for the frames of one file."""

    def __init__(self, data: Octets, frames: Frames) -> None:
        self.data, self.frames = data, frames
        self.sync = np.frombuffer(bytes.fromhex(frames.sync), np.uint8)
        self.stride = len(self.sync) + frames.length
        self.spacecraft = frames.spacecraft  # if it is not declared, that of the frames before
        self.origin = 0  # where frames were before they were lost

    def blocks(self, block_bytes: int) -> Iterator[FoundFrames]:
        """All frames of the file, some at a time."""
        position, at_a_time = 0, max(block_bytes // self.stride, 4)
        while position < len(self.data):
            whole = min(at_a_time, (len(self.data) - position) // self.stride)
            slots = self._slots(position + self.stride * np.arange(whole, dtype=np.int64))
            behind = position + whole * self.stride
            held = slots.sure | np.append(slots.sure[1:], self._sure_at(behind))[: len(slots.sure)]
            kept = whole if held.all() else int(held.argmin())
            at_end = kept == whole and len(self.data) - behind < self.stride
            if kept < whole or (at_end and behind < len(self.data)):
                found, position = self._lost(slots, kept, position + kept * self.stride)
                yield found
                continue
            # Without a CRC the last frame may prove too short; it is looked at again with the next ones.
            kept -= not (at_end or self.frames.error_control)
            yield self._found(slots, kept)
            position += kept * self.stride

    def _lost(self, slots: _Slots, kept: int, position: int) -> tuple[FoundFrames, int]:
        """The frames before the place where there are no more, what is there instead, and where they begin again."""
        start = self.origin = position
        if kept and not self.frames.error_control:
            begun = self._next_sure(position - self.stride + 1, position)
            if begun is not None:  # the last frame has lost bytes
                kept, start = kept - 1, position - self.stride
        again = self._next_sure(start + 1, len(self.data))
        stop = len(self.data) if again is None else again
        found = self._found(slots, kept)
        if again is not None and (stop - position) % self.stride == 0 and start == position:
            # With the one that was found: it tells what spacecraft those before it should be of.
            between = self._slots(np.arange(position, stop + 1, self.stride))
            return found.and_then(self._found(between, len(between.at) - 1)), stop
        return found.and_then(FoundFrames(_NONE, _NONE.astype(bool), tuple(self._unframed(start, stop)))), stop

    def _unframed(self, start: int, stop: int) -> Iterator[Stretch]:
        """What stands in [start, stop), where no good frame is; the file may end in a frame."""
        rest = (stop - start) % self.stride if stop == len(self.data) else 0
        if not (rest and self._cut_off(stop - rest)):
            rest = 0
        if stop - rest > start:
            yield Stretch(start, stop - rest - start, Reason.BAD_FRAME, "no good transfer frame starts here")
        if rest:
            yield Stretch(stop - rest, rest, Reason.TRUNCATED, "the file ends in a transfer frame")

    def _cut_off(self, position: int) -> bool:
        """True if the last bytes of the file may be the beginning of a frame."""
        left = self.data[position:]
        if len(self.sync):
            return bool((left[: len(self.sync)] == self.sync[: len(left)]).all())
        return int(left[0]) >> 6 == VERSIONS[self.frames.kind]

    def _found(self, slots: _Slots, kept: int) -> FoundFrames:
        usable = np.flatnonzero(slots.usable[:kept])
        bad = self._bad(slots, np.flatnonzero(~slots.usable[:kept]))
        size = len(self.sync)
        unmarked = [
            Stretch(at, size, Reason.JUNK, "no sync marker where one should be before a good frame")
            for at in slots.at[usable[~slots.marked[usable]]].tolist()
        ]
        if len(usable):
            self.spacecraft = int(slots.spacecraft[usable[-1]])
        return FoundFrames(slots.at[usable] + size, slots.marked[usable], (*bad, *unmarked))

    def _bad(self, slots: _Slots, which: Positions) -> list[Stretch]:
        """Stretches of slots with frames that cannot be used; for one reason, one after the other make one stretch."""
        found: list[Stretch] = []
        for index in which.tolist():
            detail = "the header is none of a transfer frame"
            if not slots.intact[index]:
                detail = "the CRC of the transfer frame is not right"
            elif slots.shaped[index]:
                detail = self._of_another(int(slots.spacecraft[index]), int(slots.expected[index]))
            at, last = int(slots.at[index]), found[-1] if found else None
            if last and last.detail == detail and last.offset + last.length == at:
                found[-1] = replace(last, length=last.length + self.stride)
            else:
                found.append(Stretch(at, self.stride, Reason.BAD_FRAME, detail))
        return found

    @staticmethod
    def _of_another(spacecraft: int, expected: int) -> str:
        if expected == _UNKNOWN:
            return "a transfer frame without a good one before or behind it"
        return f"a transfer frame of spacecraft {spacecraft}, not {expected}"

    def _slots(self, at: Positions) -> _Slots:
        """What is at these places, each followed by as many bytes as a frame with its marker has."""
        begin = at + len(self.sync)
        headers = frame_headers(self.data, self.frames, begin)
        marked = self._marked(at)
        intact = crc_good(self.data, self.frames, begin) if self.frames.error_control else np.ones(len(at), bool)
        if self.frames.error_control:
            sure = headers.shaped & intact
        elif len(self.sync):
            sure = headers.shaped & marked
        else:
            sure = headers.shaped & (self._same_as(at, self.stride) | self._same_as(at, -self.stride))
        if self.frames.spacecraft is not None and not (self.frames.error_control or len(self.sync)):
            sure &= headers.spacecraft == self.frames.spacecraft
        return _Slots(
            at, marked, headers.shaped, intact, headers.spacecraft, self._expected(headers.spacecraft, sure), sure
        )

    def _expected(self, spacecraft: Positions, sure: Mask) -> Positions:
        """The spacecraft that frames should be of: if none is declared, that of the last sure one, or of the first."""
        if self.frames.spacecraft is not None:
            return np.full(len(sure), self.frames.spacecraft, np.int64)
        known = spacecraft[sure]
        first = self.spacecraft if self.spacecraft is not None else int(known[0]) if len(known) else _UNKNOWN
        return np.concatenate([[first], known])[np.cumsum(sure)]

    def _marked(self, at: Positions) -> Mask:
        """True where the marker stands, as far as the file goes, or where there are none."""
        marked = np.ones(len(at), bool)
        for index, octet in enumerate(self.sync.tolist()):
            there = at + index < len(self.data)
            marked[there] &= self.data[at[there] + index] == octet
        return marked

    def _same_as(self, at: Positions, distance: int) -> Mask:
        """True where a frame at a distance has the same version and spacecraft, or where the file ends before it."""
        other = at + distance
        there = (other >= 0) & (other + 2 <= len(self.data))
        other = np.where(there, other, at)
        mask = 0xF0 if self.frames.kind == "tm" else 0xC0
        same = (self.data[other] == self.data[at]) & ((self.data[other + 1] ^ self.data[at + 1]) & mask == 0)
        return np.where(there, same, distance > 0)

    def _sure_at(self, position: int) -> bool:
        """True if a sure frame, or nothing more, stands at a place."""
        if position + self.stride > len(self.data):
            return position == len(self.data)
        return bool(self._slots(np.array([position])).sure[0])

    def _next_sure(self, start: int, stop: int) -> int | None:
        """The first place in [start, stop) of a frame that is no chance."""
        stop = min(stop, len(self.data) - self.stride + 1)
        low, size = start, _FIRST_SEARCHED
        while low < stop:
            high = min(low + size, stop)
            good = self._candidates(low, high)
            good = good[self._sure_alone(good, low, high)]
            good = good[self._followed(good)]
            if len(good):
                return int(good[0])
            low, size = high, min(4 * size, _MOST_SEARCHED)
        return None

    def _sure_alone(self, at: Positions, low: int, high: int) -> Mask:
        """True for the places in [low, high) of frames that are sure."""
        if not self.frames.error_control or len(at) <= _TRIED:
            return self._slots(at).sure
        begin = low + len(self.sync)
        intact = sliding_crc_good(self.data[begin : high - 1 + self.stride], self.frames.length)[at - low]
        at = at[intact]
        intact[intact] = frame_headers(self.data, self.frames, at + len(self.sync)).shaped
        return intact

    def _candidates(self, start: int, stop: int) -> Positions:
        """Where a frame may begin, by its marker if there are any, else by version and spacecraft.

        With a CRC, frames are also tried at the places where they would be if only their markers were damaged.
        """
        at = np.arange(start, stop, dtype=np.int64)
        if len(self.sync):
            aligned = (at - self.origin) % self.stride == 0
            return np.asarray(at[self._marked(at) | (aligned & self.frames.error_control)])
        at = np.asarray(at[self.data[start:stop] >> 6 == VERSIONS[self.frames.kind]])
        if self.spacecraft is None:
            return at
        return np.asarray(at[frame_headers(self.data, self.frames, at).spacecraft == self.spacecraft])

    def _followed(self, at: Positions) -> Mask:
        """True where one of the next two frames is marked, or is of the same spacecraft; a CRC needs no such proof."""
        if self.frames.error_control:
            return np.ones(len(at), bool)
        if len(self.sync):
            return self._marked(at + self.stride) | self._marked(at + 2 * self.stride)
        further = at + self.stride
        whole = further + self.stride <= len(self.data)
        return self._same_as(at, self.stride) & (self._same_as(np.where(whole, further, at), self.stride) | ~whole)
