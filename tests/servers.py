# SPDX-License-Identifier: Apache-2.0
"""Servers for tests, each in a process of its own: started, told to misbehave, killed, and what they were asked.

A server is `python -m tests.<name> SETTINGS`: it reads its settings as JSON, prints `port N` to stderr, takes lines of
JSON with faults from stdin, ends with it, and writes a line of JSON for each call that changes something into a file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]


@dataclass
class Running:
    """A server that runs."""

    port: int
    log: Path
    process: subprocess.Popen[str]

    def say(self, **faults: Any) -> None:
        """Set the faults; without any the server behaves. They hold when this returns."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(faults), file=self.process.stdin, flush=True)
        assert self.process.stdout.readline() == "ok\n"

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self.process.kill()
        self.process.wait()

    def calls(self, kind: str) -> list[str]:
        """The paths of all calls of a kind, in their order, also of servers before that used the same log."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines()) if self.log.exists() else ()
        return [line["path"] for line in lines if line["call"] == kind]


@contextmanager
def running(name: str, log: Path, **settings: Any) -> Iterator[Running]:
    """A server for the block."""
    command = [sys.executable, "-m", f"tests.{name}", json.dumps({"log": str(log), **settings})]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=CHECKOUT, text=True, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("port "), line + process.stderr.read()
        threading.Thread(target=process.stderr.read, daemon=True).start()
        try:
            yield Running(int(line.split()[1]), log, process)
        finally:
            process.kill()


class Book:
    """The server's side: the faults that hold, and the file of what it was asked."""

    def __init__(self, log: str) -> None:
        self.faults: dict[str, Any] = {}
        self.bytes = 0  # taken since faults were set
        self._file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def note(self, call: str, path: str) -> None:
        os.write(self._file, (json.dumps({"call": call, "path": path}) + "\n").encode())

    def took(self, amount: int) -> bool:
        """Count bytes, slowly if told so; whether the connection shall drop now, which it does once."""
        self.bytes += amount
        time.sleep(self.faults.get("slow", 0.0))
        if self.bytes > self.faults.get("drop_after", sys.maxsize):
            self.faults.pop("drop_after")
            return True
        return False

    def obey(self, port: int) -> None:
        """Say that the server is up, and take faults until stdin ends; then the process ends."""
        print(f"port {port}", file=sys.stderr, flush=True)
        for line in sys.stdin:
            self.faults, self.bytes = json.loads(line), 0
            print("ok", flush=True)
        os._exit(0)

    def listen(self, port: int) -> None:
        """As `obey`, in a thread of its own."""
        threading.Thread(target=self.obey, args=(port,), daemon=True).start()


def wait_until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something; fails if it does not come about."""
    stop = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < stop, "it did not come about in time"
        time.sleep(0.002)
