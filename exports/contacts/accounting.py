# SPDX-License-Identifier: Apache-2.0
"""Accounting of passes: which files belong to which pass, what state it is in, and what is missing, in words.

Pure functions of planned passes, files, gaps, news of sources, and `now`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase, translate
from fractions import Fraction
from typing import Literal, TypeVar

from exports.contacts.plans import Pass
from exports.contacts.settings import MissionContacts

State = Literal["planned", "running", "waiting", "complete", "late", "incomplete", "missing"]
LACKING: tuple[State, ...] = ("incomplete", "missing")
SHOWN = 5  # files or names that a sentence lists
LONGEST_DETAIL = 1000
Thing = TypeVar("Thing")


@dataclass(frozen=True)
class CameFile:
    """A raw file that came: a row of ops.files.

    packets : decoded ones. whole : whether it could be decoded; if not, `reason` says why.
    """

    name: str
    sha256: str
    mission: str
    instrument: str
    received_at: datetime
    bytes: int
    packets: int
    whole: bool = True
    reason: str = ""
    arrival: int = 0


@dataclass(frozen=True)
class Trouble:
    """A file that a source has or announces and that has not come: its name, its mission ("" if none fits), and why."""

    name: str
    mission: str
    seen_at: datetime
    words: str


@dataclass(frozen=True)
class Contact:
    """A pass and what came of it; a row of ops.contacts."""

    planned: Pass
    due: datetime
    state: State
    files: int = 0
    packets: int = 0
    packets_missing: int = 0
    bytes: int = 0
    first_received_at: datetime | None = None
    last_received_at: datetime | None = None
    detail: str = ""


@dataclass(frozen=True)
class Accounted:
    """Passes in order of their start, the names of the files of each, and files that belong to no pass."""

    contacts: tuple[Contact, ...]
    files: Mapping[tuple[str, str], tuple[CameFile, ...]]
    strays: tuple[CameFile, ...] = ()


Rules = Callable[[str], MissionContacts]  # what is expected of the passes of a mission


def due_of(one: Pass, rules: MissionContacts) -> datetime:
    """When the files of a pass are to be here."""
    return one.due or one.end + timedelta(minutes=rules.due_minutes)


def account(
    passes: Sequence[Pass],
    files: Sequence[CameFile],
    missing: Mapping[str, int],
    troubles: Sequence[Trouble],
    rules: Rules,
    now: datetime,
) -> Accounted:
    """What came of passes. `missing` are packets that are missing before or between those of a file, by its sha256."""
    found, strays = assigned(passes, files, rules, lambda one: (one.mission, one.name, one.instrument, one.received_at))
    troubled, _ = assigned(passes, troubles, rules, lambda one: (one.mission, one.name, "", one.seen_at))
    there = {(one.mission, one.name) for one in files}
    contacts = []
    for one in passes:
        own = [trouble for trouble in troubled.get(one.key, []) if (trouble.mission, trouble.name) not in there]
        contacts.append(_Pass(one, rules(one.mission), found.get(one.key, []), own, missing).contact(now))
    first = {one.mission: one.start for one in sorted(passes, key=lambda each: each.start, reverse=True)}
    told = [file for file in strays if file.mission in first and file.received_at >= first[file.mission]]
    by_pass = {key: tuple(own) for key, own in found.items()}
    return Accounted(tuple(contacts), by_pass, tuple(told))


# ---- what belongs to which pass ------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Slot:
    """A pass, the times between which files count as its own, and the form of names that it announces."""

    one: Pass
    opens: datetime
    due: datetime
    closes: datetime
    names: re.Pattern[str] | None

    @classmethod
    def of(cls, one: Pass, rules: MissionContacts) -> _Slot:
        """The slot of a pass."""
        opens, due = one.start - timedelta(minutes=rules.early_minutes), due_of(one, rules)
        form = re.compile("|".join(translate(name) for name in one.names)) if one.names else None
        return cls(one, opens, due, due + timedelta(hours=rules.late_hours), form)


def assigned(
    passes: Sequence[Pass],
    things: Iterable[Thing],
    rules: Rules,
    about: Callable[[Thing], tuple[str, str, str, datetime]],
) -> tuple[dict[tuple[str, str], list[Thing]], list[Thing]]:
    """Things by the pass that they belong to, and those that belong to none.

    `about` gives mission, name, instrument ("" if it is not known) and the time of arrival of a thing.
    """
    by_mission = defaultdict[str, list[_Slot]](list)
    for one in sorted(passes, key=lambda each: (each.start, each.key)):
        by_mission[one.mission].append(_Slot.of(one, rules(one.mission)))
    found = defaultdict[tuple[str, str], list[Thing]](list)
    none: list[Thing] = []
    for thing in things:
        mission, name, instrument, at = about(thing)
        chosen = _pass_of(by_mission[mission], name, instrument, at)
        (none if chosen is None else found[chosen.key]).append(thing)
    return dict(found), none


def _pass_of(slots: Sequence[_Slot], name: str, instrument: str, at: datetime) -> Pass | None:
    """The pass, of those of a mission in order of their start, to which a file belongs that arrived at a time.

    A name that a pass announces goes before time; of several that announce it, the nearest one that had begun, else
    the first. Else it is the nearest earlier pass that announces no names and awaits files, or else one whose files
    are late, if it is not over for too long.
    """
    fitting = [s for s in slots if not instrument or not s.one.instruments or instrument in s.one.instruments]
    named = [slot for slot in fitting if slot.names is not None and slot.names.match(name)]
    if named:
        return next((slot.one for slot in reversed(named) if slot.opens <= at), named[0].one)
    plain = [slot for slot in fitting if slot.names is None and slot.opens <= at <= slot.closes]
    awaited = [slot for slot in plain if at <= slot.due]
    return (awaited or plain)[-1].one if plain else None


# ---- the state of a pass -------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Pass:
    """A pass with all that is known of it."""

    one: Pass
    rules: MissionContacts
    came: Sequence[CameFile]
    troubles: Sequence[Trouble]
    missing: Mapping[str, int] = field(default_factory=dict)

    def contact(self, now: datetime) -> Contact:
        """The row about it."""
        files = newest(self.came)
        lacks, due = self.lacks(files), due_of(self.one, self.rules)
        state = self.state(now, due, lacks)
        times = [file.received_at for file in self.came]
        return Contact(
            planned=self.one,
            due=due,
            state=state,
            files=len(files),
            packets=sum(file.packets for file in files),
            packets_missing=self.gaps(files),
            bytes=sum(file.bytes for file in files),
            first_received_at=min(times, default=None),
            last_received_at=max(times, default=None),
            detail=self.detail(state, lacks, files),
        )

    def detail(self, state: State, lacks: list[str], files: Sequence[CameFile]) -> str:
        """What is missing, and what else should be known, in words; nothing about a pass that has not begun."""
        if state == "planned":
            return ""
        settled = state in ("complete", "late")
        return "; ".join([*([] if settled else lacks), *self.remarks(files)])[:LONGEST_DETAIL]

    def state(self, now: datetime, due: datetime, lacks: list[str]) -> State:
        """Where it stands. Where a plan announces nothing, more may come until it is due; so it is complete then."""
        one = self.one
        announced = one.files is not None or one.packets is not None or bool(one.names)
        if not lacks and (now >= due or (announced and (self.came or now >= one.end))):
            on_time = newest([file for file in self.came if file.received_at <= due])
            return "late" if self.lacks(on_time) else "complete"
        if now < due:
            return "planned" if now < one.start else "running" if now < one.end else "waiting"
        return "incomplete" if self.came else "missing"

    def lacks(self, files: Sequence[CameFile]) -> list[str]:
        """What is missing if these are the files that came, in words; nothing if the pass is complete."""
        good = [file for file in files if file.whole]
        words = [f"no file of {name}" for name in self._unfit(good)[:SHOWN]]
        expected = 1 if self.one.files is None and not self.one.names and self.one.packets != 0 else self.one.files or 0
        if len(good) < expected:
            words.append(f"{len(good)} of {_counted(expected, 'file')} came" if self.one.files else "no file came")
        words += [f"{file.name}: {file.reason or 'could not be decoded'}" for file in files if not file.whole][:SHOWN]
        words += self._packets(good)
        return words

    def _unfit(self, files: Sequence[CameFile]) -> list[str]:
        return [name for name in self.one.names if not any(fnmatchcase(file.name, name) for file in files)]

    def _packets(self, files: Sequence[CameFile]) -> list[str]:
        """Whether too many packets are missing: of those announced, or without any announced, by sequence counts."""
        packets = sum(file.packets for file in files)
        if self.one.packets is not None:
            words = f"{packets} of {_counted(self.one.packets, 'packet')} came"
            return [words] if self._too_few(packets, self.one.packets) else []
        gaps = self.gaps(files)
        return [f"{_counted(gaps, 'packet')} missing in gaps"] if self._too_few(packets, packets + gaps) else []

    def _too_few(self, packets: int, expected: int) -> bool:
        """Whether more are missing than is tolerated. A percentage such as 0.7 is taken as it is written."""
        tolerated = Fraction(str(self.rules.tolerance_percent)) / 100
        return expected - packets > tolerated * expected

    def gaps(self, files: Sequence[CameFile]) -> int:
        """Packets missing between those that came."""
        return sum(self.missing.get(digest, 0) for digest in {file.sha256 for file in files})

    def remarks(self, files: Sequence[CameFile]) -> list[str]:
        """What a person should know beside it."""
        words = [f"{trouble.name}: {trouble.words}" for trouble in self.troubles[:SHOWN]]
        more = len(files) - self.one.files if self.one.files is not None else 0
        return [*words, *([f"{_counted(more, 'file')} more than announced"] if more > 0 else [])]


def newest(files: Iterable[CameFile]) -> list[CameFile]:
    """The newest of the files of each name: what comes again under the same name is a correction."""
    found: dict[str, CameFile] = {}
    for file in sorted(files, key=lambda one: (one.received_at, one.arrival, one.sha256)):
        found[file.name] = file
    return sorted(found.values(), key=lambda one: (one.received_at, one.arrival, one.name))


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
