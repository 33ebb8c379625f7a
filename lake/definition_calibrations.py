# SPDX-License-Identifier: Apache-2.0
"""Reading dated calibration files: a table of numbers and words, valid from the day in its name."""

from __future__ import annotations

import hashlib
import re
from datetime import date
from pathlib import Path

import polars as pl

from lake.definition_text import numbered_rows
from lake.definitions import Calibration
from lake.errors import DefinitionError

Cell = int | float | str | None
INTEGER = re.compile(r"[+-]?\d{1,18}")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def read_calibrations(folder: Path) -> tuple[Calibration, ...]:
    """All calibrations of an instrument, in the order of their file names. Raises DefinitionError."""
    return tuple(read_calibration(path, *_name_and_day(path)) for path in sorted(folder.glob("*.csv")))


def read_calibration(path: Path, name: str, valid_from: date) -> Calibration:
    """One calibration, whatever its file is called. Raises DefinitionError."""
    rows = numbered_rows(path)
    if not rows:
        raise DefinitionError(f"{path}: has a header and no rows. Write at least one row.")
    frame = pl.DataFrame([_column(path, column, rows) for column in rows[0][1]])
    return Calibration(name, valid_from, path, hashlib.sha256(path.read_bytes()).hexdigest(), frame)


def _name_and_day(path: Path) -> tuple[str, date]:
    match = re.fullmatch(r"([a-z][a-z0-9_]*)_(\d{4})(\d{2})(\d{2})", path.stem)
    try:
        if match:
            return match[1], date(int(match[2]), int(match[3]), int(match[4]))
    except ValueError:
        pass  # no such day: the same complaint
    raise DefinitionError(f"{path}: is not <name>_<yyyymmdd>.csv. Name it after the first day it is valid for.")


def _column(path: Path, column: str, rows: list[tuple[int, dict[str, str]]]) -> pl.Series:
    """One column, of whole numbers, numbers or words; an empty cell is null. Numbers and words do not mix, but in
    `label`, which is always words: `007` and `28` are labels, too."""
    cells = [(number, row[column]) for number, row in rows if row[column]]
    words = [(number, cell) for number, cell in cells if not NUMBER.fullmatch(cell)]
    if words and len(words) < len(cells) and column != "label":
        number, cell = words[0]
        raise DefinitionError(f"{path} row {number} ({column}): {cell!r} is no number. Correct it or leave it empty.")
    if words or not cells or column == "label":
        return pl.Series(column, [row[column] or None for _, row in rows], pl.String)
    whole = all(INTEGER.fullmatch(cell) for _, cell in cells)
    numbers: list[Cell] = [(int if whole else float)(row[column]) if row[column] else None for _, row in rows]
    return pl.Series(column, numbers, pl.Int64 if whole else pl.Float64)
