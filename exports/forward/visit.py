# SPDX-License-Identifier: Apache-2.0
"""A push to one client, in a thread of its own: from its cursor, again for a range of time, or its dead letters."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from math import inf

from exports.forward.batching import batches
from exports.forward.cursors import KIND, Cursors
from exports.forward.dead_letters import DeadLetter, DeadLetters
from exports.forward.nouns import Answer, Batch, Sink
from exports.forward.pacing import Speed
from exports.forward.products import Notices
from exports.forward.settings import Client, Retries, wanted
from exports.forward.sinks import open_sink
from exports.forward.tally import Tally
from exports.forward.tries import Tries, Trouble, Trying
from exports.forward.webhooks import WebhookSink
from exports.utc import iso_utc
from lake.config import read_settings
from lake.errors import StorageError, SwxlakeError
from lake.packet_log import BEGINNING, Cursor, PacketLog, UnreadableFileError
from lake.presence import Presence
from lake.store import Lake

LAKE_SECONDS = 30.0  # after an error of the lake, which the next second will not mend
FREE_SECONDS = 5.0  # how much longer than a lease lasts one is waited for whose holder has died

MOST_TOLD = 5  # problems in a line
_NOT_NOW = Answer(taken=False)  # all shall end, which is no problem

log = logging.getLogger(__name__)


@dataclass
class Visit:
    """What is done at one client.

    clock : the time. stop : set when all shall end. patience : seconds that are left of those waited for further tries.
    asked : the client was named, so that it is tried although its time has not come.
    """

    lake: Lake
    log: PacketLog
    name: str
    client: Client
    retries: Retries
    clock: Callable[[], datetime]
    asked: bool = False
    tally: Tally = field(init=False)
    sink: Sink = field(init=False)
    patience: float = field(init=False)
    trying: Trying = field(init=False)
    presence: Presence = field(init=False)
    notices: Notices | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    finished: bool = False
    problems: list[str] = field(default_factory=list)  # of what is given once more

    def __post_init__(self) -> None:
        """A tally to be filled, a place that is not asked yet."""
        self.tally = Tally(self.name, self.client.kind, self.clock)
        self.sink, self.presence = open_sink(self.name, self.client), Presence(self.lake)
        self.patience = self.retries.patience_seconds
        say, tries = partial(self.tally.say, "failed"), Tries(self.lake)
        self.trying = Trying(self.name, self.retries, self.clock, self._waited, say, tries)

    def _notices(self) -> Notices | None:
        """What tells of products. It never waits for a try: packets are not to wait for it."""
        if not isinstance(self.sink, WebhookSink):
            return None
        trying = replace(self.trying, name=f"{self.name}.products", wait=lambda seconds: False)
        told, given_up = self.tally.told, partial(self.tally.say, "given_up")
        trying.begin()
        return Notices(self.lake, self.name, self.client, self.sink, trying, self.stop, told, given_up, self._end)

    # ---- what a thread does ----------------------------------------------------------------------------------------
    def once(self) -> None:
        """Give all that waits."""
        with self._alone(f"forward.{self.name}") as alone:
            if alone and self._may_try():
                self._round()

    def follow(self, every_seconds: float) -> None:
        """Give all that waits and what arrives, until `stop` is set or the client is gone."""
        self.patience = inf
        while not self.stop.is_set() and self.tally.state != "gone":
            with self._alone(f"forward.{self.name}") as alone:
                while alone and not self.stop.is_set() and self._may_try():
                    self._round()
                    self.asked = False  # it was tried
                    self.stop.wait(every_seconds)
            self.stop.wait(max(every_seconds, LAKE_SECONDS) if self.tally.state == "failed" else every_seconds)

    def again(self, first: int | None, last: int | None, speed: Speed) -> None:
        """Give the packets of a range of time once more; the cursor stays."""
        asked, self.tally.replay = replace(wanted(self.client), first=first, last=last), True
        mark = f"{first}:{last}:{self.clock().isoformat()}"
        with self._alone(f"forward.{self.name}.again") as alone:
            if not alone:
                return
            begin: Cursor | None = BEGINNING
            while begin is not None:
                packets = self.log.after(begin, asked)
                begin = self._range(batches(packets, self.name, self.client.limits, mark, speed, self.stop.wait))
            self._tell_problems()

    def revive(self) -> None:
        """Give the dead letters once more, each by itself: one that cannot be given holds up no other."""
        letters = DeadLetters(self.lake)
        with self._alone(f"forward.{self.name}.again") as alone:
            if not alone:
                return
            for letter in letters.waiting(self.name):
                if not self.stop.is_set() and self._revived(letter):
                    letters.taken(letter, self.clock())
            if self.notices is not None:
                self.problems += self.notices.revive(self.clock())
            self._tell_problems()

    # ---- parts of these --------------------------------------------------------------------------------------------
    @contextmanager
    def _alone(self, lease: str) -> Iterator[bool]:
        """Whether this is the only such push; an error of the lake within the block is how the client stands."""
        with ExitStack() as held:
            try:
                self.presence.check()
            except StorageError as error:
                self.tally.say("failed", f"client {self.name}: {error}")
                yield False
                return
            try:
                held.enter_context(self.lake.storage.alone(lease, _lease_seconds(self.lake)))
            except StorageError as error:
                with suppress(StorageError):  # it is only said
                    self._say_where()
                self.tally.say("busy", f"client {self.name}: {error}")
                yield False
                return
            held.callback(self.sink.close)
            self.trying.begin()
            self.notices = self._notices() if "products" in self.client.events else None
            if self.tally.state == "busy":
                self.tally.say("done", "")
            try:
                yield True
            except SwxlakeError as error:
                log.warning("client %s: %s", self.name, error)
                self.tally.say("failed", f"client {self.name}: {error}")

    def _say_where(self) -> None:
        """Note where the client has come to, if it ever was here."""
        if (cursor := Cursors(self.lake).read(self.name)) is not None and not self.tally.replay:
            self.tally.at(cursor)

    def _may_try(self) -> bool:
        """Whether the client may be tried; when following, once it may."""
        self._say_where()
        trouble, now = self.trying.trouble, self.clock()
        if trouble is None or self.asked:
            return True
        if trouble.place and trouble.place == self._place():
            self.tally.say("gone", trouble.reason)
            return False
        if trouble.place or trouble.is_due(now):
            return True
        self.tally.say("waiting", trouble.words)
        return self._waited(trouble.seconds_until_due(now))

    def _round(self) -> None:
        """Give what is new: packets, then word of products. Raises StorageError, also if the lake is gone."""
        self.presence.check()  # one without cursors would have them all begin anew
        if "packets" not in self.client.events or self._packets():
            self.tally.well()
            if self.notices is not None:
                self.notices.round(self.clock(), self.asked)

    def _packets(self) -> bool:
        """Give what is behind the cursor, up to the end as it is now; False if that did not come to its end."""
        self.tally.at(Cursors(self.lake).found(self.name, self.client, self.log))
        end = self.log.end()
        if self.tally.cursor > end:
            raise StorageError(
                f"{self.tally.cursor} is where it has come to, and the log ends at {end}: the lake is an older copy. "
                f"Remove state/{KIND}/{self.name}.json, and the client begins as its `start` says."
            )
        while self.tally.cursor < end:
            packets = self.log.after(self.tally.cursor, wanted(self.client))
            try:
                for batch in batches(packets, self.name, self.client.limits):
                    if self.stop.is_set() or not self._given(batch):
                        return False
                self._advance(max(end, self.tally.cursor))
            except UnreadableFileError as error:
                self._pass_over(error)
        return True

    def _given(self, batch: Batch) -> bool:
        """Whether a batch was taken, or put aside, so that the next one can follow."""
        answer = self.trying.offer(batch.id, lambda: self.sink.send(batch))
        if answer.gone:
            self._end(batch.id, answer)
            return False
        if not answer.taken and not self.trying.is_over:
            return False
        if answer.taken:
            self.tally.took(batch)
        else:
            self._put_aside(batch, answer)
        self._advance(batch.last)
        self.trying.end()
        return True

    def _waited(self, seconds: float) -> bool:
        """Wait, if there is patience for it; False if not, or if all shall end."""
        if seconds > self.patience:
            return False
        log.info("client %s: waits %.1f s for its next try", self.name, seconds)
        self.patience -= seconds
        return not self.stop.wait(seconds)

    def _put_aside(self, batch: Batch, answer: Answer) -> None:
        """Make a batch a dead letter that was tried for long enough."""
        count = self.trying.trouble.count if self.trying.trouble else ""
        self._bury(batch.before, batch.last, len(batch.packets), f"{answer.reason} {count}.")

    def _pass_over(self, error: UnreadableFileError) -> None:
        """Make a file a dead letter that cannot be read now: what is behind it is not to wait for a restored copy."""
        after = max(self.tally.cursor, error.beginning)
        self._bury(after, error.behind, 0, f"client {self.name}: {error}")
        self._advance(error.behind)

    def _bury(self, after: Cursor, last: Cursor, packets: int, reason: str) -> None:
        at = f"{self.clock():%Y-%m-%dT%H:%M:%SZ}"
        DeadLetters(self.lake).add(DeadLetter(self.name, after, last, packets, wanted(self.client), reason, at))
        what = f"{packets} packets are" if packets else "Its packets are"
        remedy = f"`swxlake forward push --dead {self.name}` sends them."
        self.tally.say("given_up", f"{reason} {what} dead letters; {remedy}")

    def _end(self, what: str, answer: Answer) -> None:
        """Note that the client wants nothing any more."""
        now = self.clock().isoformat()
        self.trying.note(Trouble(what, 1, now, now, answer.reason, self._place()))
        self.tally.say("gone", answer.reason)

    def _advance(self, cursor: Cursor) -> None:
        self.lake.storage.still_alone()
        self.presence.check()
        Cursors(self.lake).write(self.name, cursor)
        self.tally.at(cursor)

    # ---- what is given once more -----------------------------------------------------------------------------------
    def _given_again(self, batch: Batch) -> Answer:
        """The answer to a batch that is given once more; nothing is noted of it in the lake."""
        trying = replace(self.trying, tries=None, trouble=None)
        answer = trying.offer(batch.id, lambda: self.sink.send(batch))
        self.tally.at(batch.before)
        if answer.taken:
            self.tally.took(batch)
            self.tally.at(batch.last)
        return answer

    def _range(self, given: Iterator[Batch]) -> Cursor | None:
        """Give these; the position behind a file that cannot be read, or None if there is nothing more to be given."""
        try:
            for batch in given:
                answer = _NOT_NOW if self.stop.is_set() else self._given_again(batch)
                if not answer.taken:
                    self.problems += [f"{answer.reason} {_remedy(batch)}"] if answer.reason else []
                    return None
        except UnreadableFileError as error:
            self.problems.append(f"client {self.name}: {error} Packets of it were left out.")
            return error.behind
        return None

    def _revived(self, letter: DeadLetter) -> bool:
        """Whether a dead letter was taken whole; if not, why is among the problems."""
        count = 0
        try:
            for batch in batches(letter.read(self.log), self.name, self.client.limits):
                answer = _NOT_NOW if self.stop.is_set() else self._given_again(batch)
                if not answer.taken:
                    self.problems += [answer.reason] if answer.reason else []
                    return False
                count += len(batch.packets)
        except UnreadableFileError as error:
            self.problems.append(f"client {self.name}: {error}")
            return False
        if count < letter.packets:
            what = f"of {letter.packets} packets after {letter.after} only {count} can be read. Look at `swxlake fsck`."
            self.problems.append(f"client {self.name}: {what}")
        return count >= letter.packets

    def _tell_problems(self) -> None:
        """Say what could not be given once more; the log has all of it."""
        for problem in self.problems:
            log.warning("%s", problem)
        told = list(dict.fromkeys(self.problems))
        more = [f"And {len(told) - MOST_TOLD} more such problems; `-v` prints them."] * (len(told) > MOST_TOLD)
        if told:
            self.tally.say("failed", " ".join(told[:MOST_TOLD] + more))

    def _place(self) -> str:
        return self.client.way.place if self.client.way else ""


def _remedy(batch: Batch) -> str:
    """What to do when a batch of a range of time was not taken. The log is in the order in which files arrived."""
    times = [packet.epoch_tt2000 for packet in batch.packets if packet.epoch_tt2000 is not None]
    if not times:
        return f"It has all up to {batch.before} of the log. Give the range again."
    time = f"{iso_utc(min(times))[:19]}Z"
    return f"Give it the rest with --from {time}; the whole range if files did not arrive in the order of their times."


def _lease_seconds(lake: Lake) -> float:
    """How long a lease is waited for: in a bucket that of a process which died stands for a while."""
    in_bucket = isinstance(lake.root, str) and lake.root.startswith("s3://")
    return read_settings().lease_seconds + FREE_SECONDS if in_bucket else 0.0
