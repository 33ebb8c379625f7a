# SPDX-License-Identifier: Apache-2.0
"""The outbox: a notice is written to the journal first, then sent, then marked; a channel that is down loses nothing.

Journal kinds: `notices` (what has to be told), `delivered` (under the same key, what was), `notices-settled` (a month
before which all was, so that years of notices are not listed again). Within a channel the order is that of the keys. In
quiet hours yellow notices wait and red ones go on without them; a red one takes along what waits of its own alert.
A notice is sent at least once: if it was accepted and could not be marked, it is sent again under the same id.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from os.path import commonprefix

from lake.errors import ConfigurationError, StorageError
from lake.setting_files import near
from lake.store import Journal, Lake
from quality.alerts.nouns import Event
from quality.notices.channels import TIMED_OUT, Send, open_channel
from quality.notices.notice import Notice, id_in, key_time, notice_id, notice_key, notice_of
from quality.notices.routes import Happening, channels_of, happenings
from quality.notices.settings import MOST_NOTIFY_DAYS, AlertSettings
from quality.notices.texts import happening_body, happening_title, with_id

SETTLED = "notices-settled"
PAUSES = (1.0, 4.0)  # seconds between three tries: enough for a server that restarts, not for a night to wait long
ANSWER_SECONDS = 10.0  # mail servers that look up who calls take several seconds to greet
CHANNEL_SECONDS = (
    300.0  # services that ask for pauses take hours for a thousand notices; the rest waits for the next run
)
NOTICE_SECONDS = 60.0  # a mail takes several answers, and a chat may ask to wait before
LEASE_SECONDS = 60.0  # another sender at work will send what is there


@dataclass(frozen=True)
class Sent:
    """What became of the outbox: notices delivered, notices that wait, and a line for each channel that failed."""

    delivered: int = 0
    waiting: int = 0
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Patience:
    """Seconds to wait: between tries, for an answer, for all of a notice, all of a channel, for another sender."""

    pauses: Sequence[float] = PAUSES
    answer: float = ANSWER_SECONDS
    notice: float = NOTICE_SECONDS
    channel: float = CHANNEL_SECONDS
    lease: float = LEASE_SECONDS


PATIENCE = Patience()


def enqueue(lake: Lake, settings: AlertSettings, events: Sequence[Event], now: datetime) -> int:
    """Write what has to be told of events into the outbox; how many notices are new. Twice is the same as once."""
    found = happenings(settings, events, now)
    return write(lake, [notice for happening in found for notice in _notices(settings, happening)])


def _notices(settings: AlertSettings, happening: Happening) -> list[Notice]:
    return [
        addressed(
            channel,
            Notice(
                notice_id(happening.alert.alert_id, happening.words, happening.at.isoformat(), channel),
                channel,
                "alert",
                happening.severity,
                happening.alert.alert_id,
                happening.at,
                happening_title(happening),
                happening_body(happening),
            ),
        )
        for channel in channels_of(settings, happening)
    ]


def addressed(channel: str, notice: Notice) -> Notice:
    """The notice for a channel, its id in the title."""
    return replace(notice, channel=channel, title=with_id(notice.notice_id, notice.title))


def write(lake: Lake, notices: Sequence[Notice]) -> int:
    """Write notices to the journal in their order, unless they are there; how many are new."""
    if not notices:
        return 0
    journal, count = Journal(lake), 0
    times = commonprefix([key_time(notice.at) for notice in notices])  # noqa: RUF071  it is about characters
    known = {id_in(key) for key in journal.keys("notices", times)}
    for order, notice in enumerate(notices):
        if notice.notice_id not in known:
            count += journal.write_once("notices", notice_key(notice, order), notice.entry())
    return count


def pending(lake: Lake, now: datetime) -> list[str]:
    """Keys of the notices that were not delivered, the oldest first. Nothing is opened."""
    queued, delivered = _listed(Journal(lake), now)
    return sorted(queued - delivered)


def _listed(journal: Journal, now: datetime) -> tuple[set[str], set[str]]:
    """Keys of notices, and of what was delivered, since all before is known to be."""
    settled = _settled(journal, now)
    queued, delivered = (set(_keys(journal, kind, settled, now)) for kind in ("notices", "delivered"))
    return queued, delivered


def _closed(now: datetime) -> str:
    """The month (yyyymm) before which nothing is added any more."""
    return key_time(now - timedelta(days=MOST_NOTIFY_DAYS))[:6]


def _settled(journal: Journal, now: datetime) -> str:
    """The month before which all notices were delivered; empty if that is not known of any.

    What a run noted whose clock was ahead is ignored until its time has come.
    """
    return max((month for month in journal.keys(SETTLED) if month <= _closed(now)), default="")


def _keys(journal: Journal, kind: str, month: str, now: datetime) -> Iterator[str]:
    """Keys of a kind from a month on. They are listed by year: a folder is walked once for each listing."""
    last = now + timedelta(days=31)  # clocks differ
    years = [str(year) for year in range(int(month[:4]), last.year + 1)] if month else [""]
    return (key for year in years for key in journal.keys(kind, year) if key >= month)


def settle(lake: Lake, now: datetime) -> None:
    """Note the month before which nothing waits, and nothing can be added any more: it is not listed again.

    It is never beyond the newest notice: a clock that is ahead closes nothing that is still to come.
    """
    journal = Journal(lake)
    closed, settled = _closed(now), _settled(journal, now)
    if closed <= settled:
        return
    queued, delivered = _listed(journal, now)
    month = min(closed, max(queued, default="")[:6], *(key[:6] for key in queued - delivered))
    if month > settled:
        journal.write_once(SETTLED, month, {"at": now.isoformat()})


def send(lake: Lake, settings: AlertSettings, now: datetime, patience: Patience = PATIENCE) -> Sent:
    """Send what waits, channel by channel, the oldest first. What a channel does wrong is told, never raised.

    Raises StorageError if the journal cannot be read or written.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(lake.storage.alone("notices", patience.lease))
        except StorageError as error:
            return Sent(waiting=len(pending(lake, now)), failed=[str(error)])
        sent = _send_all(lake, settings, now, patience)
        settle(lake, now)
        return sent


