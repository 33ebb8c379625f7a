# SPDX-License-Identifier: Apache-2.0
"""Raw files: months, and a page for each file with what became of its bytes and what descends from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any, NamedTuple

import polars as pl

from monitor.site import places
from monitor.site.definition_words import dependents
from monitor.site.descent import products_by_receipt
from monitor.site.facts import Facts
from monitor.site.filters import duration, number, share, size, utc
from monitor.site.page import Later, Page
from monitor.site.sections import RECORD, Cell, amount, bounded, equal, link, mark, record, section, select, told, words
from monitor.site.states import State, states

Row = Mapping[str, Any]
STATES = {"ingested": "ok", "empty": "warn", "refused": "fail"}
NAME_LENGTH = 160  # characters of a file name in lists


@dataclass(frozen=True)
class Books:
    """What the lake knows of raw files, gathered once; keys are hashes, names, or instruments and days."""

    days: Mapping[str, date] = field(default_factory=dict)
    stretches: Mapping[tuple[str, str], list[Row]] = field(default_factory=dict)
    contents: Mapping[tuple[str, str, str], list[Row]] = field(default_factory=dict)
    gaps: Mapping[tuple[str, str, date], list[Row]] = field(default_factory=dict)
    products: Mapping[str, list[tuple[str, date, str]]] = field(default_factory=dict)
    descendants: Mapping[str, list[str]] = field(default_factory=dict)
    states: Mapping[tuple[str, date], State] = field(default_factory=dict)


def parts(facts: Facts) -> Iterator[Page]:
    """The months, the files of each month, and each file."""
    books = _books(facts)
    rows = sorted(facts.ops("files").to_dicts(), key=lambda row: (_day(books, row), row["name"], row["file_sha256"]))
    months = defaultdict[str, list[Row]](list)
    for row in rows:
        months[f"{_day(books, row):%Y-%m}"].append(row)
    yield _index(months)
    for month, files in months.items():
        yield _month(month, files, books)
    for row in rows:
        yield _file(row, books)


def _books(facts: Facts) -> Books:
    return Books(
        days=facts.file_days,
        stretches=_grouped(facts.ops("quarantine"), "file_sha256", "name"),
        contents=_grouped(_contents(facts), "mission", "instrument", "file_sha256"),
        gaps=_grouped(facts.ops("gaps").sort("end_time", "apid"), "mission", "instrument", "day"),
        products=products_by_receipt(facts),
        descendants=_descendants(facts),
        states=facts.once(states),
    )


def _descendants(facts: Facts) -> dict[str, list[str]]:
    """The tables above each table of level 0, in the order of definitions."""
    made, found = dependents(facts.definitions), dict[str, list[str]]()
    for table in facts.definitions.tables.values():
        if not table.inputs:
            above, new = set[str](), {table.address}
            while new := {address for source in new for address in made.get(source, [])} - above:
                above |= new
            found[table.address] = [address for address in facts.definitions.tables if address in above]
    return found


def _contents(facts: Facts) -> pl.DataFrame:
    """What files gave; rows from before there were columns for the instrument have it in the table's address."""
    return (
        facts.ops("contents")
        .filter(pl.col("rows") > 0)
        .with_columns(
            mission=pl.coalesce("mission", pl.col("table_name").str.extract(r"^(.+?)\.")),
            instrument=pl.coalesce("instrument", pl.col("table_name").str.extract(r"\.(.+?)_l0_")),
        )
    )


def _grouped(frame: pl.DataFrame, *keys: str) -> dict[Any, list[Row]]:
    found = defaultdict[Any, list[Row]](list)
    for row in frame.iter_rows(named=True):
        found[tuple(row[key] for key in keys)].append(row)
    return found


def _day(books: Books, row: Row) -> date:
    """The UTC day in the file's name; that of its arrival where the archive does not tell it."""
    received: date = row["received_at"].date()
    return books.days.get(row["receipt"], received)


def _page(row: Row) -> str:
    return places.file(row["file_sha256"], row["name"])


# ---- lists ---------------------------------------------------------------------------------------------------------
SUMMED = ("bytes", "bytes_decoded", "bytes_quarantined", "packets", "duplicates")
TOTALS = ("files", "size", "decoded", "quarantined", "packets", "duplicates")


def _totals(rows: Iterable[Row]) -> list[Cell]:
    rows = list(rows)
    whole, decoded, refused, packets, duplicates = (sum(row[column] for row in rows) for column in SUMMED)
    texts = (number(len(rows)), size(whole), size(decoded), size(refused), number(packets), number(duplicates))
    return [amount(text) for text in texts]


