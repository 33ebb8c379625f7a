# SPDX-License-Identifier: Apache-2.0
"""Landing: from a drop folder into the immutable raw archive.

A file is taken when its name follows a mission's grammar and it has stopped growing. It is copied, never moved: the
drop folder belongs to the sender. Everything that is not taken is counted, with a reason. Bytes that the archive has
lost, or that have changed there, are archived again when they come again, under whatever name. At the end the journal
notes in which order the new files arrived.
"""

from __future__ import annotations

import logging
import stat
import time
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from ingest.arrivals import Arrivals
from ingest.shelf import Shelf
from lake.definitions import Mission
from lake.errors import FileNameError, StorageError
from lake.files import reading, sha256_of
from lake.names import ParsedName, parse_name
from lake.store import LANDING, Lake, Receipt
from lake.tables import OpsRows

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refused:
    """A file that stays where it is."""

    path: Path
    code: str
    message: str
    bytes: int


@dataclass
class Landed:
    """What happened to the files of a drop folder."""

    new: list[Receipt] = field(default_factory=list)
    known: int = 0
    ignored: int = 0
    folders: list[Path] = field(default_factory=list)
    growing: list[Path] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    revisions: list[Receipt] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)


def land(lake: Lake, paths: list[Path], now: datetime, settle_seconds: float) -> Landed:
    """Archive every new, complete, well-named file of the given files and folders (folders are not searched deeper).

    Raises StorageError if the archive cannot be written. A file that cannot be read is reported and passed over.
    """
    landed = Landed()
    settled = _settled(_files(paths, landed), settle_seconds, landed)
    with lake.storage.alone(LANDING):
        arrivals, landing = Arrivals(lake), _Landing(lake, now, landed)
        for path in settled:
            landing.take(path)
        new = [receipt.key for receipt in landed.new]
        again = arrivals.lost(landing.shelf.known.keys() - set(new)) if new else set()  # had a place, and were lost
        arrivals.record([key for key in new if key not in again], landing.shelf.known)
    return landed


def _files(paths: list[Path], landed: Landed) -> list[Path]:
    """Regular files of the paths; a pipe or device is refused, a folder passed over.

    They come in the order of their names, so that a landing that is killed and done again gives the same order.
    """
    found: list[Path] = []
    for path in paths:
        with reading(path):
            path.stat()
            found += path.iterdir() if path.is_dir() else [path]
    return [path for path in sorted(found, key=lambda path: (path.name, path)) if _is_file(path, landed)]


def _is_file(path: Path, landed: Landed) -> bool:
    """True for a regular file or a link to one; anything else that is no folder is noted."""
    try:
        mode = path.stat().st_mode
    except PermissionError as error:
        landed.unreadable.append(f"{path}: {error.strerror}. Give the right to read it.")
        return False
    except OSError:  # a link to nothing or to itself
        mode = 0
    if stat.S_ISDIR(mode):
        landed.folders.append(path)
    elif not stat.S_ISREG(mode):
        landed.refused.append(Refused(path, "NOT_A_FILE", "is no regular file. Remove it", 0))
    return stat.S_ISREG(mode)


def _settled(files: list[Path], settle_seconds: float, landed: Landed) -> list[Path]:
    """Files whose size and modification time stand still; recently changed ones are looked at twice."""
    before = {path: _state(path) for path in files}
    newest = max((state[1] for state in before.values() if state), default=0)
    if newest > time.time_ns() - int(settle_seconds * 1e9):
        time.sleep(settle_seconds)
    still = {path: bool(state) and _state(path) == state for path, state in before.items()}
    landed.growing += [path for path in files if not still[path]]
    return [path for path in files if still[path]]


