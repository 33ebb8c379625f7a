# SPDX-License-Identifier: Apache-2.0
"""Decoding by an XTCE file against space_packet_parser: the same packets, CPU time, interleaved rounds, medians.

Ours is scan and unpack to final columns; theirs is its packet generator and `parse_bytes` of each packet. Both have
read the definition before.

    python -m bench.xtce --megabytes 2 --rounds 5
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.decode import HOUSEKEEPING, PACKED, Row, decode, random_packets
from ingest.unpack import compile_plan
from lake.packet_definitions import Packet
from lake.xtce.reading import read_xtce
from tests.xtce import of_fields

TARGET = 100.0
CASES = {"packed": PACKED, "housekeeping": HOUSEKEEPING}
REPEATS = 20  # ours is too short to measure once


def _xtce(packet: Packet, folder: Path) -> Path:
    path = folder / f"{packet.name}.xml"
    path.write_text(of_fields(packet.fields, packet.apids[0]))
    return path


def _decode_theirs(definition: object, file: bytes) -> int:
    from space_packet_parser.generators import ccsds_generator  # type: ignore[import-untyped]  # noqa: PLC0415

    packets = ccsds_generator(io.BytesIO(file))
    return sum(len(definition.parse_bytes(packet)) > 0 for packet in packets)  # type: ignore[attr-defined]


def _cpu_seconds(work: Callable[[], int], packets: int, repeats: int) -> float:
    start = time.process_time()
    for _ in range(repeats):
        found = work()
        assert found == packets, f"decoded {found} of {packets} packets"
    return (time.process_time() - start) / repeats


def run(megabytes: float = 2, rounds: int = 5) -> list[Row]:
    """Medians of CPU seconds for each case; ours and theirs take turns on the same input."""
    from space_packet_parser.xtce import definitions  # type: ignore[import-untyped]  # noqa: PLC0415

    rng, rows = np.random.default_rng(7), []
    for case, packet in CASES.items():
        file = b"".join(random_packets(packet, int(megabytes * 1e6), rng))
        count = len(file) // packet.min_bytes
        with tempfile.TemporaryDirectory() as folder:
            path = _xtce(packet, Path(folder))
            packets, theirs = read_xtce(path, {}, path).packets, definitions.XtcePacketDefinition.from_xtce(path)
        plans = tuple(compile_plan(p) for p in packets)
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            times[0].append(_cpu_seconds(lambda: decode(packets, plans, file), count, REPEATS))  # noqa: B023
            times[1].append(_cpu_seconds(lambda: _decode_theirs(theirs, file), count, 1))  # noqa: B023
        rows.append(Row(case, count, len(file) / 1e6, statistics.median(times[0]), statistics.median(times[1]), TARGET))
    return rows


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| case | packets | MB | swxlake CPU s | space_packet_parser CPU s | swxlake MB per CPU s "
        "| times faster | target |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.case} | {r.packets} | {r.megabytes:.1f} | {r.ours:.4f} | {r.theirs:.2f} | {r.megabytes / r.ours:.0f} "
        f"| {r.ratio:.0f} | {r.target:.0f} |"
        for r in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=2, help="size of each input")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(table(run(options.megabytes, options.rounds)))
    print(f"\nCPU time, {options.rounds} interleaved rounds, median; {os.cpu_count()} cores; load {os.getloadavg()}")


if __name__ == "__main__":
    main()
