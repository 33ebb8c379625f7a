# SPDX-License-Identifier: Apache-2.0
"""A push that is killed in its middle, and repeated: nothing is lost, and what comes twice has the id that it had."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from exports.forward.pushing import push
from tests.exports.forward.pusher import FILES, clients, full_stage
from tests.exports.forward.stage import NOW, SECRET, hook
from tests.servers import CHECKOUT


def test_after_kill_9_in_the_middle_of_a_push_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWX_HOOK", SECRET)
    stage = full_stage(tmp_path)
    with hook() as server:
        killed = threading.Event()
        command = [sys.executable, "-m", "tests.exports.forward.pusher", str(tmp_path), str(server.port)]
        with subprocess.Popen(command, cwd=CHECKOUT, env=os.environ | {"SWX_HOOK": SECRET}) as process:

            def kill_it() -> None:
                """At the fourth message, which is taken although nobody hears of it."""
                if len(server.heard) == 3 and not killed.is_set():
                    process.kill()
                    killed.set()

            server.before = kill_it
            process.wait()
        assert killed.is_set()
        assert 3 <= len(set(server.names)) < FILES
        settings = stage.settings(clients(stage, server))
        pushed = push(stage.lake, stage.log, settings, NOW, only=["hook", "folder"])
        assert not pushed.problems
        by_id = {headers["webhook-id"]: body for headers, body in server.heard}
        assert [headers["webhook-id"] for headers, _ in server.heard].count(server.names[3]) == 2
        heard = [packet["id"] for body in by_id.values() for packet in json.loads(body)["data"]["packets"]]
        assert heard == stage.log.ids
    assert len(list(stage.place("out").glob("*.pkts"))) == FILES
    content = b"".join(path.read_bytes() for path in sorted(stage.place("out").glob("*.pkts")))
    assert content == b"".join(packet.data for file in stage.log.files for packet in file)
