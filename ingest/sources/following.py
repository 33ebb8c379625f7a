# SPDX-License-Identifier: Apache-2.0
"""Following sources: each on a thread of its own, so that one that hangs holds up no other.

A listing of all files comes every so often, whatever news there are; news only shorten the wait for what they name.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from ingest.sources.attempts import next_try
from ingest.sources.books import Books
from ingest.sources.lander import Lander
from ingest.sources.nouns import News, Source
from ingest.sources.opening import open_source
from ingest.sources.rounds import Follower, Round
from ingest.sources.settings import SourceSettings
from lake.clock import utc_now
from lake.errors import StorageError, SwxlakeError, WayError
from lake.health import Health

log = logging.getLogger(__name__)

STEP_SECONDS = 0.5  # in which a service that is to end notices it
QUEUE_SECONDS = 20.0  # a queue is asked once in this time, the longest that SQS waits


@dataclass
class Gauges:
    """What the health of the watcher says of each source."""

    health: Health
    listed: dict[str, float] = field(default_factory=dict)  # Unix seconds of the last listing that succeeded

    def __post_init__(self) -> None:
        self.files = self.health.counter("files", "Files by what came of them", ("source", "state"))
        self.waiting = self.health.gauge("waiting_files", "Files that may still be written", ("source",))
        self.failed = self.health.gauge("failed_files", "Files that are to be tried again", ("source",))
        self.age = self.health.gauge("listing_age_seconds", "Time since the last listing that succeeded", ("source",))

    def count(self, source: str, done: Round, waiting: int, failed: int) -> None:
        """A round is over."""
        for state, number in done.counts.items():
            self.files.labels(source, state).inc(number)
        self.waiting.labels(source).set(waiting)
        self.failed.labels(source).set(failed)

    def beat(self, now: datetime) -> None:
        """Say that the service is alive."""
        for source, at in list(self.listed.items()):
            self.age.labels(source).set(max(0.0, now.timestamp() - at))
        self.health.beat(now=now)


class Following(threading.Thread):
    """One source, followed until `stop` is set. `told` hears of each round that did something."""

    def __init__(
        self,
        name: str,
        settings: SourceSettings,
        lander: Lander,
        gauges: Gauges,
        stop: threading.Event,
        told: Callable[[Round], None],
    ) -> None:
        super().__init__(name=f"source {name}", daemon=True)  # one that hangs must not keep the process alive
        self.source_name, self.settings, self.lander = name, settings, lander
        self.gauges, self.stop, self.told = gauges, stop, told
        self.gauges.listed[name] = utc_now().timestamp()
        self.failures, self.deaf = 0, 0  # in a row: of the source, and of its news alone

    def run(self) -> None:
        """Open the source and follow it; after a failure again, with pauses that grow."""
        while not self.stop.is_set():
            try:
                source = open_source(self.source_name, self.settings)
                try:
                    self._follow(source)
                finally:
                    with suppress(WayError):
                        source.close()
            except (SwxlakeError, OSError) as error:
                self.failures += 1
                log.warning("watch %s", error)
                self.stop.wait(min(pause(self.failures), self.settings.every_seconds))

    def _follow(self, source: Source) -> None:
        follower = Follower(self.source_name, self.settings, self.lander, Books(self.lander.lake), self.stop.is_set)
        full_at = 0.0
        while not self.stop.is_set():
            done: Round | None
            if time.monotonic() >= full_at:
                full_at = time.monotonic() + self.settings.every_seconds
                done = self._round(follower, source, None)
            else:
                done = self._after_news(follower, source, full_at)
            if done and done.unsettled:
                full_at = min(full_at, time.monotonic() + max(self.settings.settle_seconds, STEP_SECONDS))

    def _round(self, follower: Follower, source: Source, news: News | None) -> Round:
        self.lander.presence.check()  # a round writes what it has seen into the lake
        done = follower.look(source, utc_now(), news.paths if news else None)
        if news is None or news.paths is None:
            self.gauges.listed[self.source_name] = utc_now().timestamp()
        self.failures = 0
        failed = sum(seen.state == "failed" for seen in follower.attempts.seen.values())
        self.gauges.count(self.source_name, done, follower.waiting, failed)
        for line in done.problems:
            log.warning("watch %s", line)
        self.told(done)
        return done

    def _after_news(self, follower: Follower, source: Source, until: float) -> Round | None:
        """A round over what news name, if there are any before the next listing.

        Where news cannot be had, or a queue refuses to hear that they were dealt with, listings go on as they were.
        """
        most = QUEUE_SECONDS if self.settings.s3 and self.settings.s3.queue else STEP_SECONDS
        done: Round | None = None
        try:
            news = source.news(max(0.0, min(until - time.monotonic(), most)))
        except WayError as error:
            self._without_news(error, until)
            return None
        if news is not None:
            done = self._round(follower, source, news)
            try:
                source.dealt_with(news)
            except WayError as error:
                self._without_news(error, until)
                return done
        self.deaf = 0
        return done

    def _without_news(self, error: WayError, until: float) -> None:
        """Wait until news are asked for again, or the next listing is due."""
        self.deaf += 1
        log.warning("watch %s Without its news the source is listed every %g s.", error, self.settings.every_seconds)
        self.stop.wait(max(0.0, min(pause(self.deaf), until - time.monotonic())))


def pause(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    now = utc_now()
    again = datetime.fromisoformat(next_try(failures, now, random.Random()))  # noqa: S311
    return (again - now).total_seconds()


def receive_all(
    lander: Lander,
    sources: Mapping[str, SourceSettings],
    dry: bool = False,
    clock: Callable[[], datetime] = utc_now,
) -> dict[str, Round | str]:
    """One round over each source, all at the same time: what it did, or why it could not be reached.

    A file that was changed a short time ago is looked at twice.
    """
    results: dict[str, Round | str] = {}

    def one(name: str, settings: SourceSettings) -> None:
        try:
            results[name] = _once(name, settings, lander, dry, clock)
        except (SwxlakeError, OSError) as error:
            results[name] = str(error)

    threads = [threading.Thread(target=one, args=item, name=f"source {item[0]}") for item in sources.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {name: results.get(name, f"source {name}: ended by an internal error. Run with -vv.") for name in sources}


def _once(name: str, settings: SourceSettings, lander: Lander, dry: bool, clock: Callable[[], datetime]) -> Round:
    source = open_source(name, settings)
    try:
        follower = Follower(name, settings, lander, Books(lander.lake))
        done = follower.look(source, clock(), force=True, dry=dry)
        if done.unsettled and settings.rule == "stable":
            time.sleep(settings.settle_seconds)
            done.include(follower.look(source, clock(), force=True, dry=dry))
        return done
    finally:
        with suppress(WayError, StorageError):
            source.close()
