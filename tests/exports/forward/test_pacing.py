# SPDX-License-Identifier: Apache-2.0
"""Replay: packets are due as their own clock says, times the speed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exports.forward.batching import batches
from exports.forward.pacing import Pace, parse_speed
from exports.forward.settings import Limits
from lake.clock import NS
from lake.packet_log import Cursor, LoggedPacket

PACKET = LoggedPacket(Cursor(1, 1), "toy", "box", 7, 0, 0, "", "0" * 64, 0, b"")


class Clock:
    """A clock that waits at once."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def due(speed: float | None, epochs: list[float | None]) -> list[float]:
    """When each packet goes, in seconds since the first one."""
    clock = Clock()
    pace, found = Pace(speed, clock), []
    for epoch in epochs:
        clock.now += pace.delay(None if epoch is None else round(epoch * NS))
        found.append(clock.now - 100)
    return found


def test_packets_are_due_as_their_clock_says() -> None:
    assert due(1, [5, 6, 8.5]) == [0, 1, 3.5]
    assert due(10, [5, 6, 8.5]) == pytest.approx([0, 0.1, 0.35])
    assert due(None, [5, 6, 8.5]) == [0, 0, 0]


def test_a_clock_that_steps_back_is_taken_from_there_and_no_time_is_no_wait() -> None:
    assert due(1, [5, 6, None, 2, 3, 5]) == [0, 1, 1, 1, 2, 4]


def test_who_is_late_does_not_fall_behind_more() -> None:
    clock = Clock()
    pace = Pace(1, clock)
    assert pace.delay(0) == 0
    clock.now += 3
    assert pace.delay(1 * NS) == 0
    assert pace.delay(5 * NS) == 2


def test_waiting_can_be_ended() -> None:
    packets = [replace(PACKET, epoch_tt2000=second * NS) for second in (0, 0, 5, 6)]
    asked: list[float] = []
    given = batches(
        iter(packets), "near", Limits(100, 1000), speed=1, wait=lambda seconds: asked.append(seconds) or True
    )
    assert [len(batch.packets) for batch in given] == [2]
    assert asked == [pytest.approx(5, abs=0.5)]


@pytest.mark.parametrize(("text", "speed"), [("1", 1.0), (10, 10.0), ("2.5x", 2.5), ("full", None)])
def test_speeds_as_they_are_written(text: object, speed: float | None) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["0", -1, "fast", "nan", "inf", True, None, "1e9"])
def test_what_is_no_speed_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is none; write a number above 0"):
        parse_speed(text)
