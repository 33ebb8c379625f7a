# SPDX-License-Identifier: Apache-2.0
"""What the commands about a mirror find and do: one round, following a source, and how the mirror stands."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

from exports.mirror.following import follow, listener_of
from exports.mirror.round import Round, check_folder, opened
from exports.mirror.settings import MirrorSettings
from exports.mirror.state import State, read_state, time
from lake.clock import utc_now
from lake.health import Health
from swxlake.outcome import Outcome
from swxlake.signals import interrupted_by_sigterm
from swxlake.sql_output import printable

log = logging.getLogger(__name__)

SHOWN = 20  # files and problems that are named; --json names all


def once(settings: MirrorSettings, everything: bool) -> Outcome:
    """One round over all files of the source. A problem for each file that could not be brought."""
    with opened(settings, lambda: None) as mirror:
        return told(mirror.round(utc_now()), everything)


def plan(settings: MirrorSettings, everything: bool) -> Outcome:
    """What a round would bring. Nothing is written."""
    with opened(settings, lambda: None, dry_run=True) as mirror:
        done = mirror.round(utc_now(), dry_run=True)
    rows = [{"path": path, "as": target} for path, target in done.planned]
    facts = {"would_be_brought": len(rows), "up_to_date": done.up_to_date, "waiting": done.waiting}
    shown = rows if everything else rows[:SHOWN]
    more = [f"and {len(rows) - len(shown)} more files; --json names them"] if len(rows) > len(shown) else []
    return Outcome({"mirror": facts}, done.problems, [*done.notes, *more], {"files": shown} if shown else {})


def told(done: Round, everything: bool = True) -> Outcome:
    """A round in words."""
    counts = {
        "brought": len(done.brought),
        "bytes": done.bytes,
        "known": done.known,
        "up_to_date": done.up_to_date,
        "failed": done.failed,
        "waiting": done.waiting,
        "put_aside": len(done.aside),
        "not_taken": done.not_taken,
        "gone_at_the_source": done.gone,
    }
    shown = {name: count for name, count in counts.items() if count or name in ("brought", "failed")}
    problems, notes = [*done.problems], [*done.aside, *done.notes]
    if done.waiting:
        problems.append(f"{done.waiting} files failed before and are not tried yet; `swxlake mirror status` names them")
    if not everything:
        problems, notes = _first(problems), _first(notes)
    rows = {"files": [{"file": path} for path in done.brought]} if everything and done.brought else {}
    return Outcome({"mirror": shown}, problems, notes, rows)


def _first(lines: list[str]) -> list[str]:
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], f"and {more} more; --json names them"] if more > 0 else lines


def run(settings: MirrorSettings, health_folder: Path | None) -> Outcome:
    """Follow the source until SIGTERM or SIGINT. What was brought is logged as it comes."""
    health, total = Health("mirror", health_folder), {"rounds": 0, "brought": 0, "bytes": 0}
    measured = _Measured(health)
    listener = listener_of(settings)

    def tell(done: Round, state: State) -> None:
        for name, count in (("rounds", 1), ("brought", len(done.brought)), ("bytes", done.bytes)):
            total[name] += count
        measured.stand(state)
        measured.take(done)
        _log(done)

    with suppress(KeyboardInterrupt), interrupted_by_sigterm(), opened(settings, health.beat) as mirror:
        try:
            follow(mirror, listener, health, tell)
        finally:  # also in the middle of a round
            mirror.save()
            measured.stand(mirror.state)
    health.stop()
    return Outcome({"mirror": total})


class _Measured:
    """The mirror's metrics."""

    def __init__(self, health: Health) -> None:
        self.files = health.gauge("files", "Files that the mirror has")
        self.failed = health.gauge("failed_files", "Files that could not be brought and are tried again")
        self.swept = health.gauge("last_sweep_timestamp_seconds", "When all files were last listed, in Unix seconds")
        self.brought = health.counter("brought_total", "Files that were brought")
        self.bytes = health.counter("brought_bytes_total", "Bytes of files that were brought")

    def take(self, done: Round) -> None:
        """Count a round."""
        self.brought.inc(len(done.brought))
        self.bytes.inc(done.bytes)

    def stand(self, state: State) -> None:
        """Say how the mirror stands."""
        self.files.set(len(state.files))
        self.failed.set(len(state.failed))
        if state.swept_at is not None:
            self.swept.set(time(state.swept_at).timestamp())


def _log(done: Round) -> None:
    if done.brought or done.known:
        log.info("mirror brought=%d known=%d bytes=%d", len(done.brought), done.known, done.bytes)
    for problem in done.problems:
        log.warning("%s", printable(problem))
    for note in done.notes:
        log.info("%s", printable(note))


def status(settings: MirrorSettings) -> Outcome:
    """How a mirror stands, by its ledger; the source is not asked. A problem for each file that fails."""
    check_folder(settings.folder)
    state = read_state(settings.folder, settings.source.way.place)
    facts: dict[str, Any] = {
        "folder": str(settings.folder),
        "source": settings.source.way.place,
        "files": len(state.files),
        "bytes": sum(kept.bytes for kept in state.files.values()),
        "by_manifest": sum(kept.by == "manifest" for kept in state.files.values()),
        "last_sweep": state.swept_at or "never",
        "receipts_waiting": len(state.receipts),
    }
    problems = [
        f"{path} failed {failed.times} times ({failed.reason}); it is tried again after {failed.next_at}"
        for path, failed in sorted(state.failed.items())
    ]
    return Outcome(facts, problems)
