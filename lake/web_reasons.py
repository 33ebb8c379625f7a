# SPDX-License-Identifier: Apache-2.0
"""The words beside the status in the first line of an answer over HTTP, as an application wants them.

ASGI has no place for them, and uvicorn always writes the usual ones. An application that wants more gives them in the
header REASON: they follow the usual words, and the header is not sent.
"""

from __future__ import annotations

from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

REASON = b"x-reason-phrase"


class _Connection(h11.Connection):
    """A connection that puts the words in their place."""

    def send(self, event: Any) -> Any:
        """The bytes of an event."""
        if isinstance(event, h11.Response):
            words = next((value for name, value in event.headers if name == REASON), None)
            if words is not None:
                headers = [(name, value) for name, value in event.headers.raw_items() if name.lower() != REASON]
                reason = bytes(event.reason) + b"; " + words
                event = h11.Response(status_code=event.status_code, headers=headers, reason=reason)
        return super().send(event)


class ReasonedProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, with the reasons of applications."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        size = self.config.h11_max_incomplete_event_size
        self.conn = _Connection(h11.SERVER, *([] if size is None else [size]))
