# SPDX-License-Identifier: Apache-2.0
"""Kill, damage, race and starve the lake; print what held and what did not: python -m bench.torture.

--short takes minutes instead of hours. --write records the figures in docs/torture.md. The exit code is 1 if a target
is missed.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version

from bench.torture.figures import Figure, table
from lake.config import CHECKOUT

PAGE = CHECKOUT / "docs" / "torture.md"
TESTS = ("damage", "kills", "histories", "failing", "disks", "delivery", "receiving", "s3", "costs")
PACKAGES = ("deltalake", "pyarrow", "polars", "duckdb")

TEXT = """# Torture

`make torture` does this and writes this page (`ARGS=--write`); a short form is part of the tests, in `tests/torture`.
What each row does is told at the top of its module in `bench/torture`. The seed was {seed}; another one
(`ARGS="--seed 2"`) damages, kills and shuffles elsewhere.

Measured with Python {python}, {packages}, on {cores} cores ({machine}), in {minutes:.0f} minutes.

{table}

## More closely

{details}
"""


def _run(name: str) -> Callable[[bool, int], list[Figure]]:
    run: Callable[[bool, int], list[Figure]] = import_module(f"bench.torture.{name}").run
    return run


def _details(figures: list[Figure]) -> str:
    told = [figure for figure in figures if any(figure.details)]
    return "\n\n".join(f"{f.test}:\n\n" + "\n".join(f"* {line}" for line in f.details if line) for f in told)


def _page(figures: list[Figure], seed: int, seconds: float) -> str:
    return TEXT.format(
        seed=seed,
        python=platform.python_version(),
        packages=", ".join(f"{name} {version(name)}" for name in PACKAGES),
        cores=os.cpu_count(),
        machine=platform.machine(),
        minutes=seconds / 60,
        table=table(figures),
        details=_details(figures) or "Nothing fell short.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="few of everything, in minutes")
    parser.add_argument("--only", action="append", choices=TESTS, help="only this test; may be given several times")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="record the figures in docs/torture.md")
    options = parser.parse_args()
    started, figures = time.monotonic(), list[Figure]()
    for name in options.only or TESTS:
        begun = time.monotonic()
        figures += _run(name)(options.short, options.seed)
        print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    print(table(figures), f"\n{_details(figures)}")
    if options.write:
        PAGE.write_text(_page(figures, options.seed, time.monotonic() - started))
    sys.exit(not all(figure.met for figure in figures))


if __name__ == "__main__":
    main()
