# SPDX-License-Identifier: Apache-2.0
"""What a command found: one document for programs, lines for people, and the exit code that follows from it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from rich.markup import escape
from rich.table import Table

from swxlake.sql_output import json_value, printable, wide_console


@dataclass
class Outcome:
    """The result of a command.

    facts : what was done, by name
    problems : what was quarantined, refused, or failed; any of them makes the exit code 1
    notes : what a person should see although it stops nothing (alarms, warnings)
    tables : rows to be shown, by title
    """

    facts: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 if all was done, 1 if something was quarantined, refused or failed."""
        return 1 if self.problems else 0

    def include(self, other: Outcome) -> None:
        """Add what another step found."""
        self.facts |= other.facts
        self.problems += other.problems
        self.notes += other.notes
        self.tables |= other.tables

    def show(self, as_json: bool) -> None:
        """Print the outcome to stdout."""
        if as_json:
            content = {**self.facts, **self.tables, "notes": self.notes, "problems": self.problems}
            print(json.dumps(content, indent=1, default=json_value))
            return
        console = wide_console(soft_wrap=True, highlight=False)
        for title, rows in self.tables.items():
            console.print(_table(title, rows))
        for name, value in self.facts.items():
            console.print(f"{escape(name):<12} {escape(_by_lines(_line(value)))}")
        for note in self.notes:
            console.print(f"[yellow]note[/]         {escape(printable(note))}")
        for problem in self.problems:
            console.print(f"[red]problem[/]      {escape(printable(problem))}")


def _by_lines(text: str) -> str:
    """The text with its lines as they are, and what a terminal would act on as an escape."""
    return "\n".join(map(printable, text.split("\n")))


def _line(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{amount} {name.replace('_', ' ')}" for name, amount in value.items())
    if isinstance(value, list):
        return "\n             ".join(str(item) for item in value) or "none"
    return str(value)


def _table(title: str, rows: list[dict[str, Any]]) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for name in rows[0] if rows else ["nothing"]:
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(escape("" if value is None else _by_lines(str(value))) for value in row.values()))
    return table
