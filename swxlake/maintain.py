# SPDX-License-Identifier: Apache-2.0
"""`swxlake maintain`: what the upkeep of the lake did, for people and programs."""

from __future__ import annotations

from lake.catalog import refresh
from lake.maintenance import Kept, maintain
from lake.store import Lake
from swxlake.outcome import Outcome

SHOWN = 20


def run_maintenance(lake: Lake, retention_days: float = 7, dry_run: bool = False) -> Outcome:
    """Maintain the lake, or say what that would do. Raises as `lake.maintenance.maintain`."""
    kept = maintain(lake, retention_days, dry_run)
    if not dry_run:
        refresh(lake)
    outcome = Outcome(facts={"maintain" if not dry_run else "would maintain": _facts(kept)})
    removed = [entry.key for entry in (*kept.removed, *kept.leftovers)]
    if removed:
        outcome.facts["removed" if not dry_run else "would remove"] = _shown(removed)
    outcome.notes += [f"{address}: another process was writing; maintained the next time" for address in kept.busy]
    outcome.notes += kept.lost  # a release stays as it was made: what it lost cannot be mended here
    return outcome


def _facts(kept: Kept) -> dict[str, int]:
    return {
        "tables": kept.tables,
        "compacted": len(kept.compacted),
        "checkpoints": len(kept.checkpoints),
        "settings": len(kept.settings),
        "files_removed": len(kept.removed),
        "leftovers_removed": len(kept.leftovers),
        "bytes_removed": kept.bytes,
    }


def _shown(keys: list[str]) -> list[str]:
    more = len(keys) - SHOWN
    return [*keys[:SHOWN], f"and {more} more"] if more > 0 else keys
