# SPDX-License-Identifier: Apache-2.0
"""What an operations center is told, on its way: entries of the journal, in order, and which of them it has.

An entry is written before it is sent, and noted as sent when all of its files are there. Its files have names and bytes
of their own, so that what is sent again after a crash is the same, and is not sent where it is there already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from exports.contacts.settings import WHO, Answers
from exports.delivery.telling import Post
from lake.errors import PathError, WayError
from lake.store import Journal, Lake
from lake.ways.settings import open_way

Entry = dict[str, Any]
File = tuple[str, bytes]


class Outbox:
    """Entries of one kind, numbered from 1; `<kind>-sent` notes those that are sent."""

    def __init__(self, lake: Lake, kind: str) -> None:
        self.journal, self.kind = Journal(lake), kind

    def numbers(self) -> list[str]:
        """Keys of all entries, which are their numbers, in order."""
        return self.journal.keys(self.kind)

    def entry(self, key: str) -> Entry:
        """An entry."""
        return self.journal.entry(self.kind, key) or {}

    def add(self, keys: Sequence[str], content: Entry) -> str | None:
        """Write the entry behind these; its key, or None, and nothing written, if another process has added one."""
        key = next_key(keys)
        return key if self.journal.write_once(self.kind, key, content) else None

    def unsent(self) -> list[str]:
        """Keys of entries that are not noted as sent, in order."""
        sent = set(self.journal.keys(f"{self.kind}-sent"))
        return [key for key in self.numbers() if key not in sent]

    def sent(self, key: str, now: datetime) -> None:
        """Note that an entry is sent."""
        self.journal.write_once(f"{self.kind}-sent", key, {"at": now.isoformat()})


def next_key(keys: Sequence[str]) -> str:
    """The key of the entry behind these."""
    return f"{int(keys[-1]) + 1 if keys else 1:08}"


@dataclass
class Pushed:
    """How many files are there now that an operations center should have, and what kept others from it."""

    files: int = 0
    problems: list[str] = field(default_factory=list)


def push(
    lake: Lake, answers: Answers, outbox: Outbox, files_of: Callable[[Entry], Iterable[File]], now: datetime
) -> Pushed:
    """Send all entries that are not sent, in order. What is refused is tried again the next time.

    A file that is refused keeps those of other entries from nothing; a way that is closed ends it.
    """
    pushed = Pushed()
    if not (keys := outbox.unsent()):
        return pushed
    try:
        with lake.storage.scratch() as folder, open_way(WHO, answers.way) as transport:
            post = Post(transport, folder)
            for key in keys:
                problems = list(_send(post, files_of(outbox.entry(key)), pushed))
                pushed.problems += problems
                if not problems:
                    outbox.sent(key, now)
    except WayError as error:
        pushed.problems.append(str(error))
    return pushed


def _send(post: Post, files: Iterable[File], pushed: Pushed) -> Iterator[str]:
    """Send the files of an entry; what is wrong with those that are refused. Raises WayError if the way is closed."""
    for path, content in files:
        try:
            post.put_changed(path, content)
            pushed.files += 1
        except PathError as error:
            yield str(error)
