# SPDX-License-Identifier: Apache-2.0
"""Landing uploads in groups: nobody waits for ever, whatever becomes of the one who lands for all."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from ingest.sources import upload_landing
from ingest.sources.lander import Lander
from ingest.sources.nouns import Arrived, Taken
from ingest.sources.upload_landing import Landing
from ingest.sources.upload_requests import Refusal
from lake.errors import StorageError
from lake.store import Lake
from tests.toy import toy_lake


class Failing:
    """Lands nothing, and notes in which groups it was asked to."""

    def __init__(self, lake: Lake, error: Exception | None) -> None:
        self.lake, self.error, self.groups = lake, error, list[list[str]]()

    def take(self, files: Sequence[Arrived]) -> list[Taken]:
        self.groups.append([file.name for file in files])
        time.sleep(0.05)
        if self.error is not None:
            raise self.error
        return [Taken(file, "landed") for file in files]

    def aside(self) -> AbstractContextManager[Path]:
        return Lander(self.lake).aside()


def outcomes(lands: Failing, names: Sequence[str]) -> list[Taken | BaseException]:
    """What came of files that all arrive at once."""

    async def all_at_once() -> list[Taken | BaseException]:
        landing = Landing(lands)
        files = [Arrived("upload", name, name, Path(name)) for name in names]
        waits = (landing.land(file, lambda: None) for file in files)
        return await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), 5)

    return asyncio.run(all_at_once())


def test_what_comes_at_once_lands_together_and_one_name_after_the_other(tmp_path: Path) -> None:
    lands = Failing(toy_lake(tmp_path), None)
    found = outcomes(lands, ["a", "b", "a", "c", "a"])
    assert lands.groups == [["a", "b", "c"], ["a"], ["a"]]
    assert [taken.arrived.name for taken in found if isinstance(taken, Taken)] == ["a", "b", "a", "c", "a"]


def test_everybody_of_a_group_hears_that_it_failed(tmp_path: Path) -> None:
    lake = toy_lake(tmp_path)
    for error in (StorageError("the disk is gone"), RuntimeError("a mistake of ours")):
        found = outcomes(Failing(lake, error), ["a", "b", "c"])
        assert all(isinstance(one, StorageError | RuntimeError | asyncio.CancelledError) for one in found)


def test_those_who_come_after_a_mistake_of_ours_are_landed(tmp_path: Path) -> None:
    lands = Failing(toy_lake(tmp_path), RuntimeError("a mistake of ours"))

    async def one_after_the_other() -> None:
        landing = Landing(lands)
        first = landing.land(Arrived("upload", "a", "a", Path("a")), lambda: None)
        assert isinstance((await asyncio.gather(first, return_exceptions=True))[0], BaseException)
        lands.error = None
        assert (await landing.land(Arrived("upload", "b", "b", Path("b")), lambda: None)).state == "landed"

    asyncio.run(asyncio.wait_for(one_after_the_other(), 5))


class Stuck(Failing):
    """Lands once it is let go, as if another process held the archive."""

    def __init__(self, lake: Lake) -> None:
        super().__init__(lake, None)
        self.go = threading.Event()

    def take(self, files: Sequence[Arrived]) -> list[Taken]:
        self.go.wait(10)
        return super().take(files)


def test_nobody_waits_for_another_process_when_the_server_stops_or_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload_landing, "STOP_SECONDS", 0.05)
    file = Arrived("upload", "a", "a", Path("a"))
    for patience, stops, code in ((60, True, "STOPPING"), (0.05, False, "BUSY")):
        monkeypatch.setattr(upload_landing, "PATIENCE_SECONDS", patience)
        lands, late = Stuck(toy_lake(tmp_path / code)), threading.Event()

        async def refused(lands: Stuck = lands, late: threading.Event = late, stops: bool = stops) -> Refusal:
            landing = Landing(lands, late.set)
            waits = asyncio.create_task(landing.land(file, lambda: None))
            await asyncio.sleep(0)
            if stops:
                landing.close()
            [refusal] = await asyncio.gather(waits, return_exceptions=True)
            lands.go.set()
            assert await asyncio.to_thread(late.wait, 5), "what lands in the end is said"
            assert isinstance(refusal, Refusal)
            return refusal

        found = asyncio.run(asyncio.wait_for(refused(), 5))
        assert (found.status, found.code, found.retry_seconds) == (503, code, 30)
