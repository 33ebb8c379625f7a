# SPDX-License-Identifier: Apache-2.0
"""The night: which stage runs when, and what gates what. Each stage may also be run alone, and be repeated.

receive -> ingest -> contacts -> transform -> check -> export -> alerts -> deliver -> forward -> draw, then the site. A
refused file, a failed day or a failed check stops nothing but itself, and makes the exit code 1. So does a channel of
alerts that does not take what it is to tell, or a source, a recipient or a client that cannot be reached. ops.nights
keeps what each stage did, and the site tells it, also of a night that an error ends.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from exports.export import Exported, export_all
from exports.fits.rendering import render_all
from ingest.intake import Intake, take_in
from lake.catalog import refresh
from lake.clock import utc_now
from lake.config import Settings
from lake.definitions import Table
from lake.errors import ConfigurationError, StorageError, TableError, WayError
from lake.ledger import outdated_contents, read_contents
from lake.store import Lake
from quality.anomalies.watch import watch_all
from quality.checks import check_all
from quality.notices.reach import reach
from quality.notices.settings import warnings
from swxlake.alerting import alert_settings, update
from swxlake.contacting import account
from swxlake.delivering import deliver
from swxlake.diary import Diary
from swxlake.drawing import draw, site
from swxlake.forwarding import push_new
from swxlake.outcome import Outcome
from swxlake.progress import Progress, bar
from swxlake.receiving import receive
from swxlake.signals import interrupted_by_sigterm
from transforms import engine
from transforms.engine import Built, build_all
from transforms.plan import plan_all, plan_hash

log = logging.getLogger(__name__)

SHOWN = 20


@dataclass(frozen=True)
class Crew:
    """Who does the work (None: this process), and whether a bar shows how far it is, or who else is told of it."""

    executor: Executor | None = None
    shown: bool = False
    told: Progress | None = None

    def bar(self, title: str) -> AbstractContextManager[Progress | None]:
        """What is to be told about the progress of the block."""
        return bar(title, self.shown) if self.told is None else nullcontext(self.told)


ALONE = Crew()


@dataclass(frozen=True)
class Selection:
    """Which table-days a stage is asked for; None is all."""

    tables: list[Table] | None = None
    days: set[date] | None = None
    force: bool = False


def run_night(lake: Lake, settings: Settings, inbox: Path | None, crew: Crew = ALONE) -> Outcome:
    """All stages in order. Settings of alerts that are wrong are a problem, and stop nothing but the alerts."""
    told = _alert_settings(lake, settings)
    outcome = Outcome(notes=[] if told.problems else list(told.notes))
    try:
        with interrupted_by_sigterm(), Diary(lake) as diary:
            for stage, work in _stages(lake, settings, inbox, crew, told):
                outcome.include(diary.stage(stage, work))
    finally:
        # A night that an error ends is what people have to see; who interrupts it does not want to wait.
        if not isinstance(sys.exception(), KeyboardInterrupt):
            shown = _shown(lake, settings)
            outcome.include(shown)
            if sys.exception() is not None:  # then nobody sees the outcome
                log.info("after the error: %s", "; ".join(shown.problems) or "the site tells of it")
    return outcome


def _shown(lake: Lake, settings: Settings) -> Outcome:
    """Bring up to date what is looked at: the catalog, and the site that is made of it."""
    outcome = _survived(_refreshed, lake, settings, "the catalog is as it was")
    if settings.site and not outcome.problems:
        outcome.include(_survived(site, lake, settings, "the status site is as it was"))
    return outcome


def _refreshed(lake: Lake, _: Settings) -> Outcome:
    refresh(lake)
    return Outcome()


def _stages(
    lake: Lake, settings: Settings, inbox: Path | None, crew: Crew, told: Outcome
) -> Iterator[tuple[str, Callable[[], Outcome]]]:
    """The stages in order. Where settings of alerts are wrong, what is `told` of them is all that comes of alerts."""
    everything = Selection()
    yield "receive", lambda: _survived(receive, lake, settings, "nothing is received")
    yield "ingest", lambda: ingest(lake, settings, [inbox] if inbox else [], crew)
    yield "contacts", lambda: _survived(account, lake, settings, "passes are not accounted for")
    yield "transform", lambda: transform(lake, everything, crew)
    yield "check", lambda: check(lake, everything)
    yield "export", lambda: export(lake, everything, settings.skteditor)
    yield "alerts", lambda: told if told.problems else update(lake, settings)
    yield "deliver", lambda: _survived(deliver, lake, settings, "nothing is delivered")
    yield "forward", lambda: _survived(push_new, lake, settings, "no packets are given on")
    if settings.site:
        yield "draw", lambda: draw(lake)


def _survived(stage: Callable[[Lake, Settings], Outcome], lake: Lake, settings: Settings, else_: str) -> Outcome:
    """What came of a stage that has to do with others; its settings, or they, must not cost the night."""
    try:
        return stage(lake, settings)
    except (ConfigurationError, StorageError, TableError, WayError) as error:
        return Outcome(problems=[f"{error} Until then {else_}"])


def _alert_settings(lake: Lake, settings: Settings) -> Outcome:
    """What is wrong with the settings of alerts, told before anything is done: a wrong mail host must not cost data.

    With wrong settings no alert is looked at; the next run with right ones finds and tells what there is then.
    """
    try:
        told = alert_settings(lake, settings)
        return Outcome(notes=[*warnings(told, lake.definitions, settings.alerts), *reach(told)])
    except ConfigurationError as error:
        return Outcome(problems=[f"{error} Until then nobody is told of alerts"])


def ingest(lake: Lake, settings: Settings, paths: list[Path], crew: Crew = ALONE) -> Outcome:
    """Land files and decode what is not decoded yet. Raises ConfigurationError if a path does not exist."""
    for path in paths:
        if not path.exists():
            raise ConfigurationError(f"{path}: does not exist. Give a file or a folder that does.")
    with crew.bar("ingest") as progress:
        intake = take_in(lake, paths, None, utc_now(), settings.settle_seconds, crew.executor, progress)
    outcome = Outcome(facts={"ingest": _intake_facts(intake)})
    landed = intake.landed
    outcome.notes += [f"{path.name}: still growing; it will be taken the next time" for path in landed.growing]
    outcome.notes += [f"{path}: a folder within the inbox; what lies in it is not taken" for path in landed.folders]
    outcome.notes += [f"{name}: holds no byte; recorded as empty" for name in intake.empty]
    outcome.notes += landed.restored
    outcome.notes += _missing(intake)
    outcome.problems += [f"{item.path.name}: {item.message}" for item in landed.refused]
    outcome.problems += landed.unreadable
    outcome.problems += intake.damaged
    outcome.problems += _first(intake.lost, "run `swxlake fsck`")
    outcome.problems += [
        f"{receipt.name}: same name, other bytes; both kept, this is revision {receipt.revision}"
        for receipt in landed.revisions
    ]
    outcome.problems += [
        f"{name}: archived but not decoded, its instrument defines no packets" for name in intake.undefined
    ]
    outcome.problems += _quarantined(intake)
    return outcome


def _intake_facts(intake: Intake) -> dict[str, int]:
    landed = intake.landed
    return {
        "new_files": len(landed.new),
        "known_files": landed.known,
        "ignored_files": landed.ignored,
        "refused_files": len(landed.refused),
        "damaged_files": len(landed.unreadable) + len(intake.damaged) + len(intake.lost),
        "packets": intake.packets,
        "duplicates": intake.duplicates,
        "quarantined_stretches": len(intake.quarantined),
    }


def _missing(intake: Intake) -> list[str]:
    found = []
    if intake.missing:
        found.append(f"{intake.missing} packets are missing; see `swxlake gaps`")
    if intake.clock_invalid:
        found.append(f"{intake.clock_invalid} packets have an impossible clock; kept in L0, left out of L1")
    return found


def _quarantined(intake: Intake) -> list[str]:
    lines = [
        f"{name}: {length} bytes at offset {offset} quarantined as {reason} ({detail})"
        for name, reason, offset, length, detail in intake.quarantined
    ]
    return _first(lines, "see ops.quarantine", " stretches")


def _first(lines: list[str], where: str, what: str = "") -> list[str]:
    """As many lines as are read, and where the others are."""
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], f"and {more} more{what}; {where}"] if more > 0 else lines


def transform(lake: Lake, selection: Selection, crew: Crew = ALONE) -> Outcome:
    """Build every table-day that is out of date."""
    tables = _with_transform(selection.tables)
    with crew.bar("transform") as progress:
        built = build_all(
            lake,
            tables=tables,
            days=selection.days,
            force=selection.force,
            executor=crew.executor,
            progress=progress,
        )
    return _built(lake, built)


def rebuild(lake: Lake, settings: Settings, selection: Selection, why: str, crew: Crew = ALONE) -> Outcome:
    """Make the days of one table again although nothing changed, and what follows from them; the journal keeps why.

    A table of level 0 is decoded again from raw/, as a whole.
    """
    (table,) = selection.tables or []
    with crew.bar("rebuild") as progress:
        built = engine.rebuild(lake, None, table, why, selection.days, executor=crew.executor, progress=progress)
    if table.inputs:
        return _built(lake, built)
    outcome = ingest(lake, settings, [], crew)
    outcome.include(transform(lake, Selection(), crew))
    return outcome


def _built(lake: Lake, built: Built) -> Outcome:
    """What came of a plan."""
    rows = sum(rows for _, rows in built.done)
    facts = {"table_days_built": len(built.done), "rows": rows, "failed": len(built.failed)}
    outcome = Outcome(facts={"transform": facts})
    if built.done or built.failed:
        outcome.facts["plan_hash"] = built.plan
    outcome.notes += _outdated(lake)
    outcome.problems += [_named(f"{step.table.address}@{step.day}", error) for step, error in built.failed]
    return outcome


def _named(place: str, error: str) -> str:
    """The error with its place in front, once."""
    return error if error.startswith(place) else f"{place}: {error}"


def transform_plan(lake: Lake, selection: Selection) -> Outcome:
    """What `transform` would build, and why."""
    contents = read_contents(lake)
    steps = plan_all(lake, _with_transform(selection.tables), selection.days, selection.force, contents)
    rows = [{"table": step.table.address, "day": step.day, "reason": step.reason} for step in steps]
    outcome = Outcome(facts={"transform": {"table_days_to_build": len(rows)}}, notes=_waiting(len(contents.outdated)))
    if rows:
        outcome.tables["plan"] = rows
        outcome.facts["plan_hash"] = plan_hash(steps)
    return outcome


def _outdated(lake: Lake) -> list[str]:
    """A note if level 0 has to be decoded again first."""
    return _waiting(outdated_contents(lake).select("table_name", "day").unique().height)


def _waiting(days: int) -> list[str]:
    note = f"{days} table-days of level 0, and what is built from them, wait to be decoded again; run `swxlake night`"
    return [note] if days else []


def _with_transform(tables: list[Table] | None) -> list[Table] | None:
    for table in tables or []:
        if not table.inputs:
            raise ConfigurationError(f"{table.address}: is decoded, not transformed. Use `swxlake ingest`.")
    return tables


def check(lake: Lake, selection: Selection) -> Outcome:
    """Measure and judge every table-day whose state was not judged yet, and watch those of watched tables."""
    checked = check_all(lake, None, selection.tables, selection.days, selection.force)
    watched = watch_all(lake, None, selection.tables, selection.days, selection.force)
    by_severity = {"fail": "failed", "warn": "warnings", "info": "alarms"}
    counts = {word: sum(row[3] == severity for row in checked.broken) for severity, word in by_severity.items()}
    outcome = Outcome(facts={"check": {"table_days": checked.table_days, **counts}})
    outcome.facts["watch"] = {"table_days": watched.table_days, "anomalies": len(watched.found)}
    for table, day, rule, severity, value, detail in checked.broken:
        words = outcome.problems if severity == "fail" else outcome.notes
        kind = {"fail": "check failed", "warn": "warning", "info": "alarm"}[severity]
        where = f" `swxlake check {table}@{day} --rows` lists the rows" if severity == "fail" else ""
        words.append(f"{kind} {table}@{day} {rule}: {_finding(value, detail)}{where}")
    return outcome


def _finding(value: float, detail: str) -> str:
    """What was found where a rule does not hold; most rules read "0 values of ...", so the number tells enough."""
    rule = detail.removeprefix("Expected: ")
    return f"{value:g} {rule[2:]}" if rule.startswith("0 ") else f"{value:g} was found. {detail}"


def export(lake: Lake, selection: Selection, skteditor: Path | None = None) -> Outcome:
    """Write a CDF, and FITS from it, for every product-day whose checks passed and whose file is not up to date."""
    exported = export_all(lake, None, selection.tables, selection.days, selection.force, skteditor)
    rendered = render_all(lake, None, selection.tables, selection.days, selection.force)
    outcome = _exported(exported)
    if rendered.made:
        outcome.facts["fits"] = {"published": len(rendered.made), "unchanged": rendered.unchanged}
        outcome.facts["fits_products"] = rendered.made
    outcome.problems += [f"{t}@{day}: no FITS file was made: {error}" for t, day, error in rendered.failed]
    outcome.problems += rendered.damaged
    return outcome


def _exported(exported: Exported) -> Outcome:
    """What came of the CDF files."""
    outcome = Outcome(facts={"export": {"published": len(exported.published), "unchanged": exported.unchanged}})
    if exported.published:
        outcome.facts["products"] = exported.published
    if exported.warnings:
        outcome.facts["rule_warnings"] = dict(sorted(exported.warnings.items()))
    for table, day, findings in exported.refused:
        errors = [str(finding) for finding in findings if finding.severity == "error"]
        outcome.problems += [f"{table}@{day}: refused by the gate: {error}" for error in errors]
    outcome.problems += [f"{t}@{day}: not exported, {reason}" for t, day, reason in exported.blocked]
    outcome.problems += [f"{t}@{day}: not exported: {error}" for t, day, error in exported.failed]
    outcome.problems += exported.damaged
    return outcome
