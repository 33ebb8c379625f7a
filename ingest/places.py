# SPDX-License-Identifier: Apache-2.0
"""Which archived file has which place in the order of arrival, for readers that follow it.

Asked again, it costs one look at one name where nothing has arrived: entries of the journal are numbered, so the next
one's name is known. They say where receipts lie; of those that older entries do not tell, raw/ is listed once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from threading import Lock
from typing import Any, NamedTuple

from ingest.arrivals import KIND
from lake.errors import StorageError
from lake.store import RAW, Journal, Lake, RawArchive, Receipt

RECEIPTS = 1024  # that are kept: those who follow ask for the same newest ones
LISTED_SECONDS = 600.0  # for which a receipt that raw/ lacked is taken for lost: to list 100,000 names takes 10 s


class _Listing(NamedTuple):
    """Names of receipts as raw/ had them, after all places below `end` had been given, and when that was."""

    stored: Mapping[str, str] = {}
    end: int = 0
    at: float = 0.0


class Places:
    """The files of the archive by place, from 1; what is learnt is kept. For any number of threads."""

    def __init__(self, lake: Lake) -> None:
        self.journal, self.archive, self.storage = Journal(lake), RawArchive(lake), lake.storage
        self._lock = Lock()  # of the journal; what is done under it is a look at single names
        self._listing_lock = Lock()  # held while raw/ is listed: only those wait who need it
        self._listing = _Listing()
        self._numbers: list[int] | None = None
        self._entries: dict[int, dict[str, Any]] = {}
        self._receipts: dict[int, Receipt] = {}

    def end(self) -> int:
        """The place that the next file will get."""
        with self._lock:
            numbers = self._known_numbers()
            while self.storage.size(f"journal/{KIND}/{numbers[-1] + 1 if numbers else 1:08}.json") is not None:
                numbers.append(numbers[-1] + 1 if numbers else 1)
            if not numbers:
                return 1
            newest = self._entry(numbers[-1])
            return int(newest["first"]) + len(newest["receipts"])

    def stored(self, place: int) -> str:
        """The key of a receipt below raw/. Raises StorageError if nothing says where it lies."""
        with self._lock:
            receipt, folder = self._arrived(place)
        if folder:
            return f"{RAW}{folder}/{receipt}.json"
        stored = self._listing.stored.get(receipt) or self._listed(receipt, place)
        if stored is None:
            raise self._lacking(place, receipt)
        return stored

    def receipt(self, place: int) -> Receipt:
        """The receipt of a file. Raises StorageError, also if the archive has it no more."""
        receipt = self._receipts.get(place)
        if receipt is None:
            stored = self.stored(place)
            if self.storage.size(stored) is None:
                raise self._lacking(place, stored.rpartition("/")[2])
            receipt = self.archive.receipt(stored)
            with self._lock:
                self._receipts[place] = receipt
                if len(self._receipts) > RECEIPTS:
                    self._receipts.pop(next(iter(self._receipts)))
        return receipt

    def _lacking(self, place: int, receipt: str) -> StorageError:
        where = self.storage.uri(RAW)
        return StorageError(
            f"{where}: lacks the file that arrived as number {place} (sha256 {receipt.partition('-')[0]}). "
            "Restore it from a backup."
        )

    def _known_numbers(self) -> list[int]:
        if self._numbers is None:
            self._numbers = sorted(int(key) for key in self.journal.keys(KIND))
        return self._numbers

    def _arrived(self, place: int) -> tuple[str, str]:
        """The receipt that has a place, and its folder, "" if that is not told. By halving: an entry says which place
        is its first.
        """
        numbers = self._known_numbers()
        low, high = 0, len(numbers)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._entry(numbers[middle])["first"] <= place else (low, middle)
        entry: dict[str, Any] = self._entry(numbers[low]) if numbers else {"first": 1, "receipts": []}
        index = place - int(entry["first"])
        if not 0 <= index < len(entry["receipts"]):
            raise StorageError(
                f"{self.storage.uri('journal/' + KIND)}: no entry says which file arrived as number {place}. "
                "Restore the journal from a backup."
            )
        return str(entry["receipts"][index]), str(entry["folders"][index]) if "folders" in entry else ""

    def _entry(self, number: int) -> dict[str, Any]:
        if number not in self._entries:
            entry = self.journal.entry(KIND, f"{number:08}")
            assert entry is not None, "entries are never removed"  # noqa: S101
            self._entries[number] = entry
        return self._entries[number]

    def _listed(self, receipt: str, place: int) -> str | None:
        """What a receipt is called by a listing of raw/, a new one if the last cannot have it; None if it is lost."""
        with self._listing_lock:
            last = self._listing
            if receipt not in last.stored and (place >= last.end or time.monotonic() - last.at > LISTED_SECONDS):
                end = self.end()
                self._listing = _Listing(self.archive.keys(), end, time.monotonic())
            return self._listing.stored.get(receipt)
