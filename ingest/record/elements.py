# SPDX-License-Identifier: Apache-2.0
"""Orbit elements: two-line files, with or without lines of names, and mean-element messages (OMM) written as CSV.

Both give the same values: the numbers are read as they are written, without a way through other units. Two-line form:
Hoots and Roehrich, Spacetrack Report No. 3 (1980); OMM: CCSDS 502.0-B-3, 4.
"""

from __future__ import annotations

import re
from calendar import isleap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import BinaryIO

import pyarrow as pa
from sgp4.alpha5 import from_alpha5
from sgp4.io import compute_checksum

from ingest.record.columns import object_column
from ingest.record.csv_files import csv_pieces
from ingest.record.lines import BLOCK_BYTES, BYTE_ORDER_MARK, LineReader
from ingest.record.piece import BadRow, Piece, Places, sifted
from lake.errors import RecordError
from lake.source_definitions import ELEMENTS, RecordField

SETS_AT_A_TIME = 4096
LINE_LETTERS = 69
_KEYWORDS = frozenset(element.keyword for element in ELEMENTS.values())

# The point before the eccentricity and before the mantissas of ddot and bstar is left out in the lines.
_FIRST = re.compile(
    r"1 (?P<norad>[0-9A-Z ][0-9 ]{4})(?P<classification>[A-Z ]) (?P<object>.{8}) "
    r"(?P<year>\d\d)(?P<day>[ \d]{3}\.\d{8}) (?P<dot>[-+ ]\.\d{8}) (?P<ddot>[-+ ][ \d]{5}[-+ ]\d) "
    r"(?P<bstar>[-+ ][ \d]{5}[-+ ]\d) (?P<type>[ \d]) (?P<set>[ \d]{4})\d"
)
_SECOND = re.compile(
    r"2 (?P<norad>[0-9A-Z ][0-9 ]{4}) (?P<inclination>[ \d]{3}\.\d{4}) (?P<raan>[ \d]{3}\.\d{4}) "
    r"(?P<eccentricity>[ \d]{7}) (?P<perigee>[ \d]{3}\.\d{4}) (?P<anomaly>[ \d]{3}\.\d{4}) (?P<motion>[ \d]{2}\.\d{8})"
    r"(?P<revolution>[ \d]{5})\d"
)
_OBJECT = re.compile(r"(\d\d)(\d{3}[A-Z]{1,3})")
_LAST_YEAR = 57  # two digits from here on are of the 20th century: the year of the first satellite

_Line = tuple[int, int, int, str]  # offset, length, number, text


def element_pieces(stream: BinaryIO, fields: Sequence[RecordField], block_bytes: int = BLOCK_BYTES) -> Iterator[Piece]:
    """Pieces of a file of orbit elements, in its order; a record is one set of elements.

    Raises RecordFileError if it is CSV without the columns of an OMM that the fields need.
    """
    if _is_csv(stream):
        return _from_messages(stream, fields, block_bytes)
    return _from_lines(stream, fields, block_bytes)


def _is_csv(stream: BinaryIO) -> bool:
    """True if the first line that is not blank has a column of an OMM; a name may hold a comma. From the start on."""
    first = next((line for line in iter(lambda: stream.readline(1 << 16), b"") if line.strip()), b"")
    stream.seek(0)
    cells = _text(first).split(",")
    return any(cell.strip(' "').upper() in _KEYWORDS for cell in cells)


# ---- messages ------------------------------------------------------------------------------------------------------
def _from_messages(stream: BinaryIO, fields: Sequence[RecordField], block_bytes: int) -> Iterator[Piece]:
    keywords = [
        field.model_copy(
            update={
                "header": ELEMENTS[field.name].keyword,
                "type": "timestamp" if field.name == "epoch_unix_us" else field.type,
            }
        )
        for field in fields
    ]
    for piece in csv_pieces(stream, keywords, "ignore", block_bytes):
        columns = dict(piece.columns)
        if "epoch_unix_us" in columns:
            columns["epoch_unix_us"] = columns["epoch_unix_us"].cast(pa.int64())
        yield replace(piece, columns=columns)


# ---- two lines -----------------------------------------------------------------------------------------------------
def _from_lines(stream: BinaryIO, fields: Sequence[RecordField], block_bytes: int) -> Iterator[Piece]:
    reader = LineReader(stream, block_bytes)
    sets = _Sets()
    for block in reader.blocks():
        starts, stops = block.bounds()
        for number, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True), block.first):
            sets.add((block.base + start, stop - start, number, _text(block.data[start:stop])))
            if len(sets.rows) >= SETS_AT_A_TIME:
                yield sets.piece(fields)
    sets.end()
    yield sets.piece(fields).beside(0, reader.too_long)


def _text(line: bytes) -> str:
    """A line as text; letters that are not ASCII, which no line of elements has, become question marks."""
    return line.removeprefix(BYTE_ORDER_MARK).decode("ascii", "replace").replace("\ufffd", "?").rstrip()


