# SPDX-License-Identifier: Apache-2.0
"""Rows of JSON lines: one object to a line, whose keys are the headers of the fields."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from ingest.record.columns import object_column
from ingest.record.csv_files import Unlisted, header_of
from ingest.record.lines import BLOCK_BYTES, BYTE_ORDER_MARK, LONGEST_BYTES, Block, LineReader, too_long
from ingest.record.piece import BadRow, Piece, Places, sifted
from lake.errors import RecordError, RecordFileError
from lake.source_definitions import RecordField

MOST_KEPT = 1000  # orders of keys; a file with more has another one in each row
Keys = tuple[str, ...]


def json_pieces(
    stream: BinaryIO, fields: Sequence[RecordField], unlisted: Unlisted, block_bytes: int = BLOCK_BYTES
) -> Iterator[Piece]:
    """Pieces of a file of JSON lines, in its order. Memory is bounded by some blocks.

    Each object stands for itself: one that lacks a field, or has a key that no field names, is a bad row.
    """
    lines, objects = LineReader(stream, block_bytes), _Objects(fields, unlisted)
    for block in lines.blocks():
        yield _piece(block, objects)
    yield Piece().beside(0, lines.too_long)


class _Objects:
    """Reads objects; which key is which field's is looked up once for all objects with the same keys."""

    def __init__(self, fields: Sequence[RecordField], unlisted: Unlisted) -> None:
        self.fields, self.unlisted = fields, unlisted
        self.known: dict[Keys, list[str | None]] = {}

    def row(self, line: bytes) -> list[object]:
        """The cells of the fields. Raises RecordError if there is no such row in the line."""
        found = _parsed(line)
        keys = tuple(found)
        if keys not in self.known:
            if len(self.known) >= MOST_KEPT:
                self.known.clear()
            self.known[keys] = self._order(keys)
        return [None if key is None else found[key] for key in self.known[keys]]

    def _order(self, keys: Keys) -> list[str | None]:
        try:
            header = header_of(list(keys), self.fields, self.unlisted)
        except RecordFileError as error:
            raise RecordError(str(error)) from None
        return [None if place is None else keys[place] for place in header.places]


def _parsed(line: bytes) -> dict[str, Any]:
    """The object in a line. Raises RecordError."""
    try:
        found = json.loads(line.decode().rstrip(), object_pairs_hook=_object, parse_float=_real)
    except UnicodeDecodeError as error:
        raise RecordError(f"is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise RecordError(f"is no JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, or thousands of brackets
        raise RecordError("is no JSON that can be read: a number or its nesting is too long") from None
    if not isinstance(found, dict):
        raise RecordError("is no object such as {...}")
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RecordError("has a key twice")
    return found


def _real(text: str) -> float | str:
    """A number; its text if it is too large, for the field to complain about."""
    value = float(text)
    return text if math.isinf(value) else value


def _piece(block: Block, objects: _Objects) -> Piece:
    rows: list[list[object]] = []
    places: list[tuple[int, int, int]] = []
    bad: list[BadRow] = []
    blank = 0
    for number, (start, stop) in enumerate(zip(*(b.tolist() for b in block.bounds()), strict=True), block.first):
        line, offset = block.data[start:stop], block.base + start
        text = line.removeprefix(BYTE_ORDER_MARK) if offset == 0 else line
        if not text.strip():
            blank += len(line)
        elif len(line) > LONGEST_BYTES + 1:
            bad.append(too_long(offset, len(line), number))
        else:
            try:
                rows.append(objects.row(text))
                places.append((offset, len(line), number))
            except RecordError as error:
                bad.append(BadRow(offset, len(line), f"row {number}: {error}"))
    if not rows:
        return Piece().beside(blank, bad)
    columns = {
        field.name: object_column(field, cells)
        for field, cells in zip(objects.fields, zip(*rows, strict=True), strict=True)
    }
    return sifted(objects.fields, columns, Places.of(places)).beside(blank, bad)
