# SPDX-License-Identifier: Apache-2.0
"""The words of a CDF variable: description, unit, format, labels and notes, derived within the limits of ISTP."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from exports.cdf.records import CDF_TYPES, CdfTypeName
from exports.istp.places import TemplateError, Where
from lake.definition_axes import value_texts
from lake.definitions import Axis, Column, Flag
from lake.units import is_unit, si_factor

# Preferred and largest lengths in characters (ISTP Metadata Guidelines 1.0; SPDF's checker reports what is longer).
CATDESC_LENGTH, CATDESC_LIMIT = 80, 120
SHORTEST_CLAUSE = 20
NAME_LENGTH, NAME_LIMIT = 30, 50
LABEL_LIMIT, UNIT_LIMIT = 20, 20
# One blank stands for no unit. Of the names of the degree, astropy and UDUNITS both read `Celsius` alone. Checkers take
# `nA` for "n/a".
SPELLED = {"": " ", "1": " ", "degC": "Celsius", "nA": "nanoampere"}
DEFAULT_KEY = "SPASE>Support>SupportQuantity:Other"
KEYWORD = re.compile(r"SPASE>(?P<kind>Field|Particle|Wave|Mixed|Support)>(?P<pairs>\w+:[\w.]+(,\w+:[\w.]+)*)")
KEYWORD_NEEDS = {
    "Field": ("FieldQuantity",),
    "Particle": ("ParticleType", "ParticleQuantity"),
    "Wave": ("WaveType", "WaveQuantity"),
    "Mixed": ("MixedQuantity",),
    "Support": ("SupportQuantity",),
}
# Sign, six digits, point and exponent: what `.6g` makes of a number at most.
NUMBER_LENGTH = 12
FLAG_SENTENCE = "The sum of the bits that are set, 0 for none. Whether a value is to be used, its own bits tell."
# A factor is computed in 64 bits; beyond this many digits there is only rounding.
FACTOR_DIGITS = 15


def category(where: Where, description: str) -> tuple[str, str | None]:
    """CATDESC and, if the description is longer, VAR_NOTES.

    The first sentence is the CATDESC; if it is over 80 characters it is cut after a clause, or else a word, and the
    notes repeat it whole. TemplateError if it is over 120 characters.
    """
    text = " ".join(description.split())
    first, *rest = re.split(r"(?<=\.)\s+(?=[A-Z0-9])|(?<=;)\s+", text, maxsplit=1)
    if len(text) <= CATDESC_LENGTH:
        return text, None
    if len(first) > CATDESC_LIMIT:
        raise TemplateError(
            where, f"first sentence of {len(first)} characters. Begin with one of at most {CATDESC_LIMIT}"
        )
    if len(first) <= CATDESC_LENGTH:
        return first.rstrip(".;"), rest[0] if rest else None
    clause = re.match(rf"(.{{{SHORTEST_CLAUSE},{CATDESC_LENGTH}}})[,:;]\s", first)
    return clause[1] if clause else first[: CATDESC_LENGTH - 3].rsplit(" ", 1)[0] + "...", text


def check_unit(where: Where, unit: str) -> str:
    """The unit, a blank for none; TemplateError if it is none, or has more characters than SPDF takes."""
    if len(unit) > UNIT_LIMIT:
        raise TemplateError(where, f"unit {unit!r} has more than {UNIT_LIMIT} characters. Write it shorter")
    if not is_unit(unit):
        raise TemplateError(where, f"{unit!r} is no unit. Write it as SI does, such as mA, degC or km/s")
    return SPELLED.get(unit, unit)


def si_conversion(unit: str) -> str | None:
    """The factor to SI as `1.0e-9>T`; None for a unit that is none, or that no factor alone leads to SI, as degC.

    The guidelines know a factor and no offset: with that of a difference, temperatures would come out 273 K too low.
    """
    found = si_factor(unit)
    if found is None:
        return None
    factor, si = found
    digits, exponent = f"{factor:.{FACTOR_DIGITS - 1}e}".split("e")
    whole, _, rest = digits.rstrip("0").partition(".")
    mantissa = f"{whole}.{rest or '0'}"
    return f"{mantissa}>{si}" if int(exponent) == 0 else f"{mantissa}e{int(exponent)}>{si}"


def dictionary_key(where: Where, spase: str | None) -> str:
    """The SPASE keyword of a variable; without one in the definition, the keyword for support data of no own kind.

    TemplateError if it is not written as the guidelines want it, or lacks what they always want of its kind.
    """
    key = spase or DEFAULT_KEY
    match = KEYWORD.fullmatch(key)
    if match is None:
        raise TemplateError(where, f"keyword {key!r}. Write SPASE>Support>SupportQuantity:Value or the like")
    given = {pair.partition(":")[0] for pair in match["pairs"].split(",")}
    missing = [name for name in KEYWORD_NEEDS[match["kind"]] if name not in given]
    if missing:
        raise TemplateError(where, f"keyword {key!r} has no {' and no '.join(missing)}. Add it as Name:Value")
    return key


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


def label_of(where: Where, column: Column) -> str:
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


def check_label(where: Where, label: str) -> str:
    """The label; TemplateError if it has more characters than SPDF takes."""
    if len(label) > LABEL_LIMIT:
        raise TemplateError(where, f"label {label!r} has more than {LABEL_LIMIT} characters. Write it shorter")
    return label


def check_name(where: Where, name: str) -> str:
    """FIELDNAM, which is the variable's name; TemplateError if it has more characters than SPDF takes."""
    if len(name) > NAME_LIMIT:
        raise TemplateError(where, f"name of {len(name)} characters. Use at most {NAME_LIMIT}, better {NAME_LENGTH}")
    return name


def labels_of(where: Where, axis: Axis) -> tuple[str, ...]:
    """A label for each cell of an axis: its own, or made as `Energy 5.5 keV`. TemplateError if two are equal."""
    if axis.labels:
        if len(set(axis.labels)) < len(axis.labels) or not all(label.strip() for label in axis.labels):
            raise TemplateError(where, f"labels {axis.labels}, of which some are equal or blank. Name each cell")
        return tuple(check_label(where, label) for label in axis.labels)
    labels = tuple(_label(axis, text) for text in value_texts(axis))
    if len(set(labels)) < len(labels):
        raise TemplateError(where, "values that are equal to six digits. Use larger steps")
    return labels


def is_dated(axis: Axis) -> bool:
    """Whether the values of an axis come from a calibration: only then does it say in what those of all days lie."""
    return axis.valid is not None and not axis.labels


def label_width(axis: Axis) -> int:
    """Characters of the labels of an axis: where values change with the day, room for whatever they may become."""
    if is_dated(axis):
        return len(_label(axis, "")) + NUMBER_LENGTH
    return max(len(label) for label in labels_of(f"axis {axis.name}", axis))


def _label(axis: Axis, value: str) -> str:
    return f"{axis.label} {value}" + (f" {axis.unit}" if axis.unit not in ("", "1") else "")


def notes_of(notes: str | None, flags: Sequence[Flag]) -> str | None:
    """The notes of a variable, for quality flags with the meaning of each bit."""
    if not flags:
        return notes
    bits = [f"Bit {f.bit} (value {f.mask}), {f.name}: {f.description.rstrip('.')}." for f in flags]
    return " ".join([*([notes] if notes else []), FLAG_SENTENCE, *bits])
