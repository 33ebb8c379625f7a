# SPDX-License-Identifier: Apache-2.0
"""Intake: land what is new, decode what has not been decoded with today's definitions, and keep the books.

One process at a time does this for a lake, with as many workers as it is given.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from concurrent.futures import Executor, Future
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from ingest import books
from ingest.accounting import account, complete
from ingest.arrivals import Arrival, adopt, placed
from ingest.commit import Verdicts, commit_file
from ingest.identities import Received
from ingest.l0 import decode_file
from ingest.landing import Landed, land, refused_rows
from ingest.lost import lost
from ingest.rows import Decoded
from lake.errors import ConfigurationError, DamageError
from lake.ledger import decoded_contents, l0_definition, next_run_id, outdated_contents, read_ops
from lake.parallel import SerialExecutor, at_work
from lake.store import Lake, RawArchive, Receipt
from lake.tables import OpsRows, append_ops, replace_ops

log = logging.getLogger(__name__)

FILES_PER_COMMIT = 50
OWN_BYTES = ["mission", "instrument", "file_sha256"]
OwnBytes = tuple[str, str, str]  # of a file, as its instrument decodes them: a wrong name brings them to another one


@dataclass
class Intake:
    """What an intake did."""

    landed: Landed
    files: int = 0
    packets: int = 0
    duplicates: int = 0
    bytes: int = 0
    quarantined: list[tuple[str, str, int, int, str]] = field(default_factory=list)
    undefined: list[str] = field(default_factory=list)
    clock_invalid: int = 0
    missing: int = 0
    damaged: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def count(self, decoded: Decoded) -> None:
        """Add what became of one file."""
        name = decoded.receipt.name
        self.files += 1
        self.packets += decoded.packets
        self.duplicates += decoded.duplicates
        self.bytes += decoded.receipt.bytes
        self.clock_invalid += decoded.clock_invalid
        self.quarantined += [(name, str(s.reason), s.offset, s.length, s.detail) for s in decoded.stretches]
        message = "ingest file=%s bytes=%d packets=%d duplicates=%d quarantined=%d"
        log.info(message, name, decoded.receipt.bytes, decoded.packets, decoded.duplicates, decoded.bytes_quarantined)


def take_in(
    lake: Lake,
    paths: list[Path],
    run_id: str | None,
    now: datetime,
    settle_seconds: float,
    executor: Executor | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Intake:
    """Land the files of `paths`, then decode every archived file that is not decoded yet. `run_id` None: a new one.

    Files are decoded by the executor (None: in this process), and committed here in the order of their arrival. While
    this goes on, no other process lands or decodes. `progress` is told how many files of how many are done, and which
    is next. Raises StorageError or TableError; what is complete by then stays, and the next time does the rest.
    """
    with lake.storage.alone("ingest"):
        run_id = run_id or next_run_id(lake, "files", "contents", "quarantine")
        adopt(lake)
        intake = Intake(land(lake, paths, now, settle_seconds) if paths else Landed())
        _note_refused(lake, intake.landed, run_id)
        with closing(Work(lake, executor or SerialExecutor())) as work:
            complete(lake, work.current, run_id)
            _decode(lake, run_id, intake, work, progress)
        intake.lost = lost(lake, {receipt.key for _, receipt in work.pending})
    return intake


def _decode(
    lake: Lake, run_id: str, intake: Intake, work: Work, progress: Callable[[int, int, str], None] | None
) -> None:
    for start in range(0, len(work.pending), FILES_PER_COMMIT):
        batch = Batch(lake, run_id, intake, work)
        for number in range(start, min(start + FILES_PER_COMMIT, len(work.pending))):
            if progress:
                progress(number, len(work.pending), work.pending[number].receipt.name)
            batch.take(work.pending[number])
        batch.close()
    if progress and work.pending:
        progress(len(work.pending), len(work.pending), "")


def _note_refused(lake: Lake, landed: Landed, run_id: str) -> None:
    """Write refused files to ops.quarantine, each once as long as its name, size and reason stay the same."""
    rows = OpsRows()
    refused_rows(landed.refused, run_id, rows)
    new = rows.rows.get("quarantine", [])
    if new:
        known = set(read_ops(lake, "quarantine").select("name", "bytes", "reason").iter_rows())
        append_ops(lake, "quarantine", [r for r in new if (r["name"], r["bytes"], r["reason"]) not in known])


def definitions_today(lake: Lake) -> dict[tuple[str, str], str]:
    """Fingerprint of the L0 definitions by mission and instrument."""
    return {(m.name, i.name): l0_definition(m, i) for m in lake.definitions.missions for i in m.instruments}


def own_bytes(receipt: Receipt) -> OwnBytes:
    """The bytes of a file, as those of its instrument."""
    return receipt.mission, receipt.instrument, receipt.file_sha256


def pending_files(lake: Lake, incomplete: AbstractSet[OwnBytes] | None = None) -> list[Arrival]:
    """Archived files that are not in today's tables as today's definitions say, in order of arrival.

    Those that have no place in it yet get one. `incomplete` are files of which a table lacks rows (None: look).
    """
    today = definitions_today(lake)
    done = set(read_ops(lake, "files").select("receipt", "definition").iter_rows())
    lacking = _bytes_in(outdated_contents(lake)) if incomplete is None else incomplete
    pending = {}
    for key, stored in RawArchive(lake).keys().items():
        mission, instrument = stored.split("/")[1:3]
        known = (key, today.get((mission, instrument), "")) in done
        if not known or (mission, instrument, key.partition("-")[0]) in lacking:
            pending[key] = stored
    return placed(lake, pending)


def _bytes_in(contents: pl.DataFrame) -> set[OwnBytes]:
    return set(contents.select(OWN_BYTES).iter_rows())


class Work:
    """All files that are to be decoded, in order of arrival, of which the executor decodes the next few ahead.

    `unread` are, by instrument, the hashes of files whose packets do not count as received before, for their turn has
    not come. Of files with the same bytes the first is decoded; `earlier` has the row of ops.files about it.
    """

    def __init__(self, lake: Lake, executor: Executor) -> None:
        self.lake, self.today = lake, definitions_today(lake)
        self.current, outdated = decoded_contents(lake)
        incomplete = _bytes_in(outdated)
        self.pending = pending_files(lake, incomplete)
        self.verdicts = Verdicts(lake, _held(self.current, incomplete))
        self.earlier = _ingested(lake, self.today, incomplete)
        self.unread = defaultdict[tuple[str, str], set[str]](set)
        first: dict[OwnBytes, Receipt] = {}
        for _, receipt in self.pending:
            if self.is_new(receipt):
                first.setdefault(own_bytes(receipt), receipt)
            if own_bytes(receipt) not in self.earlier:
                self.unread[receipt.mission, receipt.instrument].add(receipt.file_sha256)
        self.ahead = {receipt.key for receipt in first.values()}
        self.results = at_work(executor, partial(decode_file, lake), first.values(), dropped=self._drop)

    def close(self) -> None:
        """Let nothing be left of what was decoded ahead in vain."""
        self.results.close()

    def _drop(self, future: Future[Decoded]) -> None:
        if not future.cancelled() and future.exception() is None:
            future.result().discard(self.lake)

    def definition(self, receipt: Receipt) -> str | None:
        """Fingerprint of the definitions that a file is to be decoded with; None if there are none."""
        return self.today.get((receipt.mission, receipt.instrument))

    def is_new(self, receipt: Receipt) -> bool:
        """True if there are bytes to decode, and nothing was made of them before."""
        return bool(receipt.bytes) and self.definition(receipt) is not None and own_bytes(receipt) not in self.earlier

    def decoded(self, receipt: Receipt) -> Decoded:
        """What has become of the next file.

        Raises DamageError if its bytes are not as they arrived, ConfigurationError if a worker runs other code.
        """
        if receipt.key not in self.ahead:  # the same bytes came earlier, and were damaged in the archive
            return decode_file(self.lake, receipt)
        _, future = next(self.results)
        decoded = future.result()
        if decoded.definition != self.definition(receipt):  # its rows would take the place of all others
            decoded.discard(self.lake)
            raise ConfigurationError(
                f"{receipt.name}: a worker has decoded it with other code than this process has, such as from before "
                "an update. Restart the workers, then repeat."
            )
        return decoded


def _held(current: pl.DataFrame, incomplete: AbstractSet[OwnBytes]) -> set[tuple[str, str]]:
    """Tables that have the rows of files that have to be decoded again for the sake of another table."""
    rows = current.select(*OWN_BYTES, "table_name").iter_rows()
    return {
        (table, sha256) for mission, instrument, sha256, table in rows if (mission, instrument, sha256) in incomplete
    }


def _ingested(
    lake: Lake, today: dict[tuple[str, str], str], incomplete: AbstractSet[OwnBytes]
) -> dict[OwnBytes, dict[str, Any]]:
    """Rows of ops.files about files whose rows are all there; of equal bytes the file that was decoded counts."""
    files = read_ops(lake, "files").filter(pl.col("status") == "ingested")
    found = {}
    for row in files.sort(pl.col("reason").str.starts_with("same bytes as"), descending=True).iter_rows(named=True):
        key = row["mission"], row["instrument"], row["file_sha256"]
        if row["definition"] == today.get(key[:2]) and key not in incomplete:
            found[key] = row
    return found


class Batch:
    """Files that are committed one after the other, and the books about them, which are written together at the end."""

    def __init__(self, lake: Lake, run_id: str, intake: Intake, work: Work) -> None:
        self.lake, self.run_id, self.intake, self.work = lake, run_id, intake, work
        self.rows, self.received = OpsRows(), Received(lake)
        self.decoded: list[Decoded] = []

    def take(self, arrival: Arrival) -> None:
        """Commit a file, or note why there is nothing to commit."""
        try:
            if self.work.is_new(arrival.receipt):
                self._commit(arrival)
            else:
                self._note(arrival)
        except DamageError as error:
            self.intake.damaged.append(str(error))

    def _note(self, arrival: Arrival) -> None:
        """Note why there is nothing to decode. Raises DamageError if the bytes are not as they arrived."""
        receipt, definition = arrival.receipt, self.work.definition(arrival.receipt)
        if receipt.bytes:
            with RawArchive(self.lake).local(receipt):
                pass
        if definition is None:
            row, whole = books.undefined(arrival, self.run_id)
            self.rows.add("quarantine", **whole)
            self.intake.undefined.append(receipt.name)
        elif receipt.bytes == 0:
            row = books.empty(arrival, definition, self.run_id)
            self.intake.empty.append(receipt.name)
        else:
            row = books.same_bytes(arrival, self.work.earlier[own_bytes(receipt)], self.run_id)
            self.intake.duplicates += row["duplicates"]
        self.rows.add("files", **row)

    def _commit(self, arrival: Arrival) -> None:
        receipt = arrival.receipt
        decoded = self.work.decoded(receipt)
        unread = self.work.unread[receipt.mission, receipt.instrument]
        self.received.start_file(unread)
        commit_file(self.lake, decoded, self.received, self.work.verdicts)
        unread.discard(receipt.file_sha256)
        self.decoded.append(decoded)
        row = books.ingested(decoded, arrival.place, self.run_id)
        self.work.earlier[own_bytes(receipt)] = row
        self.rows.add("files", **row)
        for stretch in books.quarantined(decoded, self.run_id):
            self.rows.add("quarantine", **stretch)
        self.intake.count(decoded)

    def close(self) -> None:
        """Write the books. ops.files comes last: a file without a row there is decoded again, which changes nothing."""
        self.received = Received(self.lake)  # frees its memory, which the search for gaps can use
        touched = defaultdict[tuple[str, str], set[date]](set)
        for decoded in self.decoded:
            receipt = decoded.receipt
            days = {day for _, day in decoded.rows} | {date.fromisoformat(receipt.day)}
            touched[receipt.mission, receipt.instrument] |= days
            for row in books.contents(decoded, self.run_id):
                self.rows.add("contents", **row)
        _forget_quarantine(self.lake, {own_bytes(decoded.receipt) for decoded in self.decoded})
        append_ops(self.lake, "quarantine", self.rows.rows.get("quarantine", []))
        for (mission, name), days in touched.items():  # their account counts what was quarantined
            self.intake.missing += account(self.lake, mission, name, days, self.run_id)
        for table in ("contents", "files"):
            append_ops(self.lake, table, self.rows.rows.get(table, []))


def _forget_quarantine(lake: Lake, fresh: set[OwnBytes]) -> None:
    """Remove what was quarantined of these files before: they have just been decoded anew, with other definitions."""
    stale = defaultdict[tuple[str, str], set[str]](set)
    for mission, instrument, sha256 in fresh & _bytes_in(read_ops(lake, "quarantine")):
        stale[mission, instrument].add(sha256)
    for (mission, instrument), hashes in stale.items():
        listed = ", ".join(f"'{sha256}'" for sha256 in sorted(hashes))
        whose = f"mission = '{mission}' AND instrument = '{instrument}'"
        replace_ops(lake, "quarantine", [], f"{whose} AND file_sha256 IN ({listed})")
