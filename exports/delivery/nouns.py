# SPDX-License-Identifier: Apache-2.0
"""What delivery speaks of: a file of a product, what happened to it at a recipient, and what came of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

EventName = Literal["delivered", "failed", "blocked", "verified", "lost", "withdrawn", "accepted", "rejected"]
ANSWERS = ("delivered", "accepted", "rejected")  # of which the last one says whether a file was accepted as it is
HELD = ("delivered", "verified", "accepted", "rejected")  # last events of files that the recipient has


@dataclass(frozen=True)
class Parcel:
    """A file as a recipient gets it: `key` in the lake, `path` there. Epochs are TT2000, None where not recorded."""

    product: str
    day: date
    version: str
    format: str
    dataset: str
    path: str
    bytes: int
    sha256: str
    key: str = ""
    records: int = 0
    first_epoch_tt2000: int | None = None
    last_epoch_tt2000: int | None = None

    @property
    def name(self) -> str:
        """The version of a product-day that it is a file of, by which that is withdrawn: dataset_yyyymmdd_vX.Y.Z."""
        return f"{self.dataset}_{self.day:%Y%m%d}_v{self.version}"


@dataclass(frozen=True)
class Event:
    """What happened to a file at a recipient. Of a file that was sent, `md5` is noted for the manifest.

    After `failed` something that we have put may be there under its name, after `blocked` nothing of ours is.
    """

    parcel: Parcel
    event: EventName
    attempted_at: datetime
    delivered_at: datetime | None = None
    verified_at: datetime | None = None
    detail: str = ""
    md5: str = ""


@dataclass(frozen=True)
class Refused:
    """Files of a product that a recipient does not get, why, and of how many days."""

    recipient: str
    product: str
    reason: str
    days: int

    @property
    def line(self) -> str:
        """The refusal in a sentence."""
        days = "1 day" if self.days == 1 else f"{self.days} days"
        return f"{self.product} -> {self.recipient}: {days} not delivered; {self.reason}"


@dataclass
class AtRecipient:
    """What a run did at a recipient.

    `sent` and `withdrawn` are paths (in a dry run `planned` and `withdrawn` are lines: path and why), `there` counts
    files that had been sent before and were only not noted, `lost` are lines about files that were missing or changed,
    `waiting` counts files that the next run sends, `problems` are lines of what failed, `notes` of what should be known
    and stops nothing.
    """

    recipient: str
    planned: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    there: int = 0
    verified: int = 0
    lost: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    accepted: int = 0
    waiting: int = 0
    refused: list[Refused] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Delivered:
    """What a run of delivery did, recipient by recipient in the order of the settings.

    `awaited` counts the days of a product that have no version to be delivered, as the newest was withdrawn.
    """

    recipients: list[AtRecipient] = field(default_factory=list)
    awaited: dict[str, int] = field(default_factory=dict)

    def count(self, name: Literal["planned", "sent", "lost", "withdrawn"]) -> int:
        """How many files in all."""
        return sum(len(getattr(one, name)) for one in self.recipients)

    @property
    def waiting(self) -> int:
        """Files that wait for the next run."""
        return sum(one.waiting for one in self.recipients)

    @property
    def refused(self) -> list[Refused]:
        """What nobody got although a rule asks for it."""
        return [refused for one in self.recipients for refused in one.refused]

    @property
    def problems(self) -> list[str]:
        """Lines of what failed, of files that were lost, and of what was refused."""
        lines = (line for one in self.recipients for line in (*one.problems, *one.lost))
        return [*lines, *(refused.line for refused in self.refused)]


def parcel_in(row: dict[str, Any]) -> Parcel:
    """The file in a row of a selection or of ops.deliveries."""
    return Parcel(**{name: row[name] for name in Parcel.__dataclass_fields__ if name in row})
