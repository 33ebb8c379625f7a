# SPDX-License-Identifier: Apache-2.0
"""Whether all is well: the five numbers with their states, and the sentence made of everything that is not well.

What is wrong has state `fail`, what a person should look at has `warn`. Nothing is well that no night has looked at for
a day and a half, or of which nothing came for as long as its files may take.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl

from monitor.site import places
from monitor.site.calendars import graded
from monitor.site.facts import Facts
from monitor.site.figures import Figures, Night, Stage
from monitor.site.filters import day as day_word
from monitor.site.filters import duration, number, share, size

OLD_HOURS = 36  # of the last night: one a day, and half a day for it to be late; as site.js has it of the pages
SEVERITIES = {"red": "fail", "yellow": "warn"}
WORDS = {"fail": ("failed", "Something is wrong"), "warn": ("warn", "Look at this")}
# How a night tells of bytes that it could not use, and kept: no stage failed for them.

Remark = tuple[str, str]  # state and words


# ---- the five numbers ----------------------------------------------------------------------------------------------
def five(facts: Facts, known: Figures) -> list[dict[str, str]]:
    """The five numbers, each with the page of its rows, a state, and what the verdict tells where that is not well."""
    return [_complete(known), _in_time(facts, known), _missing(known), _quarantined(known), _passing(known)]


def _complete(known: Figures) -> dict[str, str]:
    state = "none" if known.completeness is None else graded(known.completeness)
    silent = f"; {counted(known.silent_days, 'silent day')}" if known.silent_days else ""
    return {
        "label": "Telemetry completeness",
        # Nobody knows how much a silent day lacks: what came is less than the packets' numbers say.
        "value": ("< " if silent else "") + share(known.completeness),
        "to": places.COMPLETENESS,
        "state": "warn" if silent and state == "ok" else state,
        "about": f"{number(known.received)} of {number(known.expected)} packets{silent}",
        "told": _incomplete(known, state),
    }


def _incomplete(known: Figures, state: str) -> str:
    only = {"fail": "only ", "warn": ""}
    came = [f"{only[state]}{share(known.completeness)} of the telemetry came"] if state in only else []
    return ", ".join(filter(None, [*came, counted(known.silent_days, "silent day")]))


def _in_time(facts: Facts, known: Figures) -> dict[str, str]:
    """Well if it is within what the most patient mission allows for a raw file."""
    slow, allowed = known.latency_p95_s, max(mission.late_after_hours for mission in facts.definitions.missions)
    late = slow is not None and slow > allowed * 3600
    return {
        "label": "Observation to level 1",
        "value": duration(known.latency_p50_s),
        "to": places.LATENCY,
        "state": "none" if slow is None else "warn" if late else "ok",
        "about": "not measured" if slow is None else f"half of it; 95 % within {duration(slow)}",
        "told": f"data took up to {duration(slow)} to level 1" if late else "",
    }


def _missing(known: Figures) -> dict[str, str]:
    return {
        "label": "Packets unaccounted for",
        "value": number(known.packets_missing),
        "to": f"{places.COMPLETENESS}#gaps",
        "state": _unless(known, bool(known.packets_missing)),
        "about": "told by sequence counts",
        "told": counted(known.packets_missing, "packet is missing", "packets are missing"),
    }


def _quarantined(known: Figures) -> dict[str, str]:
    return {
        "label": "Quarantined",
        "value": number(known.quarantined_stretches),
        "to": places.QUARANTINE,
        "state": _unless(known, bool(known.quarantined_stretches)),
        "about": f"stretches, {size(known.quarantined_bytes)}",
        "told": f"{size(known.quarantined_bytes)} in quarantine" if known.quarantined_stretches else "",
    }


def _passing(known: Figures) -> dict[str, str]:
    left = known.products - known.products_passed
    return {
        "label": "Products that pass",
        "value": f"{number(known.products_passed)}/{number(known.products)}",
        "to": f"{places.CHECKS}#products",
        "state": "none" if not known.products else "warn" if left else "ok",
        "about": "exported, and all rules hold",
        "told": counted(left, "product does not pass", "products do not pass"),
    }


def _unless(known: Figures, odd: bool) -> str:
    return "warn" if odd else "ok" if known.window else "none"


# ---- the verdict ---------------------------------------------------------------------------------------------------
def verdict(facts: Facts, known: Figures, lists: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """One sentence with its state: what is wrong, what a person should look at, or that nothing is.

    `lists` are those of the front page: each with a state, a count, and the word for one and for many of it.
    """
    remarks = [*_night(known.last_night, facts.now), *_alerts(known), *_listed(lists)]
    remarks += [(item["state"], item["told"]) for item in five(facts, known) if item["told"]]
    remarks += _silence(facts)
    for state, (class_, word) in WORDS.items():
        if any(found == state for found, _ in remarks):
            return {"state": class_, "word": word, "text": ", ".join(_worst_first(remarks))}
    if known.window is None:
        return {"state": "none", "word": "No data yet", "text": "the lake is empty"}
    return {"state": "ok", "word": "All is well", "text": "nothing failed, stale, missing or late, and no open alert"}


def _worst_first(remarks: Iterable[Remark]) -> list[str]:
    return [text for _, text in sorted(remarks, key=lambda remark: remark[0] != "fail")]


def _night(night: Night | None, now: datetime) -> Iterator[Remark]:
    """What the last night was like, and that it is long ago."""
    if night is None:
        return
    age = (now - night.started_at).total_seconds()
    if age > OLD_HOURS * 3600:
        yield "fail", f"no night for {duration(age)}"
    failed = [stage for stage in night.stages if stage.state == "failed"]
    if wrong := [stage.name for stage in failed if not _only_kept_aside(stage)]:
        yield "fail", f"the last night failed in {', '.join(wrong)}"
    elif failed:
        yield "warn", "the last night could not use all that came"
    if notes := sum(len(stage.notes) for stage in night.stages if stage.state == "warn"):
        yield "warn", f"the last night has {counted(notes, 'note')}"


def _only_kept_aside(stage: Stage) -> bool:
    """Whether a stage failed for nothing but what it refused, put in quarantine, or kept beside another revision."""
    taken = stage.facts.get("ingest")
    return stage.name == "ingest" and isinstance(taken, dict) and taken.get("damaged_files") == 0


def _alerts(known: Figures) -> Iterator[Remark]:
    for severity, state in SEVERITIES.items():
        if count := known.open_alerts.get(severity, 0):
            yield state, counted(count, f"{severity} alert")


def _listed(lists: Sequence[Mapping[str, Any]]) -> Iterator[Remark]:
    return ((found["state"], counted(found["count"], *found["words"])) for found in lists if found["count"])


def _silence(facts: Facts) -> Iterator[Remark]:
    """Missions of which nothing came for longer than a file may take; of the others, instruments of the window."""
    for mission in facts.definitions.missions:
        last = _last_days(facts, mission.name)
        oldest = facts.now - timedelta(hours=mission.late_after_hours)
        silent = {name: day for name, day in last.items() if _ends(day) < oldest}
        if silent.keys() == last.keys() and silent:
            silent = {"": max(silent.values())}
        for name, day in silent.items():
            yield "warn", f"nothing of {f'{mission.name} {name}'.strip()} since {day_word(day)}"


def _last_days(facts: Facts, mission: str) -> dict[str, date]:
    """The last day, up to now, with packets of each instrument of a mission, if its data go on until today."""
    if facts.definitions.mission(mission).valid_time.stop <= facts.now.date():
        return {}
    rows = facts.ops("packets").filter(pl.col("received") > 0, pl.col("day") <= facts.latest, mission=mission)
    return dict(rows.group_by("instrument").agg(pl.col("day").max()).sort("instrument").iter_rows())


def _ends(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def counted(count: int, one: str, many: str = "") -> str:
    """A number of things in words; nothing if there is none."""
    return f"{number(count)} {one if count == 1 else many or f'{one}s'}" if count else ""
