# SPDX-License-Identifier: Apache-2.0
"""fsck of what went out: journal/versions, ops.exports and exports/, releases, and what products rest on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from exports.books import PRODUCTS, products
from exports.istp.globals import logical_source
from exports.versions import KEY, Version, parse_version
from lake.errors import TableError
from lake.ledger import read_ops
from lake.maintenance import released_states
from lake.reading import file_sizes, open_table
from lake.store import JOURNAL, Lake
from swxlake.findings import FROM_BACKUP, Findings

AGAIN = "`swxlake reproduce {key} --restore`"
EXPORT = "Run `swxlake export`, which publishes it again."
FORCE = "Run `swxlake export --force`, which puts it away and writes it again."
RESTORE = f"Restore it from a backup, or make it again with {AGAIN}."
AWAY = f"Run {AGAIN}, which puts it away and makes it again, or restore it from a backup."
ROWS_ANEW = "Remove {place}; the next `swxlake export` makes it anew, with the newest versions."
NOT_OURS = "Move it away, or restore the entry of the journal from a backup."
Rows = dict[str, dict[str, Any]]


def look_at_products(found: Findings, receipts: Iterable[str], books: bool) -> None:
    """Compare journal/versions with the files in exports/, with ops.exports if `books`, and with what they rest on."""
    versions = {
        key: entry for key, entry in found.journal("versions", bytes=int, sha256=str).items() if KEY.fullmatch(key)
    }
    files = _files(found)
    rows = _rows(found) if books else None
    newest = _newest(versions)
    published = {path.rpartition("/")[2].removesuffix(".cdf") for path in rows or ()}
    for key, entry in versions.items():
        is_newest = newest[key.rpartition("_v")[0]] == key
        if (path := files.get(key)) is None:
            _absent(found, key, is_newest, key in published)
        else:
            _version(found, path, entry, is_newest, rows)
    for key, path in files.items():
        if key not in versions:
            found.problem(found.uri(path), "has a version that journal/versions did not give out", NOT_OURS)
    for path, row in (rows or {}).items():
        _row(found, path, row, versions, set(newest.values()))
    _raw(found, versions, set(receipts))
    _calibrations(found, {key: versions[key] for key in newest.values()})


def look_at_journal(found: Findings) -> None:
    """Entries that cannot be read, and releases whose products or tables are not there any more."""
    kinds = {entry.key.split("/")[1] for entry in found.below(JOURNAL) if entry.key.count("/") == 2}
    for entry in found.below(JOURNAL):
        if entry.key.count("/") != 2 or not entry.key.endswith(".json"):
            found.problem(found.uri(entry.key), "is no entry of the journal", "Move it away.")
    for kind in sorted(kinds - {"releases"}):
        found.journal(kind)
    newest = set(_newest(key for key in found.journal("versions") if KEY.fullmatch(key)).values())
    for name, release in found.journal("releases", tables=dict, products=list).items():
        with found.reading(found.uri(f"{JOURNAL}releases/{name}.json"), f"{FROM_BACKUP}."):
            _release(found, name, release, newest)
    with found.reading(found.uri(f"{JOURNAL}releases"), f"{FROM_BACKUP}."):
        _released_tables(found)


def _files(found: Findings) -> dict[str, str]:
    """Keys of published files by name without extension; what is no product is a difference."""
    files: dict[str, str] = {}
    for entry in found.below(PRODUCTS):
        stem, _, extension = entry.key.rpartition("/")[2].rpartition(".")
        if extension != "cdf" or not KEY.fullmatch(stem):
            found.problem(found.uri(entry.key), "is no product of this lake", "Move it away.")
        elif stem in files:
            found.problem(found.uri(entry.key), f"is also at {found.uri(files[stem])}", "Move one of them away.")
        else:
            files[stem] = entry.key
    found.counts["products"] = len(files)
    return files


def _rows(found: Findings) -> Rows:
    """The newest row of ops.exports by path."""
    rows = read_ops(found.lake, "exports").sort("run_id", maintain_order=True)
    return {row["path"]: row for row in rows.iter_rows(named=True)}


def _newest(versions: Iterable[str]) -> dict[str, str]:
    """Key of the newest version by product-day."""
    newest: dict[str, tuple[Version, str]] = {}
    for key in versions:
        stem, _, text = key.rpartition("_v")
        newest[stem] = max((parse_version(text), key), newest.get(stem, (parse_version(text), key)))
    return {stem: key for stem, (_, key) in newest.items()}


def _version(found: Findings, path: str, entry: dict[str, Any], is_newest: bool, rows: Rows | None) -> None:
    """A version that was given out, its file, and its row in ops.exports."""
    if wrong := found.differs(path, entry["bytes"], entry["sha256"]):
        found.problem(found.uri(path), wrong, FORCE if is_newest else AWAY.format(key=_key(path)))
    if rows is not None and path not in rows:
        if is_newest:
            found.problem(found.uri(path), "has no row in ops.exports", "Run `swxlake export`, which writes it.")
        else:
            found.notes.append(f"{found.uri(path)}: has no row in ops.exports, which was made anew since")


def _key(path: str) -> str:
    """The version that a path is of."""
    return path.rpartition("/")[2].removesuffix(".cdf")


def _absent(found: Findings, key: str, is_newest: bool, is_known: bool) -> None:
    """A version without its file: never published, or lost."""
    place = found.uri(f"{JOURNAL}versions/{key}.json")
    if is_known:
        found.problem(f"{key}.cdf", "was published and is missing", EXPORT if is_newest else RESTORE.format(key=key))
    elif is_newest:
        what = "was given out and never published"
        found.problem(place, what, "Run `swxlake export`, which publishes it, or the next version.")
    else:
        found.notes.append(f"{place}: an older version that is not in exports/; {AGAIN.format(key=key)} puts it there")


def _row(found: Findings, path: str, row: dict[str, Any], versions: Rows, newest: set[str]) -> None:
    """A row of ops.exports, the path in it, and the journal's entry about the same version."""
    key = _key(path)
    entry, place = versions.get(key), f"ops.exports: {path}"
    remedy = "Run `swxlake export --force`, which writes the row again."
    if key not in newest:
        remedy = ROWS_ANEW.format(place=_rows_at(found))
    said = f"{row['product']}@{row['day']} version {row['version']}"
    if said != (named := _named(found, path)):
        found.problem(place, f"is about {said}, its path about {named}", ROWS_ANEW.format(place=_rows_at(found)))
    if entry is None:
        what = "was published under a version that journal/versions does not have"
        found.problem(place, what, f"Restore journal/versions/{key}.json from a backup.")
    elif (row["sha256"], row["bytes"]) != (entry["sha256"], entry["bytes"]):
        what = f"has sha256 {row['sha256']}, journal/versions says {entry['sha256']}"
        found.problem(place, what, remedy)


