# SPDX-License-Identifier: Apache-2.0
"""Raw files of an instrument that has no simulator of its own: from its definition alone.

Every packet type comes at its `cadence_seconds` (10 s without one), with right clocks, counts and checksums and values
that its fields may have; every type of record likewise. The values mean nothing, they only fit. What a definition does
not say enough about is left out, with a warning that says why.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from lake.clock import NS, tt2000_of_day
from lake.definitions import Instrument, Mission
from lake.errors import ConfigurationError
from simulate.faults import Fault
from simulate.files import FileName, Simulated, Stream, write_faults
from simulate.generic.names import raw_name
from simulate.generic.packets import PacketType
from simulate.generic.records import write_records
from simulate.generic.wire import Wire
from simulate.packets import SEQUENCE_MODULUS, Packets, SequenceCounts, in_time_order
from simulate.request import check_request, whole_seconds

log = logging.getLogger(__name__)

CAP_BYTES = 4 << 20  # of a file
PIECE_NS = 3600 * NS  # of a run that is made at once


@dataclass(frozen=True)
class Generic:
    """The simulator of an instrument, made from its definition."""

    instrument: Instrument

    def stream_names(self) -> tuple[str, ...]:
        """Its one stream of packets; records are written without faults."""
        return (self.instrument.name,)

    def simulate_day(
        self,
        mission: Mission,
        instrument: Instrument,
        day: date,
        out: Path,
        *,
        seed: int,
        faults: tuple[Fault, ...] = (),
        hours: float = 24,
    ) -> Simulated:
        """Raw files from the day's first midnight on. Raises ConfigurationError if nothing of it can be made."""
        check_request(mission, instrument, day, seed, hours, faults, self.stream_names())
        stop = tt2000_of_day(day) + whole_seconds(hours) * NS
        types = packet_types(mission, instrument, day, seed, stop)
        files, rows, size = write_records(mission, instrument, day, stop, out, seed)
        if not types and not files:
            raise ConfigurationError(
                f"{mission.name}/{instrument.name}: its definition is not enough to simulate anything. "
                f"Write simulate/{mission.name}/{instrument.name}.py."
            )
        if not types:
            return Simulated(files, rows, size)
        start = tt2000_of_day(day)
        name = _file_name(mission, instrument, start)
        random = np.random.default_rng([seed, 1])
        stream = Stream(instrument.name, out, name, CAP_BYTES, faults, start, stop, random)
        sent = _send(stream, types, Wire(instrument, name(start)), stop)
        if faults:
            write_faults(out / "truth" / f"{instrument.name}_faults_{day:%Y%m%d}.csv", stream.done)
        return Simulated((*stream.files, *files), sent + rows, stream.written + size, tuple(stream.done))


def packet_types(mission: Mission, instrument: Instrument, day: date, seed: int, stop: int) -> list[PacketType]:
    """What is sent: each packet type under each of its APIDs that can be made, at evenly spread times."""
    wanted = [(packet, apid) for packet in instrument.packets for apid in packet.apids]
    found = []
    for number, (packet, apid) in enumerate(wanted):
        kind = PacketType(mission, instrument, packet, apid, day, seed, number / len(wanted))
        if problem := kind.problem(stop):
            log.warning("simulate packet=%s apid=%d left out: %s", packet.name, apid, problem)
        else:
            found.append(kind)
    return found


def _file_name(mission: Mission, instrument: Instrument, start: int) -> FileName:

    def holds_packets(name: str) -> bool:
        return instrument.records_of(name) is None and instrument.transport_of(name) is not None

    name = raw_name(mission, instrument, start, holds_packets)
    if name is None:
        raise ConfigurationError(
            f"{mission.name}/{instrument.name}: no pattern of the mission's file names is for its packets. "
            f"Add one under families of missions/{mission.name}/{instrument.name}/names.yaml."
        )
    return name


def _send(stream: Stream, types: list[PacketType], wire: Wire, stop: int) -> int:
    """Write the packets of a run; how many there were, before any fault."""
    sent = 0
    for packets in pieces(types, stream.start, stop):
        sent += len(packets)
        stream.add(wire.carry(packets))
    stream.close()
    return sent


def pieces(types: list[PacketType], start: int, stop: int) -> Iterator[Packets]:
    """The packets of a run in order of time, piece by piece; the sequence counts of an APID run on."""
    counts = SequenceCounts({kind.apid: kind.seed * 61 % SEQUENCE_MODULUS for kind in types})
    by_apid = defaultdict(list)
    for kind in types:
        by_apid[kind.apid].append(kind)
    for first in range(start, stop, PIECE_NS):
        made = [
            p
            for apid, kinds in by_apid.items()
            for p in _of_apid(apid, kinds, counts, first, min(first + PIECE_NS, stop))
        ]
        if made:
            yield in_time_order(made)


def _of_apid(apid: int, kinds: list[PacketType], counts: SequenceCounts, first: int, stop: int) -> Iterator[Packets]:
    """Packets of all types that share an APID; they share its sequence counts, in order of time."""
    indices = [kind.indices(first, stop) for kind in kinds]
    times = np.concatenate([kind.times(index) for kind, index in zip(kinds, indices, strict=True)])
    ranks = np.empty(len(times), np.int64)
    ranks[np.argsort(times, kind="stable")] = np.arange(len(times))
    sequence = counts.take(apid, len(times))[ranks]
    edges = np.cumsum([0, *map(len, indices)])
    for kind, index, begin in zip(kinds, indices, edges.tolist(), strict=False):
        yield from kind.packets(index, sequence[begin : begin + len(index)])
