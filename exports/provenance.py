# SPDX-License-Identifier: Apache-2.0
"""What a version of a product was made from, as the journal keeps it: enough to make it again, and to say what changed.

None of it gets into the file, whose bytes follow from data and definitions alone.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exports.istp.outline import outline
from lake.config import CHECKOUT
from lake.definitions import Calibration, Definitions, Instrument, Mission, Product, Table
from lake.errors import ExportError, StorageError
from lake.files import sha256_of
from lake.ledger import fingerprint, l0_definition, release, table_definition
from lake.margins import margins
from lake.store import Journal

if TYPE_CHECKING:
    from exports.istp.structure import Structure

SOURCES = ("lake", "ingest", "exports")  # with the transforms, the code that bytes depend on
EXPECTED = {"rules", "watch"}  # of a table: they judge the rows, and change nothing in them
PACKAGES = ("cdflib", "deflate", "deltalake", "numpy", "pint", "polars", "pyarrow")
GIT_SECONDS = 30
CALIBRATIONS = "calibrations"  # the journal's copies of calibration files, by sha256
ELSEWHERE = "+missions elsewhere"

TableDay = tuple[Table, date]
Runs = Mapping[tuple[str, date], Mapping[str, Any]]  # the run that counts of each table-day, as `last_runs` gives them


@dataclass(frozen=True)
class MadeFrom:
    """What a version was made from.

    outline : fingerprint of the outline of its structure, which cdf.lock holds; older lakes recorded less of it,
        under another name
    algorithm : fingerprint of the transforms that ran, and of the definitions that they and the decoder obeyed
    calibrations : sha256 of each calibration file, by its name without `.csv`
    definitions : fingerprint of all that missions/ says about the product, words included
    raw : keys of the receipts of the raw files, in order of arrival
    code : sha256 of the Python files that bytes depend on
    commit : commit of the checkout, `-dirty` if files were changed since, and `+missions elsewhere` if the definitions
        were read from outside of it; None outside of git
    release : version of the code; it and its day are in the file
    packages : version of each library that bytes depend on
    released : day of the release as YYYY-MM-DD; empty in entries of older lakes
    """

    outline: str
    algorithm: str
    calibrations: dict[str, str]
    definitions: str
    raw: tuple[str, ...]
    code: str
    commit: str | None
    release: str
    packages: dict[str, str]
    released: str = ""


def release_of(entry: dict[str, Any]) -> tuple[str, date]:
    """Version and day of the release that a journal's entry of a version was made by; today's if it does not say."""
    before = entry.get("made_from") or {}
    return (before["release"], date.fromisoformat(before["released"])) if before.get("released") else release()


def made_from(
    definitions: Definitions,
    product: Product,
    table: Table,
    day: date,
    structure: Structure,
    runs: Runs,
    raw: Iterable[str],
) -> MadeFrom:
    """What a product-day is made from: its rows from what their runs recorded, its words from missions/ as it is now.

    Raises ExportError if a run used a calibration that is not there any more.
    """
    version_of_code, released = release()
    return MadeFrom(
        outline=outline_of(structure),
        algorithm=algorithm_of(definitions, table, day, runs),
        calibrations=calibrations_of(definitions, table, day, runs),
        definitions=definitions_of(definitions, product, table, lineage(definitions, table, day)),
        raw=tuple(raw),
        code=code_of(table.mission),
        commit=commit(definitions.path),
        release=version_of_code,
        packages=packages(),
        released=released.isoformat(),
    )


def outline_of(structure: Structure) -> str:
    """Fingerprint of what cdf.lock holds of a dataset; words and the values of dated axes are left out."""
    return fingerprint(list(outline(structure).items()))


def algorithm_of(definitions: Definitions, table: Table, day: date, runs: Runs) -> str:
    """Fingerprint of how raw bytes became the rows of a table-day, calibrations apart."""
    tables = {t.address: t for t in definitions.ancestors(table)}
    used = {address: _used(runs, t, day) for address, t in tables.items() if t.inputs}
    transformed = sorted((a, parts.get("definition") or table_definition(tables[a])) for a, parts in used.items())
    codes = sorted({parts["code"] for parts in used.values() if parts})
    instruments = {(t.mission, t.instrument) for t in tables.values() if t.level == "l0"}
    decoded = [
        (mission, name, l0_definition(definitions.mission(mission), definitions.mission(mission).instrument(name)))
        for mission, name in sorted(instruments)
    ]
    return fingerprint(codes, transformed, decoded)


def _used(runs: Runs, table: Table, day: date) -> dict[str, str]:
    """What the rows of a table-day depend on, as their run recorded it; nothing for L0 and for a day without a run."""
    run = runs.get((table.address, day))
    return dict(json.loads(run["depends_on"])) if run else {}


def lineage(definitions: Definitions, table: Table, day: date) -> list[TableDay]:
    """The table-day and all those that it descends from, inputs first.

    Days of L0 tables beside it, of which only a margin is seen, are left out; ops.margins knows their files.
    """
    found: dict[tuple[str, date], TableDay] = {}
    _trace(definitions, table, day, found)
    return list(found.values())


def _trace(definitions: Definitions, table: Table, day: date, found: dict[tuple[str, date], TableDay]) -> None:
    if (table.address, day) in found:
        return
    for name in table.inputs.values():
        _trace(definitions, definitions.tables[f"{table.mission}.{name}"], day, found)
    for margin in margins(definitions, table, day):
        if margin.source.inputs:
            _trace(definitions, margin.source, margin.day, found)
    found[table.address, day] = (table, day)


def calibrations_of(definitions: Definitions, table: Table, day: date, runs: Runs | None = None) -> dict[str, str]:
    """sha256 of each calibration that a table-day or one that it descends from may use, by file name without `.csv`.

    Before the names of files that another instrument's tables use stands that instrument: `meddea/pixel_map_20240101`.

    Where there is a run of a table-day, it is what the run used. Raises ExportError if that is not there any more.
    """
    used: dict[str, str] = {}
    for t, its_day in lineage(definitions, table, day):
        parts = _used(runs or {}, t, its_day)
        found = (
            _calibrations_used(definitions, t, its_day, parts) if parts else calibrations_valid(definitions, t, its_day)
        )
        used |= {calibration_key(table, t.instrument, calibration): calibration.sha256 for calibration in found}
    return dict(sorted(used.items()))


def calibration_key(table: Table, instrument: str, calibration: Calibration) -> str:
    """By what a product of a table names a calibration that an instrument of its lineage used."""
    return calibration.stem if instrument == table.instrument else f"{instrument}/{calibration.stem}"


def _calibrations_used(definitions: Definitions, table: Table, day: date, parts: dict[str, str]) -> list[Calibration]:
    """The calibrations whose names and hashes a run recorded."""
    known = {(f"calibration {c.name}", c.sha256): c for c in definitions.instrument(table).calibrations}
    wanted = [part for part in parts.items() if part[0].startswith("calibration ") and part[1]]
    lost = [f"{name} (sha256 {sha256})" for name, sha256 in wanted if (name, sha256) not in known]
    if lost:
        raise ExportError(
            f"{table.address}@{day}: was built with {', '.join(lost)}, which is not in missions/ any more. "
            f"Run `swxlake transform {table.address}` first"
        )
    return [known[part] for part in wanted]


def archive_calibrations(journal: Journal, mission: Mission, table: Table, calibrations: Mapping[str, str]) -> None:
    """Copy the files of a table's calibrations, by key and sha256, to journal/calibrations. What is there stays.

    Raises ExportError if a file is not any more what was read from it.
    """
    known = known_calibrations(mission, table)
    for key, sha256 in calibrations.items():
        calibration = known[key, sha256]
        try:
            content = calibration.content()
        except OSError:
            content = b""
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ExportError(f"{calibration.path}: was changed while it was used. Run `swxlake night` again")
        journal.write_once(CALIBRATIONS, sha256, {"name": calibration.stem, "text": content.decode()})


def known_calibrations(mission: Mission, table: Table) -> dict[tuple[str, str], Calibration]:
    """All calibrations of a mission by the key under which a product of the table names them, and sha256."""
    return {(calibration_key(table, i.name, c), c.sha256): c for i in mission.instruments for c in i.calibrations}


def archived_calibration(journal: Journal, sha256: str) -> bytes | None:
    """The bytes of a calibration file, if the journal has it. Raises StorageError if they have changed there."""
    entry = journal.entry(CALIBRATIONS, sha256)
    if entry is None:
        return None
    content = str(entry.get("text")).encode()
    if hashlib.sha256(content).hexdigest() != sha256:
        where = journal.storage.uri(f"journal/{CALIBRATIONS}/{sha256}.json")
        raise StorageError(f"{where}: its text has another sha256. Restore it from a backup.")
    return content


def calibrations_valid(definitions: Definitions, table: Table, day: date) -> list[Calibration]:
    """The calibrations of a table itself that are valid on a day."""
    instrument = definitions.instrument(table)
    names = (*table.calibrations, *table.optional_calibrations, *table.axis_calibrations)
    return [found for name in names if (found := instrument.calibration(name, day)) is not None]


def definitions_of(definitions: Definitions, product: Product, table: Table, table_days: list[TableDay]) -> str:
    """Fingerprint of what missions/ says about a product, its attributes included; calibrations apart."""
    mission, own = definitions.mission(table.mission), definitions.instrument(table)
    words = {"short_name", "title", "status", "status_reason", "unknowns", "assumed", "cdf"}
    tables = {table.address: table for table, _ in table_days}
    return fingerprint(
        mission.model_dump(mode="json", include={"valid_time", "cdf"}),
        own.model_dump(mode="json", include=words),
        [_decoding_facts(mission.instrument(name)) for name in sorted({t.instrument for t in tables.values()})],
        product.model_dump(mode="json"),
        [table.model_dump(mode="json", exclude=EXPECTED) for _, table in sorted(tables.items())],
    )


def _decoding_facts(instrument: Instrument) -> dict[str, Any]:
    """What an instrument's raw files are decoded by. Where its files stand is no part of it."""
    place = {"__all__": {"file"}}
    facts = {"clock", "valid_time", "packets", "records", "transports", "flags"}
    return instrument.model_dump(mode="json", include=facts, exclude={"packets": place, "records": place})


