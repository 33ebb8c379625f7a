# SPDX-License-Identifier: Apache-2.0
"""Checks: which table-days have not been judged in their present state, measuring and judging them, the rows in ops."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby

import polars as pl

from lake.clock import utc_now
from lake.definitions import Definitions, Table
from lake.ledger import fingerprint, next_run_id, read_contents, read_ops, standing_checks
from lake.reading import scan
from lake.store import Lake
from lake.tables import append_ops
from quality.footers import stored_metrics
from quality.judge import Case, judge
from quality.metrics import measure_day
from quality.metrics_watched import latency_source, learned_channels, measure_latency, measure_watched
from quality.predicates import is_packet_table
from quality.rules import Rule, rules_fingerprint, rules_for
from quality.watched_days import Place, off_around, off_spans, rows_per_day

log = logging.getLogger(__name__)

# Table-days that are judged and written together. A night has fewer; a lake of a year has its verdicts bit by bit, so
# that memory does not grow with it and a run that is cut short has not worked for nothing.
BATCH = 500
TABLE_DAY = ["table_name", "day"]
STRETCH = ["file_sha256", "byte_offset", "reason"]
STATE = {"table_name": pl.String, "day": pl.Date, "content": pl.String, "rules": pl.String}

Losses = defaultdict[tuple[object, ...], pl.DataFrame]


@dataclass
class Checked:
    """Outcome of checks: table-days judged, and rules that do not hold (table, day, rule, severity, value, detail)."""

    table_days: int = 0
    broken: list[tuple[str, date, str, str, float, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Due:
    """A table-day to be judged, in the state named by `content`, by the rules and expectations named by `marks`."""

    table: Table
    rules: tuple[Rule, ...]
    day: date
    content: str
    marks: str
    place: Place
    gaps: pl.DataFrame
    quarantine: pl.DataFrame


def check_all(
    lake: Lake,
    run_id: str | None = None,
    tables: list[Table] | None = None,
    days: set[date] | None = None,
    force: bool = False,
) -> Checked:
    """Judge every table-day that changed since it was judged, or whose rules changed.

    Raises StorageError if another process transforms, judges or exports all the while.
    """
    with lake.storage.alone("build"):
        return _check(lake, run_id or next_run_id(lake, "checks", "metrics"), tables, days, force)


def _check(lake: Lake, run_id: str, tables: list[Table] | None, days: set[date] | None, force: bool) -> Checked:
    judged = set(standing_checks(lake).select("table_name", "day", "content", "rules").iter_rows())
    due = [
        item
        for item in _states(lake, tables if tables is not None else lake.definitions.tables.values())
        if (days is None or item.day in days)
        and (force or (item.table.address, item.day, item.content, item.marks) not in judged)
    ]
    checked, received = Checked(), _received(lake) if due else pl.DataFrame()
    for start in range(0, len(due), BATCH):
        _judge(lake, run_id, due[start : start + BATCH], received, checked)
    return checked


def _received(lake: Lake) -> pl.DataFrame:
    """When each raw file came, under whatever name it was first."""
    files = read_ops(lake, "files", ["file_sha256", "name", "received_at", "run_id"])
    return files.group_by("file_sha256").agg(pl.col("received_at").min())


# ---- what is due ---------------------------------------------------------------------------------------------------
def _states(lake: Lake, tables: Iterable[Table]) -> Iterator[Due]:
    """The days of tables with the state that a verdict would be about."""
    known: dict[str, dict[date, str]] = {}
    for (address, day), content in read_contents(lake).known.items():
        known.setdefault(address, {})[day] = content
    # In one order, so that equal rows are an equal state.
    gaps, quarantine = read_ops(lake, "gaps"), read_ops(lake, "quarantine")
    losses = _by_day(gaps.sort(gaps.columns)), _by_day(quarantine.sort(STRETCH))
    for table in tables:
        if table.address in known:
            yield from _days_of(lake.definitions, table, known[table.address], *losses)


def _by_day(frame: pl.DataFrame) -> Losses:
    """The rows of each mission, instrument and day."""
    empty = frame.clear()
    return defaultdict(lambda: empty, frame.partition_by("mission", "instrument", "day", as_dict=True))


def _days_of(
    definitions: Definitions, table: Table, known: dict[date, str], gaps: Losses, quarantine: Losses
) -> Iterator[Due]:
    """For packet tables the state includes what is missing and what was quarantined on that day."""
    rules = table_day_rules(definitions, table)
    marks, packets = rules_fingerprint(rules), is_packet_table(table)
    if table.watch is not None:
        marks = _watched_marks(definitions, table, marks)
    places = rows_per_day(table) is not None
    first, last = min(known), max(known)
    for day, content in sorted(known.items()):
        # By no instrument there is an empty frame.
        key = (table.mission, table.instrument, day) if packets else ()
        missing, refused = gaps[key], quarantine[key]
        state = _state(content, missing, refused) if packets else content
        place = Place(day == first, day == last) if places else Place()
        yield Due(table, rules, day, state, _day_marks(table, marks, day, place), place, missing, refused)


def _state(content: str, missing: pl.DataFrame, refused: pl.DataFrame) -> str:
    # Series by series: to select from a frame costs more than all else that a day with nothing new does.
    stretches = list(zip(*(refused[name].to_list() for name in STRETCH), strict=True))
    return fingerprint(content, missing.rows(), stretches)


def _watched_marks(definitions: Definitions, table: Table, marks: str) -> str:
    """The rules, and what else the metrics of watched days depend on: channels, ratios, how many rows are expected."""
    watch = table.watch.model_dump(mode="json", include={"ratios", "rows_per_day"}) if table.watch else {}
    return fingerprint(marks, watch, learned_channels(table, definitions.instrument(table).channels))


def _day_marks(table: Table, marks: str, day: date, place: Place) -> str:
    """The same of one day, with what is planned to be off.

    The last day of data is measured once more when another one follows, for then it should be whole.
    """
    if table.watch is None:
        return marks
    off = [item.model_dump(mode="json") for item in off_around(table, day)]
    return fingerprint(marks, off, place.first, place.last)


def table_day_rules(definitions: Definitions, table: Table) -> tuple[Rule, ...]:
    """The rules that every day of a table is judged by."""
    limits = definitions.instrument(table).limits
    return rules_for(table, limits, timeless=definitions.clock(table).policy == "none")


# ---- measuring and judging -----------------------------------------------------------------------------------------
def _judge(lake: Lake, run_id: str, due: list[Due], received: pl.DataFrame, checked: Checked) -> None:
    """Measure and judge some table-days, which lie table by table, and write their metrics, checks and findings."""
    cases = []
    for _, items in groupby(due, key=lambda item: item.table.address):
        days = list(items)
        measured = pl.concat(_measured(lake, item, received) for item in days)
        cases.append(Case(days[0].table, days[0].rules, measured))
    states = pl.DataFrame([(i.table.address, i.day, i.content, i.marks) for i in due], STATE, orient="row")
    run = pl.lit(run_id).alias("run_id")
    metrics = pl.concat(case.metrics.with_columns(table_name=pl.lit(case.table.address)) for case in cases)
    append_ops(lake, "metrics", metrics.join(states.drop("rules"), on=TABLE_DAY).with_columns(run).to_dicts())
    # The metrics come first: a check without its metrics cannot be.
    verdicts = judge(cases).join(states, on=TABLE_DAY).with_columns(run, checked_at=pl.lit(utc_now()))
    append_ops(lake, "checks", verdicts.to_dicts())
    columns = ["table_name", "day", "rule", "severity", "value", "detail"]
    checked.broken += verdicts.filter(~pl.col("passed")).sort(columns).select(columns).rows()
    checked.table_days += len(due)


def _measured(lake: Lake, item: Due, received: pl.DataFrame) -> pl.DataFrame:
    """The metrics of a table-day: day, column_name, metric, value."""
    table, instrument = item.table, lake.definitions.instrument(item.table)
    frame = scan(lake, table, [item.day])
    off, known = off_spans(table, item.day), stored_metrics(lake, table, item.day)
    found = [measure_day(table, frame, item.gaps, item.quarantine, instrument.limits, off, known)]
    if table.watch is not None:
        found.append(measure_watched(table, instrument.channels, frame, item.day, item.place))
        found.append(_latency(lake, table, item.day, received))
    log.info("check table=%s day=%s", table.address, item.day)
    return pl.concat(found).with_columns(day=pl.lit(item.day))


def _latency(lake: Lake, table: Table, day: date, received: pl.DataFrame) -> pl.DataFrame:
    ancestors = lake.definitions.ancestors(table)
    first = next((ancestor for ancestor in ancestors if ancestor.level == "l0"), table)
    source = latency_source(ancestors, lake.definitions.instrument(first).tables)
    return measure_latency(source, scan(lake, source, [day]) if source else None, received)
