# SPDX-License-Identifier: Apache-2.0
"""A push: what each client gets, when, and again; one that is dead or slow costs the others nothing."""

from __future__ import annotations

import base64
import json
import logging
import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from exports.forward import pushing
from exports.forward.cursors import Cursors
from exports.forward.dead_letters import DeadLetters
from exports.forward.nouns import Pushed
from exports.forward.pushing import Again, Follow, push, push_dead
from exports.forward.tries import Tries
from lake.clock import tt2000_of_day
from lake.errors import ConfigurationError, StorageError
from lake.ledger import read_ops
from lake.packet_log import Cursor
from tests.exports.forward.stage import NOW, SECRET, Hook, Stage, hook, new_stage
from tests.servers import wait_until
from tests.toy import DAY


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("SWX_HOOK", SECRET)
    return new_stage(tmp_path)


def ids_in(folder: Path) -> list[str]:
    """Ids of the packets in the manifests of a folder, in the order of names."""
    manifests = (json.loads(path.read_text()) for path in sorted(folder.glob("*.json")))
    return [packet["id"] for manifest in manifests for packet in manifest["packets"]]


def ids_heard(server: Hook) -> list[str]:
    return [packet["id"] for _, body in server.heard for packet in json.loads(body)["data"]["packets"]]


def state_of(pushed: Pushed, client: str) -> str:
    return next(one.state for one in pushed.clients if one.client == client)


def test_each_packet_comes_once_and_a_push_without_news_sends_and_writes_nothing(stage: Stage) -> None:
    stage.log.arrive(3)
    settings = stage.settings({"team": {"folder": {"path": str(stage.place("team"))}}})
    first = push(stage.lake, stage.log, settings, NOW).clients[0]
    assert (first.packets, first.bytes, first.state, first.cursor) == (3, 30, "done", stage.log.end())
    assert push(stage.lake, stage.log, settings, NOW).clients[0].packets == 0
    stage.log.arrive(2)
    assert push(stage.lake, stage.log, settings, NOW).clients[0].packets == 2
    assert ids_in(stage.place("team")) == stage.log.ids
    rows = read_ops(stage.lake, "forwards").sort("from_cursor")
    assert rows["packets"].to_list() == [3, 2]
    assert rows["to_cursor"].to_list() == ["2.0", "3.0"]


def test_a_file_holds_whole_packets_and_its_manifest_says_where_each_lies(stage: Stage) -> None:
    packets = stage.log.arrive(3)
    push(stage.lake, stage.log, stage.settings({"a": {"folder": {"path": str(stage.place("a"))}}}), NOW)
    manifest = json.loads(next(stage.place("a").glob("*.json")).read_text())
    content = (stage.place("a") / manifest["file"]).read_bytes()
    assert manifest["file"].startswith("toy_box_00000001-00000001_00000001-00000003_")
    assert [content[p["offset"] :][: p["bytes"]] for p in manifest["packets"]] == [one.data for one in packets]


def test_a_client_gets_what_it_asks_for_and_begins_where_its_settings_say(stage: Stage) -> None:
    stage.log.arrive(2, apid=7)
    place = {"folder": {"path": str(stage.place("late"))}, "start": "now"}
    settings = stage.settings({"late": place, "some": {"folder": {"path": str(stage.place("some"))}, "apids": [7]}})
    push(stage.lake, stage.log, settings, NOW)
    stage.log.arrive(1, apid=8)
    push(stage.lake, stage.log, settings, NOW)
    assert ids_in(stage.place("late")) == stage.log.ids[2:]
    assert ids_in(stage.place("some")) == stage.log.ids[:2]


def test_a_dead_and_a_slow_client_do_not_hold_up_a_third(stage: Stage) -> None:
    stage.log.arrive(4)
    let_go = threading.Event()
    with hook() as slow, hook() as well:
        slow.before = lambda: let_go.wait(10)
        dead = {"webhook": {"url": "http://127.0.0.1:9", "secret_env": "SWX_HOOK", "allow_private": True}}
        settings = stage.settings({"dead": dead, "slow": slow.client(), "well": well.client()})
        done: list[Pushed] = []
        thread = threading.Thread(target=lambda: done.append(push(stage.lake, stage.log, settings, NOW)))
        thread.start()
        wait_until(lambda: Cursors(stage.lake).read("well") == stage.log.end())
        assert not slow.heard
        let_go.set()
        thread.join()
        assert [state_of(done[0], name) for name in settings.clients] == ["failed", "done", "done"]
        assert ids_heard(slow) == ids_heard(well) == stage.log.ids
        assert done[0].problems[0].startswith("client dead: http://127.0.0.1:9: the server cannot be reached")
    assert Cursors(stage.lake).read("dead") == Cursor(0, 0)


