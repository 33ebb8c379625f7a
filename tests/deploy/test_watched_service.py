# SPDX-License-Identifier: Apache-2.0
"""A service as a unit runs it: well while it works, stopped when it was ended."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from lake.config import Settings
from lake.heartbeats import metrics, pulse
from swxlake.watching import watch
from tests.toy import toy_lake

DEADLINE_SECONDS = 30


def test_a_watch_is_well_while_it_runs_and_stopped_after_it(tmp_path: Path) -> None:
    lake = toy_lake(tmp_path)
    (tmp_path / "drop").mkdir()
    receive = tmp_path / "receive.toml"
    receive.write_text(
        f'lake = "{tmp_path / "lake"}"\n[sources.moc]\ncomplete = "rename"\nfolder = {{ path = "drop" }}\n'
    )
    settings = Settings(root=tmp_path / "lake", receive=receive, health=tmp_path / "health")
    ending, seen = threading.Event(), []

    def look() -> None:
        until = time.monotonic() + DEADLINE_SECONDS
        while not seen and time.monotonic() < until:
            time.sleep(0.05)
            now = datetime.now(UTC)
            if pulse(tmp_path / "health", "watch", 120, now).state == "well":
                seen.append(metrics(tmp_path / "health"))
        ending.set()

    watcher = threading.Thread(target=look)
    watcher.start()
    watch(lake, settings, stop=ending)
    watcher.join()
    assert b"swxlake_watch_heartbeat_timestamp_seconds" in seen[0]
    assert pulse(tmp_path / "health", "watch", 120, datetime.now(UTC)).state == "stopped"
