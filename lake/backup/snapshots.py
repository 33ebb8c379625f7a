# SPDX-License-Identifier: Apache-2.0
"""Snapshots: lists of all that a lake was made of at one time. Their names hold the hash of their own bytes.

A snapshot is JSON lines, gzipped: one line about the lake, then one for each file, in the order of `order_of`.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, NamedTuple

from lake.errors import WayError
from lake.files import sha256_of
from lake.ways.names import checked

FORMAT = 1
STAMP = "%Y%m%dT%H%M%SZ"
NAME = re.compile(r"(\d{8}T\d{6}Z)-([0-9a-f]{16})\.jsonl\.gz")
OBJECT = re.compile(r"objects/([0-9a-f]{2})/\1[0-9a-f]{62}(\.[0-9a-f]{8}\.age)?")
SHA256 = re.compile(r"[0-9a-f]{64}")
# Each kind is listed after those that tell of it: a file that came while a copy was made is in it without being told
# of, which the next night mends, and nothing that is told of is missing.
KINDS = ("config", "state", "fits", "exports", "journal", "raw", "tables")
LEVEL = 6  # of gzip: a hash does not shrink, names do, and more takes longer for nothing


class Line(NamedTuple):
    """A file of the lake and the object that holds its bytes; what is stored differs from them if it is encrypted."""

    key: str
    bytes: int
    modified: float
    sha256: str
    object: str
    stored_bytes: int
    stored_sha256: str

    @property
    def kind(self) -> str:
        """Which part of the lake it is of."""
        return self.key.partition("/")[0]

    @property
    def is_sealed(self) -> bool:
        """Whether the object is encrypted."""
        return self.object.endswith(".age")


def order_of(key: str) -> tuple[int, str]:
    """How files are sorted in a snapshot."""
    return KINDS.index(key.partition("/")[0]), key


@dataclass(frozen=True)
class About:
    """What a snapshot says of itself. `at_rest`: no night was at work. `tables`: version and identity by address."""

    lake: str
    made_at: str
    previous: str | None
    at_rest: bool
    release: str
    commit: str | None
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: int = 0
    bytes: int = 0
    swxlake_backup: int = FORMAT


def as_text(line: Line) -> str:
    """A line as it is written."""
    facts: dict[str, Any] = {name: getattr(line, name) for name in ("key", "bytes", "modified", "sha256", "object")}
    if line.is_sealed:
        facts |= {"stored_bytes": line.stored_bytes, "stored_sha256": line.stored_sha256}
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")) + "\n"


def _line(text: str, who: str) -> Line:
    """A line that was read; whoever wrote it, its paths lead nowhere else. Raises WayError."""
    try:
        facts = json.loads(text)
        size, sha256 = int(facts["bytes"]), str(facts["sha256"])
        stored = int(facts.get("stored_bytes", size)), str(facts.get("stored_sha256", sha256))
        line = Line(str(facts["key"]), size, float(facts["modified"]), sha256, str(facts["object"]), *stored)
        hashes = SHA256.fullmatch(line.sha256) and SHA256.fullmatch(line.stored_sha256)
        if not hashes or not OBJECT.fullmatch(line.object) or line.kind not in KINDS:
            raise ValueError
    except (ValueError, LookupError, TypeError):
        raise WayError(f"{who}: {text[:200]!r} is no line of a snapshot. Take another one by --as-of.") from None
    checked(who, line.key)
    return line


class ChangedError(WayError):
    """A snapshot whose bytes are not those that its name was made of."""


class Snapshot:
    """A snapshot in a file of this machine."""

    def __init__(self, who: str, name: str, path: Path) -> None:
        self.who, self.name, self.path = f"{who}: snapshot {name}", name, path

    def about(self) -> About:
        """What it says of itself. Raises WayError if this software cannot read it."""
        with gzip.open(self.path, "rt", encoding="utf-8") as stream:
            try:
                facts = json.loads(stream.readline())
                if facts["swxlake_backup"] == FORMAT:
                    return About(**facts)
            except (ValueError, LookupError, TypeError):
                pass
        raise WayError(f"{self.who}: was written by another version of this software. Restore with that one.")

    def lines(self) -> Iterator[Line]:
        """Its files, in order."""
        with gzip.open(self.path, "rt", encoding="utf-8") as stream:
            next(stream)
            for text in stream:
                yield _line(text, self.who)


def written(folder: Path, about: About, lines: Path, now: datetime) -> Path:
    """A snapshot in `folder` under its name, made of a file of lines. It sorts after the previous one."""
    path = folder / "snapshot"
    with gzip.GzipFile(path, "wb", LEVEL, mtime=0) as stream, lines.open("rb") as source:
        stream.write(json.dumps(asdict(about), separators=(",", ":")).encode() + b"\n")
        _copy(source, stream)
    stamp = max(now, time_of(about.previous) + timedelta(seconds=1)) if about.previous else now
    return path.rename(folder / f"{stamp:{STAMP}}-{sha256_of(path)[:16]}.jsonl.gz")


def _copy(source: IO[bytes], stream: gzip.GzipFile) -> None:
    while block := source.read(1 << 20):
        stream.write(block)


def time_of(name: str) -> datetime:
    """When a snapshot was made, by its name."""
    return datetime.strptime(name.partition("-")[0], STAMP).replace(tzinfo=UTC)


def is_whole(name: str, path: Path) -> bool:
    """Whether the bytes are those that the name was made of."""
    found = NAME.fullmatch(name)
    return found is not None and sha256_of(path)[:16] == found[2]


def chosen(who: str, names: Iterable[str], as_of: str | None) -> str:
    """The newest snapshot, that of a name or of the beginning of one, or the newest one made by a time in ISO format.

    Raises WayError if there is none.
    """
    known = sorted(names)
    if not known:
        raise WayError(f"{who}: has no snapshot. Make one with `swxlake backup run`.")
    if as_of is None:
        return known[-1]
    found = [name for name in known if name.startswith(as_of)] or _made_by(known, as_of)
    if not found:
        raise WayError(f"{who}: has no snapshot {as_of!r} or of that time. `swxlake backup list` names them.")
    return found[-1]


def _made_by(names: list[str], text: str) -> list[str]:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return []
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return [name for name in names if time_of(name) <= moment]


class Before:
    """The lines of the previous snapshot, looked up by keys that come in the same order."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self.lines = lines
        self.next = next(lines, None)

    def line(self, key: str) -> Line | None:
        """The line of a key; None if there was none."""
        while self.next is not None and order_of(self.next.key) < order_of(key):
            self.next = next(self.lines, None)
        return self.next if self.next is not None and self.next.key == key else None