def _index(months: Mapping[str, list[Row]]) -> Page:
    instruments = defaultdict[tuple[str, str], list[Row]](list)
    for row in (row for rows in months.values() for row in rows):
        instruments[row["mission"], row["instrument"]].append(row)
    newest = sorted(months.items(), reverse=True)
    by_month = [(link(month, places.files(month)), *_totals(rows)) for month, rows in newest]
    by_instrument = [
        (link(f"{mission}/{name}", places.instrument(mission, name)), *_totals(rows))
        for (mission, name), rows in sorted(instruments.items())
    ]
    every = [row for rows in months.values() for row in rows]
    sums = ", ".join(
        f"sum({c}) AS {c}" for c in ("bytes", "bytes_decoded", "bytes_quarantined", "packets", "duplicates")
    )
    query = select(f"mission, instrument, count(*) AS files, {sums}", "ops.files GROUP BY ALL", order="ALL")
    return record(
        places.FILES,
        "Raw files",
        _balance(every),
        [
            section("By month", ("month", *TOTALS), by_month, note="By the day in a file's name.", none=NO_FILES),
            section("By instrument", ("instrument", *TOTALS), by_instrument, query=query, none=NO_FILES),
        ],
        lead="Every byte of a raw file is decoded, or quarantined with a reason.",
    )


NO_FILES = "No raw file has arrived. `swxlake ingest PATH` takes files in."


def _balance(rows: list[Row]) -> list[tuple[str, Cell]]:
    """The equation that holds for raw files, with its numbers."""
    whole, decoded, refused = (
        sum(row[column] for row in rows) for column in ("bytes", "bytes_decoded", "bytes_quarantined")
    )
    rest = whole - decoded - refused
    balance = f"{whole:,} bytes = {decoded:,} decoded + {refused:,} quarantined"
    return [
        ("files", number(len(rows))),
        ("bytes", balance if not rest else mark(f"{balance}, {rest:,} not accounted for", "fail")),
        ("decoded", share(decoded / whole if whole else None)),
    ]


def _month(month: str, rows: list[Row], books: Books) -> Page:
    columns = ("day", "file", "instrument", "received", "size", "decoded", "quarantined", "packets", "dup.", "status")
    listed = [
        (
            f"{_day(books, row):%Y-%m-%d}",
            link(told(row["name"], NAME_LENGTH), _page(row)),
            f"{row['mission']}/{row['instrument']}",
            utc(row["received_at"]),
            amount(size(row["bytes"])),
            amount(size(row["bytes_decoded"])),
            amount(size(row["bytes_quarantined"])),
            amount(number(row["packets"])),
            amount(number(row["duplicates"])),
            mark(row["status"], _state(row)),
        )
        for row in rows
    ]
    return record(
        places.files(month),
        f"Raw files of {month}",
        _balance(rows),
        [section("Files", columns, listed)],
        trail=[link("Raw files", places.FILES)],
    )


def _state(row: Row) -> str:
    state = STATES.get(row["status"], "none")
    return "warn" if state == "ok" and row["bytes_quarantined"] else state


# ---- one file ------------------------------------------------------------------------------------------------------
class Told(NamedTuple):
    """What the page of a file is made from."""

    row: Row
    day: date
    contents: list[Row]
    stretches: list[Row]
    gaps: list[Row]
    above: list[tuple[str, date, str]]  # table-days that are made of its own, each with its state in a word
    products: list[tuple[str, date, str]]


def _file(row: Row, books: Books) -> Page:
    """The page of a file, and what it is made from."""
    contents = books.contents.get((row["mission"], row["instrument"], row["file_sha256"]), [])
    told_of = Told(
        row,
        _day(books, row),
        contents,
        books.stretches.get((row["file_sha256"], row["name"]), []),
        _gaps_of(row, contents, books),
        _above(contents, books),
        books.products.get(row["receipt"], []),
    )
    return Page(_page(row), RECORD, Later(told_of, partial(_words, told_of)))


def _words(file: Told) -> Mapping[str, Any]:
    row, month = file.row, f"{file.day:%Y-%m}"
    return words(
        told(row["name"], NAME_LENGTH),
        _pairs(row, file.day),
        [
            _table_days(row, file.contents),
            _made_of_it(file.above),
            _stretches(row, file.stretches),
            _gaps(row, file.contents, file.gaps),
            _products(file.products),
        ],
        trail=[link("Raw files", places.FILES), link(month, places.files(month))],
        lead=told(row["reason"]) if row["reason"] else "",
    )


def _pairs(row: Row, day: date) -> list[tuple[str, Cell]]:
    rest = row["bytes"] - row["bytes_decoded"] - row["bytes_quarantined"]
    balance = f"{row['bytes']:,} = {row['bytes_decoded']:,} decoded + {row['bytes_quarantined']:,} quarantined"
    arrival = f"number {row['arrival']:,}" if row["arrival"] is not None else "not in the journal"
    return [
        ("status", mark(row["status"], _state(row))),
        ("name", told(row["name"])),
        ("instrument", link(f"{row['mission']}/{row['instrument']}", _instrument(row))),
        ("day in its name", f"{day:%Y-%m-%d}"),
        ("received", f"{utc(row['received_at'])}, {_delay(row, day)}"),
        ("order of arrival", f"{arrival}, revision {row['revision']} of its name"),
        ("bytes", balance if not rest else mark(f"{balance}, {rest:,} not accounted for", "fail")),
        ("packets", f"{row['packets']:,}, of which {row['duplicates']:,} had been received before"),
        ("sha256", row["file_sha256"]),
        ("receipt", row["receipt"]),
        ("decoded by run", row["run_id"]),
    ]


