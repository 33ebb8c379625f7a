# SPDX-License-Identifier: Apache-2.0
"""Variables of a CDF as columns of FITS binary tables: their form, their keywords, and their values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from math import prod
from typing import Any, NamedTuple

import numpy as np
from astropy import units
from astropy.io import fits

from exports.cdf.reader import CdfReader, VariableInfo
from exports.cdf.records import TEXT_TYPES
from exports.cdf.spec import Values
from exports.fits.times import seconds_of_day
from lake.errors import ExportError

EPOCH = "CDF_TIME_TT2000"
TIME = "TIME"
AXES = range(1, 10)  # a CDF variable has at most ten dimensions
SPACE, VALUE_END = 80, 30  # characters of a card, and where its comment begins at the earliest


class Form(NamedTuple):
    """How FITS holds a CDF type: its letter, the numpy type of what is stored, and what is taken off before that."""

    letter: str
    stored: str
    offset: int = 0


# FITS has no unsigned integers of more than 8 bits: the offset TZERO makes them (standard 4.0, table 19). Signed bytes
# become 16 bits, for readers make doubles of a byte with an offset.
FORMS = {
    "CDF_INT1": Form("I", ">i2"),
    "CDF_BYTE": Form("I", ">i2"),
    "CDF_INT2": Form("I", ">i2"),
    "CDF_INT4": Form("J", ">i4"),
    "CDF_INT8": Form("K", ">i8"),
    "CDF_UINT1": Form("B", "|u1"),
    "CDF_UINT2": Form("I", ">i2", 2**15),
    "CDF_UINT4": Form("J", ">i4", 2**31),
    "CDF_REAL4": Form("E", ">f4"),
    "CDF_FLOAT": Form("E", ">f4"),
    "CDF_REAL8": Form("D", ">f8"),
    "CDF_DOUBLE": Form("D", ">f8"),
    EPOCH: Form("K", ">i8"),
}


@dataclass(frozen=True)
class TableColumn:
    """A column made from a variable. With a `day` it holds the variable's times as seconds since that day began."""

    variable: VariableInfo
    day: date | None = None

    @property
    def name(self) -> str:
        """TTYPE."""
        return TIME if self.day else self.variable.name

    @property
    def is_text(self) -> bool:
        """True for strings."""
        return self.variable.type in TEXT_TYPES

    @property
    def form(self) -> Form:
        """How the values are held. Raises ExportError for a type that FITS has nothing for."""
        if self.day:
            return FORMS["CDF_REAL8"]
        if self.is_text:
            return Form("A", f"S{self.variable.elements}")
        if self.variable.type not in FORMS:
            name, cdf_type = self.variable.name, self.variable.type
            raise ExportError(f"variable {name}: {cdf_type} has no place in a FITS table. Leave it out of the product")
        return FORMS[self.variable.type]

    @property
    def tform(self) -> str:
        """TFORM: how many values of which type a row has."""
        count = prod(self.variable.dims) * (self.variable.elements if self.is_text else 1)
        return f"{count if count > 1 else ''}{self.form.letter}"

    @property
    def tdim(self) -> str | None:
        """TDIM: the shape, fastest index first; None for one value or a list of numbers."""
        shape = (*self.variable.dims, *((self.variable.elements,) if self.is_text else ()))
        return f"({','.join(str(size) for size in reversed(shape))})" if len(shape) > 1 else None

    @property
    def fill(self) -> Any:
        """The value that stands for nothing in the CDF; None if there is none."""
        entry = self.variable.attributes.get("FILLVAL")
        return entry.value[0] if entry and not isinstance(entry.value, str) else None

    def stored(self, values: Values) -> Values:
        """Values of the CDF as the table holds them: NaN for the fill value of floats, integers less their offset."""
        if self.day:
            return seconds_of_day(values, self.day)
        if self.is_text:
            return values
        if values.dtype.kind == "f":
            filled = values == values.dtype.type(self.fill) if self.fill is not None else np.zeros((), np.bool_)
            return np.where(filled, values.dtype.type(np.nan), values)
        return values.astype(np.int64) - self.form.offset if self.form.offset else values

    def cards(self, number: int) -> Iterator[fits.Card]:
        """The cards of the column, which is number `number` of its table, from 1."""
        unit, about = self._unit, self._about
        yield short_card(f"TTYPE{number}", self.name, about)
        yield fits.Card(f"TFORM{number}", self.tform)
        optional = {"TDIM": self.tdim, "TUNIT": unit, **self._numbers}
        for keyword, value in optional.items():
            if value is not None:
                yield fits.Card(f"{keyword}{number}", value)
        if more := self._more(len(short_card(f"TTYPE{number}", self.name, about).comment) < len(about)):
            yield fits.Card(f"TCOMM{number}", more)

    @property
    def _numbers(self) -> dict[str, Any]:
        """Offset, fill value of integers, and valid range (the legal values: TLMIN, TLMAX), by keyword."""
        if self.day:
            return {"TCTYP": "UTC", "TCUNI": "s"}
        if self.is_text:
            return {}
        is_float, offset = self.form.letter in "ED", self.form.offset
        scale = {"TSCAL": 1, "TZERO": offset} if offset else {}
        null = {} if is_float or self.fill is None else {"TNULL": int(self.fill) - offset}
        limits = {"TLMIN": self._limit("VALIDMIN"), "TLMAX": self._limit("VALIDMAX")}
        return {**scale, **null, **limits}

    def _limit(self, attribute: str) -> Any:
        entry = self.variable.attributes.get(attribute)
        is_one = entry is not None and not isinstance(entry.value, str) and len(entry.value) == 1
        return entry.value[0] if entry is not None and is_one else None

    @property
    def _unit(self) -> str | None:
        """TUNIT. None for TT2000: readers that compute with units would make doubles of it, good to 128 ns only."""
        if self.day:
            return "s"
        return None if self.variable.type == EPOCH else fits_unit(self._text("UNITS"))

    @property
    def foreign_unit(self) -> str | None:
        """The unit, if FITS has no name for it."""
        unit = self._text("UNITS")
        return unit if unit and self.day is None and fits_unit(unit) is None else None

    @property
    def _about(self) -> str:
        return "[s] UTC since DATEREF" if self.day else self._text("CATDESC")

    def _more(self, is_cut: bool) -> str:
        """What the comment of TTYPE has no room for: description, units that FITS does not have, axes, notes."""
        if self.day:
            return f"Elapsed seconds since DATEREF, leap seconds counted, of {self.variable.name}, which is exact"
        unit = self._text("UNITS")
        axes = [self._text(f"DEPEND_{i}") or self._text(f"LABL_PTR_{i}") for i in AXES[: len(self.variable.dims)]]
        deltas = dict.fromkeys(text for side in ("MINUS", "PLUS") if (text := self._text(f"DELTA_{side}_VAR")))
        about = (
            self._about if is_cut else "",
            f"Unit: {unit}" if unit and self._unit is None else "",
            f"Axes: {', '.join(axes)}" if self.variable.record_variance and any(axes) else "",
            f"Deltas: {', '.join(deltas)}" if deltas else "",
            self._text("VAR_NOTES"),
        )
        return ". ".join(text.rstrip(".") for text in about if text)

    def _text(self, attribute: str) -> str:
        entry = self.variable.attributes.get(attribute)
        return entry.value.strip() if entry and isinstance(entry.value, str) else ""


