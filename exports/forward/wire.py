# SPDX-License-Identifier: Apache-2.0
"""What goes over the line between the packet server and its clients; docs/how-to/forward-packets.md describes it.

The client says in one line of JSON who it is and what it wants, and is answered in one line. Then frames follow: four
bytes with the length of what comes behind them, two with that of the header, the header in JSON, and the packet, if it
is one. Back go lines of JSON that confirm positions. All numbers are big-endian.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, NamedTuple

from pydantic import Field, ValidationError, field_validator

from exports.forward.pacing import Speed, parse_speed
from exports.utc import iso_utc
from lake.clock import NS, tt2000_from_unix_ns
from lake.packet_log import Cursor, LoggedPacket, Wanted
from lake.setting_files import Setting

VERSION = 1
LONGEST_LINE = 65_536  # of a greeting with all APIDs there are; a confirmation has some 30 characters
LONGEST_FRAME = (1 << 26) + LONGEST_LINE  # the longest packet that is joined from parts (ingest.limits), and its header
FROM_CURSOR, NOW, FROM_START = "cursor", "now", "beginning"
POSITION = re.compile(r"(\d{1,12})\.(\d{1,12})")
SHARED_FRAMES, SHARED_BYTES = 2048, 4096  # newest packets, of so many bytes at most: 20 MB
LEAP_SECOND = re.compile(r"([^:]*:\d\d:)60(.*)")
YEARS = 1900, 2200  # nanoseconds count no farther

Position = Cursor | int | str  # a cursor, a time in TT2000, or one of the three words


class WireError(Exception):
    """What came over the line is not what was agreed; the text says what, and may be sent back."""


class BusyError(WireError):
    """There is no place for a client now; it may come again."""


def parse_cursor(text: str) -> Cursor:
    """A cursor as it is written, 7.120. Raises ValueError."""
    found = POSITION.fullmatch(text)
    if not found:
        raise ValueError("is no position; write it as 7.120")
    return Cursor(int(found[1]), int(found[2]))


def parse_time(text: str) -> int:
    """TT2000 of a time in ISO 8601, UTC unless it says otherwise.

    Raises ValueError, also for a second 60 that is no leap second.
    """
    if (leap := LEAP_SECOND.fullmatch(text)) is not None:
        before = parse_time(f"{leap[1]}59{leap[2]}") + NS
        if ":60." not in iso_utc(before):
            raise ValueError("is no time, for that minute has no leap second")
        return before
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or not YEARS[0] <= time.year < YEARS[1]:
        raise ValueError("is no time; write it in UTC as 2024-09-16T12:00:00Z")
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time
    since = time - datetime(1970, 1, 1, tzinfo=UTC)
    return int(tt2000_from_unix_ns(((since.days * 86_400 + since.seconds) * 10**6 + since.microseconds) * 1000))


def parse_position(text: str) -> Position:
    """Where a client wants to begin. Raises ValueError."""
    if text in (FROM_CURSOR, NOW, FROM_START):
        return text
    if POSITION.fullmatch(text):
        return parse_cursor(text)
    try:
        return parse_time(text)
    except ValueError:
        raise ValueError(
            f"is none of {FROM_CURSOR}, {NOW}, {FROM_START}, 7.120 (a position), 2024-09-16T12:00:00Z (a time)"
        ) from None


class Hello(Setting):
    """What a client asks for; docs/how-to/forward-packets.md has all keys. What is empty asks for all."""

    client: str = Field(max_length=64)
    token: str = Field(default="", max_length=4096, repr=False)
    start: str = Field(default=FROM_CURSOR, max_length=64, alias="from")
    stop: str | None = Field(default=None, max_length=64, alias="to")
    after: str | None = Field(default=None, max_length=64)
    speed: float | str = "full"
    missions: frozenset[str] = frozenset()
    instruments: frozenset[str] = frozenset()
    apids: frozenset[Annotated[int, Field(ge=0, le=2047, strict=True)]] = frozenset()
    ack: bool = True
    version: int = Field(default=VERSION, ge=VERSION, le=VERSION)

    @field_validator("start")
    @classmethod
    def _is_position(cls, text: str) -> str:
        parse_position(text)
        return text

    @field_validator("stop")
    @classmethod
    def _is_time(cls, text: str | None) -> str | None:
        if text is not None:
            parse_time(text)
        return text

    @field_validator("after")
    @classmethod
    def _is_cursor(cls, text: str | None) -> str | None:
        if text is not None:
            parse_cursor(text)
        return text

    @field_validator("speed")
    @classmethod
    def _is_speed(cls, value: float | str) -> float | str:
        parse_speed(value)
        return value

    @property
    def position(self) -> Position:
        """Where it wants to begin."""
        return parse_position(self.start)

    @property
    def pace(self) -> Speed:
        """How fast it wants packets to come."""
        return parse_speed(self.speed)

    @property
    def moves_cursor(self) -> bool:
        """Whether what it confirms is noted as its cursor: a replay never is."""
        replay = self.stop is not None or self.after is not None or self.pace is not None
        return self.ack and self.start == FROM_CURSOR and not replay

    def wanted(self, allowed: Wanted) -> Wanted:
        """What it gets: what it asks for of what it may have. Raises WireError if it asks for more."""
        first = self.position if isinstance(self.position, int) else None
        return Wanted(
            _within("missions", self.missions, allowed.missions),
            _within("instruments", self.instruments, allowed.instruments),
            _within("apids", self.apids, allowed.apids),
            first,
            parse_time(self.stop) if self.stop is not None else None,
        )


def _within(what: str, asked: frozenset[Any], allowed: frozenset[Any]) -> frozenset[Any]:
    if asked and allowed and asked - allowed:
        more = ", ".join(sorted(map(str, asked - allowed))[:5])
        raise WireError(f"{what}: {more[:200]!r} is not among what this client may have")
    return asked or allowed


def read_hello(line: bytes) -> Hello:
    """The greeting of a client. Raises WireError; what it says shows no value, for one is a secret."""
    try:
        return Hello.model_validate(read_line(line))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"])
        what = first["ctx"]["error"] if first["type"] == "value_error" else first["msg"].lower()
        raise WireError(f"{where}: {what}") from None


def read_line(line: bytes) -> dict[str, Any]:
    """A line of JSON. Raises WireError."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise WireError("a line is no JSON object")
    return content


