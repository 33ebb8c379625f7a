# SPDX-License-Identifier: Apache-2.0
"""Every call of a process that changes what lies below a folder, seen before it is made.

Python's own calls (open for writing, mkdir, rename, link, remove, chmod, ...) are seen by an audit hook. fsync, and
what delta-rs, Arrow and DuckDB do in native code, are seen by standing in for their functions.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import deltalake
import duckdb
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.table import TableAlterer, TableOptimizer

Act = Callable[[str], None]

CHANGES = {
    "os.rename", "os.link", "os.symlink", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.chmod", "os.utime",
}  # fmt: skip
LOOKS = {"os.listdir", "os.scandir"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
NATIVE_CHANGES: dict[type, tuple[str, ...]] = {
    DeltaTable: (
        "create_write_transaction", "create_checkpoint", "vacuum", "cleanup_metadata", "delete", "update", "merge",
        "restore", "compact_logs",
    ),
    TableAlterer: ("add_columns", "set_table_properties", "set_table_description"),
    TableOptimizer: ("compact",),
    pq.ParquetWriter: ("__init__", "write_table", "close"),
}  # fmt: skip
NATIVE_LOOKS: dict[type, tuple[str, ...]] = {DeltaTable: ("__init__",), pq.ParquetFile: ("__init__",)}


class Watch:
    """Tells `act` of calls below `root` by kind; what `act` raises comes out of the call."""

    def __init__(self, root: Path, act: Act, looks: bool) -> None:
        self.root, self.act, self.looks = str(root), act, looks

    def python(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit event of the interpreter."""
        if event == "open":
            self._opened(*arguments)
        elif event == "os.mkdir" and Path(arguments[0]).is_dir():
            return  # nothing will change
        elif (event in CHANGES or (self.looks and event in LOOKS)) and any(map(self._is_inside, arguments)):
            self.act(event)

    def _opened(self, path: object, _mode: object, flags: int) -> None:
        changes = bool(flags & WRITING)
        if (changes or self.looks) and self._is_inside(path):
            self.act("open for writing" if changes else "open for reading")

    def _is_inside(self, path: object) -> bool:
        return isinstance(path, str | bytes | os.PathLike) and f"{os.fsdecode(path)}/".startswith(f"{self.root}/")


_watches: list[Watch] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    for watch in _watches:
        watch.python(event, arguments)


@functools.cache
def _install() -> None:
    """An audit hook stays for the life of the process, so there is one, which does nothing while nobody watches."""
    sys.addaudithook(_hook)


@contextmanager
def watching(root: Path, act: Act, looks: bool = False) -> Iterator[None]:
    """Tell `act` of every call of the block that changes anything below `root`; of those that only look there if asked.

    One watch at a time.
    """
    _install()
    watch = Watch(root, act, looks)
    with ExitStack() as stack:
        for patch in _stand_ins(watch):
            stack.enter_context(patch)
        _watches.append(watch)
        stack.callback(_watches.remove, watch)
        yield


def _stand_ins(watch: Watch) -> Iterator[Any]:
    """Patches of the functions that work in native code."""
    kinds = [NATIVE_CHANGES, *([NATIVE_LOOKS] if watch.looks else [])]
    for owner, name in [(owner, name) for kind in kinds for owner, names in kind.items() for name in names]:
        yield mock.patch.object(owner, name, _told(watch, f"{owner.__name__}.{name}", getattr(owner, name)))
    yield mock.patch.object(DeltaTable, "create", staticmethod(_told(watch, "DeltaTable.create", DeltaTable.create)))
    yield mock.patch.object(os, "fsync", _told(watch, "os.fsync", os.fsync))
    yield mock.patch.object(duckdb, "connect", _told(watch, "duckdb.connect", duckdb.connect))
    write = deltalake.write_deltalake
    for module in [m for m in list(sys.modules.values()) if getattr(m, "write_deltalake", None) is write]:
        yield mock.patch.object(module, "write_deltalake", _told(watch, "write_deltalake", write))


def _told(watch: Watch, kind: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arguments: Any, **keywords: Any) -> Any:
        watch.act(kind)
        return function(*arguments, **keywords)

    return call
