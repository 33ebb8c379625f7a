# SPDX-License-Identifier: Apache-2.0
"""What checks and anomalies cost: CPU time of each stage of a night over many rows, in one process.

python -m bench.quality --rows 10000000 --rounds 3

The telemetry is a day of photon packets as bench.ingest writes them, or a simulated day of all of PADRE. Each round is
a night on an empty lake in a process of its own, from the first import on: what Great Expectations costs is in. A
second night brings the day after it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from bench.ingest import EVENTS, write_photons
from lake.config import CHECKOUT

ROWS = 10_000_000
PACKET_BYTES = 22 + 6 * EVENTS
TARGET = 0.15  # of the CPU time of the rest of the night
STAGES = ("start", "ingest", "transform", "check", "watch", "export")
QUALITY = ("check", "watch")
FIRST = date(2026, 8, 1)
NIGHTS = ("first night", "night after it")
HEAD = ("night", "table-days", *STAGES, "checks and anomalies over the rest")
TABLE = f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}\n"


@dataclass(frozen=True)
class Row:
    """CPU seconds of the stages of a night, and how many table-days were judged."""

    night: str
    table_days: int
    seconds: dict[str, float]

    @property
    def ratio(self) -> float:
        """Checks and anomalies over all other stages."""
        rest = sum(seconds for stage, seconds in self.seconds.items() if stage not in QUALITY)
        return sum(self.seconds[stage] for stage in QUALITY) / rest


def night(inbox: Path, root: Path) -> dict[str, float]:
    """CPU seconds of each stage of a night in this process, and the table-days judged."""
    began = time.process_time()
    from lake.config import Settings  # noqa: PLC0415  its import is part of the night
    from lake.definition_files import read_definitions  # noqa: PLC0415
    from lake.store import Lake  # noqa: PLC0415
    from quality.anomalies.watch import watch_all  # noqa: PLC0415
    from quality.checks import check_all  # noqa: PLC0415
    from swxlake.night import Selection, export, ingest, transform  # noqa: PLC0415

    lake, settings = Lake(root, read_definitions(CHECKOUT / "missions")), Settings(root=root, settle_seconds=0)
    found = {"start": time.process_time() - began}
    stages: dict[str, Callable[[], object]] = {
        "ingest": lambda: ingest(lake, settings, [inbox]),
        "transform": lambda: transform(lake, Selection()),
        "check": lambda: found.update(table_days=check_all(lake).table_days),
        "watch": lambda: watch_all(lake),
        "export": lambda: export(lake, Selection()),
    }
    for stage, work in stages.items():
        before = time.process_time()
        work()
        found[stage] = time.process_time() - before
    return found


def photons(folder: Path, day: date, rows: int) -> None:
    """A file of as many photon events of one day."""
    folder.mkdir(exist_ok=True)
    path = folder / f"padreMDA0_{day:%y%m%d}000000.DAT"
    write_photons(path, rows / EVENTS * PACKET_BYTES / 1e6, day)


def simulated(folder: Path, day: date) -> None:
    """A simulated day of PADRE."""
    command = [sys.executable, "-m", "swxlake.cli", "simulate", "padre", "--day", str(day), "--out", str(folder)]
    subprocess.run(command, check=True, capture_output=True, cwd=CHECKOUT)


def run(rows: int = ROWS, rounds: int = 3) -> list[Row]:
    """Medians, stage by stage, of two nights of photons and of two of simulated days of PADRE."""
    makers: dict[str, Callable[[Path, date], None]] = {
        f"{rows / 1e6:g} million photon events": lambda folder, day: photons(folder, day, rows),
        "a simulated day of PADRE": simulated,
    }
    with tempfile.TemporaryDirectory() as folder:
        found = [_measured(Path(folder) / str(place), *maker, rounds) for place, maker in enumerate(makers.items())]
    return [row for nights in found for row in nights]


def _measured(folder: Path, name: str, make: Callable[[Path, date], None], rounds: int) -> list[Row]:
    """What the nights cost after which one day came, and another one."""
    folder.mkdir()
    found: list[list[dict[str, float]]] = []
    for place, _ in enumerate(NIGHTS):
        make(folder / f"drop{place}", FIRST + timedelta(days=place))
    for number in range(rounds):
        lake = folder / f"lake{number}"
        found.append([_child(folder / f"drop{place}", lake) for place, _ in enumerate(NIGHTS)])
        shutil.rmtree(lake)
    return [_median(f"{name}, {night}", rounds) for night, rounds in zip(NIGHTS, zip(*found, strict=True), strict=True)]


def _median(name: str, rounds: Sequence[dict[str, float]]) -> Row:
    seconds = {stage: statistics.median(one[stage] for one in rounds) for stage in STAGES}
    return Row(name, int(rounds[0]["table_days"]), seconds)


def _child(inbox: Path, root: Path) -> dict[str, float]:
    root.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "bench.quality", "--night", str(inbox), str(root)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def table(rows: Sequence[Row]) -> str:
    """The rows as a table in Markdown."""
    return TABLE + "\n".join(
        f"| {row.night} | {row.table_days} | {' | '.join(f'{row.seconds[s]:.1f}' for s in STAGES)} | {row.ratio:.1%} |"
        for row in rows
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--night", nargs=2, metavar=("INBOX", "ROOT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.night:
        print(json.dumps(night(Path(options.night[0]), Path(options.night[1]))))
    else:
        print(table(run(options.rows, options.rounds)))


if __name__ == "__main__":
    main()
