# SPDX-License-Identifier: Apache-2.0
"""Versions of products: X.Y.Z by rule, given out in the journal before a file is published, and never twice.

X rises with the structure, Y with the algorithm or a calibration, Z with any other change of bytes. Equal bytes keep
their version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Literal, NamedTuple

from exports.provenance import MadeFrom
from lake.errors import ExportError
from lake.store import Journal

KEY = re.compile(r"(?P<source>.+)_(?P<day>\d{8})_v(?P<version>\d+\.\d+\.\d+)")
STEM = re.compile(r".+_\d{8}")
GENERATION = re.compile(r".+_v(\d+)\.(\d+)")

Change = Literal["structure", "algorithm", "calibrations", "data"]


class VersionTakenError(ExportError):
    """Another process gave out a version of the product-day after its tables were read."""


class Version(NamedTuple):
    """X.Y.Z; versions compare as numbers."""

    structure: int
    algorithm: int
    data: int

    def __str__(self) -> str:
        return f"{self.structure}.{self.algorithm}.{self.data}"

    @property
    def generation(self) -> str:
        """X.Y."""
        return f"{self.structure}.{self.algorithm}"


def parse_version(text: str) -> Version:
    """The version that `1.0.12` stands for."""
    structure, algorithm, data = (int(part) for part in text.split("."))
    return Version(structure, algorithm, data)


@dataclass(frozen=True)
class ProductDay:
    """A day of a product, by which its versions are found in the journal."""

    logical_source: str
    day: date

    @property
    def stem(self) -> str:
        """Name of its files without version and extension."""
        return f"{self.logical_source}_{self.day:%Y%m%d}"

    def key(self, version: Version) -> str:
        """Key of a version in journal/versions, and name of its file without extension."""
        return f"{self.stem}_v{version}"


def newest_versions(journal: Journal, prefix: str = "") -> dict[str, Version]:
    """The newest version given out to each product-day, by its stem. Names alone: no entry is opened."""
    newest: dict[str, Version] = {}
    for key in journal.keys("versions", prefix):
        if match := KEY.fullmatch(key):
            stem, version = key.rpartition("_v")[0], parse_version(match["version"])
            newest[stem] = max(version, newest.get(stem, version))
    return newest


def version_key(journal: Journal, name: str) -> str:
    """Key of the version that a product's file name or path stands for; without `_vX.Y.Z` the newest given out."""
    key = name.rpartition("/")[2].removesuffix(".cdf")
    newest = newest_versions(journal, f"{key}_v").get(key) if STEM.fullmatch(key) else None
    return f"{key}_v{newest}" if newest else key


def change(before: dict[str, Any] | None, now: MadeFrom) -> Change:
    """What of a product changed since a version that was made from `before`; None is what older lakes recorded."""
    facts: dict[Change, str] = {"structure": "outline", "algorithm": "algorithm", "calibrations": "calibrations"}
    recorded = asdict(now)
    # What was not recorded tells of no change.
    changed = (kind for kind, fact in facts.items() if before and before.get(fact, recorded[fact]) != recorded[fact])
    return next(changed, "data")


def next_version(last: Version, changed: Change, floor: Version) -> Version:
    """The version that follows `last` after a change; `floor` is what the definition asks for at least."""
    steps = {
        "structure": Version(last.structure + 1, 0, 0),
        "algorithm": Version(last.structure, last.algorithm + 1, 0),
        "calibrations": Version(last.structure, last.algorithm + 1, 0),
        "data": Version(last.structure, last.algorithm, last.data + 1),
    }
    return max(steps[changed], floor)


def first_version(journal: Journal, logical_source: str, floor: Version) -> Version:
    """The version that a product-day starts at: the newest generation of structure and code, or the definition's."""
    keys = journal.keys("generations", f"{logical_source}_v")
    return max((floor, *_generations(keys)))


def _generations(keys: Iterable[str]) -> Iterable[Version]:
    found = (GENERATION.fullmatch(key) for key in keys)
    return (Version(int(match[1]), int(match[2]), 0) for match in found if match)


class Choice(NamedTuple):
    """A version that was chosen and not yet given out; `generation` is what is noted of a new X.Y."""

    version: Version
    generation: dict[str, str] | None = None


def choose(journal: Journal, product_day: ProductDay, last: Version | None, made_from: MadeFrom, floor: str) -> Choice:
    """The version of bytes that are not those of `last`, given what they are made from. Nothing is written."""
    least = parse_version(f"{floor}.0")
    if last is None:
        return Choice(first_version(journal, product_day.logical_source, least))
    entry = journal.entry("versions", product_day.key(last)) or {}
    changed = change(entry.get("made_from"), made_from)
    version = next_version(last, changed, least)
    if changed not in ("structure", "algorithm"):
        return Choice(version)
    return Choice(version, {"why": changed, "outline": made_from.outline, "algorithm": made_from.algorithm})


def note_generation(journal: Journal, product_day: ProductDay, choice: Choice) -> None:
    """Note a new structure or algorithm in journal/generations, so that new days start there.

    That comes after the gate, or a refused file would leave a generation behind, and before the version: after a crash
    in between, the next export chooses the same again.
    """
    if choice.generation is not None:
        key = f"{product_day.logical_source}_v{choice.version.generation}"
        journal.write_once("generations", key, choice.generation)


def versions_of(journal: Journal, product_day: ProductDay) -> frozenset[Version]:
    """All versions that were given out to a product-day."""
    return frozenset(_since(journal, product_day, None))


def give_out(
    journal: Journal, product_day: ProductDay, last: Version | None, version: Version, entry: dict[str, Any]
) -> None:
    """Write a version to the journal.

    Raises VersionTakenError if it is taken, or if another one was given out since `last` was the newest: whoever did
    that may have read newer tables. One that came between looking and writing is seen by looking again; the version
    stays in the journal then, and its file is not published unless the next export comes to the same bytes.
    """
    is_first = not _since(journal, product_day, last) and journal.write_once(
        "versions", product_day.key(version), entry
    )
    if not is_first or _since(journal, product_day, last) != {version}:
        problem = "another process exports it at the same time. Run `swxlake export` again"
        raise VersionTakenError(f"{product_day.stem}: {problem}")


def _since(journal: Journal, product_day: ProductDay, last: Version | None) -> set[Version]:
    """Versions that were given out to a product-day after `last`, its newest one; all of them if it had none."""
    found = (KEY.fullmatch(key) for key in journal.keys("versions", f"{product_day.stem}_v"))
    versions = {parse_version(match["version"]) for match in found if match}
    return {version for version in versions if last is None or version > last}
