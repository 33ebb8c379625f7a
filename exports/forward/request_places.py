# SPDX-License-Identifier: Apache-2.0
"""Places for requests that are being received: so many at once, and a share of them for each address.

Who sent a request is known when all of it is here. Until then it may have to give way: where there are too many, the
oldest one of the address that has most is hung up on. So lines that are only held open keep nobody out.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

MOST, MOST_OF_ONE = 32, 16  # requests at once, and those of one address


class Places:
    """Requests by their lines, each with the address that it comes from, the oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._coming: dict[socket.socket, str] = {}
        self._served: dict[socket.socket, str] = {}

    def take(self, line: socket.socket, address: str) -> bool:
        """Whether there is a place for one more, if need be that of another one."""
        with self._lock:
            here = [*self._coming.values(), *self._served.values()]
            full_of_one = here.count(address) >= MOST_OF_ONE
            if full_of_one or len(here) >= MOST:
                coming = list(self._coming.values())
                fullest = address if full_of_one else max(coming, key=coming.count, default="")
                if not self._hung_up(fullest):
                    return False
            self._coming[line] = address
            return True

    def is_whole(self, line: socket.socket) -> None:
        """All of it is here, so that it is served to its end, if it was not to give way before."""
        with self._lock:
            if (address := self._coming.pop(line, None)) is not None:
                self._served[line] = address

    def leave(self, line: socket.socket) -> None:
        """It has ended."""
        with self._lock:
            self._coming.pop(line, None)
            self._served.pop(line, None)

    def _hung_up(self, address: str) -> bool:
        """Whether one of this address could be hung up on: the oldest. Its thread sees that, and ends."""
        oldest = next((line for line, one in self._coming.items() if one == address), None)
        if oldest is None:
            return False
        del self._coming[oldest]
        with suppress(OSError):
            socket.socket.shutdown(oldest, socket.SHUT_RDWR)
        return True
