# SPDX-License-Identifier: Apache-2.0
"""Makes a published product again, in an empty lake, from the raw files that were recorded, and compares bytes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from exports.books import products, read_books, subject_of
from exports.istp.globals import logical_source
from exports.provenance import (
    MadeFrom,
    archived_calibration,
    calibrations_of,
    code_of,
    definitions_of,
    known_calibrations,
    lineage,
    packages,
    release_of,
)
from exports.publishing import publish
from exports.versions import KEY, Version, parse_version, version_key
from ingest.arrivals import Arrivals
from ingest.intake import take_in
from lake.clock import utc_now
from lake.definition_calibrations import read_calibrations
from lake.definitions import Calibration, Definitions, Instrument, Product, Table
from lake.errors import ConfigurationError, ExportError, StorageError
from lake.files import sha256_of
from lake.ledger import new_run_id, release
from lake.store import Journal, Lake, RawArchive
from swxlake.outcome import Outcome
from transforms.engine import build_all

if TYPE_CHECKING:
    from exports.product import WrittenProduct


@dataclass(frozen=True)
class Recorded:
    """A version of a product as the journal has it, and the definitions of today that it belongs to.

    `made_by` are version and day of the release that its file names.
    """

    key: str
    product: Product
    table: Table
    day: date
    version: Version
    sha256: str
    made_from: MadeFrom
    made_by: tuple[str, date]


def reproduce(
    lake: Lake, name: str, folder: Path | None = None, anyway: bool = False, restore: bool = False
) -> Outcome:
    """Make a product again and compare it; a problem in the outcome names the first difference.

    `name` is its name or path; without `_vX.Y.Z` it is the newest version. The empty `folder`, a temporary one by
    default, becomes a lake of its own; it is empty again after an error. Calibrations are those that were recorded,
    whatever missions/ has today. `anyway` tries with other definitions or code than recorded, and with calibrations of
    missions/ where the journal has no copy. `restore` puts equal bytes where the published file is missing or changed.

    Raises ExportError if the journal does not know the product, if a raw file is missing or has another hash, or if
    what is here is not what was recorded; ConfigurationError if the folder is not empty.
    """
    recorded = _recorded(lake, name)
    definitions = _as_recorded(lake, recorded)
    differences = _differences(definitions, recorded)
    if differences and not anyway:
        raise ExportError(f"{recorded.key}: {'; '.join(differences)}. {_remedy(recorded.made_from)}")
    with _place(folder) as root:
        empty = Lake(root, definitions)
        _copy_raw(lake, empty, recorded)
        key, made = _make_again(empty, recorded)
        outcome = _compared(lake, recorded, key, made, restore)
    outcome.notes += [*differences, *_other_packages(recorded.made_from)]
    if folder is not None:
        outcome.facts["file"] = str(made.path)
    return outcome


def _recorded(lake: Lake, name: str) -> Recorded:
    """The version of the journal that a product's name or path stands for."""
    journal = Journal(lake)
    key = version_key(journal, name)
    match, entry = KEY.fullmatch(key), journal.entry("versions", key)
    if match is None or entry is None:
        raise ExportError(f"{name}: no such product in the journal. The view ops.latest_products names the newest")
    if entry.get("made_from") is None:
        raise ExportError(f"{key}: was made before its inputs were recorded. Reproduce a later version")
    for product, table in products(lake.definitions):
        if logical_source(table, lake.definitions.instrument(table)) == match["source"]:
            day, version = date.fromisoformat(match["day"]), parse_version(match["version"])
            made_from, sha256 = MadeFrom(**entry["made_from"]), entry["sha256"]
            return Recorded(key, product, table, day, version, sha256, made_from, release_of(entry))
    made_from = MadeFrom(**entry["made_from"])
    raise ExportError(f"{key}: {lake.definitions.path} defines no such product today. {_remedy(made_from)}")


