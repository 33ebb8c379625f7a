# SPDX-License-Identifier: Apache-2.0
"""Commands of swxlake in processes of their own that start at once, for the slow imports were made before.

The processes are children of multiprocessing's fork server, which has imported everything and run nothing.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from bench.torture.calls import Act, watching
from bench.torture.clocks import clock_at, time_ahead

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "great_expectations",
        "exports.product",
        "exports.istp.structure",
        "exports.istp.globals",
        "swxlake.cli",
        "bench.torture.state",
    ]
)
NOON = datetime(2026, 8, 2, 12, tzinfo=UTC)  # no night runs over midnight, which would give products another date


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code, negative for a signal, and what it wrote."""

    code: int
    text: str

    @property
    def traceback(self) -> bool:
        """True if it ended with a traceback, or asks for a bug report."""
        return "Traceback" in self.text or self.code not in (0, 1, -signal.SIGKILL)


@dataclass(frozen=True)
class Command:
    """A command line of swxlake: definitions, the place for what it writes, and what the clock shows."""

    arguments: tuple[str, ...]
    missions: Path
    log: Path
    now: datetime = NOON


def run(command: Command, act: Act | None = None, root: Path | None = None, looks: bool = False) -> None:
    """Run the command in this process, `act` being told of its calls below `root`; ends the process."""
    from swxlake.cli import main  # noqa: PLC0415, TID251  this takes the place of the shell

    os.setsid()
    os.environ |= {"SWXLAKE_MISSIONS": str(command.missions), "SWXLAKE_SETTLE_SECONDS": "0"}
    with _written_to(command.log), clock_at(command.now), time_ahead(command.now - NOON):
        sys.argv = ["swxlake", *command.arguments]
        with watching(root, act, looks) if act and root else nullcontext():
            main()


@contextmanager
def _written_to(log: Path) -> Iterator[None]:
    """Whatever the process writes goes to a file, its native code's last words too."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.stdout = sys.stderr = open(1, "w", closefd=False, buffering=1)  # noqa: SIM115
    yield


class KillAt:
    """Ends the process at its n-th call without any chance to tidy up."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, kind: str) -> None:
        """One call fewer to live."""
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class WriteDown:
    """Writes the kind of each call to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, kind: str) -> None:
        """One more line."""
        with self.path.open("a") as file:
            file.write(f"{kind}\n")


def start(command: Command, act: Act | None = None, root: Path | None = None, looks: bool = False) -> ForkServerProcess:
    """The command in a process of its own, started."""
    process = CONTEXT.Process(target=run, args=(command, act, root, looks))
    process.start()
    return process


def finish(process: ForkServerProcess, command: Command, seconds: float = 600) -> Ended:
    """Wait for the end; a process that takes too long is killed, and says so."""
    process.join(seconds)
    late = process.is_alive()
    if late:
        process.kill()
        process.join()
    text = command.log.read_text(errors="replace") if command.log.exists() else ""
    return Ended(process.exitcode or 0, text + (f"\nTraceback: none, it hung for {seconds} s" if late else ""))


def left_over(process: ForkServerProcess) -> list[int]:
    """Processes of the session that a command began: its workers, if they outlive it."""
    session = str(process.pid)
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if fields[3] == session and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found
