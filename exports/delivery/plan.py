# SPDX-License-Identifier: Apache-2.0
"""What a recipient should get now: what its rules ask for, without what it has and what is refused."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from exports.delivery.nouns import Refused
from exports.delivery.refusal import Judge, refusals
from exports.delivery.selection import version_name, wanted
from exports.delivery.settings import Recipient
from lake.definitions import Definitions


@dataclass(frozen=True)
class Plan:
    """What is to be done at a recipient.

    queue : files to be sent, with columns of a Parcel, `ours` (what has the name there may be of us) and `why`; those
        that failed the last time come last, the one that waits longest first, so that each has its turn.
    withdrawn : rows of files that are to be withdrawn there, with the words `reason`.
    rejected : rows of files that the rules ask for and the recipient rejected.
    differing : rows of files that were sent with other bytes than the lake has under their version.
    """

    queue: pl.DataFrame
    withdrawn: pl.DataFrame
    rejected: pl.DataFrame
    differing: pl.DataFrame
    refused: list[Refused]


def plan(
    name: str, recipient: Recipient, files: pl.DataFrame, stands: pl.DataFrame, judge: Judge, definitions: Definitions
) -> Plan:
    """What is to be done at a recipient, given how its files stand."""
    known = stands.select("path", "event", "held", "detail", "ours", "attempted_at", sent_sha256="sha256")
    asked = wanted(files, definitions, recipient).join(known, on="path", how="left", maintain_order="left")
    missing = asked.filter(~pl.col("held").fill_null(value=False), pl.col("event").fill_null("") != "withdrawn")
    judged = judge.reasons(missing.with_columns(pl.col("ours").fill_null(value=False)), recipient)
    queue = (
        judged.filter(pl.col("reason") == "")
        .with_columns(why=_why())
        .sort(pl.when(_failed()).then("attempted_at"), maintain_order=True, nulls_last=False)
    )
    rejected = asked.filter(pl.col("event") == "rejected")
    differing = asked.filter("held", pl.col("sha256") != pl.col("sent_sha256"))
    return Plan(queue, _withdrawn(stands, judge), rejected, differing, refusals(name, judged))


def _failed() -> pl.Expr:
    return pl.col("event").is_in(["failed", "blocked"])


def _why() -> pl.Expr:
    again = pl.when(pl.col("event") == "lost").then(pl.lit("again: what was there is missing or has changed"))
    return again.when(_failed()).then(pl.lit("again: it failed the last time")).otherwise(pl.lit("new"))


def _withdrawn(stands: pl.DataFrame, judge: Judge) -> pl.DataFrame:
    """Files of withdrawn versions that a recipient may have, as we tried to put them there, and was not told about."""
    version = version_name()
    rows = stands.filter("ours", pl.col("event") != "withdrawn")
    rows = rows.filter(version.is_in(list(judge.withdrawn)))
    return rows.with_columns(reason=version.replace_strict(dict(judge.withdrawn), return_dtype=pl.String, default=""))