def _as_recorded(lake: Lake, recorded: Recorded) -> Definitions:
    """Today's definitions with the recorded files of each calibration of the product, and no others of that name.

    Where one of these files is lost, those of that name in missions/ stay.
    """
    definitions, mission = lake.definitions, lake.definitions.mission(recorded.table.mission)
    found = _calibrations(lake, recorded)
    used: dict[str, set[str]] = {}
    for t in definitions.ancestors(recorded.table):
        names = {*t.calibrations, *t.optional_calibrations, *t.axis_calibrations}
        used[t.instrument] = used.get(t.instrument, set()) | names
    instruments = tuple(
        _with_recorded(instrument, used.get(instrument.name, set()), recorded, found)
        for instrument in mission.instruments
    )
    changed = mission.model_copy(update={"instruments": instruments})
    return replace(definitions, missions=tuple(changed if m is mission else m for m in definitions.missions))


def _with_recorded(
    instrument: Instrument, used: set[str], recorded: Recorded, found: dict[str, Calibration]
) -> Instrument:
    """An instrument with the recorded calibrations instead of all that have their names and are used."""
    prefix = "" if instrument.name == recorded.table.instrument else f"{instrument.name}/"
    keys = {key for key in recorded.made_from.calibrations if key.rpartition("/")[0] == prefix.rstrip("/")}
    names = used - {key.removeprefix(prefix).rpartition("_")[0] for key in keys - found.keys()}
    others = [c for c in instrument.calibrations if c.name not in names]
    own = [found[key] for key in sorted(keys & found.keys()) if found[key].name in names]
    return instrument.model_copy(update={"calibrations": (*others, *own)})


def _calibrations(lake: Lake, recorded: Recorded) -> dict[str, Calibration]:
    """The recorded calibrations that missions/ or the journal has, by key."""
    known = known_calibrations(lake.definitions.mission(recorded.table.mission), recorded.table)
    found, journal = {}, Journal(lake)
    for key, sha256 in recorded.made_from.calibrations.items():
        if (key, sha256) in known:
            found[key] = known[key, sha256]
        elif (content := archived_calibration(journal, sha256)) is not None:
            found[key] = _read_back(key, content)
    return found


def _read_back(key: str, content: bytes) -> Calibration:
    """A calibration from the bytes of its file."""
    with tempfile.TemporaryDirectory(prefix="swxlake-") as folder:
        Path(folder, f"{key.rpartition('/')[2]}.csv").write_bytes(content)
        return read_calibrations(Path(folder))[0]


def _differences(definitions: Definitions, recorded: Recorded) -> list[str]:
    """What is not what the product was made with."""
    table, before = recorded.table, recorded.made_from
    today = definitions_of(definitions, recorded.product, table, lineage(definitions, table, recorded.day))
    calibrations = calibrations_of(definitions, table, recorded.day)
    odd = {stem: sha256 for stem, sha256 in before.calibrations.items() if calibrations.get(stem) != sha256}
    found = [
        f"calibration {s} is not the one that was used (sha256 {odd[s]}; the journal lacks it)" for s in sorted(odd)
    ]
    if today != before.definitions:
        found.append(f"the definitions of {table.address}, or of what it descends from, were others")
    if release()[0] != before.release:
        found.append(f"it was made by release {before.release}, this is {release()[0]}")
    elif code_of(table.mission) != before.code:
        found.append("the code was another one")
    return found


def _remedy(before: MadeFrom) -> str:
    """How to get what a product was made with."""
    described, _, elsewhere = (before.commit or "").partition("+")
    name, _, dirty = described.partition("-")
    if not name:
        return f"Get release {before.release}, or try with --anyway"
    uncommitted = " (it had changes that were not committed)" if dirty else ""
    missions = ", restore the missions/ of that time, which lay outside the checkout," if elsewhere else ""
    return f"Run `git checkout {name} && make setup`{uncommitted}{missions} and repeat, or try with --anyway"


def _other_packages(before: MadeFrom) -> list[str]:
    today = packages()
    odd = [name for name in before.packages if before.packages[name] != today.get(name)]
    return [f"{name} was {before.packages[name]}, here it is {today.get(name, 'missing')}" for name in odd]


