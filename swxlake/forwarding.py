# SPDX-License-Identifier: Apache-2.0
"""What the commands about giving packets on do: pushing, serving subscribers, how clients stand."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from exports.forward.cursors import Cursors
from exports.forward.dead_letters import DeadLetters
from exports.forward.metrics import Metrics
from exports.forward.nouns import Pushed
from exports.forward.pacing import parse_speed
from exports.forward.products import dead_notices
from exports.forward.pushing import Again, Follow, Once, push, push_dead, pushed_clients
from exports.forward.serving import PacketServer
from exports.forward.settings import Client, ForwardSettings, check_forward_settings, read_forward_settings, wanted
from exports.forward.wire import parse_time
from ingest.packets import RawPackets
from lake.clock import utc_now
from lake.config import Settings
from lake.errors import ConfigurationError
from lake.health import Health
from lake.packet_log import BEGINNING
from lake.setting_files import check_lake, is_of, other_lake
from lake.store import Lake
from swxlake.outcome import Outcome
from swxlake.signals import stopped_by_signals

SERVICE, PUSHER = "forward", "forward_push"  # names of heartbeats and metrics
SWITCH_SECONDS = 0.001  # between threads of Python: who reads much of the log gives way sooner to who sends
BEAT_SECONDS = 10.0  # between two looks at how far clients are behind
NO_SETTINGS = (
    "there is no forward.toml here, and SWXLAKE_FORWARD names none. Write one: docs/how-to/forward-packets.md says how."
)


def needed_settings(lake: Lake, settings: Settings) -> ForwardSettings:
    """Who gets packets of this lake. Raises ConfigurationError if nothing says so, or if it is wrong."""
    if settings.forward is None:
        raise ConfigurationError(NO_SETTINGS)
    found = read_forward_settings(settings.forward)
    check_lake(found, lake.root, settings.forward)
    check_forward_settings(found, lake.definitions, settings.forward)
    return found


# ---- pushing -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Range:
    """A range of time that is given again, as the command takes it; speed 1, 10 or full."""

    first: str | None = None
    last: str | None = None
    speed: str | None = None

    def given(self) -> bool:
        """Whether any of it was asked for."""
        return any(text is not None for text in (self.first, self.last, self.speed))


def again(asked: Range, stop: threading.Event) -> Again | None:
    """The range as numbers; None if none was asked for. Raises ConfigurationError."""
    if not asked.given():
        return None
    if asked.first is None and asked.last is None:
        raise ConfigurationError("--speed is of packets that are given again. Give --from, --to or both with it.")
    first, last = _time("--from", asked.first), _time("--to", asked.last)
    if first is not None and last is not None and first >= last:
        raise ConfigurationError(f"--from {asked.first} is not before --to {asked.last}. The end is not included.")
    return Again(first, last, speed(asked.speed), stop)


def _time(option: str, text: str | None) -> int | None:
    try:
        return parse_time(text) if text is not None else None
    except ValueError as error:
        raise ConfigurationError(f"{option} {text!r} {error}.") from None


def speed(text: str | None) -> float | None:
    """A speed as an option has it; None for full. Raises ConfigurationError."""
    try:
        return parse_speed(text) if text is not None else None
    except ValueError as error:
        raise ConfigurationError(f"--{error}.") from None


def push_new(lake: Lake, settings: Settings) -> Outcome:
    """What a night does: give all pushed clients what is new; nothing without settings of this lake."""
    if settings.forward is None:
        return Outcome()
    found = read_forward_settings(settings.forward)
    if not is_of(found, lake.root):
        return Outcome(notes=[f"{other_lake(found, lake.root, settings.forward)}: nothing is forwarded"])
    check_forward_settings(found, lake.definitions, settings.forward)
    return told(push(lake, RawPackets(lake), found, utc_now())) if pushed_clients(found) else Outcome()


def push_packets(
    lake: Lake, settings: Settings, only: Sequence[str] | None, asked: Range, follow: bool = False
) -> Outcome:
    """Push, as the command does; ends early on SIGTERM and SIGINT. Raises ConfigurationError."""
    found, packets = needed_settings(lake, settings), RawPackets(lake)
    if not pushed_clients(found, only):
        raise ConfigurationError(f"{settings.forward}: has no client that is pushed to. Add one, or `forward serve`.")
    with stopped_by_signals() as stop:
        replay = again(asked, stop)
        if follow and replay is not None:
            raise ConfigurationError("--follow and --from, --to, --speed exclude each other. Drop one of them.")
        if not follow:
            return _until(stop, told(push(lake, packets, found, utc_now(), only, replay or Once(stop))))
        health = Health(PUSHER, settings.health)
        heard = _looked_after(health, packets, Cursors(lake), pushed_clients(found, only))
        outcome = told(push(lake, packets, found, utc_now(), only, Follow(stop, heard)))
        health.stop()  # not after a failure: that is for the watch over heartbeats
        return outcome


def _looked_after(
    health: Health, packets: RawPackets, cursors: Cursors, clients: dict[str, Client]
) -> Callable[[Pushed], None]:
    """What says, now and then, that a push that follows is alive, and how far each client is behind."""
    metrics, due = Metrics(health), [0.0]

    def heard(_: Pushed) -> None:
        if time.monotonic() < due[0]:
            return
        due[0], now = time.monotonic() + BEAT_SECONDS, utc_now()
        for name, client in clients.items():
            cursor = cursors.read(name)
            if cursor is not None:
                metrics.lag(name, packets.lag(cursor, wanted(client), now))
        health.beat(f"{len(clients)} clients", now)

    return heard


def push_again(lake: Lake, settings: Settings, only: Sequence[str] | None) -> Outcome:
    """Give one client its dead letters once more, and count those that are left. Raises ConfigurationError."""
    if not only or len(only) != 1:
        raise ConfigurationError("--dead is for one client. Name it, as in `swxlake forward push --dead photons`.")
    found, client = needed_settings(lake, settings), only[0]
    with stopped_by_signals() as stop:
        outcome = _until(stop, told(push_dead(lake, RawPackets(lake), found, utc_now(), client, Once(stop))))
    outcome.facts["dead_letters"] = DeadLetters(lake).count(client) + len(dead_notices(lake, client))
    return outcome


def _until(stop: threading.Event, outcome: Outcome) -> Outcome:
    """The outcome, with a word on it if a signal ended it early."""
    if stop.is_set():
        outcome.notes.append("ended by a signal: each client has what is before its cursor; push again for the rest")
    return outcome


def planned(lake: Lake, settings: Settings, only: Sequence[str] | None, asked: Range) -> Outcome:
    """What a push would give to whom; nothing is sent or written."""
    found, packets, now = needed_settings(lake, settings), RawPackets(lake), utc_now()
    replay, cursors = again(asked, threading.Event()), Cursors(lake)
    rows = []
    for name, client in pushed_clients(found, only).items():
        row: dict[str, Any] = {"client": name, "way": client.kind}
        if replay is not None:
            rows.append(row | {"again": f"{asked.first or 'the beginning'} to {asked.last or 'the end'}"})
            continue
        start = BEGINNING if client.start == "beginning" else packets.end()
        cursor = cursors.read(name) or start
        lag = packets.lag(cursor, wanted(client), now)
        rows.append(row | {"cursor": str(cursor), "files": lag.files, "packets": lag.packets})
    return Outcome(facts={"forward": "nothing is sent in a dry run"}, tables={"clients": rows})


def told(pushed: Pushed) -> Outcome:
    """A push in words."""
    rows = [
        {"client": one.client, "way": one.way, "packets": one.packets, "bytes": one.bytes}
        | {"from": str(one.began), "cursor": str(one.cursor), "state": one.state}
        for one in pushed.clients
    ]
    counts = {name: sum(getattr(one, name) for one in pushed.clients) for name in ("packets", "bytes")}
    return Outcome({"forward": counts}, pushed.problems, pushed.notes, {"clients": rows} if rows else {})


# ---- serving -------------------------------------------------------------------------------------------------------
def serve(lake: Lake, settings: Settings) -> Outcome:
    """Serve subscribers until SIGTERM or SIGINT. Raises ConfigurationError if there is nobody to serve, or no port."""
    found = needed_settings(lake, settings)
    if not any(client.subscriber for client in found.clients.values()):
        raise ConfigurationError(f"{settings.forward}: has no subscriber. Add [clients.NAME] with subscriber = true.")
    server = PacketServer(lake, RawPackets(lake), found, Health(SERVICE, settings.health))
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        asyncio.run(_served(server))
    except OSError as error:
        where = f"{found.serve.host}:{found.serve.port}"
        raise ConfigurationError(f"{where}: cannot be listened at ({error.strerror}). Choose another one.") from None
    return Outcome({"forward": {"packets": server.packets, "connections": server.admitted}})


async def _served(server: PacketServer) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stopping.set)
    await server.run()
