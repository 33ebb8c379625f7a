# SPDX-License-Identifier: Apache-2.0
"""Files dropped by four writers while the watcher is killed again and again.

Some are written slowly, some renamed when they are whole, some replaced with other bytes, and one folder is removed and
made again. At the end each content is archived exactly once, and nothing else is.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from bench.torture.figures import Figure
from ingest.arrivals import Arrivals
from ingest.sources.following import receive_all
from ingest.sources.lander import Lander
from ingest.sources.settings import read_receive_settings
from lake.config import CHECKOUT, Settings
from lake.definition_files import read_definitions
from lake.definitions import Definitions
from lake.files import PART, sha256_of
from lake.store import Lake, RawArchive

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["swxlake.watching", "ingest.sources.folder", "watchfiles", "lake.tables", "deltalake"])

WRITERS = 4
FILES, FILES_SHORT = 5000, 80
KILLS, KILLS_SHORT = 10, 2
KILL_SECONDS, KILL_SECONDS_SHORT = (1.0, 6.0), (0.6, 1.5)
SETTLE_SECONDS = 1.0  # far above the pauses of the slow writers, also on a busy machine
PAUSE_SECONDS = 0.02  # between the pieces of a file that is written slowly
PATIENCE_SECONDS = 600.0
FIRST_DAY = datetime(2024, 9, 1, tzinfo=UTC)

TEST = "{} files of {} writers, some slow, renamed or replaced, a folder made again, the watcher killed {} times"
TARGET = "each content landed exactly once, no half file, nothing to clean up by hand"

SETTINGS = """
lake = "lake"
[sources.moc]
folder = {{ path = "drop" }}
subfolders = true
settle_seconds = {settle}
every_seconds = 2
"""


@dataclass
class Drop:
    """The place of the test, and every content that a writer has finished by name."""

    place: Path
    rng: random.Random
    written: set[tuple[str, str]] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    definitions: Definitions = field(default_factory=lambda: read_definitions(CHECKOUT / "missions"))

    def __post_init__(self) -> None:
        for writer in range(WRITERS):
            (self.place / "drop" / f"w{writer}").mkdir(parents=True)
        (self.place / "receive.toml").write_text(SETTINGS.format(settle=SETTLE_SECONDS))

    root = property(lambda self: self.place / "lake")

    def lake(self) -> Lake:
        """The lake as a process that begins now sees it."""
        return Lake(self.root, self.definitions)

    def content(self) -> bytes:
        """Bytes that no other file has."""
        with self.lock:
            return self.rng.randbytes(self.rng.randrange(200, 6000))

    def done(self, name: str, content: bytes) -> None:
        """A writer has finished a file."""
        with self.lock:
            self.written.add((name, sha256(content).hexdigest()))

    def archived(self) -> Counter[tuple[str, str]]:
        """Receipts by name and hash. A receipt that is being written is not one yet."""
        archive = RawArchive(self.lake())
        receipts = [archive.receipt(key) for key in archive.keys().values()]
        return Counter((receipt.name, receipt.file_sha256) for receipt in receipts)


def name_of(number: int) -> str:
    """The name of a file of telemetry."""
    return f"padreMDU8_{FIRST_DAY + timedelta(minutes=number):%y%m%d%H%M%S}.dat"


# ---- writers -------------------------------------------------------------------------------------------------------
def write(drop: Drop, path: Path, content: bytes, way: int) -> None:
    """Write a file at once, slowly, or under another name first."""
    if way == 0:
        with path.open("wb") as file:
            for start in range(0, len(content), 1 + len(content) // 4):
                file.write(content[start : start + 1 + len(content) // 4])
                file.flush()
                time.sleep(PAUSE_SECONDS)
    elif way == 1:
        part = path.with_name(f"{path.name}{PART}")
        part.write_bytes(content)
        part.rename(path)
    else:
        path.write_bytes(content)
    drop.done(path.name, content)


def write_all(drop: Drop, writer: int, files: int) -> None:
    """The files of one writer, each new."""
    for number in range(writer, files, WRITERS):
        path = drop.place / "drop" / f"w{writer}" / name_of(number)
        write(drop, path, drop.content(), number // WRITERS % 5)


def replace_some(drop: Drop, writer: int, files: int) -> None:
    """Every tenth file of a writer gets other bytes; the last writer's folder is removed and made again."""
    folder = drop.place / "drop" / f"w{writer}"
    if writer == WRITERS - 1:
        kept = {path.name: path.read_bytes() for path in folder.iterdir()}
        shutil.rmtree(folder)
        time.sleep(SETTLE_SECONDS / 2)
        folder.mkdir()
        for name, content in kept.items():
            write(drop, folder / name, content, 1)
    for number in range(writer, files, 10 * WRITERS):
        write(drop, folder / name_of(number), drop.content(), number // (10 * WRITERS) % 3)


def by_all(drop: Drop, files: int, what: Callable[[Drop, int, int], None]) -> list[threading.Thread]:
    """All writers at work."""
    threads = [threading.Thread(target=what, args=(drop, writer, files)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    return threads


# ---- the watcher ---------------------------------------------------------------------------------------------------
def follow(place: str) -> None:
    """`swxlake watch` in this process, until SIGTERM."""
    from swxlake.watching import watch  # noqa: PLC0415

    settings = Settings(root=Path(place) / "lake", receive=Path(place) / "receive.toml")
    watch(Lake(Path(place) / "lake", read_definitions(CHECKOUT / "missions")), settings)


def started(drop: Drop) -> ForkServerProcess:
    """A watcher in a process of its own."""
    process = CONTEXT.Process(target=follow, args=(str(drop.place),))
    process.start()
    return process


@dataclass
class Killer:
    """Kills the watcher after random times and starts it again, as often as it has to."""

    drop: Drop
    kills: int
    between: tuple[float, float]
    done: int = 0

    def __post_init__(self) -> None:
        self.process = started(self.drop)
        self.due = self._next()

    def _next(self) -> float:
        return time.monotonic() + self.drop.rng.uniform(*self.between)

    def step(self) -> None:
        """Kill it if it is time."""
        if self.done < self.kills and time.monotonic() >= self.due:
            os.kill(self.process.pid or 0, signal.SIGKILL)
            self.process.join()
            self.done += 1
            self.process = started(self.drop)
            self.due = self._next()

    def until(self, reached: Callable[[], bool]) -> bool:
        """Go on until something is so; False if it takes too long."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not reached():
            if time.monotonic() > deadline:
                return False
            self.step()
            time.sleep(0.2)
        return True

    def end(self) -> tuple[int | None, float]:
        """Ask it to end: its exit code, and after how many seconds."""
        begun = time.monotonic()
        self.process.terminate()
        self.process.join(30)
        return self.process.exitcode, time.monotonic() - begun


# ---- what came out -------------------------------------------------------------------------------------------------
def problems(drop: Drop) -> list[str]:
    """What is not as it should be; empty if all is well."""
    lake = drop.lake()
    archive, archived = RawArchive(lake), drop.archived()
    receipts = archive.keys()
    stored = {path for path in (drop.root / "raw").rglob("*") if path.is_file() and not path.name.endswith(PART)}
    contents = [path for path in stored if path.suffix != ".json"]
    places = Arrivals(lake).places(receipts)
    left = [path for path in drop.root.glob(".scratch-*/**/*") if path.is_file()]
    source = read_receive_settings(drop.place / "receive.toml").sources
    again = receive_all(Lander(lake), source)["moc"]
    counts = again if isinstance(again, str) else dict(again.counts)
    told = {
        "contents that never were": archived.keys() - drop.written,
        "contents that are not archived": drop.written - archived.keys(),
        "files with another hash than their name": {path.name for path in contents if sha256_of(path) != path.name},
        "receipts without a place, or with the same": len(receipts) - len(set(places.values())),
        "bytes without a receipt": {path.name for path in contents} - {digest for _, digest in archived},
        "files left in scratch": left,
        "a further round finds": counts,
    }
    return [f"{what}: {found}" for what, found in told.items() if found]


def suffer(place: Path, short: bool, seed: int) -> tuple[list[str], str]:
    """What was wrong after all of it, and what was done, in words."""
    drop = Drop(place, random.Random(seed))  # noqa: S311
    files, kills = (FILES_SHORT, KILLS_SHORT) if short else (FILES, KILLS)
    begun = time.monotonic()
    killer = Killer(drop, kills, KILL_SECONDS_SHORT if short else KILL_SECONDS)
    for phase in (write_all, replace_some):
        writers = by_all(drop, files, phase)
        arrived = killer.until(lambda at=writers: not any(w.is_alive() for w in at) and _is_all_there(drop))  # type: ignore[misc]
        if not arrived:
            break
    killer.until(lambda: killer.done >= kills)
    time.sleep(SETTLE_SECONDS)
    code, seconds = killer.end()
    wrong = problems(drop) + ([] if code == 0 else [f"SIGTERM ended the watcher with {code}"])
    took = time.monotonic() - begun
    text = f"{len(drop.written)} contents, {killer.done} kills, {took:.0f} s; the last watcher ended in {seconds:.1f} s"
    return wrong, text


def _is_all_there(drop: Drop) -> bool:
    """True if as many receipts are there as contents were written. Names alone: nothing is opened."""
    return len(RawArchive(drop.lake()).keys()) >= len(drop.written) if drop.root.exists() else False


def run(short: bool, seed: int) -> list[Figure]:
    """The row of this test."""
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        wrong, text = suffer(Path(name), short, seed)
    files, kills = (FILES_SHORT, KILLS_SHORT) if short else (FILES, KILLS)
    return [Figure(TEST.format(files, WRITERS, kills), TARGET, text, not wrong, tuple(wrong))]
