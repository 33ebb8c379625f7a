# SPDX-License-Identifier: Apache-2.0
"""What people decide about delivery, in the journal: products that are approved, and versions that are withdrawn.

Neither is ever taken back: what was approved too early is withdrawn, and a withdrawn version is replaced by a new one.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from exports.delivery.settings import product_names
from exports.fits.names import of_fits
from exports.versions import version_key
from lake.definitions import Definitions
from lake.errors import ConfigurationError
from lake.setting_files import near
from lake.store import Journal, Lake

APPROVALS, WITHDRAWALS = "approvals", "withdrawals"


def approve(lake: Lake, product: str, day: date | None, by: str, why: str, now: datetime) -> str:
    """Approve all days of a product, or one, for public recipients; what was approved, as product or product@day.

    `product` is an address or a dataset. Raises ConfigurationError if there is no such product, if nobody says who and
    why, or if it was approved before.
    """
    address = _address(lake.definitions, product)
    key = f"{address}@{day}" if day else address
    return _decide(lake, APPROVALS, key, {"product": address, "day": day and day.isoformat()}, by, why, now)


def withdraw(lake: Lake, file: str, by: str, why: str, now: datetime) -> str:
    """Withdraw a version of a product-day for good; its name, `dataset_yyyymmdd_vX.Y.Z`.

    `file` is the name or path of one of its files; without a version the newest is meant. Raises ConfigurationError if
    that was never given out, if nobody says who and why, or if it was withdrawn before.
    """
    journal = Journal(lake)
    fits = of_fits(file)
    key = version_key(journal, fits.file_id if fits else file)
    if not key or journal.entry("versions", key) is None:
        raise ConfigurationError(
            f"{file}: no version of that name was given out. Write it as in `swxlake status`, "
            "such as padre_meddea_l1-photon_20240916_v1.0.0.cdf."
        )
    return _decide(lake, WITHDRAWALS, key, {"version": key}, by, why, now)


def _decide(lake: Lake, kind: str, key: str, about: dict[str, Any], by: str, why: str, now: datetime) -> str:
    """Write a decision to the journal, once."""
    by, why = " ".join(by.split()), " ".join(why.split())
    if not by or not why:
        raise ConfigurationError(f"{key}: nobody says {'why' if by else 'who'}. Give --by NAME and --why REASON.")
    journal = Journal(lake)
    if journal.write_once(kind, key, about | {"by": by, "why": why, "at": now.isoformat()}):
        return key
    before = journal.entry(kind, key) or {}
    done = {APPROVALS: "approved", WITHDRAWALS: "withdrawn"}[kind]
    raise ConfigurationError(
        f"{key}: was {done} by {before['by']} at {before['at']}: {before['why']}. That stands; nothing has changed."
    )


def _address(definitions: Definitions, product: str) -> str:
    names = product_names(definitions)
    found = next((address for address, both in names.items() if product in both), None)
    if found is None:
        raise ConfigurationError(
            f"{product}: is no product{near(product, [n for both in names.values() for n in both])}"
        )
    return found


def approved(lake: Lake) -> frozenset[str]:
    """Products, and product@day, that were approved. Names alone: nothing is opened."""
    return frozenset(Journal(lake).keys(APPROVALS))


def withdrawn(lake: Lake) -> dict[str, str]:
    """Who withdrew each version and why, in words, by its name."""
    return {key: _words(entry) for key, entry in Journal(lake).entries(WITHDRAWALS).items()}


def withdrawal(lake: Lake, version: str) -> str | None:
    """Who withdrew a version and why, in words; None if nobody has until now."""
    entry = Journal(lake).entry(WITHDRAWALS, version)
    return _words(entry) if entry is not None else None


def _words(entry: dict[str, Any]) -> str:
    return f"by {entry['by']}: {entry['why']}"
