# SPDX-License-Identifier: Apache-2.0
"""One round of a mirror: what the source has and the folder lacks is brought, several files at once.

A file that cannot be brought is written down and tried again later, so that no round and no event is ever needed twice.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic

from exports.mirror.facts import Fact, Facts, fetch_facts, is_fact, mark_of, offered_facts, read_facts
from exports.mirror.places import Places
from exports.mirror.placing import Brought, Fetched, MismatchError, Task, fetch, place_all, remove_parts, standing
from exports.mirror.receipts import Said, send_receipts, write_receipts
from exports.mirror.settings import MirrorSettings
from exports.mirror.state import HIDDEN, Kept, State, read_state, state_text, text, write_state
from lake.errors import PathError, StorageError, WayError
from lake.lease import flocked
from lake.ways.settings import open_to_read
from lake.ways.transport import Found, Readable

log = logging.getLogger(__name__)

WHO = "mirror"
SAVE_SECONDS = 10.0  # a process that is killed hashes again what it brought since
BEAT_SECONDS = 5.0
LINK_FAILURES = 3  # in a row, after which the source is left for the next round
DISK_FAILURES = 5
GROUP_FILES, GROUP_BYTES = 64, 256 << 20  # that are synced together
GROUP_SECONDS = 1.0  # that a file waits for others
SMALL_BYTES = 4096  # a block of a disk; where there is no room for that, there is none for anything
REJECTED_AFTER = 3  # times that a file came with other bytes than its manifest says; one may be a fault of the link


class Ends(Exception):  # noqa: N818  it is no error: a round that cannot go on
    """What ends a round early, in words."""


@dataclass
class Round:
    """What came of a round. `aside` are files that somebody had changed here; `problems` what failed.

    is_complete : whether all files were looked at that there were to look at.
    """

    brought: list[str] = field(default_factory=list)
    planned: list[tuple[str, str]] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    known: int = 0
    up_to_date: int = 0
    not_taken: int = 0
    waiting: int = 0
    gone: int = 0
    bytes: int = 0
    failed: int = 0
    is_complete: bool = False


class Mirror:
    """A mirror at work: its settings, what it knows, and ways to its source, one for each transfer."""

    def __init__(
        self, settings: MirrorSettings, beat: Callable[[], object], ways: list[Readable], state: State, disk: int | None
    ) -> None:
        self.settings, self.folder, self.beat, self.state = settings, settings.folder, beat, state
        self.disk = disk
        self.listing = ways[0]
        self.free: SimpleQueue[Readable] = SimpleQueue()
        for way in ways[1:]:
            self.free.put(way)
        self.facts: Facts = read_facts(self.folder, state)
        self.places = Places(state)
        self._group: list[Fetched] = []
        self._group_since = 0.0
        self._saved, self._written = monotonic(), b""
        self._in_a_row = {"link": 0, "disk": 0}

    def round(self, now: datetime, paths: frozenset[str] | None = None, dry_run: bool = False) -> Round:
        """Bring what is new among all files of the source, or among these paths. `dry_run` says what would be.

        Raises StorageError if the ledger cannot be written.
        """
        if not dry_run:
            self._check()
        done, self._in_a_row = Round(), {"link": 0, "disk": 0}
        seen: set[str] = set()
        self._group.clear()
        self.places.begin()
        try:
            self._learn(done, paths, keep=not dry_run)
            tasks = self._tasks(self._offered(paths, seen), done, now, seen)
            if dry_run:
                done.planned = [(task.found.path, task.target) for task in tasks]
            else:
                self._bring_all(tasks, done, now)
            gone = (paths if paths is not None else self.state.failed.keys()) - seen
            self._forget(path for path in gone if paths is not None or not self.listing.refused.hides(path))
            if paths is None:
                self._tell_refused(done)
                self._count_gone(seen, done)
                self.state.swept_at = text(now)
            done.is_complete = True
        except (WayError, Ends) as error:
            done.problems.append(str(error))
        if not dry_run:
            self._answer(done)
            self.save()
        return done

    def save(self) -> None:
        """Write the ledger down, unless nothing has happened since."""
        written = state_text(self.state)
        if written != self._written:
            write_state(self.folder, written)
        self._saved, self._written = monotonic(), written

    def _check(self) -> None:
        """Raises StorageError if the folder is another one than at the start, as when its disk was unmounted."""
        if not (self.folder / HIDDEN).is_dir():
            raise StorageError(f"{self.folder / HIDDEN}: is gone. Mount the disk, then start the mirror again.")

    # ---- what is there, and what is to be done ---------------------------------------------------------------------
    def _learn(self, done: Round, paths: frozenset[str] | None, keep: bool) -> None:
        """Read new manifests, before the files that they are about."""
        if paths is None:
            offered: Iterable[Found] = offered_facts(self.listing)
        else:
            offered = self._of_paths(frozenset(path for path in paths if is_fact(path)))
        done.notes += fetch_facts(self.folder, self.listing, self.state, self.facts, offered, keep)

    def _of_paths(self, paths: frozenset[str]) -> Iterator[Found]:
        return (found for path in sorted(paths) if (found := self.listing.found(path)) is not None)

    def _offered(self, paths: frozenset[str] | None, seen: set[str]) -> Iterator[Found]:
        for found in self.listing.entries() if paths is None else self._of_paths(paths):
            seen.add(found.path)
            yield found

    def _tasks(self, offered: Iterable[Found], done: Round, now: datetime, seen: set[str]) -> Iterator[Task]:
        """What is to be brought; everything else is counted."""

        def holds(path: str, target: str) -> bool:
            return self._target(path) == target and (path in seen or self._is_there(path))

        for found in offered:
            fact, target = self.facts.files.get(found.path), self._target(found.path)
            if target is None:
                self._forget([found.path])
                done.not_taken += 1
            elif self.state.waits(found.path, mark_of(found), now):
                done.waiting += 1
            elif (other := self.places.rival(found.path, target, holds)) is not None:
                what = f"{found.path} and {other} would both be {target}. Correct `into` or `flat`"
                done.problems.append(f"{what}; the second one is not taken.")
            elif self._is_up_to_date(task := self._task(found, target, fact)):
                self._forget([found.path])
                done.up_to_date += 1
            else:
                yield task

    def _target(self, path: str) -> str | None:
        fact = self.facts.files.get(path)
        return self.settings.target(path, fact.products if fact is not None else ())

    def _task(self, found: Found, target: str, fact: Fact | None) -> Task:
        return Task(found, target, fact, self.state.files.get(found.path), self.places.laid(target))

    def _is_there(self, path: str) -> bool:
        """Whether the source has a file; of one that it refuses nothing could be brought either."""
        try:
            return self.listing.found(path) is not None
        except PathError:
            return False

    def _forget(self, paths: Iterable[str]) -> None:
        """Forget that files failed of which nothing is to be tried any more."""
        for path in list(paths):
            self.state.failed.pop(path, None)

    def _is_up_to_date(self, task: Task) -> bool:
        """Whether the file is here, as we put it here, and as source and manifest have it."""
        kept = task.kept
        if kept is None or (kept.target, kept.mark) != (task.target, mark_of(task.found)):
            return False
        told = task.fact is None or (kept.sha256 == task.fact.sha256 and kept.by == "manifest")
        return told and standing(self.folder / task.target) == kept.stat

    def _tell_refused(self, done: Round) -> None:
        """Say what the listing passed over among what is taken; a folder of which nothing is known is a problem."""
        refused = self.listing.refused
        for path, why in refused.items():
            if path in refused.folders:
                done.problems.append(f"{WHO}: {path}: {why}. The others are listed nevertheless.")
            elif self._target(path) is not None:
                done.notes.append(f"{path} {why}; it is not taken")

    def _count_gone(self, seen: set[str], done: Round) -> None:
        hides = self.listing.refused.hides
        done.gone = sum(not hides(path) for path in self.state.files.keys() - seen)
        for path in sorted(self.facts.withdrawn.keys() & self.state.files.keys()):
            done.notes.append(f"{path} was withdrawn by the center ({self.facts.withdrawn[path]}); it stays here")

    # ---- bringing --------------------------------------------------------------------------------------------------
    def _bring_all(self, tasks: Iterator[Task], done: Round, now: datetime) -> None:
        """Bring files, as many at once as the settings allow. Raises Ends, and StorageError."""
        running: dict[Future[Fetched], Task] = {}
        try:
            for task in tasks:
                if not self._has_room(task, running, done, now):
                    continue
                running[self._begun(task)] = task
                while len(running) >= self.settings.transfers:
                    self._collect(running, done, now)
        except (Ends, WayError):
            self._drain(running, done, now)
            raise
        self._drain(running, done, now)
        self._check_row()

    def _drain(self, running: dict[Future[Fetched], Task], done: Round, now: datetime) -> None:
        """Take in what is still on its way."""
        while running:
            self._collect(running, done, now, is_last=True)
        self._place(done, now)

    def _begun(self, task: Task) -> Future[Fetched]:
        """A transfer in a thread that ends with the process: one that hangs keeps nobody from leaving."""
        future: Future[Fetched] = Future()

        def work() -> None:
            try:
                future.set_result(self._fetch(task))
            except BaseException as error:  # noqa: BLE001  the main thread raises it
                future.set_exception(error)

        threading.Thread(target=work, name=f"mirror {task.target}", daemon=True).start()
        return future

    def _fetch(self, task: Task) -> Fetched:
        way = self.free.get()
        try:
            return fetch(self.folder, way, task)
        finally:
            self.free.put(way)

    def _has_room(self, task: Task, running: dict[Future[Fetched], Task], done: Round, now: datetime) -> bool:
        """Whether a file fits on the disk; one that does not is a failure. Raises Ends if not even a small one does."""
        while (missing := self._missing(task, running.values())) is not None and running:
            self._collect(running, done, now)  # what they need is known when they are here
        if missing is None:
            return True
        told = f"{self.folder}: the disk is full: {missing}. Free space"
        if shutil.disk_usage(self.folder).free < self.settings.keep_free_bytes + SMALL_BYTES:
            raise Ends(f"{told}; the next round goes on.")
        self._fail(task, StorageError(f"{told}."), done, now)
        return False

    def _missing(self, task: Task, running: Iterable[Task]) -> str | None:
        """What room a file lacks on the disk beside those that are on their way; None if it fits."""
        needed = task.found.bytes + sum(other.found.bytes for other in running) + self.settings.keep_free_bytes
        free = shutil.disk_usage(self.folder).free
        what = f"{free} bytes are free, and {task.found.path} with what is to stay free needs {needed}"
        return what if free < needed else None

    def _collect(self, running: dict[Future[Fetched], Task], done: Round, now: datetime, is_last: bool = False) -> None:
        """Take in what has come of transfers. Raises Ends if it makes no sense to begin others."""
        patience = GROUP_SECONDS if self._group else BEAT_SECONDS
        finished, _ = wait(running, timeout=patience, return_when=FIRST_COMPLETED)
        for future in finished:
            self._take_in(future, running.pop(future), done, now)
        if self._is_group():
            self._place(done, now)
        self.beat()
        if monotonic() - self._saved > SAVE_SECONDS:
            self.save()
        if not is_last:
            self._check_row()

    def _check_row(self) -> None:
        """Raises Ends if so many files in a row have failed that others would, too."""
        if self._in_a_row["link"] >= LINK_FAILURES:
            raise Ends(f"{LINK_FAILURES} transfers in a row failed; the source is left for the next round.")
        if self._in_a_row["disk"] >= DISK_FAILURES:
            raise Ends(f"{DISK_FAILURES} files in a row could not be written; the next round goes on.")

    def _take_in(self, future: Future[Fetched], task: Task, done: Round, now: datetime) -> None:
        try:
            fetched = future.result()
        except (WayError, StorageError) as error:
            self._count(error)
            self._fail(task, error, done, now)
            return
        self._in_a_row["link"] = 0
        self._group_since = self._group_since if self._group else monotonic()
        self._group.append(fetched)

    def _count(self, error: WayError | StorageError) -> None:
        if isinstance(error, StorageError):
            self._in_a_row["disk"] += 1
        elif not isinstance(error, PathError):
            self._in_a_row["link"] += 1

    def _is_group(self) -> bool:
        """Whether those that have come should wait for others no longer."""
        size = sum(one.task.found.bytes for one in self._group)
        is_late = monotonic() - self._group_since >= GROUP_SECONDS
        return bool(self._group) and (is_late or size >= GROUP_BYTES or len(self._group) >= GROUP_FILES)

    def _place(self, done: Round, now: datetime) -> None:
        """Put those that have come into their places, and write their receipts."""
        group, self._group = self._group, []
        said: list[Said] = []
        for one, came in zip(group, place_all(self.folder, self.disk, group, now), strict=True):
            if isinstance(came, StorageError):
                self._count(came)
                self._fail(one.task, came, done, now)
                continue
            self._in_a_row["disk"] = 0
            if one.task.kept is None or one.task.kept.sha256 != came.sha256:
                said.append(Said(one.task.found, came.sha256))
            self._keep(came, done, now)
        self._say(said, now)

    def _fail(self, task: Task, error: WayError | StorageError, done: Round, now: datetime) -> None:
        """Write a failure down, so that the file is tried again."""
        failed = self.state.fail(task.found.path, mark_of(task.found), str(error), now)
        done.failed += 1
        done.problems.append(f"{error} (failed {failed.times} times; tried again after {failed.next_at})")
        if isinstance(error, MismatchError) and failed.times == REJECTED_AFTER:
            reason = f"came {failed.times} times with other bytes than the manifest says"
            self._say([Said(task.found, error.sha256, reason)], now)

    def _keep(self, brought: Brought, done: Round, now: datetime) -> None:
        """Note a file that is in its place."""
        task, found = brought.task, brought.task.found
        by = "manifest" if task.fact is not None else "source"
        kept = Kept(task.target, mark_of(found), brought.stat, brought.sha256, found.bytes, text(now), by)  # type: ignore[arg-type]
        self.state.failed.pop(found.path, None)
        self.places.keep(found.path, kept)
        if brought.is_new:
            done.brought.append(task.target)
            done.bytes += found.bytes
        else:
            done.known += 1
        if brought.aside is not None:
            done.aside.append(f"{task.target} was changed here; that is {brought.aside} now")
            log.warning("%s was changed here, and was put aside as %s", task.target, brought.aside)

    # ---- receipts --------------------------------------------------------------------------------------------------
    def _say(self, said: list[Said], now: datetime) -> None:
        """Write receipts, and note those that are to be sent."""
        names = write_receipts(self.folder, self.disk, said, now)
        if self.settings.receipts == "there":
            self.state.receipts = list(dict.fromkeys([*self.state.receipts, *names]))

    def _answer(self, done: Round) -> None:
        """Send receipts that wait. That none can be sent keeps nothing else from being done."""
        if not self.state.receipts:
            return
        ways = list(self._taken())
        why = send_receipts(self.folder, ways, self.state, self.beat)
        for way in ways:
            self.free.put(way)
        if why is not None:
            more = f"{len(self.state.receipts)} receipts wait and are tried again, or write receipts = 'here'"
            done.notes.append(f"{why.removesuffix('.')}; {more}.")

    def _taken(self) -> Iterator[Readable]:
        """Ways that nobody uses; whoever takes them gives them back."""
        with suppress(Empty):
            while True:
                yield self.free.get_nowait()


@contextmanager
def opened(settings: MirrorSettings, beat: Callable[[], object], dry_run: bool = False) -> Iterator[Mirror]:
    """The mirror, for the block; no other process is at work in its folder, unless it is a dry run.

    Raises StorageError if the folder is not there, cannot be written, or another process is at work.
    """
    folder = settings.folder
    check_folder(folder)
    with ExitStack() as stack:
        disk = None
        if not dry_run:
            stack.enter_context(flocked(folder / HIDDEN / "lock", 0))
            remove_parts(folder)
            disk = os.open(folder / HIDDEN, os.O_RDONLY)
            stack.callback(os.close, disk)
        # A client of S3 may be used by several threads, a connection of SSH by one at a time.
        count = 1 if dry_run or settings.source.s3 is not None else 1 + settings.transfers
        ways = [stack.enter_context(open_to_read(WHO, settings.source.way)) for _ in range(count)]
        ways += [ways[0]] * (1 + settings.transfers - count)
        yield Mirror(settings, beat, ways, read_state(folder, settings.source.way.place), disk)


def check_folder(folder: Path) -> None:
    """Raises StorageError if the mirror's folder is not there."""
    if not folder.is_dir():
        raise StorageError(f"{folder}: is no folder. Mount the disk, or make the folder.")
