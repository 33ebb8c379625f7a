# SPDX-License-Identifier: Apache-2.0
"""Named releases, and the lake as it was: at a release, or at a time.

A release is an entry of journal/releases: the version of every Delta table, and path and sha256 of the newest version
of each product. Maintenance keeps the files that it needs.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from exports.books import last_exports
from exports.provenance import commit
from lake.clock import utc_now
from lake.definitions import Table
from lake.errors import ConfigurationError, TableError
from lake.ledger import release
from lake.maintenance import parquet_files
from lake.reading import data_files, open_table
from lake.store import AsOf, Journal, Lake
from swxlake.outcome import Outcome

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
KIND = "releases"


def make_release(lake: Lake, name: str, why: str) -> Outcome:
    """Freeze the present state under a name; what was frozen is in the outcome.

    Raises ConfigurationError if the name is taken or odd, or if no reason is given.
    """
    _check_name(name, why)
    journal = Journal(lake)
    if journal.entry(KIND, name) is not None:
        raise _taken(name)
    with lake.storage.alone("ingest"), lake.storage.alone("build"):  # nobody is half-way through a night
        entry = _state(lake) | {"why": why}
        if not journal.write_once(KIND, name, entry):
            raise _taken(name)
    facts = {"tables": len(entry["tables"]), "products": len(entry["products"])}
    return Outcome(facts={"release": name, "holds": facts})


def _check_name(name: str, why: str) -> None:
    if not NAME.fullmatch(name):
        raise ConfigurationError(f"release {name!r}: a name has letters a to z, digits and . _ -. Choose another.")
    if _moment(name) is not None:
        raise ConfigurationError(f"release {name!r}: reads as a time. Choose another name, `v{name}` for example.")
    if not why.strip():
        raise ConfigurationError(f"release {name}: without a reason. Give --why TEXT.")


def _taken(name: str) -> ConfigurationError:
    return ConfigurationError(f"release {name}: exists, and releases never change. Choose another name.")


def _state(lake: Lake) -> dict[str, Any]:
    """Versions and identities of all tables that are there, and the newest version of each product-day."""
    opened = {table.address: open_table(lake, table) for table in _tables(lake)}
    found = {address: delta for address, delta in opened.items() if delta is not None}
    rows = (row for _, row in sorted(last_exports(lake).items()))
    return {
        "made_at": utc_now().isoformat(),
        "tables": {a: {"version": delta.version(), "id": str(delta.metadata().id)} for a, delta in found.items()},
        "products": [
            {"product": row["product"], "day": row["day"].isoformat()}
            | {name: row[name] for name in ("version", "path", "sha256")}
            for row in rows
        ],
        "commit": commit(lake.definitions.path),
        "release": release()[0],
    }


def _tables(lake: Lake) -> list[Table]:
    return [*lake.definitions.tables.values(), *lake.definitions.ops]


def list_releases(lake: Lake) -> Outcome:
    """All releases, oldest first."""
    entries = sorted(Journal(lake).entries(KIND).items(), key=lambda item: item[1]["made_at"])
    rows = [
        {
            "release": name,
            "made_at": entry["made_at"][:19],
            "tables": len(entry["tables"]),
            "products": len(entry["products"]),
            "commit": _short(entry["commit"]),
            "why": entry["why"],
        }
        for name, entry in entries
    ]
    return Outcome(facts={"releases": len(rows)}, tables={"releases": rows} if rows else {})


def _short(commit_id: str | None) -> str:
    """The first letters of a commit, which are enough for git, and whether it had changes."""
    name, *dirty = (commit_id or "").split("-")
    return "-".join((name[:12], *dirty))


def as_of(lake: Lake, text: str) -> Lake:
    """The lake as it was: `text` is the name of a release, or a time in ISO format (UTC if it names no zone).

    At a time, each table is at the newest version that was committed by then; a table that did not exist is empty.
    Raises ConfigurationError if the text is neither, and TableError if that state is no longer there.
    """
    moment = _moment(text)
    state = _at_release(lake, text) if moment is None else _at_time(lake, text, moment)
    past = Lake(lake.root, lake.definitions, state)
    lost = [problem for table in _tables(lake) for problem in _lost(past, table)]
    if lost:
        raise TableError(
            f"{'; '.join(lost)}. The state {text} cannot be read any more. Its products can be made again: "
            "`swxlake reproduce PRODUCT`."
        )
    return past


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _at_release(lake: Lake, name: str) -> AsOf:
    entry = Journal(lake).entry(KIND, name) if NAME.fullmatch(name) else None
    if entry is None:
        raise ConfigurationError(
            f"{name!r}: is no release and no time. `swxlake releases` lists them; a time is 2026-08-01T12:00."
        )
    tables = entry["tables"]
    ids = {address: table["id"] for address, table in tables.items()}
    return AsOf(name, {address: table["version"] for address, table in tables.items()}, ids)


def _at_time(lake: Lake, text: str, moment: datetime) -> AsOf:
    found = {table.address: _version_at(lake, table, moment) for table in _tables(lake)}
    return AsOf(text, {address: version for address, version in found.items() if version is not None})


def _version_at(lake: Lake, table: Table, moment: datetime) -> int | None:
    """The newest version of a table that was committed at or before a time; None if there was none.

    Commits are searched as if their times rose with their numbers, as those of one clock do.
    """
    versions = sorted(_logged(lake, table))
    place = bisect_right(versions, moment, key=lambda version: _committed_at(lake, table, version))
    if place:
        return versions[place - 1]
    if versions and versions[0] > 0:
        raise TableError(
            f"{table.address}: its log begins at {_committed_at(lake, table, versions[0])}. Ask for later."
        )
    return None


def _logged(lake: Lake, table: Table) -> Iterator[int]:
    log = f"{lake.table_key(table)}/_delta_log/"
    names = (entry.key.removeprefix(log) for entry in lake.storage.entries(log))
    return (int(name[:20]) for name in names if re.fullmatch(r"\d{20}\.json", name))


def _committed_at(lake: Lake, table: Table, version: int) -> datetime:
    """When a version was committed, as its entry in the log says: times of files change when a lake is copied."""
    lines = lake.storage.read(f"{lake.table_key(table)}/_delta_log/{version:020d}.json").splitlines()
    stamp = next(action["commitInfo"]["timestamp"] for line in lines if "commitInfo" in (action := json.loads(line)))
    return datetime.fromtimestamp(stamp / 1000, UTC)


def _lost(past: Lake, table: Table) -> list[str]:
    """What is missing of a table's state; nothing if all is there."""
    try:
        delta = open_table(past, table)
    except TableError as error:
        return [str(error).rstrip(".")]
    if delta is None:
        gone = past.as_of is not None and table.address in past.as_of.versions
        return [f"{table.address} was removed since"] if gone else []
    there = {entry.key for entry in parquet_files(past, table)}
    missing = [uri for uri in data_files(delta) if past.storage.key(uri) not in there]
    return [f"{table.address} lacks {len(missing)} files of that time, {missing[0]} for one"] if missing else []
