# SPDX-License-Identifier: Apache-2.0
"""The outbox: written once, delivered once and in order, whatever a channel does."""

from __future__ import annotations

import json
import multiprocessing
import os
from datetime import timedelta
from pathlib import Path

import pytest

from lake.errors import ConfigurationError, StorageError
from lake.store import Journal, Lake
from quality.notices import outbox
from quality.notices.outbox import Patience, Sent, enqueue, pending, send, try_channel
from quality.notices.settings import AlertSettings
from tests.quality.notices.stage import AT_ONCE, HOUR, NOON, delivered, event, lake_in, settings, titles, yellow

MIDNIGHT = NOON.replace(hour=0)
QUIET = {"from": "22:00", "to": "06:00"}
DAY = timedelta(days=1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return lake_in(tmp_path)


def told(folder: Path, channel: str) -> list[str]:
    """Titles in the file of a channel, without ids."""
    path = folder / f"{channel}.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["title"].partition("] ")[2] for line in lines]


def test_an_event_is_written_once_for_each_of_its_channels(lake: Lake) -> None:
    assert enqueue(lake, settings("a", "b"), [event()], NOON) == 2
    assert enqueue(lake, settings("a", "b"), [event()], NOON + HOUR) == 0
    assert titles(lake) == ["RED opened: toy.box_l1_tick.voltage_v"] * 2


def test_events_that_come_again_with_others_are_not_told_again(lake: Lake) -> None:
    enqueue(lake, settings("a"), [event()], NOON)
    assert enqueue(lake, settings("a"), [yellow(1), event()], NOON) == 1


def test_every_event_of_an_alert_has_an_id_of_its_own_that_stands_in_its_title(lake: Lake) -> None:
    enqueue(lake, settings("a", "b"), [event(), event("repeated", NOON + HOUR), yellow(1)], NOON)
    entries = Journal(lake).entries("notices").values()
    assert len({entry["notice_id"] for entry in entries}) == 6
    assert all(entry["title"].startswith(f"[swxlake {entry['notice_id']}] ") for entry in entries)
    assert all(len(entry["notice_id"]) == 12 for entry in entries)


def test_what_was_sent_is_marked_and_not_sent_again(lake: Lake, tmp_path: Path) -> None:
    to_file = settings("a", folder=tmp_path)
    enqueue(lake, to_file, [event()], NOON)
    assert send(lake, to_file, NOON, AT_ONCE) == Sent(1, 0, [])
    assert send(lake, to_file, NOON + HOUR, AT_ONCE) == Sent(0, 0, [])
    assert told(tmp_path, "a") == ["RED opened: toy.box_l1_tick.voltage_v"]
    assert delivered(lake) == Journal(lake).keys("notices")


def test_a_hundred_notices_are_delivered_in_order(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)  # it is about order, and a busy disk takes long to sync
    to_file = settings("a", folder=tmp_path)
    events = [yellow(n, subject=f"toy.box_l1_tick.c{n}") for n in range(50)]
    later = [yellow(n, subject=f"toy.box_l1_tick.c{n}", at=NOON + HOUR) for n in range(50, 100)]
    assert enqueue(lake, to_file, later, NOON + HOUR) == 50
    assert enqueue(lake, to_file, events, NOON) == 50
    assert send(lake, to_file, NOON + HOUR, AT_ONCE) == Sent(100, 0, [])
    assert told(tmp_path, "a") == [f"YELLOW opened: toy.box_l1_tick.c{n}" for n in range(100)]


def test_in_quiet_hours_yellow_waits_and_red_goes_on(lake: Lake, tmp_path: Path) -> None:
    quiet = settings("a", folder=tmp_path, quiet_hours=QUIET)
    enqueue(lake, quiet, [yellow(1, at=MIDNIGHT), event(at=MIDNIGHT)], MIDNIGHT)
    assert send(lake, quiet, MIDNIGHT, AT_ONCE) == Sent(1, 1, [])
    assert [title[:3] for title in told(tmp_path, "a")] == ["RED"]
    assert send(lake, quiet, MIDNIGHT + 6 * HOUR, AT_ONCE) == Sent(1, 0, [])
    assert [title[:3] for title in told(tmp_path, "a")] == ["RED", "YEL"]


def test_in_quiet_hours_what_turns_red_takes_its_beginning_along(lake: Lake, tmp_path: Path) -> None:
    quiet = settings("a", folder=tmp_path, quiet_hours=QUIET)
    later = MIDNIGHT + HOUR
    events = [yellow(1, at=MIDNIGHT), yellow(2, at=MIDNIGHT), event("raised", later, alert_id=f"{2:012x}")]
    enqueue(lake, quiet, events, later)
    assert send(lake, quiet, later, AT_ONCE) == Sent(2, 1, [])
    assert [title.split(":")[0] for title in told(tmp_path, "a")] == ["YELLOW opened", "RED raised"]


