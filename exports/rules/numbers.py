# SPDX-License-Identifier: Apache-2.0
"""Rules about the numbers that describe a variable: fill value, valid range, scale, storage. V06, V07, V14, V20 to V22,
V29 and V30."""

from __future__ import annotations

import math

from exports.cdf.reader import CdfReader, Entry, VariableInfo
from exports.cdf.records import CDF_TYPES, TEXT_TYPES
from exports.rules.attributes import is_text, is_time, numbers_of, plain_type, role, text_of
from exports.rules.nouns import Findings, error, warning

# The ISTP fill value of each numeric type; EPOCH16 has two numbers.
FILLS: dict[str, tuple[int | float, ...]] = {
    name: (known.fill,) * known.parts for name, known in CDF_TYPES.items() if known.fill is not None
}
FLOAT32_DIGITS = 1e-7  # -1e31 is not the same number in both float types
LIMITS = tuple(f"LIMITS_{kind}_{side}" for kind in ("WARN", "NOMINAL") for side in ("MIN", "MAX"))
TYPED = ("FILLVAL", "VALIDMIN", "VALIDMAX", "SCALEMIN", "SCALEMAX", *LIMITS)
WORDS = (
    *("CATDESC", "FIELDNAM", "VAR_TYPE", "UNITS", "FORMAT", "LABLAXIS", "DISPLAY_TYPE", "SCALETYP", "MONOTON"),
    *("SI_CONVERSION", "DICT_KEY", "AVG_TYPE", "TIME_BASE", "TIME_SCALE", "DELTA_PLUS_VAR", "DELTA_MINUS_VAR"),
    *("UNIT_PTR", "FORM_PTR", "SCAL_PTR", "COORDINATE_SYSTEM", "VAR_NOTES"),
)
POINTERS = ("DEPEND_", "LABL_PTR_", "REPRESENTATION_")
LARGE_BYTES, SMALL_BLOCK_BYTES = 20_000_000, 16 * 1024  # ISTP Metadata Guidelines 1.0, on compression
IN_COLUMN = "Correct the column in tables.yaml"


def fill_values(file: CdfReader) -> Findings:
    """V06: fill values, and that they are no valid ones."""
    for variable in file.variables.values():
        fill = numbers_of(variable, "FILLVAL")
        if not fill:
            if variable.record_variance and "FILLVAL" not in variable.attributes:
                yield error("V06", variable.name, "has no FILLVAL", "Give the ISTP fill value of its type")
            continue
        yield from _fill_of_type(variable, fill)
        low, high = numbers_of(variable, "VALIDMIN"), numbers_of(variable, "VALIDMAX")
        if low and high and min(low) <= fill[0] <= max(high):
            what = f"its FILLVAL {fill[0]:g} is within the valid range {min(low):g} to {max(high):g}"
            yield error("V06", variable.name, what, f"Narrow the range or widen the type. {IN_COLUMN}")


def _fill_of_type(variable: VariableInfo, fill: tuple[float, ...]) -> Findings:
    known = FILLS.get(variable.type)
    if known is None or _same(fill, known):
        return
    finding = error if is_time(variable) else warning
    yield finding("V06", variable.name, f"its FILLVAL is {_told(fill)}, not ISTP's {_told(known)}", "Use ISTP's")


def _same(found: tuple[float, ...], known: tuple[float, ...]) -> bool:
    if len(found) != len(known):
        return False
    pairs = zip(found, known, strict=True)
    return all(
        a == b if isinstance(b, int) and isinstance(a, int) else math.isclose(a, b, rel_tol=FLOAT32_DIGITS)
        for a, b in pairs
    )


