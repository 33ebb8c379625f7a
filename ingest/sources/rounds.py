# SPDX-License-Identifier: Apache-2.0
"""A round over one source: list it, judge what is new, fetch and land what is whole, and write down what came of it.

The order is bytes, receipts, order of arrival (all three in `Lander.take`), then ops.receptions, then the state of the
source. Whoever dies between hashes some files once more, and finds them known.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from ingest.sources.attempts import FINAL, Attempts, Seen, next_try
from ingest.sources.books import Books, text
from ingest.sources.completeness import Completeness
from ingest.sources.judging import Judged, in_order, judge
from ingest.sources.lander import Lander
from ingest.sources.nouns import Arrived, Refuses, Source, State, Taken
from ingest.sources.pairing import Pairing
from ingest.sources.settings import SourceSettings
from ingest.sources.whole import ChangedError, copied
from lake.errors import PathError, StorageError, WayError
from lake.ways.transport import Found

log = logging.getLogger(__name__)

CHANGED = "changed while it was fetched; it is fetched again"
NO_FILES = ("known", "ignored")  # what pairing says of names that no longer stand for a file of the source
Fetched = tuple[list[tuple[Judged, Arrived]], dict[str, Seen], WayError | None]  # what came, what did not, if lost: why
SHOWN = 200  # problems of a round that are told in words; ops.receptions has all


@dataclass
class Round:
    """What a round did: files by what came of them, and in words what a person should see.

    unsettled : files that are looked at again soon, since they may still be written: those that have to stand still
        first, and those that changed while they were read. One that waits for its marker needs no look before it.
    """

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unsettled: int = 0
    planned: list[str] = field(default_factory=list)

    @property
    def landed(self) -> int:
        """Files that are in the archive since."""
        return self.counts["landed"]

    def include(self, other: Round) -> None:
        """Add what another round did after this one."""
        self.counts += other.counts
        self.problems += other.problems
        self.notes += other.notes
        self.unsettled = other.unsettled
        self.planned += other.planned


class Follower:
    """What is known of one source from round to round. One thread at a time uses it."""

    def __init__(
        self, name: str, settings: SourceSettings, lander: Lander, books: Books, ended: Callable[[], bool] | None = None
    ) -> None:
        self.name, self.settings, self.lander, self.books = name, settings, lander, books
        self.ended = ended or (lambda: False)
        self.lake, self.complete = lander.lake, Completeness(settings)
        self.attempts = Attempts(self.lake, name)
        self.attempts.read()
        self.attempts.forget([path for path, seen in self.attempts.seen.items() if not self._holds(path, seen)])
        self.pairing = Pairing(self.lake, name, lander, self.attempts)
        self.jitter = random.Random()  # noqa: S311
        self._waited: dict[str, float] = {}  # since when files wait, in Unix seconds
        self._passed: dict[str, str] = {}  # marks of files that are passed over
        # The rules of names may have changed since these were judged.
        self._anew = {path for path, seen in self.attempts.seen.items() if seen.state in ("refused", "ignored")}

    def _holds(self, path: str, seen: Seen) -> bool:
        """False for what the archive should have and has lost."""
        if seen.state not in ("landed", "known", "mismatched"):
            return True
        return seen.sha256 is not None and self.lander.has(seen.sha256, path.rpartition("/")[2])

    def look(
        self, source: Source, now: datetime, paths: frozenset[str] | None = None, force: bool = False, dry: bool = False
    ) -> Round:
        """A round over all files, or over those of these paths and those that wait.

        `force` tries what failed at once; a `dry` round only says what it would take. Raises WayError if the source
        cannot be listed or is lost; what has come by then is landed and written down.
        """
        done = Round()
        asked = None if paths is None or self.settings.rule == "marker" else paths | frozenset(self._waited)
        listed = {found.path: found for found in source.offered(asked)}
        due = [found for found in listed.values() if self._is_due(found, now, force)]
        judged = [judge(self.lake, self.settings, found, now) for found in due]
        changes = dict(self._set_aside(judged, listed, now, done))
        whole = [j for j in judged if j.is_current and j.found.path not in self._waited]
        if dry:
            done.planned = [text(j.found.path) for batch in self._batches(whole) for j in batch]
            return done
        if asked is None:
            changes |= self._gone(source, listed, now)
        self._write_down(changes, now, done)
        for batch in self._batches(whole):
            if self.ended():
                break
            self._take(source, batch, now, done)
        settled = self.pairing.settle(now)
        self._write_down(settled, now, done)
        self.attempts.forget([path for path, seen in settled.items() if seen.state in NO_FILES])
        self.pairing.write()
        return done

    @property
    def waiting(self) -> int:
        """Files that are there and may not be whole."""
        return len(self._waited)

    def _batches(self, whole: list[Judged]) -> list[list[Judged]]:
        return in_order(whole, self.settings.max_waiting, self.settings.max_waiting_bytes)

    # ---- what is to be done ----------------------------------------------------------------------------------------
    def _is_due(self, found: Found, now: datetime, force: bool) -> bool:
        seen = self.attempts.seen.get(found.path)
        if self.complete.is_marker(found.path) or self._passed.get(found.path) == found.mark + str(found.bytes):
            return False
        if seen is None or not seen.is_of(found) or found.path in self._anew:
            return True
        return seen.is_due(now) or (force and seen.state not in FINAL)

    def _set_aside(
        self, judged: list[Judged], listed: dict[str, Found], now: datetime, done: Round
    ) -> Iterator[tuple[str, Seen]]:
        """What is not to be landed now, and why."""
        for one in judged:
            path = one.found.path
            self._anew.discard(path)
            waits = "" if one.kind in ("ignored", "passed over") else self._waits(one, listed, now)
            if waits:
                done.unsettled += self.settings.rule == "stable"
                since = self._waited.setdefault(path, now.timestamp())
                if now.timestamp() - since >= self.settings.settle_seconds:
                    yield path, self._seen(one.found, "waiting", waits, now)
                continue
            self._waited.pop(path, None)
            self.complete.forget([path])
            if one.kind == "passed over":
                self._passed[path] = one.found.mark + str(one.found.bytes)
            if one.kind in ("refused", "ignored"):
                yield path, self._seen(one.found, "refused" if one.kind == "refused" else "ignored", one.detail, now)

    def _waits(self, one: Judged, listed: dict[str, Found], now: datetime) -> str:
        if self.settings.rule == "marker" and one.kind == "refused":
            return ""  # nobody marks it
        return self.complete.waiting(one.found, listed, now.timestamp())

    def _gone(self, source: Source, listed: dict[str, Found], now: datetime) -> dict[str, Seen]:
        """Forget what is no longer there, and note what the source could not give."""
        refused = dict(source.refused) if isinstance(source, Refuses) else {}
        there = listed.keys() | refused.keys()
        kept = ("missing", "mismatched")
        self.attempts.forget([p for p, seen in self.attempts.seen.items() if p not in there and seen.state not in kept])
        self.complete.forget([path for path in self.complete.looks if path not in there])
        self._waited = {path: since for path, since in self._waited.items() if path in there}
        self._passed = {path: mark for path, mark in self._passed.items() if path in there}
        new = {path: why for path, why in refused.items() if self._detail(path) != why}
        return {path: Seen("", 0, "refused", now.isoformat(), why) for path, why in new.items()}

    def _detail(self, path: str) -> str:
        seen = self.attempts.seen.get(path)
        return seen.detail if seen else ""

    def _seen(self, found: Found, state: State, detail: str, now: datetime, taken: Taken | None = None) -> Seen:
        before = self.attempts.seen.get(found.path)
        attempts = 1 if before is None or before.state in FINAL else before.attempts + 1
        first = before.first if before and before.state not in FINAL else now.isoformat()
        again = next_try(attempts, now, self.jitter) if state == "failed" else None
        sha256 = taken.sha256 if taken else None
        return Seen(found.mark, found.bytes, state, first, detail, sha256, None, attempts, again)

    # ---- fetching and landing --------------------------------------------------------------------------------------
    def _take(self, source: Source, batch: list[Judged], now: datetime, done: Round) -> None:
        """Fetch and land a batch, and write it down, also if the source is lost on the way."""
        with self._aside(batch) as folder:
            arrived, changes, lost = self._fetch(source, batch, folder, now)
            changes |= {one.found.path: self._read_text(one, file, now) for one, file in arrived if one.kind != "land"}
            changes |= self._land([(one, file) for one, file in arrived if one.kind == "land"], now)
        moved = [path for path, seen in changes.items() if seen.state == "waiting"]
        self._waited |= dict.fromkeys(moved, now.timestamp())
        done.unsettled += len(moved)
        self._write_down(changes, now, done)
        if lost is not None:
            raise lost

    @contextmanager
    def _aside(self, batch: list[Judged]) -> Iterator[Path]:
        """Where a batch is fetched to; telemetry of this machine needs no such place."""
        in_place = self.settings.folder is not None and all(one.kind == "land" for one in batch)
        with nullcontext(Path()) if in_place else self.lander.aside() as folder:
            yield folder

    def _fetch(self, source: Source, batch: list[Judged], folder: Path, now: datetime) -> Fetched:
        arrived, changes = list[tuple[Judged, Arrived]](), dict[str, Seen]()
        for number, one in enumerate(batch):
            try:
                arrived.append((one, self._fetched(source, one, folder / f"{number}.fetched")))
            except ChangedError as error:
                changes[one.found.path] = self._seen(one.found, "waiting", str(error), now)
            except (PathError, StorageError) as error:
                changes[one.found.path] = self._seen(one.found, "failed", str(error), now)
            except WayError as error:
                return arrived, changes, error
        return arrived, changes, None

    def _fetched(self, source: Source, one: Judged, target: Path) -> Arrived:
        """A file on this machine. A text is copied: what is read of it must not be a pipe or a link by then."""
        found = one.found
        if (local := source.local(found.path)) is not None:
            if one.kind == "land":
                return Arrived(self.name, found.path, one.name, local, mark=found.mark)
            return Arrived(self.name, found.path, one.name, target, copied(local, target, found.mark)[0])
        digest = source.fetch(found.path, target, found.bytes)
        if target.stat().st_size != found.bytes:
            raise StorageError(f"source {self.name}: {text(found.path)}: {CHANGED}")
        return Arrived(self.name, found.path, one.name, target, digest)

    def _land(self, files: list[tuple[Judged, Arrived]], now: datetime) -> dict[str, Seen]:
        landed = zip(files, self.lander.take([file for _, file in files]), strict=True)
        return {
            one.found.path: self._seen(one.found, taken.state, taken.detail, now, taken) for (one, _), taken in landed
        }

    def _read_text(self, one: Judged, file: Arrived, now: datetime) -> Seen:
        """What came of a manifest or sidecar."""
        try:
            detail, digest = self.pairing.read(one, file.file, now)
        except StorageError as error:
            return self._seen(one.found, "refused", str(error), now)
        return replace(self._seen(one.found, "ignored", detail, now), digest=digest)

    def _write_down(self, changes: dict[str, Seen], now: datetime, done: Round) -> None:
        """Put changes into the books, then into the state; what stays as it was is no change."""
        told = {path: seen for path, seen in changes.items() if _is_news(self.attempts.seen.get(path), seen)}
        self.books.write(self.name, told, now)
        for path, seen in changes.items():
            before = self.attempts.seen.get(path)
            if path in told or before is None or (before.mark, before.bytes) != (seen.mark, seen.bytes):
                self.attempts.put(path, seen)
        self.attempts.write()
        for path, seen in told.items():
            done.counts[seen.state] += 1
            if line := _line(self.name, path, seen):
                (done.notes if seen.state == "waiting" else done.problems).append(line)


def _is_news(before: Seen | None, seen: Seen) -> bool:
    """False if a row would say what the last one says. A file that fails again is news at each try."""
    if before is None or seen.state == "failed":
        return True
    return (before.state, before.detail, before.sha256) != (seen.state, seen.detail, seen.sha256)


def _line(source: str, path: str, seen: Seen) -> str:
    """What a person should see about a file; "" if all is well."""
    if seen.state in ("known", "ignored") or (seen.state == "landed" and not seen.detail):
        return ""
    again = f" (attempt {seen.attempts})" if seen.state == "failed" else ""
    return f"source {source}: {text(path)}: {seen.state}{again}: {text(seen.detail)}"
