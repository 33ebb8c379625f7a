# SPDX-License-Identifier: Apache-2.0
"""What is given once more, and pushes that end early: one fault, or one that all shall end, costs nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from exports.forward import pushing
from exports.forward.cursors import Cursors
from exports.forward.dead_letters import DeadLetters
from exports.forward.pushing import Again, Follow, Once, push, push_dead
from lake.clock import tt2000_of_day
from lake.ledger import read_ops
from lake.packet_log import Cursor, LoggedPacket, Wanted
from tests.exports.forward.stage import NOW, SECRET, Stage, ToyLog, hook, new_stage
from tests.exports.forward.test_pushing import ids_heard, ids_in, state_of
from tests.toy import DAY


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("SWX_HOOK", SECRET)
    return new_stage(tmp_path)


@dataclass
class FaultyLog(ToyLog):
    """A log with an error of ours, for who asks for an APID."""

    def after(self, cursor: Cursor, wanted: Wanted) -> Iterator[LoggedPacket]:
        if wanted.apids:
            raise KeyError("an error of ours")
        return super().after(cursor, wanted)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_client_whose_thread_dies_has_failed_and_the_others_get_all(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushing, "BEAT_SECONDS", 0.01)
    log, stop = FaultyLog(), threading.Event()
    log.arrive(2)
    places = {name: {"folder": {"path": str(stage.place(name))}} for name in ("bad", "well")}
    settings = stage.settings(places | {"bad": places["bad"] | {"apids": [7]}})
    pushed = push(stage.lake, log, settings, NOW)
    assert [state_of(pushed, name) for name in places] == ["failed", "done"]
    assert pushed.problems[0].startswith("client bad: its thread has died of an error of ours")
    log.arrive(1)
    follow = Follow(stop, lambda _: Cursors(stage.lake).read("well") == log.end() and stop.set(), every_seconds=0.01)
    assert state_of(push(stage.lake, log, settings, NOW, how=follow), "bad") == "failed"
    assert ids_in(stage.place("well")) == log.ids
    rows = read_ops(stage.lake, "forwards")
    assert rows.filter(client="bad")["state"].to_list() == ["failed"] * 2


@pytest.mark.parametrize("how", [Once, lambda stop: Again(stop=stop)])
def test_a_push_that_shall_end_sends_what_is_on_its_way_and_nothing_more(
    stage: Stage, how: Callable[[threading.Event], Once | Again]
) -> None:
    stop = threading.Event()
    for _ in range(5):
        stage.log.arrive(1)
    with hook() as server:
        server.before = stop.set
        pushed = push(stage.lake, stage.log, stage.settings({"a": server.client()}), NOW, how=how(stop))
        assert ids_heard(server) == stage.log.ids[:1]
    assert (pushed.clients[0].cursor, pushed.problems) == (Cursor(1, 1), [])


def test_dead_letters_that_were_not_sent_before_the_end_stay(stage: Stage) -> None:
    for _ in range(3):
        stage.log.arrive(1)
    stage.log.damaged = {1, 2, 3}
    with hook() as server:
        settings, stop = stage.settings({"a": server.client()}), threading.Event()
        push(stage.lake, stage.log, settings, NOW)
        stage.log.damaged, server.before = set(), stop.set
        assert not push_dead(stage.lake, stage.log, settings, NOW, "a", Once(stop)).problems
    assert DeadLetters(stage.lake).count("a") == 2


def test_a_replay_passes_over_a_damaged_file_and_tells_it(stage: Stage) -> None:
    for _ in range(4):
        stage.log.arrive(2)
    stage.log.damaged = {2, 4}
    settings = stage.settings({"a": {"folder": {"path": str(stage.place("a"))}}})
    pushed = push(stage.lake, stage.log, settings, NOW, how=Again())
    assert ids_in(stage.place("a")) == stage.log.ids[:2] + stage.log.ids[4:6]
    (problem,) = pushed.problems
    for number in (2, 4):
        assert f"client a: file {number} has changed in the archive. Packets of it were left out." in problem


def test_a_replay_that_is_not_taken_names_the_time_to_go_on_from(stage: Stage) -> None:
    stage.log.arrive(2)
    stage.log.arrive(2)
    with hook() as server:
        server.answers = [(204, {}), (500, {})]
        settings = stage.settings({"a": server.client()}, patience_seconds=0)
        (problem,) = push(stage.lake, stage.log, settings, NOW, how=Again(first=tt2000_of_day(DAY))).problems
    assert "did not take a message (HTTP 500). Look at the server. Give it the rest with --from" in problem
    assert "--from 2024-09-16T00:16:41Z;" in problem  # 1001 s after midnight, the first packet of the second file


@pytest.mark.parametrize("damaged", [1, 2, 3])
def test_a_dead_letter_that_cannot_be_read_holds_up_no_other_one(stage: Stage, damaged: int) -> None:
    for _ in range(4):
        stage.log.arrive(2)
    stage.log.damaged = {1, 2, 3}
    settings = stage.settings({"a": {"folder": {"path": str(stage.place("a"))}}})
    push(stage.lake, stage.log, settings, NOW)
    stage.log.damaged = {damaged}
    pushed = push_dead(stage.lake, stage.log, settings, NOW, "a")
    assert pushed.problems == [f"client a: file {damaged} has changed in the archive."]
    assert len(ids_in(stage.place("a"))) == 6
    assert [letter.after for letter in DeadLetters(stage.lake).waiting("a")] == [Cursor(damaged, 0)]


def test_a_dead_letter_that_is_refused_holds_up_no_other_one(stage: Stage) -> None:
    stage.log.arrive(1)
    stage.log.arrive(1)
    stage.log.damaged = {1, 2}
    with hook() as server:
        settings = stage.settings({"a": server.client()}, patience_seconds=0)
        push(stage.lake, stage.log, settings, NOW)
        stage.log.damaged, server.answers = set(), [(400, {})]
        (problem,) = push_dead(stage.lake, stage.log, settings, NOW, "a").problems
        assert "did not take a message (HTTP 400)" in problem
        assert ids_heard(server) == stage.log.ids
    assert DeadLetters(stage.lake).count("a") == 1
