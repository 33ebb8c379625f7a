# SPDX-License-Identifier: Apache-2.0
"""Rules for a file that is about to be published: its identity, its day, its neighbors and its version. D01 to D05."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta

from exports.cdf.reader import CdfReader
from exports.istp.globals import GlobalEntries
from exports.rules.attributes import epochs, first_text, plain, texts_of
from exports.rules.names import digits, first_and_last, logical_sources, version_in_name
from exports.rules.nouns import Findings, error
from exports.versions import Version, parse_version
from lake.clock import tt2000_of_day

SAME_DAY = "Export each day by itself; a record belongs to the day of its epoch"


@dataclass(frozen=True)
class Span:
    """First and last epoch of a file in TT2000, and its name."""

    name: str
    first: int
    last: int


def identity(file: CdfReader) -> Findings:
    """D01: the name that SPDF would give this file."""
    found, stem = first_and_last(file), file.path.stem
    if found is None:
        return
    made = f"{logical_sources(file)[0]}_{digits(found[0])[:8]}_v{version_in_name(first_text(file, 'Data_version'))}"
    said = first_text(file, "Logical_file_id")
    if {made, said, stem} != {made}:
        what = f"content makes {made}, the attribute is {said}, the name {stem}"
        yield error("D01", "Logical_file_id", what, "Export the day again")


def on_day(file: CdfReader, day: date) -> Findings:
    """D02: nothing is of another day."""
    found = first_and_last(file)
    if found is None:
        yield error("D02", "", "has no first epoch in TT2000", "Leave out days without records")
        return
    begin, end = tt2000_of_day(day), tt2000_of_day(day + timedelta(days=1))
    for word, time in zip(("first", "last"), found, strict=True):
        if not begin <= time < end:
            yield error("D02", epochs(file)[0].name, f"its {word} time is {digits(time)}, not on {day}", SAME_DAY)


def neighbors(file: CdfReader, before: Span | None, after: Span | None) -> Findings:
    """D03: files follow each other without a record twice."""
    found = first_and_last(file)
    if found is None:
        return
    where = epochs(file)[0].name
    if before and found[0] <= before.last:
        what = f"begins at {digits(found[0])}, when {before.name} has not ended ({digits(before.last)})"
        yield error("D03", where, what, SAME_DAY)
    if after and found[1] >= after.first:
        what = f"ends at {digits(found[1])}, when {after.name} has begun ({digits(after.first)})"
        yield error("D03", where, what, SAME_DAY)


def version(file: CdfReader, given_out: Collection[Version]) -> Findings:
    """D04: versions rise."""
    try:
        own = parse_version(first_text(file, "Data_version"))
    except (TypeError, ValueError):
        yield error("D04", "Data_version", f"{first_text(file, 'Data_version')!r} is no X.Y.Z", "Export the day again")
        return
    if given_out and own <= (newest := max(given_out)):
        how = "was given out before" if own in given_out else f"is not above {newest}, which was given out"
        yield error("D04", "Data_version", f"{own} {how}", "Export the day again, under the next version")


def edition(file: CdfReader, entries: GlobalEntries) -> Findings:
    """D05: the attributes of this one file."""
    for name, wanted in entries:
        found = texts_of(file, name)
        if found != tuple(plain(text) for text in wanted):
            yield error("D05", name, f"is {found}, made as {wanted}", "Export the day again")
