# SPDX-License-Identifier: Apache-2.0
"""Where two CDF files differ: variables, types, attributes with their types, values with the records they are in."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exports.cdf.checksum import checksum_is_right
from exports.cdf.reader import CdfReader, Entry, Values
from lake.errors import ExportError

# Values are compared in pieces of this size, so that a day of any size fits into memory.
PIECE_BYTES = 8 * 1024 * 1024
# What a file is, and what a variable is, apart from values and attributes.
FILE_FACTS = ("majority", "version", "encoding", "file_compression", "has_checksum", "leap_second_last_updated")
FACTS = (
    "type",
    "dims",
    "elements",
    "record_variance",
    "dim_variances",
    "records",
    "codec",
    "compression",
    "sparse",
    "pad",
)
# Only if these are equal can values be compared.
SHAPE_FACTS = ("type", "dims", "elements", "record_variance")
MAX_SHOWN = 120  # characters of a value


@dataclass(frozen=True)
class Difference:
    """One difference: of what (file, global attribute, variable, attribute), its name, how, and the first values."""

    part: str
    name: str
    text: str
    values: str = ""

    def __str__(self) -> str:
        return f"{self.part} {self.name}: {self.text}" + (f": {self.values}" if self.values else "")


def differences(one: Path, other: Path, ignore: Collection[str] = ()) -> Iterator[Difference]:
    """All differences in the order of the first file, without the global attributes to `ignore`.

    Raises ExportError if one of the files is damaged or cannot be read.
    """
    with CdfReader(one) as a, CdfReader(other) as b:
        for file in (a, b):
            if file.checksum_is_right is False:
                raise _damaged(file.path, one, other)
        yield from _of_facts("file", "as such", FILE_FACTS, a, b)
        names = [name for name in a.variables if name in b.variables]
        yield from _of_names("variable", list(a.variables), list(b.variables))
        for name in names:
            yield from _of_facts("variable", name, FACTS, a.variables[name], b.variables[name])
        for name in names:
            yield from _of_values(name, a, b)
        globals_a, globals_b = ({n: e for n, e in f.globals.items() if n not in ignore} for f in (a, b))
        yield from _of_attributes("global attribute", "", globals_a, globals_b)
        yield from _of_names("attribute without entries", *(_unused(file, ignore) for file in (a, b)))
        for name in names:
            entries_a, entries_b = ({n: (e,) for n, e in f.variables[name].attributes.items()} for f in (a, b))
            yield from _of_attributes("attribute", f"{name}.", entries_a, entries_b)


def first_difference(one: Path, other: Path) -> str:
    """The first difference of two of our products, in words; empty if they hold the same.

    Raises ExportError if one is damaged, which a missing checksum is too, or cannot be read.
    """
    for path in (one, other):
        if not checksum_is_right(path):
            raise _damaged(path, one, other)
    return next((f"{found.part} {found.name}: {found.text}" for found in differences(one, other)), "")


def _damaged(path: Path, one: Path, other: Path) -> ExportError:
    return ExportError(f"{path}: is damaged (wrong MD5 checksum). Compare by `cmp {one} {other}`")


def _of_names(part: str, one: list[str], other: list[str]) -> Iterator[Difference]:
    yield from (Difference(part, name, "only in the first file") for name in one if name not in other)
    yield from (Difference(part, name, "only in the second file") for name in other if name not in one)
    common = [name for name in one if name in other]
    if common != [name for name in other if name in one]:
        yield Difference(part, "order", f"{', '.join(common)} in one and another order in the other")


def _of_facts(part: str, name: str, facts: tuple[str, ...], one: Any, other: Any) -> Iterator[Difference]:
    for fact in facts:
        a, b = getattr(one, fact), getattr(other, fact)
        if repr(a) != repr(b):  # one NaN does not equal another
            yield Difference(part, name, f"{fact.replace('_', ' ')} is {a} in one and {b} in the other")


def _of_attributes(
    part: str, prefix: str, one: Mapping[str, tuple[Entry, ...]], other: Mapping[str, tuple[Entry, ...]]
) -> Iterator[Difference]:
    for name in dict.fromkeys((*one, *other)):
        a, b = one.get(name), other.get(name)
        if repr(a) == repr(b):
            continue
        if a is None or b is None:
            which = "second" if a is None else "first"
            yield Difference(part, prefix + name, f"only in the {which} file: {_shown(a or b or ())}")
        else:
            yield Difference(part, prefix + name, f"{_shown(a, b)} in one and {_shown(b, a)} in the other")


def _shown(entries: tuple[Entry, ...], other: tuple[Entry, ...] = ()) -> str:
    """Values of the entries, with their types if these are what differs."""
    typed = bool(other) and [entry.type for entry in entries] != [entry.type for entry in other]
    numbered = bool(other) and [entry.number for entry in entries] != [entry.number for entry in other]
    values = [entry.value if isinstance(entry.value, str) else ", ".join(map(str, entry.value)) for entry in entries]
    texts = [f"{v} ({e.type})" if typed else v for v, e in zip(values, entries, strict=True)]
    text = "; ".join(f"[{e.number}] {t}" if numbered else t for t, e in zip(texts, entries, strict=True))
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}... ({len(text)} characters)"


def _unused(file: CdfReader, ignore: Collection[str]) -> list[str]:
    return [attribute.name for attribute in file.attributes if not attribute.entries and attribute.name not in ignore]


def _of_values(name: str, one: CdfReader, other: CdfReader) -> Iterator[Difference]:
    """The values of the records that both have."""
    a, b = one.variables[name], other.variables[name]
    if any(getattr(a, fact) != getattr(b, fact) for fact in SHAPE_FACTS):
        return
    count, first = 0, None
    records = min(a.records, b.records)
    step = max(1, PIECE_BYTES // max(a.record_bytes, 1))
    for start in range(0, records, step):
        stop = min(start + step, records)
        pair = (file.values(name, start, stop) for file in (one, other))
        unlike = np.flatnonzero((_bytes(next(pair)) != _bytes(next(pair))).any(axis=1))
        count += len(unlike)
        first = start + int(unlike[0]) if first is None and len(unlike) else first
    if first is not None:
        text = f"{count} records differ, the first is {first}"
        yield Difference(
            "variable", name, text, _first_values(*(f.values(name, first, first + 1) for f in (one, other)))
        )


def _first_values(one: Values, other: Values) -> str:
    """The first value that differs in a record, with its place in an array."""
    unlike = np.flatnonzero((_bytes(one.reshape(-1)) != _bytes(other.reshape(-1))).any(axis=1))
    place = [int(i) for i in np.unravel_index(unlike[0], one.shape)[1:]]
    a, b = (_text(values.reshape(-1)[unlike[0]].item()) for values in (one, other))
    return f"{f'{place} ' if place else ''}{a} in one and {b} in the other"


def _bytes(values: Values) -> Values:
    """Records as bytes, as one NaN does not equal another."""
    return np.ascontiguousarray(values).reshape(len(values), -1).view(np.uint8).reshape(len(values), -1)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
