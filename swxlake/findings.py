# SPDX-License-Identifier: Apache-2.0
"""What fsck has found so far, and the listing of the lake that it looks at."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from lake.errors import StorageError, SwxlakeError
from lake.files import sha256_of
from lake.maintenance import half_written
from lake.reading import READ_ERRORS, one_line
from lake.storage import Entry
from lake.store import JOURNAL, Journal, Lake

DAY_SECONDS = 86_400
FROM_BACKUP = "Restore it from a backup"

# What reading may raise: damaged bytes may be anything, and one damaged thing must not hide what else was found.
UNREADABLE = (
    pl.exceptions.PolarsError, SwxlakeError, *READ_ERRORS,
    ArithmeticError, AttributeError, LookupError, TypeError, ValueError,
)  # fmt: skip


@dataclass
class Findings:
    """Differences (problems), what is odd but harms nothing (notes), and how much was looked at (counts)."""

    lake: Lake
    quick: bool = False
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    hashes: dict[str, str | None] = field(default_factory=dict)
    kinds: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Every object of the lake by key, as listed once at the start."""
        return {entry.key: entry for entry in self.lake.storage.entries("")}

    def below(self, prefix: str) -> Iterator[Entry]:
        """Objects below a prefix, without what is half-written."""
        return (e for key, e in self.entries.items() if key.startswith(prefix) and not half_written(key))

    def problem(self, place: str, what: str, remedy: str) -> None:
        """A difference: where it is, what it is, and what to do."""
        self.problems.append(f"{place}: {what}. {remedy}")

    def uri(self, key: str) -> str:
        """Where an object is."""
        return self.lake.storage.uri(key)

    def size(self, key: str) -> int | None:
        """Bytes of an object; None if it is not there."""
        return self.entries[key].bytes if key in self.entries else None

    def age(self, entry: Entry) -> str:
        """How old an object is, in words."""
        return f"{max(0.0, time.time() - entry.modified) / DAY_SECONDS:.1f} days old"

    @contextmanager
    def reading(self, place: str, remedy: str) -> Iterator[None]:
        """Note as a difference that what is read in the block cannot be."""
        try:
            yield
        except UNREADABLE as error:
            self.problem(place, f"cannot be read ({one_line(error) or type(error).__name__})", remedy)

    def journal(self, kind: str, **needed: type) -> dict[str, dict[str, Any]]:
        """Entries of a kind by key, read once; what cannot be read or lacks such an item is a difference."""
        if kind not in self.kinds:
            self.kinds[kind] = self._entries(kind, needed)
        return self.kinds[kind]

    def _entries(self, kind: str, needed: dict[str, type]) -> dict[str, dict[str, Any]]:
        journal, entries = Journal(self.lake), dict[str, dict[str, Any]]()
        for key in journal.keys(kind):
            try:
                entry = journal.entry(kind, key)
            except StorageError as error:
                self.problems.append(str(error))
                continue
            if odd := _misshapen(entry, needed):
                place = self.uri(f"{JOURNAL}{kind}/{key}.json")
                self.problem(place, f"is no entry of {kind} ({odd})", f"{FROM_BACKUP}.")
            else:
                entries[key] = entry or {}
        return entries

    def sha256(self, key: str) -> str | None:
        """sha256 of an object's bytes, read once; None, with a problem noted, if they cannot be read."""
        if key not in self.hashes:
            self.hashes[key] = self._hashed(key)
        return self.hashes[key]

    def _hashed(self, key: str) -> str | None:
        self.counts["bytes_hashed"] += self.size(key) or 0
        try:
            with self.lake.storage.local(key) as path:
                return sha256_of(path)
        except StorageError as error:
            self.problems.append(str(error))
            return None

    def differs(self, key: str, size: int, sha256: str) -> str | None:
        """What is wrong with an object that should have this size and hash; None if nothing is."""
        found = self.size(key)
        if found is None:
            return "is missing"
        if found != size:
            return f"has {found} bytes instead of {size}"
        if self.quick or (digest := self.sha256(key)) in (sha256, None):
            return None
        return f"has changed: its sha256 is {digest}, not {sha256}"


def _misshapen(entry: object, needed: dict[str, type]) -> str:
    """What an entry of the journal lacks; empty if nothing."""
    if not isinstance(entry, dict):
        return "it holds no names"
    odd = [name for name, kind in needed.items() if not isinstance(entry.get(name), kind)]
    return f"{' and '.join(odd)} missing or of another type" if odd else ""
