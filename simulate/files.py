# SPDX-License-Identifier: Apache-2.0
"""Simulated raw files: packets in, files split by size out, faults put in on the way, each file written in one step."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import timedelta
from pathlib import Path

import numpy as np

from lake.clock import NS, unix_ns_from_tt2000
from lake.errors import StorageError
from simulate.faults import AppliedFault, Fault, FileImage
from simulate.packets import Bool, Int64, Packets, join, split_by_size

log = logging.getLogger(__name__)

FileName = Callable[[int], str]
# A cut comes first, so that no later fault lands in what is cut off; junk moves what stands behind it.
ORDER = ("truncate", "bit_flip", "junk", "late")


@dataclass(frozen=True)
class Simulated:
    """What a simulation has written: raw files, their packets and bytes, and the faults in them."""

    files: tuple[Path, ...]
    packets: int
    bytes: int
    faults: tuple[AppliedFault, ...] = ()


def write_once(path: Path, data: bytes) -> None:
    """Writes a file in one step. A file with the same bytes is left alone; StorageError if it has others."""
    partial = path.with_name(f".{path.name}.part")
    try:
        if path.exists():
            if path.stat().st_size != len(data) or path.read_bytes() != data:
                raise StorageError(f"{path}: holds other data. Remove it or choose an empty folder.")
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}. Choose a folder that can be written.") from None


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Writes a CSV file in one step."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_once(path, text.getvalue().encode())


def time_text(tt2000: int) -> str:
    """UTC with microseconds, ISO 8601."""
    unix_us = int(unix_ns_from_tt2000(tt2000)) // 1000
    return f"{np.datetime64(unix_us, 'us')}Z"


def write_faults(path: Path, faults: Sequence[AppliedFault]) -> None:
    """Writes the list of faults, one row for each damaged, missing or repeated place."""
    names = [f.name for f in fields(AppliedFault) if not f.name.endswith("_tt2000")]
    rows = [
        [*(asdict(fault)[name] for name in names), time_text(fault.first_tt2000), time_text(fault.last_tt2000)]
        for fault in faults
    ]
    write_table(path, [*names, "first_time", "last_time"], rows)


@dataclass(frozen=True)
class Loss:
    """Packets of one APID that a gap has taken: how many, when, and the index of the packet that follows."""

    before: int
    packets: int
    first: int
    last: int


@dataclass
class Stream:
    """A stream of packets that becomes files of at least `cap` bytes, the last one excepted.

    `start` is TT2000 [ns] of the run's first midnight, from which faults count; `stop` is the end of the run.
    """

    name: str
    folder: Path
    file_name: FileName
    cap: int
    faults: tuple[Fault, ...]
    start: int
    stop: int
    random: np.random.Generator
    done: list[AppliedFault] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    packets: int = 0
    written: int = 0

    def __post_init__(self) -> None:
        self.faults = tuple(f for f in self.faults if f.stream == self.name)
        self._gaps = [f for f in self.faults if f.kind == "gap"]
        self._idle = list(self.faults)
        self._resent: dict[int, list[Packets]] = {i: [] for i, f in enumerate(self.faults) if f.kind == "duplicate"}
        self._waiting = sorted((f for f in self.faults if f.kind in ORDER), key=lambda f: ORDER.index(f.kind))
        self._open: list[Packets] = []
        self._marks: list[AppliedFault] = []
        self._lost: dict[tuple[int, int], Loss] = {}

    def add(self, batch: Packets) -> None:
        """Adds packets in time order; files that are full are written."""
        for index, kept in self._resent.items():
            kept.append(batch.take(np.flatnonzero(self._within(self.faults[index], batch))))
        batch = self._without_gaps(batch)
        for first, stop in split_by_size(batch.sizes, self.cap, self._filled):
            part = batch.part(first, stop)
            self._mark_losses(part, first)
            self._open.append(part)
            if self._filled >= self.cap:
                self._finish_file()
        self._lost = {key: replace(loss, before=0) for key, loss in self._lost.items()}

    def close(self) -> None:
        """Writes the last file and what was sent again."""
        for (_, apid), loss in self._lost.items():
            self._marks.append(self._loss_at(loss, apid, self._filled, 0))
        if self._open:
            self._finish_file()
        for index, batches in self._resent.items():
            self._send_again(self.faults[index], join(batches))
        self.done += self._marks
        for fault in self._idle:
            log.warning("fault without effect kind=%s stream=%s start=%s", fault.kind, self.name, fault.start)

    @property
    def _filled(self) -> int:
        return sum(len(part.data) for part in self._open)

    def _time(self, since_start: timedelta) -> int:
        return self.start + since_start // timedelta(microseconds=1) * 1000

    def _within(self, fault: Fault, batch: Packets) -> Bool:
        stop = self._time(fault.stop or fault.start)
        return np.asarray((batch.times >= self._time(fault.start)) & (batch.times < stop), np.bool_)

    def _without_gaps(self, batch: Packets) -> Packets:
        """The batch without the packets that gaps take; what is lost is remembered until its place is known."""
        lost = np.zeros(len(batch), np.bool_)
        for index, fault in enumerate(self._gaps):
            taken = self._within(fault, batch) & ~lost
            lost |= taken
            for apid in np.unique(batch.apids[taken]):
                self._lose(index, int(apid), batch, np.flatnonzero(taken & (batch.apids == apid)), lost)
        return batch.take(np.flatnonzero(~lost)) if lost.any() else batch

    def _lose(self, gap: int, apid: int, batch: Packets, which: Int64, lost: Bool) -> None:
        before = int(np.count_nonzero(~lost[: which[0]]))
        times = batch.times[which]
        new = Loss(before, len(which), int(times[0]), int(times[-1]))
        old = self._lost.get((gap, apid))
        self._idle = [fault for fault in self._idle if fault is not self._gaps[gap]]
        self._lost[gap, apid] = replace(old, packets=old.packets + new.packets, last=new.last) if old else new

    def _mark_losses(self, part: Packets, first: int) -> None:
        """Writes down the losses that lie before a packet of this part, at the place of that packet."""
        for key, loss in list(self._lost.items()):
            if first <= loss.before < first + len(part):
                index = loss.before - first
                offset = self._filled + int(part.offsets[index])
                self._marks.append(self._loss_at(loss, key[1], offset, int(part.sizes[index])))
                del self._lost[key]

    def _loss_at(self, loss: Loss, apid: int, offset: int, packet_bytes: int) -> AppliedFault:
        times = (loss.first, loss.last)
        return AppliedFault("gap", self.name, apid, "", offset, 0, offset, packet_bytes, loss.packets, *times)

    def _finish_file(self) -> None:
        packets = join(self._open)
        image = FileImage(self.name, self._new_name(packets), packets)
        image.done = [replace(mark, file=image.name) for mark in self._marks]
        applied = [fault for fault in self._waiting if self._apply(fault, image)]
        for fault in applied:
            self._waiting.remove(fault)
            self._idle.remove(fault)
        late = any(fault.kind == "late" for fault in applied)
        self._write(image.name, bytes(image.data), len(packets), late)
        self.done += image.done
        self._open, self._marks = [], []

    def _apply(self, fault: Fault, image: FileImage) -> bool:
        start = self._time(fault.start)
        if start < self.start or start >= self.stop:
            return False
        if fault.kind == "truncate":
            return image.truncate(start, self.random)
        if fault.kind == "bit_flip":
            return image.flip_bits(start, self._time(fault.stop or fault.start), fault.count or 1, self.random)
        if fault.kind == "junk":
            return image.insert_junk(start, fault.count or 1, self.random)
        return image.mark_late(start)

    def _send_again(self, fault: Fault, packets: Packets) -> None:
        """Writes packets that were already sent to a file of their own."""
        if not len(packets):
            return
        self._idle.remove(fault)
        name = self._new_name(packets)
        self._write(name, packets.data, len(packets), late=False)
        for apid in np.unique(packets.apids):
            times = packets.times[packets.apids == apid]
            size = int(packets.sizes[packets.apids == apid].sum())
            where = (self.name, int(apid), name, 0, size, 0, int(packets.sizes[0]))
            self.done.append(AppliedFault("duplicate", *where, len(times), int(times[0]), int(times[-1])))

    def _new_name(self, packets: Packets) -> str:
        """A name made from the time of the first packet, moved by seconds until it is free."""
        taken = {path.name for path in self.files}
        time = int(packets.times[0])
        while self.file_name(time) in taken:
            time += NS
        return self.file_name(time)

    def _write(self, name: str, data: bytes, packets: int, late: bool) -> None:
        path = self.folder / "late" / name if late else self.folder / name
        write_once(path, data)
        self.files.append(path)
        self.packets += packets
        self.written += len(data)
        log.debug("simulated file=%s packets=%d bytes=%d", path, packets, len(data))
