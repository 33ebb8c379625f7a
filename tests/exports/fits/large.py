# SPDX-License-Identifier: Apache-2.0
"""A CDF of any number of records of [41, 4, 32] 16-bit counts, 10.5 kB each, as an electron sensor makes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from exports.cdf.file import CdfFile
from exports.cdf.spec import Attribute, VariableSpec
from tests.exports.conftest import MIDNIGHT, make_sample

SHAPE = (41, 4, 32)
PIECE = 512


def write_day(folder: Path, records: int, first: Sequence[int] = ()) -> Path:
    """The file; `first` are values that fill the first records, the others are small and compress as counts do."""
    sample = make_sample("l1_photon", 3)
    counts = (
        Attribute("CATDESC", "CDF_CHAR", "Counts"),
        Attribute("VALIDMIN", "CDF_UINT2", (0,)),
        Attribute("VALIDMAX", "CDF_UINT2", (65_534,)),
        Attribute("FILLVAL", "CDF_UINT2", (65_535,)),
        Attribute("UNITS", "CDF_CHAR", "count"),
    )
    specs = [
        VariableSpec("Epoch", "CDF_TIME_TT2000", attributes=sample.structure.variables[0].spec.attributes),
        VariableSpec("counts", "CDF_UINT2", SHAPE, compression=1, attributes=counts),
    ]
    path, rng = sample.path(folder), np.random.default_rng(1)
    with CdfFile(path, sample.structure.attributes(sample.edition), specs) as file:
        with file.records("Epoch", records) as times:
            times.append(MIDNIGHT + 1_000_000 * np.arange(records, dtype=np.int64))
        with file.records("counts", records) as stream:
            for start in range(0, records, PIECE):
                part = rng.poisson(3, (min(PIECE, records - start), *SHAPE)).astype(np.uint16)
                for i, value in enumerate(first[start : start + PIECE]):
                    part[i] = value
                stream.append(part)
    return path
