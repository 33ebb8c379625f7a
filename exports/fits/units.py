# SPDX-License-Identifier: Apache-2.0
"""The units of a FITS file (header and data) as they lie in it, found by their headers alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from exports.cdf.spec import Values
from exports.fits import sums
from lake.errors import ExportError

READ_BYTES = 4 * 1024 * 1024
TFORM = re.compile(r"(\d*)([ABIJKED])")
STORED = {"B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}


@dataclass(frozen=True)
class Unit:
    """A header, and where it and its data lie in the file; `size` are the bytes of the data without what fills up."""

    path: Path
    header: fits.Header
    start: int
    data: int
    size: int

    @property
    def end(self) -> int:
        """Where the next unit begins."""
        return self.data + self.size + -self.size % sums.BLOCK

    @property
    def name(self) -> str:
        """EXTNAME; empty if it has none."""
        return str(self.header.get("EXTNAME", ""))

    def header_bytes(self) -> bytes:
        """The header as it lies in the file."""
        return b"".join(self._bytes(self.start, self.data))

    def sums(self) -> tuple[int, int]:
        """Sums of the data, and of header and data."""
        whole = data = 0
        for piece in self._bytes(self.data, self.end):
            data = sums.add(piece, data)
        for piece in self._bytes(self.start, self.data):
            whole = sums.add(piece, whole)
        return data, sums.add(data.to_bytes(4, "big"), whole)

    def rows(self, step: int) -> Iterator[tuple[int, Values]]:
        """Number of the first row, and so many rows, as the header's TTYPE, TFORM and TDIM say that they lie there."""
        form = row_type(self.header)
        for start in range(0, int(self.header["NAXIS2"]), step):
            stop = min(start + step, int(self.header["NAXIS2"]))
            part = self._bytes(self.data + start * form.itemsize, self.data + stop * form.itemsize)
            yield start, np.frombuffer(b"".join(part), form)

    def _bytes(self, start: int, stop: int) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            file.seek(start)
            while start < stop and (piece := file.read(min(READ_BYTES, stop - start))):
                yield piece
                start += len(piece)


def read_units(path: Path) -> list[Unit]:
    """The units of a file. Raises ExportError if it does not end where the last of them does, or has none."""
    units: list[Unit] = []
    end, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while end < size:
            file.seek(end)
            try:
                header = fits.Header.fromfile(file)
                units.append(Unit(path, header, end, file.tell(), _data_bytes(header)))
            except (OSError, EOFError, KeyError, TypeError, ValueError, fits.VerifyError) as error:
                raise ExportError(f"{path.name}: byte {end} begins no FITS header ({error}). Write it again") from error
            end = units[-1].end
    if not units or end != size:
        raise ExportError(f"{path.name}: has {size} bytes, its headers describe {end}. Write it again")
    return units


def _data_bytes(header: fits.Header) -> int:
    """Bytes of the data after a header (FITS standard 4.0, equation 2)."""
    axes = [int(header[f"NAXIS{i}"]) for i in range(1, int(header["NAXIS"]) + 1)]
    values = int(header.get("GCOUNT", 1)) * (int(header.get("PCOUNT", 0)) + prod(axes)) if axes else 0
    if values < 0:
        raise ValueError(f"NAXISn {axes}")
    return abs(int(header["BITPIX"])) // 8 * values


def row_type(header: fits.Header) -> np.dtype[Any]:
    """The numpy type of a row. Raises ExportError for what a table of ours does not have."""
    fields = []
    for i in range(1, int(header["TFIELDS"]) + 1):
        match = TFORM.fullmatch(str(header[f"TFORM{i}"]))
        if match is None:
            raise ExportError(f"TFORM{i} {header[f'TFORM{i}']!r} is none of ours. Write it again")
        count = int(match[1] or 1)
        shape = tuple(int(n) for n in reversed(re.findall(r"\d+", str(header.get(f"TDIM{i}", "")))))
        stored = STORED.get(match[2])
        if stored is None:
            shape, stored = shape[:-1], f"S{shape[-1] if shape else count}"
        elif not shape and count > 1:
            shape = (count,)
        fields.append((str(header[f"TTYPE{i}"]), stored, shape))
    return np.dtype(fields)
