# SPDX-License-Identifier: Apache-2.0
"""Filing: archived telemetry put where the reference would have it, a bucket or folder for each instrument.

The archive of the lake stays what is true; what is filed are copies for those who look for files where SWxSOC keeps
them. Nothing is filed twice. Nothing that is there is written over but an older revision of the same name that was
filed from here, and that only in a bucket that keeps versions; elsewhere the first revision stays, and later ones are
kept in the lake alone, which is reported.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from ingest.filing_books import Books, Fate, Note
from ingest.landing import recognise
from lake.archive_keys import archive_bucket, archive_key
from lake.clock import utc_now
from lake.errors import DamageError, FileNameError, PathError, StorageError, WayError
from lake.setting_files import Setting
from lake.store import Lake, RawArchive, Receipt, name_hash
from lake.ways.settings import SECONDS, FolderWay, Seconds, Web, open_way
from lake.ways.transport import Transport

if TYPE_CHECKING:
    from lake.storage_s3 import Bucket

log = logging.getLogger(__name__)

LEASE, WHO = "filing", "filing"
VERIFY_EVERY = timedelta(days=1)  # listing a bucket of a year of telemetry takes a minute
NOTED_EVERY = 100  # files; what was filed and not yet noted when a process died is compared byte by byte


class Buckets(Setting):
    """How buckets are reached: as the `s3` of any way, but for the address, which follows from the names of files."""

    profile: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.@/+=:-]+$")
    endpoint: Web | None = None
    seconds: Seconds = SECONDS


class FilingSettings(Setting):
    """All of `[filing]` in receive.toml; without it nothing is filed.

    prefix : what the names of buckets begin with, such as `dev-`.
    s3 : into buckets, which must be there. folder : into folders of the same names, below one that is there.
    """

    prefix: str = Field(default="", pattern=r"^([a-z0-9][a-z0-9.-]{0,30})?$")
    s3: Buckets | None = None
    folder: FolderWay | None = None

    @model_validator(mode="after")
    def _is_one_place(self) -> FilingSettings:
        if (self.s3 is None) == (self.folder is None):
            raise ValueError("needs either `s3` or `folder`; give one of them")
        return self

    def placed(self, folder: Path) -> FilingSettings:
        """The same with relative paths taken from `folder`, that of the settings."""
        return self if self.folder is None else self.model_copy(update={"folder": self.folder.placed(folder)})

    def address(self, bucket: str) -> str:
        """Where a bucket is, for messages and to tell places apart."""
        if self.folder is not None:
            return f"{self.folder.path}/{bucket}"
        endpoint = self.s3.endpoint if self.s3 else None
        return f"s3://{bucket} at {endpoint}" if endpoint else f"s3://{bucket}"


@dataclass
class Filed:
    """What came of a round of filing.

    filed : places of what was filed, or is planned to be. known : how many were filed before. kept : revisions
    that stay in the lake alone, as this round found. lost : places from where something had gone, and that are filed
    again. problems : what is not filed and why, in whole sentences.
    """

    filed: list[str] = field(default_factory=list)
    known: int = 0
    kept: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def notes(self) -> list[str]:
        """What a person should see and need not mend."""
        return [*self.kept, *(f"{place}: was gone or had changed; filed again if it may be" for place in self.lost)]


def file_all(
    lake: Lake, settings: FilingSettings, now: datetime | None = None, ended: Callable[[], bool] = lambda: False
) -> Filed:
    """File what is archived and not yet filed; once a day look whether all that was filed is there.

    One process does this at a time. What goes wrong at one place, or with one file, is among the problems. `ended` is
    asked between two files: when it is true, the rest is left to the next time. Raises StorageError if the lake cannot
    be read or written, or another process files for too long.
    """
    result = Filed()
    with lake.storage.alone(LEASE):
        for one in _instruments(lake, settings, now or utc_now(), result):
            one.run(ended)
    return result


def plan_all(lake: Lake, settings: FilingSettings, now: datetime | None = None) -> Filed:
    """What `file_all` would file, by what is noted. No place is asked, and nothing is written."""
    result = Filed()
    for one in _instruments(lake, settings, now or utc_now(), result):
        one.plan()
    return result


def _instruments(lake: Lake, settings: FilingSettings, at: datetime, result: Filed) -> Iterator[_Instrument]:
    """The instruments of which anything is archived, by name."""
    found = defaultdict[tuple[str, str], dict[str, dict[str, str]]](dict)
    for key, stored in RawArchive(lake).keys().items():
        _, mission, instrument, day, _ = stored.split("/")
        found[mission, instrument].setdefault(day[:7], {})[key] = stored
    for (mission, instrument), months in sorted(found.items()):
        bucket = archive_bucket(settings.prefix, mission, instrument)
        books = Books(lake, bucket, settings.address(bucket))
        yield _Instrument(lake, settings, bucket, months, books, at, result)


@dataclass(frozen=True)
class _Place:
    """A bucket, open. `keeps_versions` asks whether what is replaced there stays."""

    transport: Transport
    prefix: str
    keeps_versions: Callable[[], bool]


@contextmanager
def _opened(settings: FilingSettings, bucket: str) -> Iterator[_Place]:
    """The place of a bucket. Raises WayError."""
    if settings.folder is not None:
        with open_way(WHO, settings.folder) as transport:
            yield _Place(transport, f"{bucket}/", lambda: False)
        return
    from lake.storage_s3 import open_foreign  # noqa: PLC0415  filing into folders does without boto3
    from lake.ways.bucket import BucketTransport  # noqa: PLC0415

    way = settings.s3 or Buckets()
    storage = open_foreign(f"s3://{bucket}", way.seconds, way.profile, way.endpoint)
    yield _Place(BucketTransport(WHO, storage), "", partial(_keeps_versions, storage))


@dataclass
class _Instrument:
    """One round for one instrument. months : by month (yyyy-mm) and key of a receipt, where it is stored."""

    lake: Lake
    settings: FilingSettings
    bucket: str
    months: Mapping[str, Mapping[str, str]]
    books: Books
    at: datetime
    result: Filed

    def plan(self) -> None:
        """Say what would be filed."""
        for _, name, receipts in self._lacking():
            if path := self._path(name):
                self.result.filed += [f"{self.books.place}/{path}"] * len(receipts)

    def run(self, ended: Callable[[], bool]) -> None:
        """File what is lacking."""
        if ended():
            return
        try:
            with _opened(self.settings, self.bucket) as place:
                if self.books.verified_at is None or self.at - self.books.verified_at >= VERIFY_EVERY:
                    self._verify(place)
                for number, (month, name, receipts) in enumerate(self._lacking(), 1):
                    if ended():
                        break
                    self._file(place, month, name, receipts)
                    if number % NOTED_EVERY == 0:
                        self.books.save()
        except WayError as error:  # the place refuses all
            self._problem(str(error))
        finally:
            self.books.save()

    def _lacking(self) -> Iterator[tuple[str, str, list[Receipt]]]:
        """Names of which something was not yet dealt with: their month, and those revisions, the oldest first.

        A receipt that cannot be read is a problem of its file alone.
        """
        archive = RawArchive(self.lake)
        for month, stored in sorted(self.months.items()):
            names = defaultdict[str, list[Receipt]](list)
            keys = self.books.lacking(month, stored)
            self.result.known += len(stored) - len(keys)
            for key in keys:
                try:
                    receipt = archive.receipt(stored[key])
                except StorageError as error:
                    self._problem(f"filing: {error}")
                else:
                    names[receipt.name].append(receipt)
            for name, receipts in sorted(names.items()):
                yield month, name, sorted(receipts, key=lambda receipt: receipt.revision)

    def _path(self, name: str) -> str | None:
        """The key of a name; None, and a problem, if the grammar does not take it any more."""
        try:
            mission, parsed = recognise(self.lake, name, self.at)
        except FileNameError as error:
            self._problem(f"{error} It is archived and not filed.")
            return None
        if parsed.time is None or parsed.level is None:  # what is archived has both
            return None
        return archive_key(mission.names, parsed.level, parsed.descriptor, parsed.time.date(), name)

    def _file(self, place: _Place, month: str, name: str, receipts: list[Receipt]) -> None:
        """File what is lacking of a name, one revision after the other. Raises WayError if the place refuses all."""
        path = self._path(name)
        if path is None:
            return
        try:
            there = place.transport.sha256(place.prefix + path)
            done = self._compare(month, path, receipts, there)
            for receipt in receipts[done:]:
                there = self._put(place, month, path, receipt, there)
        except (PathError, DamageError) as error:
            self._problem(str(error))

    def _compare(self, month: str, path: str, receipts: list[Receipt], there: str | None) -> int:
        """How many of the revisions have been filed, where bytes of this hash are. Raises PathError if not ours.

        All revisions of a name are known by the keys of their receipts.
        """
        end = f"-{name_hash(receipts[0].name)}"
        ours = {key.removesuffix(end) for key in self.months[month] if key.endswith(end)}
        if there is not None and there not in ours:
            where = f"{self.books.place}/{path}"
            raise PathError(f"{WHO}: {where} has bytes that were not filed from here. Compare it, or remove it.")
        hashes = [receipt.file_sha256 for receipt in receipts]
        done = hashes.index(there) + 1 if there in hashes else 0
        for receipt in receipts[:done]:
            fate: Fate = "filed" if receipt.file_sha256 == there else "replaced"
            self.books.note(month, receipt.key, Note(fate, path, receipt.bytes))
        self.result.known += done
        return done

    def _put(self, place: _Place, month: str, path: str, receipt: Receipt, there: str | None) -> str:
        """File one revision where bytes of the hash `there` are, or none; the hash of what is there then."""
        where = f"{self.books.place}/{path}"
        if there is not None and not place.keeps_versions():
            self.books.note(month, receipt.key, Note("kept", path, receipt.bytes))
            self.result.kept.append(
                f"{where}: revision {receipt.revision} is kept in the lake: nothing is written over"
            )
            return there
        with RawArchive(self.lake).local(receipt) as file:
            place.transport.put(place.prefix + path, file, replace=there is not None)
        before = f"{there}-{name_hash(receipt.name)}"
        if there is not None and (noted := self.books.noted(month, before)) is not None:
            self.books.note(month, before, noted._replace(fate="replaced"))
        self.books.note(month, receipt.key, Note("filed", path, receipt.bytes))
        self.result.filed.append(where)
        log.info("filing name=%s place=%s", receipt.name, where)
        return receipt.file_sha256

    def _verify(self, place: _Place) -> None:
        """List the place and forget what is not there as it was filed, so that it is filed again."""
        there = {found.path: found.bytes for found in place.transport.entries(place.prefix.rstrip("/"))}
        for month, key, note in list(self.books.all()):
            if note.fate == "filed" and there.get(place.prefix + note.path) != note.bytes:
                self.books.forget(month, key)
                self.result.lost.append(f"{self.books.place}/{note.path}")
        self.books.verified(self.at)

    def _problem(self, line: str) -> None:
        log.warning("%s", line)
        self.result.problems.append(line)


def _keeps_versions(storage: Bucket) -> bool:
    """Whether what is replaced in a bucket stays. Raises WayError if that may not be known."""
    try:
        return storage.keeps_versions()
    except StorageError as error:
        raise WayError(f"{WHO}: {error}") from None
