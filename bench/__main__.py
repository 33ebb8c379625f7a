# SPDX-License-Identifier: Apache-2.0
"""All benchmarks in one run, printed and written to docs/benchmarks.md: python -m bench."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

from bench import (
    anomalies,
    cdf,
    decode,
    envelopes,
    forward,
    hapi,
    hermes,
    ingest,
    landing,
    planning,
    quality,
    quiet_night,
    site,
    workers,
    xtce,
)
from lake.config import CHECKOUT

PAGE = CHECKOUT / "docs" / "benchmarks.md"
SEEDS = range(11, 15)  # those of docs/anomalies.md
PACKAGES = ("numpy", "pyarrow", "polars", "deltalake", "ccsdspy", "space-packet-parser")

TEXT = """# Benchmarks

`make bench` measures and writes this page. CPU time (user and system); the peers run on the same input in the same run,
round by round in turn, and each figure is a median. Compare ratios: seconds depend on the machine.

Measured with Python {python}, {packages}, on {cores} cores ({machine}).

## Decoding packets, against ccsdspy

Scan, checksums where the definition has them, and unpacking to final columns. ccsdspy checks no checksums.

{decode}

## Decoding packets by an XTCE file, against space_packet_parser

From the file to columns: 34 numbers of 12 bits behind a header of 120, and 200 numbers of 1 to 32 bits. Both have read
the definition before; space_packet_parser gives Python objects.

{xtce}

## Raw photon file to committed Delta table, against pyarrow alone

"pyarrow alone" writes the same columns, which it finds in memory, with the same codec and encodings. Target: at most
twice its CPU time, at most 300 MB, and at most 20 % more memory for a file ten times as large.

{ingest}

Memory grows by {growth:.0%} from the first file to the second.

## A night with nothing new

On lakes that hold a simulated day of PADRE, and the demo's half hour of HERMES beside it. Target: at most 3 s.

| lake | first night, CPU s | second night, CPU s |
|---|---|---|
{quiet}

## What checks and anomalies cost

CPU seconds of the stages of a night in one process, on an empty lake, and of the night after it, which brings another
day. The import of Great Expectations is the fixed part of `check`. Target: checks and anomalies at most 15 % of all
other stages.

{quality}

## Anomalies found, of labelled faults

Simulated housekeeping of {channels} channels with faults of known kind, time and size, and days without any; {seeds}
seeds. An episode is what would be one alert.

{anomalies}

{found}

## Planning when nothing changed, and when one late file came

Lakes of two missions with all their tables. Target: below 2 s for a year, and nearly the same for a month. The whole
command is `swxlake transform --dry-run`.

{planning}

## The same night with more hands

A simulated day of PADRE in 25 files and two hours of HERMES beside it: wall time of decoding and transforming, equal
lakes. Target: two processes at least 1.6 times as fast as one, on two cores that nobody else uses.

{workers}

## HERMES: nights on simulated stretches

From raw files to all levels and CDF files, on an empty lake, CPU time. A night begins with the start of its programs,
some six seconds; what each further row of level 1 costs should not grow with the length of the stretch. Targets: a day
of EEA at most 600 CPU s and 1,500 MB, a day of NEMISIS at most 60 CPU s.

{hermes}

## Writing CDF files, against spacepy.pycdf, cdflib and pycdfpp

Days of [N, 41, 4, 32] counts (Poisson) at gzip 1, each writer in a process of its own; `write_product` starts from
Arrow batches and checks, reads back and hashes the file as well. Targets: CPU at most 1.1 times that of spacepy.pycdf,
peak memory at most 100 MB above the bare interpreter, also for a day of 2 GB.

{cdf}

## Landing files, against cp and sha256sum

Wall clock; `cp` and `sha256sum` wait for no disk, landing does, and writes receipts as well. Target: a ratio of at
least 0.5.

{landing}

## Packets to TCP subscribers

On loopback, packets landing at 200 a second, from the moment a packet is due to its arrival at the client, beside other
clients. Target: p99 below 50 ms beside a client that reads a byte a second.

{forward}

## A zoom over a channel of 100 million rows

A component of the field at 10 Hz over 116 days, about 2,000 points asked for: CPU time of the first question of a
service and of later ones, against the same buckets made by a scan of the rows by DuckDB. Target: below 300 ms.

{envelopes}

## The status site of two missions over a year

Pages are files; only those whose facts changed are written. Targets: first build below 60 s of CPU, front page below
300 kB.

{site}

## A day of 10 Hz vectors by HAPI

The server in a process of its own, against rows made one by one and against polars' own writer with the day in memory.
Targets: 50 MB of binary per CPU s, below 200 MB of memory.

{hapi}

## The real EEA file to level 1

{level_1}
"""

LEVEL_1 = """The public ground-test file, repeated with running time and sequence counts to {megabytes:.0f} MB, from
raw bytes to `hermes.eea_l1_counts`: {seconds:.1f} CPU s, {speed:.1f} MB per CPU s. The reference implementation was
measured at 0.19 to 0.26 MB per CPU s on the file itself, without its imports (it writes no tables and keeps no level
0): {low:.0f} to {high:.0f} times."""


def _level_1() -> str:
    found = hermes.run_level_1()
    if found is None:
        return "Not measured: the telemetry was not there."
    megabytes, seconds = found
    speed = megabytes / seconds
    return LEVEL_1.format(megabytes=megabytes, seconds=seconds, speed=speed, low=speed / 0.26, high=speed / 0.19)


def main() -> None:
    decoded, by_xtce = decode.run(), xtce.run()
    rows = [ingest.run(100), ingest.run(1000, rounds=1)]
    quiet = [(what, *quiet_night.run(simulations)) for what, simulations in quiet_night.LAKES.items()]
    nights = [hermes.run_night(instrument, hours) for instrument, hours in hermes.NIGHTS]
    judged = [anomalies.run(seed) for seed in SEEDS]
    text = TEXT.format(
        python=platform.python_version(),
        packages=", ".join(f"{name} {version(name)}" for name in PACKAGES),
        cores=os.cpu_count(),
        machine=platform.machine(),
        decode=decode.table(decoded),
        xtce=xtce.table(by_xtce),
        ingest=ingest.table(rows),
        growth=rows[1].memory_mb / rows[0].memory_mb - 1,
        quiet="\n".join(f"| {what} | {first:.0f} | {later:.2f} |" for what, first, later in quiet),
        quality=quality.table(quality.run()),
        channels=anomalies.CHANNELS,
        seeds=len(SEEDS),
        anomalies=anomalies.table(judged),
        found="\n".join(f"* {line}" for line in anomalies.summary(judged).splitlines()),
        planning=planning.table([planning.run(days) for days in (30, 90, 365)]),
        workers=workers.table(workers.run()),
        hermes=hermes.table(nights),
        cdf=cdf.table(cdf.run() + cdf.run_large()),
        landing=landing.table()[0],
        forward=forward.table(*forward.run()),
        envelopes=envelopes.table(*envelopes.run()),
        site=site.table(site.run(365)),
        hapi=hapi.table(hapi.measure(3)),
        level_1=_level_1(),
    )
    PAGE.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
