# SPDX-License-Identifier: Apache-2.0
"""The same day of telemetry in many files, decoded and transformed serially, by two processes, and on Dask.

python -m bench.workers --rounds 3 --hours 2

A simulated day of PADRE and some hours of HERMES beside it. Each round works on an empty lake in a process of its own;
its seconds hold neither the start of Python nor that of the Dask cluster, but that of the processes. The lakes are
compared.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.torture.state import unlike
from lake.config import CHECKOUT, read_settings
from lake.definition_files import read_definitions
from lake.errors import StorageError
from lake.store import Lake

DAY = "2026-08-01"
SWXLAKE = str(Path(sys.executable).with_name("swxlake"))
HANDS = ("serial", "2 processes", "Dask, 2 workers")
TABLE = """| hands | decode, s | transform, s | together, s | CPU s | times faster |
|---|---|---|---|---|---|
"""
CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50)
    print(cluster.scheduler_address, flush=True)
    sys.stdin.read()
    cluster.close()
"""
ONE_THREAD = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(CHECKOUT)}


@dataclass(frozen=True)
class Row:
    """Wall seconds of the two stages and CPU seconds, user and system, of all processes."""

    hands: str
    decode: float
    transform: float
    cpu: float

    @property
    def together(self) -> float:
        """Wall seconds of both stages."""
        return self.decode + self.transform


def run(hours: float = 2, rounds: int = 3) -> list[Row]:
    """Medians for all hands, on one simulated day; raises StorageError if their lakes differ."""
    with tempfile.TemporaryDirectory() as folder:
        inbox = Path(folder) / "drop"
        for what in (["padre"], ["hermes", "--hours", str(hours)]):
            command = [SWXLAKE, "simulate", *what, "--day", DAY, "--out", str(inbox)]
            subprocess.run(command, check=True, capture_output=True, cwd=CHECKOUT)
        found = [_round(Path(folder), number) for number in range(rounds)]
    return [_median([rows[place] for rows in found]) for place in range(len(HANDS))]


def _round(folder: Path, number: int) -> list[Row]:
    """One row for each of the hands, in turn; the lakes of the first round are compared."""
    roots = {hands: folder / f"lake-{place}" for place, hands in enumerate(HANDS)}
    rows = [_measure(hands, folder / "drop", root) for hands, root in roots.items()]
    lakes = [_lake(root) for root in roots.values()]
    for lake in lakes[1:] if number == 0 else ():
        difference = unlike(lakes[0], lake)
        if difference:
            raise StorageError(f"{lake.root}: differs from {lakes[0].root}, {difference}.")
    for root in roots.values():
        shutil.rmtree(root)
    return rows


def _median(rows: Sequence[Row]) -> Row:
    """The round in the middle, by its seconds."""
    return sorted(rows, key=lambda row: row.together)[len(rows) // 2]


def _measure(hands: str, inbox: Path, root: Path) -> Row:
    """Both stages in a process of their own."""
    with _cluster() if hands == "Dask, 2 workers" else _nobody() as address:
        before = os.times()
        command = [sys.executable, "-m", "bench.workers", "--work", hands, str(inbox), str(root), address]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    after = os.times()  # the cluster has ended, so its time is in
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    seconds = json.loads(done.stdout)
    return Row(hands, seconds["decode"], seconds["transform"], cpu)


@contextmanager
def _nobody() -> Iterator[str]:
    yield ""


@contextmanager
def _cluster() -> Iterator[str]:
    """The address of a Dask scheduler with two worker processes of one thread."""
    command = [sys.executable, "-c", CLUSTER]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, env=os.environ | ONE_THREAD, **pipes) as process:
        yield process.stdout.readline().strip() if process.stdout else ""
        process.communicate()


def _lake(root: Path) -> Lake:
    return Lake(root, read_definitions(read_settings().missions))


def work(hands: str, inbox: Path, root: Path, address: str) -> dict[str, float]:
    """Wall seconds of decoding and transforming an inbox into an empty lake."""
    from lake.parallel import executor  # noqa: PLC0415
    from swxlake.night import Crew, Selection, ingest, transform  # noqa: PLC0415

    lake, settings = _lake(root), read_settings()
    with executor(2 if hands == "2 processes" else 1, address or None) as pool:
        started = time.perf_counter()
        ingest(lake, settings, [inbox], Crew(pool))
        decoded = time.perf_counter()
        transform(lake, Selection(), Crew(pool))
        return {"decode": decoded - started, "transform": time.perf_counter() - decoded}


def table(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown."""
    serial = rows[0].together
    return TABLE + "\n".join(
        f"| {row.hands} | {row.decode:.1f} | {row.transform:.1f} | {row.together:.1f} | {row.cpu:.1f} |"
        f" {serial / row.together:.2f} |"
        for row in rows
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hours", type=float, default=2)
    parser.add_argument("--work", nargs=4, metavar=("HANDS", "INBOX", "ROOT", "ADDRESS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        hands, inbox, root, address = options.work
        print(json.dumps(work(hands, Path(inbox), Path(root), address)))
    else:
        print(table(run(options.hours, options.rounds)))


if __name__ == "__main__":
    main()
