# SPDX-License-Identifier: Apache-2.0
"""Instruments: what each is, its packets, clock, tables, calibrations and limits, and what nobody knows of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Any

import polars as pl

from lake.definitions import Calibration, Instrument, Mission
from lake.packet_definitions import Clock
from monitor.site import places
from monitor.site.definition_words import LIMITS, limit_rows, status_of, table_link
from monitor.site.facts import Facts
from monitor.site.filters import number, size, utc
from monitor.site.page import Page
from monitor.site.product_days import pictures
from monitor.site.sections import Cell, amount, equal, link, mark, record, section, select, told

Row = Mapping[str, Any]
Key = tuple[str, str]  # mission and instrument
POLICIES = {
    "leap": "counts SI seconds, leap seconds included",
    "posix": "has 86,400 s in every day, as Unix time",
    "none": "tells no time of day",
}


@dataclass(frozen=True)
class Books:
    """What the lake knows of instruments, gathered once."""

    newest: Mapping[str, date]  # by address of the table
    days: Mapping[str, int]
    files: Mapping[Key, Row]
    apids: Mapping[tuple[str, str, int], Row]
    alerts: Mapping[Key, list[Row]]
    pictures: frozenset[str]


def parts(facts: Facts) -> Iterator[Page]:
    """The list, and each instrument."""
    books = _books(facts)
    yield _index(facts, books)
    for mission in facts.definitions.missions:
        for instrument in mission.instruments:
            yield _instrument(mission, instrument, books)


def _books(facts: Facts) -> Books:
    days = defaultdict[str, list[date]](list)
    for address, day in facts.contents.known:
        days[address].append(day)
    files = (
        facts.ops("files")
        .group_by("mission", "instrument")
        .agg(pl.len().alias("files"), pl.col("bytes").sum(), pl.col("received_at").max())
    )
    apids = (
        facts.ops("packets")
        .group_by("mission", "instrument", "apid")
        .agg(pl.col("distinct", "missing", "duplicates", "checksum_failures").sum(), pl.col("last_time").max())
    )
    alerts = defaultdict[Key, list[Row]](list)
    for row in facts.ops("alerts").filter(pl.col("state") != "resolved").sort("since_time").iter_rows(named=True):
        alerts[row["mission"], row["instrument"]].append(row)
    return Books(
        newest={address: max(found) for address, found in days.items()},
        days={address: len(found) for address, found in days.items()},
        files={(row["mission"], row["instrument"]): row for row in files.iter_rows(named=True)},
        apids={(row["mission"], row["instrument"], row["apid"]): row for row in apids.iter_rows(named=True)},
        alerts=alerts,
        pictures=facts.once(pictures),
    )


def _index(facts: Facts, books: Books) -> Page:
    columns = ("instrument", "what", "status", "tables", "raw files", "size", "newest file", "newest day", "alerts")
    sections = [
        section(mission.title, columns, [_listed(mission, i, books) for i in mission.instruments])
        for mission in facts.definitions.missions
    ]
    return record(places.INSTRUMENTS, "Instruments", [], sections)


def _listed(mission: Mission, instrument: Instrument, books: Books) -> tuple[Cell, ...]:
    key = mission.name, instrument.name
    files, alerts = books.files.get(key), books.alerts.get(key, [])
    newest = max((books.newest[t.address] for t in instrument.tables if t.address in books.newest), default=None)
    return (
        link(f"{mission.name}/{instrument.name}", places.instrument(*key)),
        instrument.title,
        status_of(instrument),
        amount(number(len(instrument.tables))),
        amount(number(files["files"]) if files else "0"),
        amount(size(files["bytes"]) if files else "-"),
        utc(files["received_at"]) if files else "-",
        f"{newest:%Y-%m-%d}" if newest else "-",
        mark(f"{len(alerts)} standing", "warn", places.ALERTS) if alerts else "none",
    )


# ---- one instrument ------------------------------------------------------------------------------------------------
def _instrument(mission: Mission, instrument: Instrument, books: Books) -> Page:
    key = mission.name, instrument.name
    return record(
        places.instrument(*key),
        f"{mission.name}/{instrument.name}: {instrument.title}",
        _pairs(mission, instrument, books),
        [
            _tables(instrument, books),
            _alerts(books.alerts.get(key, [])),
            _packets(mission, instrument, books),
            *_records(instrument),
            _calibrations(instrument),
            section("Limits", LIMITS, limit_rows(instrument), none="No limits are set."),
            section("What is not known", ("",), [(text,) for text in instrument.unknowns], none="Nothing is noted."),
        ],
        trail=[link("Instruments", places.INSTRUMENTS)],
        lead=" ".join(instrument.description.split()),
    )


def _pairs(mission: Mission, instrument: Instrument, books: Books) -> list[tuple[str, Cell]]:
    files = books.files.get((mission.name, instrument.name))
    received = (
        f"{files['files']:,} files, {size(files['bytes'])}, the last at {utc(files['received_at'])}"
        if files
        else "none yet"
    )
    valid = instrument.valid_time or mission.valid_time
    pairs: list[tuple[str, Cell]] = [
        ("mission", mission.title),
        ("status", status_of(instrument)),
        ("why", " ".join(instrument.status_reason.split()) or "-"),
        ("clock", _clock(instrument.clock)),
        ("valid time of its data", f"{valid.start} to {valid.stop}"),
        ("raw files", link(received, places.FILES)),
        ("words", link("data dictionary", places.words(mission.name, instrument.name))),
    ]
    return pairs + _quicklook(instrument, books)


def _quicklook(instrument: Instrument, books: Books) -> list[tuple[str, Cell]]:
    """The way to the newest quick look of a table of the instrument."""
    newest = [(books.newest[t.address], t.address) for t in instrument.tables if t.address in books.newest]
    for day, address in sorted(newest, reverse=True):
        if places.quicklook(address, day, "png") in books.pictures:
            return [("newest quick look", link(f"{address} of {day:%Y-%m-%d}", places.quicklook(address, day)))]
    return []


def _clock(clock: Clock) -> str:
    ticks = f", {clock.fine_ticks_per_second:,} ticks a second" if clock.fine_ticks_per_second else ""
    assumed = f" Assumed: {clock.assumed}" if clock.assumed else ""
    return f"counts from {clock.epoch} UTC{ticks}; {POLICIES[clock.policy]}.{assumed}"


def _tables(instrument: Instrument, books: Books) -> dict[str, Any]:
    rows = [
        (
            table_link(table.address),
            table.level,
            table.title + (" (experimental)" if table.experimental else ""),
            amount(number(books.days.get(table.address, 0))),
            f"{newest:%Y-%m-%d}" if (newest := books.newest.get(table.address)) else "-",
        )
        for table in instrument.tables
    ]
    return section("Tables", ("table", "level", "what", "days", "newest day"), rows, none="No table is defined.")


def _alerts(alerts: list[Row]) -> dict[str, Any]:
    rows = [
        (
            mark(row["severity"], row["severity"]),
            link(told(row["subject"], 120), places.alert(row["alert_id"])),
            utc(row["since_time"]),
            mark(row["state"], row["state"]),
            told(row["message"], 240),
        )
        for row in alerts
    ]
    columns = ("severity", "what", "since", "state", "what was found")
    return section("Alerts that stand", columns, rows, none="No alert stands.")


def _packets(mission: Mission, instrument: Instrument, books: Books) -> dict[str, Any]:
    rows: list[tuple[Cell, ...]] = []
    for packet in instrument.packets:
        for apid in packet.apids:
            seen = books.apids.get((mission.name, instrument.name, apid), {})
            counts = ("distinct", "missing", "duplicates", "checksum_failures")
            rows.append(
                (
                    packet.name,
                    amount(str(apid)),
                    amount(number(len(packet.fields))),
                    packet.checksum or "none",
                    *(amount(number(seen.get(name))) for name in counts),
                    utc(seen.get("last_time")),
                )
            )
    columns = ("packet", "APID", "fields", "checksum", "received", "missing", "repeated", "bad checksum", "last packet")
    sums = "apid, sum(packets.distinct) AS received, sum(missing) AS missing, sum(duplicates) AS repeated"
    about = equal(mission=mission.name, instrument=instrument.name)
    query = select(sums, "ops.packets", f"{about} GROUP BY apid", order="apid")
    none = "It sends no packets that are defined."
    return section("Packets", columns, rows, query=query if rows else "", none=none)


def _records(instrument: Instrument) -> list[dict[str, Any]]:
    """The types of record, of instruments whose raw files hold some."""
    rows = [
        (records.name, records.format, ", ".join(records.files), amount(number(len(records.fields))))
        for records in instrument.records
    ]
    return [section("Records", ("record", "format", "files", "fields"), rows)] if rows else []


def _calibrations(instrument: Instrument) -> dict[str, Any]:
    rows = [
        (
            calibration.stem,
            f"{calibration.valid_from} to {until or 'now'}",
            amount(number(calibration.frame.height)),
            mark("assumed", "warn") if calibration.stem in instrument.assumed else "measured or published",
            instrument.assumed.get(calibration.stem, ""),
        )
        for calibration, until in _spans(instrument)
    ]
    columns = ("file", "valid", "rows", "", "why it is an assumption")
    return section("Calibrations", columns, rows, none="It has none.") | {"anchor": "calibrations"}


def _spans(instrument: Instrument) -> list[tuple[Calibration, date | None]]:
    """Each calibration, and the day on which the next of its name begins to be valid."""
    ordered = sorted(instrument.calibrations, key=lambda calibration: (calibration.name, calibration.valid_from))
    follows = [*pairwise(ordered), *((last, None) for last in ordered[-1:])]
    return [(one, after.valid_from if after and after.name == one.name else None) for one, after in follows]
