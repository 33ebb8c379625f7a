# SPDX-License-Identifier: Apache-2.0
"""A drop folder that is followed: the lake, the follower, and what came of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from ingest.sources.books import Books
from ingest.sources.folder import open_folder
from ingest.sources.lander import Lander
from ingest.sources.rounds import Follower, Round
from ingest.sources.settings import SourceSettings
from lake.files import sha256_of
from lake.ledger import read_ops
from lake.store import Lake, RawArchive
from lake.ways.settings import FolderWay
from tests.meddea import NOW, empty_lake

NAMES = [f"padreMDU8_2409161229{second:02}.dat" for second in range(60)]
OLD = 1_600_000_000  # Unix seconds; long ago


def source_settings(folder: Path, **more: Any) -> SourceSettings:
    return SourceSettings(folder=FolderWay(path=folder), **({"settle_seconds": 0} | more))


@dataclass
class Drop:
    """A folder `drop` beside a lake, looked at when the test says so, at times that the test sets."""

    place: Path
    more: Mapping[str, Any] = field(default_factory=dict)
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.folder = self.place / "drop"
        self.folder.mkdir(exist_ok=True)
        self.begin()

    def begin(self) -> None:
        """As a process that begins now."""
        self.lake: Lake = empty_lake(self.place / "lake")
        self.lander = Lander(self.lake, lambda: self.now)
        self.settings = source_settings(self.folder, **self.more)
        self.source = open_folder("moc", self.settings.way, self.settings.subfolders)  # type: ignore[arg-type]
        self.follower = Follower("moc", self.settings, self.lander, Books(self.lake))

    def put(self, name: str, content: bytes, age: float | None = None) -> Path:
        """A file, changed so many seconds before `now`; long ago if that is not said."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        modified = OLD if age is None else self.now.timestamp() - age
        os.utime(path, (modified, modified))
        return path

    def look(self, seconds: float = 60, **more: Any) -> Round:
        """A round, so many seconds after the last one."""
        self.now += timedelta(seconds=seconds)
        return self.follower.look(self.source, self.now, **more)

    def states(self) -> dict[str, str]:
        """What ops.receptions says of each path now."""
        rows = read_ops(self.lake, "receptions").sort("noted_at", maintain_order=True)
        newest = rows.unique("path", keep="last", maintain_order=True)
        return dict(newest.select("path", "state").iter_rows())

    def rows(self, path: str) -> list[str]:
        """All states that a path had, in order."""
        rows = read_ops(self.lake, "receptions").sort("noted_at", maintain_order=True)
        return rows.filter(pl.col("path") == path)["state"].to_list()

    def archived(self) -> dict[tuple[str, str], bytes]:
        """Bytes by name and hash; the hashes are right, and nothing is left beside them."""
        archive, found = RawArchive(self.lake), {}
        for key in archive.keys().values():
            receipt = archive.receipt(key)
            with archive.local(receipt) as path:
                found[receipt.name, sha256_of(path)] = path.read_bytes()
        return found
