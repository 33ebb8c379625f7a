# SPDX-License-Identifier: Apache-2.0
"""What the delivery says of its files: manifests of batches, and the catalogue of a tree that is pulled from.

Both come from outside. An entry that is none is passed over; what counts is that a file has the hash that is written.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exports.mirror.state import HIDDEN, State, replace_file
from lake.errors import PathError
from lake.files import reading
from lake.ways.transport import Found, Transport

MANIFESTS, CATALOGUE = "manifests", "catalogue/files.json"
SENT = ("added", "restored")
LONGEST_REASON = 300  # characters; the rest is in the manifest
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Fact:
    """What is written of a file: its hash, and names of its product."""

    sha256: str
    products: tuple[str, ...]


@dataclass
class Facts:
    """All that is written, by path; `withdrawn` are files that should not be used any more, and why."""

    files: dict[str, Fact] = field(default_factory=dict)
    withdrawn: dict[str, str] = field(default_factory=dict)

    def include(self, path: str, content: bytes) -> bool:
        """Add what a manifest or catalogue says; whether it is one. What manifests say goes before the catalogue."""
        entries = _entries(path, content)
        for entry in entries or ():
            self._include(entry, is_manifest=path != CATALOGUE)
        return entries is not None

    def _include(self, entry: dict[str, Any], is_manifest: bool) -> None:
        path, sha256, change = (str(entry.get(name)) for name in ("path", "sha256", "change"))
        if change == "withdrawn":
            self.withdrawn[path] = str(entry.get("reason") or "no reason is given")[:LONGEST_REASON]
        if not SHA256.fullmatch(sha256) or (is_manifest and change not in SENT):
            return
        fact = Fact(sha256, tuple(str(entry[name]) for name in ("product", "dataset") if entry.get(name)))
        if is_manifest:
            self.files[path] = fact
        else:
            self.files.setdefault(path, fact)


def _entries(path: str, content: bytes) -> list[dict[str, Any]] | None:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    listed = found if path == CATALOGUE else found.get("files") if isinstance(found, dict) else None
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else None


def is_fact(path: str) -> bool:
    """Whether a path is that of a manifest or of the catalogue."""
    return path == CATALOGUE or (path.startswith(f"{MANIFESTS}/") and path.endswith(".json"))


def offered_facts(transport: Transport) -> Iterator[Found]:
    """Manifests and the catalogue that a source has; a catalogue first, as manifests go before it."""
    yield from (found for found in transport.entries("catalogue") if is_fact(found.path))
    yield from (found for found in transport.entries(MANIFESTS) if is_fact(found.path))


def read_facts(folder: Path, state: State) -> Facts:
    """What was written down in rounds before; what is missing is fetched again."""
    facts = Facts()
    for path in sorted(state.facts, key=_order):
        copy = _copy(folder, path)
        if not copy.is_file():
            del state.facts[path]
            continue
        with reading(copy):
            facts.include(path, copy.read_bytes())
    return facts


def fetch_facts(
    folder: Path, transport: Transport, state: State, facts: Facts, offered: Iterable[Found], keep: bool
) -> list[str]:
    """Read those manifests that are new, and write them down if `keep`; what is wrong with some. Raises WayError."""
    wrong = []
    for found in offered:
        mark = mark_of(found)
        if state.facts.get(found.path) == mark:
            continue
        try:
            content = transport.read(found.path)
        except PathError as error:
            wrong.append(str(error))
            continue
        if content is None:
            continue  # removed since it was listed
        if not facts.include(found.path, content):
            wrong.append(f"{found.path}: is no list of files. Ask the center, and have it written again.")
        if keep:
            replace_file(_copy(folder, found.path), content)
            state.facts[found.path] = mark
    return wrong


def mark_of(found: Found) -> str:
    """A text that is another one if the file is."""
    return f"{found.bytes} {found.mark or found.modified}"


def _order(path: str) -> tuple[bool, str]:
    return path != CATALOGUE, path


def _copy(folder: Path, path: str) -> Path:
    """Where a copy lies; names of others are no paths of ours."""
    return folder / HIDDEN / "facts" / f"{hashlib.sha256(path.encode()).hexdigest()[:32]}.json"
