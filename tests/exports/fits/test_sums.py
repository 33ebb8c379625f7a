# SPDX-License-Identifier: Apache-2.0
"""Checksums are those of astropy, whatever the blocks."""

from __future__ import annotations

import io

import numpy as np
import pytest
from astropy.io import fits

from exports.fits.sums import add, encode


def astropy_datasum(content: bytes) -> int:
    hdu = fits.ImageHDU(np.frombuffer(content, np.uint8))
    hdu.add_checksum()
    return int(hdu.header["DATASUM"])


@pytest.mark.parametrize("size", [1, 3, 4, 2880, 100_001])
def test_the_sum_of_bytes_is_that_of_astropy(size: int) -> None:
    content = np.random.default_rng(size).integers(0, 256, size, np.uint8).tobytes()
    assert add(content) == astropy_datasum(content)


def test_the_sum_of_blocks_is_that_of_the_whole() -> None:
    content = np.random.default_rng(7).integers(0, 256, 10_002, np.uint8).tobytes()
    assert add(content[4096:], add(content[:4096])) == add(content)


def test_carries_come_back_at_the_low_end() -> None:
    # By hand: ffffffff + 00000002 = 1 00000001, and the carry makes it 00000002.
    assert add(bytes.fromhex("ffffffff00000002")) == 2


@pytest.mark.parametrize("total", [0, 1, 0xFFFFFFFF, 0x80000000, 0x3A3B3C3D, 0xC5C4C3C2])
def test_an_encoded_sum_has_letters_and_digits_only_and_undoes_the_sum(total: int) -> None:
    text = encode(total)
    assert len(text) == 16
    assert text.isalnum()
    # In a card the value begins at byte 11, and each of its characters carries the 0x30 of the zero that it replaces.
    zeros, ours = ((b" " * 11 + value.encode()).ljust(80) for value in ("0" * 16, text))
    assert add(ours, total) % 0xFFFFFFFF == add(zeros) % 0xFFFFFFFF


def test_the_example_of_the_standard() -> None:
    # FITS standard 4.0, appendix J.5: the sum 868229149 is encoded as hcHjjc9ghcEghc9g.
    assert encode(868229149) == "hcHjjc9ghcEghc9g"


def test_astropy_accepts_a_checksum_of_ours() -> None:
    hdu = fits.PrimaryHDU()
    hdu.header["DATASUM"], hdu.header["CHECKSUM"] = "0", "0" * 16
    hdu.header["CHECKSUM"] = encode(add(hdu.header.tostring().encode()))
    with fits.open(io.BytesIO(hdu.header.tostring().encode()), checksum=True) as file:
        assert file[0].verify_checksum() == 1
