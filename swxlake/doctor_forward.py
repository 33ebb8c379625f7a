# SPDX-License-Identifier: Apache-2.0
"""What the doctor says about `forward.toml`: whether it can be read and fits, who can be reached, and dead letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from exports.forward.dead_letters import DeadLetters
from exports.forward.products import dead_notices
from exports.forward.reach import reach
from exports.forward.settings import check_forward_settings, read_forward_settings
from exports.forward.sinks import check_place
from lake.config import read_settings
from lake.errors import ConfigurationError
from lake.setting_files import is_of, other_lake
from lake.store import Lake
from swxlake.outcome import Outcome

NOBODY = "no forward.toml here, and SWXLAKE_FORWARD names none: nobody gets packets"


def examine_forward(lake: Lake) -> Outcome:
    """A problem for each client that cannot be reached, or has dead letters. Nothing is sent."""
    try:
        path = read_settings(str(lake.root)).forward
        if path is None:
            return Outcome(facts={"forward": NOBODY})
        settings = read_forward_settings(path)
        check_forward_settings(settings, lake.definitions, path)
        for name, client in settings.clients.items():
            check_place(name, client, lake.root)
    except ConfigurationError as error:
        return Outcome(facts={"forward": "not well"}, problems=[f"forward: {error}"])
    if not is_of(settings, lake.root):
        return Outcome(facts={"forward": f"{other_lake(settings, lake.root, path)}: nothing is forwarded"})
    problems = [*(f"forward: {line}" for line in reach(settings)), *_dead(lake, settings.clients)]
    well = f"{path}: {', '.join(settings.clients) or 'no client'}, each can be reached"
    return Outcome(facts={"forward": "not well" if problems else well}, problems=problems)


def _dead(lake: Lake, clients: Iterable[str]) -> list[str]:
    """A line for each client with dead letters, also one that is not in the settings any more."""
    letters = Counter(letter.client for letter in DeadLetters(lake).waiting())
    letters.update({name: count for name in clients if (count := len(dead_notices(lake, name)))})
    return [
        f"forward: client {name} has {count} dead {'letter' if count == 1 else 'letters'}. "
        f"`swxlake forward push --dead {name}` sends them."
        for name, count in sorted(letters.items())
    ]
