# SPDX-License-Identifier: Apache-2.0
"""Checks a CDF file against all rules that need nothing but the file, and against the structure of its dataset."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from exports.cdf.reader import CdfReader
from exports.datasets.master import PER_FILE
from exports.istp.structure import Structure
from exports.rules import data, files, globals, names, numbers, pointers, times, variables  # noqa: A004
from exports.rules.master import compare
from exports.rules.nouns import Finding, Findings, error
from lake.errors import ExportError

SUBJECTS = (files, globals, names, variables, pointers, numbers, times, data)
OWN_FILES = re.compile(r"( under cdf:)? in (\w+\.yaml|\w+\.csv)( or \w+\.yaml)?")
CHECKS = tuple(check for subject in SUBJECTS for check in subject.CHECKS)


def check_file(path: Path, structure: Structure | None = None) -> list[Finding]:
    """What a file breaks, errors first; with the structure of its dataset, also where it differs from that.

    Any ISTP CDF is judged; one that cannot be read has the finding F06.
    """
    found = in_order(readable(_all(path, structure)))
    return found if structure is not None else [_of_others(finding) for finding in found]


def _all(path: Path, structure: Structure | None) -> Findings:
    with CdfReader(path) as file:
        yield from check_cdf(file)
        if structure is not None:
            yield from judged(compare, file, structure, PER_FILE, dated_constants(structure))


def _of_others(finding: Finding) -> Finding:
    """The same without the names of definition files, which only our own products come from."""
    return replace(finding, remedy=OWN_FILES.sub("", finding.remedy))


def check_cdf(file: CdfReader) -> Findings:
    """What an open file breaks. Raises ExportError if a part of it cannot be read."""
    for check in CHECKS:
        yield from judged(check, file)


def judged(check: Callable[..., Findings], file: CdfReader, *others: object) -> Findings:
    """What a rule finds. A file that the rule cannot cope with is not passed, and other rules still judge it."""
    try:
        yield from check(file, *others)
    except (ValueError, TypeError, ArithmeticError, LookupError) as problem:
        name = check.__name__.replace("_", " ")
        what = f"the rule about {name} ended with {type(problem).__name__}: {' '.join(str(problem).split())[:200]}"
        yield error("P06", "", what, "Correct what other rules find; if nothing is left, report it with the file")


def readable(findings: Findings) -> Findings:
    """The same findings; where the file cannot be read on, F06 is the last one."""
    try:
        yield from findings
    except ExportError as problem:
        yield unreadable(problem)


def unreadable(problem: ExportError) -> Finding:
    """A file that cannot be read."""
    return error("F06", "", str(problem).rpartition(". ")[0] or str(problem), "Fetch or write it again")


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Errors before warnings, each by rule and place; what was found twice once."""
    return sorted(set(findings), key=lambda f: (f.severity, f.rule, f.where, f.what))


def dated_constants(structure: Structure) -> tuple[str, ...]:
    """The constants of axes whose values differ from calibration to calibration."""
    dated = [axis.name for axis in structure.table.axes if axis.valid is not None]
    return tuple(f"{name}{part}" for name in dated for part in ("", "_delta_minus", "_delta_plus", "_label"))
