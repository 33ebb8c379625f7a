# SPDX-License-Identifier: Apache-2.0
"""The packets of a lake as one log: in the order in which their files arrived, and within a file as they lie there.

The log is a way to read `raw/`, nothing is stored for it. `ingest.packets` reads it, `exports.forward` gives it on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from lake.errors import StorageError


class Cursor(NamedTuple):
    """A position between two packets: behind the packet `number` (from 1) of the file at `arrival` (from 1).

    Cursor(0, 0) is the beginning; (7, 0) is before the first packet of the seventh file.
    """

    arrival: int
    number: int

    def __str__(self) -> str:
        """As people write it: 7.120."""
        return f"{self.arrival}.{self.number}"


BEGINNING = Cursor(0, 0)


@dataclass(frozen=True)
class LoggedPacket:
    """A whole packet as it was sent: primary header, secondary header, data, checksum.

    cursor : the position behind it. epoch_tt2000 : its time, or None if its clock tells none.
    """

    cursor: Cursor
    mission: str
    instrument: str
    apid: int
    sequence_count: int
    epoch_tt2000: int | None
    received_at: str
    file_sha256: str
    byte_offset: int
    data: bytes

    @property
    def id(self) -> str:
        """The same for the same packet of the same file, whoever asks and whenever: for dropping repetitions."""
        return f"{self.file_sha256[:32]}-{self.cursor.number}"


@dataclass(frozen=True)
class Wanted:
    """Which packets are asked for; what is empty asks for all. `first` and `last` are TT2000, half-open.

    Packets without a time are left out where `first` or `last` is given.
    """

    missions: frozenset[str] = frozenset()
    instruments: frozenset[str] = frozenset()
    apids: frozenset[int] = frozenset()
    first: int | None = None
    last: int | None = None

    def fits_file(self, mission: str, instrument: str) -> bool:
        """Whether packets of a file of this instrument are asked for."""
        wanted = ((self.missions, mission), (self.instruments, instrument))
        return all(not names or name in names for names, name in wanted)


class UnreadableFileError(StorageError):
    """A file of the log that cannot be read now; `behind` is the position behind it, for who goes on without it."""

    def __init__(self, message: str, behind: Cursor) -> None:
        super().__init__(message)
        self.behind = behind

    @property
    def beginning(self) -> Cursor:
        """The position before its first packet."""
        return Cursor(self.behind.arrival - 1, 0)


class Lag(NamedTuple):
    """How far a position is behind the end of the log: files, their packets as far as they were counted, and for how
    many seconds the first of them has been there. Packets are those of whole files: APIDs are not looked at.
    """

    files: int
    packets: int
    seconds: float


class PacketLog(Protocol):
    """The packets of a lake."""

    def end(self) -> Cursor:
        """The position behind everything that has arrived by now."""

    def after(self, cursor: Cursor, wanted: Wanted) -> Iterator[LoggedPacket]:
        """Packets behind a position that are asked for, up to the end as it is when this is called.

        A file that cannot be read raises UnreadableFileError, a StorageError, at its turn.
        """

    def walk(self, cursor: Cursor, wanted: Wanted) -> Iterator[LoggedPacket | Cursor]:
        """As `after`, and between the packets the positions up to which was looked, at least one behind each file."""

    def lag(self, cursor: Cursor, wanted: Wanted, now: datetime) -> Lag:
        """How far a position is behind the end."""
