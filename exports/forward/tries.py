# SPDX-License-Identifier: Apache-2.0
"""What a client has not taken yet: how often it was tried, since when, and when it is tried again.

It lies in the lake, state/forward-tries/<client>.json, so that a restart neither hurries nor forgets.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

from exports.forward.nouns import Answer
from exports.forward.settings import Retries
from lake.state import State
from lake.store import Lake

KIND = "forward-tries"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trouble:
    """A batch, or something else, that was not taken, by its id. `since` and `next_at` are UTC in ISO 8601.

    place : of the client that wants nothing any more; empty as long as it may be tried.
    """

    batch: str
    attempts: int
    since: str
    next_at: str
    reason: str
    place: str = ""

    def is_due(self, now: datetime) -> bool:
        """Whether it is time for the next try."""
        return now >= datetime.fromisoformat(self.next_at)

    def seconds_until_due(self, now: datetime) -> float:
        """How long until the next try."""
        return max(0.0, (datetime.fromisoformat(self.next_at) - now).total_seconds())

    @property
    def words(self) -> str:
        """All that a person needs to know of it."""
        return f"{self.reason} {self.count}, again after {told_time(self.next_at)}."

    @property
    def count(self) -> str:
        """How often it was tried since when."""
        times = "once" if self.attempts == 1 else f"{self.attempts} times"
        return f"Tried {times} since {told_time(self.since)}"

    def is_over(self, now: datetime, retries: Retries) -> bool:
        """Whether it was tried for long enough."""
        return (now - datetime.fromisoformat(self.since)).total_seconds() >= retries.give_up_seconds


class Tries:
    """The troubles of all clients."""

    def __init__(self, lake: Lake) -> None:
        self.state = State(lake, KIND)

    def read(self, client: str) -> Trouble | None:
        """What a client has not taken; None if it has taken all that it was sent."""
        try:
            trouble = Trouble(**self.state.read(client))
            datetime.fromisoformat(trouble.since), datetime.fromisoformat(trouble.next_at)
        except (TypeError, ValueError):  # there is none, or it is of another version: it is tried anew
            return None
        return trouble

    def clear(self, client: str) -> None:
        """It has taken it."""
        self.state.remove(client)

    def note(self, client: str, trouble: Trouble) -> None:
        """It has not."""
        self.state.write(client, asdict(trouble))


def told_time(text: str) -> str:
    """A time of a trouble for people, to the second."""
    return f"{datetime.fromisoformat(text):%Y-%m-%dT%H:%M:%SZ}"


def next_trouble(last: Trouble | None, what: str, answer: Answer, now: datetime, retries: Retries) -> Trouble:
    """The trouble after one more try that failed: the pause doubles each time, and is as long as the client asks."""
    same = last is not None and last.batch == what
    before = last if last is not None and same else Trouble(what, 0, now.isoformat(), "", "")
    pause = min(retries.first_seconds * 2.0 ** min(before.attempts, 60), retries.most_seconds)
    until = now + timedelta(seconds=max(pause, answer.after_seconds))
    return replace(before, attempts=before.attempts + 1, next_at=until.isoformat(), reason=answer.reason)


@dataclass
class Trying:
    """Offering things to a client until it takes them, there is no patience left, or it was long enough.

    wait : waits so many seconds; False if there is no patience for it. say : hears how it stands.
    """

    name: str
    retries: Retries
    clock: Callable[[], datetime]
    wait: Callable[[float], bool]
    say: Callable[[str], object]
    tries: Tries | None = None  # where troubles are noted; None for what is given once more
    trouble: Trouble | None = None

    def begin(self) -> None:
        """Read what trouble there was."""
        self.trouble = self.tries.read(self.name) if self.tries else None

    def offer(self, what: str, send: Callable[[], Answer]) -> Answer:
        """The last answer to what has this id."""
        while True:
            answer = send()
            if answer.taken or answer.gone:
                return answer
            now = self.clock()
            trouble = next_trouble(self.trouble, what, answer, now, self.retries)
            log.warning("attempt %d: %s", trouble.attempts, answer.reason)
            self.note(trouble)
            self.say(trouble.words)
            if trouble.is_over(now, self.retries) or not self.wait(trouble.seconds_until_due(now)):
                return answer

    def note(self, trouble: Trouble) -> None:
        """Remember a trouble."""
        self.trouble = trouble
        if self.tries:
            self.tries.note(self.name, trouble)

    @property
    def is_over(self) -> bool:
        """Whether what is not taken was tried for long enough."""
        return self.trouble is not None and self.trouble.is_over(self.clock(), self.retries)

    def end(self) -> None:
        """Forget the trouble: it was taken, or put aside."""
        if self.trouble is not None and self.tries:
            self.tries.clear(self.name)
        self.trouble = None
