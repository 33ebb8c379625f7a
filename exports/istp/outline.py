# SPDX-License-Identifier: Apache-2.0
"""The outline of a structure: what SPDF compares files with, and what a program that reads them relies on, as text.

These are the variables and their order, types, sizes, units, roles, frames, fill values, valid ranges, what points from
one to another, the values of axes that no calibration gives, and the names of attributes. Words, formats, plot hints
and compression are none of it.
"""

from __future__ import annotations

import hashlib

from exports.cdf.records import CDF_TYPES
from exports.cdf.spec import Attribute
from exports.istp.structure import Structure
from exports.istp.variable import Variable

# Attributes whose values are structure; besides, all that name another variable.
FIXED = (
    "VAR_TYPE",
    "UNITS",
    "COORDINATE_SYSTEM",
    "TENSOR_ORDER",
    "BIN_LOCATION",
    "FILLVAL",
    "VALIDMIN",
    "VALIDMAX",
)
POINTERS = ("DEPEND_", "LABL_PTR_", "REPRESENTATION_")
# Attributes that come and go without a change of structure: notes with longer words, identifiers once they are given.
OPTIONAL = ("VAR_NOTES", "DOI", "spase_DatasetResourceID")
SHOWN_VALUES = 8  # of a constant: a few read well in a line, many are told by their ends and a hash
HASH_DIGITS = 16

# Names of lines that are no variables, whose names have no colon.
MAJORITY, GLOBALS = "majority:", "attributes:"


def outline(structure: Structure) -> dict[str, str]:
    """A line for each variable by its name, in the order of the file, after majority and names of global attributes."""
    names = [name for name, _ in structure.global_attributes if name not in OPTIONAL]
    lines = {MAJORITY: structure.majority, GLOBALS: " ".join(names)}
    return lines | {variable.spec.name: _line(variable) for variable in structure.variables}


def _line(variable: Variable) -> str:
    spec = variable.spec
    sizes = f"[{','.join(str(size) for size in spec.dims)}]" if spec.dims else ""
    length = f"*{spec.elements}" if spec.type == "CDF_CHAR" else ""
    fixed = [f"{a.name}={_value(a)}" for a in spec.attributes if _is_fixed(a.name)]
    others = [a.name for a in spec.attributes if not _is_fixed(a.name) and a.name not in OPTIONAL]
    kind = "by record" if spec.record_variance else "constant"
    return " ".join([f"{spec.type}{length}{sizes}", kind, *_values(variable), *fixed, "and", *others])


def _is_fixed(attribute: str) -> bool:
    return attribute in FIXED or attribute.startswith(POINTERS) or attribute.endswith("_VAR")


def _value(attribute: Attribute) -> str:
    value = attribute.value
    if isinstance(value, str):
        return _word(value)
    kind = float if CDF_TYPES[attribute.type].dtype.kind == "f" else int  # 0 and 0.0 are one value of a float type
    return ",".join(str(kind(number)) for number in value)


def _values(variable: Variable) -> list[str]:
    """The values of a constant; none where they are another day's others."""
    if variable.column is not None or variable.dated:
        return []
    words = [_word(str(value)) for value in variable.values]
    if len(words) <= SHOWN_VALUES:
        return [f"values={','.join(words)}"]
    digest = hashlib.sha256(",".join(words).encode()).hexdigest()[:HASH_DIGITS]
    return [f"values={words[0]}..{words[-1]}#{digest}"]


def _word(text: str) -> str:
    return text.replace(" ", "_")
