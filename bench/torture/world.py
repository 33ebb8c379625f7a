# SPDX-License-Identifier: Apache-2.0
"""A small mission's lake and everything that happens to it: what random histories are made of."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from unittest import mock

import polars as pl

import transforms
from bench.torture import buoy
from bench.torture.calls import watching
from bench.torture.clocks import clock_at
from bench.torture.state import data_state, in_order, newest_products, unlike_frames
from lake.code import forget
from lake.config import Settings
from lake.definition_files import read_definitions
from lake.ledger import current_contents, last_runs, read_ops, standing_checks
from lake.maintenance import maintain
from lake.storage import Folder
from lake.store import Lake
from quality import judge
from swxlake import night as stages
from swxlake.outcome import Outcome

DAYS = (date(2024, 9, 15), date(2024, 9, 16), date(2024, 9, 17))
MEMORY = Path("/dev/shm")  # noqa: S108  no history asks for a real disk, and syncing is half of its time
Ticks = list[tuple[date, int, int]]


class Killed(BaseException):
    """Stands for the end of the process: nobody catches it."""


class Death:
    """Ends a process at its n-th storage call: this one fails, and each later one, so that nothing is tidied up."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, kind: str) -> None:
        """One call fewer to live."""
        self.left -= 1
        if self.left <= 0:
            raise Killed(kind)


class Interruption:
    """Lets another process do its work before the n-th storage call, with no lease that keeps the two apart.

    Only the making of a table, for which a Delta commit has no conflict, is waited for.
    """

    def __init__(self, number: int, other: Callable[[], object]) -> None:
        self.left, self.making = number, 0
        self.other: Callable[[], object] | None = other

    def __call__(self, kind: str) -> None:
        """Count; at zero the other one works, once."""
        self.left -= 1
        if self.left <= 0 and not self.making and self.other is not None:
            other, self.other = self.other, None
            other()

    @contextmanager
    def alone(self, name: str, wait_seconds: float | None = None) -> Iterator[None]:
        """What takes the place of a lease."""
        self.making += name == "make"
        yield
        self.making -= name == "make"


@dataclass
class World:
    """The lake, its inbox, definitions and code on disk, and what the wall clock shows."""

    folder: Path
    now: datetime = datetime(2024, 10, 1, tzinfo=UTC)
    whole: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        buoy.write_missions(self.missions)
        self.inbox.mkdir()
        self.change_code(0)
        self.stack.enter_context(mock.patch.object(transforms, "__path__", [*transforms.__path__, str(self.package)]))
        if not self.whole:  # what GX would say is no matter, and the catalog is a cache: they take most of a night
            self.stack.enter_context(mock.patch.object(judge, "_great_expectations", return_value=[]))
            self.stack.enter_context(mock.patch.object(stages, "refresh"))

    missions = property(lambda self: self.folder / "missions")
    package = property(lambda self: self.folder / "transforms")
    inbox = property(lambda self: self.folder / "inbox")
    root = property(lambda self: self.folder / "lake")

    def lake(self, root: Path | None = None) -> Lake:
        """The lake as a process that begins now sees it."""
        return Lake(root or self.root, read_definitions(self.missions))

    # ---- what comes from outside -----------------------------------------------------------------------------------
    def drop(self, name: str, ticks: Ticks) -> None:
        """A raw file in the inbox."""
        self.files[name] = buoy.telemetry(ticks)
        path = self.inbox / name
        path.write_bytes(self.files[name])
        os.utime(path, (1_600_000_000, 1_600_000_000))

    def copy(self, name: str, other: str) -> None:
        """The same bytes under another name."""
        self.files[other] = self.files[name]
        shutil.copy2(self.inbox / name, self.inbox / other)

    def calibrate(self, day: date, factor: int) -> None:
        """A new calibration from a day on, or a correction of the one of that day."""
        (self.missions / f"sea/buoy/calibration/gain_{day:%Y%m%d}.csv").write_text(f"factor\n{factor}\n")

    def change_code(self, offset: int) -> None:
        """The transform is another one for every process that begins from now on."""
        buoy.write_transform(self.package / "sea", offset)
        for name in [name for name in sys.modules if name.startswith("transforms.sea")]:
            del sys.modules[name]
        importlib.invalidate_caches()
        forget()

    def define(self, file: str, old: str, new: str) -> None:
        """Another definition; the same again gives the old one back."""
        path = self.missions / "sea" / "buoy" / file
        text = path.read_text()
        path.write_text(text.replace(old, new) if old in text else text.replace(new, old))

    # ---- what operators do -----------------------------------------------------------------------------------------
    def night(self, root: Path | None = None, inbox: bool = True) -> Outcome:
        """A whole night, a little later than what came before."""
        self.now += timedelta(seconds=61)
        lake = self.lake(root)
        with clock_at(self.now):
            settings = Settings(root=lake.root, settle_seconds=0)
            return stages.run_night(lake, settings, self.inbox if inbox else None)

    def maintain(self, days: int = 30) -> None:
        """Upkeep, so many days after everything was written."""
        later = datetime.now(UTC) + timedelta(days=days)
        maintain(self.lake(), 1, now=later.timestamp())

    def killed(self, number: int, action: Callable[[], object]) -> None:
        """An action that ends at its n-th storage call, if it makes so many."""
        try:
            with watching(self.root, Death(number)):
                action()
        except Killed:
            pass

    def interrupted(self, number: int, action: Callable[[], object], other: Callable[[], object]) -> None:
        """Another process does its work between two storage calls of an action."""
        interruption = Interruption(number, other)
        with mock.patch.object(Folder, "alone", interruption.alone), watching(self.root, interruption):
            action()

    # ---- what must hold --------------------------------------------------------------------------------------------
    def difference(self) -> str:
        """In what the lake differs from one that is rebuilt from its raw files and its journal; empty in nothing."""
        self.night()
        rebuilt = self.lake(Path(tempfile.mkdtemp(dir=self.folder)) / "lake")
        for part in ("raw", "journal"):
            if (self.root / part).exists():
                shutil.copytree(self.root / part, Path(rebuilt.root) / part)
        self.night(Path(rebuilt.root), inbox=False)
        found = unlike_lakes(self.lake(), rebuilt)
        shutil.rmtree(Path(rebuilt.root).parent)
        return found


