# SPDX-License-Identifier: Apache-2.0
"""What a push is made of: batches of packets, what a client answers to one, and what came of it all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

from lake.packet_log import Cursor, LoggedPacket

REPLAY = "Moved no cursor."  # begins what ops.forwards says of packets that are given again, or to who keeps none
PushState = Literal["done", "waiting", "failed", "given_up", "gone", "busy"]


@dataclass(frozen=True)
class Batch:
    """Packets of one raw file that go in one message or file; never none.

    `again` sets a replay apart from what was sent before; it is empty for what is sent the first time.
    """

    client: str
    packets: tuple[LoggedPacket, ...]
    again: str = ""

    @property
    def before(self) -> Cursor:
        """The position right before the first packet."""
        first = self.packets[0].cursor
        return Cursor(first.arrival, first.number - 1)

    @property
    def last(self) -> Cursor:
        """The position behind the last packet."""
        return self.packets[-1].cursor

    @property
    def bytes(self) -> int:
        """Bytes of the packets."""
        return sum(len(packet.data) for packet in self.packets)

    @property
    def id(self) -> str:
        """The same whenever the same packets go to the same client, so that a receiver can drop repetitions."""
        parts = (self.client, self.again, str(self.before), str(self.last), *(packet.id for packet in self.packets))
        return f"msg_{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:32]}"


class Answer(NamedTuple):
    """What a client answers to a batch.

    reason : why it was not taken, in words. after_seconds : how long the client asks to be left alone.
    gone : it wants nothing any more.
    """

    taken: bool
    reason: str = ""
    after_seconds: float = 0.0
    gone: bool = False


class Sink(Protocol):
    """Where the packets of one client go."""

    def send(self, batch: Batch) -> Answer:
        """Send a batch; what went wrong is in the answer."""

    def close(self) -> None:
        """Let go of the connection; the next batch opens a new one."""


@dataclass(frozen=True)
class Given:
    """What a push gave to one client.

    state : done, waiting (for its next try), failed (it did not take something, which is tried again), given_up
        (something was put aside as a dead letter), gone (it wants nothing any more), busy (another push is at work).
    replay : packets of a range of time, which moved no cursor.
    """

    client: str
    way: str
    began: Cursor
    cursor: Cursor
    packets: int
    bytes: int
    started_at: datetime
    ended_at: datetime
    state: PushState
    detail: str = ""
    products: int = 0
    replay: bool = False

    @property
    def problem(self) -> str | None:
        """A line if something did not go as it should."""
        bad = self.state in ("failed", "waiting", "given_up", "gone")
        return f"{self.detail or f'client {self.client}: {self.state}'}" if bad else None

    def joined(self, later: Given) -> Given:
        """What was given in a stretch and in the one right after it."""
        quiet = later.state == "done" and self.state == "given_up"
        told = self if quiet else later
        return replace(
            later,
            began=self.began,
            started_at=self.started_at,
            packets=self.packets + later.packets,
            bytes=self.bytes + later.bytes,
            products=self.products + later.products,
            state=told.state,
            detail=told.detail,
        )

    @property
    def is_worth_a_row(self) -> bool:
        """Whether ops.forwards should know of it: a push at which nothing happened is none."""
        return self.packets + self.products > 0 or self.state in ("failed", "given_up", "gone")

    def row(self, run_id: str) -> dict[str, Any]:
        """As a row of ops.forwards."""
        told = f"Told of {self.products} products." if self.products else ""
        again = REPLAY if self.replay else ""
        return {
            "client": self.client,
            "way": self.way,
            "from_cursor": str(self.began),
            "to_cursor": str(self.cursor),
            "packets": self.packets,
            "bytes": self.bytes,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "state": "failed" if self.state in ("gone", "waiting", "busy") else self.state,
            "detail": " ".join(filter(None, (again, self.detail, told))),
            "run_id": run_id,
        }


@dataclass(frozen=True)
class Pushed:
    """What a push gave to everybody."""

    clients: tuple[Given, ...]

    @property
    def notes(self) -> list[str]:
        """A line for each client that another push is at work for, which is no problem."""
        return [one.detail for one in self.clients if one.state == "busy"]

    @property
    def problems(self) -> list[str]:
        """A line for each client that did not get all."""
        return [line for one in self.clients if (line := one.problem) is not None]
