# SPDX-License-Identifier: Apache-2.0
"""A day of vectors at 10 Hz by HAPI: MB per second of the server's CPU, its memory, and the plain ways beside it.

The server is `swxlake hapi serve` in a process of its own, its CPU time and peak memory are the kernel's; the client
reads over loopback and keeps nothing. The plain ways format the same day in memory: one record after the other in
Python (a tenth of the day), and for CSV polars' own `write_csv` with `strftime`; neither has a server around it.

    python -m bench.hapi --rounds 3

Memory is that of the whole process as the kernel counts it (VmHWM), with the pages of libraries that it shares with
other processes; what a bare interpreter takes, and one with the libraries alone, is told below the table.

Targets: 50 MB of binary per second of CPU, 200 MB of memory for the whole process. The libraries alone take most of
that, so that the exit code is 1 only if a stream adds more than 50 MB to a server that has answered once.
"""

from __future__ import annotations

import argparse
import csv
import http.client
import io
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import polars as pl
import pyarrow as pa

from lake.catalog import refresh
from lake.clock import tt2000_of_day, utc_now
from lake.config import CHECKOUT, read_settings
from lake.definition_files import read_definitions
from lake.definitions import Column, Table
from lake.reading import arrow_schema
from lake.store import Lake
from lake.tables import append_ops, replace_day

DAY, RECORDS, STEP_NS = date(2026, 8, 1), 864_000, 100_000_000
TABLE, DATASET, VECTOR = "hermes.nemisis_l2_mag", "hermes_nem_l2-mag", "fg_b_gse_nt"
PART = 10  # of the day, for what goes record by record
TARGET_MB_PER_SECOND, TARGET_MEMORY_MB, MOST_BY_STREAM_MB = 50.0, 200.0, 50.0
LIBRARIES = "import numpy, pyarrow.parquet, polars, duckdb, deltalake, pydantic, typer, uvicorn, pint; duckdb.connect()"
READ_BYTES = 1 << 20
TICKS = os.sysconf("SC_CLK_TCK")
PROGRAM = "import sys; from swxlake.cli import main; sys.argv[0] = 'swxlake'; main()"


@dataclass(frozen=True)
class Row:
    """One way to give the day: MB per second of CPU; memory of a server that waits, and at its peak."""

    what: str
    form: str
    speed: float
    waiting_mb: float = 0.0
    peak_mb: float = 0.0

    def line(self) -> str:
        """A line of the table."""
        memory = [f"{figure:.0f}" if figure else "" for figure in (self.waiting_mb, self.peak_mb)]
        return f"| {self.what} | {self.form} | {self.speed:.0f} | {' | '.join(memory)} |"


def make_lake(root: Path) -> Lake:
    """A lake with one exported day of vectors. Its CDF is not made: nothing reads it as long as the table stands."""
    lake = Lake(root, read_definitions(read_settings(None).missions))
    table, now = lake.definitions.tables[TABLE], utc_now()
    replace_day(lake, table, DAY, _rows(table), {})
    known = {"table_name": TABLE, "product": TABLE, "day": DAY, "records": RECORDS, "version": "1.0.0"}
    _note(lake, "runs", now, known | {"status": "done", "content": "bench"})
    _note(lake, "exports", utc_now(), known)
    refresh(lake)
    return lake


def _note(lake: Lake, name: str, now: datetime, known: dict[str, object]) -> None:
    """A row of an ops table, whose other values nobody looks at."""
    nothing = {"string": "", "int64": 0, "float64": 0.0, "date": DAY, "timestamp": now}
    columns = [column for column in lake.ops(name).columns if column.name in known or not column.nullable]
    append_ops(lake, name, [{column.name: known.get(column.name, nothing[column.type]) for column in columns}])


def _rows(table: Table) -> pa.Table:
    rng = np.random.default_rng(7)
    schema = arrow_schema(table, stored=True)
    return pa.table({name: _column(table, table.by_name[name], rng) for name in schema.names}, schema=schema)


