# SPDX-License-Identifier: Apache-2.0
"""Where two CDF files of one product differ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cdflib
import numpy as np

from exports.cdf import checksum_is_right
from lake.errors import ExportError


def first_difference(one: Path, other: Path) -> str:
    """The first variable or attribute in which two files differ, in words; empty if they hold the same.

    Raises ExportError if one is damaged or cannot be read.
    """
    # First of all, because a reader that believes a damaged length may ask for all the memory there is.
    for path in (one, other):
        if not checksum_is_right(path):
            raise ExportError(f"{path}: is damaged (wrong MD5 checksum). Compare by `cmp {one} {other}`")
    try:
        return next(_differences(cdflib.CDF(one), cdflib.CDF(other)), "")
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ExportError(f"{one.name}: cannot be compared ({error}). Compare by `cmp {one} {other}`") from error


def _differences(one: Any, other: Any) -> Iterator[str]:
    names = one.cdf_info().zVariables
    if names != other.cdf_info().zVariables:
        yield f"the variables are {', '.join(names)} in one and {', '.join(other.cdf_info().zVariables)} in the other"
        return
    found = (_of_variable(name, one, other) for name in names)
    yield from filter(None, found)
    yield from _of_attributes("global attribute", one.globalattsget(), other.globalattsget())
    for name in names:
        yield from _of_attributes(f"attribute of {name}", one.varattsget(name), other.varattsget(name))


def _of_variable(name: str, one: Any, other: Any) -> str:
    a, b = (np.atleast_1d(np.asarray(file.varget(name))) for file in (one, other))
    if (a.dtype, a.shape) != (b.dtype, b.shape):
        return f"variable {name}: {a.dtype} {a.shape} in one and {b.dtype} {b.shape} in the other"
    # Bytes, as one NaN does not equal another.
    unlike = (_bytes(a) != _bytes(b)).any(axis=1)
    return f"variable {name}: {unlike.sum()} records differ, the first is {unlike.argmax()}" if unlike.any() else ""


def _bytes(values: Any) -> Any:
    return np.ascontiguousarray(values).reshape(len(values), -1).view(np.uint8)


def _of_attributes(what: str, one: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys((*one, *other)):
        if repr(one.get(name)) != repr(other.get(name)):
            yield f"{what} {name}: {one.get(name)} in one and {other.get(name)} in the other"