def line(content: Mapping[str, Any]) -> bytes:
    """A line of JSON."""
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def frame(header: Mapping[str, Any], data: bytes = b"") -> bytes:
    """A frame."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return (2 + len(text) + len(data)).to_bytes(4) + len(text).to_bytes(2) + text + data


def packet_frame(packet: LoggedPacket) -> bytes:
    """A frame with a packet."""
    return _shared_frame(packet) if len(packet.data) <= SHARED_BYTES else _packet_frame(packet)


@lru_cache(SHARED_FRAMES)
def _shared_frame(packet: LoggedPacket) -> bytes:
    """The same for all who follow: to make it anew for each of twenty would be most of their cost."""
    return _packet_frame(packet)


def _packet_frame(packet: LoggedPacket) -> bytes:
    epoch = packet.epoch_tt2000
    header = {
        "kind": "packet",
        "cursor": str(packet.cursor),
        "id": packet.id,
        "mission": packet.mission,
        "instrument": packet.instrument,
        "apid": packet.apid,
        "count": packet.sequence_count,
        "time": iso_utc(epoch) + "Z" if epoch is not None else None,
        "epoch_tt2000": epoch,
        "received_at": packet.received_at,
    }
    return frame(header, packet.data)


class Frame(NamedTuple):
    """A frame as it is read."""

    header: dict[str, Any]
    data: bytes

    @property
    def kind(self) -> str:
        """What it is: packet, alive, unreadable or end."""
        return str(self.header.get("kind"))

    @property
    def cursor(self) -> str:
        """The position behind it, to be confirmed; empty if it has none."""
        return str(self.header.get("cursor") or "")


@dataclass
class FrameReader:
    """Frames out of bytes that come in pieces of any size."""

    waiting: bytearray

    def feed(self, octets: bytes) -> list[Frame]:
        """The frames that these bytes complete. Raises WireError."""
        self.waiting += octets
        found, at = [], 0
        while len(self.waiting) - at >= 4:
            length = int.from_bytes(self.waiting[at : at + 4])
            if not 2 <= length <= LONGEST_FRAME:
                raise WireError(f"a frame of {length} bytes")
            if len(self.waiting) - at - 4 < length:
                break
            found.append(_frame(bytes(self.waiting[at + 4 : at + 4 + length])))
            at += 4 + length
        del self.waiting[:at]
        return found


def _frame(body: bytes) -> Frame:
    end = 2 + int.from_bytes(body[:2])
    if end > len(body):
        raise WireError("the header of a frame is longer than the frame")
    return Frame(read_line(body[2:end]), body[end:])
