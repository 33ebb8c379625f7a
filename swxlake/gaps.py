# SPDX-License-Identifier: Apache-2.0
"""Accounting of packets by APID and day, their gaps, and the request to send again what is missing."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from ingest.accounting import unaccounted
from lake.errors import ConfigurationError
from lake.ledger import current_contents, read_ops
from lake.store import Lake
from swxlake.cli_options import similar
from swxlake.outcome import Outcome
from swxlake.retransmit import counted, requests_of, write_request

SHOWN_GAPS = 200  # lines that a person may read; --json has all
SUMS = ("expected", "received", "duplicates", "missing", "gaps", "restarts", "checksum_failures", "bytes")
OWN = ("mission", "instrument", "apid", "day")
PACKET_COLUMNS = (
    "expected",
    "received",
    "distinct",
    "duplicates",
    "missing",
    "gaps",
    "longest_gap_s",
    "restarts",
    "checksum_failures",
    "bytes",
)
GAP_COLUMNS = ("kind", "missing", "sequence_from", "sequence_to", "start_time", "end_time", "length_s")


@dataclass(frozen=True)
class Wanted:
    """Which packets are asked about; None is all."""

    mission: str | None = None
    instrument: str | None = None
    apid: int | None = None
    days: AbstractSet[date] | None = None

    @classmethod
    def of(cls, lake: Lake, name: str | None, apid: int | None, days: AbstractSet[date] | None) -> Wanted:
        """With `name` as mission/instrument. Raises ConfigurationError with similar names if there is none."""
        if name is None:
            return cls(None, None, apid, days)
        known = [f"{mission.name}/{one.name}" for mission in lake.definitions.missions for one in mission.instruments]
        if name not in known:
            raise ConfigurationError(f"there is no instrument {name!r}.{similar(name, known)}")
        mission, _, instrument = name.partition("/")
        return cls(mission, instrument, apid, days)

    def those(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows of ops.packets or ops.gaps that are about them."""
        chosen = rows
        for column in ("mission", "instrument", "apid"):
            value = getattr(self, column)
            chosen = chosen if value is None or column not in rows.columns else chosen.filter(pl.col(column) == value)
        return chosen if self.days is None else chosen.filter(pl.col("day").is_in(sorted(self.days)))


def account_of_packets(lake: Lake, wanted: Wanted, request: Path | None = None, whole: bool = False) -> Outcome:
    """The account by APID and day, and the gaps, all of them if `whole`. What is missing makes no problem of it.

    With `request`, a file of that name is written if there is something to ask for. Raises ConfigurationError if its
    name says no form, StorageError if it cannot be written.
    """
    packets = wanted.those(read_ops(lake, "packets")).sort(OWN)
    gaps = wanted.those(read_ops(lake, "gaps")).sort(*OWN, "end_time", "sequence_from")
    outcome = Outcome(facts={"packets": _totals(packets)})
    shown = gaps if whole else gaps.head(SHOWN_GAPS)
    outcome.tables = {
        "accounts": _named(packets, PACKET_COLUMNS).to_dicts(),
        "gaps": _named(shown.with_columns(length_s=_length()), GAP_COLUMNS).to_dicts(),
    }
    outcome.notes += _notes(lake, wanted, packets, gaps.height - shown.height)
    if request is not None:
        outcome.notes.append(write_request(request, requests_of(lake, gaps)))
    return outcome


def _named(rows: pl.DataFrame, columns: tuple[str, ...]) -> pl.DataFrame:
    """Rows with whose they are in the first columns."""
    whose = pl.concat_str("mission", "instrument", separator="/").alias("instrument")
    return rows.select(whose, "apid", "day", *columns)


def _length() -> pl.Expr:
    """Seconds from the last packet before a gap to the first one behind it."""
    return (pl.col("end_time") - pl.col("start_time")).dt.total_microseconds() / 1e6


def _totals(packets: pl.DataFrame) -> dict[str, Any]:
    return {name: int(packets[name].sum()) for name in SUMS}


def _notes(lake: Lake, wanted: Wanted, packets: pl.DataFrame, left_out: int) -> list[str]:
    notes = [f"and {left_out} more gaps; --json has all"] if left_out else []
    if packets.is_empty() and wanted.apid is not None:
        notes.append(f"no packet of APID {wanted.apid} is known there; correct it, or see `swxlake gaps` without it")
    failed, restarts = (int(packets[name].sum()) for name in ("checksum_failures", "restarts"))
    if failed:
        notes.append(f"failed their checksum: {counted(failed, 'packet')}; their counts are missing, so gaps have them")
    if restarts:
        notes.append(f"counters began anew: {counted(restarts, 'time')}; how many packets were lost then is not known")
    blank = wanted.those(unaccounted(lake, current_contents(lake))).height
    if blank:
        notes.append(f"without an account: {counted(blank, 'day')} of an instrument; run `swxlake night`")
    return notes
