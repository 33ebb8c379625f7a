# SPDX-License-Identifier: Apache-2.0
"""Recipients that stumble: what is tried again, what is left for the next run, and what is in nobody's way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from exports.delivery import visit
from exports.delivery.approvals import withdraw
from exports.delivery.nouns import AtRecipient
from lake.errors import PathError, WayError
from lake.store import Lake
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

PATHS = [path_of(BOX, day) for day in DAYS]


@dataclass
class Stumbling:
    """A recipient that fails at some puts: how often by path, before or after it has taken the file.

    `lies` counts hashes that it gives wrong, `refuses` are paths that it refuses whatever is asked about them,
    `lists` says that it lists folders, `replaces` that it lets files be replaced; `at_put` is done at each put.
    """

    failing: Counter[str]
    late: bool = False
    lies: Counter[str] = field(default_factory=Counter)
    refuses: Container[str] = ()
    lists: bool = True
    replaces: bool = True
    at_put: Callable[[str], object] = str
    inner: Transport = field(init=False)

    def allow(self, path: str) -> None:
        if path in self.refuses:
            raise PathError(f"{path}: permission denied")

    def size(self, path: str) -> int | None:
        self.allow(path)
        return self.inner.size(path)

    def sha256(self, path: str) -> str | None:
        self.allow(path)
        if self.lies[path]:
            self.lies[path] -= 1
            return "0" * 64
        return self.inner.sha256(path)

    def put(self, path: str, source: Path, replace: bool = False) -> bool:
        self.at_put(path)
        if not self.replaces and self.inner.size(path) is not None:
            raise PathError(f"{path}: is there already")
        if not self.failing[path]:
            self.inner.put(path, source, replace)
            return False
        self.failing[path] -= 1
        if self.late:
            self.inner.put(path, source, replace)
        raise WayError(f"{path}: connection reset")

    def read(self, path: str) -> bytes | None:
        return self.inner.read(path)

    def names(self, folder: str) -> list[str]:
        if not self.lists:
            raise WayError("AccessDenied")
        return self.inner.names(folder)

    def remove(self, path: str) -> None:
        self.allow(path)
        self.inner.remove(path)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return stage(tmp_path)


def visited(
    lake: Lake,
    folder: Path,
    stumbling: Stumbling,
    monkeypatch: pytest.MonkeyPatch,
    hours: int = 0,
    verify: bool = False,
    **facts: Any,
) -> AtRecipient:
    @contextmanager
    def opened(recipient: str, way: AnyWay) -> Iterator[Transport]:
        with open_way(f"recipient {recipient}", way) as stumbling.inner:
            yield stumbling

    monkeypatch.setattr(visit, "open_way", opened)
    return run(lake, settings(folder, **facts), hours, verify=verify).recipients[0]


@pytest.mark.parametrize("late", [False, True])
def test_two_failures_of_a_file_are_made_good(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    found = visited(lake, tmp_path, Stumbling(Counter({PATHS[1]: 2}), late), monkeypatch)
    assert (len(found.sent) + found.there, found.problems) == (3, [])
    assert products_at(tmp_path / "spdf") == PATHS


def test_a_file_that_is_never_taken_is_in_nobodys_way(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = visited(lake, tmp_path, Stumbling(Counter({PATHS[0]: 99})), monkeypatch)
    assert (found.sent, found.waiting) == (PATHS[1:], 1)
    assert found.problems == [f"recipient spdf: {PATHS[0]}: connection reset"]
    assert feed(tmp_path / "spdf") == [("added", path) for path in PATHS[1:]]
    assert visited(lake, tmp_path, Stumbling(Counter()), monkeypatch, 24).sent == PATHS[:1]


def test_a_recipient_that_takes_nothing_is_left_after_two_files(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = visited(lake, tmp_path, Stumbling(Counter(dict.fromkeys(PATHS, 99))), monkeypatch)
    assert (found.sent, found.waiting) == ([], 3)
    assert found.problems == [f"recipient spdf: {PATHS[1]}: connection reset"]
    assert events(lake) == [("failed", PATHS[0]), ("failed", PATHS[1])]
    # What has not failed comes first the next time.
    assert visited(lake, tmp_path, Stumbling(Counter()), monkeypatch, 24).sent == [PATHS[2], *PATHS[:2]]


def test_a_file_whose_hash_is_read_back_wrong_is_sent_again(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stumbling = Stumbling(Counter(), lies=Counter({PATHS[0]: 99}))
    found = visited(lake, tmp_path, stumbling, monkeypatch)
    assert found.problems[0].startswith(f"recipient spdf: {PATHS[0]}: what was read back is not what was sent")
    assert 99 - stumbling.lies[PATHS[0]] == 5  # once after the first put, twice at each other try
    assert events(lake)[0] == ("failed", PATHS[0])


def test_what_was_told_late_is_told_by_the_next_run(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = visited(lake, tmp_path, Stumbling(Counter({"changes.jsonl": 1})), monkeypatch)
    assert (found.sent, found.problems) == (PATHS, ["recipient spdf: changes.jsonl: connection reset"])
    assert not (tmp_path / "spdf" / "changes.jsonl").exists()
    assert visited(lake, tmp_path, Stumbling(Counter()), monkeypatch, 24).sent == []
    assert feed(tmp_path / "spdf") == [("added", path) for path in PATHS]


def test_two_files_that_are_never_taken_keep_nothing_from_being_told(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visited(lake, tmp_path, Stumbling(Counter()), monkeypatch)
    new = [DAYS[2].replace(day=day) for day in (20, 21)]
    publish(lake, *((BOX, day, "1.0.0") for day in new), run="run-2")
    withdraw(lake, PATHS[0], "Ada", "wrong gain", NOW)
    never = Stumbling(Counter({path_of(BOX, day): 10**6 for day in new}))
    found = visited(lake, tmp_path, never, monkeypatch, 24)
    assert (found.withdrawn, found.waiting) == ([PATHS[0]], 2)
    assert feed(tmp_path / "spdf")[-1] == ("withdrawn", PATHS[0])
    assert manifests(tmp_path / "spdf")[1]["files"][0]["change"] == "withdrawn"


def test_each_file_that_failed_has_its_turn(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    never = Stumbling(Counter({PATHS[0]: 10**6, PATHS[1]: 10**6, PATHS[2]: 3}))
    assert visited(lake, tmp_path, never, monkeypatch).sent == []
    assert visited(lake, tmp_path, never, monkeypatch, 24).waiting == 3  # the third one fails, then one of the others
    assert visited(lake, tmp_path, never, monkeypatch, 48).sent == []
    assert visited(lake, tmp_path, never, monkeypatch, 72).sent == PATHS[2:]


@pytest.mark.parametrize("removed", [False, True])
def test_a_file_that_was_put_and_noted_as_failed_is_withdrawn_like_any_other(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: bool
) -> None:
    stumbling = Stumbling(Counter(), lies=Counter({PATHS[0]: 99}))
    visited(lake, tmp_path, stumbling, monkeypatch)
    assert (events(lake)[0], PATHS[0] in products_at(tmp_path / "spdf")) == (("failed", PATHS[0]), True)
    withdraw(lake, PATHS[0], "Ada", "wrong gain", NOW)
    found = visited(lake, tmp_path, Stumbling(Counter()), monkeypatch, 24, remove_withdrawn=removed)
    assert found.withdrawn == [PATHS[0]]
    assert feed(tmp_path / "spdf")[-1] == ("withdrawn", PATHS[0])
    assert (PATHS[0] in products_at(tmp_path / "spdf")) is not removed


def test_a_bad_file_of_ours_is_replaced_by_the_next_run(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt = tmp_path / "spdf" / PATHS[0]
    visited(lake, tmp_path, Stumbling(Counter(), lies=Counter({PATHS[0]: 99})), monkeypatch)
    spoilt.write_bytes(b"spoilt on its way")
    found = visited(lake, tmp_path, Stumbling(Counter()), monkeypatch, 24)
    assert (found.sent, found.problems) == ([PATHS[0]], [])
    assert spoilt.read_bytes() == spoilt.stem.encode() * 20


def test_a_failure_before_the_put_makes_nobodys_file_ours(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "spdf" / PATHS[0]
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs")
    visited(lake, tmp_path, Stumbling(Counter(), refuses=PATHS[:1]), monkeypatch)
    for hours in (24, 48):
        found = visited(lake, tmp_path, Stumbling(Counter()), monkeypatch, hours)
        assert "another file has this name" in found.problems[0]
    withdraw(lake, PATHS[0], "Ada", "wrong gain", NOW)
    found = visited(lake, tmp_path, Stumbling(Counter()), monkeypatch, 72, remove_withdrawn=True)
    assert (found.withdrawn, theirs.read_text()) == ([], "theirs")


def test_a_path_that_is_refused_is_in_nobodys_way(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = visited(lake, tmp_path, Stumbling(Counter(), refuses=PATHS[:2]), monkeypatch)
    assert found.sent == PATHS[2:]
    assert found.problems == [f"recipient spdf: {path}: permission denied" for path in PATHS[:2]]
    assert [event for event, _ in events(lake)] == ["blocked", "blocked", "delivered"]
    assert len(manifests(tmp_path / "spdf")) == 1


def test_verifying_goes_on_after_a_path_that_cannot_be_read(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visited(lake, tmp_path, Stumbling(Counter()), monkeypatch)
    found = visited(lake, tmp_path, Stumbling(Counter(), refuses=PATHS[:1]), monkeypatch, 24, verify=True)
    assert (found.verified, len(found.lost)) == (2, 1)
    assert found.lost[0].startswith(f"recipient spdf: {PATHS[0]} cannot be read there (")


def test_a_recipient_that_refuses_every_path_is_left_for_the_next_run(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit, "REFUSALS", 2)
    found = visited(lake, tmp_path, Stumbling(Counter(), refuses=PATHS), monkeypatch)
    assert found.problems == [f"recipient spdf: {path}: permission denied" for path in PATHS[:2]]
    assert (len(events(lake)), found.waiting) == (2, 3)


def test_where_receipts_cannot_be_listed_files_are_sent_nevertheless(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = visited(lake, tmp_path, Stumbling(Counter(), lists=False), monkeypatch)
    assert (found.sent, found.problems, found.notes) == (
        PATHS,
        [],
        ["recipient spdf: receipts were not read: AccessDenied"],
    )


def test_a_version_that_is_withdrawn_during_the_run_is_not_sent(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_put(path: str) -> None:
        if path == PATHS[0]:
            withdraw(lake, PATHS[1], "Ada", "wrong gain", NOW)

    found = visited(lake, tmp_path, Stumbling(Counter(), at_put=at_put), monkeypatch)
    assert (found.sent, found.waiting) == ([PATHS[0], PATHS[2]], 0)
    assert [refused.reason for refused in found.refused] == ["version 1.0.0 was withdrawn by Ada: wrong gain"]


def test_a_file_that_may_not_be_removed_is_withdrawn_nevertheless_and_tried_again(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visited(lake, tmp_path, Stumbling(Counter()), monkeypatch)
    withdraw(lake, PATHS[0], "Ada", "wrong gain", NOW)
    refusing = Stumbling(Counter(), refuses=PATHS[:1])
    for hours in (24, 48):
        found = visited(lake, tmp_path, refusing, monkeypatch, hours, remove_withdrawn=True)
        assert found.problems == [f"recipient spdf: {PATHS[0]}: permission denied"]
    assert feed(tmp_path / "spdf").count(("withdrawn", PATHS[0])) == 1
    visited(lake, tmp_path, Stumbling(Counter()), monkeypatch, 72, remove_withdrawn=True)
    assert products_at(tmp_path / "spdf") == PATHS[1:]


@pytest.mark.parametrize("path", ["manifests/{}.json", "changes/{}.jsonl"])
def test_an_answer_that_was_lost_holds_up_no_notices_where_nothing_may_be_replaced(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    name = path.format("20260801T020000.000000Z-0001-spdf")
    found = visited(lake, tmp_path, Stumbling(Counter({name: 1}), late=True), monkeypatch)
    assert found.problems == [f"recipient spdf: {name}: connection reset"]
    assert (tmp_path / "spdf" / name).is_file()
    strict = Stumbling(Counter(), replaces=False)
    assert visited(lake, tmp_path, strict, monkeypatch, 24).problems == []
    assert feed(tmp_path / "spdf") == [("added", path) for path in PATHS]
