# SPDX-License-Identifier: Apache-2.0
"""The code of transforms: which function makes a table, and what its result depends on, module by module."""

from __future__ import annotations

import importlib
import os
import socket
import sys
from collections.abc import Callable, Iterator

import polars as pl

from lake.code import source, unchanged
from lake.definitions import Table
from lake.errors import ConfigurationError, DefinitionError
from lake.labels import code_fingerprint, transform_module

Transform = Callable[..., pl.LazyFrame | Iterator[pl.DataFrame]]


def transform_of(table: Table) -> Transform:
    """The function that makes a table: `l1_photon` of transforms/padre/meddea.py for `padre.meddea_l1_photon`, or its
    `method`.
    """
    module, name = transform_module(table), table.method or table.descriptor
    source(module)
    function: Transform | None = getattr(importlib.import_module(module), name, None)
    if function is None:
        path = module.replace(".", "/")
        raise DefinitionError(f"{table.address}: {path}.py has no function {name}. Write it.")
    return function


def check_code(table: Table, planned: str) -> None:
    """Raises ConfigurationError if this process runs other code for a table than was planned.

    A worker may be older than the plan, and files may change while a process runs: it is to be asked before the module
    is imported.
    """
    name = transform_module(table)
    fresh = name in sys.modules or unchanged((name,), "transforms")
    if not fresh or code_fingerprint(table) != planned:
        where = f"process {os.getpid()} on {socket.gethostname()}"
        raise ConfigurationError(
            f"{table.address}: {where} has other code of its transform than the plan. Restart the workers, then repeat."
        )
