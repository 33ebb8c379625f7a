# SPDX-License-Identifier: Apache-2.0
"""Rules about the names and words of variables: V01 to V04, V08, V09, V12, V13, V17 to V19, V24 to V26, V28 and V31."""

from __future__ import annotations

import math
import re

from exports.cdf.reader import CdfReader, VariableInfo
from exports.rules.attributes import (
    FLOATS,
    NAME,
    display_of,
    epochs,
    is_ascii,
    is_empty,
    is_text,
    is_time,
    measured,
    numbers_of,
    role,
    text_of,
)
from exports.rules.nouns import Findings, error, warning

ROLES = ("data", "support_data", "metadata", "ignore_data")
# Number of dimensions that a display needs at least.
DISPLAYS = {
    "time_series": 0,
    "spectrogram": 1,
    "stack_plot": 1,
    "image": 2,
    "no_plot": 0,
    "plasmagram": 0,
    "orbit": 0,
    "map_image": 0,
    "movie": 0,
    "topside_ionogram": 0,
    "time_text": 0,
    "mapped": 0,
    "plasma_movie": 0,
    "image_movie": 0,
}
AVERAGES = (
    "standard",
    "angle_degrees",
    "angle_radians",
    "angle_hour",
    "rms",
    "log",
    "decibel",
    "cosine",
    "none",
    "geometric",
)
KNOWN = {
    name.lower(): name
    for name in (
        *("CATDESC", "FIELDNAM", "VAR_TYPE", "FORMAT", "FORM_PTR", "FILLVAL", "VALIDMIN", "VALIDMAX", "UNITS"),
        *("UNIT_PTR", "DISPLAY_TYPE", "LABLAXIS", "SCALETYP", "SCALEMIN", "SCALEMAX", "SCAL_PTR", "MONOTON"),
        *("TIME_BASE", "TIME_SCALE", "BIN_LOCATION", "DELTA_PLUS_VAR", "DELTA_MINUS_VAR", "SI_CONVERSION"),
        *("DICT_KEY", "AVG_TYPE", "VAR_NOTES", "COORDINATE_SYSTEM", "TENSOR_ORDER", "LEAP_SECONDS_INCLUDED"),
        *(f"{stem}_{i}" for stem in ("DEPEND", "LABL_PTR", "REPRESENTATION") for i in range(5)),
    )
}
NO_UNIT = ("none", "unitless", "dimensionless", "n/a", "na", "null", "no unit", "no units")
# Largest and preferred lengths. Units and labels have larger ones only: a unit that programs can read comes before a
# short one.
LENGTHS = {"CATDESC": (120, 80), "FIELDNAM": (50, 30), "LABLAXIS": (20, 20), "UNITS": (20, 20)}
# Repetition and scale factor, descriptor, width, digits and those of the exponent. No number has more than four digits
# of width, and a made-up one must not ask for gigabytes of digits.
FORMAT = re.compile(
    r"([+-]?\d{1,2}P,?)?\d{0,4}((?P<letter>ES|EN|[AIFEGDZOBL])(?P<width>\d{1,4})(\.(?P<digits>\d{1,3}))?(E\d{1,2})?|A)",
    re.IGNORECASE,
)
EXPONENT = (
    5  # characters of a number in E format that are neither sign nor digits behind the point: 0. and E+30, less one
)
SI = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?>(\S.*)?")
SPASE_KEY = re.compile(r"SPASE>(Field|Particle|Wave|Mixed|Support)>\w+:\w+(\.\w+)*(,\w+:\w+(\.\w+)*)*")
OTHER_KEY = re.compile(r"(?!SPASE>)[\w-]+>\S.*")
QUALITY = re.compile(r"qual|flag|status|dqf|valid", re.IGNORECASE)
IN_COLUMN = "Correct the column in tables.yaml"


def names(file: CdfReader) -> Findings:
    """V01, V19: how variables and their attributes are called."""
    seen: dict[str, str] = {}
    for variable in file.variables.values():
        if not NAME.fullmatch(variable.name):
            yield error("V01", variable.name, "has other characters than letters, digits and _", "Rename it")
        other = seen.setdefault(variable.name.lower(), variable.name)
        if other != variable.name:
            yield error("V01", variable.name, f"is the same as {other} to some readers", "Rename one of them")
    for attribute, variable in {a: v for v in reversed(file.variables.values()) for a in v.attributes}.items():
        official = KNOWN.get(attribute.lower(), attribute)
        if not NAME.fullmatch(attribute) or official != attribute:
            what = f"its attribute {attribute} is " + ("misspelled" if official == attribute else f"{official} in ISTP")
            yield error("V19", variable.name, what, "Rename the attribute")


