# SPDX-License-Identifier: Apache-2.0
"""A small lake with published files, places of copies, and what is at them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage

from lake.backup.contents import pin
from lake.backup.named import round_of
from lake.backup.restore import Restored, restore
from lake.backup.run import Copied, copy_to
from lake.backup.settings import Place
from lake.backup.snapshots import chosen
from lake.backup.vault import Vault, open_vault
from lake.backup.verify import Source, Verified, verify
from lake.storage import open_storage
from lake.store import Lake, RawArchive, Receipt
from tests.exports.delivery.stage import BOX, DAYS, empty_stage, publish, stage

NOW = datetime(2026, 8, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)
MADE_BY = ("0.1.0", "a" * 40)
KEY = pyrage.x25519.Identity.generate()
OTHER_KEY = pyrage.x25519.Identity.generate()
KEPT = ("exports/", "journal/", "raw/", "tables/", "state/")


def small_lake(folder: Path) -> Lake:
    """The lake with a raw file, six products, books, and a document of state."""
    return _with_raw_and_state(stage(folder), folder)


def tiny_lake(folder: Path) -> Lake:
    """The same with one product, for places that are slow to answer."""
    lake = empty_stage(folder)
    publish(lake, (BOX, DAYS[0], "1.0.0"))
    return _with_raw_and_state(lake, folder)


def _with_raw_and_state(lake: Lake, folder: Path) -> Lake:
    archive(lake, folder, b"telemetry " * 100)
    lake.storage.put("state/forward/team.json", b'{"cursor": 1}\n')
    return lake


def archive(lake: Lake, folder: Path, content: bytes, name: str = "toyB0_240916000000.dat") -> str:
    """Put a file into the raw archive; the key of its bytes."""
    (folder / "arrived").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    receipt = Receipt(name, sha256, len(content), NOW.isoformat(), "inbox", "toy", "box", "2024-09-16")
    RawArchive(lake).add(receipt, folder / "arrived")
    return RawArchive(lake).bytes_key(receipt)


def folder_place(folder: Path, **facts: Any) -> Place:
    """A place that is a folder, made if it is not there."""
    folder.mkdir(exist_ok=True)
    return Place.model_validate({"folder": {"path": folder}, **facts})


def sealed_place(folder: Path, **facts: Any) -> Place:
    """The same, encrypted."""
    (folder.parent / "key").write_text(f"# created by a test\n{KEY}\n")
    facts = {"encrypt_to": [str(KEY.to_public())], "identity_file": folder.parent / "key"} | facts
    return folder_place(folder, **facts)


@contextmanager
def opened(place: Place) -> Iterator[Vault]:
    with open_vault("vault", place) as vault:
        yield vault


def copied(lake: Lake, place: Place, days: int = 0, dry_run: bool = False) -> Copied:
    """Copy the lake, so many days after the first time."""
    with opened(place) as vault:
        return copy_to(vault, lake, {"missions/x.yaml": _some(lake)}, MADE_BY, NOW + days * DAY, dry_run)


def _some(lake: Lake) -> Path:
    return lake.definitions.path / "columns.csv"


def verified(place: Place, lake: Lake | None = None, share: float = 1, turn: int = 0, **options: Any) -> Verified:
    """Verify what a round looks at; repair from the lake if one is given."""
    with opened(place) as vault:
        wanted = round_of(vault.snapshots(), share, turn, options.pop("every", False))
        return verify(vault, wanted, NOW + DAY, source=Source(lake) if lake else None, **options)


def restored(place: Place, root: Path | str, as_of: str | None = None, only: str | None = None) -> Restored:
    """Restore into a root; configuration goes beside it."""
    with opened(place) as vault:
        snapshot = vault.snapshot(chosen("vault", vault.snapshots(), as_of))
        config = root.with_name(f"{root.name}-config") if isinstance(root, Path) else Path("/nonexistent")
        return restore(vault, snapshot, open_storage(root), config, only)


def held(lake: Lake) -> dict[str, bytes]:
    """What of a lake is copied, but for tables whose newest version does not name it."""
    named = {key for pinned in pin(lake).tables.values() for key in pinned.files}
    found = {entry.key: entry for prefix in KEPT for entry in lake.storage.entries(prefix)}
    return {
        key: lake.storage.read(key)
        for key in found
        if not key.startswith("tables/") or "_delta_log" in key or key in named
    }


def objects_at(folder: Path) -> list[Path]:
    """Files of the objects at a place."""
    return sorted(path for path in (folder / "objects").rglob("*") if path.is_file())
