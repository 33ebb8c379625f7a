# SPDX-License-Identifier: Apache-2.0
"""The life of alerts: what is known, what the data say now, and what has happened in between. No clock, no storage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate

from lake.watch_definitions import Color
from quality.alerts.nouns import Alert, Episode, Event, EventName
from quality.alerts.standing import BUILD, CHECKS
from quality.alerts.stretches import last_day
from quality.anomalies.nouns import RANKS

TOLD = 3  # bad days in the words of an event; the newest
ID_DIGITS = 12  # hexadecimal: of a million alerts two are one by chance once in 500 lakes

Spell = tuple[Episode, ...]  # the episodes of one alert, in order of time


@dataclass(frozen=True)
class Terms:
    """When an unacknowledged red alert is told again, and for how long what comes back is the same alert."""

    repeat: timedelta
    reopen: timedelta


@dataclass(frozen=True)
class Conditions:
    """What is wrong now, and what that is known from.

    `judged` are the days that were looked at, each with what looked at it: the table's address for anomalies, and that
    with ` checks` or ` build` for those. `judges` are all that there are by the definitions.
    """

    episodes: tuple[Episode, ...]
    judged: frozenset[tuple[str, date]]
    judges: frozenset[str]


@dataclass(frozen=True)
class Life:
    """All alerts as they are now, and what happened to them, in order."""

    alerts: tuple[Alert, ...]
    events: tuple[Event, ...]


@dataclass(frozen=True)
class Match:
    """A known alert and what the data say of it now; without a known one it is new, without a spell it is not found.

    `joined` are others that turned out to be the same.
    """

    known: Alert | None
    spell: Spell = ()
    joined: tuple[Alert, ...] = ()


def alert_id(subject: str, start: datetime) -> str:
    """The id of the alert whose first episode begins at `start`."""
    text = f"{subject} {start.astimezone(UTC).isoformat()}"
    return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]


def live(
    known: Iterable[Alert], told: Mapping[str, Color], conditions: Conditions, now: datetime, terms: Terms
) -> Life:
    """What became of the known alerts, and of what is new.

    `told` is the severity after the last event of each alert, by id. The same conditions again, within the time after
    which red is repeated, give no event.
    """
    alerts: dict[str, Alert] = {}
    events: list[Event] = []
    for match in _matches(known, conditions, terms.reopen):
        for alert, happened in _outcomes(match, told, conditions, now, terms):
            alerts[alert.alert_id] = alert
            events += happened
    # Sorting is stable: events of one alert stay in their order.
    events.sort(key=lambda event: (event.alert.start, event.alert.subject, event.alert.alert_id))
    return Life(tuple(sorted(alerts.values(), key=lambda a: (a.start, a.subject, a.alert_id))), tuple(events))


def spells(episodes: Iterable[Episode], reopen: timedelta) -> dict[str, list[Spell]]:
    """Episodes in groups that are one alert each, by subject: less than `reopen` apart, or the former has not ended."""
    found: dict[str, list[list[Episode]]] = {}
    for episode in sorted(episodes, key=lambda e: (e.subject, e.start, e.end)):
        groups = found.setdefault(episode.subject, [])
        if groups and any(not e.ended or episode.start - e.end < reopen for e in reversed(groups[-1])):
            groups[-1].append(episode)
        else:
            groups.append([episode])
    return {subject: [tuple(group) for group in groups] for subject, groups in found.items()}


def acknowledged(alert: Alert, by: str, note: str, now: datetime) -> Event:
    """What becomes of an alert when somebody says that it is known."""
    known = replace(alert, state="acknowledged", changed_at=now, acknowledged_by=by, note=note)
    return Event(known, "acknowledged", now, note, by)


# ---- which alert is which --------------------------------------------------------------------------------------
def _matches(known: Iterable[Alert], conditions: Conditions, reopen: timedelta) -> list[Match]:
    """Known alerts and spells, of each subject by itself; then what formed out of several subjects."""
    found = spells(conditions.episodes, reopen)
    # An alert that became that of a whole is that of its part again if the whole falls apart.
    subjects = {alert_id(*_beginning(spell)): subject for subject, group in found.items() for spell in group}
    by_subject: dict[str, list[Alert]] = {}
    for alert in known:
        by_subject.setdefault(subjects.get(alert.alert_id, alert.subject), []).append(alert)
    matches = [
        match
        for subject in sorted({*by_subject, *found})
        for match in _matched(by_subject.get(subject, []), found.get(subject, []), reopen)
    ]
    return _with_parts(matches, reopen)


def _with_parts(matches: list[Match], reopen: timedelta) -> list[Match]:
    """The same, where a whole goes on with the alerts of its parts, which have no spell of their own any more.

    The oldest of them is its alert, if it has none yet: who knows of that one knows of the whole.
    """
    lost = {m.known.alert_id: m.known for m in matches if m.known and not m.spell and m.known.episodes}
    found = []
    for match in (m for m in matches if m.spell):
        names = {name for episode in match.spell for name in episode.parts}
        parts = [a for a in lost.values() if a.subject in names and _touch(a, match.spell, reopen)] if names else []
        found.append(_whole(match, sorted(parts, key=_age)))
        for alert in parts:
            del lost[alert.alert_id]
    still = [m for m in matches if m.known and not m.spell and (m.known.alert_id in lost or not m.known.episodes)]
    return still + found


def _whole(match: Match, parts: list[Alert]) -> Match:
    everyone = [alert for alert in (match.known, *parts) if alert is not None]
    return Match(everyone[0], match.spell, (*match.joined, *everyone[1:])) if everyone else match


def _matched(known: list[Alert], found: list[Spell], reopen: timedelta) -> list[Match]:
    """Which spell each known alert of a subject has.

    That with its own id first; then, in order of time, one that overlaps it or is near. Of several alerts that turn
    out to be one the oldest stays.
    """
    left = {alert.alert_id: alert for alert in sorted(known, key=lambda a: (a.start, a.alert_id))}
    own = {i: left.pop(key) for i, spell in enumerate(found) if (key := alert_id(*_beginning(spell))) in left}
    near: dict[int, list[Alert]] = {i: [alert] for i, alert in own.items()}
    for alert in left.values():
        i = _nearest(alert, found, near, reopen)
        if i is not None:
            near.setdefault(i, []).append(alert)
    matched = {alert.alert_id for alerts in near.values() for alert in alerts}
    lost = [Match(alert) for alert in left.values() if alert.alert_id not in matched]
    return lost + [_match(sorted(near.get(i, []), key=_age), spell) for i, spell in enumerate(found)]


def _beginning(spell: Spell) -> tuple[str, datetime]:
    return spell[0].subject, spell[0].start


def _age(alert: Alert) -> tuple[bool, datetime, str]:
    """The oldest first; what was found to be a part of another one is not the one that stays."""
    return alert.episodes == 0, alert.start, alert.alert_id


def _nearest(alert: Alert, found: list[Spell], taken: Mapping[int, list[Alert]], reopen: timedelta) -> int | None:
    """The spell that goes on with an alert: the first that nobody has yet, else one to which it belongs as well."""
    touching = [i for i, spell in enumerate(found) if _touch(alert, spell, reopen)]
    return next((i for i in touching if i not in taken), touching[0] if touching else None)


def _touch(alert: Alert, spell: Spell, reopen: timedelta) -> bool:
    start, end = spell[0].start, max(episode.end for episode in spell)
    if start <= alert.end and alert.start <= end:
        return True
    return max(start - alert.end, alert.start - end) < reopen


def _match(alerts: list[Alert], spell: Spell) -> Match:
    return Match(alerts[0], spell, tuple(alerts[1:])) if alerts else Match(None, spell)


# ---- what happened ---------------------------------------------------------------------------------------------
def _outcomes(
    match: Match, told: Mapping[str, Color], conditions: Conditions, now: datetime, terms: Terms
) -> list[tuple[Alert, list[Event]]]:
    """The alerts of a match as they are now, each with its events."""
    if match.known is None:
        events = _begun(_alert(match.spell, now), match.spell, "opened", now)
        return [(events[-1].alert, events)]
    if not match.spell:
        return [_not_found(match.known, conditions, now)]
    everyone = (match.known, *match.joined)
    if any(_waits(alert, conditions) for alert in everyone):
        return [(alert, []) for alert in everyone]
    found = _continued(match.known, match, told.get(match.known.alert_id, match.known.severity), now, terms)
    return [found, *(_part_of(alert, match.known, now) for alert in match.joined)]


def judge_of(alert: Alert) -> str:
    """What looks at the days of an alert's subject."""
    return alert.subject if alert.subject.endswith((CHECKS, BUILD)) else alert.table