def test_a_webhook_that_fails_twice_gets_the_same_id_a_third_time(stage: Stage) -> None:
    stage.log.arrive(2)
    with hook() as server:
        server.answers = [(500, {}), (500, {})]
        assert not push(stage.lake, stage.log, stage.settings({"a": server.client()}), NOW).problems
        assert len(server.names) == 3
        assert len(set(server.names)) == 1
        assert len({body for _, body in server.heard}) == 1


def test_the_id_is_the_same_after_a_restart_though_more_has_arrived(stage: Stage) -> None:
    stage.log.arrive(2)
    with hook() as server:
        settings = stage.settings({"a": server.client()}, patience_seconds=0)
        server.answers = [(500, {})]
        assert push(stage.lake, stage.log, settings, NOW).problems
        stage.log.arrive(2)
        push(stage.lake, stage.log, settings, NOW + timedelta(seconds=1))
        assert server.names[0] == server.names[1] != server.names[2]
        assert ids_heard(server) == stage.log.ids[:2] + stage.log.ids


def test_pauses_double_and_a_restart_neither_hurries_nor_forgets(stage: Stage) -> None:
    stage.log.arrive(1)
    with hook() as server:
        server.answers = [(500, {})] * 3
        settings = stage.settings({"a": server.client()}, first_seconds=60, most_seconds=3600)
        pauses = []
        for minutes in (0, 1, 3):
            push(stage.lake, stage.log, settings, NOW + timedelta(minutes=minutes))
            trouble = Tries(stage.lake).read("a")
            assert trouble is not None
            pauses.append(trouble.seconds_until_due(NOW + timedelta(minutes=minutes)))
        assert pauses == pytest.approx([70, 130, 250], abs=10)  # a push counts from NOW by the clock, for seconds
        early = push(stage.lake, stage.log, settings, NOW + timedelta(minutes=4))
        assert state_of(early, "a") == "waiting"
        assert len(server.heard) == 3
        assert state_of(push(stage.lake, stage.log, settings, NOW + timedelta(minutes=4), only=["a"]), "a") == "done"


def test_a_client_that_asks_for_a_pause_is_left_alone_for_so_long(stage: Stage) -> None:
    stage.log.arrive(1)
    with hook() as server:
        server.answers = [(503, {"Retry-After": "600"})]
        settings = stage.settings({"a": server.client()})
        push(stage.lake, stage.log, settings, NOW)
        assert state_of(push(stage.lake, stage.log, settings, NOW + timedelta(seconds=590)), "a") == "waiting"
        assert state_of(push(stage.lake, stage.log, settings, NOW + timedelta(seconds=610)), "a") == "done"


def test_what_is_not_taken_for_a_day_is_a_dead_letter_and_can_be_sent_again(stage: Stage) -> None:
    stage.log.arrive(2)
    stage.log.arrive(1)
    with hook() as server:
        settings = stage.settings({"a": server.client()}, patience_seconds=0)
        server.answers = [(500, {})] * 2
        push(stage.lake, stage.log, settings, NOW)
        late = push(stage.lake, stage.log, settings, NOW + timedelta(days=1, seconds=10))
        assert state_of(late, "a") == "given_up"
        assert "2 packets are dead letters" in late.problems[0]
        assert ids_heard(server)[-1:] == stage.log.ids[2:]
        dead_id, letters = server.names[0], DeadLetters(stage.lake)
        assert [(letter.after, letter.last) for letter in letters.waiting("a")] == [(Cursor(1, 0), Cursor(1, 2))]
        assert not push_dead(stage.lake, stage.log, settings, NOW, "a").problems
        assert server.names[-1] == dead_id
        assert letters.count() == 0
        assert push_dead(stage.lake, stage.log, settings, NOW, "a").clients[0].packets == 0
    assert read_ops(stage.lake, "forwards")["state"].to_list().count("given_up") == 1


def test_a_damaged_file_holds_up_nothing_and_is_sent_once_it_is_restored(stage: Stage) -> None:
    for count in (2, 3, 2):
        stage.log.arrive(count)
    stage.log.damaged = {2}
    with hook() as server:
        settings = stage.settings({"a": server.client()})
        pushed = push(stage.lake, stage.log, settings, NOW)
        assert (state_of(pushed, "a"), ids_heard(server)) == ("given_up", stage.log.ids[:2] + stage.log.ids[5:])
        assert "client a: file 2 has changed in the archive. Its packets are dead letters" in pushed.problems[0]
        still = push_dead(stage.lake, stage.log, settings, NOW, "a")
        assert still.problems == ["client a: file 2 has changed in the archive."]
        stage.log.damaged = set()
        assert not push_dead(stage.lake, stage.log, settings, NOW, "a").problems
        assert ids_heard(server)[4:] == stage.log.ids[2:5]