def _told(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


def valid_ranges(file: CdfReader) -> Findings:
    """V07: what is valid."""
    for variable in file.variables.values():
        wanted = role(variable) == "data" or (role(variable) == "support_data" and variable.record_variance)
        limits = {name: numbers_of(variable, name) for name in ("VALIDMIN", "VALIDMAX")}
        for name, values in limits.items():
            if not values and wanted and not is_text(variable):
                yield error("V07", variable.name, f"has no {name}", f"Give the range of the whole mission. {IN_COLUMN}")
            if not all(math.isfinite(value) for value in values):
                yield error("V07", variable.name, f"its {name} is {_told(values)}", "Give finite numbers")
            if variable.type != "CDF_EPOCH16" and len(values) not in (0, 1, *variable.dims):
                yield error("V07", variable.name, f"its {name} has {len(values)} values", "Give one, or one by cell")
        yield from _in_order("V07", variable, "VALIDMIN", "VALIDMAX", warning)


def _in_order(rule: str, variable: VariableInfo, low: str, high: str, equal: object) -> Findings:
    pairs = list(zip(numbers_of(variable, low), numbers_of(variable, high), strict=False))
    if any(a > b for a, b in pairs):
        a, b = next(pair for pair in pairs if pair[0] > pair[1])
        yield error(rule, variable.name, f"{low} {a} is above {high} {b}", f"Swap or correct them. {IN_COLUMN}")
    elif equal and any(a == b for a, b in pairs):
        yield warning(rule, variable.name, f"{low} and {high} are both {pairs[0][0]}", f"Widen the range. {IN_COLUMN}")


def scales(file: CdfReader) -> Findings:
    """V14: how it is drawn."""
    for variable in file.variables.values():
        scale, low = text_of(variable, "SCALETYP"), numbers_of(variable, "SCALEMIN")
        if "SCALETYP" in variable.attributes and scale not in ("linear", "log"):
            yield error("V14", variable.name, f"its SCALETYP is {scale!r}", "Use linear or log")
        yield from _in_order("V14", variable, "SCALEMIN", "SCALEMAX", None)
        if scale == "log" and low and min(low) <= 0:
            yield warning("V14", variable.name, f"its scale is log and begins at {min(low)}", "Begin above 0")


def types(file: CdfReader) -> Findings:
    """V22: the type of attributes."""
    for variable in file.variables.values():
        for name, entry in variable.attributes.items():
            if name in TYPED and plain_type(entry.type) != plain_type(variable.type):
                what = f"its {name} is {entry.type}, the variable {variable.type}"
                yield error("V22", variable.name, what, "Write it in the variable's type")
            elif _is_word(name) and entry.type not in TEXT_TYPES:
                yield error(
                    "V22", variable.name, f"its {name} is {entry.type}: {_value(entry)}", "Write it as CDF_CHAR"
                )


def _is_word(name: str) -> bool:
    return name in WORDS or name.startswith(POINTERS)


def _value(entry: Entry) -> str:
    return entry.value if isinstance(entry.value, str) else _told(entry.value)


def storage(file: CdfReader) -> Findings:
    """V20, V29, V30: how it is stored."""
    for variable in file.variables.values():
        if is_time(variable) and variable.compression:
            yield error("V20", variable.name, "is compressed, and a time", "Write times uncompressed")
        if not is_text(variable) and variable.elements != 1:
            yield error(
                "V29", variable.name, f"has {variable.elements} elements", "Use a dimension for several numbers"
            )
        if not all(variable.dim_variances):
            yield warning(
                "V29", variable.name, f"its dimensions vary as {variable.dim_variances}", "Let all of them vary"
            )
        yield from _compression(variable)


def _compression(variable: VariableInfo) -> Findings:
    size = variable.record_bytes * variable.records
    block = variable.record_bytes * variable.block_records
    if size > LARGE_BYTES and not variable.compression and not is_time(variable):
        what = f"has {size / 1e6:.0f} MB and is not compressed"
        yield warning("V30", variable.name, what, "Set compression of the product to 1 or more")
    if variable.compression and block < min(SMALL_BLOCK_BYTES, size):
        yield warning("V30", variable.name, f"is compressed in blocks of {block} bytes", "Use 16 KB or more")


def constants(file: CdfReader) -> Findings:
    """V21: what does not vary by record has one."""
    for variable in file.variables.values():
        if variable.record_variance:
            continue
        if variable.records != 1:
            yield error("V21", variable.name, f"is a constant with {variable.records} records", "Write one record")
        elif is_text(variable) and not all(bytes(t).strip(b"\0 ") for t in file.values(variable.name).ravel()):
            yield warning("V21", variable.name, "has a blank label", "Name each cell")


CHECKS = (fill_values, valid_ranges, scales, types, storage, constants)
