# SPDX-License-Identifier: Apache-2.0
"""The lines of a file in blocks of bounded size, with the offset and number of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ingest.record.piece import BadRow

BLOCK_BYTES = 4 << 20
LONGEST_BYTES = 1 << 20  # a record; what runs on without an end is none
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Block:
    """Whole lines of a file: bytes, the offset of the first, the number of its line from 1.

    The last line of a file may have no newline. No record that begins in the block goes on behind it if it is `closed`.
    """

    data: bytes
    base: int
    first: int
    closed: bool

    def bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where each line starts, and where it stops, its newline included."""
        ends = np.flatnonzero(np.frombuffer(self.data, np.uint8) == ord("\n")) + 1
        if not len(ends) or ends[-1] != len(self.data):
            ends = np.append(ends, len(self.data))
        return np.concatenate([[0], ends[:-1]]), ends


class LineReader:
    """Reads lines. Those longer than a record may be are noted in `too_long` where they do not fit a block."""

    def __init__(self, stream: BinaryIO, block_bytes: int = BLOCK_BYTES) -> None:
        self.stream, self.block_bytes = stream, block_bytes
        self.carry, self.base, self.line = b"", 0, 1
        self.too_long: list[BadRow] = []

    def blocks(self) -> Iterator[Block]:
        """All blocks; none is empty."""
        ended = False
        while not ended:
            more = self.stream.read(self.block_bytes)
            self.carry += more
            if len(self.carry) > LONGEST_BYTES + 1 and b"\n" not in self.carry[: LONGEST_BYTES + 1]:
                self._leave_out()
                continue
            ended = not more
            size = len(self.carry) if ended else self.carry.rfind(b"\n") + 1
            if size:
                data, self.carry = self.carry[:size], self.carry[size:]
                block = Block(data, self.base, self.line, ended or len(self.carry) > LONGEST_BYTES)
                self.base, self.line = self.base + size, self.line + data.count(b"\n")
                yield block

    def unread(self, rest: bytes) -> None:
        """Let the end of the last block come again at the start of the next, with what follows it."""
        self.carry = rest + self.carry
        self.base, self.line = self.base - len(rest), self.line - rest.count(b"\n")

    def _leave_out(self) -> None:
        """Go on behind the line that comes next."""
        seen = 0
        while (end := self.carry.find(b"\n")) < 0 and self.carry:
            seen += len(self.carry)
            self.carry = self.stream.read(self.block_bytes)
        self.too_long.append(too_long(self.base, seen + end + 1, self.line))
        self.carry = self.carry[end + 1 :]
        self.base, self.line = self.base + seen + end + 1, self.line + 1


def too_long(offset: int, length: int, number: int) -> BadRow:
    """The bad row that a line of more than LONGEST_BYTES and its newline is."""
    return BadRow(
        offset, length, f"row {number}: {length} bytes without a newline; a record has {LONGEST_BYTES} at most"
    )
