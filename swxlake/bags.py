# SPDX-License-Identifier: Apache-2.0
"""`swxlake bag`: a release as a BagIt bag (RFC 8493): its products, the rows of its tables, and what is said of it."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lake.errors import ConfigurationError, ExportError, StorageError
from lake.files import copy_hashed, writing
from lake.reading import data_files, open_table
from lake.store import AsOf, Journal, Lake
from swxlake.outcome import Outcome

BAG_INFO = "bag-info.txt"
CHECKSUMS = ["sha256", "sha512"]  # RFC 8493 section 2.4 asks for at least sha512 where nothing else is agreed


def make_bag(lake: Lake, name: str, to: Path, doi: str = "", tables: bool = True) -> Outcome:
    """Pack a release into a new folder, and have it judged by bagit's own validator.

    Raises ConfigurationError if there is no such release or the folder is there; ExportError if one of its files is
    missing or has other bytes than the release says; then there is no folder.
    """
    import bagit  # noqa: PLC0415  only this command needs it

    entry = Journal(lake).entry("releases", name)
    if entry is None:
        raise ConfigurationError(f"{name!r}: is no release. `swxlake releases` lists them.")
    if to.exists():
        raise ConfigurationError(f"{to}: is there already. Name a folder that is to be made.")
    logging.getLogger("bagit").setLevel(logging.ERROR)  # it tells of each file
    part = to.with_name(f".{to.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        counts = _fill(lake, name, entry, part, tables)
        bagit.make_bag(str(part), _info(name, entry, doi), checksums=CHECKSUMS)
        bagit.Bag(str(part)).validate()
        with writing(to):
            part.rename(to)
    except bagit.BagError as error:
        raise ExportError(f"{to}: is no valid bag ({error}). Look at the disk, then repeat.") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Outcome(facts={"bag": str(to), "release": name, "holds": counts})


def _info(name: str, entry: dict[str, Any], doi: str) -> dict[str, str]:
    """What bag-info.txt says, in the words of RFC 8493 section 2.2.2 and a title."""
    info = {
        "Title": f"Release {name}",
        "External-Description": entry["why"],
        "External-Identifier": name,
        "Date": entry["made_at"],
        "Bag-Software-Agent": f"swxlake {entry['release']}",
    }
    return info | ({"DOI": doi} if doi else {})


def _fill(lake: Lake, name: str, entry: dict[str, Any], folder: Path, tables: bool) -> dict[str, int]:
    """Copy the release into a folder; how many files of each kind."""
    for product in entry["products"]:
        _copy(lake, product["path"], folder / product["path"], product["sha256"])
    keys = list(_table_files(lake, name, entry)) if tables else []
    for key in keys:
        _copy(lake, key, folder / key)
    text = json.dumps(entry, indent=1, sort_keys=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "release.json").write_text(f"{text}\n", encoding="utf-8")
    return {"products": len(entry["products"]), "table_files": len(keys)}


def _table_files(lake: Lake, name: str, entry: dict[str, Any]) -> Iterator[str]:
    """Keys of the Parquet files of all tables as the release has them. Raises TableError if it lost one."""
    versions = {address: table["version"] for address, table in entry["tables"].items()}
    ids = {address: table["id"] for address, table in entry["tables"].items()}
    past = Lake(lake.root, lake.definitions, AsOf(name, versions, ids))
    for table in (*lake.definitions.tables.values(), *lake.definitions.ops):
        delta = open_table(past, table)
        yield from (lake.storage.key(uri) for uri in (data_files(delta) if delta is not None else ()))


def _copy(lake: Lake, key: str, target: Path, sha256: str | None = None) -> None:
    """Copy an object. Raises ExportError if it is missing, or does not have this hash."""
    remedy = f"Restore it from a backup, or make it again with `swxlake reproduce {target.stem} --restore`."
    try:
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        with lake.storage.local(key) as path, writing(target), target.open("xb") as file:
            found = copy_hashed(path, file)
    except StorageError as error:
        raise ExportError(f"{key}: cannot be packed ({error}). {remedy}") from None
    if sha256 is not None and found != sha256:
        raise ExportError(f"{key}: has changed since the release. {remedy}")
