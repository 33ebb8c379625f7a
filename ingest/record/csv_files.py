# SPDX-License-Identifier: Apache-2.0
"""Rows of CSV files (RFC 4180): a header row, cells between commas, quotes around cells that hold commas or newlines.

Where a row ends is decided from its own bytes: one that cannot be read costs no other. In particular, a quote that is
never closed ends with its line.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv as arrow_csv

from ingest.record.cells import shown
from ingest.record.columns import nulls, text_column
from ingest.record.lines import BLOCK_BYTES, BYTE_ORDER_MARK, LONGEST_BYTES, Block, LineReader, too_long
from ingest.record.piece import BadRow, Piece, Places, sifted
from lake.errors import RecordError, RecordFileError
from lake.source_definitions import RecordField

Unlisted = Literal["refuse", "ignore"]

# A row that may go on over several lines. A quote within a cell that does not begin with one is a letter like others.
_CELL = rb'(?:"(?:[^"]++|"")*+"(?=[,\r\n]|\Z)|[^",\n][^,\n]*+|)'
_ROW = re.compile(_CELL + rb"(?:," + _CELL + rb")*+(?:\n|\Z)")
_ODD = re.compile(rb'["\x00]|\r(?!\n)')  # in bytes without these, rows end at newlines and cells at commas
_SPACE = np.frombuffer(b" \t\n\r\x0b\f", np.uint8)
_LONGEST_CELL = 131_072  # letters; the most that the module csv takes


def csv_pieces(
    stream: BinaryIO, fields: Sequence[RecordField], unlisted: Unlisted, block_bytes: int = BLOCK_BYTES
) -> Iterator[Piece]:
    """Pieces of a CSV file, in its order. Memory is bounded by some blocks.

    Raises RecordFileError, before the first piece, if the header row is not that of the fields.
    """
    lines, header, blank = LineReader(stream, block_bytes), None, 0
    for block in lines.blocks():
        if header is None and not lines.too_long:
            header, block = _begin(block, lines, fields, unlisted)  # noqa: PLW2901  what comes behind the header
            blank += block.base
        if header is not None and block.data:
            yield _plain(header, block) or _exact(header, block, lines)
    if header is None:
        raise RecordFileError("has no header row. Begin the file with the names of its columns")
    yield Piece().beside(blank, lines.too_long)


@dataclass(frozen=True)
class _Header:
    """How many cells rows have, and which of them belongs to which field; None where the file lacks a field's."""

    count: int
    fields: Sequence[RecordField]
    places: tuple[int | None, ...]

    @property
    def used(self) -> list[int]:
        """Places of the cells that are read, without repetitions, in order."""
        return sorted({place for place in self.places if place is not None})

    def piece(self, cells: dict[int, pa.StringArray], places: Places) -> Piece:
        """Rows from the text of their cells by place."""
        columns = {
            field.name: nulls(field, len(places.offsets)) if place is None else text_column(field, cells[place])
            for field, place in zip(self.fields, self.places, strict=True)
        }
        return sifted(self.fields, columns, places)

    def complaint(self, count: int) -> str:
        """What is wrong with the number of cells of a row; empty if nothing."""
        return "" if count == self.count else f"has {count} cells, the header has {self.count}"

    def can_hold(self, cells: list[str]) -> bool:
        """False for a row with a newline where there can be none: a quote was not closed in the line before."""
        texts = {p for f, p in zip(self.fields, self.places, strict=True) if f.type == "string" and not f.list}
        others = set(self.used) - texts
        return not self.complaint(len(cells)) and not any("\n" in cells[place] for place in others)


def _begin(
    block: Block, lines: LineReader, fields: Sequence[RecordField], unlisted: Unlisted
) -> tuple[_Header | None, Block]:
    """The header row and what stands behind it; None if there are only blank lines."""
    start = len(BYTE_ORDER_MARK) if block.base == 0 and block.data.startswith(BYTE_ORDER_MARK) else 0
    number = block.first
    while start < len(block.data):
        stop = _line_end(block.data, start)
        if block.data[start:stop].strip():
            cells = _header_cells(block.data[start:stop], number)
            rest = Block(block.data[stop:], block.base + stop, number + 1, block.closed)
            return header_of(cells, fields, unlisted), rest
        start, number = stop, number + 1
    return None, Block(b"", 0, number, block.closed)


def _header_cells(line: bytes, number: int) -> list[str]:
    try:
        return [cell.strip() for cell in _cells(line)]
    except RecordError as error:
        raise RecordFileError(f"row {number}: the header row {error}") from None


def header_of(names: list[str], fields: Sequence[RecordField], unlisted: Unlisted) -> _Header:
    """The header whose columns have these names. Raises RecordFileError if they are not those of the fields."""
    places = [_place(names, field) for field in fields]
    lacking = [f.header for f, place in zip(fields, places, strict=True) if place is None and not f.nullable]
    if lacking:
        raise RecordFileError(f"lacks the column {', '.join(map(shown, lacking[:5]))}. Add it, or let it be nullable")
    unknown = [name for place, name in enumerate(names) if place not in places]
    if unknown and unlisted == "refuse":
        raise RecordFileError(
            f"has the column {', '.join(map(shown, unknown[:5]))}, which no field names. Add fields, or set `unlisted`"
        )
    return _Header(len(names), fields, tuple(places))


def _place(names: list[str], field: RecordField) -> int | None:
    """Where a field's column stands: by its header, exactly, or else in any case."""
    found = [place for place, name in enumerate(names) if name == field.header]
    found = found or [place for place, name in enumerate(names) if name.lower() == field.header.lower()]
    if len(found) > 1:
        raise RecordFileError(f"has the column {shown(field.header)} {len(found)} times. Rename or remove one")
    return found[0] if found else None


