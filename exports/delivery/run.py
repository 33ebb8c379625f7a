# SPDX-License-Identifier: Apache-2.0
"""One run of delivery: each recipient gets what it lacks, and nothing twice; one that is down costs others nothing.

A file is sent, renamed and read back before the journal says that it was delivered. After a crash in between, the next
run finds it there with the right hash and only notes it. Manifest, feed and catalogue of a batch follow its files; a
batch is closed once they are there, and the next run makes up for those that are not.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import date, datetime

import polars as pl

from exports.delivery.approvals import approved, withdrawn
from exports.delivery.ledger import Ledger
from exports.delivery.nouns import AtRecipient, Delivered
from exports.delivery.places import check_places, place_texts
from exports.delivery.refusal import Judge, refusals
from exports.delivery.selection import awaited, product_files, wanted
from exports.delivery.sending import PAUSES
from exports.delivery.settings import DeliverySettings, check_delivery_settings
from exports.delivery.visit import Visit
from lake.errors import ConfigurationError
from lake.setting_files import check_lake, near
from lake.store import Lake

LEASE_SECONDS = 60.0  # somebody else at work sends what is there

log = logging.getLogger(__name__)


def deliver(
    lake: Lake,
    settings: DeliverySettings,
    now: datetime,
    only: Sequence[str] | None = None,
    verify: bool = False,
    dry_run: bool = False,
    pauses: Sequence[float] = PAUSES,
) -> Delivered:
    """Send each recipient (or `only` these) what its rules ask for and it has not got; what came of it.

    verify : read back all that they have, and send again what is missing or has changed.
    dry_run : only say what would be sent; nothing is written, and no recipient is asked.

    Raises ConfigurationError if the settings are of another lake, a rule fits no product, or a recipient is not known;
    StorageError if the lake cannot be read or written, or another delivery is at work.
    """
    check_delivery_settings(settings, lake.definitions)
    check_lake(settings, lake.root)
    check_places(lake.root, settings.recipients)
    for name in only or ():
        if name not in settings.recipients:
            raise ConfigurationError(f"recipient {name!r}: is not in the settings{near(name, settings.recipients)}")
    with nullcontext() if dry_run else lake.storage.alone("deliver", LEASE_SECONDS):
        ledger = Ledger(lake, now, place_texts(settings.recipients), dry_run)
        judge = _judge(lake, settings, now)
        files = product_files(lake)
        visits = [
            Visit(ledger, name, recipient, files, judge, tuple(pauses))
            for name, recipient in settings.recipients.items()
            if only is None or name in only
        ]
        done = [_done(one, verify, dry_run) for one in visits]
        return Delivered(done, awaited(files, judge.withdrawn))


def in_the_way(lake: Lake, settings: DeliverySettings, approved_as: str, now: datetime) -> list[str]:
    """What still keeps a product, or product@day, from recipients after it was approved, in lines."""
    product, _, day = approved_as.partition("@")
    files = product_files(lake).filter("newest", pl.col("product") == product)
    files = files.filter(pl.col("day") == date.fromisoformat(day)) if day else files
    if files.is_empty():
        return [f"{approved_as}: no file of it was published until now; `swxlake export` makes it from the day's data"]
    judge, definitions = _judge(lake, settings, now), lake.definitions
    asked = {name: (one, wanted(files, definitions, one)) for name, one in settings.recipients.items()}
    if all(rows.is_empty() for _, rows in asked.values()):
        return [f"{approved_as}: no recipient's rules ask for it"]
    return [told.line for name, (one, rows) in asked.items() for told in refusals(name, judge.reasons(rows, one))]


def _judge(lake: Lake, settings: DeliverySettings, now: datetime) -> Judge:
    return Judge(settings, lake.definitions, now.date(), withdrawn(lake), approved(lake))


def _done(one: Visit, verify: bool, dry_run: bool) -> AtRecipient:
    """A visit, made or only planned."""
    if dry_run:
        return one.planned()
    outcome = one.run(verify)
    log.info(
        "deliver recipient=%s sent=%d there=%d verified=%d lost=%d withdrawn=%d waiting=%d refused=%d problems=%d",
        outcome.recipient, len(outcome.sent), outcome.there, outcome.verified, len(outcome.lost),
        len(outcome.withdrawn), outcome.waiting, len(outcome.refused), len(outcome.problems),
    )  # fmt: skip
    return outcome
