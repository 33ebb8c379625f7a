# SPDX-License-Identifier: Apache-2.0
"""The commands that look at a lake and change nothing in it: SQL, descriptions, status."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lake.errors import ConfigurationError
from lake.store import Lake
from swxlake.cli_options import Json, Root, Verbose, finish, open_lake, open_session
from swxlake.sql_output import Format

app = typer.Typer()


@app.command(epilog='Example: swxlake sql "SELECT count(*) FROM padre.meddea_l0_photon"')
def sql(  # noqa: PLR0913, PLR0917  each parameter is an option
    query: Annotated[str | None, typer.Argument(help="One query; without it a shell opens.")] = None,
    file: Annotated[Path | None, typer.Option("--file", help="Read the query from a file.")] = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="NAME|TIME", help="The tables as they were, at a release or a UTC time."),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How the result is written.")] = Format.TABLE,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to a file instead of stdout.")] = None,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Run one SQL query over all tables, or open a shell with history and completion."""
    from lake.catalog import open_catalog  # noqa: PLC0415
    from swxlake.shell import history_of, run_script, run_shell  # noqa: PLC0415
    from swxlake.sql_output import run_query, write_result  # noqa: PLC0415

    if query is not None and file is not None:
        raise ConfigurationError("a query and --file exclude each other. Give one of them.")
    lake = (open_session if as_of is None else open_lake)(root, verbose).lake
    with open_catalog(lake if as_of is None else _as_of(lake, as_of)) as connection:
        text, form = _read_query(file) if file else query, Format.JSON if json else form
        piped = sys.stdin.read() if text is None and not sys.stdin.isatty() else None
        if piped is not None and output is None:
            run_script(connection, piped, form)
        elif (text := text or piped) is None:
            run_shell(connection, history_of(lake))
        elif (relation := run_query(connection, text)) is not None:
            write_result(relation, form, output)


def _as_of(lake: Lake, text: str) -> Lake:
    from swxlake.releases import as_of  # noqa: PLC0415  the export's libraries take a second to load

    return as_of(lake, text)


def _read_query(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read ({error}). Give a file with one query.") from None


@app.command(epilog="Example: swxlake describe padre.meddea_l1_photon@2024-09-16")
def describe(
    name: Annotated[
        str,
        typer.Argument(
            help="A table, table@day, mission/instrument/packet, or the file name or path of raw telemetry, a "
            "calibration or a product."
        ),
    ],
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """What a table, a table-day, a packet or a file is, what it was made of, and what was made of it."""
    from swxlake.describe import describe as run  # noqa: PLC0415

    finish(run(open_session(root, verbose).lake, name), json)


@app.command(epilog="Example: swxlake status --json")
def status(root: Root = None, json: Json = False, verbose: Verbose = 0) -> None:
    """Which days each table has and how they were judged, what is missing, quarantined or out of balance."""
    from swxlake.status import lake_status  # noqa: PLC0415

    finish(lake_status(open_lake(root, verbose).lake), json)


@app.command(epilog="Example: swxlake releases")
def releases(root: Root = None, json: Json = False, verbose: Verbose = 0) -> None:
    """List the releases, each with its date, what it holds and why it was made."""
    from swxlake.releases import list_releases  # noqa: PLC0415

    finish(list_releases(open_lake(root, verbose).lake), json)
