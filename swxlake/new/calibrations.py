# SPDX-License-Identifier: Apache-2.0
"""Calibrations for a new instrument, their channels written as the fields that they are of."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from lake.definition_calibrations import read_calibration
from lake.definition_tables import field_name
from lake.definition_text import numbered_rows
from lake.definitions import Calibration
from lake.errors import ConfigurationError, DefinitionError
from swxlake.new.sources import KINDS


@dataclass(frozen=True)
class CalibrationFile:
    """A calibration that was given: its content, and its file in the new folder.

    `renamed` are the channels that the file writes otherwise than the field is called, with the name of the field,
    which `data` has.
    """

    path: Path
    stored: str
    calibration: Calibration
    data: bytes
    renamed: dict[str, str]

    @property
    def notes(self) -> list[str]:
        """What of the file was changed."""
        if not self.renamed:
            return []
        first, name = next(iter(self.renamed.items()))
        others = f", and {len(self.renamed) - 1} more likewise" if len(self.renamed) > 1 else ""
        return [f"{self.stored}: channels are written as the fields are called: {first} as {name}{others}."]


def read_calibration_files(paths: tuple[Path, ...], valid_from: date, fields: set[str]) -> list[CalibrationFile]:
    """The calibrations of the files for these fields. One without a day in its name becomes valid on `valid_from`.

    Raises ConfigurationError if a file's name does not say its kind, DefinitionError if it cannot be read.
    """
    return [_read(path, valid_from, fields) for path in paths]


def _read(path: Path, valid_from: date, fields: set[str]) -> CalibrationFile:
    match = re.fullmatch(rf"(?:([a-z][a-z0-9_]*)_)?({'|'.join(KINDS)})(?:_(\d{{8}}))?", path.stem.lower())
    if match is None or path.suffix != ".csv":
        raise ConfigurationError(
            f"{path}: its name does not say what it holds. Name it <word>_<kind>.csv, kind being one of "
            f"{', '.join(KINDS)}."
        )
    name = f"{match[1]}_{match[2]}" if match[1] else match[2]
    stored = f"{name}_{match[3] or f'{valid_from:%Y%m%d}'}.csv"
    calibration = read_calibration(path, name, valid_from)
    renamed = _renamed(path, fields)
    if not renamed:
        return CalibrationFile(path, stored, calibration, path.read_bytes(), {})
    channels = pl.col("channel").cast(pl.String).replace(renamed)
    changed = Calibration(name, valid_from, path, calibration.sha256, calibration.frame.with_columns(channels))
    return CalibrationFile(path, stored, changed, _rewritten(path, renamed), renamed)


def _renamed(path: Path, fields: set[str]) -> dict[str, str]:
    """The field of each channel that is written in another way. Raises DefinitionError if two mean the same one."""
    channels = list(dict.fromkeys(row.get("channel", "") for _, row in numbered_rows(path)))
    of_field: dict[str, str] = {}
    for channel in channels:
        name = channel if channel in fields else field_name(channel)
        if name in of_field and name in fields:
            raise DefinitionError(
                f"{path} (channel): {of_field[name]} and {channel} are both the field {name}. Rename or remove one."
            )
        of_field[name] = channel
    return {channel: name for name, channel in of_field.items() if name in fields and name != channel}


def _rewritten(path: Path, renamed: dict[str, str]) -> bytes:
    """The file with the names of fields in place of its own; only channels differ."""
    rows = [row for _, row in numbered_rows(path)]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row | {"channel": renamed.get(row["channel"], row["channel"])} for row in rows)
    return text.getvalue().encode()
