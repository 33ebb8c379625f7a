# SPDX-License-Identifier: Apache-2.0
"""What is told: a notice for one channel, and the names by which it is written once and found again."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from lake.errors import StorageError

Kind = Literal["alert", "digest", "maintenance", "test"]
KEY_TIME = "%Y%m%dT%H%M%S%f"
ID_DIGITS = 12  # hexadecimal: a million notices have two equal ids with a probability of 1 in 560


@dataclass(frozen=True)
class Notice:
    """A text for one channel. `at` (UTC) is when what it tells of happened; `alert_id` is empty if it is of several."""

    notice_id: str
    channel: str
    kind: Kind
    severity: str
    alert_id: str
    at: datetime
    title: str
    body: str

    def entry(self) -> dict[str, Any]:
        """The notice as an entry of the journal."""
        return {**asdict(self), "at": self.at.isoformat()}


def notice_of(entry: dict[str, Any], key: str) -> Notice:
    """The notice of an entry of the journal. Raises StorageError if it is none."""
    try:
        return Notice(**{**entry, "at": datetime.fromisoformat(entry["at"])})
    except (KeyError, TypeError, ValueError):
        raise StorageError(
            f"journal/notices/{key}.json: is no readable entry of notices. Restore it from a backup."
        ) from None


def notice_id(*parts: object) -> str:
    """The id of what is told, to whom: the same parts have the same id, whenever and however often it is asked."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:ID_DIGITS]


def notice_key(notice: Notice, order: int) -> str:
    """The key of its entry: sorted by it, notices are in the order in which they have to be told."""
    return f"{key_time(notice.at)}-{order:05d}-{notice.notice_id}"


def key_time(at: datetime) -> str:
    """A time (UTC) as keys begin with it."""
    return f"{at.astimezone(UTC):{KEY_TIME}}"


def id_in(key: str) -> str:
    """The notice id in a key."""
    return key.rpartition("-")[2]
