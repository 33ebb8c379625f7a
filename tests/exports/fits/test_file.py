# SPDX-License-Identifier: Apache-2.0
"""A FITS file says what its CDF says, as astropy reads it, and its bytes depend on nothing else."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import cdflib
import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import QTable, Table

from exports.cdf.reader import CdfReader
from exports.fits import file as fits_file
from exports.fits.check import check_fits
from exports.fits.columns import fits_unit, short_card
from exports.fits.file import write_fits
from lake.errors import ExportError
from tests.exports.conftest import HOUSEKEEPING, TABLES, changed, make_sample
from tests.exports.fits.conftest import Pair, write_cdf
from tests.exports.fits.large import write_day

FILL = -1e31


def expected(cdf: CdfReader, name: str) -> np.ndarray:
    """The values as cdflib reads them, with NaN for the fill value of floats."""
    values = np.asarray(cdflib.CDF(cdf.path).varget(name))
    if values.dtype.kind == "f":
        values = np.where(values == values.dtype.type(FILL), np.nan, values)
    return values


# ---- values ----------------------------------------------------------------------------------------------------------
def test_astropy_reads_the_values_that_cdflib_reads(each: Pair) -> None:
    cdf, path = each
    with fits.open(path, checksum=True) as file:
        file.verify("exception")
        for name, variable in cdf.variables.items():
            column = file[1 if variable.record_variance else 2].data[name]
            values = expected(cdf, name)
            if variable.record_variance:
                np.testing.assert_array_equal(column, values, name)
            elif values.dtype.kind in "US":
                assert [text.rstrip() for text in column[0]] == [str(text).rstrip() for text in values.ravel()]
            else:
                np.testing.assert_array_equal(column[0], values.reshape(column[0].shape), name)


def test_every_variable_of_the_cdf_is_a_column_in_its_order(each: Pair) -> None:
    cdf, path = each
    with fits.open(path) as file:
        names = [name for unit in file[1:] for name in unit.columns.names]
    varying = [name for name, variable in cdf.variables.items() if variable.record_variance]
    constant = [name for name in cdf.variables if name not in varying]
    assert names == [varying[0], "TIME", *varying[1:], *constant]


def test_times_are_whole_nanoseconds_and_seconds_of_the_day(pair: Callable[..., Pair]) -> None:
    cdf, path = pair("l1_photon")
    table = QTable.read(path, hdu=1)
    epochs = cdf.values("Epoch")
    assert table["Epoch"].dtype == np.dtype(">i8") or table["Epoch"].dtype == np.int64
    np.testing.assert_array_equal(table["Epoch"], epochs)
    # 2024-09-16T00:00:00 UTC as TT2000, and the sample's whole hundreds of seconds.
    np.testing.assert_array_equal(table["TIME"].to_value(u.s), (epochs - 779716869184000000) / 1e9)


def test_null_is_masked_in_integers_and_not_a_number_in_floats(pair: Callable[..., Pair]) -> None:
    _, path = pair("l1_housekeeping")
    with fits.open(path) as file:
        spare = file[1].data["spare"]
    assert 0 < np.isnan(spare).sum() < len(spare)
    _, path = pair("l1_photon")
    pixel = Table.read(path, hdu=1)["pixel"]
    assert 0 < pixel.mask.sum() < len(pixel)
    assert pixel.dtype.kind == "i"


def test_cells_without_a_value_are_masked_one_by_one(pair: Callable[..., Pair]) -> None:
    cdf, path = pair("l2_sweep")
    counts = Table.read(path, hdu=1)["sweep_counts"]
    assert counts.shape == (200, 6, 2, 3)
    np.testing.assert_array_equal(counts.mask, cdf.values("sweep_counts") == -32768)


def test_units_come_to_life(pair: Callable[..., Pair]) -> None:
    table = QTable.read(pair("l1_housekeeping")[1], hdu=1)
    assert (table["hvps_vsense_v"].unit, table["fp_temp_degc"].unit) == (u.V, u.deg_C)


def test_units_that_fits_lacks_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = (c.model_copy(update={"unit": "percent" * (c.name == "heartbeats")}) for c in HOUSEKEEPING.columns)
    monkeypatch.setitem(TABLES, "l1_housekeeping", changed(HOUSEKEEPING, columns=tuple(columns)))
    with CdfReader(write_cdf(make_sample("l1_housekeeping"), tmp_path)) as cdf:
        header = fits.getheader(write_fits(cdf, tmp_path).path, 1)
    assert "percent" not in [header[keyword] for keyword in header if keyword.startswith("TUNIT")]
    assert "heartbeats [percent]" in " ".join(header["COMMENT"])


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("count/s", "count s-1"), ("km/s", "km s-1"), ("nanoampere", "nA"), ("day", "d"), ("keV", "keV"), ("", None),
        ("Celsius", "Celsius"), ("12.8 us", None), ("percent", None), ("%", None), ("LSB", None), ("adu", "adu"),
    ],
)  # fmt: skip
def test_units_are_in_the_words_of_fits(text: str, unit: str | None) -> None:
    assert fits_unit(text) == unit


def test_unsigned_integers_keep_all_their_values(tmp_path: Path) -> None:
    path = write_day(tmp_path, 3, [0, 40_000, 65_534])
    with CdfReader(path) as cdf:
        written = write_fits(cdf, tmp_path)
    with fits.open(written.path) as file:
        header, values = file[1].header, file[1].data["counts"]
    assert values.dtype == np.uint16
    assert values[:, 0, 0, 0].tolist() == [0, 40_000, 65_534]
    # 65535 is the fill value; 32768 less it is what stands in the file.
    assert (header["TZERO3"], header["TNULL3"], header["TDIM3"]) == (32768, 32767, "(32,4,41)")


# ---- headers ---------------------------------------------------------------------------------------------------------
def test_where_a_record_has_a_width_the_file_reaches_from_its_start_to_its_end(pair: Callable[..., Pair]) -> None:
    header = fits.getheader(pair("l2_sweep")[1], 1)
    assert header["DATE-BEG"] == "2024-09-15T23:59:57.500000000"  # 2.5 s before the first Epoch, which is midnight
    assert header["DATE-END"] == "2024-09-16T00:33:10.100000001"  # float32(0.1) s after the last one
    assert (header.comments["DATE-BEG"], header.comments["DATE-END"]) == (
        "start of the first record",
        "end of the last record",
    )


def test_the_header_says_what_solarnet_wants(pair: Callable[..., Pair]) -> None:
    _, path = pair("l1_spectrum")
    with fits.open(path) as file:
        first, second, third = (unit.header for unit in file)
    for header in (first, second):
        assert header["FILENAME"] == path.name == "padre_meddea_l1_spectrum_20240916T000000_v1.0.0.fits"
        assert (header["DATE"], header["VERSION"], header["SOLNETEX"]) == ("2026-01-02", "1.0.0", "VERSION")
        assert (header["TELESCOP"], header["INSTRUME"], header["LEVEL"]) == ("PADRE", "MEDDEA", "l1")
        assert header["ORIGIN"] == "Space Sciences Laboratory, University of California, Berkeley"
        assert header["DATE-BEG"] == "2024-09-16T00:00:00.000000000"
        assert header["DATE-END"] == "2024-09-16T00:33:10.000000000"  # 200 records, every 10 s
        assert header["DATE-AVG"] == "2024-09-16T00:16:35.000000000"
        assert (header["TIMESYS"], header["DATEREF"], header["MJDREF"]) == ("UTC", "2024-09-16T00:00:00", 60569)
        assert header["PARENTXT"] == "padre_meddea_l1-spectrum_20240916_v1.0.0.cdf, padreMDA0_240916122901.dat"
        assert header.comments["DATE-END"] == "Epoch of the last record"
    assert [header["EXTNAME"] for header in (first, second, third)] == ["PRIMARY", "SPECTRUM", "CONSTANTS"]
    assert (second["OBS_HDU"], second["SOLARNET"]) == (1, 0.5)
    assert (first["OBS_HDU"], third["OBS_HDU"]) == (0, 0)
    assert "Handle with care." in " ".join(first["COMMENT"])
    assert list(first["HISTORY"]) == ["1.0: first version"]


def test_housekeeping_is_no_observation(pair: Callable[..., Pair]) -> None:
    _, path = pair("l1_housekeeping")
    header = fits.getheader(path, 1)
    assert header["OBS_HDU"] == 0
    assert "SOLARNET" not in header


def test_columns_say_what_they_are(pair: Callable[..., Pair]) -> None:
    _, path = pair("l2_sweep")
    header = fits.getheader(path, 1)
    number = next(i for i in range(1, 20) if header[f"TTYPE{i}"] == "sweep_counts")
    assert header.comments[f"TTYPE{number}"] == "Counts by step, deflection and anode"
    assert (header[f"TFORM{number}"], header[f"TDIM{number}"]) == ("36I", "(3,2,6)")
    assert (header[f"TNULL{number}"], header[f"TLMIN{number}"], header[f"TLMAX{number}"]) == (-32768, 0, 4095)
    assert header[f"TCOMM{number}"] == "Axes: step, deflection, anode"
    flags = next(i for i in range(1, 20) if header[f"TTYPE{i}"] == "quality_flag")
    assert "Bit 3 (value 8), gap_before" in header[f"TCOMM{flags}"]


def test_a_comment_is_cut_at_a_word_where_its_card_ends() -> None:
    card = short_card("TTYPE1", "rate", "word " * 20)
    assert len(str(card)) == 80
    assert card.comment == ("word " * 9).strip()  # 47 characters behind the 33 of the value
    assert short_card("ORIGIN", "x" * 68, "no room").comment == ""


# ---- bytes -----------------------------------------------------------------------------------------------------------
def test_another_process_writes_the_same_bytes(pair: Callable[..., Pair]) -> None:
    cdf, path = pair("l2_sweep")
    folder = path.parent / "again"
    folder.mkdir()
    code = (
        "import sys; from pathlib import Path; from exports.cdf.reader import CdfReader;"
        "from exports.fits.file import write_fits; write_fits(CdfReader(Path(sys.argv[1])), Path(sys.argv[2]))"
    )
    environment = {"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "7", "LC_ALL": "C"}
    subprocess.run([sys.executable, "-c", code, cdf.path, folder], check=True, env=environment)
    assert (folder / path.name).read_bytes() == path.read_bytes()


def test_pieces_of_any_size_give_the_same_bytes(pair: Callable[..., Pair], monkeypatch: pytest.MonkeyPatch) -> None:
    cdf, path = pair("l2_sweep", 203)
    folder = path.parent / "again"
    folder.mkdir()
    monkeypatch.setattr(fits_file, "PIECE_BYTES", 3000)
    assert write_fits(cdf, folder).path.read_bytes() == path.read_bytes()


def test_memory_does_not_follow_the_size_of_the_day(tmp_path: Path) -> None:
    path = write_day(tmp_path, 3000)
    with CdfReader(path) as cdf:
        tracemalloc.start()
        try:
            written = write_fits(cdf, tmp_path)
            assert check_fits(written.path, cdf) == []
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # 3000 records of 10,512 bytes each, a megabyte at a time.
    assert written.bytes > 31_000_000
    assert peak < 20_000_000


# ---- what cannot be written ------------------------------------------------------------------------------------------
def test_a_text_that_is_too_long_for_its_keyword_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_cdf(make_sample("l1_photon"), tmp_path)
    with CdfReader(path) as cdf:
        entry = cdf.globals["PI_affiliation"][0]
        cdf.globals["PI_affiliation"] = (type(entry)(entry.type, "x" * 69),)
        with pytest.raises(ExportError, match="longer than the 68 characters of ORIGIN"):
            write_fits(cdf, tmp_path)
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_cdf_without_a_day_of_its_own_is_refused(tmp_path: Path) -> None:
    path = write_cdf(make_sample("l1_photon"), tmp_path)
    with CdfReader(path) as cdf:
        entry = cdf.globals["Logical_file_id"][0]
        name = "padre_meddea_l1-photon_20240917_v1.0.0"
        cdf.globals["Logical_file_id"] = (type(entry)(entry.type, name),)
        with pytest.raises(ExportError, match="are not on 2024-09-17"):
            write_fits(cdf, tmp_path)
    assert sorted(tmp_path.iterdir()) == [path]
