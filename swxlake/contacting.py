# SPDX-License-Identifier: Apache-2.0
"""What the commands about passes find and do: plans, the account of passes, receipts and requests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from exports.contacts import receipts, requests
from exports.contacts.books import Booked, book, look, overdue
from exports.contacts.outbox import Outbox, push
from exports.contacts.planned import PlanBook, Plans, with_plan
from exports.contacts.plans import Pass, Plan, plan_files, read_plan
from exports.contacts.settings import Answers, ContactSettings, check_contact_settings, read_contact_settings
from lake.catalog import refresh
from lake.clock import utc_now
from lake.config import Settings
from lake.errors import ConfigurationError, WayError
from lake.ledger import read_ops
from lake.setting_files import check_lake, is_of, other_lake
from lake.store import Lake
from swxlake.outcome import Outcome
from swxlake.retransmit import request_csv, request_json, requests_of

SHOWN = 20  # passes, files or lines of a plan that are told one by one
NO_SETTINGS = (
    "there is no contacts.toml here, and SWXLAKE_CONTACTS names none. "
    "Write one: docs/how-to/account-for-passes.md says how."
)


@dataclass(frozen=True)
class _Read:
    """Plans as the journal and the files of the settings have them, and what is wrong with files."""

    plans: Plans
    new: int
    problems: list[str]
    notes: list[str]


def needed_settings(lake: Lake, settings: Settings) -> ContactSettings:
    """The settings of this lake's passes. Raises ConfigurationError if there are none, or they are wrong."""
    if settings.contacts is None:
        raise ConfigurationError(NO_SETTINGS)
    found = read_contact_settings(settings.contacts)
    check_lake(found, lake.root, settings.contacts)
    check_contact_settings(found, lake.definitions, settings.contacts)
    return found


def needed_answers(found: ContactSettings, place: Path | None) -> Answers:
    """Where receipts and requests go. Raises ConfigurationError if the settings do not say."""
    if found.answers is None:
        raise ConfigurationError(f"{place}: says nobody to tell. Add [answers] with folder, s3, sftp or https.")
    return found.answers


def account(lake: Lake, settings: Settings, now: datetime | None = None) -> Outcome:
    """Account for passes, send receipts, and ask for what is missing if the settings say so: for a night.

    Without settings nothing is done and nothing said; settings of another lake are a note. A problem for each pass of
    which it is new that something is missing, and for what could not be sent. Raises ConfigurationError if the settings
    are wrong, StorageError or TableError if the lake cannot be read or written.
    """
    if settings.contacts is None:
        return Outcome()
    found = read_contact_settings(settings.contacts)
    if not is_of(found, lake.root):
        return Outcome(notes=[f"{other_lake(found, lake.root, settings.contacts)}: passes are not accounted for"])
    check_contact_settings(found, lake.definitions, settings.contacts)
    at = now or utc_now()
    read = _read_plans(lake, found, at, keep=True)
    outcome = _accounted(read, book(lake, read.plans, found, at))
    if found.answers is not None:
        outcome.include(_answer(lake, found.answers, at))
        if found.requests.automatic:
            outcome.include(_request(lake, found, found.answers, at))
    return outcome


def run(lake: Lake, settings: Settings) -> Outcome:
    """Account for passes, as the command does. Raises ConfigurationError if there are no settings."""
    needed_settings(lake, settings)
    outcome = account(lake, settings)
    refresh(lake)
    return outcome


# ---- plans and passes ----------------------------------------------------------------------------------------------
def _read_plans(lake: Lake, found: ContactSettings, now: datetime, keep: bool) -> _Read:
    """All plans. Files that are new are kept in the journal, or looked at only."""
    kept = PlanBook(lake)
    plans, new = kept.plans(), 0
    problems, notes = list[str](), list[str]()
    files = plan_files(found.plan) if found.plan else []
    if found.plan and not files:
        notes.append(f"{found.plan}: there is no such plan; correct `plan` in the settings, or put one there")
    for path in files:
        try:
            plan = read_plan(path, lake.definitions)
        except ConfigurationError as error:
            problems.append(f"{error} The plans before it stand.")
            continue
        if plan.sha256 != plans.configured.get(plan.name):
            new += 1
            plans = _kept(kept, plan, now) if keep else with_plan(plans, plan, now)
    recent = now - timedelta(days=found.last_days)
    wrong = [line for read_at, line in plans.wrong if read_at >= recent]
    return _Read(plans, new, [*problems, *_first(wrong, "correct the plan")], notes)