def _waits(alert: Alert, conditions: Conditions) -> bool:
    """Whether the days of an alert were not looked at, as when tables are made again: then nothing is known of it."""
    judge = judge_of(alert)
    if judge not in conditions.judges:
        return False
    days = (alert.start.astimezone(UTC).date(), last_day(alert.start, alert.end))
    return any((judge, day) not in conditions.judged for day in days)


def _not_found(known: Alert, conditions: Conditions, now: datetime) -> tuple[Alert, list[Event]]:
    """An alert of which the data say nothing any more. If it was over, nobody has to be told."""
    if _waits(known, conditions):
        return known, []
    if known.state == "resolved":
        return replace(known, episodes=0), []
    if judge_of(known) not in conditions.judges:
        why = "it is not watched any more"
    else:
        why = "it is not found any more: the data, or what is asked of them, were corrected"
    over = replace(known, state="resolved", episodes=0, changed_at=now)
    return over, [Event(over, "resolved", now, why)]


def _part_of(alert: Alert, whole: Alert, now: datetime) -> tuple[Alert, list[Event]]:
    """An alert that is, as later or late data show, the same as another one."""
    if alert.state == "resolved":
        return replace(alert, episodes=0), []
    over = replace(alert, state="resolved", episodes=0, changed_at=now)
    return over, [Event(over, "resolved", now, f"it goes on as alert {whole.alert_id}: they are one")]