def test_a_channel_that_is_down_does_not_hold_up_another(lake: Lake, tmp_path: Path) -> None:
    both = settings("a", "b", folder=tmp_path)
    (tmp_path / "a.jsonl").mkdir()
    enqueue(lake, both, [event(), yellow(1)], NOON)
    sent = send(lake, both, NOON, AT_ONCE)
    assert (sent.delivered, sent.waiting) == (2, 2)
    (line,) = sent.failed
    assert line.startswith(f"channel a: {tmp_path}/a.jsonl cannot be written (Is a directory). Its notices (2) wait;")
    assert len(told(tmp_path, "b")) == 2
    (tmp_path / "a.jsonl").rmdir()
    assert send(lake, both, NOON + HOUR, AT_ONCE) == Sent(2, 0, [])
    assert told(tmp_path, "a") == told(tmp_path, "b")


def test_a_notice_is_tried_three_times_and_then_stops_its_channel(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = list[str]()
    pauses = list[float]()
    monkeypatch.setattr(outbox, "open_channel", lambda *_: lambda notice: tries.append(notice.notice_id) or "no")
    monkeypatch.setattr("time.sleep", pauses.append)
    enqueue(lake, settings("a", folder=tmp_path), [event(), yellow(1)], NOON)
    send(lake, settings("a", folder=tmp_path), NOON)
    assert tries == [Journal(lake).keys("notices")[0].rpartition("-")[2]] * 3
    assert pauses == [1, 4]


def test_notices_for_a_channel_that_is_gone_are_told_and_kept(lake: Lake, tmp_path: Path) -> None:
    enqueue(lake, settings("a", folder=tmp_path), [event()], NOON)
    (line,) = send(lake, settings("b", folder=tmp_path), NOON, AT_ONCE).failed
    assert line.startswith("channel a: 1 notices wait for it, but the settings have no such channel. Add it again")
    assert send(lake, AlertSettings(), NOON, AT_ONCE).waiting == 1
    assert send(lake, settings("a", folder=tmp_path), NOON, AT_ONCE).delivered == 1


def test_a_run_that_takes_too_long_leaves_the_rest_to_the_next(lake: Lake, tmp_path: Path) -> None:
    to_file = settings("a", folder=tmp_path)
    enqueue(lake, to_file, [event()], NOON)
    sent = send(lake, to_file, NOON, Patience(channel=-1))
    assert (sent.delivered, sent.waiting) == (0, 1)
    assert sent.failed[0].startswith("channel a: this run has sent for -1 s. Its notices (1) wait")


def test_two_senders_do_not_send_at_once(lake: Lake, tmp_path: Path) -> None:
    to_file = settings("a", folder=tmp_path)
    enqueue(lake, to_file, [event()], NOON)
    with lake.storage.alone("notices"):
        sent = send(lake, to_file, NOON, Patience(lease=0))
    assert (sent.delivered, sent.waiting) == (0, 1)
    assert "is at work" in sent.failed[0]
    assert told(tmp_path, "a") == []


def die_before_marking(lake: Lake, to_file: AlertSettings) -> None:
    """Send, and end without a word where the notice would be marked."""
    outbox.Journal.write_once = lambda *_: os._exit(9)  # type: ignore[method-assign, assignment]
    send(lake, to_file, NOON, AT_ONCE)


def test_killed_between_sending_and_marking_it_is_sent_again_with_the_same_id(lake: Lake, tmp_path: Path) -> None:
    to_file = settings("a", folder=tmp_path)
    enqueue(lake, to_file, [event()], NOON)
    process = multiprocessing.get_context("spawn").Process(target=die_before_marking, args=(lake, to_file))
    process.start()
    process.join()
    assert process.exitcode == 9
    assert send(lake, to_file, NOON + HOUR, AT_ONCE) == Sent(1, 0, [])
    first, second = (json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines())
    assert first == second


def test_a_line_cut_short_by_a_crash_spoils_no_other(lake: Lake, tmp_path: Path) -> None:
    to_file = settings("a", folder=tmp_path)
    (tmp_path / "a.jsonl").write_text('{"title": "cut')
    enqueue(lake, to_file, [event()], NOON)
    send(lake, to_file, NOON, AT_ONCE)
    cut, whole = (tmp_path / "a.jsonl").read_text().splitlines()
    assert cut == '{"title": "cut'
    assert json.loads(whole)["alert_id"] == "a1a1a1a1a1a1"


def test_months_of_which_all_is_delivered_are_not_listed_again(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_file = settings("a", folder=tmp_path)
    enqueue(lake, to_file, [event()], NOON)
    send(lake, to_file, NOON, AT_ONCE)
    later = NOON + (366 + 92) * DAY  # 2027-11-02; of what is older than 366 days nobody is ever told
    enqueue(lake, to_file, [yellow(1, at=later)], later)
    send(lake, to_file, later, AT_ONCE)
    assert Journal(lake).keys(outbox.SETTLED)[-1] == "202611"
    asked = list[str]()
    monkeypatch.setattr(Journal, "keys", lambda _, kind, prefix="": asked.append(prefix) or ["202611"])
    pending(lake, later + 400 * DAY)
    assert sorted({prefix for prefix in asked if prefix}) == ["2026", "2027", "2028", "2029"]


def test_a_month_with_a_notice_that_waits_is_not_settled(lake: Lake, tmp_path: Path) -> None:
    enqueue(lake, settings("a", folder=tmp_path), [event()], NOON)
    for day in (0, 100, 500):
        send(lake, AlertSettings(), NOON + day * DAY, AT_ONCE)
    assert max(Journal(lake).keys(outbox.SETTLED)) <= "202608"
    assert len(pending(lake, NOON + 500 * DAY)) == 1
    assert send(lake, settings("a", folder=tmp_path), NOON + 501 * DAY, AT_ONCE).delivered == 1
    assert pending(lake, NOON + 501 * DAY) == []


@pytest.mark.parametrize("queued", [0, 1])
def test_a_run_whose_clock_is_ahead_hides_nothing_that_comes_after_it(lake: Lake, tmp_path: Path, queued: int) -> None:
    to_file = settings("a", folder=tmp_path)
    ahead = NOON.replace(year=2099)
    enqueue(lake, to_file, [yellow(n, at=ahead) for n in range(queued)], ahead)
    send(lake, to_file, ahead, AT_ONCE)
    Journal(lake).write_once(outbox.SETTLED, "209807", {})  # what such a run wrote before this was known
    assert enqueue(lake, to_file, [event()], NOON) == 1
    assert send(lake, to_file, NOON, AT_ONCE).delivered == 1
    assert told(tmp_path, "a")[-1] == "RED opened: toy.box_l1_tick.voltage_v"


def test_nothing_is_settled_beyond_the_newest_notice(lake: Lake, tmp_path: Path) -> None:
    to_file = settings("a", folder=tmp_path)
    send(lake, to_file, NOON.replace(year=2099), AT_ONCE)
    assert Journal(lake).keys(outbox.SETTLED) == []
    enqueue(lake, to_file, [event()], NOON)
    send(lake, to_file, NOON.replace(year=2099), AT_ONCE)
    assert Journal(lake).keys(outbox.SETTLED) == ["202608"]


def test_the_outbox_is_listed_once_however_many_notices_are_added(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_file = settings("a", folder=tmp_path)
    asked = list[str]()
    monkeypatch.setattr(Journal, "keys", lambda _, kind, prefix="": asked.append(prefix) or [])
    assert enqueue(lake, to_file, [yellow(n, at=NOON + n * HOUR) for n in range(4)], NOON) == 4
    assert asked == ["20260801T1"]  # 12:00 to 15:00
    assert enqueue(lake, to_file, [], NOON) == 0
    assert len(asked) == 1


def test_a_test_goes_past_the_outbox(lake: Lake, tmp_path: Path) -> None:
    assert try_channel(settings("a", folder=tmp_path), "a", NOON) == ""
    assert told(tmp_path, "a") == ["test of a channel"]
    assert Journal(lake).keys("notices") == []
    with pytest.raises(ConfigurationError, match=r"channel 'b': is not in the settings of alerts; known are a\."):
        try_channel(settings("a"), "b", NOON)
    assert try_channel(settings("a"), "a", NOON).startswith("the environment variable A_URL is not set")


def test_a_damaged_entry_is_told_with_its_place(lake: Lake, tmp_path: Path) -> None:
    Journal(lake).write_once("notices", "20260801T120000000000-00000-aaaaaaaaaaaa", {"channel": "a"})
    with pytest.raises(StorageError, match=r"notices/20260801T120000000000-00000-aaaaaaaaaaaa\.json: is no readable"):
        send(lake, settings("a", folder=tmp_path), NOON, AT_ONCE)
