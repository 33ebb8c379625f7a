# SPDX-License-Identifier: Apache-2.0
"""Tasks give the same results in this process, in spawned processes and on a Dask cluster, and workers end well."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, wait
from pathlib import Path

import pytest

from lake.config import CHECKOUT
from lake.errors import ConfigurationError, StorageError
from lake.parallel import THREAD_VARIABLES, SerialExecutor, at_work, executor
from tests.dask_cluster import cluster

NUMBERS = [3, 1, 2, 5, 4]


def squared(number: int) -> int:
    time.sleep(0.02 * (9 - number))  # the later ones end first
    return number * number


def refused(number: int) -> int:
    if number == 2:
        raise StorageError(f"{number} is refused")
    return number


def here(_: int) -> int:
    return os.getpid()


def threads(_: int) -> list[str]:
    return [os.environ[name] for name in THREAD_VARIABLES]


def killed(number: int) -> int:
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def level(_: int) -> int:
    return logging.getLogger().getEffectiveLevel()


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with cluster() as address:
        yield address


@pytest.fixture(scope="module", params=["serial", "2 processes", "Dask"])
def pool(request: pytest.FixtureRequest) -> Iterator[Executor]:
    if request.param == "Dask":
        with executor(dask=request.getfixturevalue("scheduler")) as on_dask:
            yield on_dask
    else:
        with executor(1 if request.param == "serial" else 2) as local:
            yield local


# ---- the same whichever ----------------------------------------------------------------------------------------
def test_results_come_in_the_order_of_the_tasks(pool: Executor) -> None:
    found = [(task, future.result()) for task, future in at_work(pool, squared, NUMBERS, 3)]
    assert found == [(3, 9), (1, 1), (2, 4), (5, 25), (4, 16)]


def test_what_a_task_raises_is_raised_where_its_result_is_asked_and_the_others_are_done(pool: Executor) -> None:
    errors = {task: future.exception() for task, future in at_work(pool, refused, NUMBERS)}
    assert {task: type(error) for task, error in errors.items() if error} == {2: StorageError}
    assert str(errors[2]) == "2 is refused"


def test_equal_tasks_are_each_run(pool: Executor, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    assert len(list(at_work(pool, _note, [lines] * 6))) == 6
    assert lines.read_text() == "once\n" * 6


def _note(path: Path) -> None:
    with path.open("a") as stream:
        stream.write("once\n")


@pytest.mark.parametrize(("ahead", "most"), [(1, 1), (3, 3), (100, 5), (None, 1)])
def test_no_more_tasks_than_asked_are_submitted_ahead(ahead: int | None, most: int) -> None:
    drawn, behind = [], []
    tasks = (drawn.append(number) or number for number in NUMBERS)
    for done, _ in enumerate(at_work(SerialExecutor(), squared, tasks, ahead)):
        behind.append(len(drawn) - done)
    assert max(behind) == most


def test_tasks_that_nobody_waits_for_any_more_are_cancelled() -> None:
    with executor(2) as pool:
        work = at_work(pool, squared, range(5), 5)
        assert next(work)[0] == 0
        work.close()  # type: ignore[attr-defined]
        assert list(pool.map(squared, [7])) == [49]


# ---- spawned processes -----------------------------------------------------------------------------------------
def test_one_worker_is_this_process_and_two_are_others() -> None:
    with executor(1) as pool:
        assert pool.submit(here, 0).result() == os.getpid()
    with executor(2) as pool:
        assert pool.submit(here, 0).result() != os.getpid()


def test_workers_share_the_cores_and_the_environment_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lake.parallel._cores", lambda: 6)
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    before = dict(os.environ)
    with executor(2) as pool:
        assert pool.submit(threads, 0).result() == ["3", "4", "3", "3"]
    assert dict(os.environ) == before


def test_workers_log_as_their_parent_does(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with executor(2) as pool:
        assert pool.submit(level, 0).result() == logging.INFO


def test_a_killed_worker_is_named_and_the_remedy_is_to_repeat() -> None:
    with pytest.raises(StorageError, match=r"a worker died before it answered.* repeat the command"):
        results(killed)


def results(function: Callable[[int], int], dask: str | None = None) -> list[int]:
    with executor(2, dask) as pool:
        return [future.result() for _, future in at_work(pool, function, NUMBERS)]


def test_no_worker_lives_after_an_error() -> None:
    pids: list[int] = []
    with pytest.raises(RuntimeError, match="broken off"):
        broken_off(pids)
    assert len(pids) == len(NUMBERS)
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


def broken_off(pids: list[int]) -> None:
    with executor(2) as pool:
        pids += [future.result() for _, future in at_work(pool, here, NUMBERS)]
        pool.submit(time.sleep, 60)
        raise RuntimeError("broken off")


SCRIPT = """
import threading
import time
from lake.parallel import executor
from tests.lake.test_parallel import here
print("script", flush=True)
with executor(2) as pool:
    print(pool.submit(here, 0).result(), pool.submit(here, 0).result(), flush=True)
    {rest}
