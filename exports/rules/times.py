# SPDX-License-Identifier: Apache-2.0
"""Rules about the attributes of times: the parts of V23 that need no values."""

from __future__ import annotations

from exports.cdf.reader import CdfReader, VariableInfo
from exports.rules.attributes import epochs, is_time, numbers_of, plain_type, text_of
from exports.rules.nouns import Findings, error, warning

DIRECTIONS = ("INCREASE", "DECREASE")


def epoch_attributes(file: CdfReader) -> Findings:
    """V23: epochs as variables."""
    for epoch in epochs(file):
        if epoch.type != "CDF_TIME_TT2000":
            yield warning("V23", epoch.name, f"is {epoch.type}", "Use CDF_TIME_TT2000")
        if epoch.dims:
            yield error("V23", epoch.name, f"has dimensions {epoch.dims}", "Write one time to a record")
        if "MONOTON" not in epoch.attributes:
            yield warning("V23", epoch.name, "has no MONOTON", "Write INCREASE")
        elif (direction := text_of(epoch, "MONOTON")) not in DIRECTIONS:
            yield error("V23", epoch.name, f"its MONOTON is {direction!r}", "Write INCREASE or DECREASE")
        if not text_of(epoch, "TIME_BASE"):
            yield warning("V23", epoch.name, "has no TIME_BASE", "Write J2000")
        if not text_of(epoch, "UNITS"):
            yield warning("V23", epoch.name, "has no UNITS", "Write ns")


def bin_location(file: CdfReader) -> Findings:
    """V23: which part of its bin a time is of."""
    for variable in file.variables.values():
        if is_time(variable) and "BIN_LOCATION" in variable.attributes:
            yield from _bin(variable)


def _bin(variable: VariableInfo) -> Findings:
    kind, found = variable.attributes["BIN_LOCATION"].type, numbers_of(variable, "BIN_LOCATION")
    if plain_type(kind) != "CDF_REAL4":
        yield error("V23", variable.name, f"its BIN_LOCATION is {kind}", "Write it as CDF_REAL4")
    if not all(0 <= value <= 1 for value in found):
        yield error("V23", variable.name, f"its BIN_LOCATION is {found}", "Write 0 (start) to 1 (end)")


CHECKS = (epoch_attributes, bin_location)
