# SPDX-License-Identifier: Apache-2.0
"""A short form of the torture of the watcher: `python -m bench.torture --only receiving` does all of it."""

from __future__ import annotations

from pathlib import Path

from bench.torture.receiving import suffer


def test_what_writers_drop_is_landed_exactly_once_while_the_watcher_is_killed(tmp_path: Path) -> None:
    wrong, _ = suffer(tmp_path, short=True, seed=3)
    assert wrong == []
