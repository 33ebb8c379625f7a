# SPDX-License-Identifier: Apache-2.0
"""The page of a product-day: its versions, what it descends from, the checks of its rows, where it was delivered."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import polars as pl

from lake.clock import unix_ns_from_tt2000
from lake.definitions import Table
from monitor.site import places
from monitor.site.descent import deliveries, made_from, versions
from monitor.site.facts import Facts
from monitor.site.filters import number, size, utc
from monitor.site.judged import Judged, judged, severity
from monitor.site.page import Later, Page
from monitor.site.sections import SHOWN_ROWS, Cell, amount, bounded, equal, link, mark, section, select, told, words
from monitor.site.standing import Standing, standings
from monitor.site.states import AT_RECIPIENT, MEANINGS, State, states

Row = Mapping[str, Any]
Key = tuple[str, date]
UNIX = datetime(1970, 1, 1, tzinfo=UTC)
EXPORTS = {
    "refused": "refused: the last night could not make a file of it that may be published",
    "blocked": "blocked: the last night found that its rows may not go out as they are",
}


@dataclass(frozen=True)
class Books:
    """What the lake knows of products, gathered once."""

    versions: Mapping[Key, list[Row]]
    renditions: Mapping[Key, list[Row]]
    deliveries: Mapping[Key, list[Row]]
    judged: Mapping[Key, Judged]
    states: Mapping[Key, State]
    standings: Mapping[Key, Standing]
    files: Mapping[str, Row]
    pictures: frozenset[str]
    changes: Sequence[date]  # days from which on a calibration is valid
    assumptions: dict[tuple[str, int], tuple[str, ...]] = field(default_factory=dict)

    def assumed(self, facts: Facts, table: Table, day: date) -> tuple[str, ...]:
        """What a day rests on that is assumed; it only changes where a calibration begins to be valid."""
        key = table.address, bisect_right(self.changes, day)
        if key not in self.assumptions:
            self.assumptions[key] = facts.definitions.assumptions(table, day)
        return self.assumptions[key]


def read_books(facts: Facts) -> Books:
    """All that product pages tell."""
    files = facts.ops("files").select("receipt", "name", "file_sha256", "received_at")
    calibrations = (c for m in facts.definitions.missions for i in m.instruments for c in i.calibrations)
    return Books(
        versions=facts.once(versions),
        renditions=_grouped(facts.ops("renditions").sort("version", "run_id"), "product"),
        deliveries=_grouped(facts.once(deliveries), "product"),
        judged=facts.once(judged),
        states=facts.once(states),
        standings=facts.once(standings),
        files={row["receipt"]: row for row in files.iter_rows(named=True)},
        pictures=facts.once(pictures),
        changes=sorted({calibration.valid_from for calibration in calibrations}),
    )


def pictures(facts: Facts) -> frozenset[str]:
    """Where there are pictures of quick looks, below the site's root."""
    entries = facts.lake.storage.entries(f"{places.SITE}quicklooks/")
    return frozenset(key for entry in entries if (key := entry.key.removeprefix(places.SITE)).endswith(".png"))


def _grouped(frame: pl.DataFrame, name: str) -> dict[Key, list[Row]]:
    found = defaultdict[Key, list[Row]](list)
    for row in frame.iter_rows(named=True):
        found[row[name], row["day"]].append(row)
    return dict(found)


def delivered_to(rows: Sequence[Row], version: str) -> Cell:
    """Who has the files of a version of a product-day, or that somebody lacks one of them, or has another version."""
    sent = defaultdict[str, list[bool]](list)
    for row in rows:
        if row["version"] == version:
            sent[row["recipient"]].append(row["event"] in AT_RECIPIENT)
    has = sorted(recipient for recipient, there in sent.items() if all(there))
    lacks = sorted({row["recipient"] for row in rows} - set(has))
    if lacks:
        return mark(f"{version} not at {told(', '.join(lacks), 80)}", "warn")
    return mark(told(", ".join(has), 80), "delivered") if has else "-"


# ---- the page ------------------------------------------------------------------------------------------------------
class Told(NamedTuple):
    """What the page of a product-day is made from; of the days beside it, only which they are."""

    key: Key
    versions: list[Row]
    origin: Mapping[str, Any]  # what the newest version was made from
    state: tuple[str, str, tuple[str, ...]] | None  # the word of its table-day, why, and rules that do not hold
    standing: tuple[str, str, str]
    renditions: list[Row]
    deliveries: list[Row]
    judged: tuple[int, tuple[Row, ...], bool]
    files: list[Row | None]  # by the receipts of the origin; None if the decoding is not in the books any more
    reasons: list[str]
    defined: bool
    picture: bool
    before: date | None
    after: date | None