@contextmanager
def _place(folder: Path | None) -> Iterator[Path]:
    """An empty folder, which an error in the block leaves empty; a temporary one if none is given."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="swxlake-") as temporary:
            yield Path(temporary)
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"{folder}: is not an empty folder. Give one that is, or that is not there yet.")
    was_there = folder.exists()
    try:
        yield folder.absolute()
    except BaseException:
        with suppress(OSError):  # what happened before is what the user has to know
            _clear(folder)
            if not was_there:
                folder.rmdir()
        raise


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _copy_raw(lake: Lake, empty: Lake, recorded: Recorded) -> None:
    """Copy the recorded raw files with their receipts and their order of arrival, each verified by its hash."""
    archive, target, problems = RawArchive(lake), RawArchive(empty), []
    known = archive.keys()
    for key in recorded.made_from.raw:
        if key not in known:
            problems.append(f"{lake.storage.uri('raw')}: has no receipt {key}. Restore it from a backup.")
            continue
        receipt = archive.receipt(known[key])
        try:
            with archive.local(receipt) as path:
                target.add(receipt, path)
        except StorageError as error:
            problems.append(str(error))
    if problems:
        raise ExportError(f"{recorded.key}: cannot be made again. {' '.join(problems)}")
    Arrivals(empty).record(recorded.made_from.raw)


def _make_again(empty: Lake, recorded: Recorded) -> tuple[str, WrittenProduct]:
    """The file under its recorded version, and its key in the empty lake. What is checked later was checked before."""
    from exports.making import maker  # noqa: PLC0415  loads the CDF library, which `swxlake --help` does without

    run_id, needed = new_run_id(utc_now()), lineage(empty.definitions, recorded.table, recorded.day)
    take_in(empty, [], run_id, utc_now(), 0)
    tables = list({t.address: t for t, _ in needed if t.inputs}.values())
    built = build_all(empty, run_id, tables, {day for _, day in needed})
    failed = [error for step, error in built.failed if (step.table, step.day) in needed]
    books = read_books(empty)
    if failed or (recorded.table.address, recorded.day) not in books.contents:
        raise ExportError(f"{recorded.key}: cannot be made again. {'; '.join(failed) or 'The day has no rows here'}")
    subject = subject_of(empty, books, recorded.product, recorded.table, recorded.day)
    with maker(empty, subject) as making:
        key = making.key(recorded.version)
        made = making.write(recorded.version, recorded.made_by)
        empty.storage.put_new(key, made.path)
    return key, replace(made, path=Path(empty.root, key))


def _compared(lake: Lake, recorded: Recorded, key: str, made: WrittenProduct, restore: bool) -> Outcome:
    """Whether the bytes are those that the journal recorded, and those that are published."""
    equal, published = made.sha256 == recorded.sha256, _published(lake, key)
    facts = {"product": recorded.key, "sha256": made.sha256, "raw_files": len(recorded.made_from.raw), "equal": equal}
    outcome = Outcome(facts=facts)
    if not equal:
        difference = _difference(lake, key, made.path, published, recorded.sha256)
        outcome.problems.append(f"{recorded.key}: made again it has other bytes; {difference}")
    if published == recorded.sha256:
        return outcome
    if equal and restore:
        _restore(lake, key, made, outcome)
        return outcome
    remedy = f"Run `swxlake reproduce {recorded.key} --restore`" if equal else "Restore it from a backup"
    if published is None:
        outcome.notes.append(f"{lake.storage.uri(key)}: is not there. {remedy}")
    else:
        outcome.problems.append(f"{lake.storage.uri(key)}: was changed after it had been published. {remedy}")
    return outcome


def _published(lake: Lake, key: str) -> str | None:
    """sha256 of the published file; None if it is not there."""
    if lake.storage.size(key) is None:
        return None
    with lake.storage.local(key) as path:
        return sha256_of(path)


def _restore(lake: Lake, key: str, made: WrittenProduct, outcome: Outcome) -> None:
    """Put the file where it was published, beside others that export; one that was changed is moved to damaged/."""
    with lake.storage.alone("build"):
        published = publish(lake.storage, key, made)
    outcome.facts["restored"] = lake.storage.uri(key)
    outcome.notes += [published.damaged] if published.damaged else []


def _difference(lake: Lake, key: str, made: Path, published: str | None, recorded: str) -> str:
    """Where the published file differs, in words, if it is there as it was recorded."""
    from exports.cdf.difference import first_difference  # noqa: PLC0415

    if published is None:
        return "nothing is left to compare with"
    if published != recorded:
        return "the published file was changed, so it is not compared"
    with lake.storage.local(key) as path:
        return first_difference(path, made) or "all variables and attributes are equal"