def test_a_client_that_is_gone_is_told_of_and_asked_no_more_unless_it_is_named(stage: Stage) -> None:
    stage.log.arrive(1)
    with hook() as server:
        server.answers = [(410, {})]
        settings = stage.settings({"a": server.client()})
        for _ in range(2):
            pushed = push(stage.lake, stage.log, settings, NOW)
            assert state_of(pushed, "a") == "gone"
            assert "wants nothing any more (HTTP 410)" in pushed.problems[0]
        assert len(server.heard) == 1
        assert not push(stage.lake, stage.log, settings, NOW, only=["a"]).problems


def test_a_replay_gives_a_range_of_time_under_new_ids_and_moves_no_cursor(stage: Stage) -> None:
    stage.log.arrive(5)
    with hook() as server:
        settings = stage.settings({"a": server.client()})
        push(stage.lake, stage.log, settings, NOW)
        before, first = Cursors(stage.lake).read("a"), tt2000_of_day(DAY) + 2 * 10**9
        again = push(stage.lake, stage.log, settings, NOW, how=Again(first, first + 2 * 10**9)).clients[0]
        assert (again.packets, again.cursor) == (2, Cursor(1, 3))
        assert ids_heard(server)[5:] == stage.log.ids[1:3]
        assert len(set(server.names)) == 2
        assert Cursors(stage.lake).read("a") == before


def test_a_replay_keeps_the_pace_of_the_packets(stage: Stage) -> None:
    stage.log.arrive(4)
    with hook() as server:
        settings = stage.settings({"a": server.client()})
        stop = threading.Event()
        server.before = stop.set  # at the first message; the packet after it is due 1.5 s later
        pushed = push(stage.lake, stage.log, settings, NOW, how=Again(speed=0.6, stop=stop))
        assert ids_heard(server) == stage.log.ids[:1]
        assert pushed.clients[0].packets == 1


def test_what_arrives_reaches_a_client_that_is_followed(stage: Stage) -> None:
    stage.log.arrive(1)
    with hook() as server:
        settings, stop, heard = stage.settings({"a": server.client()}), threading.Event(), list[Pushed]()
        follow = Follow(stop, heard.append, every_seconds=0.01)
        done: list[Pushed] = []
        work = threading.Thread(target=lambda: done.append(push(stage.lake, stage.log, settings, NOW, how=follow)))
        work.start()
        wait_until(lambda: len(server.heard) == 1)
        server.answers = [(500, {})] * 2
        stage.log.arrive(1)
        wait_until(lambda: len(server.heard) == 4)
        wait_until(lambda: Cursors(stage.lake).read("a") == stage.log.end())
        stop.set()
        work.join()
        assert (done[0].clients[0].packets, done[0].problems) == (2, [])
        assert read_ops(stage.lake, "forwards")["packets"].to_list() == [2]


def test_a_client_that_is_gone_ends_its_following(stage: Stage) -> None:
    stage.log.arrive(1)
    with hook() as server:
        server.answers = [(410, {})]
        follow = Follow(threading.Event(), every_seconds=0.01)
        pushed = push(stage.lake, stage.log, stage.settings({"a": server.client()}), NOW, only=["a"], how=follow)
        assert (state_of(pushed, "a"), len(server.heard)) == ("gone", 1)


def test_in_a_lake_that_is_an_older_copy_nothing_is_passed_over_unsaid(stage: Stage) -> None:
    stage.log.arrive(1)
    stage.log.arrive(1)
    with hook() as server:
        settings = stage.settings({"a": server.client()})
        push(stage.lake, stage.log, settings, NOW)
        stage.log.files.pop()
        (problem,) = push(stage.lake, stage.log, settings, NOW).problems
        assert "client a: 3.0 is where it has come to, and the log ends at 2.0: the lake is an older copy" in problem


