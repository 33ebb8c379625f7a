# SPDX-License-Identifier: Apache-2.0
"""A place that a mirror follows, a mirror of it, and a clock."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from exports.mirror.round import Round, opened
from exports.mirror.settings import MirrorSettings, Source, Take
from exports.mirror.state import State, read_state
from lake.storage import Storage, open_storage
from lake.ways.settings import FolderWay, S3Way

DAY = "padre/meddea/padre_meddea_l1-photon/2024/padre_meddea_l1-photon_20240916_v1.0.0.cdf"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Stage:
    """A source, written to by another way than the mirror's, and the folder of the mirror."""

    root: Path | str
    folder: Path
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.there: Storage = open_storage(self.root)

    @property
    def settings(self) -> MirrorSettings:
        way = FolderWay(path=self.root) if isinstance(self.root, Path) else None
        source = Source(folder=way) if way is not None else Source(s3=S3Way(address=str(self.root)))
        return MirrorSettings(folder=self.folder, source=source, **{"keep_free_bytes": 0} | self.options)

    def takes(self, *takes: dict[str, Any]) -> None:
        self.options["take"] = tuple(Take(**take) for take in takes)

    def put(self, path: str, content: bytes) -> None:
        self.there.put(path, content)

    def manifest(self, batch: str, *files: dict[str, Any]) -> None:
        self.put(f"manifests/{batch}.json", json.dumps({"batch": batch, "recipient": "r", "files": files}).encode())

    def added(self, path: str, content: bytes) -> dict[str, Any]:
        names = {"product": "padre.meddea_l1_photon", "dataset": "padre_meddea_l1-photon"}
        return {"path": path, "sha256": sha256(content), "bytes": len(content), "change": "added"} | names

    def round(self, paths: frozenset[str] | None = None, after: float = 0, dry_run: bool = False) -> Round:
        """A round of a process of its own, so many seconds after the one before."""
        self.now += timedelta(seconds=after)
        with opened(self.settings, lambda: None, dry_run) as mirror:
            return mirror.round(self.now, paths, dry_run)

    def state(self) -> State:
        return read_state(self.folder, self.settings.source.way.place)

    def files(self) -> dict[str, bytes]:
        """What a person sees in the mirror, without receipts."""
        found = {path.relative_to(self.folder).as_posix(): path for path in self.folder.rglob("*") if path.is_file()}
        return {name: path.read_bytes() for name, path in found.items() if not name.startswith((".mirror", "receipts"))}

    def receipts(self) -> list[dict[str, Any]]:
        """Receipts at the source."""
        keys = sorted(entry.key for entry in self.there.entries("receipts/"))
        return [json.loads(self.there.read(key)) for key in keys]
