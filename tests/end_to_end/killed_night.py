# SPDX-License-Identifier: Apache-2.0
"""A night that kills itself at its n-th call to storage, or counts them if n is 0: python killed_night.py ROOT INBOX N.

Every rename, link, sync, removal, making of a Delta table and Delta commit of the process counts; SIGKILL leaves no
chance to tidy up.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deltalake
from deltalake import DeltaTable

from lake.config import Settings
from lake.definition_files import read_definitions
from lake.store import Lake
from swxlake.night import run_night

calls = itertools.count(1)


def counted(function: Callable[..., Any], kill_at: int) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return call


def main() -> None:
    root, inbox, kill_at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    for name in ("replace", "rename", "link", "fsync", "unlink", "mkdir"):
        setattr(os, name, counted(getattr(os, name), kill_at))
    DeltaTable.create_write_transaction = counted(DeltaTable.create_write_transaction, kill_at)  # type: ignore[method-assign]
    DeltaTable.create = staticmethod(counted(DeltaTable.create, kill_at))  # type: ignore[method-assign]
    deltalake.write_deltalake = counted(deltalake.write_deltalake, kill_at)
    settings = Settings(root=root, settle_seconds=0)
    run_night(Lake(root, read_definitions(settings.missions)), settings, inbox)
    print(next(calls) - 1)


if __name__ == "__main__":
    main()
