# SPDX-License-Identifier: Apache-2.0
"""Verifying a copy: objects are counted, a share of them read back; what is damaged is named, and sent again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from lake.backup.named import Reading, Round, Stored
from lake.backup.opening import fitting_keys
from lake.backup.sealing import Identities, unseal
from lake.backup.snapshots import Line
from lake.backup.vault import Vault, scratch
from lake.errors import StorageError, WayError
from lake.files import sha256_of
from lake.store import Lake

SEALED = ".age"


@dataclass
class Bad:
    """An object that is missing, or has other bytes than it had; the files that it is of; whether it was mended."""

    object: str
    what: str
    lines: list[Line]
    is_mended: bool = False
    remedy: str = ""


@dataclass(frozen=True)
class Source:
    """Where bytes are that a copy has lost: the lake, and files of this machine by their path below config/."""

    lake: Lake
    configuration: Mapping[str, Path] = field(default_factory=dict)


@dataclass
class Verified:
    """What a verification found. `cold` objects were counted and not read: that would take hours and money."""

    snapshots: int = 0
    objects: int = 0
    read: int = 0
    bytes_read: int = 0
    cold: int = 0
    bad: list[Bad] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def mended(self) -> int:
        """Objects that were sent again."""
        return sum(one.is_mended for one in self.bad)


def verify(
    vault: Vault,
    wanted: Round,
    now: datetime,
    *,
    source: Source | None = None,
    deep: bool = False,
) -> Verified:
    """Look at what snapshots name, as a round says; repair from a source if one is given.

    `deep` also decrypts, and compares what comes out. Raises WayError if the place cannot be reached or listed.
    """
    found, reading = Verified(), Reading(vault)
    there, objects = vault.objects(), reading.objects(wanted)
    keys = fitting_keys(vault, _sealed(objects)) if deep else None
    faults = _faults(vault, objects, there, keys, found)
    files = reading.files_of(set(faults), wanted) if faults else {}
    found.bad = [Bad(path, fault, files[path]) for path, fault in faults.items()]
    found.snapshots, found.problems = len(reading.read), list(reading.problems.values())
    if source is not None:
        _mend_all(vault, source, found, now)
    return found


def _sealed(objects: Mapping[str, Stored]) -> Iterator[tuple[str, str]]:
    """Encrypted objects that are to be read, and the hash of what is stored in each."""
    return ((path, one.sha256) for path, one in objects.items() if _is_sealed(path) and one.is_due and not one.is_cold)


def _is_sealed(path: str) -> bool:
    return path.endswith(SEALED)


def _faults(
    vault: Vault, objects: Mapping[str, Stored], there: Mapping[str, int], keys: Identities | None, found: Verified
) -> dict[str, str]:
    """What is wrong with each damaged object; all of them are counted."""
    faults = {}

    def look(path: str) -> Look:
        return _look(vault, path, objects[path], there.get(path), keys)

    for path, seen in zip(sorted(objects), vault.mapped(look, sorted(objects)), strict=True):
        found.objects += 1
        found.read += seen.is_read
        found.bytes_read += there[path] if seen.is_read else 0
        found.cold += seen.is_cold
        if seen.fault:
            faults[path] = seen.fault
    return faults


class Look(NamedTuple):
    """What a look at an object found, if anything is wrong, and whether it was read."""

    fault: str | None = None
    is_read: bool = False
    is_cold: bool = False


def _look(vault: Vault, path: str, stored: Stored, size: int | None, keys: Identities | None) -> Look:
    """Look at an object; it is read back if it is its turn. `keys` also decrypt it."""
    if size is None:
        return Look("is missing")
    if size != stored.bytes:
        return Look(f"has {size} bytes in place of {stored.bytes}")
    if stored.is_cold:
        return Look(is_cold=True)
    if not stored.is_due:
        return Look()
    if keys is not None and _is_sealed(path):
        return Look(_unsealed_fault(vault, path, stored, keys), is_read=True)
    return Look(_stored_fault(vault.stored(path), stored), is_read=True)


def _stored_fault(sha256: str | None, stored: Stored) -> str | None:
    """What is wrong with the bytes that were read back, by their hash."""
    if sha256 is None:
        return "cannot be read"
    return None if sha256 == stored.sha256 else "has changed"


def _unsealed_fault(vault: Vault, name: str, stored: Stored, keys: Identities) -> str | None:
    """What is wrong with a sealed object, or with what is in it, which its name says."""
    with scratch() as folder, vault.fetched(name, folder) as (path, sha256):
        if fault := _stored_fault(sha256, stored):
            return fault
        if (wrong := unseal(path, folder / "plain", keys)) is not None:
            return wrong
        is_right = sha256_of(folder / "plain") == name.rpartition("/")[2].partition(".")[0]
        return None if is_right else "holds other bytes than its name says"


def _mend_all(vault: Vault, source: Source, found: Verified, now: datetime) -> None:
    """Send again what is damaged. What the place refuses stays damaged and is told; what was sealed anew is noted."""
    try:
        for one in found.bad:
            try:
                _mend(vault, source, one)
            except WayError as error:
                one.remedy = f"It could not be sent again: {error}"
    finally:
        try:
            vault.note_renewals(now)
        except WayError as error:
            found.problems.append(f"what was sealed anew could not be noted, and is sent again next time: {error}")


def _mend(vault: Vault, source: Source, bad: Bad) -> None:
    """Send an object again from a file of the lake that still has its bytes."""
    if not vault.is_as_now(bad.lines[0]):
        bad.remedy = "It was stored in another way (in the clear, or for other keys) than the settings say now."
        return
    for line in bad.lines:
        with suppress(StorageError), _bytes_of(line, source) as path:
            if path is not None:
                vault.send(line, path, replace=True)
                bad.is_mended = True
                return
    bad.remedy = "The lake has these bytes no more: look for them at another place."


@contextmanager
def _bytes_of(line: Line, source: Source) -> Iterator[Path | None]:
    """A file with the bytes of a line; None if there is none any more."""
    if line.kind == "config":
        path = source.configuration.get(line.key.partition("/")[2])
        yield path if path is not None and sha256_of(path) == line.sha256 else None
    elif source.lake.storage.size(line.key) != line.bytes:
        yield None
    else:
        with source.lake.storage.local(line.key) as path:
            yield path if sha256_of(path) == line.sha256 else None
