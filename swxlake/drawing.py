# SPDX-License-Identifier: Apache-2.0
"""Drawing what people look at: envelopes of channels, quick looks, and the status site, in this order."""

from __future__ import annotations

from datetime import date
from functools import partial

from lake.catalog import refresh
from lake.clock import utc_now
from lake.config import Settings
from lake.definitions import Table
from lake.errors import StorageError, SwxlakeError, TableError
from lake.health import replace_file
from lake.store import Lake
from monitor.envelopes.making import make_envelopes
from monitor.quicklooks.making import PICTURES_OF_A_NIGHT, draw_quicklooks
from monitor.site.building import build_site
from monitor.site.places import METRICS, SITE
from swxlake.outcome import Outcome
from transforms.plan import plan_all

NIGHT = "night.prom"  # in the folder that `swxlake health` and the node exporter's textfile collector read


def draw(lake: Lake) -> Outcome:
    """Envelopes and quick looks that are out of date; of these so many that a night has an end, the newest days first.

    What holds one up holds up no other, nor the site.
    """
    outcome = Outcome()
    for work in (envelopes, partial(look, most=PICTURES_OF_A_NIGHT)):
        try:
            outcome.include(work(lake))
        except (StorageError, TableError) as error:
            outcome.problems.append(f"{error} Until then pictures are as they were")
    return outcome


def look(
    lake: Lake,
    tables: list[Table] | None = None,
    days: set[date] | None = None,
    force: bool = False,
    most: int | None = None,
) -> Outcome:
    """Make quick looks of the table-days that changed, at most so many."""
    drawn = draw_quicklooks(lake, tables, days, force, most)
    outcome = Outcome(facts={"quicklook": {"drawn": drawn.made, "unchanged": drawn.unchanged}})
    if drawn.waiting:
        outcome.notes.append(f"{drawn.waiting} quick looks wait for the next night; `swxlake quicklook` draws them now")
    outcome.problems += [f"{what}: no quick look was drawn: {error}" for what, error in drawn.failed]
    return outcome


def envelopes(lake: Lake, force: bool = False) -> Outcome:
    """Make envelopes of the table-days that changed."""
    made = make_envelopes(lake, force=force)
    outcome = Outcome(facts={"envelopes": {"made": made.made, "unchanged": made.unchanged}})
    outcome.problems += [f"{what}: no envelope was made: {error}" for what, error in made.failed]
    return outcome


def site(lake: Lake, settings: Settings, force: bool = False) -> Outcome:
    """Write the pages that changed, and the metrics of the lake where services have a folder for theirs."""
    outcome = Outcome()
    planned = _planned(lake, outcome)
    built = build_site(lake, utc_now(), planned, force)
    if settings.health is not None:
        replace_file(settings.health / NIGHT, lake.storage.read(SITE + METRICS))
    outcome.facts["site"] = {"pages": built.pages, "written": built.written, "removed": built.removed}
    return outcome


def _planned(lake: Lake, outcome: Outcome) -> dict[tuple[str, date], str]:
    """Table-days that are out of date; none if code or a calibration keeps us from knowing, which is told."""
    try:
        return {(step.table.address, step.day): step.reason for step in plan_all(lake)}
    except SwxlakeError as error:
        outcome.problems.append(f"{error} Until then the site does not tell what is stale")
        return {}


def whole_site(lake: Lake, settings: Settings, force: bool = False) -> Outcome:
    """Catalog, envelopes and site, for whoever asks by hand: the lake may have been moved, or no night run yet."""
    refresh(lake)
    outcome = envelopes(lake, force)
    outcome.include(site(lake, settings, force))
    return outcome
