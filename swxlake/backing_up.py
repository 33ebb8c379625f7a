# SPDX-License-Identifier: Apache-2.0
"""What the commands about backups do: copying the lake to its places, verifying copies, and listing them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from exports.provenance import commit
from lake.backup.named import round_of, turns_of
from lake.backup.run import Copied, copy_to
from lake.backup.settings import BackupSettings, Place, read_backup_settings
from lake.backup.snapshots import chosen, time_of
from lake.backup.vault import Vault, open_vault
from lake.backup.verify import Bad, Source, Verified, verify
from lake.clock import utc_now
from lake.config import Settings
from lake.errors import ConfigurationError, StorageError, TableError, WayError
from lake.ledger import new_run_id, read_ops, release
from lake.setting_files import check_lake, is_of, other_lake
from lake.store import Lake
from lake.tables import append_ops
from swxlake.outcome import Outcome

SHOWN = 20  # damaged objects in the detail of ops.backups, files that one of them is of
SETTING_FILES = ("alerts", "delivery", "receive", "contacts", "forward", "backup")
NO_SETTINGS = (
    "there is no backup.toml here, and SWXLAKE_BACKUP names none. "
    "Write one: docs/how-to/back-up-and-restore.md says how."
)
FAILURES = (WayError, StorageError, TableError)


@dataclass(frozen=True)
class Act:
    """Something that was begun at a place, for ops.backups."""

    place_name: str
    place: str
    act: str
    started_at: datetime
    began: float

    def row(self, state: str, detail: str, **facts: Any) -> dict[str, Any]:
        """What came of it; `facts` are columns that are not 0 or null."""
        seconds = round(time.monotonic() - self.began, 3)
        counts = dict.fromkeys(("files", "bytes", "new_files", "new_bytes", "damaged", "repaired"), 0)
        own = {name: getattr(self, name) for name in ("place_name", "place", "act", "started_at")}
        known = {"snapshot": None, "seconds": seconds, "state": state, "detail": detail}
        return own | counts | known | facts | {"run_id": new_run_id(self.started_at)}


def begin(name: str, place: str, act: str) -> Act:
    """An act that begins now."""
    return Act(name, place, act, utc_now(), time.monotonic())


def needed_settings(settings: Settings) -> tuple[BackupSettings, Path]:
    """Where copies are kept, and the file that says so. Raises ConfigurationError if there is none."""
    if settings.backup is None:
        raise ConfigurationError(NO_SETTINGS)
    return read_backup_settings(settings.backup), settings.backup


def _places(lake: Lake, settings: Settings, only: str | None) -> dict[str, Place]:
    """The places of this lake. Raises ConfigurationError if there are none, or if they are of another lake."""
    found, path = needed_settings(settings)
    check_lake(found, lake.root, path)
    return found.chosen(only, path)


def run(lake: Lake, settings: Settings, only: str | None = None, dry_run: bool = False) -> Outcome:
    """Copy the lake to its places, and verify the copies that are due; without settings nothing is done.

    Settings of another lake are a note: copies are not copied. A problem for each place that failed, and each file that
    could not be copied. Raises ConfigurationError if the settings are wrong.
    """
    if settings.backup is None:
        return Outcome()
    found = read_backup_settings(settings.backup)
    if not is_of(found, lake.root):
        return Outcome(notes=[f"{other_lake(found, lake.root, settings.backup)}: nothing is copied"])
    outcome, rows = Outcome(tables={"backups": []}), []
    with lake.storage.alone("backup"):
        for name, place in found.chosen(only, settings.backup).items():
            rows += _run_at(lake, settings, name, place, dry_run, outcome)
        append_ops(lake, "backups", [] if dry_run else rows)
    return outcome


def run_needed(lake: Lake, settings: Settings, only: str | None, dry_run: bool) -> Outcome:
    """Copy the lake, as the command does. Raises ConfigurationError if there are no settings of this lake."""
    _places(lake, settings, only)
    return run(lake, settings, only, dry_run)


def _run_at(
    lake: Lake, settings: Settings, name: str, place: Place, dry_run: bool, outcome: Outcome
) -> list[dict[str, Any]]:
    """Copy to one place, and verify it if that is due; rows of ops.backups."""
    act = begin(name, place.way.place, "run")
    try:
        with open_vault(name, place) as vault:
            made_by = (release()[0], commit(lake.definitions.path))
            done = copy_to(vault, lake, configuration_of(lake, settings), made_by, act.started_at, dry_run)
    except FAILURES as error:
        outcome.problems.append(str(error))
        return [act.row("failed", str(error))]
    detail = "; ".join(done.problems[:SHOWN])
    facts = {"damaged": len(done.lost), "repaired": len(done.lost)}
    counts = {key: getattr(done, key) for key in ("snapshot", "files", "bytes", "new_files", "new_bytes")}
    row = act.row("failed" if done.problems else "done", detail, **counts, **facts)
    outcome.tables["backups"].append({"place": name} | counts | {"seconds": row["seconds"]})
    outcome.problems += [f"backup {name}: {problem}" for problem in done.problems]
    outcome.notes += _notes(name, done)
    if dry_run or not _is_due(lake, name, place, act.started_at):
        return [row]
    return [row, _verify_at(lake, name, place, Wanted(place.verify_share), outcome)]


def _notes(name: str, done: Copied) -> list[str]:
    notes = [f"backup {name}: {path} was missing or short there, and was sent again" for path in done.lost]
    notes += done.notes
    if not done.at_rest:
        notes.append(f"backup {name}: a night was at work; what it had not finished, a night finishes after a restore")
    return notes


def configuration_of(lake: Lake, settings: Settings) -> dict[str, Path]:
    """Definitions and settings in use, by their path below config/. None of them holds a secret."""
    missions = lake.definitions.path
    found = {f"missions/{path.relative_to(missions).as_posix()}": path for path in sorted(missions.rglob("*"))}
    files = {name: path for name, path in found.items() if path.is_file() and not _is_hidden(name)}
    named = {f"{name}.toml": getattr(settings, name) for name in SETTING_FILES}
    return files | {name: path for name, path in named.items() if path is not None and path.is_file()}


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in name.split("/"))


# ---- verifying -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Wanted:
    """What of a copy is verified: which share, whether all snapshots at once, whether decrypted, whether repaired.

    identity_file : the private key, in place of that of the settings.
    """

    share: float | None = None
    every: bool = False
    deep: bool = False
    repair: bool = False
    identity_file: Path | None = None


def verify_copies(lake: Lake, settings: Settings, only: str | None, wanted: Wanted) -> Outcome:
    """Verify copies of the lake; a problem for each damaged object that is not repaired.

    Raises ConfigurationError if there are no settings of this lake.
    """
    outcome = Outcome(tables={"verified": []})
    places = {name: place.opened_by(wanted.identity_file) for name, place in _places(lake, settings, only).items()}
    source = Source(lake, configuration_of(lake, settings)) if wanted.repair else None
    rows = [_verify_at(lake, name, place, wanted, outcome, source) for name, place in places.items()]
    if lake.storage.is_there():  # else the lake is lost, and its copy is looked at before it is restored
        append_ops(lake, "backups", rows)
    return outcome


def _verify_at(
    lake: Lake, name: str, place: Place, wanted: Wanted, outcome: Outcome, source: Source | None = None
) -> dict[str, Any]:
    act = begin(name, place.way.place, "verify")
    share = wanted.share or place.verify_share
    try:
        with open_vault(name, place) as vault:
            names = vault.snapshots()
            newest = chosen(vault.who, names, None)
            wanted_now = round_of(names, share, _turn(lake, name), wanted.every)
            found = verify(vault, wanted_now, act.started_at, source=source, deep=wanted.deep)
    except FAILURES as error:
        outcome.problems.append(str(error))
        return act.row("failed", str(error))
    _tell(outcome, name, found, share)
    left = len(found.bad) - found.mended + len(found.problems)
    detail = "; ".join([*found.problems, *(_words(one) for one in found.bad)][:SHOWN])
    facts = {"files": found.objects, "bytes": found.bytes_read, "damaged": len(found.bad), "repaired": found.mended}
    return act.row("failed" if left else "done", detail, snapshot=newest, **facts)


def _tell(outcome: Outcome, name: str, found: Verified, share: float) -> None:
    row = {"place": name, "snapshots": found.snapshots, "objects": found.objects, "read_back": found.read}
    row |= {"bytes": found.bytes_read, "damaged": len(found.bad), "repaired": found.mended}
    outcome.tables.setdefault("verified", []).append(row)
    outcome.problems += [f"backup {name}: {problem}" for problem in found.problems]
    for one in found.bad:
        (outcome.notes if one.is_mended else outcome.problems).append(f"backup {name}: {_words(one)}")
    if found.cold:
        outcome.notes.append(f"backup {name}: {found.cold} objects lie in cold storage; they were counted, not read")
    if share < 1 and found.objects:
        turns = turns_of(share)
        outcome.notes.append(f"backup {name}: one object in {turns} was read back; {turns} verifications read all")


def _words(one: Bad) -> str:
    """A damaged object, what it is part of, and what was done."""
    keys = [line.key for line in one.lines]
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    remedy = "It was sent again." if one.is_mended else one.remedy or "`swxlake backup verify --repair` sends it again."
    return f"{one.object} {one.what}; it is part of {', '.join(keys[:SHOWN])}{more}. {remedy}"


def verifications(lake: Lake, name: str) -> pl.DataFrame:
    """Rows of ops.backups about verifications of a place that came to their end, well or not."""
    if not lake.storage.is_there():
        return pl.DataFrame({"started_at": []})
    is_ended = pl.col("snapshot").is_not_null()  # one that could not reach the place, or was stopped by it, has none
    return read_ops(lake, "backups").filter((pl.col("place_name") == name) & (pl.col("act") == "verify") & is_ended)


def _turn(lake: Lake, name: str) -> int:
    """How many verifications there were, so that each looks at another share."""
    return verifications(lake, name).height


def _is_due(lake: Lake, name: str, place: Place, now: datetime) -> bool:
    last: Any = verifications(lake, name)["started_at"].max()
    return last is None or now - last >= timedelta(days=place.verify_every_days)


# ---- listing -------------------------------------------------------------------------------------------------------
def list_snapshots(settings: Settings, only: str | None, newest: int) -> Outcome:
    """The newest snapshots of each place, the newest first. Needs no lake."""
    found, path = needed_settings(settings)
    outcome = Outcome(tables={"snapshots": []})
    for name, place in found.chosen(only, path).items():
        try:
            with open_vault(name, place) as vault:
                names = vault.snapshots()
                rows = [row for one in _newest(names, newest) if (row := _listed(name, vault, one, outcome))]
        except FAILURES as error:
            outcome.problems.append(str(error))
            continue
        outcome.tables["snapshots"] += rows
        if len(names) > newest:
            outcome.notes.append(f"backup {name}: and {len(names) - newest} older ones; --newest shows more")
    return outcome


def _newest(names: Sequence[str], number: int) -> list[str]:
    return list(reversed(names))[:number]


def _listed(place: str, vault: Vault, name: str, outcome: Outcome) -> dict[str, Any] | None:
    """A snapshot in a row; None, and a problem, if it has changed."""
    try:
        about = vault.snapshot(name).about()
    except WayError as error:
        outcome.problems.append(str(error))
        return None
    made = f"{time_of(name):%Y-%m-%dT%H:%M:%SZ}"
    row = {"place": place, "snapshot": name, "made_at": made, "files": about.files, "bytes": about.bytes}
    return row | {"tables": len(about.tables), "at_rest": about.at_rest, "release": about.release}
