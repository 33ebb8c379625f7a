# SPDX-License-Identifier: Apache-2.0
"""HERMES at scale: CPU and memory of a night on simulated days, and how fast the real EEA file becomes level 1.

Each measurement is a process of its own; simulating does not count.

    python -m bench.hermes --instrument eea --hours 0.24 2.4 24
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.store import Lake

DAY = date(2026, 8, 1)
STAGES = ("ingest", "transform", "check", "export")
ROWS_OF = {
    "eea": "hermes.eea_l1_counts",
    "nemisis": "hermes.nemisis_l1_mag",
    "spani": "hermes.spani_l1_counts",
    "merit": "hermes.merit_l1_counts",
}
NIGHTS = (("eea", 0.24), ("eea", 2.4), ("eea", 24), ("nemisis", 24), ("spani", 2.4), ("merit", 24))
SAMPLE = "hermes_EEA_l0_2023042-000000_v0.bin"
SAMPLE_SECONDS = 20  # a little more than the sample lasts
PACKET_BYTES = 72


@dataclass(frozen=True)
class Night:
    """One night on an empty lake: CPU seconds of each stage, rows of level 1, peak resident memory."""

    instrument: str
    hours: float
    raw_mb: float
    rows: int
    seconds: dict[str, float]
    memory_mb: float

    @property
    def total(self) -> float:
        """CPU seconds of all stages."""
        return sum(self.seconds.values())


def night(inbox: Path, root: Path) -> dict[str, object]:
    """Run the stages in this process; CPU seconds of each, peak memory, rows of level 1."""
    from exports.export import export_all  # noqa: PLC0415  its import is part of what is measured
    from ingest.intake import take_in  # noqa: PLC0415
    from lake.clock import utc_now  # noqa: PLC0415
    from lake.ledger import new_run_id, read_ops  # noqa: PLC0415
    from quality.checks import check_all  # noqa: PLC0415
    from transforms.engine import build_all  # noqa: PLC0415

    lake = Lake(root, read_definitions(CHECKOUT / "missions"))
    root.mkdir()
    run_id = new_run_id(utc_now())
    stages: dict[str, Callable[[], object]] = {
        "ingest": lambda: take_in(lake, [inbox], run_id, utc_now(), 0),
        "transform": lambda: build_all(lake, run_id),
        "check": lambda: check_all(lake, run_id),
        "export": lambda: export_all(lake, run_id),
    }
    seconds = {name: _cpu(stage) for name, stage in stages.items()}
    runs = read_ops(lake, "runs")
    problems = runs.filter(runs["status"] != "done")["error"].to_list()
    checks = read_ops(lake, "checks")
    problems += checks.filter((checks["severity"] == "fail") & ~checks["passed"])["rule"].to_list()
    assert not problems, problems
    rows = dict(runs.select("table_name", "rows").group_by("table_name").sum().iter_rows())
    return {"seconds": seconds, "memory_mb": peak_mb(), "rows": rows}


def level_1(raw: Path, root: Path) -> dict[str, float]:
    """CPU seconds from an EEA file to level 1, all imports done before."""
    from ingest.intake import take_in  # noqa: PLC0415
    from lake.clock import utc_now  # noqa: PLC0415
    from transforms.engine import build_all  # noqa: PLC0415

    lake = Lake(root, read_definitions(CHECKOUT / "missions"))
    root.mkdir()
    tables = [lake.definitions.tables["hermes.eea_l1_counts"]]

    def both() -> None:
        take_in(lake, [raw], "run-1", utc_now(), 0)
        built = build_all(lake, "run-1", tables)
        assert built.done, built.failed

    return {"seconds": _cpu(both)}


def _cpu(work: Callable[[], object]) -> float:
    before = os.times()
    work()
    after = os.times()
    return sum(after[:4]) - sum(before[:4])


def peak_mb() -> float:
    """Peak resident memory of this process alone."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def _child(*arguments: str) -> dict[str, object]:
    command = [sys.executable, "-m", "bench.hermes", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=CHECKOUT)
    result: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return result


