# SPDX-License-Identifier: Apache-2.0
"""Leases: one process at a time, waited for, taken over from the dead; in a folder and in S3."""

from __future__ import annotations

import itertools
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from lake.config import CHECKOUT
from lake.errors import StorageError
from lake.lease_s3 import FREE
from lake.storage import Storage, open_storage
from lake.storage_s3 import Bucket
from tests.conftest import Place

LEASE_SECONDS = 4.0
LONG_SECONDS = 60.0  # where nobody is to be taken for dead
DEADLINE_SECONDS = 120  # for what takes a second, on a machine that does much else
HOLDER = """
import sys
from pathlib import Path
from lake.storage import open_storage
root = sys.argv[1]
with open_storage(root if root.startswith("s3:") else Path(root)).alone("ingest", 60):
    print("held", flush=True)
    sys.stdin.read()
print("given back", flush=True)
"""


@pytest.fixture(autouse=True)
def _long_leases(monkeypatch) -> None:
    monkeypatch.setenv("SWXLAKE_LEASE_SECONDS", str(LONG_SECONDS))


@pytest.fixture
def short_leases(_long_leases, monkeypatch) -> None:
    """Leases that are soon renewed, and soon taken over."""
    monkeypatch.setenv("SWXLAKE_LEASE_SECONDS", str(LEASE_SECONDS))


@pytest.fixture(params=["folder", "s3"])
def storage(request, tmp_path) -> Iterator[Storage]:
    if request.param == "folder":
        yield open_storage(tmp_path)
        return
    place: Place = request.getfixturevalue("s3_place")
    with place() as address:
        yield open_storage(address)


@pytest.fixture
def bucket(s3_root) -> Bucket:
    return Bucket(s3_root)


@contextmanager
def holder(storage: Storage) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lease until its stdin ends."""
    command = [sys.executable, "-c", HOLDER, storage.address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as process:
        try:
            assert _out(process).readline() == "held\n"
            yield process
        finally:
            process.kill()


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that another thread or process will do; fails at the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _out(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout


def test_a_lease_is_given_back_and_another_name_is_another_lease(storage):
    for _ in range(2):
        with storage.alone("ingest", 0), storage.alone("build", 0):
            pass


def test_a_lease_is_given_back_by_an_error(storage):
    with pytest.raises(ZeroDivisionError), storage.alone("ingest", 0):
        raise ZeroDivisionError
    with storage.alone("ingest", 0):
        pass


def test_a_second_process_is_told_who_holds_the_lease(storage):
    with holder(storage) as process:
        with pytest.raises(StorageError, match=rf"ingest.*process {process.pid} on .* since 20\d\d-.*Repeat"):
            storage.alone("ingest", 0).__enter__()
        with storage.alone("build", 0):
            pass


@pytest.mark.usefixtures("short_leases")
def test_a_second_process_waits_and_says_so_once(storage, caplog):
    done: list[str] = []

    def wait() -> None:
        with storage.alone("ingest", 60):
            done.append("second")

    with holder(storage) as process, caplog.at_level(logging.WARNING):
        waiting = threading.Thread(target=wait, daemon=True)
        waiting.start()
        until(lambda: "waiting for" in caplog.text)
        if storage.options is not None:  # longer than a lease: only its renewal keeps the second one out
            waiting.join(1.5 * LEASE_SECONDS)
        assert done == []
        _, errors = process.communicate()
        waiting.join(DEADLINE_SECONDS)
    assert done == ["second"]
    assert errors is None
    said = [text for record in caplog.records if (text := record.getMessage()).startswith("waiting for")]
    assert len(said) == 1
    assert said[0].startswith(f"waiting for process {process.pid} on {socket.gethostname()} since 20")


@pytest.mark.usefixtures("short_leases")
def test_the_lease_of_a_killed_process_is_taken_over(storage):
    with holder(storage) as process:
        process.kill()
        process.wait()
        with storage.alone("ingest", 60):
            pass


def test_six_threads_are_never_two_at_a_time(storage):
    inside, most = [0], [0]

    def work() -> None:
        with open_storage(_root(storage)).alone("ingest", 60):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.05)
            inside[0] -= 1

    threads = [threading.Thread(target=work, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_SECONDS)
    assert not any(thread.is_alive() for thread in threads)
    assert most == [1]


def _root(storage: Storage) -> Path | str:
    return Path(storage.address) if storage.options is None else storage.address


@pytest.mark.usefixtures("short_leases")
def test_a_clock_that_jumps_frees_no_lease_and_keeps_none(bucket, monkeypatch):
    wall, jumps = time.time, itertools.cycle([-1e6, 1e6])
    monkeypatch.setattr(time, "time", lambda: wall() + next(jumps))
    with holder(bucket) as process:
        with pytest.raises(StorageError, match="ingest"):
            bucket.alone("ingest", 1.2 * LEASE_SECONDS).__enter__()
        process.kill()
        process.wait()
        with bucket.alone("ingest", 60):
            pass


@pytest.mark.usefixtures("short_leases")
def test_a_lease_in_s3_is_renewed(bucket):
    with bucket.alone("ingest", 0):
        first = bucket.read("locks/ingest.json")
        until(lambda: bucket.read("locks/ingest.json") != first)
        assert json.loads(bucket.read("locks/ingest.json"))["token"] == json.loads(first)["token"]


@pytest.mark.usefixtures("short_leases")
def test_who_lost_its_lease_does_not_give_back_that_of_another(bucket, caplog):
    other = b'{"host": "elsewhere", "pid": 1, "since": "2026-08-01T00:00:00Z"}'
    with bucket.alone("ingest", 0):
        bucket.put("locks/ingest.json", other)
        until(lambda: "taken over" in caplog.text)
    assert bucket.read("locks/ingest.json") == other


@pytest.mark.usefixtures("short_leases")
def test_a_renewal_that_was_written_but_said_it_failed_loses_nothing(bucket, monkeypatch, caplog):
    put_if, lost = Bucket.put_if, []

    def lossy(self: Bucket, key: str, body: bytes, **condition: str) -> str | None:
        tag = put_if(self, key, body, **condition)
        if b"beat" in body and not lost:
            lost.append(body)
            raise StorageError("no answer")
        return tag

    monkeypatch.setattr(Bucket, "put_if", lossy)
    with bucket.alone("ingest", 0):
        until(lambda: json.loads(bucket.read("locks/ingest.json")).get("beat", 0) >= 3)
    assert len(lost) == 1
    assert "taken over" not in caplog.text
    assert bucket.read("locks/ingest.json") == FREE