def _instrument(row: Row) -> str:
    return places.instrument(row["mission"], row["instrument"])


def _delay(row: Row, day: date) -> str:
    received = row["received_at"]
    hours = (received.date() - day).days * 24 + received.hour + received.minute / 60 - 24
    return f"{duration(hours * 3600)} after the end of that day" if hours >= 0 else "before that day ended"


def _table_days(row: Row, contents: list[Row]) -> dict[str, Any]:
    rows = [
        (
            link(found["table_name"], places.table(found["table_name"])),
            f"{found['day']:%Y-%m-%d}",
            amount(number(found["rows"])),
            amount(number(found["new_rows"])),
        )
        for found in sorted(contents, key=lambda found: (found["table_name"], found["day"]))
    ]
    about = equal(file_sha256=row["file_sha256"], mission=row["mission"], instrument=row["instrument"])
    query = select("table_name, day, rows, new_rows", "ops.contents", about, order="ALL")
    columns = ("table", "day", "rows", "new rows")
    return section("Table-days it contributed to", columns, rows, query=query, none="The file gave no rows.")


def _above(contents: list[Row], books: Books) -> list[tuple[str, date, str]]:
    keys = {(table, found["day"]) for found in contents for table in books.descendants.get(found["table_name"], [])}
    return [(*key, books.states[key].shown) for key in sorted(keys, key=lambda key: key[::-1]) if key in books.states]


def _made_of_it(above: list[tuple[str, date, str]]) -> dict[str, Any]:
    rows = [(link(address, places.table(address)), f"{day:%Y-%m-%d}", mark(word, word)) for address, day, word in above]
    title, none = "Table-days that are made from these", "There is none."
    note = "Of the same days, as they stand now. What lies within seconds of midnight may go into the day beside, too."
    return section(title, ("table", "day", "state"), rows, note=note if rows else "", none=none)


def _stretches(row: Row, stretches: list[Row]) -> dict[str, Any]:
    listed, note = bounded(stretches)
    rows = [
        (
            amount(f"{found['byte_offset']:,}"),
            amount(f"{found['bytes']:,}"),
            amount(number(found["packets"])),
            found["reason"],
            told(found["detail"]),
        )
        for found in listed
    ]
    about = equal(file_sha256=row["file_sha256"], name=row["name"])
    query = select("byte_offset, bytes, reason, detail, apid, packets", "ops.quarantine", about, order="byte_offset")
    columns = ("offset", "bytes", "packets", "reason", "what was found")
    none = "No byte of the file was quarantined."
    return section("Quarantined stretches", columns, rows, note=note, query=query if rows else "", none=none)


def _gaps_of(row: Row, contents: list[Row], books: Books) -> list[Row]:
    """Gaps of the instrument on the days of the file: a gap lies between packets, often between files."""
    instrument = row["mission"], row["instrument"]
    return [gap for day in _days_of(contents) for gap in books.gaps.get((*instrument, day), [])]


def _days_of(contents: list[Row]) -> list[date]:
    return sorted({found["day"] for found in contents})


def _gaps(row: Row, contents: list[Row], gaps: list[Row]) -> dict[str, Any]:
    days = _days_of(contents)
    listed, note = bounded(gaps)
    rows = [
        (
            amount(str(gap["apid"])),
            gap["kind"] or "loss",
            utc(gap["start_time"]),
            utc(gap["end_time"]),
            amount(number(gap["missing"])),
        )
        for gap in listed
    ]
    span = f"day BETWEEN DATE '{days[0]}' AND DATE '{days[-1]}'" if days else "false"
    about = equal(mission=row["mission"], instrument=row["instrument"])
    query = select("apid, kind, start_time, end_time, missing", "ops.gaps", about, span, order="end_time")
    columns = ("APID", "kind", "after", "before", "packets missing")
    title, none = "Gaps of the instrument on these days", "No packet is missing on the days of this file."
    return section(title, columns, rows, note=note, query=query if rows else "", none=none)


def _products(products: list[tuple[str, date, str]]) -> dict[str, Any]:
    rows = [
        (link(address, places.products(address)), link(f"{day:%Y-%m-%d}", places.product(address, day)), version)
        for address, day, version in products
    ]
    return section("Products that descend from it", ("product", "day", "version"), rows, none="No product does.")