def day_page(facts: Facts, books: Books, address: str, days: Sequence[date], place: int) -> Page:
    """The page of the product on the day at a place among its days."""
    key, table = (address, days[place]), facts.definitions.tables.get(address)
    rows, state = books.versions[key], books.states.get(key)
    origin, checks = made_from(rows[0]), books.judged.get(key, Judged())
    day = Told(
        key,
        rows,
        origin,
        (state.shown, state.why, state.broken) if state else None,
        books.standings[key],
        books.renditions.get(key, []),
        books.deliveries.get(key, []),
        (checks.rules, checks.broken, checks.old),
        [books.files.get(receipt) for receipt in bounded(origin.get("raw", []))[0]],
        _reasons(facts, books, table, key[1]) if rows[0]["deliverable"] is False else [],
        table is not None,
        places.quicklook(address, key[1], "png") in books.pictures,
        days[place - 1] if place else None,
        days[place + 1] if place + 1 < len(days) else None,
    )
    return Page(places.product(*key), "product.html", Later(day, partial(_words, day)))


def _words(day: Told) -> Mapping[str, Any]:
    address, date_ = day.key
    sections = [
        _versions(day.versions),
        _renditions(day.renditions),
        _deliveries(day.key, day.deliveries),
        *(
            [section("Why it may not be delivered", ("",), [(reason,) for reason in day.reasons])]
            if day.reasons
            else []
        ),
        _checks(day),
        _parents(day),
        _calibrations(day.origin),
    ]
    trail = [link("Products", places.PRODUCTS), link(address, places.products(address))]
    return words(f"{address} of {date_:%Y-%m-%d}", _pairs(day), sections, trail=trail) | {
        "picture": places.quicklook(address, date_, "png") if day.picture else "",
        "picture_page": places.quicklook(address, date_),
        "before": places.product(address, day.before) if day.before else "",
        "after": places.product(address, day.after) if day.after else "",
    }


def _state(day: Told) -> list[tuple[str, Cell]]:
    """How the table-day stands from which the product is made: the matrix leads here."""
    if day.state is None:
        return [("its table-day", mark("is not there any more", "none"))]
    word, why, broken = day.state
    pairs: list[tuple[str, Cell]] = [("its table-day", mark(MEANINGS[word], word))]
    pairs += [("why", told(why))] if why else []
    return pairs + [("kept back by", link(rule, places.CHECKS)) for rule in broken]


def _export(day: Told) -> list[tuple[str, Cell]]:
    """What became of the last export, unless it gave the file that is told here."""
    word, state, why = day.standing
    if word in EXPORTS:
        return [("last export", mark(EXPORTS[word], state)), ("what was found", told(why))]
    return [("its rows", mark(why, state))] if word == "exported" and state == "warn" else []


def _pairs(day: Told) -> list[tuple[str, Cell]]:
    row, origin = day.versions[0], day.origin
    pairs: list[tuple[str, Cell]] = [
        *_state(day),
        *_export(day),
        ("newest version", row["version"]),
        ("file", row["path"]),
        ("size", f"{size(row['bytes'])} ({row['bytes']:,} bytes)"),
        ("records", number(row["records"])),
        ("first and last record", f"{_epoch(row['first_epoch_tt2000'])} to {_epoch(row['last_epoch_tt2000'])}"),
        ("sha256", row["sha256"]),
        ("made", _made(row, origin)),
        (
            "table",
            link(row["product"], places.table(row["product"])) if day.defined else f"{row['product']}, no more defined",
        ),
    ]
    if row["deliverable"]:
        return [*pairs, ("deliverable", mark("yes", "ok"))]
    unknown = row["deliverable"] is None
    return [*pairs, ("deliverable", "not noted" if unknown else mark("no, it may be used but not delivered", "warn"))]


def _reasons(facts: Facts, books: Books, table: Table | None, day: date) -> list[str]:
    """Why a product may not be delivered: what today's definitions say of it."""
    if table is None:
        return []
    instrument, assumed = facts.definitions.instrument(table), books.assumed(facts, table, day)
    grounded = instrument.status == "ground"
    return [*([f"The instrument is on the ground. {instrument.status_reason}".strip()] if grounded else []), *assumed]


