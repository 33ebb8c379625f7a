# SPDX-License-Identifier: Apache-2.0
"""Plans of passes: files of an operations center, CSV or JSON, read strictly, row by row.

They come from outside. A row that is wrong is told with file, line and remedy, and keeps no other row from being read.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lake.definitions import Definitions
from lake.errors import ConfigurationError
from lake.setting_files import near

LARGEST_BYTES = 16 << 20  # a pass has some hundred bytes; a plan of a year has some thousand passes
MOST_ROWS = 100_000
MOST_NAMES = 1000  # of the files of one pass
MOST_COUNT = 10**12  # files or packets of one pass; more is a slip of the pen
LONGEST_TEXT = 200  # characters of a cell that is told
NEEDED = ("pass_id", "mission", "station", "start", "end")
COLUMNS = (*NEEDED, "due", "files", "names", "packets", "instruments")
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,99}")
YEARS = range(2000, 2100)


@dataclass(frozen=True)
class Pass:
    """A planned contact of a mission with a ground station; times in UTC.

    due : when its files are to be here; None where the plan does not say. files, packets : how many are announced.
    names : patterns of the names of its files. instruments : whose files it brings; empty for all.
    """

    mission: str
    pass_id: str
    station: str
    start: datetime
    end: datetime
    due: datetime | None = None
    files: int | None = None
    names: tuple[str, ...] = ()
    packets: int | None = None
    instruments: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """What it is known by: a later plan that has it supersedes it."""
        return self.mission, self.pass_id


@dataclass(frozen=True)
class Plan:
    """What a file says: its passes, and what is wrong with its other rows, each with file and line."""

    name: str
    sha256: str
    passes: tuple[Pass, ...]
    wrong: tuple[str, ...] = ()


class _WrongError(Exception):
    """What is wrong with a row: the column, and words with the remedy."""

    def __init__(self, column: str, words: str) -> None:
        super().__init__(words)
        self.column = column


@dataclass
class _Rows:
    """Rows of a file as texts, with the place of each, and what was wrong before it came to rows."""

    rows: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def plan_files(pattern: str) -> list[Path]:
    """The files that a pattern names, in order of their names; a folder is none. A name that fits literally is one."""
    path = Path(pattern)
    found = [path] if path.is_file() else list(path.parent.glob(path.name))
    return sorted(one for one in found if one.is_file())


def read_plan(path: Path, definitions: Definitions) -> Plan:
    """The plan in a .csv or .json file. Raises ConfigurationError if nothing in it can be read."""
    forms: dict[str, Callable[[str, bytes], _Rows]] = {".csv": _csv_rows, ".json": _json_rows}
    if path.suffix.lower() not in forms:
        raise ConfigurationError(f"{path}: is no plan. Give a file whose name ends with .csv or .json.")
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}. Correct the name, or make the file readable.") from None
    if len(content) > LARGEST_BYTES:
        raise ConfigurationError(f"{path}: is larger than {LARGEST_BYTES} bytes. Give a plan of fewer passes.")
    read = forms[path.suffix.lower()](str(path), content)
    passes, wrong = _passes(path, read.rows, definitions)
    return Plan(path.name, hashlib.sha256(content).hexdigest(), tuple(passes), (*read.wrong, *wrong))


# ---- rows ----------------------------------------------------------------------------------------------------------
def _text(place: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{place}: byte {error.start} is not UTF-8. Save the file as UTF-8.") from None


def _csv_rows(place: str, content: bytes) -> _Rows:
    reader = csv.reader(io.StringIO(_text(place, content), newline=""), strict=True)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        found = _Rows(wrong=_wrong_columns(place, "line 1", names))
        for cells in reader:
            where = f"line {reader.line_num}"
            if len(found.rows) >= MOST_ROWS:
                raise ConfigurationError(f"{place} {where}: has more than {MOST_ROWS} passes. Divide the plan.")
            if len(cells) > len(names):
                found.wrong.append(f"{place} {where}: has {len(cells)} cells for {len(names)} columns. Quote commas.")
            elif any(cell.strip() for cell in cells):
                found.rows.append((where, {n: c.strip() for n, c in zip(names, cells, strict=False)}))
    except csv.Error as error:
        raise ConfigurationError(f"{place} line {reader.line_num}: is no CSV ({error}). Correct the quotes.") from None
    return found


def _wrong_columns(place: str, where: str, names: list[str]) -> list[str]:
    """Columns that mean nothing here. Raises ConfigurationError if one is missing or there twice."""
    missing = [name for name in NEEDED if name not in names]
    twice = sorted({name for name in names if name in COLUMNS and names.count(name) > 1})
    if missing or twice:
        words = f"lacks the column {missing[0]}" if missing else f"has the column {twice[0]} twice"
        raise ConfigurationError(f"{place} {where}: {words}. The first line names them: {', '.join(COLUMNS)}.")
    return [f"{place} {where} ({_shown(n)}): is no column{near(n, COLUMNS)}" for n in names if n not in COLUMNS]


def _json_rows(place: str, content: bytes) -> _Rows:
    try:
        found = json.loads(_text(place, content))
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{place}: is no JSON. Correct it.") from None
    entries = found.get("passes") if isinstance(found, dict) else found
    if not isinstance(entries, list):
        raise ConfigurationError(f'{place}: has no list of passes. Write [{{...}}] or {{"passes": [...]}}.')
    if len(entries) > MOST_ROWS:
        raise ConfigurationError(f"{place}: has more than {MOST_ROWS} passes. Divide the plan.")
    rows = _Rows()
    for number, entry in enumerate(entries, 1):
        where = f"pass {number}"
        if isinstance(entry, dict):
            rows.rows.append((where, {name: _cell(value) for name, value in entry.items()}))
            rows.wrong += [
                f"{place} {where} ({_shown(n)}): is no key{near(n, COLUMNS)}" for n in entry if n not in COLUMNS
            ]
        else:
            rows.wrong.append(f"{place} {where}: is no object with {', '.join(NEEDED)}. Correct it.")
    return rows


def _cell(value: Any) -> str:
    """A value of JSON as its cell in CSV would be: lists joined by semicolons, null empty."""
    if isinstance(value, list):
        return ";".join(str(item).strip() for item in value)
    return "" if value is None else str(value).strip()


# ---- passes --------------------------------------------------------------------------------------------------------
def _passes(
    path: Path, rows: Iterable[tuple[str, Mapping[str, str]]], definitions: Definitions
) -> tuple[list[Pass], list[str]]:
    """The passes of rows, and what is wrong with others."""
    known = {m.name: {i.name for i in m.instruments} for m in definitions.missions}
    found: dict[tuple[str, str], Pass] = {}
    wrong: list[str] = []
    for where, row in rows:
        try:
            one = _pass(row, known)
            if one.key in found:
                raise _WrongError("pass_id", f"{one.pass_id} is there twice; the first one counts. Give each its own")
            found[one.key] = one
        except _WrongError as error:
            wrong.append(f"{path} {where} ({error.column}): {error}{'' if str(error).endswith('?') else '.'}")
    return list(found.values()), wrong


def _pass(row: Mapping[str, str], known: Mapping[str, AbstractSet[str]]) -> Pass:
    """The pass in a row. Raises _WrongError."""
    mission, pass_id, station = (row.get(name, "") for name in ("mission", "pass_id", "station"))
    if mission not in known:
        raise _WrongError("mission", f"{_shown(mission)!r} is no mission{near(mission, known).removesuffix('.')}")
    if not ID.fullmatch(pass_id):
        raise _WrongError("pass_id", f"{_shown(pass_id)!r} is no name of a pass; write letters, digits and . _ : @ + -")
    if not station or len(station) > LONGEST_TEXT or not station.isprintable():
        raise _WrongError("station", "is no name of a station. Write one line of text")
    start, end = _time(row, "start"), _time(row, "end")
    due = _time(row, "due") if row.get("due") else None
    if end <= start:
        raise _WrongError("end", f"{_stamp(end)} is not after the start, {_stamp(start)}. Correct one of them")
    if due is not None and due < end:
        raise _WrongError("due", f"{_stamp(due)} is before the end, {_stamp(end)}. Correct one of them")
    names = tuple(_patterns(row))
    instruments = _instruments(row, mission, known[mission])
    return Pass(
        mission, pass_id, station, start, end, due, _count(row, "files"), names, _count(row, "packets"), instruments
    )


def _time(row: Mapping[str, str], column: str) -> datetime:
    """A time in UTC; one without a zone is in UTC, as the column says."""
    text = row.get(column, "")
    try:
        found = datetime.fromisoformat(text)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        found = None
    if found is None or found.year not in YEARS or len(text) < len("2026-08-01T00:00"):
        raise _WrongError(column, f"{_shown(text)!r} is no UTC time. Write it as 2026-08-01T12:00:00Z")
    return found


def _count(row: Mapping[str, str], column: str) -> int | None:
    text = row.get(column, "")
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,13}", text) or int(text) > MOST_COUNT:
        raise _WrongError(column, f"{_shown(text)!r} is no number of {column}. Write digits, or leave it empty")
    return int(text)


def _parts(row: Mapping[str, str], column: str) -> list[str]:
    return [part.strip() for part in row.get(column, "").split(";") if part.strip()]


def _patterns(row: Mapping[str, str]) -> Iterator[str]:
    parts = _parts(row, "names")
    if len(parts) > MOST_NAMES:
        raise _WrongError("names", f"are more than {MOST_NAMES}. Write them with * and ?")
    for part in parts:
        if "/" in part or "\\" in part or not part.isprintable() or len(part) > LONGEST_TEXT:
            raise _WrongError("names", f"{_shown(part)!r} is no name of a file. Write names, with * and ?, between ;")
        yield part


def _instruments(row: Mapping[str, str], mission: str, known: AbstractSet[str]) -> tuple[str, ...]:
    for part in (parts := _parts(row, "instruments")):
        if part not in known:
            remedy = near(part, known).removesuffix(".")
            raise _WrongError("instruments", f"{_shown(part)!r} is no instrument of {mission}{remedy}")
    return tuple(parts)


def _stamp(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"


def _shown(text: str) -> str:
    """A text of others as it is told: one line, bounded."""
    return "".join(c if c.isprintable() else "?" for c in text[:LONGEST_TEXT])
