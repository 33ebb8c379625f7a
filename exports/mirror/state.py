# SPDX-License-Identifier: Apache-2.0
"""What a mirror knows: files that it has, as they were when it put them there, and those that failed.

It lies in `.mirror/state.json` of the folder. Without it nothing is lost: files are known again by their hashes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from lake.errors import StorageError
from lake.files import finished, reading, sync, temporary, writing

HIDDEN = ".mirror"
FORM = 1
TIME = "%Y-%m-%dT%H:%M:%SZ"
FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
FILE_MODE = 0o644


@dataclass(frozen=True)
class Kept:
    """A file of the mirror.

    mark : the source's, with its size. stat : of the file here, when it was put there. by : what its sha256 was
    compared with, a manifest of the delivery or what the source itself says.
    """

    target: str
    mark: str
    stat: str
    sha256: str
    bytes: int
    at: str
    by: Literal["manifest", "source"]


@dataclass(frozen=True)
class Failed:
    """A file that could not be fetched or put in its place: how often, why, and when it is tried again."""

    mark: str
    times: int
    next_at: str
    reason: str


@dataclass
class State:
    """All of it; `source` is the place that marks are of."""

    source: str = ""
    swept_at: str | None = None
    files: dict[str, Kept] = field(default_factory=dict)
    failed: dict[str, Failed] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    receipts: list[str] = field(default_factory=list)

    def fail(self, path: str, mark: str, reason: str, now: datetime) -> Failed:
        """Note a failure; each one of the same file doubles the time until it is tried again."""
        before = self.failed.get(path)
        times = before.times + 1 if before is not None and before.mark == mark else 1
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(times - 1, 16))
        self.failed[path] = Failed(mark, times, text(now + wait), reason)
        return self.failed[path]

    def waits(self, path: str, mark: str, now: datetime) -> bool:
        """Whether a file that failed is not to be tried yet. One that is another by now is."""
        before = self.failed.get(path)
        return before is not None and before.mark == mark and time(before.next_at) > now

    def due(self, now: datetime) -> frozenset[str]:
        """Files whose time to be tried again has come."""
        return frozenset(path for path, failed in self.failed.items() if time(failed.next_at) <= now)


def text(at: datetime) -> str:
    """A time as it is written, in UTC to the second."""
    return at.astimezone(UTC).strftime(TIME)


def time(written: str) -> datetime:
    """A time that was written."""
    return datetime.strptime(written, TIME).replace(tzinfo=UTC)


def read_state(folder: Path, source: str) -> State:
    """The state of a mirror; an empty one if there is none. Marks of another source than this one count for nothing.

    Raises StorageError if it is none of ours.
    """
    path = folder / HIDDEN / "state.json"
    if not path.exists():
        return State(source)
    with reading(path):
        content = path.read_bytes()
    try:
        found = _parsed(json.loads(content))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        what = "is no ledger of this mirror. Move it away; files are known again by their hashes"
        raise StorageError(f"{path}: {what}.") from None
    if found.source == source:
        return found
    files = {name: replace(kept, mark="") for name, kept in found.files.items()}
    return State(source, files=files)


def _parsed(content: dict[str, Any]) -> State:
    if content.pop("form") != FORM:
        raise ValueError(FORM)
    files = {path: Kept(**facts) for path, facts in content.pop("files").items()}
    failed = {path: Failed(**facts) for path, facts in content.pop("failed").items()}
    for one in failed.values():
        time(one.next_at)
    return State(**content, files=files, failed=failed)


def state_text(state: State) -> bytes:
    """The state as it is written."""
    files = {path: vars(kept) for path, kept in state.files.items()}
    failed = {path: vars(one) for path, one in state.failed.items()}
    return json.dumps({"form": FORM} | vars(state) | {"files": files, "failed": failed}).encode() + b"\n"


def write_state(folder: Path, written: bytes) -> None:
    """Replace the state on disk, whole."""
    replace_file(folder / HIDDEN / "state.json", written)


def replace_file(path: Path, content: bytes) -> None:
    """Write a small file in place of what is there, whole or not at all, and so that it survives a power loss."""
    with writing(path), temporary(path) as (part, file):
        file.write(content)
        finished(file, FILE_MODE)
        part.replace(path)
        sync(path.parent)
