# SPDX-License-Identifier: Apache-2.0
"""What a reader of a FITS file relies on most, compared with the CDF itself: names, version, times, units, fill values.

None of it goes by way of the functions that write the headers, so that a mistake of theirs is not repeated here.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from astropy import units
from astropy.io import fits

from exports.cdf.reader import CdfReader, VariableInfo
from lake.clock import NS, tt2000_of_day

Wrong = tuple[str, str, Any, Any]  # rule, keyword, what it is, what the CDF says


def wrong_facts(header: fits.Header, cdf: CdfReader) -> Iterator[Wrong]:
    """What is wrong in a header that speaks of the whole file."""
    file_id = _global(cdf, "Logical_file_id")
    source, day, version = file_id.rsplit("_", 2)
    expected = {
        "FILENAME": ("X05", f"{source.replace('-', '_', 1)}_{day}T000000_{version}.fits"),
        "VERSION": ("X07", version.removeprefix("v")),
        "INSTRUME": ("X06", _global(cdf, "Descriptor").split(">")[0]),
        "TELESCOP": ("X06", _global(cdf, "Source_name").split(">")[0]),
    }
    for keyword, (rule, wanted) in expected.items():
        if header.get(keyword) != wanted:
            yield rule, keyword, header.get(keyword), wanted
    last = cdf.variables["Epoch"].records - 1
    for keyword, record, side, sign in (("DATE-BEG", 0, "MINUS", -1), ("DATE-END", last, "PLUS", 1)):
        tt2000 = _one(cdf, cdf.variables["Epoch"], record) + sign * _delta(cdf, side, record)
        if _tt2000(str(header.get(keyword))) != tt2000:
            yield "X08", keyword, header.get(keyword), f"TT2000 {tt2000}"


def wrong_columns(header: fits.Header, cdf: CdfReader) -> Iterator[Wrong]:
    """What is wrong in the columns of the table of records."""
    records = cdf.variables["Epoch"].records
    if header.get("NAXIS2") != records:
        yield "X16", "NAXIS2", header.get("NAXIS2"), records
    for number in range(1, int(header.get("TFIELDS", 0)) + 1):
        variable = cdf.variables.get(str(header.get(f"TTYPE{number}")))
        if variable is not None:
            yield from _wrong_unit(header, f"TUNIT{number}", variable)
            yield from _wrong_fill(header, number, variable)


def _wrong_unit(header: fits.Header, keyword: str, variable: VariableInfo) -> Iterator[Wrong]:
    """A unit that is not the same quantity."""
    entry = variable.attributes.get("UNITS")
    said = entry.value if entry and isinstance(entry.value, str) else ""
    if keyword in header:
        try:
            same = units.Unit(header[keyword], format="fits") == units.Unit(said)
        except ValueError:
            same = False
        if not same:
            yield "X12", keyword, header[keyword], said


def _wrong_fill(header: fits.Header, number: int, variable: VariableInfo) -> Iterator[Wrong]:
    """A value for nothing that is not the one of the CDF."""
    entry, keyword = variable.attributes.get("FILLVAL"), f"TNULL{number}"
    if keyword not in header:
        return
    wanted = None if entry is None or isinstance(entry.value, str) else int(entry.value[0])
    found = int(header[keyword]) + int(header.get(f"TZERO{number}", 0))
    if found != wanted:
        yield "X13", keyword, found, wanted


def _tt2000(text: str) -> int | None:
    """TT2000 of `2024-09-16T12:29:01.000000123`; None of anything else."""
    try:
        day, clock = text.split("T")
        hours, minutes, seconds = clock.split(":")
        whole, ns = seconds.split(".")
        past = (int(hours) * 60 + int(minutes)) * 60 + int(whole)
        return tt2000_of_day(date.fromisoformat(day)) + past * NS + int(ns.ljust(9, "0"))
    except ValueError:
        return None


def _delta(cdf: CdfReader, side: str, record: int) -> int:
    """How far a record reaches beyond its Epoch, in ns; 0 if the CDF does not say."""
    entry = cdf.variables["Epoch"].attributes.get(f"DELTA_{side}_VAR")
    if entry is None or not isinstance(entry.value, str):
        return 0
    variable = cdf.variables[entry.value.strip()]
    found, fill = _one(cdf, variable, record), variable.attributes["FILLVAL"].value[0]
    return 0 if found == fill else found


def _one(cdf: CdfReader, variable: VariableInfo, record: int) -> int:
    return int(cdf.values(variable.name, record, record + 1)[0])


def _global(cdf: CdfReader, name: str) -> str:
    return str(cdf.globals[name][0].value).strip()
