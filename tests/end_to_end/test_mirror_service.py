# SPDX-License-Identifier: Apache-2.0
"""A mirror as a team runs it: `swxlake mirror` follows a bucket and its queue, is killed, and is ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

from typer.testing import CliRunner

from exports.mirror.state import read_state
from lake.storage import open_storage
from swxlake.cli_mirror import app
from tests.s3_server import Server, environment
from tests.servers import wait_until

COMMAND = [sys.executable, "-c", "from swxlake.cli_mirror import app; app()", "mirror"]
SETTINGS = """
folder = "mirror"
every_seconds = 3600
keep_free_bytes = 0

[source]
s3 = {{ address = "{address}" }}
queue = "{queue}"

[[take]]
paths = ["in/*"]
"""


@contextmanager
def running(folder: Path) -> Iterator[subprocess.Popen[str]]:
    surroundings = os.environ | {"SWXLAKE_HEALTH": str(folder / "health")}
    command = [*COMMAND, "--settings", str(folder / "mirror.toml"), "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, stdout=pipe, stderr=pipe, env=surroundings) as process:
        try:
            yield process
        finally:
            process.kill()


def end_when(true: Callable[[], bool]) -> None:
    """End a service of this process, once it has begun, when something has come about, or after a minute."""
    before = signal.getsignal(signal.SIGTERM)
    wait_until(lambda: signal.getsignal(signal.SIGTERM) is not before, 60)
    with suppress(AssertionError):
        wait_until(true, 60)
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_mirror_that_is_killed_goes_on_and_one_that_is_ended_ends_well(moto: Server, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "health").mkdir()
    with environment(moto.environment):
        bucket = moto.make_bucket()
        queue = moto.make_queue(bucket, "in/")
        address = f"s3://{bucket}"
        (tmp_path / "mirror.toml").write_text(SETTINGS.format(address=address, queue=queue))
        there, here = open_storage(address), tmp_path / "mirror/in"
        given = {"a b.dat": b"1" * 100_000, "c+d.dat": b"2", "ü.dat": b"3"}
        there.put("in/a b.dat", given["a b.dat"])
        there.put("notes/x.txt", b"not taken")
        with running(tmp_path) as process:
            wait_until((here / "a b.dat").exists, 60)
            there.put("in/c+d.dat", given["c+d.dat"])  # only its event tells of it: the next listing is in an hour
            wait_until((here / "c+d.dat").exists, 60)
            process.send_signal(signal.SIGKILL)
            process.wait()
        there.put("in/ü.dat", given["ü.dat"])

        def is_brought() -> bool:
            return len(list(there.entries("receipts/"))) == 3

        ended = Thread(target=end_when, args=(is_brought,))
        ended.start()
        words = ["mirror", "--settings", str(tmp_path / "mirror.toml"), "--json"]
        done = CliRunner().invoke(app, words, env={"SWXLAKE_HEALTH": str(tmp_path / "health")}, catch_exceptions=False)
        ended.join()
        assert done.exit_code == 0
        assert json.loads(done.stdout)["problems"] == []
        assert {path.name: path.read_bytes() for path in here.iterdir()} == given
        assert not (tmp_path / "mirror/notes").exists()
        assert list((tmp_path / "mirror/.mirror/incoming").iterdir()) == []
        assert read_state(tmp_path / "mirror", address).files.keys() == {f"in/{name}" for name in given}
        assert json.loads((tmp_path / "health/mirror.json").read_text())["state"] == "stopped"