def _rows_at(found: Findings) -> str:
    return found.lake.table_uri(found.lake.ops("exports"))


def _named(found: Findings, path: str) -> str:
    """Product, day and version that a path stands for."""
    match, definitions = KEY.fullmatch(_key(path)), found.lake.definitions
    sources = {logical_source(t, definitions.instrument(t)): t.address for _, t in products(definitions)}
    return (
        f"{sources.get(match['source'])}@{date.fromisoformat(match['day'])} version {match['version']}" if match else ""
    )


def _raw(found: Findings, versions: Rows, receipts: set[str]) -> None:
    """Raw files that products were made from and that raw/ lacks."""
    made: dict[str, list[str]] = {}
    for key, entry in versions.items():
        for receipt in (entry.get("made_from") or {}).get("raw", ()):
            made.setdefault(receipt, []).append(key)
    for receipt in sorted(made.keys() - receipts):
        what = f"is not in raw/, and {made[receipt][-1]} was made from it"
        found.problem(f"receipt {receipt}", what, "Restore it, and its bytes, from a backup.")


def _calibrations(found: Findings, newest: Rows) -> None:
    """Calibrations that the newest products were made with and that missions/ lacks, or has changed."""
    known: dict[str, set[str]] = {}
    for mission in found.lake.definitions.missions:
        for c in (c for instrument in mission.instruments for c in instrument.calibrations):
            known.setdefault(c.stem, set()).add(c.sha256)
    used: dict[tuple[str, str], list[str]] = {}
    for key, entry in newest.items():
        for name, sha256 in (entry.get("made_from") or {}).get("calibrations", {}).items():
            used.setdefault((name.rpartition("/")[2], sha256), []).append(key)
    for (stem, sha256), keys in sorted(used.items()):
        about = f"{len(keys)} products such as {keys[-1]} were made with it (sha256 {sha256})"
        if stem not in known:
            remedy = "Restore it from version control, or run `swxlake night` to build without it."
            found.problem(f"calibration {stem}.csv", f"is not in missions/, but {about}", remedy)
        elif sha256 not in known[stem]:
            found.notes.append(f"calibration {stem}.csv: has changed, {about}; `swxlake night` builds them again")


def _release(found: Findings, name: str, release: dict[str, Any], newest: set[str]) -> None:
    """Products of a release that are not there as they were."""
    for product in release["products"]:
        key = str(product["path"])
        is_newest = _key(key) in newest
        if found.size(key) is None:
            what, remedy = "is missing", EXPORT if is_newest else RESTORE
        elif found.quick or (digest := found.sha256(key)) in (product["sha256"], None):
            continue
        else:
            what, remedy = f"has changed: its sha256 is {digest}, not {product['sha256']}", FORCE if is_newest else AWAY
        found.problem(found.uri(key), f"{what}, and the release {name} has it", remedy.format(key=_key(key)))


def _released_tables(found: Findings) -> None:
    """Tables of releases that cannot be read as they were; that of a lake that was rebuilt is gone for good."""
    tables = (*found.lake.definitions.tables.values(), *found.lake.definitions.ops)
    for state in released_states(found.lake):
        lake = Lake(found.lake.root, found.lake.definitions, state)
        for table in (table for table in tables if table.address in state.versions):
            try:
                delta = open_table(lake, table)
            except TableError as error:
                found.notes.append(f"release {state.words}: {error}")
                continue
            sizes = file_sizes(delta) if delta is not None else {}
            if any(found.size(lake.storage.key(path)) != size for path, size in sizes.items()):
                what = f"files of {table.address} as of this release are missing or cut short"
                found.problem(f"release {state.words}", what, "Restore tables/ from a backup.")
