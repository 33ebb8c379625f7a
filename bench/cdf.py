# SPDX-License-Identifier: Apache-2.0
"""Writing a day as a CDF file: CPU and memory of our writer against spacepy.pycdf, cdflib and pycdfpp.

The day is counts of a plasma analyser, [N, 41, 4, 32], compressed at gzip level 1. Each measurement is a process of its
own; making the values does not count. `product` is all of exports.product: from Arrow lists of int32 to a file that was
validated, hashed and synced; its peer writes the same int32 values, which it finds in memory as arrays.

    python -m bench.cdf --megabytes 200 --rounds 3
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from bench.hermes import peak_mb
from lake.config import CHECKOUT

SHAPE, MEAN_COUNTS, LEVEL = (41, 4, 32), 0.3, 1
PIECE_RECORDS = 100  # 1 MB of uint16
PIECES = 8  # different ones, in turn: far more than the 32 KB that gzip looks back
DAY = date(2026, 8, 1)
SAMPLING_NS = 4_000_000
TARGET_CPU, TARGET_MB = 1.1, 100.0
LARGE_MB = 2000
YEAR_SECONDS = 365 * 86_400
Work = Callable[[], None]
BARE = "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')][0])"


@dataclass(frozen=True)
class Row:
    """One writer on one day: medians of CPU seconds, peak memory above a bare interpreter, of that by writing, size.

    What is loaded before writing are libraries, eight pieces of values, and for those that cannot append all of them.
    """

    writer: str
    megabytes: float
    seconds: float
    memory_mb: float
    writing_mb: float
    file_mb: float


def _pieces(kind: str) -> list[Any]:
    rng = np.random.default_rng(7)
    return [rng.poisson(MEAN_COUNTS, (PIECE_RECORDS, *SHAPE)).astype(kind) for _ in range(PIECES)]


def _turns(pieces: list[Any], count: int) -> Iterator[Any]:
    return (pieces[i % PIECES] for i in range(count))


def _times(records: int) -> Any:
    from lake.clock import tt2000_of_day  # noqa: PLC0415

    return tt2000_of_day(DAY) + np.arange(records, dtype="<i8") * SAMPLING_NS


def _ours(path: Path, pieces: list[Any], count: int) -> Work:
    from exports.cdf.file import CdfFile  # noqa: PLC0415  counts as memory, not as time
    from exports.cdf.spec import VariableSpec  # noqa: PLC0415

    times, kind = _times(count * PIECE_RECORDS), "CDF_UINT2" if pieces[0].dtype == np.uint16 else "CDF_INT4"
    specs = VariableSpec("Epoch", "CDF_TIME_TT2000"), VariableSpec("counts", kind, SHAPE, compression=LEVEL)  # type: ignore[arg-type]

    def work() -> None:
        with CdfFile(path, [("TITLE", ["Counts"])], specs) as file:
            with file.records("Epoch", len(times)) as epoch:
                epoch.append(times)
            with file.records("counts", len(times)) as records:
                for rows in _turns(pieces, count):
                    records.append(rows)

    return work


def _product(path: Path, pieces: list[Any], count: int) -> Work:
    import pyarrow as pa  # noqa: PLC0415

    from exports.istp.globals import Edition  # noqa: PLC0415
    from exports.product import write_product  # noqa: PLC0415

    size, times = int(np.prod(SHAPE)), _times(count * PIECE_RECORDS)
    offsets = np.arange(PIECE_RECORDS + 1, dtype=np.int32) * size
    # From buffers, because pa.array() would load pandas, which takes as much memory as all the rest.
    values = [pa.Array.from_buffers(pa.int32(), rows.size, [None, pa.py_buffer(rows)]) for rows in pieces]
    lists = [pa.ListArray.from_arrays(pa.array(offsets.tolist(), pa.int32()), array) for array in values]
    epochs = pa.Array.from_buffers(pa.int64(), len(times), [None, pa.py_buffer(times)])
    batches = {"epoch_tt2000": lambda: iter([epochs]), "counts": lambda: _turns(lists, count)}
    edition = Edition(DAY, "1.0.0", ("raw.bin",), DAY, "1.0")
    structure = _structure()

    def work() -> None:
        write_product(structure, path, lambda name: batches[name](), len(times), edition)

    return work


def _structure() -> Any:
    """A product of the real mission with one column of counts."""
    from exports.istp.structure import compile_product  # noqa: PLC0415
    from lake.definition_files import read_definitions  # noqa: PLC0415
    from lake.definitions import Axis, Column, Product, Table  # noqa: PLC0415

    mission = next(m for m in read_definitions(CHECKOUT / "missions").missions if m.name == "hermes")
    instrument = next(i for i in mission.instruments if i.name == "eea")
    sizes = zip(("step", "deflection", "anode"), SHAPE, strict=True)
    facts: dict[str, Any] = {"first": 0, "step": 1, "type": "int16"}
    axes = tuple(Axis(name=name, size=size, description=name, label=name, **facts) for name, size in sizes)
    columns = (
        Column(name="epoch_tt2000", type="int64", unit="ns", description="Time", label="Epoch"),
        Column(name="day", type="date", description="UTC date", export=False),
        Column(
            name="counts",
            label="Counts",
            unit="count",
            spase="SPASE>Particle>ParticleType:Electron,ParticleQuantity:Counts",
            type="int32",
            description="Counts",
            valid=(0, 65534),
            axes=("step", "deflection", "anode"),
        ),
    )
    facts = {"level": "l1", "title": "Counts", "grain": "one row per sweep", "order": "strict"}
    table = Table(mission="hermes", instrument="eea", name="eea_l1_bench", columns=columns, axes=axes, **facts)
    words: dict[str, Any] = {
        "title": "Counts",
        "text": "Counts of a simulated day, for measuring.",
        "time_resolution": "4 ms",
    }
    product = Product(table=table.name, version="1.0", bin_location=0.5, mods=("1.0: first",), **words)
    return compile_product(product, table, instrument, mission)


def _pycdf(path: Path, pieces: list[Any], count: int) -> Work:
    from spacepy import pycdf  # noqa: PLC0415

    times = _times(count * PIECE_RECORDS)

    def work() -> None:
        with pycdf.CDF(str(path), "") as file:
            file.checksum(True)
            file.col_major(False)
            file.new("Epoch", type=pycdf.const.CDF_TIME_TT2000)
            file.raw_var("Epoch")[...] = times
            kind = pycdf.const.CDF_UINT2 if pieces[0].dtype == np.uint16 else pycdf.const.CDF_INT4
            packing = pycdf.const.GZIP_COMPRESSION
            counts = file.new("counts", type=kind, dims=SHAPE, compress=packing, compress_param=LEVEL)
            for i, rows in enumerate(_turns(pieces, count)):
                counts[i * PIECE_RECORDS : (i + 1) * PIECE_RECORDS] = rows

    return work


def _cdflib(path: Path, pieces: list[Any], count: int) -> Work:
    from cdflib.cdfwrite import CDF  # noqa: PLC0415

    rows = np.concatenate(list(_turns(pieces, count)))

    def work() -> None:
        file = CDF(path, {"Majority": 1, "Encoding": 6, "Checksum": True, "Compressed": 0})
        epoch = {
            "Variable": "Epoch",
            "Data_Type": 33,
            "Num_Elements": 1,
            "Rec_Vary": True,
            "Dim_Sizes": [],
            "Compress": 0,
        }
        file.write_var(epoch, var_data=_times(len(rows)))
        code = 12 if rows.dtype == np.uint16 else 4
        file.write_var(
            {**epoch, "Variable": "counts", "Data_Type": code, "Dim_Sizes": list(SHAPE), "Compress": LEVEL},
            var_data=rows,
        )
        file.close()

    return work


def _pycdfpp(path: Path, pieces: list[Any], count: int) -> Work:
    import pycdfpp  # noqa: PLC0415

    rows = np.concatenate(list(_turns(pieces, count)))

    def work() -> None:
        file = pycdfpp.CDF()
        times = np.datetime64(DAY, "ns") + np.arange(len(rows)) * SAMPLING_NS
        file.add_variable("Epoch", values=times, data_type=pycdfpp.DataType.CDF_TIME_TT2000)
        packing = pycdfpp.CompressionType.gzip_compression
        kind = pycdfpp.DataType.CDF_UINT2 if rows.dtype == np.uint16 else pycdfpp.DataType.CDF_INT4
        file.add_variable("counts", values=rows, data_type=kind, compression=packing, compression_level=LEVEL)
        pycdfpp.save(file, str(path))

    return work


WRITERS: dict[str, tuple[Callable[[Path, list[Any], int], Work], str]] = {
    "swxlake": (_ours, "uint16"),
    "spacepy.pycdf": (_pycdf, "uint16"),
    "cdflib": (_cdflib, "uint16"),
    "pycdfpp": (_pycdfpp, "uint16"),
    "swxlake product": (_product, "int32"),
    "spacepy.pycdf int32": (_pycdf, "int32"),
}


def _write(writer: str, megabytes: float, folder: Path, later: bool) -> dict[str, object]:
    """Write a day in this process; `later` as if it were another year."""
    prepare, kind = WRITERS[writer]
    pieces = _pieces(kind)
    count = max(1, round(megabytes * 1e6 / (PIECE_RECORDS * np.prod(SHAPE) * np.dtype("uint16").itemsize)))
    if later:
        now = time.time
        time.time = lambda: now() + YEAR_SECONDS
    work = prepare(folder / "day.cdf", pieces, count)
    memory = peak_mb()
    before = time.process_time()
    work()
    seconds = time.process_time() - before
    data = folder / "day.cdf"
    with data.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    peak = peak_mb()
    return {
        "seconds": seconds,
        "memory": peak,
        "writing": peak - memory,
        "mb": data.stat().st_size / 1e6,
        "sha256": digest,
    }


def _child(writer: str, megabytes: float, later: bool = False) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-W", "ignore", "-m", "bench.cdf", "--child", writer, str(megabytes), folder]
        command += ["--later"] if later else []
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=CHECKOUT)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _bare_mb() -> float:
    done = subprocess.run([sys.executable, "-c", BARE], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def run(megabytes: float = 200, rounds: int = 3) -> list[Row]:
    """Medians for each writer, in turns; AssertionError if ours wrote other bytes in another process or year."""
    bare = _bare_mb()
    found: dict[str, list[dict[str, Any]]] = {writer: [] for writer in WRITERS}
    for i in range(rounds):
        for writer in WRITERS:
            found[writer].append(_child(writer, megabytes, later=bool(i)))
    for writer in ("swxlake", "swxlake product"):
        assert len({result["sha256"] for result in found[writer]}) == 1, f"{writer}: the bytes differ"
    return [_row(writer, megabytes, bare, results) for writer, results in found.items()]


def run_large(megabytes: float = LARGE_MB) -> list[Row]:
    """The two ways of ours on a day that is ten times as large."""
    bare = _bare_mb()
    writers = ("swxlake", "swxlake product")
    return [_row(writer, megabytes, bare, [_child(writer, megabytes)]) for writer in writers]


def _row(writer: str, megabytes: float, bare: float, results: list[dict[str, Any]]) -> Row:
    seconds = statistics.median(result["seconds"] for result in results)
    memory, writing = (max(result[what] for result in results) for what in ("memory", "writing"))
    return Row(writer, megabytes, seconds, memory - bare, writing, results[0]["mb"])


def table(rows: list[Row]) -> str:
    """The rows as a Markdown table."""
    peers = {row.writer: row.seconds for row in rows}
    lines = [
        "| writer | MB as uint16 | CPU s | times spacepy.pycdf | peak MB above the bare interpreter "
        "| of that, by writing | file, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        peer = peers.get("spacepy.pycdf int32" if WRITERS[row.writer][1] == "int32" else "spacepy.pycdf")
        ratio = f"{row.seconds / peer:.2f}" if peer and row.megabytes == rows[0].megabytes else ""
        cells = f"{row.seconds:.2f} | {ratio} | {row.memory_mb:.0f} | {row.writing_mb:.0f} | {row.file_mb:.1f}"
        lines.append(f"| {row.writer} | {row.megabytes:.0f} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="also a day ten times as large")
    parser.add_argument("--child", nargs=3, metavar=("WRITER", "MEGABYTES", "FOLDER"))
    parser.add_argument("--later", action="store_true")
    arguments = parser.parse_args()
    if arguments.child:
        writer, megabytes, folder = arguments.child
        print(json.dumps(_write(writer, float(megabytes), Path(folder), arguments.later)))
        return
    print(table(run(arguments.megabytes, arguments.rounds) + (run_large() if arguments.large else [])))
    print(f"Targets: swxlake at most {TARGET_CPU} times spacepy.pycdf, at most {TARGET_MB:.0f} MB")


if __name__ == "__main__":
    main()
