# SPDX-License-Identifier: Apache-2.0
"""Landing what sources give: in groups, so that the disk is waited for once for many files.

A file is copied and hashed in one pass, out of sight. When a group is together, all its bytes are synced and get their
names, then all its receipts, then the journal says in which order they arrived. Whoever dies between leaves bytes
without a receipt, which count as not archived, or receipts without a place, which get one the next time.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from ingest.arrivals import Arrivals, adopt
from ingest.landing import has_records, new_receipt, recognise
from ingest.shelf import Shelf
from ingest.sources.nouns import Arrived, State, Taken
from ingest.sources.whole import ChangedError, NoRoomError, SourceError, copied, hashed
from lake.clock import utc_now
from lake.config import read_settings
from lake.definitions import Mission
from lake.errors import FileNameError
from lake.files import folder_while_alive, sync, writing
from lake.names import ParsedName, parse_name, shown
from lake.presence import Presence
from lake.storage import SCRATCH
from lake.store import LANDING, RAW, Lake, Receipt

log = logging.getLogger(__name__)

GROUP_FILES, GROUP_BYTES = 2000, 1 << 30  # more saves little, and is done again after a crash
HOME = f"{SCRATCH}landing"


@dataclass
class Known:
    """The archive as this process knows it. `lost` are receipts that had a place in the order of arrival before they
    were lost; None until something is landed.
    """

    shelf: Shelf
    arrivals: Arrivals
    lost: set[str] | None = None


@dataclass(frozen=True)
class Copied:
    """A file that was read: what its name says, the hash and number of its bytes, and a copy unless it was known."""

    arrived: Arrived
    found: tuple[Mission, ParsedName]
    content: tuple[str, int]
    copy: Path | None


@dataclass(frozen=True)
class Draft:
    """A file that is new: its receipt, and the verified copy that becomes the archived one."""

    arrived: Arrived
    receipt: Receipt
    copy: Path


class Lander:
    """Lands files in a lake, whichever thread asks. The archive is listed once.

    Each thread reads its files by itself, so that a file that takes for ever holds up nobody else; one group at a time
    gets its names.
    """

    def __init__(self, lake: Lake, clock: Callable[[], datetime] = utc_now) -> None:
        self.lake, self.clock, self.lock, self.presence = lake, clock, threading.RLock(), Presence(lake)
        self._known: Known | None = None
        self._home: Path | None = None
        self._home_lock = threading.Lock()  # never held for long, whoever lands
        self._likely: Mission | None = None

    def take(self, files: Sequence[Arrived]) -> list[Taken]:
        """Archive these files; when it returns their bytes and receipts would survive a power loss.

        What goes wrong with one file is its `Taken`. Raises StorageError if the lake cannot be written, or is not there
        any more; what is complete by then stays.
        """
        return [taken for group in _groups(files) for taken in self._take_group(group)]

    # ---- what the archive has --------------------------------------------------------------------------------------
    def has(self, sha256: str, name: str) -> bool:
        """True if these bytes are archived under this name."""
        with self._reading() as shelf:
            return shelf.has(sha256, name)

    def archived(self, name: str) -> list[str]:
        """Hashes of all bytes that are archived under a name."""
        with self._reading() as shelf:
            return list(shelf.archived(name))

    def size(self, sha256: str, name: str) -> int | None:
        """Bytes of a file that is archived."""
        with self._reading() as shelf:
            return shelf.size(sha256, name)

    def digest(self, sha256: str, name: str, algorithm: str) -> str | None:
        """Another digest of archived bytes; None if they cannot be read."""
        with self._reading() as shelf:
            return shelf.digest(sha256, name, algorithm)

    @contextmanager
    def _reading(self) -> Iterator[Shelf]:
        """The archive as it was when something was landed last. Nothing is written."""
        with self.lock:
            self._known = self._known or _open(self.lake)
            yield self._known.shelf

    def _shelf(self) -> Shelf:
        """The same for a thread that must not wait while another one lands."""
        known = self._known
        if known is None:
            with self._reading() as shelf:
                return shelf
        return known.shelf

    # ---- a group ---------------------------------------------------------------------------------------------------
    def _take_group(self, files: Sequence[Arrived]) -> list[Taken]:
        with self.aside() as folder, _handle_of(folder) as disk:
            read = [self._read(arrived, folder / f"{number}.part") for number, arrived in enumerate(files)]
            done = [one for one in read if isinstance(one, Taken)]
            if len(done) == len(read):
                return done
            self.presence.check()
            with self.lock, self.lake.storage.alone(LANDING, self._wait_seconds):
                try:
                    self.presence.check()
                    return self._archive(read, folder, disk)
                except BaseException:
                    self._known = None  # what it knows of the archive may be ahead of what is there
                    raise

    @cached_property
    def _wait_seconds(self) -> float:
        """The setting, which is read from files."""
        return read_settings().wait_seconds

    # ---- reading, by each thread for itself ------------------------------------------------------------------------
    def _read(self, arrived: Arrived, copy: Path) -> Copied | Taken:
        """A file that is read, or why it is not to be archived."""
        try:
            found = self._recognised(arrived.name, self.clock())
        except FileNameError as error:
            return _result(arrived, "refused", str(error))
        if found[1].kind != "raw" and not has_records(*found):
            return _result(arrived, "ignored", f"is no telemetry ({found[1].kind})")
        try:
            return self._content(arrived, found, copy)
        except ChangedError as error:
            return _result(arrived, "waiting", str(error))
        except (SourceError, NoRoomError) as error:
            return _result(arrived, "failed", str(error))

    def _content(self, arrived: Arrived, found: tuple[Mission, ParsedName], copy: Path) -> Copied:
        # A name that came before mostly brings the same bytes: then there is nothing to copy.
        shelf = self._shelf()
        before = shelf.archived(arrived.name)
        content = hashed(arrived.file, arrived.mark) if before and not arrived.sha256 else None
        if content is None or content[0] not in before or not shelf.is_sound(*content):
            content = self._copied(arrived, copy)
            return Copied(arrived, found, content, copy)
        return Copied(arrived, found, content, None)

    def _recognised(self, name: str, now: datetime) -> tuple[Mission, ParsedName]:
        """As `recognise`; a name is mostly one of the mission of the last one, and no other takes its telemetry."""
        likely = self._likely
        if likely is not None:
            with suppress(FileNameError):
                parsed = parse_name(likely.names, name, now)
                if parsed.kind == "raw":
                    return likely, parsed
        found = recognise(self.lake, name, now)
        self._likely = found[0]
        return found

    def _copied(self, arrived: Arrived, copy: Path) -> tuple[str, int]:
        """A copy; of a file in `aside` that was hashed when it was written, another name of it."""
        if arrived.sha256 is None or self._home is None or not arrived.file.is_relative_to(self._home):
            return copied(arrived.file, copy, arrived.mark)
        if not arrived.file.exists():
            raise SourceError(f"{arrived.file}: is gone. Send it again.")
        with writing(copy):
            copy.hardlink_to(arrived.file)
            copy.chmod(0o444)
            sync(copy)
            return arrived.sha256, copy.stat().st_size

    # ---- archiving, one group at a time ----------------------------------------------------------------------------
    def _archive(self, read: Sequence[Copied | Taken], folder: Path, disk: int) -> list[Taken]:
        known, lost = self._current()
        shelf, now = known.shelf, self.clock()
        self._look_for_strays(known, read)
        drafts = [self._draft(shelf, one, now) if isinstance(one, Copied) else one for one in read]
        new = [draft for draft in drafts if isinstance(draft, Draft)]
        fresh = shelf.archive.add_all([(draft.receipt, draft.copy) for draft in new], folder, disk)
        for day in {shelf.archive.bytes_key(draft.receipt).rpartition("/")[0] for draft in new}:
            shelf.saw(day)
        keys = [draft.receipt.key for draft, is_fresh in zip(new, fresh, strict=True) if is_fresh]
        known.arrivals.record([key for key in keys if key not in lost], shelf.known)
        lost -= set(keys)
        there = set(keys)
        return [_told(draft, there) if isinstance(draft, Draft) else draft for draft in drafts]

    def _current(self) -> tuple[Known, set[str]]:
        """The archive as it is now: listed, or with what others have recorded since; and what had been lost."""
        known = self._known = self._known or _open(self.lake)
        known.shelf.note_others(known.arrivals.newer())
        if known.lost is None:
            self._adopt(known)
            known.lost = known.arrivals.lost(known.shelf.known.keys())
        return known, known.lost

    def _adopt(self, known: Known) -> None:
        """Give places to what is archived and has none; what others recorded has one."""
        adopt(self.lake, {key: stored for key, stored in known.shelf.known.items() if stored})
        known.shelf.note_others(known.arrivals.newer())

    def _look_for_strays(self, known: Known, read: Sequence[Copied | Taken]) -> None:
        """Know what another process archived before it died, and had not recorded: the next revision rests on it."""
        new = [one for one in read if isinstance(one, Copied) and not _is_known(known.shelf, one)]
        strays = known.shelf.look_again({_day(one.found) for one in new})
        if strays:
            log.warning("landing: %d files were archived by a process that died; they get places now", len(strays))
            self._adopt(known)
            if known.lost is not None:
                known.lost.difference_update(strays)

    def _draft(self, shelf: Shelf, one: Copied, now: datetime) -> Draft | Taken:
        """What is to be archived, or that it is."""
        arrived, content, before = one.arrived, one.content, shelf.archived(one.arrived.name)
        if one.copy is not None:
            for line in shelf.mend(content[0], one.copy, content[1], arrived.name):
                log.warning(line)
        if _is_known(shelf, one):
            if one.copy is not None:
                one.copy.unlink(missing_ok=True)
            return Taken(arrived, "known", "", *content)
        if one.copy is None:
            return _result(arrived, "failed", "was archived when it was read, and is no longer. It is tried again.")
        receipt = new_receipt(
            arrived.name, f"{arrived.source}:{arrived.path}", content, one.found, now, len(before) + 1
        )
        shelf.note(receipt)
        return Draft(arrived, receipt, one.copy)

    # ---- where files are written before they are archived ----------------------------------------------------------
    @contextmanager
    def aside(self) -> Iterator[Path]:
        """An empty folder, gone after the block, for bytes on their way; on the disk of a lake in a folder.

        What a process that was killed has left there, the next one removes. Raises StorageError.
        """
        self.presence.check()
        if not isinstance(self.lake.root, Path):
            with self.lake.storage.scratch() as folder:
                yield folder
            return
        home = self._home_in(self.lake.root)
        with writing(home):
            folder = Path(tempfile.mkdtemp(dir=home))
        try:
            yield folder
        finally:
            with suppress(FileNotFoundError):  # the lake is gone
                _remove(folder)

    def _home_in(self, root: Path) -> Path:
        with self._home_lock:
            if self._home is None or not self._home.is_dir():
                self._home = folder_while_alive(root / HOME)
            os.utime(root / HOME)  # upkeep removes what nobody has touched for days
            return self._home


def _open(lake: Lake) -> Known:
    """The archive, listed. The order of arrival is read first: what it has by then is in the listing."""
    arrivals = Arrivals(lake)
    return Known(Shelf(lake), arrivals)


def _is_known(shelf: Shelf, one: Copied) -> bool:
    return one.content[0] in shelf.archived(one.arrived.name)


def _day(found: tuple[Mission, ParsedName]) -> str:
    """The folder of the archive for a name."""
    mission, parsed = found
    assert parsed.time is not None  # noqa: S101  raw names have one
    return f"{RAW}{mission.name}/{parsed.instrument}/{parsed.time.date().isoformat()}"


def _groups(files: Sequence[Arrived]) -> Iterator[list[Arrived]]:
    group, size = list[Arrived](), 0
    for arrived in files:
        if group and (len(group) >= GROUP_FILES or size > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(arrived)
        size += _size(arrived.file)
    if group:
        yield group


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


@contextmanager
def _handle_of(folder: Path) -> Iterator[int]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield handle
    finally:
        os.close(handle)


def _remove(folder: Path) -> None:
    """Remove a folder of files."""
    for name in os.listdir(folder):  # noqa: PTH208  ten times as fast as `shutil.rmtree` with thousands of them
        os.unlink(f"{folder}/{name}")  # noqa: PTH108
    folder.rmdir()


def _result(arrived: Arrived, state: State, detail: str) -> Taken:
    if state != "ignored":
        log.info("landing source=%s name=%s %s: %s", arrived.source, shown(arrived.name), state, detail)
    return Taken(arrived, state, detail, bytes=_size(arrived.file))


def _told(draft: Draft, fresh: set[str]) -> Taken:
    receipt = draft.receipt
    if receipt.key not in fresh:
        return Taken(draft.arrived, "known", "", receipt.file_sha256, receipt.bytes)
    other = f"same name, other bytes: revision {receipt.revision}; both are kept" if receipt.revision > 1 else ""
    return Taken(draft.arrived, "landed", other, receipt.file_sha256, receipt.bytes)
