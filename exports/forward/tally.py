# SPDX-License-Identifier: Apache-2.0
"""The account of one client while it is pushed to, asked for now and then by the thread that keeps the books."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from exports.forward.nouns import Batch, Given, PushState
from lake.packet_log import BEGINNING, Cursor


@dataclass
class Tally:
    """What was given since it was last asked; two threads use it."""

    client: str
    way: str
    clock: Callable[[], datetime]
    began: Cursor | None = None
    cursor: Cursor = BEGINNING
    packets: int = 0
    bytes: int = 0
    products: int = 0
    replay: bool = False
    state: PushState = "done"
    detail: str = ""
    started_at: datetime = field(init=False)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """It begins now."""
        self.started_at = self.clock()

    def at(self, cursor: Cursor) -> None:
        """Note where the client is."""
        with self.lock:
            self.began = self.began or cursor
            self.cursor = cursor

    def took(self, batch: Batch) -> None:
        """Note that it has taken a batch."""
        with self.lock:
            self.packets += len(batch.packets)
            self.bytes += batch.bytes
        self.well()

    def told(self) -> None:
        """Note that it was told of a product."""
        with self.lock:
            self.products += 1

    def well(self) -> None:
        """Note that nothing is wrong any more; that something was given up is still to be told."""
        with self.lock:
            if self.state != "given_up":
                self.state, self.detail = "done", ""

    def say(self, state: PushState, detail: str) -> None:
        """Note how it stands."""
        with self.lock:
            self.state, self.detail = state, detail

    def take(self) -> Given:
        """All this, after which it counts anew; how the client stands remains, but what was told of once."""
        now = self.clock()
        with self.lock:
            began = self.began or self.cursor
            given = Given(
                self.client,
                self.way,
                began,
                self.cursor,
                self.packets,
                self.bytes,
                self.started_at,
                now,
                self.state,
                self.detail,
                self.products,
                self.replay,
            )
            self.began, self.packets, self.bytes, self.products, self.started_at = self.cursor, 0, 0, 0, now
            if self.state == "given_up":
                self.state, self.detail = "done", ""
            return given
