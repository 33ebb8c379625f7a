# SPDX-License-Identifier: Apache-2.0
"""`swxlake restore`: a lake out of a copy, looked at afterwards as a night would find it. It needs no lake."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lake.backup.restore import Restored, restore
from lake.backup.settings import Place
from lake.backup.snapshots import chosen
from lake.backup.vault import open_vault
from lake.catalog import refresh
from lake.config import Settings
from lake.definition_files import read_definitions
from lake.errors import ConfigurationError
from lake.storage import open_storage
from lake.store import Lake
from lake.tables import append_ops
from lake.ways.settings import FolderWay
from swxlake.backing_up import Act, begin, needed_settings
from swxlake.fsck import fsck
from swxlake.outcome import Outcome

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Order:
    """What is to be restored: from which place, which snapshot or time, only what is below a key; where settings go."""

    name: str | None = None
    place_folder: Path | None = None
    identity_file: Path | None = None
    as_of: str | None = None
    only: str | None = None
    config_to: Path | None = None


def restore_lake(settings: Settings, order: Order) -> Outcome:
    """Restore into the empty root of the settings, then look at the lake and make its catalog.

    Raises ConfigurationError if the place is not told, or the root not empty; WayError if the copy cannot be reached.
    """
    name, place = _place(settings, order)
    config = order.config_to or _beside(settings.root)
    act = begin(name, place.way.place, "restore")
    with open_vault(name, place) as vault:
        snapshot = vault.snapshot(chosen(vault.who, vault.snapshots(), order.as_of))
        about = snapshot.about()
        done = restore(vault, snapshot, open_storage(settings.root), config, order.only)
    outcome = _told(done, act, config)
    if done.problems:
        outcome.notes.append("the restore is not finished: mend the copy and repeat, or take an older snapshot")
    elif order.only is None:
        _look(Lake(settings.root, read_definitions(config / "missions")), outcome, about.at_rest, done, act)
    return outcome


def _place(settings: Settings, order: Order) -> tuple[str, Place]:
    """The place to restore from, and its name. Raises ConfigurationError."""
    if order.place_folder is not None:
        if order.name is not None:
            raise ConfigurationError("NAME and --place-folder exclude each other. Give one of them.")
        way = FolderWay(path=order.place_folder.expanduser().resolve())
        return "folder", Place(folder=way, identity_file=order.identity_file)
    found, path = needed_settings(settings)
    places = found.chosen(order.name, path)
    if len(places) > 1:
        raise ConfigurationError(f"{path}: has several places. Name one of {', '.join(places)}.")
    ((name, place),) = places.items()
    return name, place.opened_by(order.identity_file)


def _beside(root: Path | str) -> Path:
    """Where definitions and settings go: beside the lake, for they are no part of it."""
    return root.with_name(f"{root.name}-config") if isinstance(root, Path) else Path("restored-config").resolve()


def _told(done: Restored, act: Act, config: Path) -> Outcome:
    seconds = act.row("", "")["seconds"]
    facts: dict[str, Any] = {"snapshot": done.snapshot, "restored": {"files": done.files, "bytes": done.bytes}}
    if done.there:
        facts["restored"]["files_there_already"] = done.there
    facts |= {"seconds": seconds, "mib_per_s": round(done.bytes / MEBIBYTE / max(seconds, 0.001), 1)}
    return Outcome(facts=facts | {"configuration": str(config)}, problems=list(done.problems))


def _look(lake: Lake, outcome: Outcome, at_rest: bool, done: Restored, act: Act) -> None:
    """Compare the restored lake with itself, note the restore in it, and make the catalog."""
    found = fsck(lake, quick=True)
    outcome.facts["fsck"] = found.facts["fsck"]
    if at_rest:
        outcome.problems += found.problems
    else:
        outcome.notes += [
            f"a night was at work when this was copied, and the next one mends it: {p}" for p in found.problems
        ]
    outcome.notes += found.notes
    facts = {"snapshot": done.snapshot, "files": done.files + done.there, "bytes": done.bytes}
    append_ops(lake, "backups", [act.row("failed" if outcome.problems else "done", "", **facts)])
    refresh(lake)
