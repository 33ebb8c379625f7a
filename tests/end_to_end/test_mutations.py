# SPDX-License-Identifier: Apache-2.0
"""A thousand seeded mutations of the real files: no crash, every byte accounted for, and the intact packets survive.

A packet is intact if its bytes are still there, whole. XOR16 cannot see every damage, so a decoded packet need not be
an original one; but an intact packet that is decoded has the rows that it has in the undamaged file.
"""

from __future__ import annotations

import io
import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from ingest import l0
from ingest.ccsds import scan_packets
from ingest.l0 import Decoded, FileDecoder
from lake.definitions import Table
from lake.ledger import l0_definition, read_ops
from lake.store import Lake, Receipt
from tests.meddea import (
    DEFINITIONS,
    MEDDEA,
    MIXED_FILE,
    PHOTON_FILE,
    REAL,
    SPECTRUM_FILE,
    drop,
    empty_lake,
    take,
    unbalanced,
)
from transforms.engine import build_all

pytestmark = [
    pytest.mark.telemetry,
    pytest.mark.skipif(not REAL.is_dir(), reason=f"no telemetry in {REAL}; set SWXLAKE_TELEMETRY"),
]

MISSION = DEFINITIONS.mission("padre")
DEFINITION = l0_definition(MISSION, MEDDEA)
LOST_PER_CORRUPTION = 2
OWN = {"byte_offset", "file_sha256", "quality_flag"}

Rows = dict[int, bytes]


def split(data: bytes) -> list[bytes]:
    """The packets of an undamaged file, by their length fields."""
    packets = []
    while data:
        size = (data[4] << 8 | data[5]) + 7
        packets.append(data[:size])
        data = data[size:]
    return packets


@pytest.fixture(scope="module")
def originals() -> list[bytes]:
    """The real files, and one in which their packets take turns."""
    files = [(REAL / name).read_bytes() for name in (PHOTON_FILE, MIXED_FILE, SPECTRUM_FILE)]
    in_turns = [packet for four in zip(*map(split, files), strict=True) for packet in four]
    return [*files, b"".join(in_turns)]


# ---- decoding in memory --------------------------------------------------------------------------------------------
class MemoryFiles:
    """Takes the place of DayFiles: keeps rows instead of writing them."""

    def __init__(self, table: Table) -> None:
        self.table, self.paths, self.written = table, dict[str, Path](), list[pa.Table]()

    def write(self, rows: pa.Table, day: object) -> None:
        self.written.append(rows)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> list[MemoryFiles]:
    opened: list[MemoryFiles] = []

    @contextmanager
    def day_files(lake: Lake, table: Table, definition: str) -> Iterator[MemoryFiles]:
        opened.append(MemoryFiles(table))
        yield opened[-1]

    monkeypatch.setattr(l0, "day_files", day_files)
    return opened


def decode(data: bytes, memory: list[MemoryFiles]) -> tuple[Decoded, Rows]:
    """What the decoder does with a file of these bytes: its account, and the rows of the packet at each offset."""
    memory.clear()
    receipt = Receipt(MIXED_FILE, "0" * 64, len(data), "", "", "padre", "meddea", "2024-09-16")
    decoded = Decoded(receipt, DEFINITION)
    with ExitStack() as stack:
        decoder = FileDecoder(empty_lake(Path("nowhere")), MISSION, MEDDEA, decoded, stack)
        for chunk in scan_packets(io.BytesIO(data), MEDDEA.packets):
            decoder.add(chunk)
    at: defaultdict[int, bytes] = defaultdict(bytes)
    for files in memory:
        for table in files.written:
            for offset, values in rows_of(files.table.name, table):
                at[offset] += values
    return decoded, at


def rows_of(name: str, table: pa.Table) -> Iterator[tuple[int, bytes]]:
    """Offset and values of each packet's rows; values as bytes, for they are only compared."""
    offsets = table["byte_offset"].to_numpy()
    columns = [numbers(table[column]) for column in table.column_names if column not in OWN]
    for offset in np.unique(offsets).tolist():
        chosen = offsets == offset
        yield offset, name.encode() + b"".join(column[chosen].tobytes() for column in columns)


