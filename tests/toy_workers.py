# SPDX-License-Identifier: Apache-2.0
"""An executor whose worker processes know the toy's transforms, which are not part of the checkout."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import transforms


class WithTransforms(Executor):
    """Passes tasks on to another executor; each looks for transforms in one more folder."""

    def __init__(self, pool: Executor, folder: Path) -> None:
        self.pool, self.folder = pool, folder
        self.ahead = getattr(pool, "ahead", 4)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return self.pool.submit(call_with, str(self.folder), fn, *args, **kwargs)


def call_with(folder: str, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """`fn(*args)` in a process where `folder` is a part of the package transforms."""
    sys.dont_write_bytecode = True
    if folder not in transforms.__path__:
        transforms.__path__.append(folder)
    return fn(*args, **kwargs)
