# SPDX-License-Identifier: Apache-2.0
"""`swxlake watch`: all sources followed, uploads taken, until the process is asked to end."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from contextlib import ExitStack

from ingest.filing import VERIFY_EVERY
from ingest.sources.following import Following, Gauges, pause
from ingest.sources.lander import Lander
from ingest.sources.rounds import Round
from ingest.sources.settings import ReceiveSettings
from lake.clock import utc_now
from lake.config import Settings
from lake.errors import ConfigurationError, StorageError, SwxlakeError
from lake.health import Health
from lake.presence import Presence
from lake.store import Lake
from swxlake.outcome import Outcome
from swxlake.receiving import filed, needed_settings
from swxlake.signals import stopped_by_signals
from swxlake.sql_output import printable

log = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
STEP_SECONDS = 0.5
END_SECONDS = 1.5  # for threads to end what they are at; what is cut off is done again the next time
_DEAD = "{} ended by an internal error, which the log has. The watch ends, so that it is started again."


def watch(lake: Lake, settings: Settings, decode: bool = False, stop: threading.Event | None = None) -> Outcome:
    """Follow all sources, and take uploads, until SIGTERM, SIGINT or `stop`; what came in the meantime.

    `decode` decodes after rounds that landed something. A thread that ends before it should is a problem, and ends the
    watch, so that whoever started it starts it again.

    Raises ConfigurationError if the settings are wrong, or if the lake is gone, which is not begun anew.
    """
    found = needed_settings(lake, settings)
    ending, health = stop or threading.Event(), Health("watch", settings.health)
    lander, gauges = Lander(lake), Gauges(health)
    after = FollowUp(lake, settings, found, decode, ending)
    with stopped_by_signals(ending), ExitStack() as stack:
        if found.upload is not None:
            from ingest.sources.upload import serving  # noqa: PLC0415  its server takes a while to load

            stack.enter_context(serving(found.upload, lander, health, after.news.set))
        sources = [
            Following(name, source, lander, gauges, ending, after.hear) for name, source in found.sources.items()
        ]
        threads: list[threading.Thread] = [*sources, after]
        for thread in threads:
            thread.start()
        fault = _attend(threads, ending, gauges, lander.presence)
        _end(threads, ending)
    if fault and (gone := _gone(lander.presence)):
        raise ConfigurationError(gone)  # whoever would start us again would begin a new lake
    outcome = Outcome(facts={"watch": dict(after.counts) or {"landed": 0}}, problems=[fault] if fault else [])
    if not fault:  # else its silence is one
        health.stop()
    return outcome


def _attend(threads: list[threading.Thread], ending: threading.Event, gauges: Gauges, presence: Presence) -> str:
    """Beat until the end; why it came too early, or ""."""
    beaten = -BEAT_SECONDS
    while not ending.is_set():
        dead = [thread.name for thread in threads if not thread.is_alive()]
        fault = _DEAD.format(dead[0]) if dead else _gone(presence)
        if fault and not ending.is_set():
            log.error("watch: %s", fault)
            return fault
        if time.monotonic() - beaten >= BEAT_SECONDS:
            gauges.beat(utc_now())
            beaten = time.monotonic()
        ending.wait(STEP_SECONDS)
    return ""


def _gone(presence: Presence) -> str:
    """What is to be said if the lake is not there any more."""
    try:
        presence.check()
    except StorageError as error:
        return str(error)
    return ""


def _end(threads: list[threading.Thread], ending: threading.Event) -> None:
    """Let threads come to their end, for a while."""
    ending.set()
    until = time.monotonic() + END_SECONDS
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))


class _EndedError(SwxlakeError):
    """The watch ends while files are decoded."""


class FollowUp(threading.Thread):
    """Files, and decodes if asked, after something has landed; what could not be filed is tried again with pauses that
    grow, and once a day filing looks by itself whether all is there.

    It has a thread of its own, as it may take hours. news : set when something has landed. counts : files by state.
    """

    def __init__(
        self, lake: Lake, settings: Settings, found: ReceiveSettings, decode: bool, ending: threading.Event
    ) -> None:
        super().__init__(name="what follows a round", daemon=True)
        self.lake, self.settings, self.filing, self.decode, self.ending = lake, settings, found.filing, decode, ending
        self.lock, self.counts, self.news = threading.Lock(), Counter[str](), threading.Event()
        self.failures, self.undecoded = 0, False

    def hear(self, done: Round) -> None:
        """A round is over."""
        with self.lock:
            self.counts += done.counts
        if done.landed:
            self.news.set()

    def run(self) -> None:
        """Follow up until the end; at the beginning what the last process left undone."""
        again, self.undecoded = time.monotonic(), self.decode and self.lake.storage.is_there()
        while not self.ending.is_set():
            landed = self.news.wait(STEP_SECONDS)
            if not landed and time.monotonic() < again:
                continue
            self.news.clear()
            self.undecoded |= landed and self.decode
            self.failures = 0 if self._is_done() else self.failures + 1
            wait = pause(self.failures) if self.failures else VERIFY_EVERY.total_seconds()
            again = time.monotonic() + wait

    def _is_done(self) -> bool:
        """File and decode what there is; False if something is to be tried again. What goes wrong is told."""
        outcome = Outcome()
        try:
            if self.filing is not None and self.lake.storage.is_there():
                outcome.include(filed(self.lake, self.filing, self.ending.is_set))
            is_filed = not outcome.problems
            if self.undecoded and not self.ending.is_set():
                outcome.include(self._decoded())
                self.undecoded = False
        except _EndedError:
            return False
        except (SwxlakeError, OSError) as error:
            log.warning("watch %s", error)
            return False
        finally:
            for line in [*outcome.problems, *outcome.notes]:
                log.warning("watch %s", printable(line))
        return is_filed

    def _decoded(self) -> Outcome:
        from swxlake.night import Crew, ingest  # noqa: PLC0415  its libraries take seconds to load

        def told(done: int, total: int, _: str) -> None:
            if self.ending.is_set():
                raise _EndedError(f"{total - done} files are left to be decoded the next time.")

        return ingest(self.lake, self.settings, [], Crew(told=told))