def presence(file: CdfReader) -> Findings:
    """V02: the attributes that say what a variable is."""
    for variable in file.variables.values():
        for name in ("CATDESC", "FIELDNAM", "VAR_TYPE"):
            if not text_of(variable, name):
                yield error("V02", variable.name, f"has no {name}", f"Give one. {IN_COLUMN}")
        if not is_time(variable) and not (text_of(variable, "FORMAT") or text_of(variable, "FORM_PTR")):
            yield error("V02", variable.name, "has neither FORMAT nor FORM_PTR", "Give one of them")


def roles(file: CdfReader) -> Findings:
    """V03, V04: what a variable is, and that it can be that."""
    for variable in file.variables.values():
        kind = role(variable)
        if kind and kind not in ROLES:
            yield error("V03", variable.name, f"its VAR_TYPE is {kind!r}", f"Use one of {', '.join(ROLES)}")
        if kind in ("data", "support_data") and is_text(variable):
            yield error("V04", variable.name, f"is {kind} and characters", "Make it metadata")
        if kind == "metadata" and not is_text(variable):
            yield error("V04", variable.name, f"is metadata and {variable.type}", "Make it support_data")
    for epoch in epochs(file):
        if role(epoch) in ("data", "ignore_data"):
            yield error("V04", epoch.name, f"is an epoch with VAR_TYPE {role(epoch)}", "Make it support_data")


def units(file: CdfReader) -> Findings:
    """V08: units."""
    for variable in file.variables.values():
        has = [name for name in ("UNITS", "UNIT_PTR") if name in variable.attributes]
        if len(has) > 1:
            yield error("V08", variable.name, "has UNITS and UNIT_PTR", "Remove one of them")
        if role(variable) in ("data", "support_data") and not has:
            yield error("V08", variable.name, "has no UNITS", "Give the unit, one blank for none")
        unit = text_of(variable, "UNITS")
        if unit.lower() in NO_UNIT and unit != "nA":  # nanoampere
            yield warning("V08", variable.name, f"its UNITS are {unit!r}", "Write one blank for no unit")
        if variable.type == "CDF_TIME_TT2000" and has and unit != "ns":
            yield warning("V08", variable.name, f"is TT2000, its UNITS are {unit!r}", "Write ns")


def displays(file: CdfReader) -> Findings:
    """V09: how data are shown."""
    for variable in measured(file):
        kind, sizes = display_of(variable), variable.dims
        if kind not in DISPLAYS:
            what = f"its DISPLAY_TYPE is {kind!r}" if kind else "has no DISPLAY_TYPE"
            yield error("V09", variable.name, what, f"Use one of {', '.join(DISPLAYS)}")
        elif len(sizes) < DISPLAYS[kind]:
            what = f"is shown as {kind} and has {len(sizes)} dimensions"
            yield error("V09", variable.name, what, "Use time_series, or give it the dimension")
        elif any(size < 2 for size in sizes):
            yield warning("V09", variable.name, f"has dimensions {sizes}", "Leave out dimensions of one cell")


def lengths(file: CdfReader) -> Findings:
    """V12: texts that do not fit a page of CDAWeb."""
    for variable in file.variables.values():
        for name, (most, better) in LENGTHS.items():
            size = len(text_of(variable, name))
            if size > better:
                finding, limit = (error, most) if size > most else (warning, better)
                what = f"its {name} has {size} characters, more than {limit}: {text_of(variable, name)!r}"
                yield finding("V12", variable.name, what, f"Write it shorter. {IN_COLUMN}")


def formats(file: CdfReader) -> Findings:
    """V13: formats that Fortran understands and that numbers fit into."""
    for variable in file.variables.values():
        text = text_of(variable, "FORMAT")
        match = FORMAT.fullmatch(text)
        if text and match is None:
            yield error("V13", variable.name, f"its FORMAT {text!r} is none of Fortran", "Write one such as F8.3 or I5")
        elif match and not is_time(variable):
            yield from _fits(variable, text, match)