def run_night(instrument: str, hours: float) -> Night:
    """A night on a simulated stretch of one instrument."""
    with tempfile.TemporaryDirectory() as folder:
        inbox, root = Path(folder) / "drop", Path(folder) / "lake"
        swxlake = str(Path(sys.executable).with_name("swxlake"))
        what = ["simulate", f"hermes/{instrument}", "--day", str(DAY), "--hours", str(hours), "--out", str(inbox)]
        subprocess.run([swxlake, *what], check=True, capture_output=True, cwd=CHECKOUT)
        raw = sum(path.stat().st_size for path in inbox.glob("*.bin"))
        found = _child("--night", str(inbox), str(root))
    rows, seconds, memory = found["rows"], found["seconds"], found["memory_mb"]
    assert isinstance(rows, dict)
    assert isinstance(seconds, dict)
    assert isinstance(memory, float)
    return Night(instrument, hours, raw / 1e6, int(rows[ROWS_OF[instrument]]), seconds, memory)


def repeated(sample: bytes, copies: int) -> bytes:
    """The sample so many times, each copy later by as many seconds and packets as the sample lasts.

    Time and sequence count stand outside of what the checksum covers.
    """
    packets = np.frombuffer(sample, np.uint8).reshape(-1, PACKET_BYTES)
    words = packets[:, 2:10].copy().view(">u2")  # sequence, length, and the two words of the seconds
    seconds = words[:, 2].astype(np.int64) << 16 | words[:, 3]
    parts = []
    for copy in range(copies):
        part, later = packets.copy(), seconds + copy * SAMPLE_SECONDS
        count = (np.arange(len(packets)) + copy * len(packets) + (int(words[0, 0]) & 0x3FFF)) & 0x3FFF
        part[:, 2:4] = (0xC000 | count).astype(">u2").view(np.uint8).reshape(-1, 2)
        part[:, 6:10] = later.astype(">u4").view(np.uint8).reshape(-1, 4)
        parts.append(part.tobytes())
    return b"".join(parts)


def run_level_1(copies: int = 228) -> tuple[float, float] | None:
    """MB and CPU seconds of the real EEA file, repeated, from raw to level 1; None where the file is not there."""
    default = CHECKOUT.parent / "shared" / "telemetry"
    sample = Path(os.environ.get("SWXLAKE_TELEMETRY", default)) / "hermes" / "eea" / SAMPLE
    if not sample.exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / SAMPLE
        raw.write_bytes(repeated(sample.read_bytes(), copies))
        found = _child("--level-1", str(raw), str(Path(folder) / "lake"))
        seconds = found["seconds"]
        assert isinstance(seconds, float)
        return raw.stat().st_size / 1e6, seconds


def table(nights: list[Night]) -> str:
    """The nights as a Markdown table."""
    heads = (
        "instrument",
        "hours",
        "raw MB",
        "level 1 rows",
        *STAGES,
        "CPU s",
        "ms per row",
        "ms per further row",
        "peak MB",
    )
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    shorter: dict[str, Night] = {}
    for n in nights:
        stages = " | ".join(f"{n.seconds[stage]:.1f}" for stage in STAGES)
        lines.append(
            f"| {n.instrument} | {n.hours:g} | {n.raw_mb:.0f} | {n.rows:,} | {stages} | {n.total:.0f} "
            f"| {1000 * n.total / n.rows:.2f} | {_further(shorter.get(n.instrument), n)} | {n.memory_mb:.0f} |"
        )
        shorter[n.instrument] = n
    return "\n".join(lines)


def _further(shorter: Night | None, n: Night) -> str:
    """What each row beyond those of the shorter night cost: without the start of the programs."""
    return "-" if shorter is None else f"{1000 * (n.total - shorter.total) / (n.rows - shorter.rows):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instrument", default="eea", choices=sorted(ROWS_OF))
    parser.add_argument("--hours", type=float, nargs="+", default=[0.24, 2.4, 24])
    parser.add_argument("--night", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--level-1", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.night:
        print(json.dumps(night(Path(options.night[0]), Path(options.night[1]))))
    elif options.level_1:
        print(json.dumps(level_1(Path(options.level_1[0]), Path(options.level_1[1]))))
    else:
        print(table([run_night(options.instrument, hours) for hours in options.hours]))


if __name__ == "__main__":
    main()
