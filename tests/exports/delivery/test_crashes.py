# SPDX-License-Identifier: Apache-2.0
"""A run that dies after any change that it makes: the next one finishes, and nothing is sent twice."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from exports.delivery import ledger, visit
from exports.delivery.approvals import withdraw
from exports.delivery.nouns import Delivered
from exports.delivery.settings import DeliverySettings
from lake import tables
from lake.ledger import read_ops
from lake.store import Journal, Lake
from lake.ways.settings import AnyWay, open_way
from lake.ways.transport import Transport
from tests.exports.delivery.stage import (
    BOX,
    DAYS,
    NOW,
    events,
    feed,
    manifests,
    path_of,
    products_at,
    publish,
    run,
    settings,
    stage,
)

NEW = path_of(BOX, DAYS[1], "1.0.1")
FIRST = [path_of(BOX, day) for day in DAYS]


class Died(BaseException):
    """The process is gone."""


@dataclass
class Life:
    """How many changes a process may make before it dies. To die before one is to die after the one before."""

    steps: int
    seen: int = 0
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)

    def step(self) -> None:
        self.seen += 1
        if self.seen > self.steps:
            raise Died


CHANGES = {"put", "put_new", "remove", "append_ops"}


class Mortal:
    """Something of which each call that changes it is a step of the process."""

    def __init__(self, inner: Any, life: Life) -> None:
        self.inner, self.life = inner, life

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        return self._counted(name, found) if callable(found) and name not in ("uri", "key") else found

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*values: Any, **options: Any) -> Any:
            given = call(*values, **options)
            if name in CHANGES:
                self.life.calls[name, str(values[0])] += 1
                self.life.step()
            return given

        return counted


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Path]:
    """A lake of which a recipient got all; then a new version came, and another one was withdrawn."""
    folder = tmp_path_factory.mktemp("before")
    lake = stage(folder)
    run(lake, wanted(folder))
    publish(lake, (BOX, DAYS[1], "1.0.1"), run="run-2")
    publish(lake, *((BOX, DAYS[2].replace(day=day), "1.0.0") for day in (19, 20)), run="run-3")
    withdraw(lake, FIRST[0], "Ada", "wrong gain", NOW)
    return lake, folder


def wanted(folder: Path) -> DeliverySettings:
    return settings(folder, pull=True, remove_withdrawn=True)


def mortal_run(lake: Lake, folder: Path, life: Life, monkeypatch: pytest.MonkeyPatch) -> Delivered:
    @contextmanager
    def opened(recipient: str, way: AnyWay) -> Iterator[Transport]:
        with open_way(f"recipient {recipient}", way) as transport:
            yield Mortal(transport, life)

    mortal = Lake(lake.root, lake.definitions)
    mortal.__dict__["storage"] = Mortal(lake.storage, life)
    with monkeypatch.context() as patch:
        patch.setattr(visit, "open_way", opened)
        patch.setattr(ledger, "append_ops", Mortal(tables, life).append_ops)
        return run(mortal, wanted(folder), 24, verify=True)


def test_a_run_that_dies_anywhere_is_finished_by_the_next(
    before: tuple[Lake, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, died, folder = 0, True, before[1]
    kept = shutil.copytree(folder, tmp_path / "kept")
    while died:
        shutil.rmtree(folder)  # always in one place, as a recipient that moves begins anew
        shutil.copytree(kept, folder)
        lake, life, died = Lake(folder / "lake", before[0].definitions), Life(steps), False
        try:
            mortal_run(lake, folder, life, monkeypatch)
        except Died:
            died = True
        sent = life.calls
        life = Life(10**9)
        assert mortal_run(lake, folder, life, monkeypatch).problems == []
        _all_is_well(lake, folder, sent + life.calls)
        steps += 1
    assert steps > 20


def _all_is_well(lake: Lake, folder: Path, calls: Counter[tuple[str, str]]) -> None:
    there = folder / "spdf"
    others = [path_of(BOX, DAYS[2].replace(day=day)) for day in (19, 20)]
    expected = sorted([*FIRST[1:], NEW, *others])
    assert products_at(there) == expected
    puts = {
        path: count
        for (name, path), count in calls.items()
        if name == "put" and path.startswith("toy/") and "readme" not in path
    }
    assert puts == dict.fromkeys([NEW, *others], 1)  # nothing twice
    notices = [("withdrawn", FIRST[0]), ("superseded", FIRST[1]), ("added", NEW), *(("added", path) for path in others)]
    told = feed(there)
    assert told[:3] == [("added", path) for path in FIRST]
    assert sorted(told[3:]) == sorted(notices)
    assert [(file["change"], file["path"]) for one in manifests(there) for file in one["files"]] == told
    pieces = "".join(path.read_text() for path in sorted((there / "changes").iterdir()))
    assert pieces == (there / "changes.jsonl").read_text()
    listed = (there / "catalogue" / "files.csv").read_text().splitlines()[1:]
    assert [line.partition(",")[0] for line in listed] == expected
    assert Counter(path for event, path in events(lake) if event == "delivered") == Counter([*FIRST, NEW, *others])
    assert read_ops(lake, "deliveries")["entry"].unique().sort().to_list() == Journal(lake).keys("deliveries")
