# SPDX-License-Identifier: Apache-2.0
"""What the doctor says about `backup.toml`: whether it can be read, its places be reached, and copies are recent."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from lake.backup.marker import half_restored, is_half_restored
from lake.backup.settings import Place, read_backup_settings
from lake.backup.snapshots import time_of
from lake.backup.vault import open_vault
from lake.clock import utc_now
from lake.config import read_settings
from lake.errors import ConfigurationError, StorageError, TableError, WayError
from lake.ledger import read_ops
from lake.setting_files import is_of
from lake.store import Lake
from swxlake.backing_up import verifications
from swxlake.outcome import Outcome

NOWHERE = "no backup.toml here, and SWXLAKE_BACKUP names none: there are no copies of this lake"
AGAIN = "Run `swxlake backup verify --to {} --share 1 --repair`."
GRACE = 2.0  # verifications that are due may wait for the next run; twice the time is too long


def examine_backup(lake: Lake) -> Outcome:
    """A problem for each place that cannot be reached, or whose copy or verification is too old. Nothing is sent.

    A lake that is half restored is a problem of its own, and its copies are another's.
    """
    try:
        if is_half_restored(lake.storage):
            return Outcome(facts={"backup": "not well"}, problems=[f"{lake.root}: {half_restored(lake.storage)}"])
    except StorageError as error:
        return Outcome(facts={"backup": "not well"}, problems=[f"backup: {error}"])
    return _examine(lake)


def _examine(lake: Lake) -> Outcome:
    """What is said of the copies of a whole lake."""
    try:
        path = read_settings(str(lake.root)).backup
        if path is None:
            return Outcome(facts={"backup": NOWHERE})
        settings = read_backup_settings(path)
    except ConfigurationError as error:
        return Outcome(facts={"backup": "not well"}, problems=[f"backup: {error}"])
    if not is_of(settings, lake.root):
        return Outcome(facts={"backup": f"{path} is of the lake {settings.lake}: there are no copies of this one"})
    now = utc_now()
    wrong = [line for name, place in settings.places.items() if (line := _wrong(lake, name, place, now))]
    well = f"{path}: {', '.join(settings.places) or 'no place'}, each has a recent copy that was verified"
    return Outcome(facts={"backup": "not well" if wrong else well}, problems=[f"backup: {line}" for line in wrong])


def _wrong(lake: Lake, name: str, place: Place, now: datetime) -> str | None:
    """What is wrong with a place; None if nothing is."""
    try:
        with open_vault(name, place) as vault:
            names = vault.snapshots()
    except (WayError, StorageError) as error:
        return str(error)
    if not names:
        return f"{name} has no snapshot. Run `swxlake backup run --to {name}`."
    age = now - time_of(names[-1])
    if age > timedelta(hours=place.max_age_hours):
        hours = age.total_seconds() / 3600
        return f"{name}: its newest snapshot is {hours:.0f} h old. Run `swxlake backup run --to {name}`, or its timer."
    return _not_verified(lake, name, place, now)


def _not_verified(lake: Lake, name: str, place: Place, now: datetime) -> str | None:
    try:
        acts = verifications(lake, name)
    except TableError as error:
        return f"{name}: {error}"
    last: Any = acts["started_at"].max()
    if last is None and _was_restored(lake):
        return (
            f"{name}: when its copy was verified is not known here, since this lake was restored. {AGAIN.format(name)}"
        )
    again = AGAIN.format(name)
    if last is None or now - last > GRACE * timedelta(days=place.verify_every_days):
        return (
            f"{name}: its copy was {'never verified' if last is None else f'verified last on {last:%Y-%m-%d}'}. {again}"
        )
    state = acts.sort("started_at")["state"][-1]
    return None if state == "done" else f"{name}: its last verification found damage. {again}"


def _was_restored(lake: Lake) -> bool:
    """Whether the lake came out of a copy, which tells nothing of what was done after it was made."""
    return lake.storage.is_there() and "restore" in read_ops(lake, "backups")["act"].to_list()
