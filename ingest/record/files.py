# SPDX-License-Identifier: Apache-2.0
"""The rows of a file, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ingest.record.csv_files import csv_pieces
from ingest.record.json_lines import json_pieces
from ingest.record.parquet_files import parquet_pieces
from ingest.record.piece import Piece
from lake.source_definitions import Records


def record_pieces(path: Path, records: Records) -> Iterator[Piece]:
    """Pieces of a file: every byte of it is in a bad row, or counted as decoded.

    Raises RecordFileError if the file has no such rows; what came before is void then.
    """
    fields, unlisted = records.fields, records.unlisted
    if records.format == "parquet":
        yield from parquet_pieces(path, fields, unlisted)
        return
    with path.open("rb") as stream:
        if records.format == "csv":
            yield from csv_pieces(stream, fields, unlisted)
        elif records.format == "jsonl":
            yield from json_pieces(stream, fields, unlisted)
        else:
            from ingest.record.elements import element_pieces  # noqa: PLC0415  loads a library for orbits

            yield from element_pieces(stream, fields)