def _kept(kept: PlanBook, plan: Plan, now: datetime) -> Plans:
    kept.keep(plan, now)
    return kept.plans()


def _first(lines: Iterable[str], where: str) -> list[str]:
    """As many lines as are read, and where the others are."""
    told = list(lines)
    return [*told[:SHOWN], *([f"and {len(told) - SHOWN} more; {where}"] if len(told) > SHOWN else [])]


def _accounted(read: _Read, booked: Booked) -> Outcome:
    """What came of the passes of a night; only what is new is a problem."""
    outcome = Outcome(
        facts={"contacts": _counts(booked.rows) | {"new_plans": read.new, "changed": len(booked.changed)}}
    )
    outcome.problems = [*read.problems, *_first(map(_line, booked.fallen), "see `swxlake contacts`")]
    older = len(overdue(booked.rows)) - len(booked.fallen)
    outcome.notes = read.notes + (
        [f"{older} passes lack something since before; see `swxlake contacts`"] if older else []
    )
    return outcome


def _counts(rows: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Passes by state, in all: those states that there are."""
    states = [row["state"] for row in rows]
    return {"passes": len(states)} | {state: states.count(state) for state in dict.fromkeys(states)}


def _line(row: dict[str, Any]) -> str:
    return (
        f"pass {row['mission']} {row['pass_id']} ({row['start_time']:%Y-%m-%d %H:%M}): {row['state']}, {row['detail']}"
    )


def status(lake: Lake, settings: Settings, day: date | None = None, now: datetime | None = None) -> Outcome:
    """The passes of a day, or of the last days and to come, as they stand now. Nothing is written.

    Every pass of which something is missing although it was due is a problem.
    """
    found, at = needed_settings(lake, settings), now or utc_now()
    read = _read_plans(lake, found, at, keep=False)
    days = None if day is None else max((at.date() - day) // timedelta(days=1) + 1, 0)
    booked = look(lake, read.plans, found, at, days)
    rows = [row for row in booked.rows if day is None or row["day"] == day]
    outcome = Outcome(facts={"contacts": _counts(rows)}, notes=read.notes)
    outcome.tables = {"passes": [_shown(row) for row in rows]} if rows else {}
    if not rows:
        when = f"on {day}" if day else f"in the last {found.last_days} days, and none is to come; --day shows others"
        outcome.notes.append(f"no pass began {when}")
    outcome.problems = [*read.problems, *map(_line, overdue(rows))]
    strays = [one for one in booked.accounted.strays if day is None or one.received_at.date() == day]
    words = [f"{one.name}, received {one.received_at:%Y-%m-%d %H:%M:%S}, belongs to no pass" for one in strays]
    outcome.notes += _first(words, "correct names and times in the plan")
    return outcome


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row for a table: counts of what came and of what was announced, beside each other."""
    times = {name: f"{row[f'{name}_time']:%Y-%m-%dT%H:%M:%SZ}" for name in ("start", "end", "due")}
    counts = {name: _of(row[name], row[f"{name}_expected"]) for name in ("files", "packets")}
    about = {"mission": row["mission"], "pass": row["pass_id"], "station": row["station"]}
    return about | times | {"state": row["state"]} | counts | {"gaps": row["packets_missing"], "detail": row["detail"]}


def _of(number: int, expected: int | None) -> str:
    return str(number) if expected is None else f"{number}/{expected}"


def keep_plan(lake: Lake, settings: Settings, path: Path, dry_run: bool, now: datetime | None = None) -> Outcome:
    """Read a plan, and keep it as the newest one. What is wrong in it is a problem, and the rest of it counts."""
    found, at = needed_settings(lake, settings), now or utc_now()
    plan, kept = read_plan(path, lake.definitions), PlanBook(lake)
    known = {each.one.key: each.one for each in kept.plans().passes}
    key = None if dry_run else kept.keep(plan, at, by_hand=True)
    told = {"passes": len(plan.passes), **_compared(plan, known), "wrong": len(plan.wrong)}
    outcome = Outcome(facts={"plan": told}, problems=list(plan.wrong))
    if key is not None:
        book(lake, kept.plans(), found, at)
        refresh(lake)
        outcome.facts["kept"] = f"journal/passes/{key}.json"
    elif not dry_run:
        outcome.notes.append(f"{path}: its bytes are those of the newest plan of this name; nothing was kept")
    return outcome


def _compared(plan: Plan, known: dict[tuple[str, str], Pass]) -> dict[str, int]:
    new = sum(one.key not in known for one in plan.passes)
    return {"new": new, "changed": sum(known.get(one.key, one) != one for one in plan.passes)}


# ---- receipts ------------------------------------------------------------------------------------------------------
def answer(lake: Lake, settings: Settings, dry_run: bool = False, now: datetime | None = None) -> Outcome:
    """Send receipts of all files that came and of which none was sent. Raises ConfigurationError without settings."""
    found, at = needed_settings(lake, settings), now or utc_now()
    answers = needed_answers(found, settings.contacts)
    if not dry_run:
        return _answer(lake, answers, at)
    news = receipts.waiting(lake, answers)
    rows = [{"name": one.name, "status": one.status, "packets": one.packets, "reason": one.reason} for one in news]
    facts = {"receipts": {"would_be_written": len(news), "unsent": len(Outbox(lake, receipts.KIND).unsent())}}
    return Outcome(facts=facts, tables={"to_write": rows} if rows else {})


def _answer(lake: Lake, answers: Answers, now: datetime) -> Outcome:
    try:
        written = receipts.write_receipts(lake, answers, now)
    except WayError as error:  # what is told follows from the books, and is written the next time
        facts = {"written": 0, "sent": 0, "waiting_batches": len(Outbox(lake, receipts.KIND).unsent())}
        return Outcome(facts={"receipts": facts}, problems=[str(error)])
    box = Outbox(lake, receipts.KIND)
    pushed = push(lake, answers, box, lambda entry: receipts.files_of(answers, entry), now)
    facts = {"written": written, "sent": pushed.files, "waiting_batches": len(box.unsent()) if pushed.problems else 0}
    return Outcome(facts={"receipts": facts}, problems=pushed.problems)


# ---- requests ------------------------------------------------------------------------------------------------------
def request(lake: Lake, settings: Settings, dry_run: bool = False, now: datetime | None = None) -> Outcome:
    """Ask for what is missing and was not asked for lately. Raises ConfigurationError without settings."""
    found, at = needed_settings(lake, settings), now or utc_now()
    answers = needed_answers(found, settings.contacts)
    if not dry_run:
        return _request(lake, found, answers, at)
    rows = requests.to_ask(read_ops(lake, "gaps"), requests.asked(lake), found.requests, at)
    names = ("mission", "instrument", "apid", "missing", "sequence_from", "sequence_to", "start_time", "end_time")
    facts = {"requests": {"gaps": rows.height, "packets": int(rows["missing"].sum())}}
    return Outcome(facts=facts, tables={"gaps": rows.select(names).to_dicts()} if rows.height else {})


def _request(lake: Lake, found: ContactSettings, answers: Answers, now: datetime) -> Outcome:
    """Close requests that were answered, write one for the gaps that are to be asked for, send what is not sent."""
    gaps, before = read_ops(lake, "gaps"), requests.asked(lake)
    closed = requests.close(lake, gaps, read_ops(lake, "packets"), before, now) if before else []
    rows = requests.to_ask(gaps, before, found.requests, now)
    written = _write_request(lake, rows, now) if rows.height else None
    box = Outbox(lake, requests.KIND)
    pushed = push(lake, answers, box, lambda entry: requests.files_of(answers, entry), now)
    still_open = sum(one.closed_at is None for one in requests.asked(lake))
    facts = {"gaps": rows.height if written else 0, "packets": int(rows["missing"].sum()) if written else 0}
    outcome = Outcome(facts={"requests": facts | {"closed": len(closed), "open": still_open}}, problems=pushed.problems)
    outcome.notes = [f"{name}: all that it asked for has come" for name in closed]
    if written:
        outcome.facts["requested"] = written
    return outcome


def _write_request(lake: Lake, rows: pl.DataFrame, now: datetime) -> str | None:
    """The name of the request for these gaps; None if another process was first."""
    wanted = requests_of(lake, rows)
    return requests.write_request(lake, rows, request_json(wanted), request_csv(wanted), now)
