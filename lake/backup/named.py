# SPDX-License-Identifier: Apache-2.0
"""What snapshots name, one entry for each object, and which of them a verification reads back.

Snapshots of a lake are nearly equal, so each object of the newest one is read by its hash, and each older snapshot has
its turn by its own: then all is read that it names and the next one does not. So nothing is left out, however many
snapshots there are, and few of them are fetched.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import pairwise
from typing import NamedTuple

from lake.backup.settings import COLD
from lake.backup.snapshots import NAME, ChangedError, Line
from lake.backup.vault import SNAPSHOTS, Vault
from lake.errors import WayError


class Stored(NamedTuple):
    """What is stored in an object, whether it lies in cold storage, and whether it is to be read back."""

    bytes: int
    sha256: str
    is_cold: bool
    is_due: bool


class Round(NamedTuple):
    """What one verification looks at.

    names : snapshots of which those objects are read whose turn it is
    older : snapshots with the one that followed; of these, all is read that the later one names no more
    instead : snapshots that stand in for those of `names` if these have changed, in this order
    """

    names: list[str]
    older: list[tuple[str, str]]
    turns: int
    turn: int
    instead: list[str]

    def is_due(self, path: str) -> bool:
        """Whether it is the turn of an object."""
        return _slice(path.rpartition("/")[2], self.turns) == self.turn % self.turns


def turns_of(share: float) -> int:
    """After how many verifications of a share everything was read."""
    return math.ceil(1 / share)


def round_of(names: list[str], share: float, turn: int, every: bool = False) -> Round:
    """What the verification of a number looks at; `every` counts the objects of all snapshots.

    `names` are those of all snapshots at the place, the oldest first. 1 / share verifications look at everything.
    """
    turns = turns_of(share)
    if every:
        return Round(names, [], turns, turn, [])
    older = [(name, later) for name, later in pairwise(names) if _slice(_hash_of(name), turns) == turn % turns]
    return Round(names[-1:], older, turns, turn, names[-2::-1])


def _slice(digits: str, turns: int) -> int:
    """In which turn something is read, by its hash."""
    return int(digits[:8], 16) % turns


def _is_left(still: set[str], path: str) -> bool:
    return path not in still


def _hash_of(name: str) -> str:
    found = NAME.fullmatch(name)
    return found[2] if found else "0"


class Reading:
    """Reading the snapshots of a place; those that have changed are problems. `read`: those that have not."""

    def __init__(self, vault: Vault) -> None:
        self.vault, self.renewals = vault, vault.renewals()
        self.read: set[str] = set()
        self.problems: dict[str, str] = {}
        self.counted: list[str] = []

    def lines(self, name: str) -> Iterator[Line]:
        """The lines of a snapshot, with what is stored now; its file is gone afterwards."""
        try:
            snapshot = self.vault.snapshot(name)
            for line in snapshot.lines():
                size, sha256 = self.renewals.get(line.object, (line.stored_bytes, line.stored_sha256))
                yield line._replace(stored_bytes=size, stored_sha256=sha256)
            snapshot.path.unlink()
        except ChangedError:
            self.problems[name] = f"snapshot {name} has changed there. `swxlake backup run` makes a new one."
        except (WayError, OSError, EOFError) as error:
            self.problems[name] = f"{SNAPSHOTS}/{name}: {error}"
        else:
            self.read.add(name)

    def objects(self, wanted: Round) -> dict[str, Stored]:
        """What is stored in each object that the snapshots of a round name."""
        found: dict[str, Stored] = {}
        for name in self._counted(wanted):
            self._add(found, self.lines(name), wanted.is_due)
        known: tuple[str, set[str]] = "", set()
        for name, later in reversed(wanted.older):
            still = known[1] if known[0] == later else {line.object for line in self.lines(later)}
            known = name, self._add(found, self.lines(name), partial(_is_left, still))
        return found

    def _counted(self, wanted: Round) -> Iterator[str]:
        """The snapshots of which all objects are counted; each is read before the next one is asked for."""
        for name in (*wanted.names, *wanted.instead):
            if name in wanted.instead and self.read:
                return
            self.counted.append(name)
            yield name

    def _add(self, found: dict[str, Stored], lines: Iterable[Line], is_due: Callable[[str], bool]) -> set[str]:
        """Add the objects of lines; those that there are."""
        own = set()
        for line in lines:
            own.add(line.object)
            was, due = found.get(line.object), is_due(line.object)
            if was is None or (due and not was.is_due):
                is_cold = self.vault.place.class_of(line.kind) in COLD
                found[line.object] = Stored(line.stored_bytes, line.stored_sha256, is_cold, due)
        return own

    def files_of(self, objects: set[str], wanted: Round) -> dict[str, list[Line]]:
        """The files that objects are of, each once; snapshots are read once more for it."""
        found: dict[str, dict[str, Line]] = {path: {} for path in objects}
        for name in dict.fromkeys((*self.counted, *(name for name, _ in wanted.older))):
            for line in self.lines(name):
                if line.object in found:
                    found[line.object].setdefault(line.key, line)
        return {path: list(lines.values()) for path, lines in found.items()}