def _epoch(tt2000: int | None) -> str:
    if tt2000 is None:
        return "-"
    return f"{UNIX + timedelta(microseconds=int(unix_ns_from_tt2000(tt2000)) // 1000):%Y-%m-%d %H:%M:%S.%f}"


def _made(row: Row, origin: Mapping[str, Any]) -> str:
    """When and by what; a later export of the same bytes confirms them."""
    confirmed = row["created_at"] != row["published_at"]
    by = f"{utc(row['published_at'])} by release {row['code_version']}, commit {_short(origin.get('commit'))}"
    return by + (f"; confirmed at {utc(row['created_at'])}" if confirmed else "")


def _short(commit: object) -> str:
    return str(commit)[:12] if commit else "not noted"


def _versions(rows: list[Row]) -> dict[str, Any]:
    listed = [
        (
            row["version"],
            utc(row["published_at"]),
            utc(row["created_at"]) if row["created_at"] != row["published_at"] else "-",
            amount(number(row["records"])),
            amount(size(row["bytes"])),
            row["sha256"],
            row["code_version"],
        )
        for row in rows
    ]
    product, day = rows[0]["product"], rows[0]["day"]
    query = select(
        "version, created_at, status, records, bytes, sha256, path",
        "ops.exports",
        equal(product=product, day=day),
        order="run_id",
    )
    columns = ("version", "made", "confirmed", "records", "size", "sha256", "release")
    return section("Versions", columns, listed, query=query)


def _renditions(rows: list[Row]) -> dict[str, Any]:
    columns = ("format", "version", "file", "size", "sha256")
    listed = [(row["format"], row["version"], row["path"], amount(size(row["bytes"])), row["sha256"]) for row in rows]
    return section("Other formats", columns, listed, none="The CDF file is the only one.")


def _deliveries(key: Key, rows: list[Row]) -> dict[str, Any]:
    listed = [
        (
            told(row["recipient"], 80),
            row["format"],
            row["version"],
            mark(row["event"], "ok" if row["event"] in AT_RECIPIENT else "warn"),
            utc(row["delivered_at"] or row["attempted_at"]),
            told(row["path"], 200),
            told(row["detail"]),
        )
        for row in rows[:SHOWN_ROWS]
    ]
    query = select("*", "ops.latest_deliveries", equal(product=key[0], day=key[1]), order="recipient, path")
    columns = ("recipient", "format", "version", "what happened last", "at", "path there", "detail")
    return section("Deliveries", columns, listed, query=query if rows else "", none="Nobody was sent it.")


def _checks(day: Told) -> dict[str, Any]:
    found = Judged(*day.judged)
    listed, more = bounded(found.broken)
    rows = [(severity(row), row["rule"], amount(number(row["value"])), row["detail"]) for row in listed]
    none = f"All {found.rules} rules hold." if found.rules else "The table-day was not checked."
    more = more or (f"{found.rules - len(found.broken)} of {found.rules} rules hold; these do not." if rows else "")
    note = f"{_of_which(found, day)} {more}".strip() if found.rules else ""
    about = equal(table_name=day.key[0], day=day.key[1])
    query = select("rule, severity, passed, value, detail", "ops.latest_checks", about, order="rule")
    columns = ("severity", "rule", "value", "what must hold")
    return section("Checks of its rows", columns, rows, note=note, query=query, none=none)


def _of_which(found: Judged, day: Told) -> str:
    """Of which rows the verdicts tell: it need not be those of the file, nor those that there are."""
    if found.old:
        return "About rows that were replaced since: those that there are now were not checked yet."
    of_file = day.standing[:2] == ("exported", "exported")
    return "" if of_file else "About the rows of the table-day, which need not be those of the newest file."


def _parents(day: Told) -> dict[str, Any]:
    receipts, note = bounded(day.origin.get("raw", []))
    rows = [_parent(receipt, row) for receipt, row in zip(receipts, day.files, strict=True)]
    none = "Not noted when it was made."
    return section("Raw files it descends from", ("file", "received", "sha256"), rows, note=note, none=none)


def _parent(receipt: str, row: Row | None) -> tuple[Cell, ...]:
    if row is None:
        return (receipt, "-", receipt[:64])
    return (
        link(told(row["name"], 160), places.file(row["file_sha256"], row["name"])),
        utc(row["received_at"]),
        row["file_sha256"],
    )


def _calibrations(origin: Mapping[str, Any]) -> dict[str, Any]:
    rows = sorted(origin.get("calibrations", {}).items())
    return section("Calibrations", ("file", "sha256"), rows, none="None was used.")
