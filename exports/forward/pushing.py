# SPDX-License-Identifier: Apache-2.0
"""A push: each client gets what it has not got yet, in a thread of its own, so that none waits for another.

What a client has taken is noted before the next batch is sent. After a crash in between it gets that batch once more,
under the same id.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf

from exports.forward.nouns import Given, Pushed
from exports.forward.pacing import Speed
from exports.forward.settings import Client, ForwardSettings, check_forward_settings
from exports.forward.sinks import check_place
from exports.forward.visit import Visit
from lake.errors import ConfigurationError
from lake.ledger import new_run_id
from lake.packet_log import PacketLog
from lake.presence import Presence
from lake.setting_files import check_lake, near
from lake.store import Lake
from lake.tables import append_ops

BEAT_SECONDS, ROWS_SECONDS = 1.0, 60.0  # between beats; between commits of ops.forwards while following
POLL_SECONDS = 0.1  # between looks whether all shall end
END_SECONDS = 1.5  # how long threads are waited for when all shall end; a message on its way is sent again
DIED = "its thread has died of an error of ours, which the log has. Report it, and push again."

log = logging.getLogger(__name__)


def _nothing(pushed: Pushed) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Once:
    """What has not been given yet, up to the end as it is now, or until `stop` is set."""

    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Follow:
    """Going on with what arrives, until `stop` is set. `heard` is told, each second, what was given since."""

    stop: threading.Event
    heard: Callable[[Pushed], object] = _nothing
    every_seconds: float = 1.0


@dataclass(frozen=True)
class Again:
    """A range of time that is given once more, TT2000, half-open; None is open. `speed` as in pacing.

    stop : ends it early when it is set; each client then has all up to the cursor that is told.
    """

    first: int | None = None
    last: int | None = None
    speed: Speed = None
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass
class _Running:
    """Clients that are being served."""

    visits: list[Visit]
    stop: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, work: Callable[[Visit], None]) -> None:
        """Start them all. The threads end with the process, whatever they wait for."""

        def whole(visit: Visit) -> None:
            work(visit)
            visit.finished = True

        for visit in self.visits:
            visit.stop = self.stop
            thread = threading.Thread(target=whole, args=(visit,), name=f"forward {visit.name}", daemon=True)
            thread.start()
            self.threads.append(thread)

    def goes_on(self, seconds: float = inf) -> bool:
        """Whether any is still at work, and is to go on, after so many seconds; sooner if not.

        `stop` is looked at and not waited for: a signal that sets it may come while this holds its lock.
        """
        until = time.monotonic() + seconds
        while any(thread.is_alive() for thread in self.threads) and not self.stop.is_set():
            if (left := until - time.monotonic()) <= 0:
                return True
            self.end(min(left, POLL_SECONDS))
        return False

    def end(self, seconds: float) -> None:
        """Wait for them no longer than this, all together."""
        until = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0.0, until - time.monotonic()))

    def take(self) -> Pushed:
        """What they have given since this was last asked. One whose thread has died is failed, the others go on."""
        for thread, visit in zip(self.threads, self.visits, strict=True):
            if not thread.is_alive() and not visit.finished:
                visit.tally.say("failed", f"client {visit.name}: {DIED}")
        return Pushed(tuple(visit.tally.take() for visit in self.visits))


def push(
    lake: Lake,
    log: PacketLog,
    settings: ForwardSettings,
    now: datetime,
    only: Sequence[str] | None = None,
    how: Once | Again | Follow | None = None,
) -> Pushed:
    """Give all pushed clients, or `only` these, what they have not got yet; what came of it, also in ops.forwards.

    only : clients that are named are tried even if their time for the next try has not come, or they were gone.
    how : once, if nothing is said. Again: packets of a range of time once more instead; cursors stay. Follow: go on
        with what arrives; what was given before the last minute is in ops.forwards already.

    Raises ConfigurationError if the settings are of another lake, ask for what is not defined, or lack a client.
    """
    visits = _visits(lake, log, settings, now, only)
    if isinstance(how, Follow):
        return _followed(lake, visits, how, now)
    if isinstance(how, Again):
        return _done(lake, visits, lambda visit: visit.again(how.first, how.last, how.speed), how.stop, now)
    return _done(lake, visits, Visit.once, (how or Once()).stop, now)


def push_dead(
    lake: Lake, log: PacketLog, settings: ForwardSettings, now: datetime, client: str, how: Once | None = None
) -> Pushed:
    """Give a client its dead letters once more; those that it takes are none any more. Raises as `push`."""
    return _done(lake, _visits(lake, log, settings, now, [client]), Visit.revive, (how or Once()).stop, now)


def pushed_clients(settings: ForwardSettings, only: Sequence[str] | None = None) -> dict[str, Client]:
    """The clients that are pushed to, by name; raises ConfigurationError for one of `only` that is not."""
    clients = {name: client for name, client in settings.clients.items() if not client.subscriber}
    for name in only or ():
        if name not in settings.clients:
            raise ConfigurationError(f"client {name!r}: is not in the settings{near(name, clients)}")
        if name not in clients:
            raise ConfigurationError(f"client {name}: is a subscriber, who connects to `swxlake forward serve`.")
    return {name: client for name, client in clients.items() if only is None or name in only}


def _visits(
    lake: Lake, log: PacketLog, settings: ForwardSettings, now: datetime, only: Sequence[str] | None
) -> list[Visit]:
    check_lake(settings, lake.root)
    check_forward_settings(settings, lake.definitions)
    clock, asked = _clock(now), bool(only)
    visits = []
    for name, client in pushed_clients(settings, only).items():
        check_place(name, client, lake.root)
        visits.append(Visit(lake, log, name, client, settings.retries, clock, asked))
    return visits


def _clock(now: datetime) -> Callable[[], datetime]:
    """The time, counted from `now` by the steady clock."""
    began = time.monotonic()
    return lambda: now + timedelta(seconds=time.monotonic() - began)


def _done(
    lake: Lake, visits: list[Visit], work: Callable[[Visit], None], stop: threading.Event, now: datetime
) -> Pushed:
    """All at once, until each has come to its end, or `stop` is set."""
    lake.storage.is_there()  # opened here, not by several threads at a time
    running = _Running(visits, stop)
    running.start(work)
    running.goes_on()
    running.end(END_SECONDS)
    pushed = running.take()
    _note(lake, pushed.clients, now)
    return pushed


def _followed(lake: Lake, visits: list[Visit], follow: Follow, now: datetime) -> Pushed:
    """All at once, until `stop` is set or every client is gone. What was given since the last rows were written.

    Raises StorageError if the lake is gone.
    """
    lake.storage.is_there()
    presence = Presence(lake)
    running, books = _Running(visits, follow.stop), _Books(lake, now)
    running.start(lambda visit: visit.follow(follow.every_seconds))
    while running.goes_on(BEAT_SECONDS):
        presence.check()
        pushed = running.take()
        books.add(pushed)
        follow.heard(pushed)
    running.end(END_SECONDS)
    books.add(running.take())
    return books.close()


class _Books:
    """Rows of ops.forwards while following: one for each client and minute in which something happened."""

    def __init__(self, lake: Lake, now: datetime) -> None:
        self.lake, self.now = lake, now
        self.given: dict[str, Given] = {}
        self.told: dict[str, str] = {}  # what the last row of each client said
        self.written = time.monotonic()

    def add(self, pushed: Pushed) -> None:
        """Add what was given, and write rows if it is time."""
        for one in pushed.clients:
            before = self.given.get(one.client)
            self.given[one.client] = before.joined(one) if before else one
        if time.monotonic() - self.written > ROWS_SECONDS:
            self.close()

    def close(self) -> Pushed:
        """Write rows of what is new, and begin anew; what was given."""
        given = tuple(self.given.values())
        new = tuple(one for one in given if one.packets or one.products or one.detail != self.told.get(one.client, ""))
        _note(self.lake, new, self.now)
        self.told |= {one.client: one.detail for one in given}
        self.given, self.written = {}, time.monotonic()
        return Pushed(given)


def _note(lake: Lake, given: tuple[Given, ...], now: datetime) -> None:
    """Write rows of what happened, in one commit."""
    for one in given:
        log.info(
            "forward client=%s packets=%d bytes=%d cursor=%s state=%s",
            one.client, one.packets, one.bytes, one.cursor, one.state,
        )  # fmt: skip
    rows = [one for one in given if one.is_worth_a_row]
    if rows:
        run_id = new_run_id(now)
        append_ops(lake, "forwards", [one.row(run_id) for one in rows])
