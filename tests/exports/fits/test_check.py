# SPDX-License-Identifier: Apache-2.0
"""A FITS file that does not say what its CDF says is stopped, whatever the defect, by the rule for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from exports.fits import columns, headers
from exports.fits.check import check_fits
from exports.fits.file import write_fits
from exports.fits.sums import BLOCK, add, encode
from exports.fits.units import read_units
from tests.exports.fits.conftest import Pair

Part = tuple[fits.Header, bytearray]
Defect = Callable[[list[Part]], None]
DATA, CONSTANT = 1, 2


def seeded(path: Path, defect: Defect, sums: bool = True) -> Path:
    """The file with a defect; its checksums are right again, unless `sums` is False."""
    content = path.read_bytes()
    parts = [(u.header, bytearray(content[u.data : u.data + u.size])) for u in read_units(path)]
    defect(parts)
    path.write_bytes(b"".join(_unit(header, data, sums) for header, data in parts))
    return path


def _unit(header: fits.Header, data: bytearray, sums: bool) -> bytes:
    filled = bytes(data) + b"\0" * (-len(data) % BLOCK)
    if sums and "CHECKSUM" in header:
        header["DATASUM"], header["CHECKSUM"] = str(add(filled)), "0" * 16
        header["CHECKSUM"] = encode(add(header.tostring().encode(), add(filled)))
    return header.tostring().encode() + filled


def rules(path: Path, pair: Pair) -> set[str]:
    found = check_fits(path, pair[0])
    assert all(finding.severity == "error" and finding.what and finding.remedy for finding in found)
    return {finding.rule for finding in found}


# ---- what defects are made of ----------------------------------------------------------------------------------------
def put(unit: int, keyword: str, value: object) -> Defect:
    def defect(parts: list[Part]) -> None:
        assert parts[unit][0].get(keyword) != value
        parts[unit][0][keyword] = value

    return defect


def drop(unit: int, keyword: str) -> Defect:
    def defect(parts: list[Part]) -> None:
        del parts[unit][0][keyword]

    return defect


def column(name: str, stem: str, value: object) -> Defect:
    """The keyword of a column of either table; None removes it."""

    def defect(parts: list[Part]) -> None:
        for header, _ in parts[1:]:
            for i in range(1, header["TFIELDS"] + 1):
                if header[f"TTYPE{i}"] == name:
                    assert header.get(f"{stem}{i}") != value
                    if value is None:
                        del header[f"{stem}{i}"]
                    else:
                        header[f"{stem}{i}"] = value

    return defect


def cell(unit: int, name: str, row: int, content: bytes) -> Defect:
    """Other bytes in the first place of a cell."""

    def defect(parts: list[Part]) -> None:
        header, data = parts[unit]
        sizes = {"K": 8, "D": 8, "E": 4, "J": 4, "I": 2, "A": 1, "B": 1}
        at = row * header["NAXIS1"]
        for i in range(1, header["TFIELDS"] + 1):
            if header[f"TTYPE{i}"] == name:
                break
            form = header[f"TFORM{i}"]
            at += int(form[:-1] or 1) * sizes[form[-1]]
        assert data[at : at + len(content)] != content
        data[at : at + len(content)] = content

    return defect


def row_lost(parts: list[Part]) -> None:
    header, data = parts[DATA]
    header["NAXIS2"] -= 1
    del data[-header["NAXIS1"] :]


def cards_swapped(parts: list[Part]) -> None:
    header = parts[0][0]
    card = header.cards["BITPIX"]
    del header["BITPIX"]
    header.insert("NAXIS", card, after=True)


def keyword_twice(parts: list[Part]) -> None:
    parts[DATA][0].append(fits.Card("TELESCOP", "PADRE"), end=True)


def text_lost(parts: list[Part]) -> None:
    parts[0][0].remove("COMMENT", remove_all=True)


def comment_of(parts: list[Part]) -> None:
    parts[DATA][0].comments["TTYPE3"] = "Something else"


def constants_lost(parts: list[Part]) -> None:
    del parts[CONSTANT]


NAN, FILL = bytes.fromhex("7fc00000"), bytes.fromhex("f2fc6f7c")  # float32 of -1e31, big-endian
DEFECTS: dict[str, tuple[str, Defect]] = {
    "units in wrong order": ("X03", cards_swapped),
    "no telescope": ("X04", drop(0, "TELESCOP")),
    "no start in the table": ("X04", drop(DATA, "DATE-BEG")),
    "no reference date": ("X04", drop(DATA, "DATEREF")),
    "no flag of an observation": ("X04", drop(DATA, "OBS_HDU")),
    "another file's name": ("X05", put(0, "FILENAME", "padre_meddea_l2_sweep_20240917T000000_v1.0.0.fits")),
    "another telescope": ("X06", put(0, "TELESCOP", "STIX")),
    "another instrument": ("X06", put(DATA, "INSTRUME", "SHARP")),
    "another origin": ("X06", put(0, "ORIGIN", "NASA/GSFC")),
    "date of the wall clock": ("X06", put(0, "DATE", "2026-08-02T12:00:00")),
    "another level": ("X06", put(0, "LEVEL", "l3")),
    "more than partially compliant": ("X06", put(DATA, "SOLARNET", 1.0)),
    "no parents": ("X06", drop(0, "PARENTXT")),
    "another version": ("X07", put(0, "VERSION", "1.0.1")),
    "version with a v": ("X07", put(DATA, "VERSION", "v1.0.0")),
    "ends a day later": ("X08", put(0, "DATE-END", "2024-09-17T00:33:10.000000000")),
    "leap seconds missing": ("X08", put(DATA, "DATE-BEG", "2024-09-15T23:59:55.000000000")),
    "another reference": ("X08", put(DATA, "DATEREF", "2000-01-01T00:00:00")),
    "another MJD": ("X08", put(DATA, "MJDREF", 60568.0)),
    "another time scale": ("X08", put(DATA, "TIMESYS", "TAI")),
    "TIME of another scale": ("X08", column("TIME", "TCTYP", "TT")),
    "another unit's name": ("X09", put(DATA, "EXTNAME", "PHOTON")),
    "one name twice": ("X09", put(CONSTANT, "EXTNAME", "SWEEP")),
    "constants lost": ("X09", constants_lost),
    "a column by another name": ("X10", column("before_s", "TTYPE", "after")),
    "integers for floats": ("X11", column("before_s", "TFORM", "K")),
    "axes the wrong way": ("X11", column("sweep_counts", "TDIM", "(6,2,3)")),
    "an offset of its own": ("X11", column("sweep_counts", "TZERO", 32768)),
    "another unit": ("X12", column("after_s", "TUNIT", "ms")),
    "no unit": ("X12", column("velocity_km_s", "TUNIT", None)),
    "another fill value": ("X13", column("sweep_counts", "TNULL", -1)),
    "no fill value": ("X13", column("quality_flag", "TNULL", None)),
    "a wider valid range": ("X14", column("sweep_counts", "TLMAX", 5000)),
    "no valid range": ("X14", column("before_s", "TLMIN", None)),
    "described as something else": ("X15", comment_of),
    "flags without meaning": ("X15", column("quality_flag", "TCOMM", "0 is good")),
    "a record lost": ("X16", row_lost),
    "another count": ("X17", cell(DATA, "sweep_counts", 7, b"\x12\x34")),
    "a number for nothing": ("X17", cell(DATA, "sweep_flux", 100, b"\0\0\0\0")),
    "fill value left in": ("X17", cell(DATA, "sweep_flux", 100, FILL)),
    "nothing for a number": ("X17", cell(DATA, "heat_by_step", 199, NAN)),
    "a flag lost": ("X17", cell(DATA, "quality_flag", 3, b"\x00\x00\x01\x00")),
    "another epoch": ("X17", cell(DATA, "Epoch", 150, b"\x0a\xd2\x1d\xff")),
    "another axis": ("X17", cell(CONSTANT, "step", 0, b"\x40\x10")),
    "another label": ("X17", cell(CONSTANT, "component_label", 0, b"q")),
    "seconds since something else": ("X18", cell(DATA, "TIME", 50, b"\x40\x7f\x90\0\0\0\0\0")),
    "a keyword twice": ("X20", keyword_twice),
    "a unit that FITS does not know": ("X21", column("after_s", "TUNIT", "parsecs/fortnight")),
    "assumptions not told": ("X22", text_lost),
    "no history": ("X22", drop(0, "HISTORY")),
    "what the CDF does not say": ("X23", put(0, "EXPOSURE", 10.0)),
}  # fmt: skip


# ---- tests -----------------------------------------------------------------------------------------------------------
def test_a_good_file_is_not_stopped(each: Pair) -> None:
    assert check_fits(each[1], each[0]) == []


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_stopped_by_its_rule(pair: Callable[..., Pair], name: str) -> None:
    rule, defect = DEFECTS[name]
    made = pair("l2_sweep")
    found = rules(seeded(made[1], defect), made)
    assert rule in found
    assert "X02" not in found, "the checksums were mended, so that it is not they that stop the file"


def test_a_flipped_bit_is_stopped_by_the_checksum(pair: Callable[..., Pair]) -> None:
    made = pair("l1_photon")
    assert "X02" in rules(seeded(made[1], cell(DATA, "adc", 9, b"\x7f"), sums=False), made)


def test_a_unit_without_a_checksum_is_stopped(pair: Callable[..., Pair]) -> None:
    made = pair("l1_photon")
    assert "X02" in rules(seeded(made[1], drop(0, "CHECKSUM"), sums=False), made)
    assert "X02" in rules(seeded(made[1], put(DATA, "DATASUM", "1"), sums=False), made)


@pytest.mark.parametrize(
    "change", [lambda b: b[:-1], lambda b: b[:-2880], lambda b: b + b"\0" * 2880, lambda _: b"CDF"]
)
def test_a_file_of_another_length_is_no_fits(pair: Callable[..., Pair], change: Callable[[bytes], bytes]) -> None:
    made = pair("l1_photon")
    made[1].write_bytes(change(made[1].read_bytes()))
    assert rules(made[1], made) == {"X01"}


def test_text_that_is_not_ascii_is_stopped(pair: Callable[..., Pair]) -> None:
    made = pair("l1_photon")
    made[1].write_bytes(made[1].read_bytes().replace(b"Handle with care", b"Handle w\xefth care"))
    assert {"X02", "X19"} <= rules(made[1], made)


@pytest.mark.parametrize("card", [b"VERSION = '1.0.0    ", b"VERSION = 1.0.0.0   ", b"VERSION   '1.0.0   '"])
def test_a_card_that_cannot_be_read_is_stopped(pair: Callable[..., Pair], card: bytes) -> None:
    made = pair("l1_photon")
    content = made[1].read_bytes()
    assert b"VERSION = '1.0.0   '" in content
    made[1].write_bytes(content.replace(b"VERSION = '1.0.0   '", card))
    assert {"X02", "X03", "X07", "X04"} & rules(made[1], made)


def test_a_file_by_another_name_is_stopped(pair: Callable[..., Pair]) -> None:
    made = pair("l1_photon")
    other = made[1].rename(made[1].with_name("padre_meddea_l1_photon_20240916T000000_v1.0.1.fits"))
    assert rules(other, made) == {"X05"}


def test_the_file_of_another_day_is_stopped(pair: Callable[..., Pair]) -> None:
    photon, spectrum = pair("l1_photon"), pair("l1_spectrum")
    assert {"X05", "X06", "X09"} <= rules(photon[1], (spectrum[0], photon[1]))


def test_a_finding_tells_where_what_and_what_to_do(pair: Callable[..., Pair]) -> None:
    made = pair("l2_sweep")
    (finding,) = check_fits(seeded(made[1], cell(DATA, "sweep_counts", 7, b"\x12\x34")), made[0])
    assert str(finding) == (
        "X17 SWEEP sweep_counts: row 8 is not what the CDF has there. "
        "Run `swxlake export --force`, which makes it again from the CDF"
    )


# Mistakes of those that write the headers, which the check would repeat if it asked them what is right.
MISTAKES: dict[str, tuple[str, Any, str, Callable[[Any], Any]]] = {
    "times off by a second": ("X08", headers, "iso_utc", lambda right: lambda tt2000: right(tt2000 + 10**9)),
    "units of another name": ("X12", columns, "fits_unit", lambda right: lambda text: "m" if right(text) else None),
    "another value for nothing": (
        "X13",
        columns.TableColumn,
        "fill",
        lambda right: property(lambda self: _fill(right, self)),
    ),
    "another version": (
        "X07",
        headers.Origin,
        "text",
        lambda right: lambda self, name: "9.9.9" if name == "Data_version" else right(self, name),
    ),
    "rows forgotten": (
        "X16",
        headers,
        "_table_head",
        lambda right: lambda columns, rows: right(columns, rows - 1 if rows > 1 else rows),
    ),
}


def _fill(right: property, column: Any) -> Any:
    found = right.__get__(column)
    return found if found is None or isinstance(found, float | np.floating) else int(found) + 1


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_headers_is_not_made_again_by_the_check(
    pair: Callable[..., Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    rule, place, function, mistaken = MISTAKES[name]
    cdf, _ = pair("l1_photon")
    monkeypatch.setattr(place, function, mistaken(getattr(place, function)))
    made = write_fits(cdf, tmp_path).path
    assert rule in {finding.rule for finding in check_fits(made, cdf)}
