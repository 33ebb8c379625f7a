# SPDX-License-Identifier: Apache-2.0
"""The commands that bring a lake forward: the stages of a night, the night itself, a rebuild, simulated telemetry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lake.errors import ConfigurationError
from lake.store import Lake
from swxlake.cli_options import (
    Dask,
    Day,
    Force,
    From,
    Json,
    Root,
    Tables,
    To,
    Verbose,
    Workers,
    days_of,
    finish,
    hire,
    in_catalog,
    open_lake,
    open_session,
    parse_day,
    tables_named,
)
from swxlake.outcome import Outcome

if TYPE_CHECKING:
    from swxlake.night import Selection

app = typer.Typer()


@app.command(epilog="Example: swxlake ingest /data/moc/drop")
def ingest(
    paths: list[Path],
    workers: Workers = None,
    dask: Dask = None,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Land and decode telemetry files or folders of them to L0."""
    from swxlake import night  # noqa: PLC0415  the stages' libraries take a second to load

    session = open_session(root, verbose)
    with hire(session.settings, workers, dask, quiet=json or verbose > 0) as crew:
        outcome = night.ingest(session.lake, session.settings, paths, crew)
    finish(in_catalog(session.lake, outcome), json)


@app.command(epilog="Example: swxlake transform --dry-run")
def transform(  # noqa: PLR0913, PLR0917  each parameter is an option
    tables: Tables = None,
    day: Day = None,
    first: From = None,
    stop: To = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be built, and why.")] = False,
    force: Force = False,
    workers: Workers = None,
    dask: Dask = None,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Build the table-days that are out of date, inputs before dependents."""
    from swxlake import night  # noqa: PLC0415

    session = open_lake(root, verbose)
    selection = _selection(session.lake, tables, (day, first, stop), force)
    if dry_run:
        finish(night.transform_plan(session.lake, selection), json)
    with hire(session.settings, workers, dask, quiet=json or verbose > 0) as crew:
        outcome = night.transform(session.lake, selection, crew)
    finish(in_catalog(session.lake, outcome), json)


@app.command(epilog="Example: swxlake check padre.meddea_l1_photon@2024-09-16 --rows")
def check(  # noqa: PLR0913, PLR0917  each parameter is an option
    tables: Annotated[
        list[str] | None,
        typer.Argument(help="Tables, such as padre.meddea_l1_photon, or one TABLE@DAY; default all."),
    ] = None,
    day: Day = None,
    first: From = None,
    stop: To = None,
    rows: Annotated[bool, typer.Option("--rows", help="List the rows of TABLE@DAY that break rules.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1_000_000, help="With --rows: the most rows of each rule.")
    ] = 20,
    rule: Annotated[str | None, typer.Option("--rule", help="With --rows: one rule only.")] = None,
    force: Force = False,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Measure and judge the table-days that changed since they were judged, or list the rows that break rules."""
    from swxlake import night  # noqa: PLC0415
    from swxlake.broken_rows import list_broken_rows  # noqa: PLC0415

    lake = open_lake(root, verbose).lake
    tables, day = table_day(tables, day)
    selection = _selection(lake, tables, (day, first, stop), force)
    if not rows:
        if rule is not None:
            raise ConfigurationError("--rule goes with --rows. Give both.")
        finish(in_catalog(lake, night.check(lake, selection)), json)
    if day is None or selection.tables is None or len(selection.tables) != 1:
        raise ConfigurationError("--rows lists the rows of one table-day. Name it as TABLE@DAY.")
    finish(list_broken_rows(lake, selection.tables[0], parse_day(day), limit, rule), json)


def table_day(names: list[str] | None, day: str | None) -> tuple[list[str] | None, str | None]:
    """Names of tables and the day that one TABLE@DAY gives; as they are where there is none.

    Raises ConfigurationError if a day is given twice, or to one of several tables.
    """
    if not any("@" in name for name in names or ()):
        return names, day
    if names is None or len(names) > 1 or day is not None:
        raise ConfigurationError("give one TABLE@DAY, or several tables and --day.")
    name, _, own = names[0].partition("@")
    return [name], own


@app.command(epilog="Example: swxlake export --from 2024-09-01 --to 2024-10-01")
def export(  # noqa: PLR0913, PLR0917  each parameter is an option
    tables: Tables = None,
    day: Day = None,
    first: From = None,
    stop: To = None,
    force: Force = False,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Write CDF files, and FITS from them, for days whose checks passed; a new version only where the bytes differ."""
    from swxlake import night  # noqa: PLC0415

    session = open_lake(root, verbose)
    selection = _selection(session.lake, tables, (day, first, stop), force)
    outcome = night.export(session.lake, selection, session.settings.skteditor)
    finish(in_catalog(session.lake, outcome), json)


def _selection(
    lake: Lake, tables: list[str] | None, days: tuple[str | None, str | None, str | None], force: bool
) -> Selection:
    from swxlake.night import Selection  # noqa: PLC0415

    return Selection(tables_named(lake, tables), days_of(*days), force)


@app.command(epilog="Example: swxlake night --inbox /data/moc/drop --workers 4")
def night(
    inbox: Annotated[Path | None, typer.Option("--inbox", help="Folder in which new telemetry files lie.")] = None,
    workers: Workers = None,
    dask: Dask = None,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Ingest, transform, check and export whatever is new; twice is the same as once."""
    from swxlake.night import run_night  # noqa: PLC0415

    session = open_session(root, verbose)
    with hire(session.settings, workers, dask, quiet=json or verbose > 0) as crew:
        outcome = run_night(session.lake, session.settings, inbox, crew)
    finish(outcome, json)


@app.command(epilog='Example: swxlake rebuild padre.meddea_l1_photon --from 2024-09-01 --why "new library"')
def rebuild(  # noqa: PLR0913, PLR0917  each parameter is an option
    table: Annotated[str, typer.Argument(help="A table, such as padre.meddea_l1_photon.")],
    why: Annotated[str, typer.Option("--why", help="The reason; the journal keeps it.")],
    first: From = None,
    stop: To = None,
    workers: Workers = None,
    dask: Dask = None,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Make days of a table again although nothing changed, and what follows from them; a table of L0 as a whole."""
    from swxlake import night  # noqa: PLC0415

    session = open_lake(root, verbose)
    selection = _selection(session.lake, [table], (None, first, stop), force=True)
    with hire(session.settings, workers, dask, quiet=json or verbose > 0) as crew:
        outcome = night.rebuild(session.lake, session.settings, selection, why, crew)
    finish(in_catalog(session.lake, outcome), json)


@app.command(epilog="Example: swxlake simulate padre/meddea --day 2026-08-01 --out drop --seed 7")
def simulate(  # noqa: PLR0913, PLR0917  each parameter is an option
    target: Annotated[str, typer.Argument(metavar="MISSION[/INSTRUMENT]", help="What to simulate.")],
    day: Annotated[str, typer.Option("--day", help="The UTC day.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write the files to.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same bytes.")] = 0,
    faults: Annotated[Path | None, typer.Option("--faults", help="CSV or YAML file of faults to inject.")] = None,
    hours: Annotated[float, typer.Option("--hours", min=0.01, max=744, help="Length from the start of the day.")] = 24,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Write raw files as the mission operations center would send them, with labelled faults if asked."""
    from simulate.run import simulate as run  # noqa: PLC0415

    definitions = open_session(root, verbose, even_half=True).lake.definitions
    mission, _, instrument = target.partition("/")
    made = run(definitions, mission, instrument or None, parse_day(day), out, seed, faults, hours)
    facts = {"files": len(made.files), "packets": made.packets, "bytes": made.bytes}
    finish(Outcome(facts={"simulate": facts, "folder": str(out)}), json)
