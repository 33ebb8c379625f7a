# SPDX-License-Identifier: Apache-2.0
"""What a CDF file will hold, before any value is known: variables with their attributes, and what is refused in them.

cdflib guesses the types of attributes, wraps integers that are too large, shifts text that is not ASCII and compresses
time variables. A specification that passes check_structure() leaves it nothing to guess.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from exports.cdf.records import CDF_TYPES, TEXT_TYPES, TIME_TYPES, CdfTypeName
from lake.errors import ExportError

# Blocks of 16 KB and more read fast; four sizes from 64 KB to 4 MB differed by less than 2 % in what they save.
BLOCK_BYTES = 256 * 1024
MIN_BLOCK_BYTES = 16 * 1024
WRITTEN_VERSION = "3.9.0"  # of the format, as cdflib writes it

Values = np.ndarray[Any, np.dtype[Any]]
GlobalAttributes = Sequence[tuple[str, Sequence[str]]]


@dataclass(frozen=True)
class Attribute:
    """An attribute of a variable: one text (CDF_CHAR, CDF_UCHAR), or one or more numbers of a CDF type.

    A CDF_EPOCH16 is two numbers, seconds and picoseconds.
    """

    name: str
    type: CdfTypeName
    value: str | tuple[int | float, ...]


@dataclass(frozen=True)
class VariableSpec:
    """A zVariable: `dims` is the shape of a record, `elements` the length of its strings (1 for numbers).

    `compression` is 0 or a gzip level; compressed values are stored in blocks of about `block_bytes`.
    """

    name: str
    type: CdfTypeName
    dims: tuple[int, ...] = ()
    record_variance: bool = True
    elements: int = 1
    compression: int = 0
    block_bytes: int = BLOCK_BYTES
    attributes: tuple[Attribute, ...] = ()

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type of one value, little-endian as in the file."""
        return np.dtype(f"S{self.elements}") if self.type in TEXT_TYPES else CDF_TYPES[self.type].dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array that holds a record: `dims`, and 2 for the halves of a CDF_EPOCH16."""
        parts = CDF_TYPES[self.type].parts
        return self.dims if parts == 1 else (*self.dims, parts)

    @property
    def record_bytes(self) -> int:
        """Size of one record, uncompressed."""
        return self.dtype.itemsize * math.prod(self.shape)

    @property
    def block_records(self) -> int:
        """Number of records to a block."""
        return max(1, math.ceil(self.block_bytes / self.record_bytes))


def text_values(texts: Sequence[str], width: int) -> Values:
    """Texts as blank-padded strings of `width` characters; ExportError if one is longer or not printable ASCII."""
    for text in texts:
        check_text(f"text {text!r}", text)
        if len(text) > width:
            raise ExportError(f"text {text!r} has more than {width} characters. Widen the variable or shorten the text")
    return np.array([text.ljust(width).encode("ascii") for text in texts], dtype=f"S{width}")


def check_text(where: str, text: str) -> None:
    """Refuse text that CDF readers take apart: empty, not printable ASCII, or with cdflib's list separator."""
    if not isinstance(text, str) or not text:
        raise ExportError(f"{where} is empty or no text. Give a text; one blank stands for nothing")
    bad = next((c for c in text if not " " <= c <= "~"), None)
    if bad is not None:
        raise ExportError(f"{where} has the character {bad!r}. CDF text is printable ASCII: rewrite it")
    if "\\N " in text:
        raise ExportError(rf"{where} has '\N ', which separates strings in a CDF. Rewrite it")


def check_structure(global_attributes: GlobalAttributes, specs: Sequence[VariableSpec]) -> None:
    """Refuse, with an ExportError, names, types, sizes and attributes that a CDF reader or SPDF would not take."""
    _check_names("variable", [spec.name for spec in specs])
    local = sorted({attribute.name for spec in specs for attribute in spec.attributes})
    _check_names("attribute", [name for name, _ in global_attributes] + local)
    for name, texts in global_attributes:
        if isinstance(texts, str) or not texts:
            raise ExportError(f"global attribute {name}: no entries. Give one or more texts, or leave it out")
        for text in texts:
            check_text(f"global attribute {name}", text)
    for spec in specs:
        _check_spec(spec)


def _check_names(what: str, names: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,254}", name):
            raise ExportError(f"{what} name {name!r}: use letters, digits and _, starting with a letter")
        if name.lower() in seen:
            raise ExportError(f"{what} names {seen[name.lower()]} and {name} are the same to some readers. Rename one")
        seen[name.lower()] = name


def _check_spec(spec: VariableSpec) -> None:
    where, cdf_type = f"variable {spec.name}", CDF_TYPES.get(spec.type)
    if cdf_type is None:
        raise ExportError(f"{where}: {spec.type} is not written here. Use one of {', '.join(CDF_TYPES)}")
    if any(isinstance(n, bool) or n < 1 for n in (*spec.dims, spec.elements)):
        raise ExportError(f"{where}: sizes {spec.dims}, {spec.elements} elements. Sizes are 1 or more")
    if spec.type not in TEXT_TYPES and spec.elements != 1:
        raise ExportError(f"{where}: {spec.elements} elements. Numbers have 1; use a dimension")
    _check_compression(where, spec)
    _check_attributes(spec)


def _check_compression(where: str, spec: VariableSpec) -> None:
    if isinstance(spec.compression, bool) or spec.compression not in range(10):
        raise ExportError(f"{where}: compression {spec.compression!r}. Use 0 or a gzip level from 1 to 9")
    if spec.compression and spec.type in TIME_TYPES:
        raise ExportError(f"{where}: SPDF refuses compressed time variables. Use compression 0")
    if spec.block_bytes < MIN_BLOCK_BYTES:
        raise ExportError(f"{where}: blocks of {spec.block_bytes} bytes are slow. Use {MIN_BLOCK_BYTES} or more")


def _check_attributes(spec: VariableSpec) -> None:
    _check_names(f"attribute of {spec.name}:", [attribute.name for attribute in spec.attributes])
    for attribute in spec.attributes:
        where = f"attribute {attribute.name} of {spec.name}"
        if attribute.type in TEXT_TYPES:
            check_text(where, attribute.value if isinstance(attribute.value, str) else "")
        elif attribute.type in CDF_TYPES:
            numbers(spec, attribute)
        else:
            raise ExportError(f"{where}: unknown type {attribute.type}. Use one of {', '.join(CDF_TYPES)}")


def numbers(spec: VariableSpec, attribute: Attribute) -> list[Any]:
    """The attribute's numbers, exact in its type (floats are rounded); cdflib itself would cast and wrap."""
    where, cdf_type = f"attribute {attribute.name} of {spec.name}", CDF_TYPES[attribute.type]
    values, (low, high) = attribute.value, cdf_type.limits
    if isinstance(values, str) or not values or any(isinstance(v, (bool, str)) for v in values):
        raise ExportError(f"{where} is no list of numbers. Give a tuple of numbers for {attribute.type}")
    if cdf_type.dtype.kind != "f" and not all(isinstance(v, int) for v in values):
        raise ExportError(f"{where} is {values}, not integers as {attribute.type} wants. Round on purpose")
    if len(values) % cdf_type.parts:
        raise ExportError(f"{where} is {values}, not pairs as {attribute.type} wants. Give seconds and picoseconds")
    if not all(low <= v <= high for v in values):
        raise ExportError(f"{where} is {values}, outside {attribute.type}. Correct the value or the type")
    return [cdf_type.dtype.type(v).item() for v in values]
