# SPDX-License-Identifier: Apache-2.0
"""A finding about a product, and the ids of the rules (ISTP Metadata Guidelines 1.0, SPDF's checker, our own)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lake.errors import ExportError

MOST_TOLD = 5  # findings in one line; `swxlake cdf check` shows all of a file

Findings = Iterator["Finding"]


@dataclass(frozen=True, order=True)
class Finding:
    """A rule that a file breaks.

    rule : id, such as V06; `docs/reference/product-rules.md` lists them
    severity : an error stops the file; a warning is told
    where : variable or global attribute; empty for the file as a whole
    what : what is wrong, with the value that was found
    remedy : what to do, where
    """

    rule: str
    severity: Literal["error", "warning"]
    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.rule} {self.where or 'file'}: {self.what}. {self.remedy}"


def error(rule: str, where: str, what: str, remedy: str) -> Finding:
    """A finding that stops the file."""
    return Finding(rule, "error", where, what, remedy)


def warning(rule: str, where: str, what: str, remedy: str) -> Finding:
    """A finding that is told."""
    return Finding(rule, "warning", where, what, remedy)


def errors(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Those that stop the file."""
    return tuple(finding for finding in findings if finding.severity == "error")


def told(findings: tuple[Finding, ...]) -> str:
    """Findings in one line."""
    more = len(findings) - MOST_TOLD
    return "; ".join(map(str, findings[:MOST_TOLD])) + (f"; and {more} more" if more > 0 else "")


class RefusedError(ExportError):
    """A file did not pass the gate; `findings` are all that were made, warnings included."""

    def __init__(self, name: str, findings: tuple[Finding, ...]) -> None:
        self.findings = findings
        super().__init__(f"{name}: {told(errors(findings))}")
