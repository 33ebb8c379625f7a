# SPDX-License-Identifier: Apache-2.0
"""The packets of the raw archive as a log: whole, as they were sent, in the order in which their files arrived.

Nothing is stored for it. A file is scanned as level 0 does it, so the packets are those that it decodes, however they
were carried, with the times that it gives them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from threading import Lock

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest.ccsds import Chunk
from ingest.limits import SEQUENCE_COUNTS
from ingest.packet_types import PacketTypes
from ingest.places import Places
from ingest.rows import Int64, Mask
from ingest.transport.forms import packet_chunks
from lake.clock import day_number
from lake.definitions import Instrument
from lake.errors import StorageError
from lake.files import reading
from lake.ledger import decoded_contents, read_ops
from lake.packet_log import Cursor, Lag, LoggedPacket, UnreadableFileError, Wanted
from lake.store import Lake, RawArchive, Receipt

# A small file is scanned once for all who follow the log; larger ones are read piece by piece by each.
SHARED_BYTES, SHARED_FILES, STRIPES = 1 << 20, 16, 16
BOOKS_PAY = 20  # files in a range of time from which on it is cheaper to ask the books which ones may hold it
COUNTS_SECONDS = 30  # for which what the books say of the number of packets is taken as new
EPOCH_DAY = date(1970, 1, 1)


@dataclass(frozen=True)
class Piece:
    """Good packets of a piece of a file in the order of the scan: `first` is the number of the first one, from 1."""

    first: int
    data: NDArray[np.uint8]
    offsets: Int64
    lengths: Int64
    places: Int64
    apids: Int64
    counts: Int64
    tt2000: Int64
    timed: Mask

    def asked(self, after: int, wanted: Wanted) -> list[int]:
        """Which packets are asked for, of those behind the number `after`."""
        chosen = np.arange(self.first, self.first + len(self.offsets)) > after
        if wanted.apids:
            chosen &= np.isin(self.apids, list(wanted.apids))
        if wanted.first is not None or wanted.last is not None:
            chosen &= self.timed
        if wanted.first is not None:
            chosen &= self.tt2000 >= wanted.first
        if wanted.last is not None:
            chosen &= self.tt2000 < wanted.last
        found: list[int] = np.flatnonzero(chosen).tolist()
        return found

    def packet(self, index: int, arrival: int, receipt: Receipt) -> LoggedPacket:
        """One of them."""
        start = int(self.offsets[index])
        return LoggedPacket(
            cursor=Cursor(arrival, self.first + index),
            mission=receipt.mission,
            instrument=receipt.instrument,
            apid=int(self.apids[index]),
            sequence_count=int(self.counts[index]),
            epoch_tt2000=int(self.tt2000[index]) if self.timed[index] else None,
            received_at=receipt.received_at,
            file_sha256=receipt.file_sha256,
            byte_offset=int(self.places[index]),
            data=self.data[start : start + int(self.lengths[index])].tobytes(),
        )


class RawPackets:
    """The packet log of a lake. Any number of threads may ask, each with iterators of its own."""

    def __init__(self, lake: Lake) -> None:
        self.lake, self.archive, self.places = lake, RawArchive(lake), Places(lake)
        self._kept: OrderedDict[str, tuple[Piece, ...]] = OrderedDict()
        self._lock, self._stripes = Lock(), [Lock() for _ in range(STRIPES)]
        self._counts: dict[int, int] = {}
        self._books: tuple[datetime, pl.DataFrame] | None = None

    def end(self) -> Cursor:
        """The position behind everything that has arrived by now."""
        return Cursor(self.places.end(), 0)

    def after(self, cursor: Cursor, wanted: Wanted) -> Iterator[LoggedPacket]:
        """Packets behind a position that are asked for, up to the end as it is when this is called.

        A file that cannot be read raises UnreadableFileError, a StorageError, at its turn.
        """
        return (one for one in self.walk(cursor, wanted) if isinstance(one, LoggedPacket))

    def walk(self, cursor: Cursor, wanted: Wanted) -> Iterator[LoggedPacket | Cursor]:
        """As `after`, and between the packets the positions up to which was looked, behind each piece and each file."""
        return self._walk(cursor, wanted, self.places.end())

    def lag(self, cursor: Cursor, wanted: Wanted, now: datetime) -> Lag:
        """How far a position is behind the end. Packets are counted where the books or a reader have counted them,
        and in the file that the position is in."""
        begin, end = max(cursor.arrival, 1), self.places.end()
        known = self._known_counts(now)
        files, packets, oldest = 0, 0, None
        for place in range(begin, end):
            count = self._counts.get(place, known.get(place))
            done = cursor.number if place == cursor.arrival else 0
            if count is None and done:
                count = self._counted(place)
            if (count is not None and count <= done) or not self._fits(place, wanted):
                continue
            files, packets, oldest = files + 1, packets + (count or done) - done, oldest or place
        return Lag(files, packets, self._waiting_seconds(oldest, now))

    def _counted(self, place: int) -> int | None:
        """Packets of a file that nobody has counted; None if it cannot be read: who reads it is told."""
        try:
            self._counts[place] = sum(len(piece.offsets) for piece in self._pieces(self.places.receipt(place)))
        except StorageError:
            return None
        return self._counts[place]

    def _waiting_seconds(self, place: int | None, now: datetime) -> float:
        try:
            since = datetime.fromisoformat(self.places.receipt(place).received_at) if place is not None else now
        except StorageError:  # told by who reads it
            return 0.0
        return max(0.0, (now - since).total_seconds())

    def _fits(self, place: int, wanted: Wanted) -> bool:
        """Whether a file is of an instrument that is asked for, by its key alone; True if it has none: who reads it
        is told.
        """
        try:
            mission, instrument = self.places.stored(place).split("/")[1:3]
        except StorageError:
            return True
        return wanted.fits_file(mission, instrument)

    def _known_counts(self, now: datetime) -> dict[int, int]:
        """Packets by place, as the books have them."""
        if self._books is None or now - self._books[0] > timedelta(seconds=COUNTS_SECONDS):
            names = ("file_sha256", "name", "receipt", "arrival", "packets", "run_id")
            self._books = now, read_ops(self.lake, "files", names).drop_nulls("arrival")
        return dict(self._books[1].select("arrival", "packets").iter_rows())

    def _walk(self, cursor: Cursor, wanted: Wanted, end: int) -> Iterator[LoggedPacket | Cursor]:
        begin = max(cursor.arrival, 1)
        ranged = wanted.first is not None or wanted.last is not None
        days = _days_of_files(self.lake) if ranged and end - begin > BOOKS_PAY else {}
        for place in range(begin, end):
            behind = Cursor(place + 1, 0)
            try:
                receipt = self.places.receipt(place) if self._fits(place, wanted) else None
                if receipt is not None and may_hold(days.get(own_bytes(receipt)), wanted):
                    yield from self._file(place, receipt, cursor.number if place == cursor.arrival else 0, wanted)
            except StorageError as error:
                raise UnreadableFileError(str(error), behind) from None
            yield behind

    def _file(self, place: int, receipt: Receipt, after: int, wanted: Wanted) -> Iterator[LoggedPacket | Cursor]:
        total = 0
        for piece in self._pieces(receipt):
            total += len(piece.offsets)
            for index in piece.asked(after, wanted):
                yield piece.packet(index, place, receipt)
            yield Cursor(place, max(after, total))
        self._counts[place] = total

    def _pieces(self, receipt: Receipt) -> Iterator[Piece]:
        if receipt.bytes > SHARED_BYTES:
            yield from scanned(self.lake, receipt)
            return
        with self._stripes[int(receipt.file_sha256[:8], 16) % STRIPES]:  # the others wait, and find it there
            with self._lock:
                pieces = self._kept.get(receipt.key)
            if pieces is None:
                # What is kept are copies: the scan hands out parts of windows that are much larger than a small file.
                pieces = tuple(replace(piece, data=piece.data.copy()) for piece in scanned(self.lake, receipt))
                with self._lock:
                    self._kept[receipt.key] = pieces
                    if len(self._kept) > SHARED_FILES:
                        self._kept.popitem(last=False)
        yield from pieces


def scanned(lake: Lake, receipt: Receipt) -> Iterator[Piece]:
    """The good packets of an archived file; none if it holds records, or nothing that is defined.

    Raises DamageError if its bytes are missing or have changed, StorageError if they cannot be read.
    """
    missions = {mission.name: mission for mission in lake.definitions.missions}
    mission = missions.get(receipt.mission)
    instrument = next((i for i in mission.instruments if i.name == receipt.instrument), None) if mission else None
    if mission is None or instrument is None or not receipt.bytes:
        return
    transport = instrument.transport_of(receipt.name)
    if instrument.records_of(receipt.name) is not None or not instrument.packets or transport is None:
        return
    types, first = PacketTypes(mission, instrument, lambda *_: None), 1  # what fits no definition is ingest's to tell
    with RawArchive(lake).local(receipt) as path, reading(path):
        for chunk in packet_chunks(path, instrument.packets, transport):
            piece = _piece(types, chunk, first)
            first += len(piece.offsets)
            yield piece


def _piece(types: PacketTypes, chunk: Chunk, first: int) -> Piece:
    """The packets of a chunk that level 0 would decode, in their order."""
    tt2000, timed = np.zeros(len(chunk.offsets), np.int64), np.zeros(len(chunk.offsets), np.bool_)
    kept = np.zeros(len(chunk.offsets), np.bool_)
    for good in types.good(chunk):
        if len(good.batch.numbers):
            kept[good.batch.numbers] = True
            tt2000[good.batch.numbers], timed[good.batch.numbers] = types.times(good)
    offsets = chunk.offsets[kept].astype(np.int64)
    return Piece(
        first=first,
        data=chunk.data,
        offsets=offsets,
        lengths=chunk.lengths[kept].astype(np.int64),
        places=chunk.at[kept],
        apids=_words(chunk.data, offsets) & 0x7FF,
        counts=_words(chunk.data, offsets + 2) % SEQUENCE_COUNTS,
        tt2000=tt2000[kept],
        timed=timed[kept],
    )


def _words(data: NDArray[np.uint8], at: Int64) -> Int64:
    """The 16 bits at these places."""
    return data[at].astype(np.int64) << 8 | data[at + 1]


OwnBytes = tuple[str, str, str]  # of a file, as its instrument decodes them
Days = dict[OwnBytes, set[date]]


def own_bytes(receipt: Receipt) -> OwnBytes:
    """The bytes of a file, as those of its instrument."""
    return receipt.mission, receipt.instrument, receipt.file_sha256


def _days_of_files(lake: Lake) -> Days:
    """UTC days of the packets of files, by mission, instrument and sha256, where the books are sure to have all.

    They are where each packet type has a table with a row for each packet, and all tables are as they were decoded.
    """
    current, outdated = decoded_contents(lake)
    columns = ("mission", "instrument", "file_sha256")
    doubtful = set(outdated.select(columns).iter_rows())
    sure = {(m.name, i.name) for m in lake.definitions.missions for i in m.instruments if _has_all_rows(i)}
    days: Days = {}
    for mission, instrument, sha256, day in current.select(*columns, "day").iter_rows():
        if (mission, instrument) in sure and (mission, instrument, sha256) not in doubtful:
            days.setdefault((mission, instrument, sha256), set()).add(day)
    return days


def _has_all_rows(instrument: Instrument) -> bool:
    """Whether each packet of the instrument has a row in a table of packets."""
    return all(any(t.rows == "packet" for t in instrument.l0_tables(p.name)) for p in instrument.packets)


def may_hold(days: set[date] | None, wanted: Wanted) -> bool:
    """Whether a file with packets of these days may hold some of the time that is asked for; None: not known."""
    if days is None:
        return True
    first = _day(wanted.first) if wanted.first is not None else date.min
    last = _day(wanted.last) if wanted.last is not None else date.max
    return any(first <= day <= last for day in days)


def _day(tt2000: int) -> date:
    return EPOCH_DAY + timedelta(days=int(day_number(tt2000)))
