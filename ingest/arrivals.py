# SPDX-License-Identifier: Apache-2.0
"""The order in which files arrived, as the journal has it.

Of two equal packets the one in the file that arrived later is the repetition, so this order is recorded, once, and
never derived from clocks. An entry lists the receipts of one landing; `first` is the place of the first of them, and
`folders`, which older entries lack, are those below raw/ that the receipts lie in, "" where that was not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from lake.ledger import read_ops
from lake.store import RAW, Journal, Lake, RawArchive, Receipt

KIND = "arrivals"


class Arrival(NamedTuple):
    """An archived file and its place in the order of arrival, from 1."""

    place: int
    receipt: Receipt


class Arrivals:
    """The recorded order of arrival, read from its newest entry backwards and no further than it is asked for."""

    def __init__(self, lake: Lake) -> None:
        self.journal = Journal(lake)
        self.numbers = sorted(int(key) for key in self.journal.keys(KIND))
        self.entries: dict[int, dict[str, Any]] = {}

    def places(self, wanted: Iterable[str]) -> dict[str, int]:
        """Places of these receipts, from 1; what has not been recorded is left out."""
        left, found = set(wanted), dict[str, int]()
        for number in reversed(self.numbers):
            if not left:
                break
            entry = self._entry(number)
            found |= {key: place for place, key in enumerate(entry["receipts"], entry["first"]) if key in left}
            left -= found.keys()
        return found

    def lost(self, there: AbstractSet[str]) -> set[str]:
        """Receipts that have a place and are not among these.

        The newest entry says how many places there are; the others are read only if that is more than are there.
        """
        if self._next_place() - 1 <= len(there):
            return set()
        return {key for number in self.numbers for key in self._entry(number)["receipts"]} - there

    def newer(self) -> list[str]:
        """Receipts that other processes have recorded since this was read; the journal is not listed again."""
        found = list[str]()
        number = self._next_number()
        while (entry := self.journal.entry(KIND, f"{number:08}")) is not None:
            self.numbers.append(number)
            self.entries[number] = entry
            found += entry["receipts"]
            number += 1
        return found

    def record(self, receipts: Sequence[str], stored: Mapping[str, str] | None = None) -> None:
        """Give receipts that were not there when this object was made the next places.

        What another process has recorded in the meantime keeps its place. `stored` are storage keys by receipt, so that
        whoever follows the order need not search raw/ for them.
        """
        left = list(receipts)
        while left:
            number = self._next_number()
            entry = {"first": self._next_place(), "receipts": left} | _folders(left, stored or {})
            ours = self.journal.write_once(KIND, f"{number:08}", entry)
            self.numbers.append(number)
            left = [] if ours else [key for key in left if key not in self._entry(number)["receipts"]]

    def _next_number(self) -> int:
        return self.numbers[-1] + 1 if self.numbers else 1

    def _next_place(self) -> int:
        if not self.numbers:
            return 1
        newest = self._entry(self.numbers[-1])
        return int(newest["first"]) + len(newest["receipts"])

    def _entry(self, number: int) -> dict[str, Any]:
        if number not in self.entries:
            entry = self.journal.entry(KIND, f"{number:08}")
            assert entry is not None, "entries are never removed"  # noqa: S101
            self.entries[number] = entry
        return self.entries[number]


def _folders(receipts: Sequence[str], stored: Mapping[str, str]) -> dict[str, list[str]]:
    """The folders of receipts as an entry has them; nothing if none is known."""
    folders = [stored.get(key, "").removeprefix(RAW).rpartition("/")[0] for key in receipts]
    return {"folders": folders} if any(folders) else {}


def placed(lake: Lake, known: Mapping[str, str]) -> list[Arrival]:
    """Archived files, given as storage keys by receipt, in order of arrival.

    Files that have no place get the next ones, by their times of arrival: a landing was killed before it recorded them,
    or an entry of the journal was lost.
    """
    archive, arrivals = RawArchive(lake), Arrivals(lake)
    places = arrivals.places(known)
    lacking = [archive.receipt(known[key]) for key in known.keys() - places.keys()]
    if lacking:
        arrivals.record([r.key for r in sorted(lacking, key=lambda r: (r.received_at, r.name, r.revision))], known)
        places = arrivals.places(known)
    return [Arrival(place, archive.receipt(known[key])) for key, place in sorted(places.items(), key=lambda p: p[1])]


def adopt(lake: Lake, archived: Mapping[str, str] | None = None) -> None:
    """Give places to archived files that have none, before others land. Files that the books place are not asked for,
    so that the journal need not be read. `archived` are storage keys by receipt (None: they are listed).
    """
    files = read_ops(lake, "files", ("file_sha256", "name", "receipt", "arrival", "run_id"))
    recorded = set(files.drop_nulls("arrival")["receipt"])
    there = RawArchive(lake).keys() if archived is None else archived
    placed(lake, {key: stored for key, stored in there.items() if key not in recorded})
