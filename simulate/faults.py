# SPDX-License-Identifier: Apache-2.0
"""Faults that telemetry suffers on its way down, put into simulated files on purpose and written down exactly.

gap         packets between `start` and `stop` never arrive
duplicate   packets between `start` and `stop` are sent again in a file of their own
bit_flip    `count` bits of packets between `start` and `stop` are inverted
truncate    the file ends within the packet at `start`
late        the file with the packet at `start` is put into the subfolder late/
junk        `count` random bytes stand before the packet at `start`
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from pydantic import Field, model_validator

from lake.definition_text import build, read_rows, read_yaml, yaml_line
from lake.errors import DefinitionError
from lake.packet_definitions import Noun
from simulate.packets import Int64, Packets

Kind = Literal["gap", "duplicate", "bit_flip", "truncate", "late", "junk"]
RANGE_KINDS = ("gap", "duplicate", "bit_flip")
COUNT_KINDS = ("bit_flip", "junk")
TIME = r"(\d{1,4}):([0-5]\d):([0-5]\d(?:\.\d{1,9})?)"


class Fault(Noun):
    """One fault of one stream of files; times count from the first midnight of the run."""

    kind: Kind
    stream: str
    start: timedelta
    stop: timedelta | None = None
    count: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _fits_kind(self) -> Fault:
        if (self.kind in RANGE_KINDS) != (self.stop is not None):
            raise ValueError(f"a {self.kind} needs {'a' if self.kind in RANGE_KINDS else 'no'} stop; mend the row")
        if (self.kind in COUNT_KINDS) != (self.count is not None):
            raise ValueError(f"a {self.kind} needs {'a' if self.kind in COUNT_KINDS else 'no'} count; mend the row")
        if self.stop is not None and self.stop <= self.start:
            raise ValueError(f"stop {self.stop} is not after start {self.start}; swap them or correct one")
        return self


def read_faults(path: Path) -> tuple[Fault, ...]:
    """The faults of a CSV file (kind,stream,start,stop,count) or of the list `faults` of a YAML file.

    Times are written HH:MM:SS since the first midnight of the run. Raises DefinitionError.
    """
    if path.suffix.lower() == ".csv":
        rows = [(f"{path} row {number}", dict(row)) for number, row in enumerate(read_rows(path), start=2)]
    elif path.suffix.lower() in (".yaml", ".yml"):
        rows = _yaml_rows(path)
    else:
        raise DefinitionError(f"{path}: is neither .csv nor .yaml. Rename it after what it holds.")
    return tuple(_fault(where, row) for where, row in rows)


def _yaml_rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    read_yaml(path)  # complains about syntax, with the line
    # All values stay text: YAML 1.1 would read 13:10:00 as a number in base 60.
    entries = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader).get("faults")  # noqa: S506
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DefinitionError(
            f"{path} (faults): is no list of faults. Write `faults:` and `- {{kind: gap, ...}}` lines."
        )
    return [(f"{path} line {yaml_line(path, ('faults', i))}", dict(entry)) for i, entry in enumerate(entries)]


def _fault(where: str, row: dict[str, Any]) -> Fault:
    values = {name: value for name, value in row.items() if value not in ("", None)}
    for name in ("start", "stop"):
        if name in values:
            values[name] = _time(where, name, str(values[name]))
    return build(Fault, values, where)


def _time(where: str, name: str, text: str) -> timedelta:
    match = re.fullmatch(TIME, text.strip())
    if match is None:
        raise DefinitionError(f"{where} ({name}): {text!r} is no time. Write HH:MM:SS since the first midnight.")
    return timedelta(hours=int(match[1]), minutes=int(match[2]), seconds=float(match[3]))


@dataclass(frozen=True)
class AppliedFault:
    """What a fault did to a file: bytes at an offset, in which packet, and how many packets it took or repeated.

    `packet_offset` and `packet_bytes` say where the hit packet lies in the file as written.
    """

    kind: str
    stream: str
    apid: int
    file: str
    offset: int
    bytes: int
    packet_offset: int
    packet_bytes: int
    packets: int
    first_tt2000: int
    last_tt2000: int


@dataclass
class FileImage:
    """A file while faults are put into it: its packets, its bytes, and what has been done so far."""

    stream: str
    name: str
    packets: Packets
    data: bytearray = field(init=False)
    offsets: Int64 = field(init=False)
    done: list[AppliedFault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.data = bytearray(self.packets.data)
        self.offsets = self.packets.offsets

    def index_at(self, time: int) -> int | None:
        """The first packet that starts at or after a time (TT2000 ns); None if the file holds none."""
        later = np.flatnonzero(self.packets.times[: len(self.offsets)] >= time)
        return int(later[0]) if len(later) else None

    def truncate(self, time: int, random: np.random.Generator) -> bool:
        """Ends the file within the packet at a time. False if the file holds none."""
        index = self.index_at(time)
        if index is None:
            return False
        kept = int(random.integers(1, self.packets.sizes[index]))
        lost = len(self.offsets) - index
        offset = int(self.offsets[index])
        del self.data[offset + kept :]
        self._write_down("truncate", index, offset, kept, lost, index + lost - 1)
        self.offsets = self.offsets[:index]
        return True

    def flip_bits(self, start: int, stop: int, count: int, random: np.random.Generator) -> bool:
        """Inverts bits, each in a packet of its own while there are enough. False if no packet is in the range."""
        times = self.packets.times[: len(self.offsets)]
        hit = np.flatnonzero((times >= start) & (times < stop))
        if not len(hit):
            return False
        chosen = np.concatenate([random.permutation(hit) for _ in range(-(-count // len(hit)))])[:count]
        for index in np.sort(chosen):
            bit = int(random.integers(0, 8 * self.packets.sizes[index]))
            offset = int(self.offsets[index]) + bit // 8
            self.data[offset] ^= 0x80 >> bit % 8
            self._write_down("bit_flip", int(index), offset, 1, 1, int(index))
        return True

    def insert_junk(self, time: int, count: int, random: np.random.Generator) -> bool:
        """Puts random bytes before the packet at a time. False if the file holds none."""
        index = self.index_at(time)
        if index is None:
            return False
        offset = int(self.offsets[index])
        self.data[offset:offset] = random.bytes(count)
        self.done = [_moved(fault, offset, count) for fault in self.done]
        self.offsets[index:] += count
        self._write_down("junk", index, offset, count, 0, index)
        return True

    def mark_late(self, time: int) -> bool:
        """Notes that the file with the packet at a time comes late. False if the file holds none."""
        index = self.index_at(time)
        if index is None:
            return False
        self._write_down("late", index, 0, len(self.data), len(self.packets), len(self.packets) - 1)
        return True

    def _write_down(self, kind: str, index: int, offset: int, size: int, packets: int, last: int) -> None:
        p = self.packets
        where = (self.stream, int(p.apids[index]), self.name, offset, size)
        packet = (int(self.offsets[index]), int(p.sizes[index]), packets)
        self.done.append(AppliedFault(kind, *where, *packet, int(p.times[index]), int(p.times[last])))


def _moved(fault: AppliedFault, offset: int, count: int) -> AppliedFault:
    """The fault after so many bytes were inserted before it."""
    if fault.packet_offset < offset:
        return fault
    values = {**fault.__dict__, "offset": fault.offset + count, "packet_offset": fault.packet_offset + count}
    return AppliedFault(**values)
