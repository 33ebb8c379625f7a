# SPDX-License-Identifier: Apache-2.0
"""The heartbeats that services left in a folder, read by whoever restarts them.

A check runs every half minute beside each service, so this file imports nothing but the standard library.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

STOPPED = "stopped"  # the state of a service that has ended as it should
LONGEST = 64 * 1024  # bytes; a heartbeat has some hundred, and what is longer is none
FORM = "%Y-%m-%dT%H:%M:%SZ"
State = Literal["well", "stopped", "missing", "stale", "unreadable"]


@dataclass(frozen=True)
class Pulse:
    """What a heartbeat tells of one service. `well` if it was at work lately; `said` is what it said that it does."""

    service: str
    state: State
    age_seconds: float | None = None
    said: str = ""
    detail: str = ""


def pulses(folder: Path, max_age: float, now: datetime) -> list[Pulse]:
    """The pulses of all services that have ever said something in the folder, in the order of their names."""
    return [pulse(folder, path.stem, max_age, now) for path in sorted(folder.glob("[!.]*.json"))]


def pulse(folder: Path, service: str, max_age: float, now: datetime) -> Pulse:
    """The pulse of one service. A heartbeat from later than `now` is as good as none: one of the clocks was set."""
    path = folder / f"{service}.json"
    try:
        at, said = _beat(path)
    except FileNotFoundError:
        return Pulse(service, "missing", detail=f"{path} is not there. Is the service started, with SWXLAKE_HEALTH?")
    except (OSError, ValueError) as error:
        return Pulse(service, "unreadable", detail=f"{path}: {_words(error)}. Restart the service; it writes it anew.")
    age = (now - at).total_seconds()
    if said == STOPPED:
        return Pulse(service, "stopped", age, said, f"it ended at {at:{FORM}}. Start it again if it should run.")
    if age > max_age:
        return Pulse(service, "stale", age, said, f"silent for {age:.0f} s, more than {max_age:g} s. Restart it.")
    if age < -max_age:
        return Pulse(service, "stale", age, said, f"its heartbeat is {-age:.0f} s ahead. Correct the clock.")
    return Pulse(service, "well", age, said)


def _beat(path: Path) -> tuple[datetime, str]:
    """When a service last said something, and what. Raises ValueError if the file is no heartbeat."""
    with path.open("rb") as file:
        text = file.read(LONGEST + 1)
    content = json.loads(text) if len(text) <= LONGEST else None
    if not isinstance(content, dict) or not isinstance(content.get("at"), str):
        raise ValueError("is no heartbeat")
    return datetime.strptime(content["at"], FORM).replace(tzinfo=UTC), str(content.get("state", ""))


def _words(error: OSError | ValueError) -> str:
    return (error.strerror or "cannot be read") if isinstance(error, OSError) else "is no heartbeat"


def metrics(folder: Path) -> bytes:
    """The metrics of all services in the text format of Prometheus; names of one service are no other's.

    A file that went away meanwhile is left out: its service is about to write the next one.
    """
    texts = []
    for path in sorted(folder.glob("[!.]*.prom")):
        try:
            texts.append(path.read_bytes())
        except FileNotFoundError:
            continue
    return b"".join(text if text.endswith(b"\n") else text + b"\n" for text in texts if text)
