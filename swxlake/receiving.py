# SPDX-License-Identifier: Apache-2.0
"""What the commands about receiving find and do: a round over all sources, following them, and how they stand."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import date
from typing import Any

from ingest.filing import FilingSettings, file_all, plan_all
from ingest.shelf import Shelf
from ingest.sources.attempts import Attempts
from ingest.sources.following import receive_all
from ingest.sources.judging import judge
from ingest.sources.lander import Lander
from ingest.sources.manifests import Manifest, extra, read_manifests, reconcile
from ingest.sources.pairing import not_landed
from ingest.sources.rounds import SHOWN, Round
from ingest.sources.settings import ReceiveSettings, SourceSettings, check_receive_settings, read_receive_settings
from lake.clock import utc_now
from lake.config import Settings
from lake.errors import ConfigurationError, StorageError, WayError
from lake.setting_files import is_of, near, other_lake
from lake.store import Lake
from lake.ways.transport import Found
from swxlake.outcome import Outcome

log = logging.getLogger(__name__)

NO_SETTINGS = (
    "there is no receive.toml here, and SWXLAKE_RECEIVE names none. "
    "Write one: docs/how-to/receive-telemetry.md says how."
)
NAMED = 20  # names of one manifest that a status tells


def needed_settings(lake: Lake, settings: Settings) -> ReceiveSettings:
    """Where telemetry for this lake comes from.

    Raises ConfigurationError if there are no settings, or no source and no upload in them, or if they are wrong.
    """
    if settings.receive is None:
        raise ConfigurationError(NO_SETTINGS)
    found = read_receive_settings(settings.receive)
    check_receive_settings(found, lake.root, settings.receive)
    if not found.sources and found.upload is None:
        raise ConfigurationError(f"{settings.receive}: has no source. Add [sources.NAME].")
    return found


def receive(lake: Lake, settings: Settings) -> Outcome:
    """One round over all sources, as a night begins; without settings nothing is done and nothing said.

    Settings of another lake are a note. Raises ConfigurationError if the settings are wrong, StorageError if the lake
    cannot be written.
    """
    if settings.receive is None:
        return Outcome()
    found = read_receive_settings(settings.receive)
    if not is_of(found, lake.root):
        return Outcome(notes=[f"{other_lake(found, lake.root, settings.receive)}: nothing is received"])
    check_receive_settings(found, lake.root, settings.receive)
    return _round(lake, found, found.sources, dry=False)


def run(
    lake: Lake,
    settings: Settings,
    only: Sequence[str] | None = None,
    window: tuple[date | None, date | None] = (None, None),
    dry: bool = False,
) -> Outcome:
    """One round as the command does it: over some sources, over names of some days (both included)."""
    found = needed_settings(lake, settings)
    chosen = {name: _within(found.sources[name], *window) for name in _named(found, only)}
    return _round(lake, found, chosen, dry)


def _named(found: ReceiveSettings, only: Sequence[str] | None) -> list[str]:
    for name in only or ():
        if name not in found.sources:
            raise ConfigurationError(f"there is no source {name!r}{near(name, found.sources)}")
    return list(dict.fromkeys(only)) if only else list(found.sources)


def _within(source: SourceSettings, first: date | None, last: date | None) -> SourceSettings:
    """The source with a narrower range of days."""
    starts = [day for day in (source.first, first) if day]
    ends = [day for day in (source.last, last) if day]
    return source.model_copy(update={"first": max(starts, default=None), "last": min(ends, default=None)})


def _round(lake: Lake, found: ReceiveSettings, sources: dict[str, SourceSettings], dry: bool) -> Outcome:
    outcome = told(receive_all(Lander(lake), sources, dry), dry)
    if found.filing is not None:  # also what could not be filed the last time
        outcome.include(to_be_filed(lake, found.filing) if dry else filed(lake, found.filing))
    return outcome


def told(rounds: dict[str, Round | str], dry: bool = False) -> Outcome:
    """Rounds over sources in words."""
    outcome, counts = Outcome(), Counter[str]()
    rows = list[dict[str, Any]]()
    for name, done in rounds.items():
        if isinstance(done, str):
            outcome.problems.append(done)
            continue
        counts += done.counts
        outcome.problems += _first(done.problems, f"source {name}")
        outcome.notes += _first(done.notes, f"source {name}")
        rows += [{"source": name, "file": path} for path in done.planned]
    if dry:
        outcome.facts["receive"] = {"would_be_taken": len(rows)}
        outcome.tables = {"files": rows} if rows else {}
    else:
        shown = {state: counts[state] for state in ("landed", "known")}
        outcome.facts["receive"] = shown | {state: n for state, n in sorted(counts.items()) if state not in shown}
    return outcome


def _first(lines: list[str], what: str) -> list[str]:
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], f"{what}: and {more} more; ops.receptions has all"] if more > 0 else lines


def to_be_filed(lake: Lake, settings: FilingSettings) -> Outcome:
    """What filing would put where of what is archived now."""
    planned = plan_all(lake, settings)
    facts = {"filed": {"would_be_filed": len(planned.filed), "known": planned.known}}
    rows = [{"place": place} for place in planned.filed]
    return Outcome(facts, list(planned.problems), tables={"places": rows} if rows else {})


def filed(lake: Lake, settings: FilingSettings, ended: Callable[[], bool] = lambda: False) -> Outcome:
    """Filing after a round; what cannot be filed must not cost what was received."""
    try:
        done = file_all(lake, settings, ended=ended)
    except (WayError, StorageError) as error:
        return Outcome(problems=[f"filing: {error}"])
    facts = {"filed": {"filed": len(done.filed), "known": done.known}}
    return Outcome(facts, list(done.problems), list(done.notes))


# ---- how sources stand ---------------------------------------------------------------------------------------------
def status(lake: Lake, settings: Settings) -> Outcome:
    """Each source with its files by state, and each manifest with what it lacks, which is a problem. Nothing is asked
    of any source, and nothing written.
    """
    found = needed_settings(lake, settings)
    shelf, outcome = Shelf(lake), Outcome(facts={"settings": str(settings.receive)})
    sources, manifests = list[dict[str, Any]](), list[dict[str, Any]]()
    for name, source in found.sources.items():
        attempts = Attempts(lake, name)
        attempts.read()
        counts = Counter[str](seen.state for seen in attempts.seen.values())
        sources.append({"source": name, "place": source.way.place, **{state: counts[state] for state in STATES}})
        standing = _standing(lake, shelf, attempts)
        days = _extra_days(lake, source, attempts) if standing else {}
        unnamed = extra(standing, days)
        manifests += [_row(manifest, unnamed.get(manifest.path, [])) for manifest in standing]
        outcome.problems += [line for manifest in standing for line in _lacking(manifest)]
        outcome.problems += _failing(name, attempts, {path for manifest in standing for path in _named_there(manifest)})
    outcome.tables = {"sources": sources} | ({"manifests": manifests} if manifests else {})
    return outcome


STATES = ("landed", "known", "ignored", "refused", "failed", "waiting", "missing", "mismatched")


def _standing(lake: Lake, shelf: Shelf, attempts: Attempts) -> list[Manifest]:
    """The manifests of a source as they stand now."""
    others = not_landed(attempts)
    found = read_manifests(lake, attempts.source).values()
    return [reconcile(m, shelf, others) if m.is_open else m for m in sorted(found, key=lambda m: (m.day, m.path))]


def _extra_days(lake: Lake, source: SourceSettings, attempts: Attempts) -> dict[str, date]:
    """The days in the names of files that came."""
    days, now = dict[str, date](), utc_now()
    for path, seen in attempts.seen.items():
        if seen.state in ("landed", "known", "mismatched"):
            judged = judge(lake, source, Found(path, seen.bytes, 0.0), now)
            if judged.day is not None:
                days[judged.name] = judged.day
    return days


def _row(manifest: Manifest, unnamed: list[str]) -> dict[str, Any]:
    return {
        "source": manifest.source,
        "manifest": manifest.path,
        "ok": manifest.ok,
        "missing": len(manifest.missing),
        "bad_hash": len(manifest.mismatched),
        "extra": len(unnamed),
        "unclear_lines": len(manifest.bad),
    }


def _lacking(manifest: Manifest) -> list[str]:
    where = f"source {manifest.source}: {manifest.path}"
    lines = [f"{where}: {name} has not come" for name in manifest.missing]
    lines += [f"{where}: {name} came with other bytes than it names" for name in manifest.mismatched]
    more = len(lines) - NAMED
    return [*lines[:NAMED], f"{where}: and {more} more"] if more > 0 else lines


def _named_there(manifest: Manifest) -> Iterator[str]:
    """Paths of the files that came with other bytes than a manifest names, which is told of the manifest."""
    folder = manifest.path.rpartition("/")[0]
    return (f"{folder}/{name}" if folder else name for name in manifest.mismatched)


def _failing(name: str, attempts: Attempts, named: AbstractSet[str]) -> list[str]:
    """Files that are tried again and again, and those whose digest is another one; not what a manifest has `named`."""
    told = {
        path: seen
        for path, seen in sorted(attempts.seen.items())
        if seen.state == "failed" or (seen.state == "mismatched" and path not in named)
    }
    lines = [f"source {name}: {path}: {seen.state}: {seen.detail}" for path, seen in told.items()]
    return _first(lines, f"source {name}")