@contextmanager
def world(whole: bool = False) -> Iterator[World]:
    """A world of its own, which ends with the block; its nights do without judge and catalog unless `whole`."""
    with tempfile.TemporaryDirectory(prefix="history-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        made = World(Path(folder), whole=whole)
        with made.stack:
            yield made
        made.change_code(0)


def unlike_lakes(lake: Lake, rebuilt: Lake) -> str:
    """In what a lake differs from one that is rebuilt, as they stand now, whatever was before; empty if in nothing."""
    products, again = newest_products(lake), newest_products(rebuilt)
    # A day that has lost its rows, for the clock was read wrongly, keeps the product that it had.
    current = {f"{day:%Y%m%d}" for day in data_state(lake)["sea.buoy_l1_tick"]["day"].unique()}
    products = {key: sha256 for key, sha256 in products.items() if key.rpartition("_v")[0][-8:] in current}
    if products != again:
        odd = sorted(key for key in products | again if products.get(key) != again.get(key))
        return f"products differ: {', '.join(odd)}; there are {', '.join(sorted(products))}"
    return unlike_frames(_standing(lake), _standing(rebuilt))


def _standing(lake: Lake) -> dict[str, pl.DataFrame]:
    """All rows of the data tables, and what the ops tables say of them now; what is history is left out."""
    today = set(current_contents(lake)["definition"])
    runs = [(*key, run["status"], run["rows"], run["content"]) for key, run in last_runs(lake).items()]
    books = {
        "files": read_ops(lake, "files").filter(pl.col("definition").is_in(list(today)) | (pl.col("bytes") == 0)),
        "quarantine": read_ops(lake, "quarantine").filter(pl.col("file_sha256") != ""),  # without files refused
        "gaps": read_ops(lake, "gaps"),
        "packets": read_ops(lake, "packets").drop("run_id"),
        "anomalies": read_ops(lake, "anomalies").drop("run_id"),
        "contents": current_contents(lake),
        "runs": pl.DataFrame(runs, ["table", "day", "status", "rows", "content"], orient="row"),
        "checks": standing_checks(lake).drop("detail"),
    }
    return data_state(lake) | {f"ops.{name}": in_order(frame) for name, frame in books.items()}