@cache
def code_of(mission: str) -> str:
    """sha256 of the Python files that products of a mission depend on; other missions' transforms are left out."""
    folders = [*(CHECKOUT / name for name in SOURCES), CHECKOUT / "transforms" / mission]
    paths = {path for folder in folders for path in folder.rglob("*.py")} | set((CHECKOUT / "transforms").glob("*.py"))
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.relative_to(CHECKOUT).as_posix()} {sha256_of(path)}\n".encode())
    return digest.hexdigest()


def commit(missions: Path) -> str | None:
    """The checkout's commit; `-dirty` follows where files that git knows were changed.

    A mark follows where missions/ lies outside: the commit says nothing of it.
    """
    found = _described()
    inside = missions.resolve().is_relative_to(CHECKOUT)
    return found if found is None or inside else found + ELSEWHERE


@cache
def _described() -> str | None:
    """What git says of the checkout, asked once."""
    command = ["git", "--no-optional-locks", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    if not (CHECKOUT / ".git").exists():
        return None  # another repository around the checkout would be a wrong answer
    try:
        done = subprocess.run(  # noqa: S603  a fixed command
            command, cwd=CHECKOUT, capture_output=True, text=True, timeout=GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None  # no git, or it refuses a checkout of another user
    return done.stdout.strip() or None


@cache
def packages() -> dict[str, str]:
    """Versions of Python and of the libraries that bytes depend on."""
    found = {name: version(name) for name in PACKAGES}
    return {"python": ".".join(map(str, sys.version_info[:2])), **found}
