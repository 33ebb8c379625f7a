# SPDX-License-Identifier: Apache-2.0
"""The command line. Results go to stdout, logs to stderr; see `EXIT_CODES` for what a command's end means."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import duckdb
import typer
from typer.exceptions import TyperException

from lake.config import Settings, read_settings
from lake.definition_files import read_definitions
from lake.definitions import Table
from lake.errors import ConfigurationError, SwxlakeError
from lake.store import Lake
from swxlake.outcome import Outcome
from swxlake.sql_output import Format

if TYPE_CHECKING:
    from swxlake.night import Selection

log = logging.getLogger("swxlake")

EXIT_CODES = """
Exit codes: 0 all done; 1 something was quarantined, failed a check or was refused, and the output says what;
2 wrong usage or configuration; 3 an internal error.
"""

app = typer.Typer(
    name="swxlake",
    help="From telemetry files to SQL and CDF products: a space-weather science operations center.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)

Root = Annotated[str | None, typer.Option("--root", help="The lake's folder; default $SWXLAKE_ROOT or ./lakehouse.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Verbose = Annotated[int, typer.Option("-v", "--verbose", count=True, help="Log each unit of work; twice: everything.")]
Tables = Annotated[list[str] | None, typer.Argument(help="Tables, such as padre.meddea_l1_photon; default all.")]
Day = Annotated[str | None, typer.Option("--day", help="One UTC day, such as 2024-09-16.")]
From = Annotated[str | None, typer.Option("--from", help="First UTC day of a range.")]
To = Annotated[str | None, typer.Option("--to", help="UTC day after the last one of a range.")]
Force = Annotated[bool, typer.Option("--force", help="Also what is up to date.")]


@dataclass(frozen=True)
class Session:
    """What every command needs: the lake and the settings."""

    lake: Lake
    settings: Settings


def open_lake(root: str | None, verbose: int) -> Session:
    """As `open_session`, for commands that make no lake. Raises ConfigurationError if there is none."""
    session = open_session(root, verbose)
    if not session.lake.root.is_dir():
        raise ConfigurationError(
            f"{session.lake.root}: is no lake. Run `swxlake night --inbox DIR`, or correct --root."
        )
    return session


def open_session(root: str | None, verbose: int) -> Session:
    """Read settings and definitions, and set up logging."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(level)  # also for libraries that set the level of their own loggers
    logging.basicConfig(level=level, format="%(levelname)s %(message)s", handlers=[handler])
    settings = read_settings(root)
    return Session(Lake(settings.root, read_definitions(settings.missions)), settings)


def finish(outcome: Outcome, as_json: bool) -> None:
    """Show an outcome and leave with its exit code."""
    outcome.show(as_json)
    raise typer.Exit(outcome.exit_code)


def tables_named(lake: Lake, names: list[str] | None) -> list[Table] | None:
    """The tables of these addresses in build order; None for all. Raises ConfigurationError with similar names."""
    if not names:
        return None
    known = lake.definitions.tables
    for name in names:
        if name not in known:
            raise ConfigurationError(f"there is no table {name!r}.{similar(name, list(known))}")
    return [table for address, table in known.items() if address in names]


def similar(word: str, known: list[str]) -> str:
    """A hint at the nearest known words."""
    from difflib import get_close_matches  # noqa: PLC0415

    near = get_close_matches(word, known, n=3, cutoff=0.5)
    return f" Did you mean {', '.join(near)}?" if near else f" Known are {', '.join(known)}."


def days_of(day: str | None, first: str | None, stop: str | None) -> set[date] | None:
    """The days of --day or of the half-open range --from, --to; None for all."""
    if day is None and first is None and stop is None:
        return None
    if day is not None and (first or stop):
        raise ConfigurationError("--day and --from/--to exclude each other. Give one of them.")
    start = parse_day(day or first or "2000-01-01")
    end = start + timedelta(days=1) if day else parse_day(stop or "2100-01-01")
    if start >= end:
        raise ConfigurationError(f"--from {start} is not before --to {end}. The last day is not included.")
    return {start + timedelta(days=i) for i in range((end - start).days)}


def parse_day(text: str) -> date:
    """A UTC day such as 2024-09-16."""
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        day = date.max
    if day.year >= date.max.year:  # the last year has a day without a next one
        raise ConfigurationError(f"{text!r} is no day. Write it as 2024-09-16.")
    return day


@app.command(epilog="Example: swxlake ingest /data/moc/drop")
def ingest(paths: list[Path], root: Root = None, json: Json = False, verbose: Verbose = 0) -> None:
    """Land and decode telemetry files or folders of them to L0."""
    from swxlake import night  # noqa: PLC0415  the stages' libraries take a second to load

    session = open_session(root, verbose)
    finish(night.ingest(session.lake, session.settings, paths), json)


