# SPDX-License-Identifier: Apache-2.0
"""Random histories of a lake: whatever happened, in whatever order, it equals one rebuilt from raw/ and journal/."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import date, timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from bench.torture.figures import Figure
from bench.torture.world import DAYS, Ticks, World, world

HISTORIES, HISTORIES_SHORT = 500, 12
STEPS = 12

TEST = "{} random histories of up to {} events"
TARGET = "always equal to a lake rebuilt from raw/ and journal/: rows, books, CDF bytes"

days = st.sampled_from(DAYS)
seconds = st.sampled_from((0, 1, 60, 61, 40_000, 86_300, 86_399))
ticks = st.lists(st.tuples(days, seconds, st.integers(0, 3)), min_size=1, max_size=6)
calls = st.integers(1, 260)
fewer_calls = st.integers(1, 60)
CHANGES = (
    ("tables.yaml", "description: Voltage}", "description: Voltage at noon}"),
    ("tables.yaml", "type: float64, unit: V, description: Volt", "type: float32, unit: V, description: Volt"),
    ("instrument.yaml", "policy: leap", "policy: posix"),
    ("tables.yaml", "[120, 120]", "[0, 70]"),
)


class History(RuleBasedStateMachine):
    """One lake and what happens to it."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.world: World = self.stack.enter_context(world())
        self.dropped = 0

    def _name(self) -> str:
        self.dropped += 1
        return f"seaBY01_240916{self.dropped:06}.dat"

    @rule(ticks=ticks)
    def a_file_comes(self, ticks: Ticks) -> None:
        """Early, late, alone or sharing packets with others."""
        self.world.drop(self._name(), ticks)

    @rule(ticks=ticks)
    def a_night_with_a_file(self, ticks: Ticks) -> None:
        """What happens most."""
        self.world.drop(self._name(), ticks)
        self.world.night()

    @precondition(lambda self: self.world.files)
    @rule(choice=st.randoms(use_true_random=False))
    def a_file_comes_again(self, choice: Any) -> None:
        """Under another name."""
        self.world.copy(choice.choice(sorted(self.world.files)), self._name())

    @precondition(lambda self: self.world.files)
    @rule(choice=st.randoms(use_true_random=False), ticks=ticks)
    def a_name_comes_again(self, choice: Any, ticks: Ticks) -> None:
        """With other bytes."""
        self.world.drop(choice.choice(sorted(self.world.files)), ticks)

    @rule(day=days, factor=st.integers(2, 4))
    def a_calibration_comes(self, day: date, factor: int) -> None:
        """Or is corrected."""
        self.world.calibrate(day, factor)

    @rule(offset=st.integers(0, 2))
    def the_code_changes(self, offset: int) -> None:
        """And perhaps changes back."""
        self.world.change_code(offset)

    @rule(change=st.sampled_from(CHANGES))
    def a_definition_changes(self, change: tuple[str, str, str]) -> None:
        """Words, a type, the clock, a margin; or back again."""
        self.world.define(*change)

    @rule()
    def a_night(self) -> None:
        """Undisturbed."""
        self.world.night()

    @rule(call=calls)
    def a_night_is_killed(self, call: int) -> None:
        """At a storage call."""
        self.world.killed(call, self.world.night)

    @rule()
    def upkeep(self) -> None:
        """Compaction, checkpoints, removal of what no version needs."""
        self.world.maintain()

    @rule(call=fewer_calls)
    def upkeep_is_killed(self, call: int) -> None:
        """At a storage call."""
        self.world.killed(call, self.world.maintain)

    @rule(days=st.sampled_from((-400, -1, 1, 400)))
    def the_clock_jumps(self, days: int) -> None:
        """Forward or back."""
        self.world.now += timedelta(days=days)

    @rule(call=calls)
    def two_nights_at_once(self, call: int) -> None:
        """The second does all of its work between two storage calls of the first; no lease keeps them apart."""
        self.world.interrupted(call, self.world.night, self.world.night)

    @rule(call=calls)
    def upkeep_within_a_night(self, call: int) -> None:
        """Between two storage calls of it, of which none is a day old."""
        self.world.interrupted(call, self.world.night, lambda: self.world.maintain(0))

    @rule()
    def the_lake_is_compared(self) -> None:
        """With one that is rebuilt."""
        difference = self.world.difference()
        assert not difference, difference

    def teardown(self) -> None:
        """In the end too."""
        try:
            self.the_lake_is_compared()
        finally:
            self.stack.close()


def check(histories: int, steps: int = STEPS, start: int = 0, report: bool = True) -> None:
    """Live through random histories. Raises what one of them raised, made as short as it gets."""
    wanted = settings(
        max_examples=histories,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        phases=[Phase.generate, Phase.shrink] if report else [Phase.generate],
    )
    machine: type[RuleBasedStateMachine] = seed(start)(type("SeededHistory", (History,), {}))
    run_state_machine_as_test(machine, settings=wanted)


def run(short: bool, seed: int) -> list[Figure]:
    """The row of this test."""
    number = HISTORIES_SHORT if short else HISTORIES
    try:
        check(number, start=seed)
    except (Exception, HypothesisException) as error:  # noqa: BLE001  whatever it is, it is the finding
        notes = "\n".join(getattr(error, "__notes__", []))
        return [Figure(TEST.format(number, STEPS), TARGET, "differs", met=False, details=(f"{error}\n{notes}",))]
    return [Figure(TEST.format(number, STEPS), TARGET, f"{number} of {number} equal")]