def _column(table: Table, column: Column, rng: np.random.Generator) -> pa.Array:
    if column.name == "epoch_tt2000":
        return pa.array(tt2000_of_day(DAY) + np.arange(RECORDS) * STEP_NS)
    if column.name == "time":
        start = np.datetime64(DAY, "us").astype(np.int64)
        return pa.array(start + np.arange(RECORDS) * STEP_NS // 1000).cast(pa.timestamp("us", "UTC"))
    if not column.axes:
        return pa.array(np.zeros(RECORDS, column.type))
    width = table.shape(column)[0]
    values = rng.normal(0, 50, RECORDS * width).astype(column.type)
    return pa.ListArray.from_arrays(np.arange(RECORDS + 1, dtype=np.int32) * width, values)


@contextmanager
def _server(lake: Lake) -> Iterator[tuple[str, int]]:
    """Address and process id of a server."""
    command = [sys.executable, "-c", PROGRAM, "hapi", "serve", "--port", "0", "--root", str(lake.root)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.terminate()


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def _read(address: str, query: str) -> int:
    """Bytes of an answer, which are dropped."""
    parts, found = urlsplit(address), 0
    with closing(http.client.HTTPConnection(parts.hostname or "", parts.port)) as connection:
        connection.request("GET", f"{parts.path}/data?dataset={DATASET}&{query}")
        answer = connection.getresponse()
        while chunk := answer.read(READ_BYTES):
            found += len(chunk)
    return found


def served(lake: Lake, form: str, parameters: str, rounds: int) -> Row:
    """The day from a fresh server, once to warm it and then `rounds` times."""
    query = f"start={DAY}&stop={DAY}T24&format={form}&parameters={parameters}"
    speeds = []
    with _server(lake) as (address, pid):
        _read(address, f"start={DAY}&stop={DAY}T00:01&format={form}")
        waiting = _peak_mb(pid)
        for _ in range(rounds):
            before = _cpu(pid)
            size = _read(address, query)
            speeds.append(size / 1e6 / (_cpu(pid) - before))
        what = "one vector" if parameters else "six vectors and flags"
        return Row(f"server, {what}", form, statistics.median(speeds), waiting, _peak_mb(pid))


def _timed(work: Callable[[], int]) -> float:
    start = time.process_time()
    size = work()
    return size / 1e6 / (time.process_time() - start)


def plain(lake: Lake, rounds: int) -> list[Row]:
    """The same day without us: record by record, and by polars."""
    (path,) = Path(str(lake.root)).glob(f"tables/hermes/nemisis_l2_mag/day={DAY}/*.parquet")
    frame = pl.read_parquet(path, columns=["time", VECTOR])
    part = frame.head(RECORDS // PART)
    times = part["time"].to_list()
    vectors = [list(map(float, vector)) for vector in part[VECTOR].to_list()]

    def in_csv() -> int:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerows([f"{at:%Y-%m-%dT%H:%M:%S.%f}000Z", *vector] for at, vector in zip(times, vectors, strict=True))
        return out.tell()

    def in_binary() -> int:
        pack = struct.Struct("<30s3d").pack
        return len(
            b"".join(pack(f"{at:%Y-%m-%dT%H:%M:%S.%f}000Z".encode(), *v) for at, v in zip(times, vectors, strict=True))
        )

    def in_json() -> int:
        texts = (f"{at:%Y-%m-%dT%H:%M:%S.%f}000Z" for at in times)
        return len(json.dumps([[at, vector] for at, vector in zip(texts, vectors, strict=True)]))

    def by_polars() -> int:
        out = io.BytesIO()
        cells = [pl.col(VECTOR).list.get(i).alias(f"v{i}") for i in range(3)]
        frame.select(pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%S%.9fZ"), *cells).write_csv(out, include_header=False)
        return out.tell()

    ways = (
        ("csv module", "csv", in_csv),
        ("struct", "binary", in_binary),
        ("json module", "json", in_json),
    )
    rows = [Row(f"record by record, {what}", form, _median(work, rounds)) for what, form, work in ways]
    return [*rows, Row("polars write_csv, day in memory", "csv", _median(by_polars, rounds))]


def _median(work: Callable[[], int], rounds: int) -> float:
    return statistics.median(_timed(work) for _ in range(rounds))


def measure(rounds: int) -> list[Row]:
    """All ways."""
    with tempfile.TemporaryDirectory() as folder:
        lake = make_lake(Path(folder, "lake"))
        ways = [(form, parameters) for parameters in (VECTOR, "") for form in ("binary", "csv", "json")]
        return [*(served(lake, form, parameters, rounds) for form, parameters in ways), *plain(lake, rounds)]


def table(rows: list[Row]) -> str:
    """The figures as Markdown."""
    head = "| way | format | MB per CPU second | memory waiting, MB | at its peak |\n|---|---|---|---|---|\n"
    return head + "\n".join(row.line() for row in rows)


def alone(imports: str) -> float:
    """Peak memory [MB] of an interpreter that only imports these."""
    program = (
        f"{imports}\nprint(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return int(found.stdout) / 1024


def main() -> None:
    """Print the figures; exit 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rows = measure(parser.parse_args().rounds)
    print(table(rows))
    servers = [row for row in rows if row.peak_mb]
    slow = [row for row in servers if row.form == "binary" and row.speed < TARGET_MB_PER_SECOND]
    large = [row for row in servers if row.peak_mb - row.waiting_mb > MOST_BY_STREAM_MB]
    peak = max(row.peak_mb for row in servers)
    words = "met" if peak < TARGET_MEMORY_MB else "missed"
    print(f"\nPeak of the whole process {peak:.0f} MB, target {TARGET_MEMORY_MB:.0f} MB: {words}.")
    print(f"A bare interpreter takes {alone(''):.0f} MB, one with the libraries loaded {alone(LIBRARIES):.0f} MB.")
    sys.exit(1 if slow or large else 0)


if __name__ == "__main__":
    main()
