# SPDX-License-Identifier: Apache-2.0
"""What was filed at a place: a document per month, and one that counts them, in the lake's state.

They save asking the place. Where they are gone, what is there is compared byte by byte and noted again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Literal, NamedTuple

from lake.state import State
from lake.store import Lake

KIND = "filing"
Fate = Literal["filed", "replaced", "kept"]


class Note(NamedTuple):
    """What became of an archived file: `replaced` by a later revision there, or `kept` in the lake alone."""

    fate: Fate
    path: str
    bytes: int


class Books:
    """The notes of one bucket at one place; those of another place of the same name are not believed."""

    def __init__(self, lake: Lake, bucket: str, place: str) -> None:
        self.state, self.bucket, self.place = State(lake, KIND), bucket, place
        index = self._read(bucket)
        self.verified_at = _time(index.get("verified_at"))
        self._counts: dict[str, int] = index.get("months", {})
        self._months = dict[str, dict[str, Note]]()
        self._changed = set[str]()

    def lacking(self, month: str, keys: Iterable[str]) -> list[str]:
        """Receipts of a month about which nothing is noted. Where as many are noted as there are, none is looked at."""
        wanted = list(keys)
        if self._counts.get(month) == len(wanted):
            return []
        noted = self._month(month)
        return [key for key in wanted if key not in noted]

    def note(self, month: str, key: str, note: Note) -> None:
        """Note what became of a file."""
        self._month(month)[key] = note
        self._changed.add(month)

    def forget(self, month: str, key: str) -> None:
        """Know nothing about a file any more."""
        self._month(month).pop(key, None)
        self._counts.pop(month, None)
        self._changed.add(month)

    def noted(self, month: str, key: str) -> Note | None:
        """What is noted about a file."""
        return self._month(month).get(key)

    def all(self) -> Iterator[tuple[str, str, Note]]:
        """Month, receipt and note of all that is noted."""
        for month in sorted(self._counts.keys() | self._months.keys()):
            yield from ((month, key, note) for key, note in list(self._month(month).items()))

    def verified(self, at: datetime) -> None:
        """Note that the place was listed."""
        self.verified_at = at
        self._changed.add("")

    def save(self) -> None:
        """Write down what has changed; months before the document that counts them."""
        for month in sorted(self._changed - {""}):
            files = {key: list(note) for key, note in self._month(month).items()}
            self.state.write(f"{self.bucket}.{month}", {"place": self.place, "files": files})
            self._counts[month] = len(files)
        if self._changed:
            at = self.verified_at.isoformat() if self.verified_at else None
            content = {"place": self.place, "months": self._counts, "verified_at": at}
            self.state.write(self.bucket, content)
        self._changed.clear()

    def _month(self, month: str) -> dict[str, Note]:
        if month not in self._months:
            files: dict[str, Any] = self._read(f"{self.bucket}.{month}").get("files", {})
            self._months[month] = {key: Note(*note) for key, note in files.items()}
        return self._months[month]

    def _read(self, name: str) -> dict[str, Any]:
        content = self.state.read(name)
        return content if content.get("place") == self.place else {}


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
