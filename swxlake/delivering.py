# SPDX-License-Identifier: Apache-2.0
"""What the commands about delivery find and do: sending, what would be sent, how recipients stand, and decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from exports.delivery.approvals import approve, withdraw
from exports.delivery.ledger import Ledger, standing
from exports.delivery.nouns import AtRecipient, Delivered
from exports.delivery.places import place_texts
from exports.delivery.run import deliver as send
from exports.delivery.run import in_the_way
from exports.delivery.settings import DeliverySettings, check_delivery_settings, read_delivery_settings
from lake.catalog import refresh
from lake.clock import utc_now
from lake.config import Settings
from lake.errors import ConfigurationError
from lake.setting_files import check_lake, is_of, other_lake
from lake.store import Lake
from swxlake.cli_options import parse_day
from swxlake.outcome import Outcome

SHOWN = 20  # files of one recipient that a dry run names, and withdrawals that are told
NO_SETTINGS = (
    "there is no delivery.toml here, and SWXLAKE_DELIVERY names none. "
    "Write one: docs/how-to/deliver-products.md says how."
)


def needed_settings(lake: Lake, settings: Settings) -> DeliverySettings:
    """Who gets which products of this lake.

    Raises ConfigurationError if there are no settings, or no recipient in them; if they are wrong, of another lake, or
    ask for what is not defined.
    """
    if settings.delivery is None:
        raise ConfigurationError(NO_SETTINGS)
    found = read_delivery_settings(settings.delivery)
    check_lake(found, lake.root, settings.delivery)
    check_delivery_settings(found, lake.definitions, settings.delivery)
    if not found.recipients:
        raise ConfigurationError(f"{settings.delivery}: has no recipient. Add [recipients.NAME].")
    return found


def deliver(lake: Lake, settings: Settings, only: Sequence[str] | None = None, verify: bool = False) -> Outcome:
    """Send everybody what they should have; without settings nothing is done and nothing said.

    Settings of another lake are a note: a demonstration sends nothing to anybody. A problem for each recipient that
    failed, each file that was missing or changed there, each product refused. Raises ConfigurationError if the settings
    are wrong, StorageError if another process delivers.
    """
    if settings.delivery is None:
        return Outcome()
    found = read_delivery_settings(settings.delivery)
    if not is_of(found, lake.root):
        return Outcome(notes=[f"{other_lake(found, lake.root, settings.delivery)}: nothing is delivered"])
    check_delivery_settings(found, lake.definitions, settings.delivery)
    return told(send(lake, found, utc_now(), only, verify))


def told(delivered: Delivered) -> Outcome:
    """A run of delivery in words."""
    rows = [_row(one) for one in delivered.recipients]
    counts = {name: sum(row[name] for row in rows) for name in COUNTED}
    refused = {"refused": len(delivered.refused)} if delivered.refused else {}
    shown = {name: count for name, count in counts.items() if count or name in ("sent", "waiting")}
    notes = [
        f"{one.recipient} was told that {path} is withdrawn" for one in delivered.recipients for path in one.withdrawn
    ]
    notes = [*(note for one in delivered.recipients for note in one.notes), *_first(notes)]
    return Outcome({"delivery": shown | refused}, delivered.problems, notes, {"recipients": rows})


def _first(notes: list[str]) -> list[str]:
    more = len(notes) - SHOWN
    return [*notes[:SHOWN], f"and {more} more; ops.deliveries has all"] if more > 0 else notes


COUNTED = ("sent", "already_there", "verified", "lost", "withdrawn", "accepted", "waiting")


def _row(one: AtRecipient) -> dict[str, Any]:
    counts = (len(one.sent), one.there, one.verified, len(one.lost), len(one.withdrawn), one.accepted, one.waiting)
    return {"recipient": one.recipient, **dict(zip(COUNTED, counts, strict=True))}


def run(lake: Lake, settings: Settings, only: Sequence[str] | None, verify: bool) -> Outcome:
    """Deliver, as the command does. Raises ConfigurationError if there are no settings."""
    needed_settings(lake, settings)
    outcome = deliver(lake, settings, only, verify)
    refresh(lake)
    return outcome


def plan(lake: Lake, settings: Settings, only: Sequence[str] | None, everything: bool) -> Outcome:
    """What would be sent to whom and why, and what would be refused. Nothing is written, no recipient is asked.

    What is refused is a problem here as well: a dry run ends as the run would. `everything` names all files.
    """
    planned = send(lake, needed_settings(lake, settings), utc_now(), only, dry_run=True)
    rows: list[dict[str, Any]] = []
    withdrawn = {"would_be_withdrawn": count} if (count := planned.count("withdrawn")) else {}
    outcome = Outcome(facts={"delivery": {"would_be_sent": planned.count("planned")} | withdrawn})
    for one in planned.recipients:
        lines = [*one.withdrawn, *one.planned]
        shown = lines if everything else lines[:SHOWN]
        rows += [{"recipient": one.recipient, "file": line} for line in shown]
        if len(lines) > len(shown):
            outcome.notes.append(f"{one.recipient}: and {len(lines) - len(shown)} more files; --json names them")
    outcome.notes += _awaited(planned)
    outcome.tables = {"files": rows} if rows else {}
    outcome.problems = planned.problems
    return outcome


def _awaited(planned: Delivered) -> list[str]:
    return [
        f"{product}: {days} {'day waits' if days == 1 else 'days wait'} for a new version; the newest was withdrawn"
        for product, days in planned.awaited.items()
    ]


def status(lake: Lake, settings: Settings) -> Outcome:
    """How each recipient stands: files that it has, that were read back, that wait, and products it does not get."""
    found = needed_settings(lake, settings)
    now = utc_now()
    planned = send(lake, found, now, dry_run=True)
    ledger = Ledger(lake, now, place_texts(found.recipients), dry=True)
    rows = [_standing(standing(ledger.history(one.recipient)), one) for one in planned.recipients]
    refused = [
        {"recipient": one.recipient, "product": one.product, "days": one.days, "reason": one.reason}
        for one in planned.refused
    ]
    tables = {"recipients": rows} | ({"refused": refused} if refused else {})
    return Outcome(facts={"settings": str(settings.delivery)}, tables=tables, notes=_awaited(planned))


def _standing(files: pl.DataFrame, one: AtRecipient) -> dict[str, Any]:
    held = files.filter("held")
    last, verified = held["delivered_at"].max(), held["verified_at"].max()
    return {
        "recipient": one.recipient,
        "has": held.height,
        "accepted": held.filter("accepted").height,
        "rejected": held.filter(pl.col("event") == "rejected").height,
        "waiting": one.waiting,
        "last_delivered": _iso(last),
        "last_verified": _iso(verified),
    }


def _iso(time: Any) -> str | None:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}" if time is not None else None


def approve_product(lake: Lake, settings: Settings, what: str, by: str, why: str) -> Outcome:
    """Approve a product, or PRODUCT@DAY, for public recipients. What else keeps it from them is a note.

    Raises ConfigurationError if the settings are wrong; then nothing is approved.
    """
    found = read_delivery_settings(settings.delivery) if settings.delivery is not None else None
    product, at, day = what.partition("@")
    now = utc_now()
    done = approve(lake, product, parse_day(day) if at else None, by, why, now)
    if found is None or not is_of(found, lake.root):
        return Outcome(facts={"approved": done, "next": "there are no settings that send it to anybody"})
    notes = in_the_way(lake, found, done, now)
    follows = "this still stands" if notes else "`swxlake deliver` sends it"
    return Outcome(facts={"approved": done, "next": follows}, notes=notes)


def withdraw_file(lake: Lake, file: str, by: str, why: str) -> Outcome:
    """Withdraw a version of a product-day."""
    done = withdraw(lake, file, by, why, utc_now())
    return Outcome(facts={"withdrawn": done, "next": "`swxlake deliver` tells everybody who has it"})
