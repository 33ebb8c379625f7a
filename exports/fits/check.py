# SPDX-License-Identifier: Apache-2.0
"""Whether a FITS file says what its CDF says, and nothing else: looked at before it is published, and by its bytes.

Rules X01 to X23; docs/how-to/fits-for-the-solar-archive.md lists them.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from astropy import units as astropy_units
from astropy.io import fits

from exports.cdf.reader import CdfReader
from exports.cdf.spec import Values
from exports.fits import facts
from exports.fits.columns import TableColumn, constant_columns, record_columns
from exports.fits.headers import Origin, primary_header, table_header
from exports.fits.units import Unit, read_units
from exports.rules.nouns import Finding
from lake.clock import NS, tt2000_of_day
from lake.errors import ExportError

AGAIN = "Run `swxlake export --force`, which makes it again from the CDF"
ROW_BYTES = 1024 * 1024  # of a table, compared at a time
NO_SUM = (0, (1 << 32) - 1)  # both are zero in ones' complement
COMMENTARY = ("COMMENT", "HISTORY", "", "CONTINUE")
SUMS = ("CHECKSUM", "DATASUM")
# The rule that is broken if a keyword, less its number, says something else than the CDF does.
RULES = {
    "X05": ("FILENAME",),
    "X07": ("VERSION", "SOLNETEX"),
    "X08": ("TIMESYS", "TIMEUNIT", "DATEREF", "MJDREF", "DATE-BEG", "DATE-AVG", "DATE-END", "TCTYP", "TCUNI"),
    "X09": ("EXTNAME",),
    "X10": ("TFIELDS", "TTYPE"),
    "X11": ("XTENSION", "BITPIX", "NAXIS", "PCOUNT", "GCOUNT", "TFORM", "TDIM", "TSCAL", "TZERO"),
    "X12": ("TUNIT",),
    "X13": ("TNULL",),
    "X14": ("TLMIN", "TLMAX"),
    "X15": ("TCOMM",),
}
RULE_OF = {keyword: rule for rule, keywords in RULES.items() for keyword in keywords}
# What no file may lack: SOLARNET part B, sections 12 to 15.1, and what an archive files by.
MANDATORY = (
    "EXTNAME", "FILENAME", "DATE", "ORIGIN", "OBS_HDU", "DATE-BEG", "DATEREF", "TIMESYS", "TELESCOP", "INSTRUME",
    "MISSION", "LEVEL", "VERSION",
)  # fmt: skip
LAYOUT = ("X09", "X10", "X11", "X16")  # without these right, values cannot be compared


def check_fits(path: Path, cdf: CdfReader) -> list[Finding]:
    """What is wrong with a FITS file that was made from the CDF; an empty list if nothing is."""
    origin = Origin(cdf)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what astropy warns of is told by _standard()
            units = read_units(path)
            expected = _expected(origin)
            found = [*_container(path, units), *_headers(origin, path, units, expected), *_facts(cdf, units)]
            if not any(finding.rule in LAYOUT for finding in found):
                found += _values(origin, units)
    except ExportError as error:
        return [_error("X01", "", str(error).rstrip("."))]
    except fits.VerifyError as error:  # of a card that cannot be read at all
        return [_error("X03", "", " ".join(str(error).split()).rstrip("."))]
    return sorted(set(found))


def _error(rule: str, where: str, what: str, severity: Literal["error", "warning"] = "error") -> Finding:
    return Finding(rule, severity, where, what, AGAIN)


def _expected(origin: Origin) -> list[fits.Header]:
    """The headers that the CDF leads to, as they read once they are written: a card has 20 places for a number."""
    constants = constant_columns(origin.cdf)
    headers = [primary_header(origin)]
    headers.append(table_header(origin, record_columns(origin.cdf, origin.day), origin.records))
    headers += [table_header(origin, constants, 1)] if constants else []
    return [fits.Header.fromstring(header.tostring()) for header in headers]


# ---- the file as FITS ------------------------------------------------------------------------------------------------


def _container(path: Path, units: list[Unit]) -> Iterator[Finding]:
    for unit in units:
        yield from _sums(unit)
        if odd := re.search(rb"[^ -~]", unit.header_bytes()):
            yield _error("X19", unit.name, f"its header has the byte {odd[0]!r}, which is not printable ASCII")
        counts = Counter(card.keyword for card in unit.header.cards if card.keyword not in COMMENTARY)
        for keyword in (keyword for keyword, count in counts.items() if count > 1):
            yield _error("X20", f"{unit.name} {keyword}", f"stands in the header {counts[keyword]} times")
    yield from _standard(path)


def _sums(unit: Unit) -> Iterator[Finding]:
    missing = [keyword for keyword in SUMS if keyword not in unit.header]
    if missing:
        yield _error("X02", unit.name, f"has no {' and no '.join(missing)}")
        return
    data, whole = unit.sums()
    if str(unit.header["DATASUM"]) != str(data) or whole not in NO_SUM:
        yield _error("X02", unit.name, f"its checksums are wrong (data sum up to {data}, all to {whole:#x})")


def _standard(path: Path) -> Iterator[Finding]:
    """What astropy has to say about the standard."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            with fits.open(path, lazy_load_hdus=False) as file:
                file.verify("exception")
        except (OSError, KeyError, TypeError, ValueError, fits.VerifyError) as error:
            yield _error("X03", "", " ".join(str(error).split()).rstrip("."))
    for warning in told:
        yield _error("X03", "", " ".join(str(warning.message).split()).rstrip("."))


