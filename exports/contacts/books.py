# SPDX-License-Identifier: Apache-2.0
"""Accounting for the passes of a lake: from plans and books to rows of ops.contacts, one when something changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from exports.contacts.accounting import LACKING, Accounted, Contact, account
from exports.contacts.facts import came, files_since, missing_by_file, troubles
from exports.contacts.planned import Plans
from exports.contacts.settings import ContactSettings
from lake.ledger import next_run_id, read_ops
from lake.store import Lake
from lake.tables import append_ops

TABLE = "contacts"
EARLIER = timedelta(days=2)  # longer than a contact and the time until its files are due
Row = dict[str, Any]


@dataclass(frozen=True)
class Booked:
    """What came of the passes that were looked at: their rows, and those of them that are new or changed."""

    accounted: Accounted
    rows: tuple[Row, ...]
    changed: tuple[Row, ...]

    @property
    def fallen(self) -> list[Row]:
        """Passes of which it is new that something is missing although it was due."""
        return [row for row in self.changed if row["state"] in LACKING]


def look(lake: Lake, plans: Plans, settings: ContactSettings, now: datetime, last_days: int | None = None) -> Booked:
    """What came of the passes that began in the last days, or are to begin. Nothing is written.

    Raises StorageError or TableError.
    """
    first = now - timedelta(days=settings.last_days if last_days is None else last_days)
    found = _accounted(lake, plans, settings, first, now)
    known = {(row["mission"], row["pass_id"]): row for row in read_ops(lake, TABLE).iter_rows(named=True)}
    plan_of = {each.one.key: each.plan for each in plans.passes}
    rows = tuple(row_of(contact, plan_of[contact.planned.key]) for contact in found.contacts)
    changed = tuple(row for row in rows if _differs(row, known.get((row["mission"], row["pass_id"]))))
    return Booked(found, rows, changed)


def book(lake: Lake, plans: Plans, settings: ContactSettings, now: datetime, last_days: int | None = None) -> Booked:
    """What `look` finds, with the rows that are new or changed appended to ops.contacts in one commit."""
    found = look(lake, plans, settings, now, last_days)
    if found.changed:
        run_id = next_run_id(lake, TABLE)
        append_ops(lake, TABLE, [row | {"run_id": run_id} for row in found.changed])
    return found


def _accounted(lake: Lake, plans: Plans, settings: ContactSettings, first: datetime, now: datetime) -> Accounted:
    """What came of the passes since `first`; earlier ones are asked for only so that they take what is theirs."""
    most = max(
        (settings.of(each.one.mission) for each in plans.passes), key=lambda rules: rules.late_hours, default=None
    )
    since = first - EARLIER - timedelta(hours=most.late_hours if most else 0)
    plain = [each.one for each in plans.passes if each.one.start >= since]
    if not any(one.start >= first for one in plain):
        return Accounted((), {})
    files = files_since(lake, since, {one.mission for one in plain})
    missing, open_ones = missing_by_file(lake, files), troubles(lake, since, now)
    found = account(plain, came(files), missing, open_ones, settings.of, now)
    return replace(
        found,
        contacts=tuple(one for one in found.contacts if one.planned.start >= first),
        strays=tuple(file for file in found.strays if file.received_at >= first),
    )


def row_of(contact: Contact, plan: str) -> Row:
    """The row of ops.contacts, without its run."""
    one = contact.planned
    return {
        "mission": one.mission, "pass_id": one.pass_id, "station": one.station, "day": one.start.date(),
        "start_time": one.start, "end_time": one.end, "due_time": contact.due, "state": contact.state,
        "files_expected": one.files, "files": contact.files, "packets_expected": one.packets,
        "packets": contact.packets, "packets_missing": contact.packets_missing, "bytes": contact.bytes,
        "first_received_at": contact.first_received_at, "last_received_at": contact.last_received_at,
        "detail": contact.detail, "plan": plan,
    }  # fmt: skip


def _differs(row: Row, known: Row | None) -> bool:
    return known is None or any(known[name] != value for name, value in row.items())


def overdue(rows: Iterable[Row]) -> list[Row]:
    """Rows of passes of which something is missing although it was due."""
    return [row for row in rows if row["state"] in LACKING]
