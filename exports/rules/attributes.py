# SPDX-License-Identifier: Apache-2.0
"""Attributes of a CDF file as rules ask for them: texts, numbers, and which kind of variable it is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from exports.cdf.reader import CdfReader, Entry, VariableInfo
from exports.cdf.records import TEXT_TYPES, TIME_TYPES

FLOATS = ("CDF_REAL4", "CDF_FLOAT", "CDF_REAL8", "CDF_DOUBLE")
# Two names of one type, by the CDF library's own header; files and readers use both.
SAME = {"CDF_FLOAT": "CDF_REAL4", "CDF_DOUBLE": "CDF_REAL8", "CDF_BYTE": "CDF_INT1", "CDF_UCHAR": "CDF_CHAR"}
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def plain_type(name: str) -> str:
    """One name for a type that has two."""
    return SAME.get(name, name)


def plain(text: str) -> str:
    """A text without the padding that writers leave behind it."""
    return text.rstrip("\0 ")


def text_of(variable: VariableInfo, name: str) -> str:
    """A text attribute without padding; empty if it is blank, no text or not there."""
    entry = variable.attributes.get(name)
    return plain(entry.value) if entry and isinstance(entry.value, str) else ""


def numbers_of(variable: VariableInfo, name: str) -> tuple[float, ...]:
    """The numbers of an attribute; none if it is a text or not there."""
    entry = variable.attributes.get(name)
    return tuple(entry.value) if entry and not isinstance(entry.value, str) else ()


def texts_of(file: CdfReader, name: str) -> tuple[str, ...]:
    """The text entries of a global attribute, without padding."""
    return tuple(plain(entry.value) for entry in file.globals.get(name, ()) if isinstance(entry.value, str))


def first_text(file: CdfReader, name: str) -> str:
    """The first entry of a global attribute; empty if there is none."""
    return next(iter(texts_of(file, name)), "")


def short(text: str) -> str:
    """The part of `short>long` before the `>`."""
    return text.partition(">")[0].strip()


def is_empty(entry: Entry) -> bool:
    """True for a text without any character; one blank is not empty."""
    return isinstance(entry.value, str) and not entry.value.strip("\0")


def is_ascii(text: str) -> bool:
    """True if all characters are printable ASCII or begin a line or column, padding apart."""
    return all(" " <= character <= "~" or character in "\t\n\r" for character in text.rstrip("\0"))


def is_time(variable: VariableInfo) -> bool:
    """True for a variable of one of the three time types."""
    return variable.type in TIME_TYPES


def is_text(variable: VariableInfo) -> bool:
    """True for a variable of characters."""
    return variable.type in TEXT_TYPES


def role(variable: VariableInfo) -> str:
    """VAR_TYPE."""
    return text_of(variable, "VAR_TYPE")


def measured(file: CdfReader) -> Iterator[VariableInfo]:
    """Variables with VAR_TYPE data."""
    return (variable for variable in file.variables.values() if role(variable) == "data")


def display_of(variable: VariableInfo) -> str:
    """DISPLAY_TYPE without the options that may follow it."""
    return short(text_of(variable, "DISPLAY_TYPE")).lower()


def pointer(file: CdfReader, variable: VariableInfo, name: str) -> VariableInfo | None:
    """The variable that an attribute names; None if there is no such variable."""
    return file.variables.get(text_of(variable, name))


def epochs(file: CdfReader) -> tuple[VariableInfo, ...]:
    """Time variables that records depend on, and the first one of the file in any case."""
    named = {text_of(variable, "DEPEND_0") for variable in file.variables.values()}
    times = [variable for variable in file.variables.values() if is_time(variable)]
    return tuple(time for i, time in enumerate(times) if i == 0 or time.name in named)
