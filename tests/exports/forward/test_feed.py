# SPDX-License-Identifier: Apache-2.0
"""What one client is to get next: some packets at a time, and how far was looked where there are none for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from exports.forward import feed as module
from exports.forward.feed import Batch, Feed
from exports.forward.wire import FrameReader
from ingest.packets import RawPackets
from lake.packet_log import BEGINNING, Cursor, Wanted
from lake.store import Lake
from tests.kept_lake import flip, only
from tests.packet_lines import arrive, ticks
from tests.toy import toy_lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Three files of 200 packets."""
    lake = toy_lake(tmp_path)
    for place in range(3):
        arrive(lake, tmp_path / "inbox", ticks(200 * place, 200), place)
    return lake


def batches(feed: Feed) -> list[Batch]:
    found = [feed.take()]
    while not found[-1].ended:
        found.append(feed.take())
    return found


def counts(found: list[Batch]) -> list[int]:
    frames = FrameReader(bytearray()).feed(b"".join(item.frame for batch in found for item in batch.items))
    return [frame.header["count"] for frame in frames]


def test_batches_are_bounded_and_together_all_there_is(lake: Lake) -> None:
    found = batches(Feed(RawPackets(lake), Wanted(), BEGINNING, 1200))
    assert all(len(batch.items) <= 100 for batch in found)
    assert counts(found) == list(range(600))
    assert found[-1].position == Cursor(4, 0)


def test_packets_do_not_wait_for_those_of_the_next_file(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HOLD_SECONDS", 0)
    assert [len(batch.items) for batch in batches(Feed(RawPackets(lake), Wanted(), BEGINNING, 1 << 20))][:3] == [
        200
    ] * 3


def test_who_wants_little_of_much_is_told_how_far_was_looked(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0)
    found = batches(Feed(RawPackets(lake), Wanted(apids=frozenset({9})), BEGINNING, 1 << 20))
    positions = [batch.position for batch in found]
    assert positions == sorted(positions)
    assert len(positions) > 3
    assert not any(batch.items for batch in found)


def test_a_feed_goes_on_where_it_stands_when_more_has_arrived(lake: Lake, tmp_path: Path) -> None:
    feed = Feed(RawPackets(lake), Wanted(), Cursor(3, 198), 1 << 20)
    assert counts(batches(feed)) == [598, 599]
    arrive(lake, tmp_path / "inbox", ticks(600, 2), 9)
    assert counts(batches(feed)) == [600, 601]


def test_what_came_before_a_damaged_file_is_given_with_why_that_is_passed_over(lake: Lake) -> None:
    log = RawPackets(lake)
    flip(only(lake, f"raw/*/*/*/{log.places.receipt(2).file_sha256}"), 3)
    found = batches(Feed(log, Wanted(), BEGINNING, 1 << 20))
    assert counts(found) == [*range(200), *range(400, 600)]
    (told,) = [batch for batch in found if batch.unreadable]
    assert told.position == Cursor(3, 0)


def test_a_feed_that_is_closed_lets_go_and_can_go_on(lake: Lake) -> None:
    feed = Feed(RawPackets(lake), Wanted(), BEGINNING, 12)
    feed.take()
    feed.close()
    assert counts([feed.take()]) == [1]