print("end", flush=True)
"""


def script(folder: Path, rest: str) -> subprocess.Popen[str]:
    """A started script without a guard around its work, in a process group of its own."""
    path = folder / "script.py"
    path.write_text(SCRIPT.format(rest=rest))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    return subprocess.Popen(
        [sys.executable, str(path)], text=True, env=environment, cwd=CHECKOUT, start_new_session=True, **pipes
    )


def first_lines(process: subprocess.Popen[str]) -> list[int]:
    """The workers, once they have worked."""
    assert process.stdout is not None
    assert process.stdout.readline() == "script\n"
    return [int(pid) for pid in process.stdout.readline().split()]


def gone(pids: list[int]) -> bool:
    """True once none of the processes is there."""
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_script_without_a_guard_is_not_run_again_by_its_workers(tmp_path: Path) -> None:
    with script(tmp_path, "pass") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out.count("script"), out.count("end"), err) == (0, 1, 1, "")


def test_interrupting_all_as_a_terminal_does_ends_the_workers_without_a_word_from_them(tmp_path: Path) -> None:
    with script(tmp_path, "pool.submit(time.sleep, 60).result()") as process:
        pids = first_lines(process)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert err.count("Traceback") == 1  # the script's own
    assert gone(pids)


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    with script(tmp_path, "pool.submit(time.sleep, 60).result()") as process:
        pids = first_lines(process)
        process.kill()
        assert gone(pids)


# ---- wrong settings --------------------------------------------------------------------------------------------
def test_no_workers_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="0 workers: nobody would work"), executor(0):
        pass


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "127.0.0.1:9", "nonsense", "127.0.0.1", "foo://here:1"])
def test_an_address_where_no_scheduler_answers_is_refused(address: str) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(ConfigurationError, match=f"Dask at {address}: no scheduler answers.*--dask"):
        results(squared, address)


def test_dask_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigurationError, match=r"`distributed` is not installed. Run `pip install -e"):
        results(squared, "tcp://127.0.0.1:9")


def test_a_task_that_kills_every_dask_worker_is_an_error_that_says_so() -> None:
    # On a busy machine a scheduler may never answer for a worker that died: then another one is asked.
    answered = next(found for _ in range(3) if (found := answer_of_cluster()))
    with pytest.raises(StorageError, match="a worker died before it answered"):
        answered.result()


def answer_of_cluster(seconds: float = 120) -> Future[list[int]] | None:
    """What a new cluster answers to a task that kills its worker; None if it does not in this time."""
    answer: Future[list[int]] = Future()

    def ask(address: str) -> None:
        try:
            answer.set_result(results(killed, address))
        except StorageError as error:
            answer.set_exception(error)

    with cluster() as address:
        threading.Thread(target=ask, args=(address,), daemon=True).start()
        return answer if wait([answer], seconds).done else None