def _fits(variable: VariableInfo, text: str, match: re.Match[str]) -> Findings:
    letters = "A" if is_text(variable) else "FEGD" if variable.type in FLOATS else "IZOB"
    if match["letter"] is None and is_text(variable):
        return  # a bare A is as wide as the text
    letter, width, places = (match["letter"] or "A").upper(), int(match["width"] or 0), int(match["digits"] or 0)
    if letter[0] not in letters:
        what = f"its FORMAT {text} is not for {variable.type}"
        yield error("V13", variable.name, what, f"Begin it with {' or '.join(letters)}")
        return
    limits = [v for name in ("VALIDMIN", "VALIDMAX") for v in numbers_of(variable, name) if math.isfinite(v)]
    needed = max((_width(letter, places, value) for value in limits), default=0)
    if needed > width:
        yield warning(
            "V13", variable.name, f"its FORMAT {text} is too narrow for the valid range", f"Use width {needed}"
        )


def _width(letter: str, places: int, value: float) -> int:
    """Characters that a number takes."""
    if letter == "I":
        return len(str(int(value)))
    if letter == "F":
        return len(f"{value:.{places}f}")
    return places + 1 + EXPONENT + (value < 0) if letter in ("E", "D", "ES", "EN") else 0


def characters(file: CdfReader) -> Findings:
    """V17, V18: texts of ASCII, and none that is empty."""
    for variable in file.variables.values():
        for name, entry in variable.attributes.items():
            if is_empty(entry):
                yield error("V18", variable.name, f"its {name} is an empty string", "Write one blank, or leave it out")
            elif isinstance(entry.value, str) and not is_ascii(entry.value):
                yield error("V17", variable.name, f"its {name} is not printable ASCII: {entry.value!a}", "Rewrite it")
        if is_text(variable) and not variable.record_variance and variable.records:
            odd = [text for text in file.values(variable.name).ravel() if not is_ascii(bytes(text).decode("latin-1"))]
            if odd:
                yield error("V17", variable.name, f"its value {bytes(odd[0])!r} is not printable ASCII", "Rewrite it")


def keywords(file: CdfReader) -> Findings:
    """V24, V25, V26: attributes for programs."""
    for variable in file.variables.values():
        si, key = text_of(variable, "SI_CONVERSION"), text_of(variable, "DICT_KEY")
        if "SI_CONVERSION" in variable.attributes and not SI.fullmatch(si):
            yield error(
                "V24", variable.name, f"its SI_CONVERSION {si!r} is not number>unit", "Write one such as 1.0e-9>T"
            )
        if not key and role(variable) in ("data", "support_data"):
            yield warning("V25", variable.name, "has no DICT_KEY", "Give the SPASE keywords as spase: of the column")
        elif key and not (SPASE_KEY.fullmatch(key) or OTHER_KEY.fullmatch(key)):
            yield warning("V25", variable.name, f"its DICT_KEY {key!r} is not SPASE>Kind>Key:Value", "Correct it")
        average = text_of(variable, "AVG_TYPE")
        if "AVG_TYPE" in variable.attributes and average.lower() not in AVERAGES:
            yield warning("V26", variable.name, f"its AVG_TYPE is {average!r}", f"Use one of {', '.join(AVERAGES)}")


def choices(file: CdfReader) -> Findings:
    """V28, V31, P05: what users choose from."""
    seen: dict[str, str] = {}
    for variable in file.variables.values():
        if text := text_of(variable, "CATDESC"):
            other = seen.setdefault(text, variable.name)
            if other != variable.name:
                yield warning("V28", variable.name, f"has the CATDESC of {other}: {text!r}", "Describe what differs")
        if text_of(variable, "VIRTUAL").lower() == "true" or "FUNCT" in variable.attributes:
            yield warning("P05", variable.name, "is a virtual variable", "Leave it to SPDF's master")
    if any(measured(file)) and not any(QUALITY.search(name) for name in file.variables):
        yield warning("V31", "", "has no variable for quality or status", "Export the quality flags")


CHECKS = (names, presence, roles, units, displays, lengths, formats, characters, keywords, choices)
