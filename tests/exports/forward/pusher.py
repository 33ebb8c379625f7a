# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.exports.forward.pusher FOLDER PORT`: a push that a test kills."""

from __future__ import annotations

import sys
from pathlib import Path

from exports.forward.pushing import push
from tests.exports.forward.stage import NOW, Hook, Stage, new_stage

FILES, PACKETS = 12, 5


def full_stage(folder: Path) -> Stage:
    """A lake with files of packets; the same in each process."""
    stage = new_stage(folder)
    for _ in range(FILES):
        stage.log.arrive(PACKETS)
    return stage


def clients(stage: Stage, server: Hook) -> dict[str, dict[str, object]]:
    """A webhook, a folder, and one that nobody answers for."""
    dead = {"webhook": {"url": "http://127.0.0.1:9", "secret_env": "SWX_HOOK", "allow_private": True}}
    return {"hook": server.client(), "folder": {"folder": {"path": str(stage.place("out"))}}, "dead": dead}


if __name__ == "__main__":
    here = full_stage(Path(sys.argv[1]))
    push(here.lake, here.log, here.settings(clients(here, Hook(int(sys.argv[2])))), NOW)
