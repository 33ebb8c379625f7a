# SPDX-License-Identifier: Apache-2.0
"""All benchmarks in one run, printed and written to docs/benchmarks.md: python -m bench."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

from bench import decode, ingest, quiet_night
from lake.config import CHECKOUT

PAGE = CHECKOUT / "docs" / "benchmarks.md"
PACKAGES = ("numpy", "pyarrow", "polars", "deltalake", "ccsdspy")

TEXT = """# Benchmarks

`make bench` measures and writes this page. CPU time (user and system); the peers run on the same input in the same run,
round by round in turn, and each figure is a median. Compare ratios: seconds depend on the machine.

Measured with Python {python}, {packages}, on {cores} cores ({machine}).

## Decoding packets, against ccsdspy

Scan, checksums where the definition has them, and unpacking to final columns. ccsdspy checks no checksums.

{decode}

## Raw photon file to committed Delta table, against pyarrow alone

"pyarrow alone" writes the same columns, which it finds in memory, with the same codec and encodings. Target: at most
twice its CPU time, at most 300 MB, and at most 20 % more memory for a file ten times as large.

{ingest}

Memory grows by {growth:.0%} from the first file to the second.

## A night with nothing new

On a lake that holds one simulated day ({first:.0f} CPU s for its first night). Target: at most 3 s.

| | CPU s |
|---|---|
| second night | {later:.2f} |
"""


def main() -> None:
    decoded = decode.run()
    rows = [ingest.run(100), ingest.run(1000, rounds=1)]
    first, later = quiet_night.run()
    text = TEXT.format(
        python=platform.python_version(),
        packages=", ".join(f"{name} {version(name)}" for name in PACKAGES),
        cores=os.cpu_count(),
        machine=platform.machine(),
        decode=decode.table(decoded),
        ingest=ingest.table(rows),
        growth=rows[1].memory_mb / rows[0].memory_mb - 1,
        first=first,
        later=later,
    )
    PAGE.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
