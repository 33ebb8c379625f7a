# SPDX-License-Identifier: Apache-2.0
"""CPU time of a night with nothing new, on lakes of simulated telemetry; processes of their own, median of rounds.

python -m bench.quiet_night --rounds 5
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lake.config import CHECKOUT

PADRE, HERMES = ("padre/meddea",), ("hermes", "--hours", "0.5")
LAKES = {"a day of PADRE": (PADRE,), "the demo": (PADRE, HERMES)}
SWXLAKE = str(Path(sys.executable).with_name("swxlake"))


def _night(root: Path, inbox: Path) -> float:
    """CPU seconds of one night, user and system, children's included."""
    command = [SWXLAKE, "night", "--inbox", str(inbox), "--root", str(root)]
    before = os.times()
    subprocess.run(command, check=True, capture_output=True, cwd=CHECKOUT)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def run(simulations: Sequence[Sequence[str]], rounds: int = 5) -> tuple[float, float]:
    """CPU seconds of the first night on simulated telemetry, and the median of the nights after it."""
    with tempfile.TemporaryDirectory() as folder:
        inbox, root = Path(folder) / "drop", Path(folder) / "lake"
        for what in simulations:
            command = [SWXLAKE, "simulate", *what, "--day", "2026-08-01", "--out", str(inbox)]
            subprocess.run(command, check=True, capture_output=True, cwd=CHECKOUT)
        first = _night(root, inbox)
        return first, statistics.median(_night(root, inbox) for _ in range(rounds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for what, simulations in LAKES.items():
        first, later = run(simulations, options.rounds)
        print(f"{what}: first night {first:.1f} CPU s, a night with nothing new {later:.2f} CPU s")


if __name__ == "__main__":
    main()
