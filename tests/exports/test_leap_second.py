# SPDX-License-Identifier: Apache-2.0
"""The day with the leap second of 2016: times in 23:59:60 come out of every reader as they went into the file."""

from __future__ import annotations

import ctypes
import warnings
from datetime import date
from pathlib import Path

import cdflib
import numpy as np
import pyarrow as pa
import pycdfpp
import pytest

from exports.cdf.reader import CdfReader
from exports.istp.globals import Edition
from exports.istp.structure import compile_product
from exports.product import write_product
from exports.rules.check import check_file
from lake.clock import day_bounds
from lake.definitions import ValidTime
from tests.exports.conftest import HOUSEKEEPING, MEDDEA, PADRE, Sample, make_sample, product

DAY = date(2016, 12, 31)
# 23:59:59.5, 23:59:60.0 and 23:59:60.5 UTC, and the midnight after them: TT2000 as the CDF documentation counts it.
BEFORE, BEGIN, WITHIN, MIDNIGHT = (
    536_500_867_684_000_000,
    536_500_868_184_000_000,
    536_500_868_684_000_000,
    536_500_869_184_000_000,
)


@pytest.fixture(scope="module")
def leap_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A product of three records, the last two within the leap second."""
    mission = PADRE.model_copy(update={"valid_time": ValidTime(start=date(2016, 1, 1), stop=date(2050, 1, 1))})
    structure = compile_product(product(HOUSEKEEPING), HOUSEKEEPING, MEDDEA, mission)
    data = make_sample("l1_housekeeping", n=3).data | {"epoch_tt2000": pa.array([BEFORE, BEGIN, WITHIN])}
    edition = Edition(DAY, "1.0.0", ("raw.dat",), date(2026, 1, 2), "0.1.0")
    sample = Sample(structure, data, edition)
    path = sample.path(tmp_path_factory.mktemp("leap"))
    write_product(structure, path, sample.batches, sample.records, edition)
    return path


def test_the_day_is_a_second_longer_and_holds_them() -> None:
    start, stop = day_bounds(DAY)
    assert stop == MIDNIGHT
    assert stop - start == 86_401 * 10**9


def test_the_file_has_the_name_of_the_day_that_ends_with_it(leap_file: Path) -> None:
    assert "_20161231_" in leap_file.name


def test_our_rules_take_the_last_second_for_one_of_the_day(leap_file: Path) -> None:
    assert [str(finding) for finding in check_file(leap_file) if finding.severity == "error"] == []


@pytest.mark.oracle
def test_every_reader_finds_the_times_that_were_written(leap_file: Path) -> None:
    from spacepy import pycdf  # noqa: PLC0415

    with warnings.catch_warnings(), pycdf.CDF(str(leap_file)) as nasa:
        warnings.simplefilter("ignore")
        read = {"spacepy": nasa.raw_var("Epoch")[...]}
    read["cdflib"] = cdflib.CDF(leap_file, validate=True).varget("Epoch")
    read["pycdfpp"] = np.asarray(pycdfpp.load(str(leap_file))["Epoch"].values).view(np.int64)
    read["ours"] = CdfReader(leap_file).values("Epoch")
    assert {name: values.tolist() for name, values in read.items()} == {name: [BEFORE, BEGIN, WITHIN] for name in read}


@pytest.mark.oracle
def test_nasa_s_library_and_cdflib_tell_the_sixtieth_second(leap_file: Path) -> None:
    from spacepy import pycdf  # noqa: PLC0415

    times = cdflib.CDF(leap_file).varget("Epoch")
    texts = [f"2016-12-31T23:59:{second}00000000" for second in ("59.5", "60.0", "60.5")]
    assert cdflib.cdfepoch.encode_tt2000(times) == texts
    parts = [ctypes.c_double() for _ in range(9)]
    pycdf.lib._library.breakdownTT2000(ctypes.c_longlong(int(times[-1])), *map(ctypes.byref, parts))
    assert [part.value for part in parts] == [2016, 12, 31, 23, 59, 60, 500, 0, 0]