def _alert(spell: Spell, now: datetime) -> Alert:
    """The alert of a spell, newly opened: the worst episode tells what is wrong, of equal ones the last."""
    first = spell[0]
    worst = max(spell, key=lambda episode: (RANKS[episode.severity], episode.start))
    rules = [rule for episode in sorted(spell, key=lambda e: (-RANKS[e.severity], e.start)) for rule in episode.rules]
    return Alert(
        alert_id=alert_id(*_beginning(spell)),
        subject=first.subject,
        mission=first.mission,
        instrument=first.instrument,
        table=first.table,
        column=first.column,
        rules=tuple(dict.fromkeys((*worst.rules, *rules))),
        severity=worst.severity,
        state="open",
        start=first.start,
        since=spell[-1].start,
        end=max(episode.end for episode in spell),
        episodes=len(spell),
        value=worst.value,
        baseline=worst.baseline,
        message=worst.message,
        plot=worst.plot,
        opened_at=now,
        changed_at=now,
    )


def _begun(alert: Alert, spell: Spell, name: EventName, now: datetime) -> list[Event]:
    """The events of an alert that begins, and is over already if all of it has ended."""
    begun = [Event(alert, name, now, alert.message)]
    return begun if not _over(spell) else [*begun, _resolved(alert, now)]


def _over(spell: Spell) -> bool:
    return all(episode.ended for episode in spell)


def _resolved(alert: Alert, now: datetime) -> Event:
    over = replace(alert, state="resolved", changed_at=now)
    return Event(over, "resolved", now, f"over since {_iso(alert.end)}: later data are as usual")


def _iso(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _continued(known: Alert, match: Match, told: Color, now: datetime, terms: Terms) -> tuple[Alert, list[Event]]:
    """The known alert of a match with what the data say of it now."""
    spell = match.spell
    alert = replace(
        _alert(spell, now),
        alert_id=known.alert_id,
        state=known.state,
        opened_at=known.opened_at,
        changed_at=known.changed_at,
        acknowledged_by=known.acknowledged_by,
        note=known.note,
    )
    worse = RANKS[alert.severity] > RANKS[told]
    if known.state == "resolved":
        said = next((other for other in match.joined if other.state == "acknowledged"), None)
        events = _come_back(alert, spell, said, now) if worse or _is_new(known, spell) else []
    else:
        events = _gone_on(alert, known, told, spell, now, terms)
    return (events[-1].alert if events else alert), events


def _is_new(known: Alert, spell: Spell) -> bool:
    """Whether a resolved alert has something to tell: it has not ended, or has an episode that nobody was told of."""
    return not _over(spell) or len(spell) > known.episodes or spell[-1].start > known.end


def _come_back(alert: Alert, spell: Spell, said: Alert | None, now: datetime) -> list[Event]:
    """What was said of the former times does not hold for this one; what was said of a part of it (`said`) does."""
    back = replace(_unknown(alert), changed_at=now)
    if said is not None:
        back = replace(back, state=said.state, acknowledged_by=said.acknowledged_by, note=said.note)
    return _begun(back, spell, "reopened", now)


def _unknown(alert: Alert) -> Alert:
    """An alert as open for everybody."""
    return replace(alert, state="open", acknowledged_by=None, note=None)


def _gone_on(alert: Alert, known: Alert, told: Color, spell: Spell, now: datetime, terms: Terms) -> list[Event]:
    """What happened to an alert that is open or acknowledged."""
    events = []
    if RANKS[alert.severity] > RANKS[told]:
        alert = replace(alert, changed_at=now)
        events.append(Event(alert, "raised", now, f"from {told} to {alert.severity}: {alert.message}"))
    if _over(spell):
        return [*events, _resolved(alert, now)]
    others = _others(known, spell, terms.reopen)
    if others:
        words = "; ".join(episode.message for episode in others[-TOLD:])
        return [*events, Event(replace(_unknown(alert), changed_at=now), "reopened", now, words)]
    if not events and _is_due(alert, now, terms.repeat):
        again = replace(alert, changed_at=now)
        events.append(Event(again, "repeated", now, f"not acknowledged since {_iso(alert.opened_at)}: {alert.message}"))
    return events


def _others(known: Alert, spell: Spell, reopen: timedelta) -> list[Episode]:
    """Other bad days: episodes that nobody was told of, each an alert by itself if the rest were over.

    If there are more than were known, and all lie between the known ones, any of them may be the new one.
    """
    ends = list(accumulate((episode.end for episode in spell), max))
    lonely = [
        episode
        for i, episode in enumerate(spell)
        if (i == 0 or episode.start - ends[i - 1] >= reopen)
        and (i == len(spell) - 1 or spell[i + 1].start - ends[i] >= reopen)
    ]
    beyond = [e for e in lonely if e.start - known.end >= reopen or known.start - e.end >= reopen]
    return beyond or (lonely if len(spell) > known.episodes else [])


def _is_due(alert: Alert, now: datetime, repeat: timedelta) -> bool:
    return alert.severity == "red" and alert.state == "open" and now - alert.changed_at >= repeat