def numbers(column: pa.ChunkedArray) -> Any:
    array = column.combine_chunks()
    if pa.types.is_list(array.type):
        return array.flatten().to_numpy().reshape(len(array), -1)
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.int64())
    return np.stack([array.fill_null(0).to_numpy(), array.is_null().to_numpy(zero_copy_only=False)], axis=1)


# ---- mutations -----------------------------------------------------------------------------------------------------
def flip(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def cut(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    del data[start : start + rng.choice((1, 2, 7, 40, 600, 5000))]


def insert(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data) + 1)
    data[start:start] = rng.randbytes(rng.choice((1, 3, 8, 90, 700)))


def swap(data: bytearray, rng: random.Random) -> None:
    size = min(rng.choice((1, 6, 22, 300)), len(data) // 2)
    first = rng.randrange(len(data) - 2 * size + 1)
    second = rng.randrange(first + size, len(data) - size + 1)
    earlier, later = slice(first, first + size), slice(second, second + size)
    data[earlier], data[later] = data[later], data[earlier]


def zero(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    size = min(rng.choice((1, 2, 16, 200, 3000)), len(data) - start)
    data[start : start + size] = bytes(size)


MUTATIONS = (flip, cut, insert, swap, zero)


def mutate(originals: list[bytes], seed: int) -> tuple[bytes, bytes, int]:
    """An original, what has become of it, and by how many corruptions."""
    rng = random.Random(seed)
    [original] = rng.choices(originals, weights=(4, 3, 1, 2))  # the shorter ones are decoded faster
    data, corruptions = bytearray(original), rng.choice((1, 1, 1, 2, 3))
    for _ in range(corruptions):
        if data:
            rng.choice(MUTATIONS)(data, rng)
    return original, bytes(data), corruptions


def assert_all_bytes_accounted_for(decoded: Decoded, rows: Rows, data: bytes) -> None:
    """Packets and stretches cover the file without overlap."""
    assert decoded.bytes_decoded + decoded.bytes_quarantined == len(data)
    stretches = [(stretch.offset, stretch.offset + stretch.length) for stretch in decoded.stretches]
    packets = [(offset, offset + (data[offset + 4] << 8 | data[offset + 5]) + 7) for offset in rows]
    position = 0
    for start, stop in sorted(stretches + packets):
        assert (start, stop > start) == (position, True)
        position = stop
    assert position == len(data)


@pytest.mark.parametrize("block", range(10))
def test_a_mutated_file_is_decoded_but_for_its_damaged_packets(
    originals: list[bytes], memory: list[MemoryFiles], block: int
) -> None:
    known: dict[bytes, bytes] = {}
    for original in originals:
        _, at = decode(original, memory)
        known |= {packet: at[original.index(packet)] for packet in split(original)}
    assert len(known) == 12
    for seed in range(block * 100, block * 100 + 100):
        original, data, corruptions = mutate(originals, seed)
        decoded, rows = decode(data, memory)
        assert_all_bytes_accounted_for(decoded, rows, data)
        places = {packet: data.find(packet) for packet in split(original)}
        intact = {packet: place for packet, place in places.items() if place >= 0}
        found = {packet for packet, place in intact.items() if place in rows}
        assert len(intact) - len(found) <= LOST_PER_CORRUPTION * corruptions, seed
        assert all(rows[intact[packet]] == known[packet] for packet in found), seed


def test_mutated_files_go_through_a_real_lake(originals: list[bytes], tmp_path: Path) -> None:
    lake = empty_lake(tmp_path / "lake")
    files = {mutate(originals, seed)[1] for seed in range(5000, 5040)}
    for number, data in enumerate(sorted(files)):
        drop(tmp_path / "inbox", f"padreMDU8_2409161200{number:02}.dat", data)
    intake = take(lake, tmp_path / "inbox")
    assert (intake.files, unbalanced(lake)) == (len(files), [])
    held = read_ops(lake, "quarantine").group_by("file_sha256").agg(pl.col("bytes").sum()).rows()
    stated = read_ops(lake, "files").filter(pl.col("bytes_quarantined") > 0)
    assert dict(stated.select("file_sha256", "bytes_quarantined").rows()) == dict(held)
    assert build_all(lake, "build").failed == []
    assert take(lake, tmp_path / "inbox").landed.known == len(files)
