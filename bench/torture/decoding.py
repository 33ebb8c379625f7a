# SPDX-License-Identifier: Apache-2.0
"""The real decoder on bytes in memory, with rows kept instead of written, and what must hold of a damaged file."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.torture.mutations import packet_bytes, places, split
from ingest import rows
from ingest.ccsds import scan_packets
from ingest.l0 import PacketDecoder
from ingest.rows import Decoded, RowWriter
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.definitions import Table
from lake.ledger import l0_definition
from lake.store import Lake, Receipt

OWN = {"byte_offset", "file_sha256", "quality_flag"}  # columns that tell where a packet lay, not what it says

Rows = dict[int, bytes]


class MemoryFiles:
    """Takes the place of DayFiles: keeps rows instead of writing them."""

    def __init__(self, table: Table) -> None:
        self.table, self.paths, self.written = table, dict[str, Path](), list[pa.Table]()

    def write(self, rows: pa.Table, day: object) -> None:
        """Keep the rows."""
        self.written.append(rows)


class MemoryDecoder:
    """Decodes files of an instrument without a lake."""

    def __init__(self, mission: str = "padre", instrument: str = "meddea") -> None:
        self.definitions = read_definitions(CHECKOUT / "missions")
        self.mission = self.definitions.mission(mission)
        self.instrument = self.mission.instrument(instrument)
        self.opened: list[MemoryFiles] = []

    @contextmanager
    def _day_files(self, _lake: Lake, table: Table, _definition: str) -> Iterator[MemoryFiles]:
        self.opened.append(MemoryFiles(table))
        yield self.opened[-1]

    def decode(self, data: bytes) -> tuple[Decoded, Rows]:
        """What the decoder does with a file of these bytes: its account, and the rows of the packet at each offset."""
        self.opened.clear()
        receipt = Receipt("x", "0" * 64, len(data), "", "", self.mission.name, self.instrument.name, "2024-09-16")
        decoded = Decoded(receipt, l0_definition(self.mission, self.instrument))
        with ExitStack() as stack, mock.patch.object(rows, "day_files", self._day_files):
            lake = Lake(Path("nowhere"), self.definitions)
            decoder = PacketDecoder(RowWriter(lake, self.mission, self.instrument, decoded, stack))
            for chunk in scan_packets(io.BytesIO(data), self.instrument.packets):
                decoder.add(chunk)
        at: defaultdict[int, bytes] = defaultdict(bytes)
        for files in self.opened:
            for table in files.written:
                for offset, values in _rows_of(files.table.name, table):
                    at[offset] += values
        return decoded, at

    def known(self, originals: list[bytes]) -> dict[bytes, bytes]:
        """The rows of each packet of undamaged files, by its bytes."""
        known: dict[bytes, bytes] = {}
        for original in originals:
            _, at = self.decode(original)
            known |= {packet: at[original.index(packet)] for packet in split(original)}
        return known


def _rows_of(name: str, table: pa.Table) -> Iterator[tuple[int, bytes]]:
    """Offset and values of each packet's rows; values as bytes, for they are only compared."""
    offsets = table["byte_offset"].to_numpy()
    columns = [_numbers(table[column]) for column in table.column_names if column not in OWN]
    for offset in np.unique(offsets).tolist():
        chosen = offsets == offset
        yield offset, name.encode() + b"".join(column[chosen].tobytes() for column in columns)


def _numbers(column: pa.ChunkedArray) -> NDArray[np.generic]:
    array = column.combine_chunks()
    if pa.types.is_list(array.type):
        flat: NDArray[np.generic] = array.flatten().to_numpy().reshape(len(array), -1)
        return flat
    if pa.types.is_timestamp(array.type):
        array = array.cast(pa.int64())
    return np.stack([array.fill_null(0).to_numpy(), array.is_null().to_numpy(zero_copy_only=False)], axis=1)


@dataclass(frozen=True)
class Survival:
    """What of a damaged file came through: whole packets in it, those that were lost, those with other rows."""

    intact: int
    lost: int
    wrong: int
    balanced: bool


def survival(decoder: MemoryDecoder, known: dict[bytes, bytes], original: bytes, data: bytes) -> Survival:
    """Decode a damaged file and compare with what its packets say in undamaged ones.

    A packet is intact if its bytes are there, whole. Checksums cannot see every damage, so a decoded packet need not
    be an original one; but an intact packet that is decoded has the rows that it has in the undamaged file.
    """
    decoded, rows = decoder.decode(data)
    intact = [(packet, place) for packet in set(split(original)) for place in places(data, packet)]
    found = [(packet, place) for packet, place in intact if place in rows]
    wrong = sum(rows[place] != known[packet] for packet, place in found)
    return Survival(len(intact), len(intact) - len(found), wrong, is_balanced(decoded, rows, data))


def is_balanced(decoded: Decoded, rows: Rows, data: bytes) -> bool:
    """True if packets and quarantined stretches cover the file without overlap."""
    stretches = [(stretch.offset, stretch.offset + stretch.length) for stretch in decoded.stretches]
    packets = [(offset, offset + packet_bytes(data, offset)) for offset in rows]
    position = 0
    for start, stop in sorted(stretches + packets):
        if start != position or stop <= start:
            return False
        position = stop
    return position == len(data) == decoded.bytes_decoded + decoded.bytes_quarantined