def _send_all(lake: Lake, settings: AlertSettings, now: datetime, patience: Patience) -> Sent:
    """Under the lease: what waits, by channel."""
    waiting = queues(lake, now)
    delivered, failed = 0, list[str]()
    for name, queue in waiting.items():
        count, wrong = _send_queue(Work(lake, settings, now, patience), name, queue)
        delivered += count
        failed += [f"channel {name}: {wrong}"] if wrong else []
    return Sent(delivered, sum(map(len, waiting.values())) - delivered, failed)


def queues(lake: Lake, now: datetime) -> dict[str, dict[str, Notice]]:
    """The notices that wait by key, by channel, in order."""
    journal, queues = Journal(lake), dict[str, dict[str, Notice]]()
    for key in pending(lake, now):
        entry = journal.entry("notices", key)
        if entry is not None:
            notice = notice_of(entry, key)
            queues.setdefault(notice.channel, {})[key] = notice
    return queues


@dataclass(frozen=True)
class Work:
    """What sending the notices of a channel needs to know."""

    lake: Lake
    settings: AlertSettings
    now: datetime
    patience: Patience


def _send_queue(work: Work, name: str, queue: dict[str, Notice]) -> tuple[int, str]:
    """Send what waits for a channel, in order, up to the first failure: how many were delivered, what went wrong."""
    channel = work.settings.channels.get(name)
    if channel is None:
        return 0, (
            f"{len(queue)} notices wait for it, but the settings have no such channel. Add it again, a `file` will do; "
            "then they are sent."
        )
    keys = sendable(queue, work.settings, work.now)
    sending = open_channel(channel, work.patience.answer, work.patience.notice) if keys else ""
    if isinstance(sending, str):
        return 0, _wrong(sending, len(keys)) if keys else ""
    until = time.monotonic() + work.patience.channel
    for count, key in enumerate(keys):
        if time.monotonic() > until:
            return count, _wrong(f"this run has sent for {work.patience.channel:g} s", len(keys) - count)
        if wrong := _tried(sending, queue[key], work.patience.pauses):
            return count, _wrong(wrong, len(keys) - count)
        mark = {"notice_id": id_in(key), "channel": name, "at": work.now.isoformat()}
        Journal(work.lake).write_once("delivered", key, mark)
    return len(keys), ""


def _wrong(cause: str, count: int) -> str:
    return f"{cause}. Its notices ({count}) wait; the next run sends them, or `swxlake alerts send`."


def sendable(queue: dict[str, Notice], settings: AlertSettings, now: datetime) -> list[str]:
    """Keys of the notices that may go out now, in order; in quiet hours yellow ones wait unless their alert is red.

    A digest, which is neither, has its own hour.
    """
    if settings.quiet_hours is None or not settings.quiet_hours.hold(now):
        return list(queue)
    red = {notice.alert_id for notice in queue.values() if notice.severity == "red"} - {""}
    return [key for key, notice in queue.items() if notice.severity != "yellow" or notice.alert_id in red]


def _tried(sending: Send, notice: Notice, pauses: Sequence[float]) -> str:
    """What went wrong at the last of some tries; empty if one succeeded.

    A server that did not answer in time may have accepted it: it is not asked again in this run.
    """
    wrong = sending(notice)
    for pause in pauses:
        if wrong in ("", TIMED_OUT):
            break
        time.sleep(pause)
        wrong = sending(notice)
    return wrong


def try_channel(settings: AlertSettings, name: str, now: datetime, patience: Patience = PATIENCE) -> str:
    """Send a test on a channel, past the outbox; what went wrong, empty if it was accepted.

    Raises ConfigurationError if there is no such channel.
    """
    channel = settings.channels.get(name)
    if channel is None:
        raise ConfigurationError(f"channel {name!r}: is not in the settings of alerts{near(name, settings.channels)}")
    sending = open_channel(channel, patience.answer, patience.notice)
    if isinstance(sending, str):
        return sending
    body = "This is a test. Notices of alerts look like it."
    test = Notice(notice_id("test", name, now.isoformat()), name, "test", "info", "", now, "test of a channel", body)
    return _tried(sending, addressed(name, test), patience.pauses)
