# SPDX-License-Identifier: Apache-2.0
"""How fast a lake is copied, verified and restored, beside `cp -r` and `sha256sum` on the same files in the same run.

python -m bench.backup [files [bytes]]
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shlex import quote
from typing import Any

import pyrage  # type: ignore[import-untyped]

from lake.backup.named import round_of
from lake.backup.restore import restore
from lake.backup.run import copy_to
from lake.backup.settings import Place
from lake.backup.vault import open_vault
from lake.backup.verify import verify
from lake.config import CHECKOUT
from lake.definition_files import read_definitions
from lake.storage import open_storage
from lake.store import Lake, RawArchive, Receipt

FILES, BYTES = 1000, 200_000  # as a month of telemetry, and small enough for a minute
NOW = datetime(2026, 8, 1, tzinfo=UTC)


def fill(lake: Lake, folder: Path, files: int, size: int) -> None:
    """Archive so many files of random bytes."""
    for number in range(files):
        content = os.urandom(size)
        (folder / "file").write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        name = f"padreMDA0_{number:012d}.dat"
        receipt = Receipt(name, sha256, size, NOW.isoformat(), "bench", "padre", "meddea", "2026-08-01")
        RawArchive(lake).add(receipt, folder / "file")


def timed(what: str, size: int, call: Callable[[], Any]) -> None:
    """Print how long a call takes, and how many MiB/s that is."""
    start = time.perf_counter()
    call()
    seconds = time.perf_counter() - start
    print(f"{what:<34} {seconds:7.2f} s {size / seconds / (1 << 20):8.1f} MiB/s", flush=True)


def by_hand(source: Path, target: Path) -> None:
    """Copy with `cp -r`, wait until the disk has it, and hash the copy."""
    steps = "cp -r {0} {1} && sync -f {1} && find {1} -type f -print0 | xargs -0 sha256sum > /dev/null"
    subprocess.run(steps.format(quote(str(source)), quote(str(target))), shell=True, check=True)  # noqa: S602


def main(files: int = FILES, size: int = BYTES) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder, key = Path(name), pyrage.x25519.Identity.generate()
        lake = Lake(folder / "lake", read_definitions(CHECKOUT / "missions"))
        fill(lake, folder, files, size)
        (folder / "key").write_text(str(key))
        print(f"{files} raw files of {size} bytes, each with its receipt")
        timed("cp -r, sync, sha256sum", files * size, lambda: by_hand(folder / "lake", folder / "by-hand"))
        sealed = {"encrypt_to": [str(key.to_public())], "identity_file": folder / "key"}
        for words, facts in (("in the clear", {}), ("encrypted", sealed)):
            vault = folder / words
            vault.mkdir()
            measure(lake, Place.model_validate({"folder": {"path": vault}, **facts}), words, files * size)


def measure(lake: Lake, place: Place, words: str, size: int) -> None:
    """Copy, copy again, verify and restore."""
    with open_vault("bench", place) as vault:
        made_by, root = ("bench", None), place.way.place + "-new"
        timed(f"{words}: first copy", size, lambda: copy_to(vault, lake, {}, made_by, NOW))
        timed(f"{words}: second copy", size, lambda: copy_to(vault, lake, {}, made_by, NOW + timedelta(days=1)))
        names = vault.snapshots()
        timed(f"{words}: verify all", size, lambda: verify(vault, round_of(names, 1, 0), NOW))
        snapshot = vault.snapshot(names[-1])
        config = Path(f"{root}-config")
        timed(f"{words}: restore", size, lambda: restore(vault, snapshot, open_storage(Path(root)), config))


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
