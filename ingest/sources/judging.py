# SPDX-License-Identifier: Apache-2.0
"""What is to be done with a file of a listing, by its name, size and day alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from ingest.landing import has_records, recognise
from ingest.sources.digests import MANIFEST_BYTES, SIDECAR_BYTES
from ingest.sources.settings import SourceSettings
from lake.errors import FileNameError
from lake.names import ParsedName
from lake.store import Lake
from lake.ways.transport import Found

Kind = Literal["land", "manifest", "sidecar", "ignored", "refused", "passed over"]
TEXT_BYTES: dict[Kind, int] = {"manifest": MANIFEST_BYTES, "sidecar": SIDECAR_BYTES}  # what is larger is not fetched
TEMPORARY = "TEMP_FILE"  # the reason of names that files have only while they are written


@dataclass(frozen=True)
class Judged:
    """A file: what it is to us, why, what its name says, and the day in it."""

    found: Found
    kind: Kind
    detail: str = ""
    parsed: ParsedName | None = None
    day: date | None = None

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.found.path.rpartition("/")[2]

    @property
    def is_current(self) -> bool:
        """True for what only counts once it is whole; a name or a size may be judged before."""
        return self.kind in ("land", "manifest", "sidecar")


def judge(lake: Lake, settings: SourceSettings, found: Found, now: datetime) -> Judged:
    """What a file is."""
    name = found.path.rpartition("/")[2]
    try:
        mission, parsed = recognise(lake, name, now)
    except FileNameError as error:
        return Judged(found, "refused", str(error))
    kind, detail = _kind(settings, parsed, is_telemetry=parsed.kind == "raw" or has_records(mission, parsed))
    day = parsed.date or (parsed.time.date() if parsed.time else None)
    if kind == "land" and day is not None and not _is_in(settings, day):
        return Judged(found, "passed over", "is not of the days that are asked for", parsed, day)
    most = min(settings.max_bytes, TEXT_BYTES.get(kind, settings.max_bytes))
    if kind in ("land", *TEXT_BYTES) and found.bytes > most:
        what = "no digest or manifest is larger than" if most < settings.max_bytes else "max_bytes of the source is"
        return Judged(found, "refused", f"has {found.bytes} bytes, and {what} {most}", parsed, day)
    return Judged(found, kind, detail, parsed, day)


def _kind(settings: SourceSettings, parsed: ParsedName, is_telemetry: bool) -> tuple[Kind, str]:
    if is_telemetry:
        return "land", ""
    if parsed.kind == "manifest" and settings.manifests:
        return "manifest", ""
    if parsed.kind == "sidecar":
        return ("sidecar", "") if parsed.algorithm else ("ignored", f"belongs to {parsed.of}")
    if parsed.reason == TEMPORARY:
        return "passed over", "is a temporary file"
    return "ignored", f"is no telemetry ({parsed.reason or parsed.kind})"


def _is_in(settings: SourceSettings, day: date) -> bool:
    return not ((settings.first and day < settings.first) or (settings.last and day > settings.last))


def in_order(files: list[Judged], most: int, most_bytes: int) -> list[list[Judged]]:
    """Files in the batches in which they are taken: the newest by the day and time in their names first.

    So what arrives now is not held up by what waits since long. Within a batch they have the order of their names, in
    which the order of arrival is recorded, so that it is the same whenever the same files come.
    """
    batches = list[list[Judged]]()
    size = 0
    for judged in sorted(files, key=_age, reverse=True):
        if not batches or len(batches[-1]) >= most or size + judged.found.bytes > most_bytes:
            batches.append([])
            size = 0
        batches[-1].append(judged)
        size += judged.found.bytes
    return [sorted(batch, key=lambda judged: (judged.name, judged.found.path)) for batch in batches]


def _age(judged: Judged) -> tuple[str, str]:
    time = judged.parsed.time if judged.parsed else None
    return (time.isoformat() if time else str(judged.day or ""), judged.name)
