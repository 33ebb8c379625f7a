# SPDX-License-Identifier: Apache-2.0
"""A file that packets are appended to, one behind the other, as the spacecraft sent them.

It ends with a whole packet, whatever happens: what a full disk or a crash leaves of one is cut off before anything is
put behind it. What was cut was never confirmed, and comes again.
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import stat
from pathlib import Path

from exports.forward.wire import Frame
from lake.errors import ConfigurationError

# Of a packet's primary header, CCSDS 133.0-B-2, section 4.1.3: its length, the version in the first three bits, the
# sequence flags in the first two bits of the third octet, and the octets behind it less one in the last two.
HEADER_BYTES, VERSION_SHIFT, WHOLE_FLAGS = 6, 5, 3
WRITE_BYTES = 1 << 20  # that wait to be written at most
log = logging.getLogger(__name__)


class PacketFile:
    """The file, open for this process alone. `cut` says what was cut off when it was opened; empty if nothing was.

    Raises ConfigurationError if another process appends to it, or if it holds something else than packets; OSError.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.cut = path, ""
        self.handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            self._claim()
            self.settled = self._mended() if stat.S_ISREG(os.fstat(self.handle).st_mode) else 0
        except BaseException:
            os.close(self.handle)
            raise
        self._waiting = bytearray()

    def take(self, frame: Frame) -> None:
        """Append a packet."""
        self._waiting += frame.data
        if len(self._waiting) > WRITE_BYTES:
            self._write()

    def settle(self) -> None:
        """Wait until what was appended would survive a power loss. Raises OSError; then the file ends as before."""
        self._write()
        try:
            os.fsync(self.handle)
        except OSError:
            self._cut_back()
            raise
        self.settled = os.fstat(self.handle).st_size

    def close(self) -> None:
        """Append what waits, and close it."""
        try:
            if self._waiting:
                self.settle()
        finally:
            os.close(self.handle)

    def _write(self) -> None:
        left = memoryview(bytes(self._waiting))
        self._waiting.clear()
        try:
            while left:  # a disk that becomes full takes a part, and refuses the rest
                left = left[os.write(self.handle, left) :]
        except OSError:
            self._cut_back()
            raise

    def _cut_back(self) -> None:
        """Leave what was settled alone: what is behind it was not confirmed, and may end within a packet."""
        cut = os.fstat(self.handle).st_size - self.settled
        os.ftruncate(self.handle, self.settled)
        log.warning("%s: %d bytes that were not on disk were cut off. They come again.", self.path, cut)

    def _claim(self) -> None:
        try:
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(f"{self.path}: another process appends to it. Name another file.") from None

    def _mended(self) -> int:
        """The size of the file after what a crash left of a packet was cut off. Raises ConfigurationError."""
        size = os.fstat(self.handle).st_size
        if size == 0:
            return 0
        with mmap.mmap(self.handle, size, access=mmap.ACCESS_READ) as octets:
            end, wrong, joined = last_whole(octets)
        if end == size:
            return size
        if joined:
            self.cut = (
                f"{self.path}: has packets of joined parts, so that it cannot be seen whether the last one is whole"
            )
            return size
        if wrong or not end:
            what = f"at byte {end} there is no packet" if wrong else "it holds no whole packet"
            raise ConfigurationError(f"{self.path}: {what}. Name another file, or remove this one.")
        os.ftruncate(self.handle, end)
        self.cut = f"{self.path}: {size - end} bytes of a packet that was not whole were cut off its end"
        return end


def last_whole(octets: bytes | mmap.mmap) -> tuple[int, bool, bool]:
    """Where the last whole packet ends; whether what follows it is none; whether packets of joined parts were met.

    The header of such a packet is that of its first part, so that its length says nothing of the whole.
    """
    at, size, joined = 0, len(octets), False
    while at + HEADER_BYTES <= size:
        if octets[at] >> VERSION_SHIFT:
            return at, True, joined
        joined = joined or octets[at + 2] >> 6 != WHOLE_FLAGS
        following = at + HEADER_BYTES + (octets[at + 4] << 8 | octets[at + 5]) + 1
        if following > size:
            break
        at = following
    return at, False, joined
