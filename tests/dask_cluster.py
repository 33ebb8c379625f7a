# SPDX-License-Identifier: Apache-2.0
"""A Dask cluster on this machine, in processes of its own, so that nothing of it stays in the tests' process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lake.config import CHECKOUT

CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50)
    print(cluster.scheduler_address, flush=True)
    sys.stdin.read()
"""
# A task that kills its worker is not tried on the other one.
SETTINGS = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0", "PYTHONPATH": str(CHECKOUT)}


@contextmanager
def cluster() -> Iterator[str]:
    """The address of a Dask scheduler with two worker processes of one thread, gone after the block."""
    pytest.importorskip("distributed")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    command = [sys.executable, "-c", CLUSTER]
    with subprocess.Popen(command, text=True, env=os.environ | SETTINGS, start_new_session=True, **pipes) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            os.killpg(process.pid, signal.SIGKILL)