# ---- headers ---------------------------------------------------------------------------------------------------------


def _headers(origin: Origin, path: Path, units: list[Unit], expected: list[fits.Header]) -> Iterator[Finding]:
    if path.name != origin.file.fits_name:
        yield _error("X05", "", f"is named {path.name}, its CDF wants {origin.file.fits_name}")
    names, wanted = [unit.name for unit in units], [str(header["EXTNAME"]) for header in expected]
    if names != wanted:
        yield _error("X09", "", f"has the units {names}, its CDF wants {wanted}")
    for unit, header in zip(units, expected, strict=False):
        yield from _header(unit, header)
        yield from _foreign_units(unit)


def _header(unit: Unit, expected: fits.Header) -> Iterator[Finding]:
    found, wanted = _cards(unit.header), _cards(expected)
    for keyword in found.keys() | wanted.keys():
        where = f"{unit.name} {keyword}"
        if keyword not in found:
            rule = "X04" if keyword in MANDATORY else _rule(keyword)
            yield _error(rule, where, f"is missing; the CDF says {wanted[keyword][0]!r}")
        elif keyword not in wanted:
            rule = RULE_OF.get(_stem(keyword), "X23")
            yield _error(rule, where, f"is {found[keyword][0]!r}, which the CDF does not say")
        elif not _same(found[keyword][0], wanted[keyword][0]):
            yield _error(_rule(keyword), where, f"is {found[keyword][0]!r}, the CDF says {wanted[keyword][0]!r}")
        elif found[keyword][1] != wanted[keyword][1]:
            yield _error("X15", where, f"is described as {found[keyword][1]!r}, not as {wanted[keyword][1]!r}")
    for keyword in ("COMMENT", "HISTORY"):
        if _lines(unit.header, keyword) != _lines(expected, keyword):
            yield _error("X22", f"{unit.name} {keyword}", "is not what the CDF says in TEXT, MODS and rules of use")


def _facts(cdf: CdfReader, units: list[Unit]) -> Iterator[Finding]:
    """What the primary unit and the table of records, if they are there, get wrong."""
    for unit in units[:2]:
        wrong = [*facts.wrong_facts(unit.header, cdf)]
        wrong += facts.wrong_columns(unit.header, cdf) if unit is not units[0] else ()
        for rule, keyword, found, said in wrong:
            yield _error(rule, f"{unit.name} {keyword}", f"is {found!r}, and the CDF has {said!r}")


def _cards(header: fits.Header) -> dict[str, tuple[Any, str]]:
    """Value and comment by keyword; checksums and remarks have checks of their own."""
    cards = (card for card in header.cards if card.keyword not in (*COMMENTARY, *SUMS))
    return {card.keyword: (card.value, card.comment) for card in cards}


def _lines(header: fits.Header, keyword: str) -> list[str]:
    return [str(card.value) for card in header.cards if card.keyword == keyword]


def _rule(keyword: str) -> str:
    if keyword == "NAXIS2":
        return "X16"
    return RULE_OF.get(_stem(keyword), "X06")


def _stem(keyword: str) -> str:
    """A keyword without the number of its column."""
    return keyword.rstrip("0123456789")


def _same(found: Any, wanted: Any) -> bool:
    """Equal, and of one type: 1, 1.0 and T are not the same."""
    return type(found) is type(wanted) and bool(found == wanted)


def _foreign_units(unit: Unit) -> Iterator[Finding]:
    for keyword, value in unit.header.items():
        if keyword.startswith("TUNIT"):
            try:
                astropy_units.Unit(str(value), format="fits")
            except ValueError:
                yield _error("X21", f"{unit.name} {keyword}", f"{value!r} is no unit that FITS knows")


# ---- values ----------------------------------------------------------------------------------------------------------


def _values(origin: Origin, units: list[Unit]) -> Iterator[Finding]:
    yield from _table(origin, units[1], record_columns(origin.cdf, origin.day))
    for unit in units[2:]:
        yield from _table(origin, unit, constant_columns(origin.cdf))


def _table(origin: Origin, unit: Unit, columns: tuple[TableColumn, ...]) -> Iterator[Finding]:
    step, told = max(1, ROW_BYTES // int(unit.header["NAXIS1"])), set[str]()
    for start, rows in unit.rows(step):
        for number, column in enumerate(columns, 1):
            if column.name in told:
                continue
            values = origin.cdf.values(column.variable.name, start, start + len(rows))
            offset = int(unit.header.get(f"TZERO{number}", 0))
            wrong = _differ(origin, column, rows[column.name], offset, values).reshape(len(rows), -1).any(axis=1)
            if wrong.any():
                told.add(column.name)
                where, row = f"{unit.name} {column.name}", start + int(wrong.argmax()) + 1
                yield _error("X18" if column.day else "X17", where, f"row {row} is not what the CDF has there")


def _differ(origin: Origin, column: TableColumn, stored: Values, offset: int, values: Values) -> Values:
    """Where what is stored is not the value of the CDF."""
    if column.day:
        elapsed = values.astype(np.int64) - tt2000_of_day(origin.day)
        return np.asarray(np.rint(stored * NS) != elapsed)
    if stored.dtype.kind == "f":
        fill = np.array(np.nan if column.fill is None else column.fill, values.dtype)
        return np.asarray(np.where((values == fill) | np.isnan(values), ~np.isnan(stored), stored != values))
    if stored.dtype.kind == "S":
        return np.asarray(stored != values)
    return np.asarray(stored.astype(np.int64) + offset != values.astype(np.int64))