class _Sets:
    """Puts lines together to sets of elements: a name if there is one, the first line, the second line."""

    def __init__(self) -> None:
        self.waiting: list[_Line] = []
        self.rows: list[dict[str, object]] = []
        self.places: list[tuple[int, int, int]] = []
        self.bad: list[BadRow] = []
        self.blank = 0

    def add(self, line: _Line) -> None:
        """Take the next line of the file."""
        text = line[3]
        if not text.strip():
            self.blank += line[1]
        elif text.startswith("2 ") and self.waiting and self._begun:
            self._finish(line)
        elif text.startswith("1 ") and not self._begun:
            self.waiting.append(line)
        else:
            self.end()
            self.waiting = [line]
            if text.startswith("2 "):
                self._refuse("a second line without the first")

    @property
    def _begun(self) -> bool:
        return bool(self.waiting) and self.waiting[-1][3].startswith("1 ")

    def end(self) -> None:
        """Nothing more can follow the lines that wait."""
        if self.waiting:
            self._refuse("a first line without the second" if self._begun else "a line that no elements follow")

    def _finish(self, second: _Line) -> None:
        *names, first = self.waiting
        try:
            row = _elements(first[3], second[3])
            row["object_name"] = names[0][3].strip().removeprefix("0 ").strip() if names else None
        except RecordError as error:
            self.waiting.append(second)
            self._refuse(str(error))
            return
        lines = [*self.waiting, second]
        self.rows.append(row)
        self.places.append((lines[0][0], sum(line[1] for line in lines), first[2]))
        self.waiting = []

    def _refuse(self, wrong: str) -> None:
        """Each line that waits is a bad row: between two of them may be blank ones."""
        self.bad += [BadRow(offset, length, f"row {number}: {wrong}") for offset, length, number, _ in self.waiting]
        self.waiting = []

    def piece(self, fields: Sequence[RecordField]) -> Piece:
        """What was put together since the last time."""
        found = Piece().beside(self.blank, self.bad)
        if self.rows:
            columns = {f.name: object_column(f, [row[f.name] for row in self.rows]) for f in fields}
            found = sifted(fields, columns, Places.of(self.places)).beside(self.blank, self.bad)
        self.rows, self.places, self.bad, self.blank = [], [], [], 0
        return found


def _elements(first: str, second: str) -> dict[str, object]:
    """The elements in the units of an OMM. Raises RecordError if a line is not in the form or fails its checksum."""
    one, two = _matched(_FIRST, first, "first"), _matched(_SECOND, second, "second")
    if one["norad"] != two["norad"]:
        raise RecordError(f"the lines are of two satellites, {one['norad']} and {two['norad']}")
    return {
        "epoch_unix_us": _epoch(int(one["year"]), one["day"]),
        "norad_id": _norad(one["norad"]),
        "object_id": _object_id(one["object"].strip()),
        "classification": one["classification"].strip(),
        "ephemeris_type": one["type"].strip() or "0",
        "element_set": one["set"].strip() or "0",
        "mean_motion_rev_per_day": two["motion"].strip(),
        "mean_motion_dot": one["dot"].replace(" ", ""),
        "mean_motion_ddot": _mantissa(one["ddot"]),
        "bstar": _mantissa(one["bstar"]),
        "inclination_deg": two["inclination"].strip(),
        "raan_deg": two["raan"].strip(),
        "eccentricity": "0." + two["eccentricity"].replace(" ", "0"),
        "arg_of_perigee_deg": two["perigee"].strip(),
        "mean_anomaly_deg": two["anomaly"].strip(),
        "revolution": two["revolution"].strip() or "0",
    }


def _matched(form: re.Pattern[str], line: str, which: str) -> dict[str, str]:
    found = form.fullmatch(line)
    if found is None:
        raise RecordError(f"the {which} line is not in the form of two-line elements")
    checksum = compute_checksum(line)
    if int(line[LINE_LETTERS - 1]) != checksum:
        raise RecordError(f"the {which} line has checksum {line[LINE_LETTERS - 1]}, its letters give {checksum}")
    return found.groupdict()


def _epoch(year: int, day: str) -> int:
    """Microseconds since 1970 UTC of a two-digit year and the day of it, from 1, with its fraction."""
    year += 1900 if year >= _LAST_YEAR else 2000
    start = datetime(year, 1, 1, tzinfo=UTC)
    whole, _, fraction = day.strip().rpartition(".")
    if not whole.isdigit() or not 1 <= int(whole) <= 365 + isleap(year):
        raise RecordError(f"there is no day {day.strip()} in {year}")
    begun = start + timedelta(days=int(whole) - 1) - datetime(1970, 1, 1, tzinfo=UTC)
    return begun // timedelta(microseconds=1) + int(fraction) * 864  # 1e-8 days are 864 microseconds


def _norad(text: str) -> int:
    try:
        return int(from_alpha5(text.replace(" ", "0")))
    except ValueError:
        raise RecordError(f"{text} is no catalog number") from None


def _object_id(text: str) -> str:
    """98067A as an OMM has it: 1998-067A."""
    found = _OBJECT.fullmatch(text)
    if found is None:
        return text
    return f"{19 if int(found[1]) >= _LAST_YEAR else 20}{found[1]}-{found[2]}"


def _mantissa(text: str) -> str:
    """The number that ` 12345-3` stands for: 0.12345e-3."""
    sign, digits, exponent = text[0].strip(), text[1:6].replace(" ", "0"), text[6:].replace(" ", "+")
    return str(Decimal(f"{sign}0.{digits}e{exponent}"))
