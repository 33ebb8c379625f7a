# SPDX-License-Identifier: Apache-2.0
"""How each table-day stands, in one word: made, delivered, stale, failed, missing or waiting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from lake.definitions import Table
from lake.ledger import RUN_TIME
from monitor.site.descent import PRODUCT_DAY, deliveries, versions
from monitor.site.facts import Facts

TableDay = tuple[str, date]

WORDS = ("made", "delivered", "stale", "failed", "missing", "waiting")
MEANINGS = {
    "made": "made: rows are there and nothing is out of date",
    "delivered": "delivered: the newest file of it is at a recipient, and has its rows",
    "withheld": "checks failed: made, but a rule that gates the export does not hold",
    "stale": "stale: an input, a calibration or the code has changed since",
    "failed": "failed: the last run failed",
    "missing": "missing: there are data to make it of, and nothing says why it is not there",
    "waiting": "waiting: it is made once what it needs is there",
}
ABSENT = ("missing", "waiting")  # words of table-days that have no rows
NEWEST_FILE: dict[str, pl.DataType | type[pl.DataType]] = {
    "product": pl.String,
    "day": pl.Date,
    "version": pl.String,
    "created_at": pl.Datetime("us", "UTC"),
}
AT_RECIPIENT = ("delivered", "verified", "accepted")  # events after which a file is where it was sent


@dataclass(frozen=True)
class State:
    """A word about a table-day, why it is so, and the rules that gate the export and do not hold."""

    word: str
    why: str = ""
    broken: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The word as pages show it: a table-day that is there, but whose export a rule keeps back, is withheld."""
        return "withheld" if self.broken and self.word in ("made", "delivered") else self.word

    @property
    def reasons(self) -> str:
        """Why it is so, and which rules do not hold."""
        return "; ".join(filter(None, (self.why, ", ".join(self.broken))))


def states(facts: Facts) -> dict[TableDay, State]:
    """The state of each table-day that there is or should be. One that had nothing to be made of has none."""
    broken = facts.once(gating)
    words = dict.fromkeys(_present(facts), ("made", ""))
    words |= {key: found for key, found in delivered(facts).items() if key in words}
    words |= _absent(facts, words.keys())
    words |= {key: ("stale", reason) for key, reason in facts.planned.items() if key in words and _is_made(words[key])}
    words |= dict.fromkeys(facts.contents.outdated, ("stale", "its files are decoded again"))
    words |= {key: ("failed", str(run["error"] or "")) for key, run in _failed(facts)}
    return {key: State(word, why, broken.get(key, ())) for key, (word, why) in words.items()}


def gating(facts: Facts) -> dict[TableDay, tuple[str, ...]]:
    """Rules of severity fail that do not hold now, by table-day."""
    rows = facts.broken.filter(severity="fail").group_by("table_name", "day", maintain_order=True).agg("rule")
    return {(table, day): tuple(rules) for table, day, rules in rows.iter_rows()}


def exported(facts: Facts) -> dict[TableDay, str]:
    """The newest version of each product-day whose file has the rows that count now.

    Which rows a file has is told by the last run that ended well before it was made.
    """
    newest = (rows[0] for rows in facts.once(versions).values())
    files = pl.DataFrame([[row[name] for name in NEWEST_FILE] for row in newest], NEWEST_FILE, orient="row")
    end = pl.col("started_at") + pl.duration(microseconds=(pl.col("seconds") * 1e6).cast(pl.Int64))
    runs = facts.runs.filter(status="done").select("day", "content", product=pl.col("table_name"), ended=end)
    read = files.join(runs, on=PRODUCT_DAY).filter(pl.col("ended") <= pl.col("created_at")).sort("ended")
    last = read.unique(PRODUCT_DAY, keep="last").select("product", "day", "version", "content").iter_rows()
    known = facts.contents.known
    return {(product, day): version for product, day, version, content in last if content == known.get((product, day))}


