# SPDX-License-Identifier: Apache-2.0
"""Checks before a run: definitions, transforms, products, storage and alerts, each with a word and a remedy."""

from __future__ import annotations

import importlib
import os
import secrets
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from lake.definition_watch import unheard_alarms
from lake.definitions import Table
from lake.errors import DefinitionError, StorageError, SwxlakeError, TableError
from lake.ledger import release
from lake.maintenance import parquet_files
from lake.reading import file_sizes, open_table
from lake.storage import LOCKS
from lake.store import RAW, Lake, RawArchive
from lake.units import check_units
from swxlake.doctor_alerts import examine_alerts
from swxlake.doctor_backup import examine_backup
from swxlake.doctor_contacts import examine_contacts
from swxlake.doctor_delivery import examine_delivery
from swxlake.doctor_forward import examine_forward
from swxlake.doctor_receive import examine_receive
from swxlake.doctor_watch import examine_channels, examine_limits, examine_orbits, examine_rules
from swxlake.outcome import Outcome

FREE_BYTES = 1 << 30
OTHERS = (  # those that have to do with somebody else, each by settings of its own
    examine_receive,
    examine_contacts,
    examine_alerts,
    examine_delivery,
    examine_forward,
    examine_backup,
)
PACKAGES = ("pyarrow", "duckdb", "polars", "deltalake", "cdflib", "great-expectations", "numpy", "scipy")


def examine(lake: Lake) -> Outcome:
    """Run every check; a failed one is a problem."""
    checks: dict[str, Callable[[Lake], str]] = {
        "code": _code,
        "definitions": _definitions,
        "units": _units,
        "limits": _limits,
        "channels": _channels,
        "rules": _rules,
        "orbits": _orbits,
        "unpackers": _unpackers,
        "transforms": _transforms,
        "calibrations": _calibrations,
        "products": _products,
        "storage": _storage,
        "archive": _archive,
        "tables": _tables,
    }
    outcome = Outcome()
    for name, look in checks.items():
        try:
            outcome.facts[name] = look(lake)
        except SwxlakeError as error:
            outcome.facts[name] = "not well"
            outcome.problems.append(f"{name}: {error}")
    outcome.notes += unheard_alarms(lake.definitions)
    for examine_others in OTHERS:
        outcome.include(examine_others(lake))
    return outcome


def _code(_: Lake) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"swxlake {release()[0]}, Python {sys.version.split()[0]}, {packages}"


def _definitions(lake: Lake) -> str:
    tables = len(lake.definitions.tables)
    instruments = [f"{m.name}/{i.name}" for m in lake.definitions.missions for i in m.instruments]
    return f"{lake.definitions.path}: {', '.join(instruments)}, {tables} tables"


def _units(lake: Lake) -> str:
    return f"{check_units(lake.definitions)} different units, all known"


def _limits(lake: Lake) -> str:
    return examine_limits(lake.definitions)


def _channels(lake: Lake) -> str:
    return examine_channels(lake.definitions)


def _rules(lake: Lake) -> str:
    return examine_rules(lake.definitions)


def _orbits(lake: Lake) -> str:
    return examine_orbits(lake.definitions)


def _unpackers(lake: Lake) -> str:
    unpacker_of = importlib.import_module("ingest.unpackers").unpacker_of
    packets = [p for m in lake.definitions.missions for i in m.instruments for p in i.packets]
    named = [packet for packet in packets if unpacker_of(packet) is not None]
    return f"{len(named)} of {len(packets)} packet types have one"


def _transforms(lake: Lake) -> str:
    tables = importlib.import_module("transforms.plan").built_tables(lake)
    for table in tables:
        importlib.import_module("transforms.code").transform_of(table)
    return f"a function for each of {len(tables)} tables"


def _calibrations(lake: Lake) -> str:
    return f"{importlib.import_module('transforms.day').try_calibrations(lake)} table-days without rows could be made"


def _products(lake: Lake) -> str:
    """Every dataset compiles, and none changed its structure since it was locked."""
    missions = lake.definitions.path
    datasets = importlib.import_module("exports.datasets.dataset").datasets(lake.definitions)
    broken = importlib.import_module("swxlake.reference_datasets").broken_locks(missions, datasets)
    if broken:
        raise DefinitionError(next(iter(broken.values()))[0])
    return f"{len(datasets)} CDF products compile"


def _storage(lake: Lake) -> str:
    if isinstance(lake.root, Path) and not os.access(place := _existing(lake.root), os.W_OK):
        raise StorageError(f"{place}: cannot be written. Give the right to write, or choose another --root.")
    free = lake.storage.free_bytes()
    if free is None:
        return f"{lake.root}: {_conditional_writes(lake)}"
    if free < FREE_BYTES:
        raise StorageError(f"{lake.root}: only {free >> 20} MiB are free. Make room before the night.")
    return f"{lake.root}: writable, {free >> 30} GiB free"


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _conditional_writes(lake: Lake) -> str:
    """Raises StorageError if a second writer would overwrite what the first one wrote: commits would be lost."""
    key = f"{LOCKS}/doctor-{secrets.token_hex(8)}"
    try:
        lake.storage.put_new(key, b"first")
        if lake.storage.put_new(key, b"second") or lake.storage.read(key) != b"first":
            raise StorageError(
                f"{lake.root}: the endpoint ignores conditional writes (If-None-Match), so that commits and versions "
                "would be lost. Use an endpoint that honours them."
            )
    finally:
        lake.storage.remove(key)
    return "writable, honours conditional writes"


def _archive(lake: Lake) -> str:
    """Sizes only; contents are verified when a file is decoded again, and by fsck."""
    archive = RawArchive(lake)
    sizes = {entry.key: entry.bytes for entry in lake.storage.entries(RAW)}
    receipts = [archive.receipt(key) for key in archive.keys().values()]
    for receipt in receipts:
        key = archive.bytes_key(receipt)
        if receipt.bytes and sizes.get(key) != receipt.bytes:
            remedy = f"Put {receipt.name} into the inbox again, or restore it from a backup."
            raise StorageError(f"{lake.storage.uri(key)}: is missing or cut short. {remedy}")
    return f"{len(receipts)} raw files, all there in full size"


def _tables(lake: Lake) -> str:
    tables = [*lake.definitions.tables.values(), *lake.definitions.ops]
    held = [table for table in tables if _whole(lake, table)]
    return f"{len(held)} of {len(tables)} tables hold data, all files there in full size"


def _whole(lake: Lake, table: Table) -> bool:
    """True if the table holds data. Raises TableError if one of its files is missing or cut short."""
    delta = open_table(lake, table)
    if delta is None:
        return False
    there = {entry.key: entry.bytes for entry in parquet_files(lake, table)}
    for path, size in file_sizes(delta).items():
        if there.get(lake.storage.key(path)) != size:
            remedy = f"Remove {lake.table_uri(table)}; the next night makes the table again."
            raise TableError(f"{path}: is missing or cut short. {remedy}")
    return True
