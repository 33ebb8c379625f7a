# SPDX-License-Identifier: Apache-2.0
"""What later days need to know of a day without reading its rows: text in `ops.watched.usual`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from quality.anomalies.limits import Tail

Center = tuple[float, float, bool]  # level, sigma, whether the day teaches


@dataclass(frozen=True)
class Memory:
    """The last row of a day (Unix microseconds), runs outside limits at its end, levels by channel and mode, metrics.

    `lessons` is a fingerprint of what the rows of the day teach, `teaching` are the channels that they teach about.
    """

    last: int | None = None
    lessons: str = ""
    teaching: tuple[str, ...] = ()
    tails: Mapping[str, Tail] = field(default_factory=dict)
    centers: Mapping[str, Mapping[str, Center]] = field(default_factory=dict)
    trends: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The memory as JSON; equal ones have equal texts."""
        content = {
            "last": self.last,
            "lessons": self.lessons,
            "teaching": list(self.teaching),
            "tails": {key: [tail.rows, tail.since] for key, tail in self.tails.items()},
            "centers": {column: dict(modes) for column, modes in self.centers.items()},
            "trends": dict(self.trends),
        }
        return json.dumps(content, sort_keys=True, separators=(",", ":"))


def read_memory(text: str) -> Memory:
    """The memory that has this text."""
    content = json.loads(text)
    return Memory(
        last=content["last"],
        lessons=content["lessons"],
        teaching=tuple(content["teaching"]),
        tails={key: Tail(*tail) for key, tail in content["tails"].items()},
        centers={
            column: {mode: (level, sigma, teaches) for mode, (level, sigma, teaches) in modes.items()}
            for column, modes in content["centers"].items()
        },
        trends=content["trends"],
    )
