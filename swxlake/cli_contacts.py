# SPDX-License-Identifier: Apache-2.0
"""The commands about passes: what came, what the mission operations center is told, the health report."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer

from lake.clock import utc_now
from lake.errors import ConfigurationError
from swxlake.cli_options import Day, Json, Root, Verbose, finish, open_lake, parse_day

app = typer.Typer()
contacts = typer.Typer(epilog="Example: swxlake contacts --day 2026-08-01")
app.add_typer(contacts, name="contacts")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


@contacts.callback(invoke_without_command=True)
def passes(
    context: typer.Context, day: Day = None, root: Root = None, json: Json = False, verbose: Verbose = 0
) -> None:
    """Say which planned passes came, and what of them is missing; also has commands of its own."""
    if context.invoked_subcommand is None:
        _status(day, root, json, verbose)
    elif day is not None or root is not None or json or verbose:
        raise ConfigurationError(f"options stand before {context.invoked_subcommand!r}. Put them behind it.")


@contacts.command(epilog="Example: swxlake contacts status --day 2026-08-01")
def status(day: Day = None, root: Root = None, json: Json = False, verbose: Verbose = 0) -> None:
    """Say which planned passes came, and what of them is missing or late."""
    _status(day, root, json, verbose)


def _status(day: str | None, root: str | None, json: bool, verbose: int) -> None:
    from swxlake.contacting import status as look  # noqa: PLC0415  its libraries take a second to load

    session = open_lake(root, verbose)
    finish(look(session.lake, session.settings, parse_day(day) if day else None), json)


@contacts.command(epilog="Example: swxlake contacts account")
def account(dry_run: DryRun = False, root: Root = None, json: Json = False, verbose: Verbose = 0) -> None:
    """Read new plans, note how passes stand, send receipts, and ask if the settings say so: as a night does."""
    if dry_run:
        _status(None, root, json, verbose)
    from swxlake.contacting import run  # noqa: PLC0415

    session = open_lake(root, verbose)
    finish(run(session.lake, session.settings), json)


@contacts.command(epilog="Example: swxlake contacts plan passes_2026-08.csv")
def plan(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A plan of passes, .csv or .json.")],
    dry_run: DryRun = False,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Read a plan of passes and keep it; passes of the same name in earlier plans are superseded."""
    from swxlake.contacting import keep_plan  # noqa: PLC0415

    session = open_lake(root, verbose)
    finish(keep_plan(session.lake, session.settings, file, dry_run), json)


@contacts.command(epilog="Example: swxlake contacts answer --dry-run")
def answer(dry_run: DryRun = False, root: Root = None, json: Json = False, verbose: Verbose = 0) -> None:
    """Send the operations center a receipt for each file that came and has none."""
    from swxlake.contacting import answer as send  # noqa: PLC0415

    session = open_lake(root, verbose)
    finish(send(session.lake, session.settings, dry_run), json)


@contacts.command(epilog="Example: swxlake contacts request --dry-run")
def request(dry_run: DryRun = False, root: Root = None, json: Json = False, verbose: Verbose = 0) -> None:
    """Ask the operations center to send missing packets again, each gap once in a while."""
    from swxlake.contacting import request as ask  # noqa: PLC0415

    session = open_lake(root, verbose)
    finish(ask(session.lake, session.settings, dry_run), json)


@contacts.command(epilog="Example: swxlake contacts report --day 2026-08-01 --out health")
def report(
    day: Annotated[str | None, typer.Option("--day", help="One UTC day, such as 2024-09-16, or yesterday.")] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for health_<day>.html, .json and .csv.")
    ] = Path("health"),
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Write the health report of a UTC day; default the newest day with packets or passes."""
    from swxlake.health_report import write_health_report  # noqa: PLC0415

    lake = open_lake(root, verbose).lake
    finish(write_health_report(lake, out, _day(day) if day else None), json)


def _day(text: str) -> date:
    """A UTC day, or the one before today, which a timer cannot name."""
    return utc_now().date() - timedelta(days=1) if text == "yesterday" else parse_day(text)