def delivered(facts: Facts) -> dict[TableDay, tuple[str, str]]:
    """Product-days of which a file is at a recipient: `delivered` to whom, or `made` and why what is there is old."""
    newest = facts.once(deliveries)
    there = newest.filter(pl.col("event").is_in(AT_RECIPIENT)).sort("recipient", "version")
    current, found = facts.once(exported), dict[TableDay, tuple[str, str]]()
    for product, day, version, recipient in there.select("product", "day", "version", "recipient").iter_rows():
        word, others = found.get((product, day), ("made", ""))
        if current.get((product, day)) == version:
            known = others.split(", ") if word == "delivered" else []
            found[product, day] = ("delivered", ", ".join(dict.fromkeys([*known, recipient])))
        elif word == "made":
            found[product, day] = ("made", f"{recipient} has version {version}, which is not what there is now")
    return found


def _present(facts: Facts) -> set[TableDay]:
    """Table-days that have rows that count, or that wait to be decoded again."""
    return facts.contents.known.keys() | facts.contents.outdated


def _failed(facts: Facts) -> Iterator[tuple[TableDay, Mapping[str, object]]]:
    return ((key, run) for key, run in facts.contents.runs.items() if run["status"] == "failed")


def _is_made(found: tuple[str, str]) -> bool:
    return found[0] in ("made", "delivered")


def _absent(facts: Facts, present: Iterable[TableDay]) -> dict[TableDay, tuple[str, str]]:
    """Table-days that an input has data for, and that are not there; not those that a run found nothing for."""
    there = set(present)
    days = dict[str, set[date]]()
    for address, day in there:
        days.setdefault(address, set()).add(day)
    found = dict[TableDay, tuple[str, str]]()
    for table in facts.definitions.tables.values():
        inputs = _inputs(facts, table)
        for day in sorted(set().union(*(days.get(source, set()) for source in inputs))):
            key = (table.address, day)
            run = facts.contents.runs.get(key)
            if key not in there and run is None:
                found[key] = _why_absent(facts, inputs, key, found)
            if key not in there and (run is None or run["status"] == "failed"):
                # What is made of it is absent too, and so on down the line.
                days.setdefault(table.address, set()).add(day)
    return found


def _why_absent(
    facts: Facts, inputs: list[str], key: TableDay, absent: Mapping[TableDay, tuple[str, str]]
) -> tuple[str, str]:
    """Waiting while there is a reason to wait; missing if the last night should have made it."""
    runs = facts.contents.runs
    for source in inputs:
        if (source, key[1]) in absent:
            return "waiting", f"{source} is {absent[source, key[1]][0]}"
        if (run := runs.get((source, key[1]))) and run["status"] == "failed":
            return "waiting", f"{source} failed"
    newest = max((_arrived(facts, source, key[1]) for source in inputs), default="")
    if key in facts.planned and newest > facts.once(_built_until):
        return "waiting", f"the next night makes it: {facts.planned[key]}"
    return "missing", "its inputs were there for the last night" if facts.last_night else "its inputs are there"


def _built_until(facts: Facts) -> str:
    """The end of what the last night built, as the ids of runs have it; what it ingested itself came before."""
    rows = facts.ops("nights").filter(night_id=facts.last_night)
    built = rows.filter(stage="transform")
    ends = [began + timedelta(seconds=took) for began, took in _times(built if built.height else rows)]
    return f"{max(ends):{RUN_TIME}}" if ends else ""


def _times(stages: pl.DataFrame) -> Iterator[tuple[datetime, float]]:
    return stages.select("started_at", "seconds").iter_rows()


def _arrived(facts: Facts, address: str, day: date) -> str:
    """The run that brought the rows of a table-day; they sort by time, as nights do."""
    run = facts.contents.runs.get((address, day))
    return str(run["run_id"]) if run else facts.once(_ingests).get((address, day), "")


def _ingests(facts: Facts) -> Mapping[TableDay, str]:
    """The newest run that decoded a file of each level 0 table-day."""
    rows = facts.ops("contents").group_by("table_name", "day").agg(pl.col("run_id").max())
    return {(table, day): run_id for table, day, run_id in rows.iter_rows()}


def _inputs(facts: Facts, table: Table) -> list[str]:
    """The inputs whose rows make a day of a table, as plans have it: those of its instrument, or all if it has none."""
    addresses = [f"{table.mission}.{name}" for name in table.inputs.values()]
    own = [address for address in addresses if facts.definitions.tables[address].instrument == table.instrument]
    return own or addresses
