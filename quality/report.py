# SPDX-License-Identifier: Apache-2.0
"""The report of what checks found, as one page of HTML that asks no host for anything and runs no script.

All text of telemetry, definitions and people is escaped. Words and shapes stand beside colors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from html import escape
from string import Template
from typing import Literal

Verdict = Literal["ok", "info", "warn", "fail", "failed", "unchecked", "none"]
SHAPES: dict[Verdict, str] = {
    "ok": "●", "info": "◆", "warn": "▲", "fail": "■", "failed": "✖", "unchecked": "○", "none": "·",
}  # fmt: skip
WORDS: dict[Verdict, str] = {
    "ok": "all rules hold", "info": "limits are broken", "warn": "a person should look", "fail": "not exported",
    "failed": "could not be built", "unchecked": "not judged yet", "none": "no data",
}  # fmt: skip
MARKS = {
    "fail": "■", "warn": "▲", "info": "◆", "red": "■", "yellow": "▲",
    "open": "●", "acknowledged": "◐", "resolved": "○",
}  # fmt: skip
NOTHING = "Nothing."
Row = Sequence[object]


@dataclass(frozen=True)
class Section:
    """A heading, what it is about, and a table of rows; `raw` columns hold HTML of our own."""

    title: str
    about: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    total: int


@dataclass(frozen=True)
class Report:
    """What is told. `verdicts` are by table and day; `made` is the one line that differs from run to run."""

    lake: str
    made: str
    days: tuple[date, ...]
    tables: tuple[str, ...]
    verdicts: Mapping[tuple[str, date], Verdict]
    sections: tuple[Section, ...] = field(default=())


def page(report: Report) -> str:
    """The report as an HTML document."""
    days = f"{report.days[0]} to {report.days[-1]}" if report.days else "no days"
    counts = ((verdict, sum(found == verdict for found in report.verdicts.values())) for verdict in SHAPES)
    summary = ", ".join(f"{count} {verdict}" for verdict, count in counts if count) or "no table-days"
    legend = " ".join(f'<span class="{v}">{shape} {v}</span> {WORDS[v]};' for v, shape in SHAPES.items())
    body = [
        f"<p>Lake {escape(report.lake)}: {escape(summary)}. All times are UTC.</p>",
        f'<p class="quiet">{legend}</p>',
        _matrix(report),
        *(section_html(section) for section in report.sections),
        f'<p class="quiet">{escape(report.made)}</p>',
    ]
    return document(f"Checks of {days}", body)


def document(title: str, body: Iterable[str]) -> str:
    """An HTML document of these parts, which are HTML, under a heading, which is text."""
    return PAGE.substitute(title=escape(title), style=STYLE, body="\n".join(body))


def _matrix(report: Report) -> str:
    heads = "".join(f'<th scope="col"><abbr title="{day}">{day:%m-%d}</abbr></th>' for day in report.days)
    rows = "\n".join(_line(report, table) for table in report.tables)
    if not report.days:
        return f"<h2>Tables by day</h2>\n<p>{NOTHING}</p>"
    return (
        '<h2>Tables by day</h2>\n<div class="wide"><table class="matrix">\n'
        f'<tr><th scope="col">table</th>{heads}</tr>\n{rows}\n</table></div>'
    )


def _line(report: Report, table: str) -> str:
    cells = (_verdict(report.verdicts.get((table, day), "none")) for day in report.days)
    return f'<tr><th scope="row">{escape(table)}</th>{"".join(cells)}</tr>'


def _verdict(verdict: Verdict) -> str:
    word = "" if verdict == "none" else f" {verdict}"
    return f'<td class="{verdict}">{SHAPES[verdict]}{word}</td>'


def section_html(section: Section) -> str:
    """A section as HTML; all in it is escaped."""
    parts = [f"<h2>{escape(section.title)}</h2>", f"<p>{escape(section.about)}</p>"]
    if not section.rows:
        return "\n".join([*parts, f"<p>{NOTHING}</p>"])
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in section.columns)
    rows = "\n".join(f"<tr>{''.join(_cell(name, v) for name, v in _named(section, row))}</tr>" for row in section.rows)
    parts.append(f'<div class="wide"><table>\n<tr>{heads}</tr>\n{rows}\n</table></div>')
    if section.total > len(section.rows):
        parts.append(f"<p>And {section.total - len(section.rows)} more.</p>")
    return "\n".join(parts)


def _named(section: Section, row: Row) -> Iterable[tuple[str, object]]:
    return zip(section.columns, row, strict=True)


def _cell(column: str, value: object) -> str:
    if column in ("severity", "state"):
        told = f"{MARKS.get(str(value), '')} {value}".strip()
        return f'<td class="{_class(str(value))}">{escape(told)}</td>'
    if column == "command" and value:
        return f"<td><code>{escape(str(value))}</code></td>"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"<td>{escape(_text(value))}</td>"
    return f'<td class="number">{escape(_text(value))}</td>'


def _class(word: str) -> str:
    return {"red": "fail", "yellow": "warn", "open": "warn"}.get(word, word if word in SHAPES else "none")


def _text(value: object) -> str:
    """A value as it is read; what a page cannot show is an escape, as in the terminal."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))


STYLE = """
:root { color-scheme: light dark; --text: #1b1b1b; --back: #ffffff; --line: #c8c8c8; --quiet: #5c5c5c;
  --ok: #0b5c8a; --warn: #8a5300; --fail: #a11d00; --code: #f1f1f1; }
@media (prefers-color-scheme: dark) { :root { --text: #e8e8e8; --back: #16181b; --line: #44484d; --quiet: #a5a9ae;
  --ok: #7cc0ee; --warn: #f2b14b; --fail: #ff8a70; --code: #23262b; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); margin: 2rem auto;
  max-width: 80rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; } .matrix td, .matrix th { white-space: nowrap; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.ok, .info { color: var(--ok); } .warn { color: var(--warn); font-weight: 600; }
.fail, .failed { color: var(--fail); font-weight: 700; } .unchecked, .none, .quiet { color: var(--quiet); }
code { background: var(--code); padding: .1rem .3rem; } abbr { text-decoration: none; }
@media print { body { max-width: none; } }
"""
PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>$title</title>
<style>$style</style>
</head>
<body>
<h1>$title</h1>
$body
</body>
</html>
""")