def test_two_pushes_to_one_client_never_interleave(stage: Stage) -> None:
    stage.log.arrive(1)
    with hook() as server:
        settings = stage.settings({"a": server.client()})
        Cursors(stage.lake).write("a", Cursor(1, 0))
        with stage.lake.storage.alone("forward.a"):
            pushed = push(stage.lake, stage.log, settings, NOW)
        assert (state_of(pushed, "a"), pushed.problems, server.heard) == ("busy", [], [])
        assert (pushed.clients[0].began, pushed.clients[0].cursor) == (Cursor(1, 0), Cursor(1, 0))
        assert f"forward.a.lock: process {os.getpid()} on" in pushed.notes[0]


def test_that_a_try_is_waited_for_is_said_and_where_the_client_is(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    """A push that was killed has left a time before which its successor does not try."""
    caplog.set_level(logging.INFO)
    stage.log.arrive(1)
    stage.log.arrive(1)
    with hook() as server:
        server.answers = [(204, {}), (500, {})]
        settings = stage.settings({"a": server.client()}, first_seconds=0.3, most_seconds=3, patience_seconds=0)
        push(stage.lake, stage.log, settings, NOW)
        waiting = push(stage.lake, stage.log, settings, NOW).clients[0]
        assert (waiting.state, waiting.cursor) == ("waiting", Cursor(1, 1))
        push(stage.lake, stage.log, stage.settings({"a": server.client()}, patience_seconds=9), NOW)
    assert "client a: waits 0.3 s for its next try" in caplog.text


def test_a_message_holds_what_a_receiver_needs_to_know_of_each_packet(stage: Stage) -> None:
    packets = stage.log.arrive(2)
    with hook() as server:
        push(stage.lake, stage.log, stage.settings({"a": server.client()}), NOW)
        message = json.loads(server.heard[0][1])
    assert (message["type"], message["timestamp"]) == ("packets", "2026-08-01T00:01:00Z")
    assert (message["data"]["after"], message["data"]["cursor"]) == ("1.0", "1.2")
    second = message["data"]["packets"][1]
    assert base64.b64decode(second.pop("data")) == packets[1].data
    assert second == {
        "id": packets[1].id,
        "cursor": "1.2",
        "mission": "toy",
        "instrument": "box",
        "apid": 7,
        "sequence_count": 2,
        "time": "2024-09-16T00:00:02.000000000Z",
        "epoch_tt2000": packets[1].epoch_tt2000,
        "received_at": "2026-08-01T00:01:00Z",
    }


def test_messages_and_files_end_at_their_limits(stage: Stage) -> None:
    stage.log.arrive(5)
    folders = {"a": {"batch_packets": 2}, "b": {"batch_bytes": 35}}
    clients = {name: {"folder": {"path": str(stage.place(name))}, **limit} for name, limit in folders.items()}
    push(stage.lake, stage.log, stage.settings(clients), NOW)
    sizes = {name: [p.stat().st_size for p in sorted(stage.place(name).glob("*.pkts"))] for name in clients}
    assert sizes == {"a": [20, 20, 10], "b": [30, 20]}


def test_nothing_is_pushed_into_the_lake_to_a_subscriber_or_for_another_lake(stage: Stage) -> None:
    inside = stage.settings({"a": {"folder": {"path": f"{stage.lake.root}/out"}}})
    with pytest.raises(ConfigurationError, match="within the lake"):
        push(stage.lake, stage.log, inside, NOW)
    tcp = stage.settings({"a": {"subscriber": True, "token_env": "T"}})
    with pytest.raises(ConfigurationError, match="is a subscriber"):
        push(stage.lake, stage.log, tcp, NOW, only=["a"])
    with pytest.raises(ConfigurationError, match="is of the lake /elsewhere"):
        push(stage.lake, stage.log, tcp.model_copy(update={"lake": "/elsewhere"}), NOW)
    with pytest.raises(ConfigurationError, match="'b': is not in the settings"):
        push(stage.lake, stage.log, tcp, NOW, only=["b"])


def test_a_push_that_follows_ends_with_an_error_if_the_lake_is_gone_and_begins_no_other(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushing, "BEAT_SECONDS", 0.1)
    stage.log.arrive(1)
    settings, root = stage.settings({"a": {"folder": {"path": str(stage.place("a"))}}}), Path(stage.lake.root)

    def unmount() -> None:
        wait_until(lambda: Cursors(stage.lake).read("a") == stage.log.end())
        time.sleep(0.02)  # the round comes to its end
        root.rename(stage.folder / "unmounted")

    unmounting = threading.Thread(target=unmount)
    unmounting.start()
    with pytest.raises(StorageError, match="the lake that was here is gone"):
        push(stage.lake, stage.log, settings, NOW, how=Follow(threading.Event(), every_seconds=0.05))
    unmounting.join()
    assert not root.exists()