def _line_end(data: bytes, start: int) -> int:
    newline = data.find(b"\n", start)
    return newline + 1 if newline >= 0 else len(data)


def _cells(row: bytes) -> list[str]:
    """The cells of one row. Raises RecordError if it is none."""
    try:
        text = row.decode()
        lines = io.StringIO(text, newline="") if "\n" in text[:-1] else [text]
        found = list(csv.reader(lines, strict=True))
    except UnicodeDecodeError as error:
        raise RecordError(f"is not UTF-8 at byte {error.start}") from None
    except csv.Error as error:
        raise RecordError(f"is no row: {error}") from None
    if len(found) != 1:
        raise RecordError("holds a carriage return that ends no line")
    return found[0]


# ---- rows that may hold anything -----------------------------------------------------------------------------------
class _Undecided(Exception):  # noqa: N818  it is no error
    """The row may go on behind the block."""


def _exact(header: _Header, block: Block, lines: LineReader) -> Piece:
    """The rows of a block, one by one; what cannot be decided yet is left for the next block."""
    rows: list[list[str]] = []
    places: list[tuple[int, int, int]] = []
    bad: list[BadRow] = []
    start, number, blank = 0, block.first, 0
    while start < len(block.data):
        stop = _line_end(block.data, start)
        if not block.data[start:stop].strip():
            blank += stop - start
        else:
            try:
                stop, cells = _row(header, block, start, stop)
                rows.append(cells)
                places.append((block.base + start, stop - start, number))
            except RecordError as error:
                bad.append(BadRow(block.base + start, stop - start, f"row {number}: {error}"))
            except _Undecided:
                lines.unread(block.data[start:])
                break
        start, number = stop, number + block.data.count(b"\n", start, stop)
    columns = {place: pa.array([row[place] for row in rows], pa.string()) for place in header.used}
    return header.piece(columns, Places.of(places)).beside(blank, bad)


def _row(header: _Header, block: Block, start: int, stop: int) -> tuple[int, list[str]]:
    """The cells of the row that begins at a line, and where it ends.

    Raises RecordError if the line alone is to blame, _Undecided if the row might go on behind the block.
    """
    line = block.data[start:stop]
    if len(line) > LONGEST_BYTES + 1:
        raise RecordError(too_long(0, len(line), 0).detail.partition(": ")[2])
    try:
        cells = _cells(line)
    except RecordError:
        longer = _over_lines(header, block, start) if b'"' in line else None
        if longer is None:
            raise
        return longer
    if complaint := header.complaint(len(cells)):
        raise RecordError(complaint)
    return stop, cells


def _over_lines(header: _Header, block: Block, start: int) -> tuple[int, list[str]] | None:
    """The row that begins at a line and goes on in others: where it ends, and its cells; None if there is none."""
    found = _ROW.match(block.data, start)
    if found is None:
        if not block.closed and len(block.data) - start <= LONGEST_BYTES:
            raise _Undecided
        return None
    if found.end() - start > LONGEST_BYTES:
        return None
    try:
        cells = _cells(found.group())
    except RecordError:
        return None
    return (found.end(), cells) if header.can_hold(cells) else None


# ---- rows that end with their lines --------------------------------------------------------------------------------
def _plain(header: _Header, block: Block) -> Piece | None:
    """The rows of a block in which nothing is quoted, all at once; None if a closer look is needed."""
    if _ODD.search(block.data) or not _is_text(block.data):
        return None
    starts, stops = block.bounds()
    if (stops - starts).max() > _LONGEST_CELL:
        return None
    octets = np.frombuffer(block.data, np.uint8)
    commas = np.searchsorted(np.flatnonzero(octets == ord(",")), np.append(starts, len(octets)))
    counts, blank = 1 + np.diff(commas), _blank(block.data, octets, starts, stops)
    places = Places(block.base + starts, stops - starts, np.arange(block.first, block.first + len(starts)))
    good = ~blank & (counts == header.count)
    bad = _miscounted(header, places.those(~blank & ~good), counts[~blank & ~good])
    spaces = int(places.lengths[blank].sum())
    if not good.any():
        return Piece().beside(spaces, bad)
    cells = _columns(block.data if good.all() else _joined(block.data, starts[good], stops[good]), header)
    return header.piece(cells, places.those(good)).beside(spaces, bad)


def _miscounted(header: _Header, places: Places, counts: NDArray[np.int64]) -> list[BadRow]:
    """Rows with another number of cells than the header."""
    rows = zip(places.offsets.tolist(), places.lengths.tolist(), places.numbers.tolist(), counts.tolist(), strict=True)
    return [
        BadRow(offset, length, f"row {number}: {header.complaint(count)}") for offset, length, number, count in rows
    ]


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _blank(
    data: bytes, octets: NDArray[np.uint8], starts: NDArray[np.int64], stops: NDArray[np.int64]
) -> NDArray[np.bool_]:
    blank: NDArray[np.bool_] = np.isin(octets[starts], _SPACE)
    for i in np.flatnonzero(blank).tolist():
        blank[i] = not data[starts[i] : stops[i]].strip()
    return blank


def _joined(data: bytes, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> bytes:
    return b"".join(data[start:stop] for start, stop in zip(starts.tolist(), stops.tolist(), strict=True))


def _columns(data: bytes, header: _Header) -> dict[int, pa.StringArray]:
    """The text of the used cells by place."""
    names = [str(place) for place in range(header.count)]
    used = [names[place] for place in header.used]
    table = arrow_csv.read_csv(
        pa.BufferReader(data),
        arrow_csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
        arrow_csv.ParseOptions(quote_char=False),
        arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(used, pa.string()), include_columns=used, strings_can_be_null=False
        ),
    )
    return {int(name): table[name].combine_chunks() for name in used}
