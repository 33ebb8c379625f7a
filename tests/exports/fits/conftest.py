# SPDX-License-Identifier: Apache-2.0
"""Sample products as CDF and as FITS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from exports.cdf.reader import CdfReader
from exports.fits.file import write_fits
from exports.product import write_product
from tests.exports.conftest import TABLES, Sample, make_sample

Pair = tuple[CdfReader, Path]


def write_cdf(sample: Sample, folder: Path) -> Path:
    path = sample.path(folder)
    write_product(sample.structure, path, sample.batches, sample.records, sample.edition)
    return path


@cache
def _made(descriptor: str, n: int) -> tuple[tuple[str, bytes], ...]:
    """Names and bytes of a sample's CDF and of its FITS file."""
    with TemporaryDirectory() as folder:
        path = write_cdf(make_sample(descriptor, n), Path(folder))
        with CdfReader(path) as cdf:
            written = write_fits(cdf, Path(folder))
        return tuple((file.name, file.read_bytes()) for file in (path, written.path))


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Callable[..., Pair]]:
    """Gives a sample's CDF, which is open, and its FITS file."""
    opened: list[CdfReader] = []

    def made(descriptor: str, n: int = 200) -> Pair:
        for name, content in (files := _made(descriptor, n)):
            (tmp_path / name).write_bytes(content)
        opened.append(CdfReader(tmp_path / files[0][0]))
        return opened[-1], tmp_path / files[1][0]

    yield made
    for cdf in opened:
        cdf.close()


@pytest.fixture(params=sorted(TABLES))
def each(request: pytest.FixtureRequest, pair: Callable[..., Pair]) -> Pair:
    """Every sample, one after the other."""
    return pair(request.param)
