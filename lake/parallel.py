# SPDX-License-Identifier: Apache-2.0
"""Workers: the same tasks in this process, in spawned processes, or on a Dask cluster.

A task is a function of a module and a picklable argument; it opens what it needs itself and returns something small.
Nothing is ever forked: delta-rs and polars run threads, and a forked copy of a thread's lock is never released.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing import connection, parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from lake.errors import ConfigurationError, StorageError

T = TypeVar("T")
R = TypeVar("R")

ANSWER_SECONDS = 5
# How many threads the libraries start in one process; each reads its variable once, when it is imported.
THREAD_VARIABLES = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TOKIO_WORKER_THREADS")


class SerialExecutor(Executor):
    """Runs each task in this thread, at once, when it is submitted."""

    ahead = 1

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """The finished future of `fn(*args, **kwargs)`; what the task raises is in the future."""
        future: Future[R] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  an executor's tasks raise where their future is asked
            future.set_exception(error)
        return future


@contextmanager
def executor(workers: int = 1, dask: str | None = None) -> Iterator[Executor]:
    """What runs tasks: this process, `workers` spawned processes, or the Dask scheduler at an address.

    When the block ends by an error or Ctrl-C, what runs is ended and what waits is dropped.
    Raises ConfigurationError for a wrong number, if Dask is not installed or nobody answers at the address; and
    StorageError in the place of whatever tells the block that a worker died.
    """
    if workers < 1:
        raise ConfigurationError(f"{workers} workers: nobody would work. Give --workers or SWXLAKE_WORKERS 1 or more.")
    try:
        if dask is not None:
            with _on_dask(dask) as pool:
                yield pool
        elif workers == 1:
            yield SerialExecutor()
        else:
            with _spawned(workers) as pool:
                yield pool
    except _signs_of_death() as error:
        raise StorageError(
            f"a worker died before it answered ({_words(error)}): out of memory, or ended from outside. "
            "What was finished is kept; repeat the command, perhaps with fewer workers, and it does the rest."
        ) from error


def at_work(
    pool: Executor,
    function: Callable[[T], R],
    tasks: Iterable[T],
    ahead: int | None = None,
    dropped: Callable[[Future[R]], object] | None = None,
) -> Generator[tuple[T, Future[R]], None, None]:
    """Each task with its finished future, in the order of the tasks, of which at most `ahead` are submitted at a time.

    Without `ahead` there are as many as keep all workers busy; a serial executor has one, so nothing piles up. If the
    results are not asked for to the end, `dropped` gets the futures of tasks that run or are done, once they are done.
    """
    limit = ahead or waiting_room(pool)
    submitted: deque[tuple[T, Future[R]]] = deque()
    try:
        for task in tasks:
            submitted.append((task, pool.submit(function, task)))
            if len(submitted) >= limit:
                yield _finished(submitted)
        while submitted:
            yield _finished(submitted)
    finally:
        for _, future in submitted:
            if not future.cancel() and dropped:
                future.add_done_callback(dropped)


def waiting_room(pool: Executor) -> int:
    """How many tasks to have submitted at a time: 1 if serial, else two for each worker."""
    return int(getattr(pool, "ahead", 4))


def _finished(submitted: deque[tuple[T, Future[R]]]) -> tuple[T, Future[R]]:
    """The oldest task, once it is done."""
    task, future = submitted[0]
    future.exception()
    submitted.popleft()
    return task, future


def _signs_of_death() -> tuple[type[BaseException], ...]:
    """What pools raise for a task whose worker is gone."""
    dask: Any = sys.modules.get("distributed")
    lost = (dask.scheduler.KilledWorker, dask.CancelledError, dask.comm.CommClosedError) if dask else ()
    return (BrokenExecutor, CancelledError, *lost)


def _words(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300].removesuffix(".")


# ---- spawned processes -----------------------------------------------------------------------------------------
class _Worker(SpawnProcess):
    """A process that starts with few threads, does not run the script that started it, and does not hear Ctrl-C.

    Only the pool hears Ctrl-C, and ends its workers. They get a signal mask rather than a handler because that holds
    from their first instruction, while they import.
    """

    threads = 1

    def start(self) -> None:
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with _thread_limits(self.threads), _without_main():
                super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


class _Workers(SpawnContext):
    """Starts workers and remembers them, so that they can be ended."""

    def __init__(self, number: int) -> None:
        self.threads = max(1, _cores() // number)
        self.started: list[_Worker] = []

    def Process(self, *args: Any, **kwargs: Any) -> _Worker:  # type: ignore[override]  # noqa: N802
        worker = _Worker(*args, **kwargs)
        worker.threads = self.threads
        self.started.append(worker)
        return worker


class _ProcessPool(ProcessPoolExecutor):
    def __init__(self, workers: int, context: _Workers) -> None:
        level = logging.getLogger().getEffectiveLevel()
        super().__init__(workers, mp_context=context, initializer=_begin_work, initargs=(level,))
        self.ahead = 2 * workers


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _spawned(workers: int) -> Iterator[Executor]:
    context = _Workers(workers)
    pool = _ProcessPool(workers, context)
    try:
        yield pool
    except BaseException:
        for worker in context.started:
            if worker.is_alive():
                worker.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _thread_limits(threads: int) -> Iterator[None]:
    """Limits for processes that start in the block; those that somebody set stand."""
    added = [name for name in THREAD_VARIABLES if name not in os.environ]
    os.environ.update(dict.fromkeys(added, str(threads)))
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def _without_main() -> Iterator[None]:
    """Hide the script: a spawned process would import it again, and start workers of its own."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _begin_work(level: int) -> None:
    """Set up a worker: it logs as its parent does, and ends when its parent is gone, however that died."""
    logging.basicConfig(level=level, format="%(levelname)s %(message)s")
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


# ---- Dask ------------------------------------------------------------------------------------------------------
@contextmanager
def _on_dask(address: str) -> Iterator[Executor]:
    client = _client(address)
    try:
        pool: Executor = client.get_executor(pure=False)  # pure tasks with equal arguments would be run once
        pool.ahead = 2 * max(1, sum(client.ncores().values()))  # type: ignore[attr-defined]
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False)
            raise
        pool.shutdown(wait=True)
    finally:
        client.close()


def _client(address: str) -> Any:
    """A client of the scheduler. Raises ConfigurationError if there is none."""
    try:
        from distributed import Client  # noqa: PLC0415  takes a second, and few have it
    except ImportError:
        raise ConfigurationError(
            f'Dask at {address}: the package `distributed` is not installed. Run `pip install -e ".[dask]"`.'
        ) from None
    try:
        _knock(address)
        with _nothing_collected():
            return Client(address, timeout=ANSWER_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"Dask at {address}: no scheduler answers ({_words(error)}). "
            "Start `dask scheduler` and `dask worker`, or correct --dask or SWXLAKE_DASK, such as tcp://host:8786."
        ) from None


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """No garbage is collected in the block. A client that was given up is closed by being collected; if that happens
    while another one starts its loop, both want the same lock, and wait for ever.
    """
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _knock(address: str) -> None:
    """Raise OSError if nobody listens: Dask's client would keep trying, and complain when it is thrown away."""
    place = urlsplit(address if "://" in address else f"tcp://{address}")
    if place.scheme in {"tcp", "tls"} and place.hostname and place.port:
        with closing(socket.create_connection((place.hostname, place.port), ANSWER_SECONDS)):
            pass
