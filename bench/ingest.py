# SPDX-License-Identifier: Apache-2.0
"""Raw photon file to committed Delta table, against pyarrow writing the same columns: CPU time and peak memory.

Each measurement is a process of its own. The yardstick reads the committed rows into memory first, and its CPU time is
that of writing them to Parquet with the same codec and encodings; nothing is decoded and nothing is committed.

    python -m bench.ingest --megabytes 100 --rounds 5
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from lake.clock import met_from_tt2000, tt2000_of_day
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.files import sha256_of
from lake.store import Lake, RawArchive, Receipt

DAY = date(2026, 8, 1)
EVENTS = 190  # events of a full packet without baseline
CHANNELS = [26, 8, 18, 0, 21, 3]
LARGEST_YARDSTICK_MB = 200


@dataclass(frozen=True)
class Row:
    """One measurement: decode to Delta and yardstick in CPU seconds, peak resident memory of decoding in MB."""

    megabytes: float
    rows: int
    ours: float
    yardstick: float | None
    memory_mb: float

    @property
    def ratio(self) -> float | None:
        return self.ours / self.yardstick if self.yardstick else None


def write_photons(path: Path, megabytes: float, day: date = DAY) -> None:
    """A file of full photon packets of one day, times rising, pixels and pulse heights random."""
    rng = np.random.default_rng(1)
    definitions = read_definitions(CHECKOUT / "missions")
    clock = definitions.mission("padre").instrument("meddea").clock
    start = int(met_from_tt2000(clock, tt2000_of_day(day)))
    size = 22 + 6 * EVENTS
    packets = int(megabytes * 1e6 / size)
    step = 86_000_000_000_000 // packets
    with path.open("wb") as file:
        for first in range(0, packets, 4000):
            count = np.arange(first, min(first + 4000, packets))
            file.write(_packets(count, start + count * step, rng, size).tobytes())


def _packets(count: np.ndarray, met_ns: np.ndarray, rng: np.random.Generator, size: int) -> np.ndarray:
    words = np.zeros((len(count), size // 2), ">u2")
    words[:, 0], words[:, 1], words[:, 2] = 160, 0xC000 | count & 0x3FFF, size - 7
    seconds, ticks = met_ns // 1_000_000_000, met_ns % 1_000_000_000 // 50
    words[:, 3], words[:, 4], words[:, 5], words[:, 6] = seconds >> 16, seconds & 0xFFFF, ticks >> 16, ticks & 0xFFFF
    words[:, 7], words[:, 8] = 39_062, 38_000
    words[:, 11::3] = np.sort(rng.integers(0, 39_062, (len(count), EVENTS)), axis=1)
    detectors, channels = rng.integers(0, 4, (len(count), EVENTS)), rng.choice(CHANNELS, (len(count), EVENTS))
    words[:, 12::3] = detectors << 5 | channels
    words[:, 13::3] = rng.poisson(900, (len(count), EVENTS))
    words[:, 10] = np.bitwise_xor.reduce(words, axis=1)
    return words


def decode(raw: Path, root: Path) -> dict[str, float]:
    """Decode a raw file into a lake; CPU seconds, rows and peak memory of this process."""
    from ingest.commit import Verdicts, commit_file  # noqa: PLC0415  its import is part of this process's memory
    from ingest.identities import Received  # noqa: PLC0415
    from ingest.l0 import decode_file  # noqa: PLC0415

    lake = Lake(root, read_definitions(CHECKOUT / "missions"))
    arrived = "2026-08-02T00:00:00+00:00"
    receipt = Receipt(raw.name, sha256_of(raw), raw.stat().st_size, arrived, "", "padre", "meddea", str(DAY))
    target = root / RawArchive(lake).bytes_key(receipt)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(raw)
    began = time.process_time()
    decoded = decode_file(lake, receipt)
    commit_file(lake, decoded, Received(lake), Verdicts(lake, frozenset()))
    seconds = time.process_time() - began
    assert decoded.bytes_decoded == receipt.bytes, "every byte is decoded"
    return {"seconds": seconds, "rows": sum(decoded.rows.values()), "memory_mb": _peak_mb()}


def yardstick(root: Path) -> dict[str, float]:
    """CPU seconds of writing the committed rows of the photon tables with pyarrow."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    from lake.day_files import parquet_options  # noqa: PLC0415
    from lake.reading import data_files, open_table  # noqa: PLC0415

    lake = Lake(root, read_definitions(CHECKOUT / "missions"))
    seconds = 0.0
    for name in ("padre.meddea_l0_photon", "padre.meddea_l0_photon_packet"):
        table = lake.definitions.tables[name]
        delta = open_table(lake, table)
        assert delta is not None
        for number, file in enumerate(data_files(delta)):
            rows = pq.ParquetFile(file).read(columns=[c.name for c in table.columns if c.name != "day"])
            rows = rows.combine_chunks()
            rows = rows.set_column(3, "file_sha256", rows["file_sha256"].combine_chunks().dictionary_encode())
            began = time.process_time()
            path = root / f"yardstick-{number}.parquet"
            with pq.ParquetWriter(path, rows.schema, **parquet_options(table)) as writer:
                writer.write_table(rows, row_group_size=1 << 20)
            seconds += time.process_time() - began
    return {"seconds": seconds}


def _peak_mb() -> float:
    """Peak resident memory of this process alone; getrusage would count that of the process that started it."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def _child(*arguments: str) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.ingest", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=CHECKOUT)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def run(megabytes: float = 100, rounds: int = 5) -> Row:
    """Medians over interleaved rounds. The yardstick holds all rows in memory, so a large file goes without it."""
    ours, theirs, memory = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "padreMDA0_260801000000.DAT"
        write_photons(raw, megabytes)
        for number in range(rounds):
            root = str(Path(folder) / f"lake{number}")
            decoded = _child("--decode", str(raw), root)
            ours.append(decoded["seconds"])
            memory.append(decoded["memory_mb"])
            if megabytes <= LARGEST_YARDSTICK_MB:
                theirs.append(_child("--yardstick", root)["seconds"])
    yardstick = statistics.median(theirs) if theirs else None
    return Row(megabytes, int(decoded["rows"]), statistics.median(ours), yardstick, max(memory))


def table(rows: list[Row]) -> str:
    """The measurements as a Markdown table."""
    lines = [
        "| raw file | rows | to Delta, CPU s | pyarrow alone, CPU s | ratio | peak memory |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.megabytes:.0f} MB | {r.rows:,} | {r.ours:.2f} | {_number(r.yardstick)} | {_number(r.ratio)} "
        f"| {r.memory_mb:.0f} MB |"
        for r in rows
    ]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, nargs="+", default=[100])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--decode", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--yardstick", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.decode:
        print(json.dumps(decode(Path(options.decode[0]), Path(options.decode[1]))))
    elif options.yardstick:
        print(json.dumps(yardstick(Path(options.yardstick))))
    else:
        print(table([run(size, options.rounds if size <= LARGEST_YARDSTICK_MB else 1) for size in options.megabytes]))


if __name__ == "__main__":
    main()
