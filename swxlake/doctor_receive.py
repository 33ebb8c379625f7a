# SPDX-License-Identifier: Apache-2.0
"""What the doctor says about `receive.toml`: whether it can be read and fits, and sources be reached."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from ingest.sources.opening import open_source
from ingest.sources.settings import SourceSettings, check_receive_settings, read_receive_settings
from lake.config import read_settings
from lake.errors import ConfigurationError, SwxlakeError
from lake.store import Lake
from swxlake.outcome import Outcome

NOWHERE = "no receive.toml here, and SWXLAKE_RECEIVE names none: only the inbox is looked at"
SECONDS = 5.0  # for a source to answer


def examine_receive(lake: Lake) -> Outcome:
    """A problem for each source that cannot be reached. Nothing is fetched."""
    try:
        path = read_settings(str(lake.root)).receive
        if path is None:
            return Outcome(facts={"receive": NOWHERE})
        settings = read_receive_settings(path)
        check_receive_settings(settings, lake.root, path)
        for name, sender in settings.upload.senders.items() if settings.upload else ():
            sender.tokens(f"sender {name}")
    except ConfigurationError as error:
        return Outcome(facts={"receive": "not well"}, problems=[f"receive: {error}"])
    problems = [f"receive: {line}" for line in _unreached(settings.sources, SECONDS)]
    well = f"{path}: {', '.join(settings.sources) or 'no source'}, each can be reached"
    return Outcome(facts={"receive": "not well" if problems else well}, problems=problems)


def _unreached(sources: Mapping[str, SourceSettings], seconds: float) -> list[str]:
    """Why sources cannot be reached; all are tried at the same time, so that one that hangs costs only its own."""
    answers: dict[str, str] = {}
    threads = [
        threading.Thread(target=_try, args=(name, source, answers), daemon=True) for name, source in sources.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    silent = "does not answer in {:g} s. Look at the network, or correct its settings."
    found = {name: answers.get(name, f"source {name}: {silent.format(seconds)}") for name in sources}
    return [why for why in found.values() if why]


def _try(name: str, source: SourceSettings, answers: dict[str, str]) -> None:
    """Open a source and ask for its first file."""
    try:
        opened = open_source(name, source)
        try:
            next(iter(opened.offered()), None)
        finally:
            opened.close()
        answers[name] = ""
    except (SwxlakeError, OSError) as error:
        answers[name] = str(error)
