# SPDX-License-Identifier: Apache-2.0
"""The gate: what a written file has to pass before a version is given out and before anyone sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exports.cdf.reader import CdfReader
from exports.istp.globals import Edition, edition_globals
from exports.istp.structure import Structure
from exports.rules import delivery
from exports.rules.check import check_cdf, in_order, judged, readable
from exports.rules.delivery import Span
from exports.rules.master import compare
from exports.rules.names import first_and_last
from exports.rules.nouns import Finding, Findings, RefusedError, errors
from exports.rules.skteditor import ask_skteditor
from exports.rules.table import against_table
from exports.table_rows import TableRows
from exports.versions import Version


@dataclass(frozen=True)
class Around:
    """What a file has to fit to: the files of the days before and after, and the versions given out to its own day.

    `rows` are what the table holds of the day; `skteditor` is the folder of SPDF's checker, asked too where it
    is given.
    """

    before: Span | None = None
    after: Span | None = None
    given_out: frozenset[Version] = frozenset()
    skteditor: Path | None = None
    rows: TableRows | None = None


@dataclass(frozen=True)
class Inspection:
    """What was found, errors first; first and last epoch in TT2000, None if the file has none."""

    findings: tuple[Finding, ...]
    first_epoch: int | None
    last_epoch: int | None

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that stop the file."""
        return errors(self.findings)


def inspect(path: Path, structure: Structure, edition: Edition, around: Around) -> Inspection:
    """Judge a file that is about to be published: all rules, its dataset's structure, and what is around it.

    A file that cannot be read has the finding F06. Raises ConfigurationError if SPDF's checker is configured and
    cannot be run.
    """
    findings = list(readable(_judge(path, structure, edition, around)))
    if around.skteditor is not None:
        findings += ask_skteditor(around.skteditor, path)
    is_read = not any(finding.rule == "F06" for finding in findings)
    span = span_of(path) if is_read else None
    first, last = (span.first, span.last) if span is not None else (None, None)
    return Inspection(tuple(in_order(findings)), first, last)


def _judge(path: Path, structure: Structure, edition: Edition, around: Around) -> Findings:
    own = edition_globals(structure.logical_source, edition)
    with CdfReader(path) as file:
        yield from check_cdf(file)
        yield from judged(compare, file, structure, [name for name, _ in own])
        if around.rows is not None:
            yield from judged(against_table, file, structure, around.rows)
        yield from judged(delivery.identity, file)
        yield from judged(delivery.on_day, file, edition.day)
        yield from judged(delivery.neighbors, file, around.before, around.after)
        yield from judged(delivery.version, file, around.given_out)
        yield from judged(delivery.edition, file, own)


def require(path: Path, inspection: Inspection) -> None:
    """Remove a file that did not pass, and raise RefusedError."""
    if inspection.errors:
        path.unlink()
        raise RefusedError(path.name, inspection.findings)


def span_of(path: Path) -> Span | None:
    """First and last epoch of a file that was judged before; None if it has none."""
    with CdfReader(path, verify=False) as file:
        found = first_and_last(file)
    return Span(path.name, *found) if found else None
