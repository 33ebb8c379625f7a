# SPDX-License-Identifier: Apache-2.0
"""Rules about attributes that name other variables: V05, V10, V11, V15 and V16."""

from __future__ import annotations

import re

from exports.cdf.reader import CdfReader, VariableInfo
from exports.rules.attributes import display_of, epochs, is_text, is_time, measured, plain_type, pointer, role, text_of
from exports.rules.nouns import Findings, error, warning

BY_CELL = ("UNIT_PTR", "FORM_PTR", "SCAL_PTR")
DELTA_TYPES = {"CDF_TIME_TT2000": "CDF_INT8", "CDF_EPOCH": "CDF_REAL8", "CDF_EPOCH16": "CDF_REAL8"}
DEPEND = re.compile(r"DEPEND_([1-9])")
IN_COLUMN = "Correct the axes of the column in tables.yaml"


def epoch_of(file: CdfReader) -> Findings:
    """V05: which time a record is of."""
    names = {epoch.name for epoch in epochs(file)}
    for variable in file.variables.values():
        if not variable.record_variance:
            if "DEPEND_0" in variable.attributes:
                yield error("V05", variable.name, "is a constant and has DEPEND_0", "Remove DEPEND_0")
        elif variable.name not in names and role(variable) != "ignore_data":
            yield from _depends(file, variable)


def _depends(file: CdfReader, variable: VariableInfo) -> Findings:
    name, epoch = text_of(variable, "DEPEND_0"), pointer(file, variable, "DEPEND_0")
    if not name:
        yield error("V05", variable.name, "varies by record and has no DEPEND_0", "Name its epoch")
    elif epoch is None:
        yield error("V05", variable.name, f"its DEPEND_0 {name} is no variable", "Name its epoch")
    elif not is_time(epoch) or epoch.dims:
        yield error("V05", variable.name, f"its DEPEND_0 {name} is no scalar time", "Name its epoch")
    elif epoch.records != variable.records and not (variable.repeats and variable.records):
        what = f"has {variable.records} records, its epoch {name} {epoch.records}"
        yield error("V05", variable.name, what, "Write a record for each epoch, with fill values")


def dependencies(file: CdfReader) -> Findings:
    """V10: what the dimensions of a variable depend on, where it says so."""
    for variable in file.variables.values():
        numbers = [int(match[1]) for name in variable.attributes if (match := DEPEND.fullmatch(name))]
        for i in numbers:
            if i > len(variable.dims):
                what = f"has DEPEND_{i} and {len(variable.dims)} dimensions"
                yield error("V10", variable.name, what, f"Remove it. {IN_COLUMN}")
            else:
                yield from _along(file, variable, i)


def missing_dependencies(file: CdfReader) -> Findings:
    """V10: data say what each of their dimensions is, but for lines."""
    for variable in measured(file):
        if len(variable.dims) == 1 and display_of(variable) == "time_series":
            continue
        for i in range(1, len(variable.dims) + 1):
            if f"DEPEND_{i}" not in variable.attributes:
                yield error("V10", variable.name, f"has no DEPEND_{i}", f"Name the values along it. {IN_COLUMN}")


def _along(file: CdfReader, variable: VariableInfo, i: int) -> Findings:
    name, other = f"DEPEND_{i}", pointer(file, variable, f"DEPEND_{i}")
    size, what = variable.dims[i - 1], ""
    if other is None:
        what = "is no variable"
    elif is_text(other) or role(other) != "support_data":
        what = f"is {role(other) or 'nothing'} of {other.type}, not numbers of support_data"
    elif other.dims != (size,):
        what = f"has dimensions {other.dims}, not ({size},)"
    elif other.record_variance and text_of(other, "DEPEND_0") != text_of(variable, "DEPEND_0"):
        what = "has another DEPEND_0"
    if what:
        yield error("V10", variable.name, f"its {name} {text_of(variable, name)} {what}", IN_COLUMN)


