# SPDX-License-Identifier: Apache-2.0
"""Writes a FITS file from a CDF, a few megabytes of rows at a time; the same CDF gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from astropy.io import fits

from exports.cdf.reader import CdfReader
from exports.fits import sums
from exports.fits.columns import TableColumn, constant_columns, record_columns, row_type
from exports.fits.headers import Origin, primary_header, table_header
from exports.product import WrittenProduct
from lake.errors import ExportError
from lake.files import sha256_of, sync, writing

# Of all columns together; integers take up to eight times as much while they are converted.
PIECE_BYTES = 1024 * 1024


def write_fits(cdf: CdfReader, folder: Path) -> WrittenProduct:
    """The CDF as a FITS file in a folder aside, under its name in the archive.

    Raises ExportError if the CDF has what FITS cannot hold, or lacks what its header needs. No file is left then.
    """
    origin = Origin(cdf)
    path = folder / origin.file.fits_name
    try:
        with writing(path), path.open("wb") as file:
            _write_units(origin, file)
        sync(path)
    except (ValueError, OverflowError) as error:  # astropy refuses text that is not ASCII, and keywords that are none
        path.unlink(missing_ok=True)
        raise ExportError(f"{cdf.path.name}: cannot be written as FITS ({error}). Correct its definition") from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return WrittenProduct(path, path.stat().st_size, sha256_of(path), origin.records)


def _write_units(origin: Origin, file: BinaryIO) -> None:
    """The primary unit, the table of records, and that of constants, if there are any."""
    _write_unit(file, primary_header(origin), iter(()))
    columns, constants = record_columns(origin.cdf, origin.day), constant_columns(origin.cdf)
    _write_unit(file, table_header(origin, columns, origin.records), rows(origin.cdf, columns, origin.records))
    if constants:
        _write_unit(file, table_header(origin, constants, 1), rows(origin.cdf, constants, 1))


def _write_unit(file: BinaryIO, header: fits.Header, pieces: Iterator[bytes]) -> None:
    """Header and data; the header is written again when the sum of the data is known."""
    start = file.tell()
    file.write(header.tostring().encode("ascii"))
    total, size = 0, 0
    for piece in pieces:
        file.write(piece)
        total, size = sums.add(piece, total), size + len(piece)
    file.write(b"\0" * (-size % sums.BLOCK))
    header["DATASUM"] = str(total)
    header["CHECKSUM"] = sums.encode(sums.add(header.tostring().encode("ascii"), total))
    end = file.tell()
    file.seek(start)
    file.write(header.tostring().encode("ascii"))
    file.seek(end)


def rows(cdf: CdfReader, columns: tuple[TableColumn, ...], count: int) -> Iterator[bytes]:
    """The rows of a table as they lie in the file, in pieces whose length is a multiple of four but for the last."""
    form = row_type(columns)
    step = max(4, PIECE_BYTES // form.itemsize // 4 * 4)
    for start in range(0, count, step):
        stop = min(start + step, count)
        table = np.zeros(stop - start, form)
        for column in columns:
            table[column.name] = column.stored(cdf.values(column.variable.name, start, stop))
        yield table.tobytes()
