# SPDX-License-Identifier: Apache-2.0
"""Landing: from a drop folder into the immutable raw archive.

A file is taken when its name follows a mission's grammar and it has stopped growing. It is copied, never moved: the
drop folder belongs to the sender. Everything that is not taken is counted, with a reason.
"""

from __future__ import annotations

import logging
import stat
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from lake.definitions import Mission
from lake.errors import FileNameError, StorageError
from lake.names import ParsedName, parse_name
from lake.store import Lake, RawArchive, Receipt, name_hash, reading, receipt_key, sha256_of
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
    growing: list[Path] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    revisions: list[Receipt] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def land(lake: Lake, paths: list[Path], now: datetime, settle_seconds: float) -> Landed:
    """Archive every new, complete, well-named file of the given files and folders (folders are not searched deeper).

    Raises StorageError if the archive cannot be written. A file that cannot be read is reported and passed over.
    """
    landed = Landed()
    archive = RawArchive(lake)
    known = archive.keys()
    revisions = Counter(key.rsplit("-", 1)[1] for key in known)
    files = _settled(_files(paths, landed), settle_seconds, landed)
    for path in files:
        try:
            _land_file(lake, archive, known, revisions, path, now, landed)
        except StorageError as error:
            if not _is_reading_problem(path):
                raise
            landed.unreadable.append(str(error))
    return landed


def _is_reading_problem(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            stream.read(1)
    except OSError:
        return True
    return False


def _files(paths: list[Path], landed: Landed) -> list[Path]:
    """Regular files of the paths, in the order of their names; a pipe or device is refused, a folder passed over."""
    found: list[Path] = []
    for path in paths:
        with reading(path):
            if not path.exists():
                raise StorageError(f"{path}: does not exist. Give a file or folder that does.")
            entries = sorted(path.iterdir()) if path.is_dir() else [path]
        found += [entry for entry in entries if not entry.is_dir()]
    for path in found:
        if not path.is_file():
            landed.refused.append(Refused(path, "NOT_A_FILE", "is no regular file. Remove it", 0))
    return [path for path in found if path.is_file()]


def _settled(files: list[Path], settle_seconds: float, landed: Landed) -> list[Path]:
    """Files whose size and modification time stand still; recently changed ones are looked at twice."""
    before = {path: _state(path) for path in files}
    newest = max((state[1] for state in before.values() if state), default=0)
    if newest > time.time_ns() - int(settle_seconds * 1e9):
        time.sleep(settle_seconds)
    settled = [path for path in files if before[path] and _state(path) == before[path]]
    landed.growing += [path for path in files if path not in set(settled)]
    return settled


def _state(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


def _land_file(
    lake: Lake,
    archive: RawArchive,
    known: dict[str, Path],
    revisions: Counter[str],
    path: Path,
    now: datetime,
    landed: Landed,
) -> None:
    try:
        mission, parsed = recognise(lake, path.name, now)
    except FileNameError as error:
        landed.refused.append(Refused(path, error.code, str(error), path.stat().st_size))
        return
    if parsed.kind != "raw":
        landed.ignored += 1
        return
    digest = sha256_of(path)
    if receipt_key(digest, path.name) in known:
        landed.known += 1
        return
    receipt = _receipt(path, digest, mission, parsed, now)
    revisions[name_hash(path.name)] += 1
    receipt = replace(receipt, revision=revisions[name_hash(path.name)])
    archive.add(receipt, path)
    known[receipt.key] = path
    landed.new.append(receipt)
    if receipt.revision > 1:
        landed.revisions.append(receipt)
        log.warning("landing name=%s revision=%d: same name, other bytes; both are kept", path.name, receipt.revision)


def _receipt(path: Path, digest: str, mission: Mission, parsed: ParsedName, now: datetime) -> Receipt:
    assert parsed.time is not None and parsed.instrument is not None  # noqa: S101, PT018  raw names have both
    return Receipt(
        name=path.name,
        file_sha256=digest,
        bytes=path.stat().st_size,
        received_at=now.isoformat(),
        source=str(path.absolute()),
        mission=mission.name,
        instrument=parsed.instrument,
        day=parsed.time.date().isoformat(),
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
    raise next((p for p in problems if p.code != "BAD_MISSION"), problems[0])


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
