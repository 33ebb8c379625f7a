# SPDX-License-Identifier: Apache-2.0
"""A bar on stderr while long work goes on and a terminal looks on."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int, str], None]
LONGEST = 40  # characters of what is being worked on


def is_watched() -> bool:
    """True if stderr is a terminal that can draw a line anew."""
    from rich.console import Console  # noqa: PLC0415

    return sys.stderr.isatty() and not Console(stderr=True).is_dumb_terminal


@contextmanager
def bar(title: str, shown: bool = True) -> Iterator[Progress | None]:
    """What is told (done, total, what is next) about work in the block, shown as a bar; None if nobody looks on."""
    if not (shown and is_watched()):
        yield None
        return
    from rich import progress as rich  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    columns = (rich.TextColumn(f"{title:<10}"), rich.BarColumn(), rich.MofNCompleteColumn(), rich.TimeElapsedColumn())
    what = rich.TextColumn("{task.description}", markup=False)
    with rich.Progress(*columns, what, console=Console(stderr=True), transient=True) as shower, _log_above():
        task = shower.add_task("", total=None)

        def tell(done: int, total: int, what: str) -> None:
            shower.update(task, completed=done, total=total, description=what[-LONGEST:])

        yield tell


@contextmanager
def _log_above() -> Iterator[None]:
    """Let log lines of the block go above the bar: rich has replaced stderr, of which the handlers do not know."""
    moved = {}
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.__stderr__:
            moved[handler] = handler.setStream(sys.stderr)
    try:
        yield
    finally:
        for handler, stream in moved.items():
            handler.setStream(stream)
