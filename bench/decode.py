# SPDX-License-Identifier: Apache-2.0
"""Decoding against ccsdspy: the same generated packets, CPU time, interleaved rounds, medians.

Ours is scan (with checksums where the definition has one), unpack and events to final columns, in chunks. ccsdspy is
used as its documentation shows: FixedLength or VariableLength `.load`, and `split_by_apid` first for mixed files.

    python -m bench.decode --megabytes 50 --rounds 5
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.ccsds import scan_packets
from ingest.unpack import Plan, compile_plan, unpack
from ingest.unpackers.meddea_photon import unpack_events
from lake.packet_definitions import Packet, PacketField

HEADER_BYTES = 6
TARGETS = {"photon": 7.0, "spectrum": 20.0, "packed": 6.0, "housekeeping": 1.8, "mixed": 5.5}


@dataclass(frozen=True)
class Row:
    """One line of the table; times in CPU seconds, `ratio` is theirs over ours."""

    case: str
    packets: int
    megabytes: float
    ours: float
    theirs: float
    target: float

    @property
    def ratio(self) -> float:
        return self.theirs / self.ours


def _uint(name: str, bits: int, *shape: int, expand: bool = False) -> PacketField:
    return PacketField(name=name, kind="uint", bits=bits, shape=shape, expand=expand)


def _start(*rest: PacketField) -> tuple[PacketField, ...]:
    return (_uint("time_s", 32), _uint("time_clocks", 32), *rest)


PHOTON = Packet(
    name="photon",
    apids=(160,),
    fields=_start(
        _uint("integration_time", 16),
        _uint("live_time", 16),
        _uint("flags", 16),
        _uint("checksum", 16),
        _uint("events", 16, expand=True),
    ),
    max_bytes=2400,
    checksum="xor16",
    unpacker="meddea_photon",
)
SPECTRUM = Packet(
    name="spectrum",
    apids=(162,),
    fields=_start(
        _uint("integration_time", 32), _uint("live_time", 32), _uint("slots", 16, 24, 513), _uint("checksum", 16)
    ),
    max_bytes=24_648,
    checksum="xor16",
)
PACKED = Packet(
    name="packed",
    apids=(17,),
    fields=_start(_uint("status", 56), _uint("counts", 12, 34)),
    max_bytes=72,
)


def _housekeeping() -> Packet:
    """200 fields of 1 to 32 bits that fill 289 bytes with the primary header."""
    widths = np.random.default_rng(3).choice([1, 2, 3, 4, 5, 7, 8, 12, 16, 20, 24, 32], 200)
    excess = int(widths.sum()) - (289 - HEADER_BYTES) * 8
    for index in range(len(widths)):
        step = int(np.clip(excess, widths[index] - 32, widths[index] - 1))
        widths[index] -= step
        excess -= step
        if not excess:
            break
    fields = tuple(_uint(f"hk{index}", int(bits)) for index, bits in enumerate(widths))
    return Packet(name="housekeeping", apids=(19,), fields=fields, max_bytes=289)


HOUSEKEEPING = _housekeeping()


def _sealed(packets: NDArray[np.uint8], apid: int, checksum_at: int | None) -> NDArray[np.uint8]:
    """Packets [n, bytes] with primary headers, and with a checksum word that makes the XOR of all words 0."""
    count, size = packets.shape
    words = np.empty((count, 3), ">u2")
    words[:, 0], words[:, 1], words[:, 2] = apid, 0xC000 | np.arange(count) & 0x3FFF, size - 7
    packets[:, :HEADER_BYTES] = words.view(np.uint8)
    if checksum_at is not None:
        packets[:, checksum_at : checksum_at + 2] = 0
        checksum = np.bitwise_xor.reduce(packets.view(">u2"), axis=1).astype(">u2")
        packets[:, checksum_at : checksum_at + 2] = checksum.view(np.uint8).reshape(count, 2)
    return packets


def random_packets(packet: Packet, size: int, rng: np.random.Generator, checksum_at: int | None = None) -> list[bytes]:
    """About `size` bytes of packets of a fixed layout, their fields random."""
    count = max(2, size // packet.min_bytes)
    octets = rng.integers(0, 256, (count, packet.min_bytes), np.uint8)
    return [row.tobytes() for row in _sealed(octets, packet.apids[0], checksum_at)]


def _photons(size: int, rng: np.random.Generator) -> list[bytes]:
    """Packets of about 150 events that obey the layout: real pixels, 12-bit values, rising clocks."""
    packets = []
    for number in range(max(2, size // 930)):
        events = np.empty((int(rng.integers(110, 195)), 3), ">u2")
        events[:, 0] = np.sort(rng.integers(0, 39_062, len(events)))
        events[:, 1] = rng.integers(0, 4, len(events)) << 5 | rng.choice([26, 8, 18, 0, 21, 3], len(events))
        events[:, 2] = rng.integers(0, 4096, len(events))
        octets = np.zeros((1, 22 + events.nbytes), np.uint8)
        octets[0, 6:14] = np.array([number, number], ">u4").view(np.uint8)
        octets[0, 16:18] = (39_062 >> 8, 39_062 & 0xFF)
        octets[0, 22:] = events.reshape(-1).view(np.uint8)
        packets.append(_sealed(octets, 160, 20).tobytes())
    return packets


def _generate(megabytes: float) -> dict[str, tuple[tuple[Packet, ...], bytes, int]]:
    """For each case the packet types, the file, and the number of packets."""
    rng, size = np.random.default_rng(7), int(megabytes * 1e6)
    cases: dict[str, tuple[tuple[Packet, ...], list[bytes]]] = {
        "photon": ((PHOTON,), _photons(size, rng)),
        "spectrum": ((SPECTRUM,), random_packets(SPECTRUM, size, rng, 24_646)),
        "packed": ((PACKED,), random_packets(PACKED, size, rng)),
        "housekeeping": ((HOUSEKEEPING,), random_packets(HOUSEKEEPING, size, rng)),
    }
    shares = {"photon": 0.25, "spectrum": 0.25, "packed": 0.25, "housekeeping": 0.25}
    mixed = [p for name, share in shares.items() for p in cases[name][1][: int(len(cases[name][1]) * share)]]
    rng.shuffle(mixed)
    cases["mixed"] = ((PHOTON, SPECTRUM, PACKED, HOUSEKEEPING), mixed)
    return {name: (packets, b"".join(parts), len(parts)) for name, (packets, parts) in cases.items()}


def decode(packets: tuple[Packet, ...], plans: tuple[Plan, ...], file: bytes) -> int:
    """Decode a file to columns chunk by chunk; the number of packets."""
    count = 0
    for chunk in scan_packets(io.BytesIO(file), packets):
        for index, plan in enumerate(plans):
            of_type = slice(None) if len(plans) == 1 else chunk.types == index
            offsets, lengths = chunk.offsets[of_type], chunk.lengths[of_type]
            columns = unpack(plan, chunk.data, offsets, lengths).columns
            if plan.packet.unpacker:
                unpack_events(chunk.data, offsets, lengths)
            count += len(columns["sequence_count"])  # type: ignore[arg-type]
    return count


def _decode_ccsdspy(packets: tuple[Packet, ...], file: bytes) -> int:
    import ccsdspy  # noqa: PLC0415
    from ccsdspy.utils import split_by_apid  # noqa: PLC0415

    def definition(packet: Packet) -> ccsdspy.FixedLength | ccsdspy.VariableLength:
        fields = [_their_field(field) for field in packet.fields]
        return ccsdspy.VariableLength(fields) if packet.variable else ccsdspy.FixedLength(fields)

    stream = io.BytesIO(file)
    streams = {packets[0].apids[0]: stream} if len(packets) == 1 else split_by_apid(stream)
    return sum(
        len(definition(packet).load(streams[packet.apids[0]], include_primary_header=True)["CCSDS_SEQUENCE_COUNT"])
        for packet in packets
    )


def _their_field(field: PacketField) -> object:
    import ccsdspy  # noqa: PLC0415

    if field.expand:
        return ccsdspy.PacketArray(name=field.name, data_type="uint", bit_length=field.bits, array_shape="expand")
    if field.shape:
        return ccsdspy.PacketArray(
            name=field.name, data_type="uint", bit_length=field.bits, array_shape=field.shape, array_order="C"
        )
    return ccsdspy.PacketField(name=field.name, data_type="uint", bit_length=field.bits)


def _cpu_seconds(work: Callable[[], int], packets: int) -> float:
    start = time.process_time()
    found = work()
    seconds = time.process_time() - start
    assert found == packets, f"decoded {found} of {packets} packets"
    return seconds


def run(megabytes: float = 50, rounds: int = 5, cases: tuple[str, ...] = tuple(TARGETS)) -> list[Row]:
    """Medians of CPU seconds for each case; ours and theirs take turns on the same input."""
    logging.getLogger("ccsdspy").setLevel(logging.ERROR)
    rows = []
    for case, (packets, file, count) in _generate(megabytes).items():
        if case not in cases:
            continue
        plans = tuple(compile_plan(packet) for packet in packets)
        ours, theirs = [], []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(rounds):
                ours.append(_cpu_seconds(lambda: decode(packets, plans, file), count))  # noqa: B023
                theirs.append(_cpu_seconds(lambda: _decode_ccsdspy(packets, file), count))  # noqa: B023
        medians = statistics.median(ours), statistics.median(theirs)
        rows.append(Row(case, count, len(file) / 1e6, *medians, TARGETS[case]))
    return rows


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| case | packets | MB | swxlake CPU s | ccsdspy CPU s | swxlake MB per CPU s | times faster | target |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.case} | {r.packets} | {r.megabytes:.1f} | {r.ours:.3f} | {r.theirs:.3f} | {r.megabytes / r.ours:.0f} "
        f"| {r.ratio:.1f} | {r.target:.1f} |"
        for r in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=50, help="size of each input")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", nargs="+", choices=list(TARGETS), default=list(TARGETS))
    options = parser.parse_args()
    print(table(run(options.megabytes, options.rounds, tuple(options.cases))))
    print(f"\nCPU time, {options.rounds} interleaved rounds, median; {os.cpu_count()} cores; load {os.getloadavg()}")


if __name__ == "__main__":
    main()