def labels(file: CdfReader) -> Findings:
    """V11: how axes and lines are labelled."""
    for variable in file.variables.values():
        for i in range(1, len(variable.dims) + 1):
            if f"LABL_PTR_{i}" in variable.attributes:
                yield from _label(file, variable, i)
        if (name := text_of(variable, "LABLAXIS")) in set(file.variables) - {variable.name}:
            yield warning("V11", variable.name, f"its LABLAXIS {name} is the name of a variable", "Write words")
    for variable in measured(file):
        for name in _labels_wanted(variable):
            if not text_of(variable, name):
                yield error("V11", variable.name, f"has no {name}, shown as {display_of(variable)}", "Give the label")


def _labels_wanted(variable: VariableInfo) -> tuple[str, ...]:
    """The attributes for labels that a display needs."""
    kind, count = display_of(variable), len(variable.dims)
    by_cell = tuple(f"LABL_PTR_{i}" for i in range(1, count + 1))
    wanted = {
        "image": ("LABLAXIS",),
        "time_series": by_cell[:1] if count else ("LABLAXIS",),
        "spectrogram": ("LABLAXIS",) if count == 1 else by_cell,
        "stack_plot": ("LABLAXIS",) if count == 1 else by_cell,
    }
    return wanted.get(kind, ())


def _label(file: CdfReader, variable: VariableInfo, i: int) -> Findings:
    name, other = f"LABL_PTR_{i}", pointer(file, variable, f"LABL_PTR_{i}")
    size, what = variable.dims[i - 1], ""
    if other is None:
        what = "is no variable"
    elif not is_text(other) or role(other) != "metadata":
        what = f"is {role(other) or 'nothing'} of {other.type}, not characters of metadata"
    elif other.record_variance:
        what = "varies by record"
    elif other.dims != (size,):
        what = f"has dimensions {other.dims}, not ({size},)"
    if what:
        yield error("V11", variable.name, f"its {name} {text_of(variable, name)} {what}", "Name labels, one by cell")


def texts_by_cell(file: CdfReader) -> Findings:
    """V15: units, formats and scales that differ from cell to cell."""
    for variable in file.variables.values():
        for name in (name for name in BY_CELL if name in variable.attributes):
            other, size = pointer(file, variable, name), variable.dims[:1]
            good = other is not None and is_text(other) and role(other) == "metadata" and other.dims == size
            if not good:
                what = f"its {name} {text_of(variable, name)} is no 1-D metadata of {size or 'its'} cells"
                yield error("V15", variable.name, what, "Name a variable with one text by cell")


def uncertainties(file: CdfReader) -> Findings:
    """V16: distances below and above a value."""
    for variable in file.variables.values():
        sides = [name for name in ("DELTA_MINUS_VAR", "DELTA_PLUS_VAR") if name in variable.attributes]
        if len(sides) == 1:
            yield error("V16", variable.name, f"has {sides[0]} alone", "Give both DELTA_MINUS_VAR and DELTA_PLUS_VAR")
        for name in sides:
            yield from _delta(file, variable, name)


def _delta(file: CdfReader, variable: VariableInfo, name: str) -> Findings:
    other, what = pointer(file, variable, name), ""
    wanted = DELTA_TYPES.get(variable.type, variable.type)
    if other is None:
        what = "is no variable"
    elif other.dims != variable.dims:
        what = f"has dimensions {other.dims}, the variable {variable.dims}"
    elif plain_type(other.type) != plain_type(wanted):
        what = f"is {other.type}, not {wanted}"
    elif text_of(other, "UNITS") != text_of(variable, "UNITS"):
        what = f"has the unit {text_of(other, 'UNITS')!r}, the variable {text_of(variable, 'UNITS')!r}"
    if what:
        remedy = "Give the uncertainty the variable's own form"
        yield error("V16", variable.name, f"its {name} {text_of(variable, name)} {what}", remedy)


CHECKS = (epoch_of, dependencies, missing_dependencies, labels, texts_by_cell, uncertainties)
