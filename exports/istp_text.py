# SPDX-License-Identifier: Apache-2.0
"""The words of a CDF variable: description, unit, format, labels and notes, derived within the limits of ISTP."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from exports.cdf_records import CDF_TYPES, CdfTypeName
from lake.definitions import Axis, Column, Flag
from lake.errors import ExportError

# Preferred and largest lengths in characters (ISTP Metadata Guidelines 1.0; SPDF's checker reports what is longer).
CATDESC_LENGTH, CATDESC_LIMIT = 80, 120
SHORTEST_CLAUSE = 20
NAME_LENGTH, NAME_LIMIT = 30, 50
LABEL_LIMIT, UNIT_LIMIT = 20, 20
DEFAULT_KEY = "SPASE>Support>SupportQuantity:Other"
# Exact factors only (SI Brochure, 9th edition): no offsets, nothing measured.
SI_FACTORS = {
    "ns": "1.0e-9>s",
    "us": "1.0e-6>s",
    "ms": "1.0e-3>s",
    "s": "1.0>s",
    "nT": "1.0e-9>T",
    "mV": "1.0e-3>V",
    "V": "1.0>V",
    "nA": "1.0e-9>A",
    "uA": "1.0e-6>A",
    "mA": "1.0e-3>A",
    "A": "1.0>A",
    "eV": "1.602176634e-19>J",
    "keV": "1.602176634e-16>J",
    "km": "1.0e3>m",
    "km/s": "1.0e3>m/s",
}


def category(where: str, description: str) -> tuple[str, str | None]:
    """CATDESC and, if the description is longer, VAR_NOTES.

    The first sentence is the CATDESC; if it is over 80 characters it is cut after a clause, or else a word, and the
    notes repeat it whole. ExportError if it is over 120 characters.
    """
    text = " ".join(description.split())
    first, *rest = re.split(r"(?<=\.)\s+(?=[A-Z0-9])|(?<=;)\s+", text, maxsplit=1)
    if len(text) <= CATDESC_LENGTH:
        return text, None
    if len(first) > CATDESC_LIMIT:
        raise ExportError(
            f"{where}: first sentence of {len(first)} characters. Begin with one of at most {CATDESC_LIMIT}"
        )
    if len(first) <= CATDESC_LENGTH:
        return first.rstrip(".;"), rest[0] if rest else None
    clause = re.match(rf"(.{{{SHORTEST_CLAUSE},{CATDESC_LENGTH}}})[,:;]\s", first)
    return clause[1] if clause else first[: CATDESC_LENGTH - 3].rsplit(" ", 1)[0] + "...", text


def check_unit(where: str, unit: str) -> str:
    """The unit, a blank for none; ExportError if it has more characters than SPDF takes."""
    if len(unit) > UNIT_LIMIT:
        raise ExportError(f"{where}: unit {unit!r} has more than {UNIT_LIMIT} characters. Write it shorter")
    return " " if unit in ("", "1") else unit


def si_conversion(unit: str) -> str | None:
    """The factor to SI as `factor>unit`; None where it is not exact and obvious."""
    return SI_FACTORS.get(unit)


def dictionary_key(spase: str | None) -> str:
    """The SPASE keyword of a variable; without one in the definition, the keyword for support data of no own kind."""
    return spase or DEFAULT_KEY


def format_of(cdf_type: CdfTypeName, valid: tuple[float, float], scale: str) -> str:
    """A Fortran format wide enough for the valid range, and for the fill value of an integer.

    Floats have the digits of their type, at least three of them after the point, else a power of ten.
    """
    if CDF_TYPES[cdf_type].dtype.kind != "f":
        return f"I{max(len(str(int(value))) for value in (*valid, CDF_TYPES[cdf_type].fill or 0))}"
    digits = 7 if cdf_type == "CDF_REAL4" else 10
    largest = max(abs(value) for value in valid)
    if scale == "log" or not 1 <= largest < 10 ** (digits - 3):
        return f"E{digits + 8}.{digits}"
    whole = math.floor(math.log10(largest)) + 1
    return f"F{digits + 2 + (valid[0] < 0)}.{digits - whole}"


def label_of(where: str, column: Column) -> str:
    """The column's label, or its name as words without the unit, cut to the length that fits a plot."""
    if column.label:
        return check_label(where, column.label)
    words = column.name.split("_")
    if len(words) > 1 and words[-1] == re.sub(r"[^a-z0-9]", "", column.unit.lower()):
        words.pop()
    while len(words) > 1 and len(" ".join(words)) > LABEL_LIMIT:
        words.pop()
    # A capital, because a label that equals the name of another variable would be taken for a pointer to it.
    return " ".join(words)[:LABEL_LIMIT].capitalize()


def check_label(where: str, label: str) -> str:
    """The label; ExportError if it has more characters than SPDF takes."""
    if len(label) > LABEL_LIMIT:
        raise ExportError(f"{where}: label {label!r} has more than {LABEL_LIMIT} characters. Write it shorter")
    return label


def check_name(where: str, name: str) -> str:
    """FIELDNAM, which is the variable's name; ExportError if it has more characters than SPDF takes."""
    if len(name) > NAME_LIMIT:
        raise ExportError(f"{where}: name of {len(name)} characters. Use at most {NAME_LIMIT}, better {NAME_LENGTH}")
    return name


def labels_of(where: str, axis: Axis) -> tuple[str, ...]:
    """A label for each cell of an axis: its own, or made as `Energy 5.5 keV`. ExportError if two are equal."""
    if axis.labels:
        if len(set(axis.labels)) < len(axis.labels) or not all(label.strip() for label in axis.labels):
            raise ExportError(f"{where}: labels {axis.labels}, of which some are equal or blank. Name each cell")
        return tuple(check_label(where, label) for label in axis.labels)
    tail = f" {axis.unit}" if axis.unit not in ("", "1") else ""
    labels = tuple(f"{axis.label} {value:.6g}{tail}" for value in axis.values)
    if len(set(labels)) < len(labels):
        raise ExportError(f"{where}: values that are equal to six digits. Use larger steps")
    return labels


def notes_of(notes: str | None, flags: Sequence[Flag]) -> str | None:
    """The notes of a variable, for quality flags with the meaning of each bit."""
    if not flags:
        return notes
    bits = [f"Bit {f.bit} (value {f.mask}), {f.name}: {f.description.rstrip('.')}." for f in flags]
    return " ".join([*([notes] if notes else []), "0 is good, else a sum of bits.", *bits])
