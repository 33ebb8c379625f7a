# SPDX-License-Identifier: Apache-2.0
"""What a lake says about what it took in, and the same lake made again from its raw archive and journal."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from lake.ledger import read_ops
from lake.reading import data_files, open_table
from lake.store import Lake
from tests.meddea import rows, take

L0 = ("l0_photon_packet", "l0_photon", "l0_housekeeping", "l0_register")
OPS = ("files", "quarantine", "gaps", "packets", "contents")
OWN_WORDS = ("table_id", "run_id", "received_at")


def state(lake: Lake) -> dict[str, list[Any]]:
    """Everything that a lake says about what it took in, without the wall clock's share, in a fixed order."""
    tables = {name: rows(lake, name) for name in L0}
    ops = {name: read_ops(lake, name) for name in OPS}
    ops = {name: frame.drop(set(frame.columns) & set(OWN_WORDS)) for name, frame in ops.items()}
    return {name: sorted(frame.rows(), key=str) for name, frame in (tables | ops).items()}


def stored_twice(lake: Lake) -> list[str]:
    """L0 tables with two rows of the same bytes."""
    once = {name: ["file_sha256", "byte_offset", *(["clocks"] if name == "l0_photon" else [])] for name in L0}
    return [name for name, key in once.items() if rows(lake, name).select(key).is_duplicated().any()]


def rebuilt(lake: Lake, root: Path) -> Lake:
    """A lake made from copies of raw/ and journal/ alone."""
    for folder in ("raw", "journal"):
        shutil.copytree(Path(lake.root) / folder, root / folder)
    made = Lake(root, lake.definitions)
    take(made, run="rebuilt")
    return made


def never_committed(lake: Lake) -> list[str]:
    """Parquet files beside MeDDEA's tables that no newest version names."""
    tables = [lake.definitions.tables[f"padre.meddea_{name}"] for name in L0]
    visible = {file for table in tables if (delta := open_table(lake, table)) for file in data_files(delta)}
    lying = {lake.storage.uri(entry.key) for entry in lake.storage.entries("tables/padre/")}
    return sorted(uri for uri in lying - visible if uri.endswith(".parquet") and "/_delta_log/" not in uri)