def _state(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


class _Landing:
    """One visit to the drop folders: the archive as it was found, and what has been taken since."""

    def __init__(self, lake: Lake, now: datetime, landed: Landed) -> None:
        self.lake, self.now, self.landed, self.shelf = lake, now, landed, Shelf(lake)

    def take(self, path: Path) -> None:
        """Archive a file unless it is refused, known, unreadable or changing."""
        found = self._recognised(path)
        if found is None:
            return
        state = _state(path)
        try:
            digest = sha256_of(path)
        except StorageError as error:
            self.landed.unreadable.append(str(error))
            return
        if state is None or _state(path) != state:
            self.landed.growing.append(path)
            return
        receipt = new_receipt(path.name, str(path.absolute()), (digest, state[0]), found, self.now)
        try:
            self._archive(path, replace(receipt, revision=self.shelf.next_revision(path.name)))
        except StorageError:
            if not _has_changed(path, digest):
                raise
            self.landed.growing.append(path)

    def _recognised(self, path: Path) -> tuple[Mission, ParsedName] | None:
        """What a name says; None if it is refused, or if it is of a file that is not decoded."""
        try:
            found = recognise(self.lake, path.name, self.now)
        except FileNameError as error:
            size, _ = _state(path) or (0, 0)
            self.landed.refused.append(Refused(path, error.code, str(error), size))
            return None
        if found[1].kind != "raw" and not has_records(*found):
            self.landed.ignored += 1
            return None
        return found

    def _archive(self, path: Path, receipt: Receipt) -> None:
        """Archive a file that is new, and its bytes wherever the archive has lost them."""
        self.landed.restored += self.shelf.mend(receipt.file_sha256, path, receipt.bytes)
        if receipt.key in self.shelf.known:
            self.landed.known += 1
            return
        self.shelf.archive.add(receipt, path)
        self.shelf.note(receipt)
        self.landed.new.append(receipt)
        if receipt.revision > 1:
            self.landed.revisions.append(receipt)


def has_records(mission: Mission, parsed: ParsedName) -> bool:
    """True for an ancillary file, such as orbit elements, whose records its instrument defines."""
    instrument = next((i for i in mission.instruments if i.name == parsed.instrument), None)
    return parsed.kind == "ancillary" and instrument is not None and instrument.records_of(parsed.name) is not None


def _has_changed(path: Path, digest: str) -> bool:
    """True if a file no longer has the bytes of the digest, or is gone."""
    try:
        return sha256_of(path) != digest
    except StorageError:
        return True


def new_receipt(
    name: str,
    source: str,
    content: tuple[str, int],
    found: tuple[Mission, ParsedName],
    now: datetime,
    revision: int = 1,
) -> Receipt:
    """The receipt of a file with a raw name; `content` is the hash of its bytes and their number."""
    mission, parsed = found
    assert parsed.time is not None and parsed.instrument is not None  # noqa: S101, PT018  raw names have both
    return Receipt(
        name=name,
        file_sha256=content[0],
        bytes=content[1],
        received_at=now.isoformat(),
        source=source,
        mission=mission.name,
        instrument=parsed.instrument,
        day=parsed.time.date().isoformat(),
        revision=revision,
    )


def recognise(lake: Lake, name: str, now: datetime) -> tuple[Mission, ParsedName]:
    """The mission whose grammar accepts the name, and what the name says. Raises FileNameError with the reason code."""
    problems: list[FileNameError] = []
    for mission in lake.definitions.missions:
        try:
            parsed = parse_name(mission.names, name, now)
        except FileNameError as error:
            problems.append(error)
            continue
        if parsed.kind == "science":
            problems.append(FileNameError("NOT_RAW", f"{name!r} is a product, not telemetry. Remove it from the inbox"))
            continue
        return mission, parsed
    other = next((p for p in problems if p.code != "BAD_MISSION"), None)
    known = ", ".join(mission.name for mission in lake.definitions.missions)
    raise other or FileNameError(
        "BAD_MISSION", f"{name!r} is a name of no mission ({known}). Rename it after its mission, or remove it"
    )


def refused_rows(refused: list[Refused], run_id: str, rows: OpsRows) -> None:
    """One row of ops.quarantine for each refused file; the file itself is not read."""
    for item in refused:
        rows.add(
            "quarantine",
            file_sha256="",
            name=item.path.name.encode("utf-8", "backslashreplace").decode(),
            byte_offset=0,
            bytes=item.bytes,
            reason=item.code,
            detail=item.message.encode("utf-8", "backslashreplace").decode(),
            packets=0,
            run_id=run_id,
        )
