# SPDX-License-Identifier: Apache-2.0
"""The request to send packets again: APID, sequence counts and UTC span of what is missing, as JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from ingest.gaps import packet_tables
from ingest.limits import SEQUENCE_COUNTS
from lake.errors import ConfigurationError
from lake.files import finished, sync, temporary, writing
from lake.store import Lake

FORM = "swxlake retransmit request 1"
RIGHTS = 0o644
CSV_COLUMNS = (
    "mission",
    "instrument",
    "apid",
    "kind",
    "table_days",
    "after",
    "before",
    "packets",
    "sequence_from",
    "sequence_to",
)


@dataclass(frozen=True)
class Request:
    """One gap that may be filled: the packets of an APID after one time and before another, and the tables they go to.

    `packets` is None where the counter began anew, for nobody knows how many there are; then there are no counts.
    """

    mission: str
    instrument: str
    apid: int
    kind: str
    table_days: tuple[str, ...]
    after: datetime | None
    before: datetime | None
    packets: int | None
    sequences: tuple[tuple[int, int], ...]


def requests_of(lake: Lake, gaps: pl.DataFrame) -> list[Request]:
    """What to ask for because of these rows of ops.gaps, in the order of instruments, APIDs and times."""
    tables = _tables_of_apids(lake)
    lost = gaps.filter(pl.col("kind").fill_null("loss") != "disorder")  # there, nothing is missing
    found = [
        _request(gap, tables.get((gap["mission"], gap["instrument"], gap["apid"]), []))
        for gap in lost.iter_rows(named=True)
    ]
    return sorted(found, key=lambda one: (one.mission, one.instrument, one.apid, str(one.before), one.sequences))


def _tables_of_apids(lake: Lake) -> dict[tuple[str, str, int], list[str]]:
    """Addresses of the tables that have the packets of a mission, instrument and APID."""
    found: dict[tuple[str, str, int], list[str]] = {}
    for mission in lake.definitions.missions:
        for instrument in mission.instruments:
            for table in packet_tables(instrument):
                for apid in instrument.packet(str(table.packet)).apids:
                    found.setdefault((mission.name, instrument.name, apid), []).append(table.address)
    return found


def _request(gap: dict[str, Any], tables: list[str]) -> Request:
    kind, missing, first = gap["kind"] or "loss", gap["missing"], gap["sequence_from"]
    counted = kind != "restart"
    return Request(
        gap["mission"],
        gap["instrument"],
        gap["apid"],
        kind,
        tuple(f"{address}@{gap['day']}" for address in tables),
        gap["start_time"],
        gap["end_time"],
        missing if counted else None,
        tuple(sequences(first, missing)) if counted and first is not None else (),
    )


def sequences(first: int, missing: int) -> Iterator[tuple[int, int]]:
    """First and last count of stretches that together are `missing` packets from `first` on, none across the wrap."""
    while missing > 0:
        last = min(first + missing, SEQUENCE_COUNTS) - 1
        yield first, last
        missing -= last - first + 1
        first = 0


def write_request(path: Path, requests: list[Request]) -> str:
    """Write the request in the form that its name says, aside and then renamed; what it covers in words.

    Without anything to ask for, no file is written. Raises ConfigurationError or StorageError.
    """
    forms = {".json": request_json, ".csv": request_csv}
    if path.suffix.lower() not in forms or path.is_dir():
        raise ConfigurationError(f"{path}: cannot be a request. Name a file that ends with .json or .csv.")
    if not path.absolute().parent.is_dir():
        raise ConfigurationError(f"{path}: {path.parent} is no folder. Make it, or correct the name.")
    if not requests:
        return f"nothing is missing, so there is nothing to ask for; {path} was not written"
    content = forms[path.suffix.lower()](requests).encode()
    with writing(path), temporary(path) as (aside, file):
        file.write(content)
        finished(file, RIGHTS)
        aside.rename(path)
        sync(path.parent)
    return f"{path}: asks for {_covered(requests)}"


def _covered(requests: list[Request]) -> str:
    """What a request covers, in words."""
    known = [one.packets for one in requests if one.packets is not None]
    apids = len({(one.mission, one.instrument, one.apid) for one in requests})
    spans = len(requests) - len(known)
    anew = f", and for {counted(spans, 'span')} in which a counter began anew" if spans else ""
    return f"{counted(sum(known), 'packet')} in {counted(len(known), 'gap')}{anew}, of {counted(apids, 'APID')}"


def counted(number: int, noun: str) -> str:
    """`1 packet` or `2 packets`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def request_json(requests: list[Request]) -> str:
    """The request as JSON."""
    total = sum(one.packets or 0 for one in requests)
    content = {"form": FORM, "packets": total, "requests": [_entry(one) for one in requests]}
    return json.dumps(content, indent=1) + "\n"


def _entry(one: Request) -> dict[str, Any]:
    counts = [{"from": first, "to": last, "packets": last - first + 1} for first, last in one.sequences]
    return {
        "mission": one.mission,
        "instrument": one.instrument,
        "apid": one.apid,
        "kind": one.kind,
        "table_days": list(one.table_days),
        "after": _utc(one.after),
        "before": _utc(one.before),
        "packets": one.packets,
        "sequences": counts,
    }


def request_csv(requests: list[Request]) -> str:
    """The request as CSV: one line for each stretch of counts; one without counts where they are not known."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for one in requests:
        whose = (one.mission, one.instrument, one.apid, one.kind, " ".join(one.table_days))
        span = (_utc(one.after), _utc(one.before))
        for first, last in one.sequences:
            writer.writerow((*whose, *span, last - first + 1, first, last))
        if not one.sequences:
            writer.writerow((*whose, *span, one.packets, None, None))
    return text.getvalue()


def _utc(time: datetime | None) -> str | None:
    """2024-09-16T12:00:00.000000Z; None if the clock tells no time."""
    return None if time is None else f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
