# SPDX-License-Identifier: Apache-2.0
"""The bodies of uploads: written aside as they come and hashed meanwhile, at no less than a least rate."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.requests import ClientDisconnect

from ingest.sources.upload_requests import Announced, Refusal
from ingest.sources.upload_settings import UploadSettings
from ingest.sources.whole import FULL
from lake.ways.names import SLOWEST_BYTES_PER_SECOND

RETRY_SECONDS = 30  # after which a sender may try again: a disk is freed, and a backlog landed, in minutes
COPIES = 2  # of a file while it lands, at most: what was received, and what goes to the archive


class Room:
    """How much is under way, and whether there is room for more."""

    def __init__(self, settings: UploadSettings) -> None:
        self.settings, self.bytes, self.closing = settings, 0, False
        self._limits = set[asyncio.Timeout]()

    @contextmanager
    def taken(self, size: int, folder: Path) -> Iterator[None]:
        """Room for a file in a folder, for the block. Raises Refusal if there is none."""
        disk, need = shutil.disk_usage(folder), COPIES * size + self.settings.keep_free_bytes
        if self.closing:
            raise stopping()
        if need > disk.total:
            raise Refusal(507, "NO_ROOM", "there will be no room for a file of this size. Ask the lake's keeper")
        if need + COPIES * self.bytes > disk.free:
            raise Refusal(503, "DISK_FULL", "the disk is nearly full. Repeat later", RETRY_SECONDS)
        if self.bytes and self.bytes + size > self.settings.max_waiting_bytes:
            raise Refusal(503, "BUSY", "too much is under way. Repeat later", RETRY_SECONDS)
        self.bytes += size
        try:
            yield
        finally:
            self.bytes -= size

    def close(self) -> None:
        """End all bodies that are still coming, and take no more."""
        self.closing = True
        for limit in self._limits:
            limit.reschedule(0)

    @contextmanager
    def listed(self, limit: asyncio.Timeout) -> Iterator[None]:
        """Have a time limit among those that `close` ends."""
        self._limits.add(limit)
        try:
            yield
        finally:
            self._limits.discard(limit)


async def receive_body(blocks: AsyncIterator[bytes], announced: Announced, target: Path, room: Room) -> None:
    """Write a body to a new file. Raises Refusal if it comes too slowly, is not what was announced, or finds no room.

    It is not synced here: landing syncs what it archives before anything is answered.
    """
    digest, done = hashlib.sha256(), 0
    try:
        with target.open("xb") as file:
            async for block in _paced(blocks, room):
                done += len(block)
                if done > announced.bytes:
                    raise Refusal(413, "TOO_LARGE", "more bytes came than were announced. Send it anew")
                digest.update(block)
                file.write(block)
    except OSError as error:
        if error.errno in FULL:
            raise Refusal(507, "NO_ROOM", "the disk is full. Ask the lake's keeper", RETRY_SECONDS) from None
        raise Refusal(503, "DISK_FAILED", "the disk fails. Ask the lake's keeper", RETRY_SECONDS) from None
    if done != announced.bytes or digest.hexdigest() != announced.sha256:
        what = f"{done} bytes with the sha256 {digest.hexdigest()} came, and other ones were announced"
        raise Refusal(422, "BAD_DIGEST", f"{what}. Send it anew")


async def _paced(blocks: AsyncIterator[bytes], room: Room) -> AsyncIterator[bytes]:
    """The blocks of a body as long as they come in time. Raises Refusal."""
    settings, started, done = room.settings, asyncio.get_running_loop().time(), 0
    try:
        while True:
            most = min(settings.request_seconds, settings.seconds + done / SLOWEST_BYTES_PER_SECOND)
            async with asyncio.timeout_at(started + most) as limit:
                with room.listed(limit):
                    block = await anext(blocks, None)
            if block is None:
                return
            done += len(block)
            yield block
    except TimeoutError:
        if room.closing:
            raise stopping() from None
        raise Refusal(408, "TOO_SLOW", f"only {done} bytes came in time. Send it anew over a faster link") from None
    except ClientDisconnect:
        raise Refusal(400, "CUT_OFF", f"the connection ended after {done} bytes. Send it anew") from None


def stopping() -> Refusal:
    """What a sender is told whose upload does not come to its end here."""
    return Refusal(503, "STOPPING", "the server stops. Repeat later", RETRY_SECONDS)