@app.command(epilog="Example: swxlake transform --dry-run")
def transform(  # noqa: PLR0913, PLR0917  each parameter is an option
    tables: Tables = None,
    day: Day = None,
    first: From = None,
    stop: To = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be built, and why.")] = False,
    force: Force = False,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Build the table-days that are out of date, inputs before dependents."""
    from swxlake import night  # noqa: PLC0415

    session = open_lake(root, verbose)
    stage = night.transform_plan if dry_run else night.transform
    finish(stage(session.lake, _selection(session.lake, tables, day, first, stop, force)), json)


@app.command(epilog="Example: swxlake check padre.meddea_l1_photon --day 2024-09-16")
def check(  # noqa: PLR0913, PLR0917  each parameter is an option
    tables: Tables = None,
    day: Day = None,
    first: From = None,
    stop: To = None,
    force: Force = False,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Measure and judge the table-days that changed since they were judged."""
    _run_stage("check", tables, (day, first, stop), force, root, json, verbose)


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
    """Write CDF files for the days whose checks passed; a new version only where the bytes differ."""
    _run_stage("export", tables, (day, first, stop), force, root, json, verbose)


def _run_stage(
    name: str,
    tables: list[str] | None,
    days: tuple[str | None, str | None, str | None],
    force: bool,
    root: str | None,
    json: bool,
    verbose: int,
) -> None:
    from swxlake import night  # noqa: PLC0415

    session = open_lake(root, verbose)
    stage: Callable[[Lake, night.Selection], Outcome] = getattr(night, name)
    finish(stage(session.lake, _selection(session.lake, tables, *days, force)), json)


def _selection(
    lake: Lake, tables: list[str] | None, day: str | None, first: str | None, stop: str | None, force: bool
) -> Selection:
    from swxlake.night import Selection  # noqa: PLC0415

    return Selection(tables_named(lake, tables), days_of(day, first, stop), force)


@app.command(epilog="Example: swxlake night --inbox /data/moc/drop")
def night(
    inbox: Annotated[Path | None, typer.Option("--inbox", help="Folder in which new telemetry files lie.")] = None,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Ingest, transform, check and export whatever is new; twice is the same as once."""
    from swxlake.night import run_night  # noqa: PLC0415

    session = open_session(root, verbose)
    finish(run_night(session.lake, session.settings, inbox), json)


@app.command(epilog='Example: swxlake sql "SELECT count(*) FROM padre.meddea_l0_photon"')
def sql(
    query: Annotated[str | None, typer.Argument(help="One query; without it a shell opens.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="Read the query from a file.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How the result is written.")] = Format.TABLE,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file instead of stdout.")] = None,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Run one SQL query over all tables, or open a shell with history and completion."""
    from lake.catalog import open_catalog  # noqa: PLC0415
    from swxlake.shell import run_shell  # noqa: PLC0415
    from swxlake.sql_output import run_query, write_result  # noqa: PLC0415

    if query is not None and file is not None:
        raise ConfigurationError("a query and --file exclude each other. Give one of them.")
    session = open_session(root, verbose)
    with open_catalog(session.lake) as connection:
        text = _read_query(file) if file else query
        if text is None:
            run_shell(connection, session.lake.root / ".sql_history")
        elif (relation := run_query(connection, text)) is not None:
            write_result(relation, Format.JSON if json else form, output)


def _read_query(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read ({error}). Give a file with one query.") from None


@app.command(epilog="Example: swxlake describe padre.meddea_l1_photon@2024-09-16")
def describe(
    name: Annotated[str, typer.Argument(help="A table, or table@day.")],
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Columns and lineage of a table; with @day its runs, checks, files and products, back to byte ranges."""
    from swxlake.describe import describe_day, describe_table  # noqa: PLC0415

    lake = open_lake(root, verbose).lake
    address, _, day = name.partition("@")
    table = (tables_named(lake, [address]) or [])[0]
    finish(describe_day(lake, table, parse_day(day)) if day else describe_table(lake, table), json)


@app.command(epilog="Example: swxlake status --json")
def status(root: Root = None, json: Json = False, verbose: Verbose = 0) -> None:
    """Which days each table has and how they were judged, what is missing, quarantined or out of balance."""
    from swxlake.status import lake_status  # noqa: PLC0415

    finish(lake_status(open_lake(root, verbose).lake), json)


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

    definitions = open_session(root, verbose).lake.definitions
    mission, _, instrument = target.partition("/")
    made = run(definitions, mission, instrument or None, parse_day(day), out, seed, faults, hours)
    facts = {"files": len(made.files), "packets": made.packets, "bytes": made.bytes}
    finish(Outcome(facts={"simulate": facts, "folder": str(out)}), json)


@app.command(epilog="Example: swxlake doctor")
def doctor(root: Root = None, json: Json = False, verbose: Verbose = 0) -> None:
    """Check configuration, definitions, code and storage before a run."""
    from swxlake.doctor import examine  # noqa: PLC0415

    session = open_session(root, verbose)
    finish(examine(session.lake), json)


def main() -> None:
    """Run the command line and leave with an exit code; a user's mistake never shows a traceback."""
    try:
        code = app(standalone_mode=False, prog_name="swxlake")
    except (ConfigurationError, SwxlakeError) as error:
        print(f"swxlake: {error}", file=sys.stderr)
        code = 2 if isinstance(error, ConfigurationError) else 1
    except TyperException as error:
        print(_usage(error), file=sys.stderr)
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except duckdb.Error as error:
        reason = " ".join(str(error).split())
        print(f"swxlake: {reason}. Run `swxlake doctor`; it names damaged files.", file=sys.stderr)
        code = 1
    except BrokenPipeError:
        code = _closed_pipe()
    except OSError as error:
        log.debug("the operating system refused", exc_info=error)
        print(f"swxlake: {_refusal(error)}", file=sys.stderr)
        code = 1
    except Exception as error:  # the last resort, so that the exit code is 3
        log.debug("internal error", exc_info=error)
        print(f"swxlake: internal error: {type(error).__name__}: {error}. Run with -vv for the place.", file=sys.stderr)
        code = 3
    sys.exit(code)


def _usage(error: TyperException) -> str:
    """What is wrong with a command line, and where its right form is explained."""
    message = error.format_message().strip()
    if message.startswith("Usage:"):  # no command at all: the help itself
        return message
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "swxlake"
    return f"swxlake: {message.removesuffix('.')}. See `{command} --help`."


def _refusal(error: OSError) -> str:
    """What the operating system refused, and where."""
    place = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return f"{place}. Free space or give the right to read and write there, then repeat."


def _closed_pipe() -> int:
    """The reader has gone (`| head`): nothing more can be said."""
    sys.stdout = None
    return 0
