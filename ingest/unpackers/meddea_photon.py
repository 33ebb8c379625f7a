# SPDX-License-Identifier: Apache-2.0
"""Photon events of PADRE/MeDDEA, with and without a baseline word.

An event is a clock step, a pixel id and an ADC value of 16 bits each; newer firmware puts the baseline before the ADC
value. Nothing in the header tells which, so the number of bytes decides; where both layouts fit, the packets around it
and what either layout would say.
Source: MeDDEA photon packet, APID 160 (0xA0), 22 bytes and 3 or 4 words per event.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ingest.bits import Octets, Positions, join
from ingest.unpack import Column
from ingest.unpackers import Extra

FIRST_EVENT = 22
_INTEGRATION_TIME = 14
_CHANNELS = (26, 15, 8, 1, 29, 18, 5, 0, 30, 21, 11, 3, 31)  # eight large pixels, four small ones, guard ring
_ASICS = (0, 1, 2, 3, 7)  # four detectors, and the one of the ground tests
_ADC_MAX = 4095
_UNKNOWN, _SHORT_EVENT, _LONG_EVENT = 0, 3, 4

Mask = NDArray[np.bool_]
Words = NDArray[np.uint16]

_VALID_PIXEL = np.zeros(65_536, bool)
_VALID_PIXEL[[asic << 5 | channel for asic in _ASICS for channel in _CHANNELS]] = True


@dataclass(frozen=True)
class Events:
    """Events of many packets, flat, in the order of the packets.

    `clocks` are steps of 12.8 us since the packet's time, `pixel_id` is the word as sent, `baseline` holds 0 where
    `baseline_null` is true. `counts` has the number of events of each packet given, 0 for those in `bad_layout`: their
    events fit neither layout, or both and nothing tells which. `words` is 3 or 4 words per event, 0 if not known.
    """

    clocks: NDArray[np.int32]
    pixel_id: NDArray[np.int32]
    asic: NDArray[np.int8]
    channel: NDArray[np.int8]
    atod: NDArray[np.int16]
    baseline: NDArray[np.int16]
    baseline_null: Mask
    counts: NDArray[np.int64]
    bad_layout: Mask
    words: NDArray[np.int8]


def unpack_events(data: Octets | bytes, offsets: Positions, lengths: Positions, previous: int = 0) -> Events:
    """The events of photon packets at byte `offsets` of `data`.

    `previous` is the number of words per event (3 or 4) of the packets before these, if known; it helps only where a
    packet fits both layouts equally well.
    """
    octets = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else np.ascontiguousarray(data)
    offsets, lengths = np.asarray(offsets, np.int64), np.asarray(lengths, np.int64)
    words = _layouts(octets, offsets, lengths, previous)
    events = _decode(octets, offsets, lengths, words)
    too_large = (events.atod < 0) | (events.baseline < 0)  # more than 15 bits for a converter of 12
    if not too_large.any():
        return events
    words[np.repeat(np.arange(len(words)), events.counts)[too_large]] = _UNKNOWN
    return _decode(octets, offsets, lengths, words)


def _layouts(data: Octets, offsets: Positions, lengths: Positions, previous: int) -> NDArray[np.int8]:
    """Words per event of each packet; 0 where that cannot be told."""
    size = lengths - FIRST_EVENT
    short, long = (size >= 0) & (size % 6 == 0), (size >= 0) & (size % 8 == 0)
    words = np.where(short, _SHORT_EVENT, np.where(long, _LONG_EVENT, _UNKNOWN)).astype(np.int8)
    ambiguous = short & long
    if ambiguous.any():
        _settle(data, offsets, lengths, words, ambiguous, previous)
    _doubt_the_few(data, offsets, lengths, words)
    words[(size == 0) & (words == _UNKNOWN)] = previous or _SHORT_EVENT  # without events any layout is right
    return words


def _settle(
    data: Octets, offsets: Positions, lengths: Positions, words: NDArray[np.int8], ambiguous: Mask, previous: int
) -> None:
    """Decide about the packets whose number of bytes fits both layouts: by their neighbours, else by their events."""
    words[ambiguous] = _UNKNOWN
    before, after = _neighbours(words, previous)
    words[ambiguous & (before == after)] = before[ambiguous & (before == after)]
    for packet in np.flatnonzero(ambiguous & (words == _UNKNOWN) & (lengths > FIRST_EVENT)).tolist():
        start = int(offsets[packet])
        layout = _plausible_layout(data[start : start + int(lengths[packet])])
        words[packet] = layout or before[packet] or after[packet]


def _doubt_the_few(data: Octets, offsets: Positions, lengths: Positions, words: NDArray[np.int8]) -> None:
    """Where both layouts occur, give up packets of the rarer one of whose pixels no more than half exist.

    A wrong layout takes ADC values and clocks for pixels in two of three events.
    """
    short, long = words == _SHORT_EVENT, words == _LONG_EVENT
    few = long if long.sum() <= short.sum() else short
    for packet in np.flatnonzero(few & (lengths > FIRST_EVENT) & (long.any() and short.any())).tolist():
        start, count = int(offsets[packet]), int(words[packet])
        values = data[start + FIRST_EVENT : start + int(lengths[packet])].view(">u2").reshape(-1, count)
        if 2 * _VALID_PIXEL[values[:, 1]].sum() <= len(values):
            words[packet] = _UNKNOWN


def _plausible_layout(packet: Octets) -> int:
    """The only layout by which all events of a packet make sense, else 0."""
    values = packet[FIRST_EVENT:].view(">u2").astype(np.uint16)
    longest = int(packet[_INTEGRATION_TIME]) << 8 | int(packet[_INTEGRATION_TIME + 1])
    fits = [words for words in (_SHORT_EVENT, _LONG_EVENT) if _makes_sense(values.reshape(-1, words), longest)]
    return fits[0] if len(fits) == 1 else _UNKNOWN


def _makes_sense(events: Words, longest: int) -> bool:
    """True if pixels exist, ADC values and baselines have 12 bits, and clocks rise up to the integration time."""
    clocks = events[:, 0].astype(np.int32)
    rising = bool((np.diff(clocks) >= 0).all()) and int(clocks[-1]) <= longest
    return rising and bool(_VALID_PIXEL[events[:, 1]].all()) and bool((events[:, 2:] <= _ADC_MAX).all())


def _neighbours(words: NDArray[np.int8], previous: int) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """For each packet the layouts of the nearest packets before and behind it that are known, 0 if there is none."""
    known = np.flatnonzero(words != _UNKNOWN)
    layouts = np.concatenate([[previous], words[known], [_UNKNOWN]]).astype(np.int8)
    packets = np.arange(len(words))
    before = np.searchsorted(known, packets, side="right")
    return layouts[before], layouts[np.searchsorted(known, packets, side="left") + 1]


def _decode(data: Octets, offsets: Positions, lengths: Positions, words: NDArray[np.int8]) -> Events:
    """The events of packets whose layouts are known, run by run of the same layout."""
    counts = np.where(words > 0, (lengths - FIRST_EVENT) // np.maximum(2 * words.astype(np.int64), 1), 0)
    events = _room(counts, words)
    done = 0
    edges = [0, *(np.flatnonzero(np.diff(words)) + 1).tolist(), len(words)]
    for first, last in pairwise(edges):
        if last > first and words[first] != _UNKNOWN:
            joined = join(data, offsets[first:last] + FIRST_EVENT, (offsets + lengths)[first:last])
            stop = done + int(counts[first:last].sum())
            _fill(events, slice(done, stop), joined.view(">u2").reshape(stop - done, int(words[first])))
            done = stop
    return events


def _room(counts: NDArray[np.int64], words: NDArray[np.int8]) -> Events:
    """Columns for that many events, not filled yet."""
    total = int(counts.sum())
    narrow = [np.empty(total, np.int8) for _ in range(2)]
    return Events(
        np.empty(total, np.int32),
        np.empty(total, np.int32),
        narrow[0],
        narrow[1],
        np.empty(total, np.int16),
        np.zeros(total, np.int16),
        np.ones(total, bool),
        counts,
        words == _UNKNOWN,
        words,
    )


def _fill(events: Events, where: slice, values: Words) -> None:
    """Write events given as big-endian words, shape [n, 3] or [n, 4], to the columns."""
    octets = values.view(np.uint8)
    events.clocks[where] = values[:, 0]
    events.pixel_id[where] = values[:, 1]
    np.right_shift(octets[:, 3], 5, out=events.asic.view(np.uint8)[where])
    np.bitwise_and(octets[:, 3], 0x1F, out=events.channel.view(np.uint8)[where])
    events.atod[where] = values[:, -1]
    if values.shape[1] == _LONG_EVENT:
        events.baseline[where] = values[:, 2]
        events.baseline_null[where] = False


def unpack(data: Octets, offsets: Positions, lengths: Positions, columns: dict[str, Column]) -> Extra:
    """Packet column `event_count`; the columns of the events, `baseline` masked where it was not sent."""
    events = unpack_events(data, offsets, lengths)
    names = ("clocks", "pixel_id", "asic", "channel", "atod")
    flat: dict[str, NDArray[np.generic]] = {name: getattr(events, name) for name in names}
    flat["baseline"] = np.ma.masked_array(events.baseline, events.baseline_null)
    return Extra({"event_count": events.counts.astype(np.int16)}, flat, events.counts, events.bad_layout)
