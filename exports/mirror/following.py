# SPDX-License-Identifier: Apache-2.0
"""Following a source: its listing every so often, its events in between, and what failed when its time has come."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic, sleep

from exports.mirror.round import WHO, Mirror, Round
from exports.mirror.settings import MirrorSettings
from exports.mirror.state import State
from lake.clock import utc_now
from lake.errors import WayError
from lake.health import Health
from lake.queues import Batch, EventQueue, Listener

log = logging.getLogger(__name__)

NAP_SECONDS = 10.0  # between two looks at what has to be tried again, and two heartbeats
AGAIN_SECONDS = 30.0  # after a round that could not be finished


def listener_of(settings: MirrorSettings) -> Listener | None:
    """Who listens to the source's events; None if there is no queue of them."""
    source = settings.source
    if source.queue is None or source.s3 is None:
        return None
    return Listener(EventQueue(WHO, source.queue, source.s3))


def follow(mirror: Mirror, listener: Listener | None, health: Health, tell: Callable[[Round, State], None]) -> None:
    """Make rounds until KeyboardInterrupt; `tell` hears of each. Messages are deleted when their files are here, or
    written down to be tried again.

    Raises StorageError if the ledger cannot be written, so that whoever runs this starts it anew.
    """
    sweep_at = monotonic()
    while True:
        health.beat()
        batch: Batch | None = None
        paths: frozenset[str] | None = None
        if (left := sweep_at - monotonic()) > 0:
            batch = _news(listener, min(NAP_SECONDS, left))
            paths = mirror.state.due(utc_now()) | (batch.paths if batch is not None else frozenset())
        if paths is None or paths:
            done = mirror.round(utc_now(), paths)
            sweep_at = _next_sweep(sweep_at, paths, done, mirror.settings.every_seconds)
            tell(done, mirror.state)
            if not done.is_complete:
                _release(listener, batch)
                continue
        if batch is not None and listener is not None:
            _delete(listener, batch)


def _next_sweep(sweep_at: float, paths: frozenset[str] | None, done: Round, every: float) -> float:
    """When all is listed next; soon if a round could not be finished."""
    if not done.is_complete:
        return monotonic() + min(AGAIN_SECONDS, every)
    return monotonic() + every if paths is None else sweep_at


def _news(listener: Listener | None, seconds: float) -> Batch | None:
    """Events that came in; an error of the queue is logged, as the listing goes on without it."""
    if listener is None:
        sleep(seconds)
        return None
    try:
        return listener.next(seconds)
    except WayError as error:
        log.warning("%s The source is listed nevertheless.", error)
        return None


def _release(listener: Listener | None, batch: Batch | None) -> None:
    """Let messages come again, whose files nobody has looked at."""
    if batch is not None and listener is not None:
        listener.queue.release(batch.receipts)


def _delete(listener: Listener, batch: Batch) -> None:
    try:
        listener.queue.delete(batch.receipts)
    except WayError as error:
        log.warning("%s The messages come again, which does no harm.", error)
