# SPDX-License-Identifier: Apache-2.0
"""Files of some kilobytes that ask for gigabytes: an error before memory is asked for."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exports.cdf import blocks, reader
from exports.cdf.file import CdfFile
from exports.cdf.reader import CdfReader
from exports.cdf.spec import VariableSpec
from exports.rules.check import check_file
from exports.rules.data import pieces
from lake.errors import ExportError

VDR_MAX_RECORD, VDR_SPARSE, VDR_BLOCK, VDR_NAME = 24, 48, 80, 84


def written(path: Path, spec: VariableSpec, records: int = 0) -> Path:
    with CdfFile(path, [("TITLE", ["x"])], [spec]) as file, file.records("a", records) as stream:
        stream.append(np.zeros((records, *spec.dims), spec.dtype))
    return path


def spoil(path: Path, offset: int, number: int) -> None:
    content = bytearray(path.read_bytes())
    struct.pack_into(">i", content, content.index(b"a".ljust(256, b"\0")) - VDR_NAME + offset, number)
    path.write_bytes(content)


def test_a_record_of_a_gigabyte_is_not_made_up(tmp_path: Path) -> None:
    path = written(tmp_path / "a.cdf", VariableSpec("a", "CDF_UINT1", (20_000, 50_000)))
    with CdfReader(path) as file, pytest.raises(ExportError, match="a has records of 1000000000 bytes"):
        _ = file.variables
    assert "F06" in {finding.rule for finding in check_file(path)}


def test_missing_records_are_not_filled_up_without_end(tmp_path: Path) -> None:
    path = written(tmp_path / "a.cdf", VariableSpec("a", "CDF_UINT1", (1000,)))
    spoil(path, VDR_MAX_RECORD, 2**31 - 2)
    spoil(path, VDR_SPARSE, 1)
    with CdfReader(path) as file, pytest.raises(ExportError, match="a leaves out records of 2147483647000 bytes"):
        _ = file.variables


def test_a_compressed_block_is_not_unpacked_whatever_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.cdf", VariableSpec("a", "CDF_UINT1", (1000,), compression=9), 100)
    monkeypatch.setattr(blocks, "MAX_BLOCK_BYTES", 99_999)
    with CdfReader(path) as file, pytest.raises(ExportError, match="a compressed block of 100000 bytes"):
        file.values("a", 0, 1)


def test_a_file_is_not_unpacked_to_disk_whatever_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pycdf = pytest.importorskip("spacepy.pycdf", reason="needs NASA's CDF library")
    path = tmp_path / "a.cdf"
    with pycdf.CDF(str(path), "") as file:
        file.compress(pycdf.const.GZIP_COMPRESSION, 1)
    monkeypatch.setattr(reader, "MAX_FILE_BYTES", 100)
    with pytest.raises(ExportError, match="more than the 100 that are read"):
        CdfReader(path)


def test_pieces_do_not_grow_with_the_block_that_a_file_says_it_has(tmp_path: Path) -> None:
    path = written(tmp_path / "a.cdf", VariableSpec("a", "CDF_UINT1", (100_000,), compression=1), 100)
    spoil(path, VDR_BLOCK, 2**31 - 1)

    def sizes(file: CdfReader) -> Iterator[Any]:
        return (rows.nbytes for _, rows in pieces(file, file.variables["a"]))

    with CdfReader(path) as file:
        assert max(sizes(file)) <= 4 << 20