def fits_unit(text: str) -> str | None:
    """The unit in the words of FITS (standard 4.0, section 4.3); None if it has none, or only a factor is left."""
    try:
        unit = units.Unit(text)
        return str(unit.to_string("fits")) if unit.decompose().bases else None
    except ValueError:  # UnitScaleError is one too
        return None


def short_card(keyword: str, value: Any, comment: str) -> fits.Card:
    """A card with as much of a comment as it has room for, cut at a word."""
    room = SPACE - max(VALUE_END, len(str(fits.Card(keyword, value)).rstrip())) - len(" / ")
    if len(comment) > room:
        comment = comment[: room + 1].rpartition(" ")[0] if room > 0 else ""
    return fits.Card(keyword, value, comment)


def record_columns(cdf: CdfReader, day: date) -> tuple[TableColumn, ...]:
    """Columns of the table with a row to a record: each variable, and after the times their seconds of the day."""
    columns: list[TableColumn] = []
    for variable in cdf.variables.values():
        if variable.record_variance:
            columns.append(TableColumn(variable))
            if variable.type == EPOCH and variable.name == "Epoch":
                columns.append(TableColumn(variable, day))
    return _checked(cdf, columns)


def constant_columns(cdf: CdfReader) -> tuple[TableColumn, ...]:
    """Columns of the table with one row: what does not vary from record to record, such as axes and their labels."""
    constants = [v for v in cdf.variables.values() if not v.record_variance and v.records]
    return _checked(cdf, [TableColumn(variable) for variable in constants])


def _checked(cdf: CdfReader, columns: list[TableColumn]) -> tuple[TableColumn, ...]:
    names = [column.name.upper() for column in columns]  # FITS readers do not tell case (standard 4.0, section 7.3.2)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ExportError(f"{cdf.path.name}: FITS has two columns {', '.join(twice)}. Rename a column of the product")
    if len(columns) > 999:
        raise ExportError(f"{cdf.path.name}: {len(columns)} columns, FITS has 999 at most. Omit some of the product")
    return tuple(columns)


def row_type(columns: tuple[TableColumn, ...]) -> np.dtype[Any]:
    """The numpy type of a row as it lies in the file."""
    return np.dtype([(column.name, column.form.stored, column.variable.dims) for column in columns])
