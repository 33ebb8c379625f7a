# SPDX-License-Identifier: Apache-2.0
"""The commands about receiving: following sources, fetching what is there, taking uploads."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated

import typer

from lake.errors import ConfigurationError
from swxlake.cli_options import From, Json, Root, To, Verbose, finish, open_lake, open_session, parse_day

app = typer.Typer()
receive = typer.Typer(epilog="Example: swxlake receive --source moc --from 2024-09-01 --dry-run")
app.add_typer(receive, name="receive")


@receive.callback(invoke_without_command=True)
def fetch(  # noqa: PLR0913, PLR0917  each parameter is an option
    context: typer.Context,
    source: Annotated[list[str] | None, typer.Option("--source", metavar="NAME", help="Only this source.")] = None,
    first: From = None,
    stop: To = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be taken, and do nothing.")] = False,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Fetch and land what the sources of receive.toml have, once; also has commands of its own."""
    if context.invoked_subcommand is not None:
        if source or first or stop or dry_run or root is not None or json or verbose:
            raise ConfigurationError(f"options stand before {context.invoked_subcommand!r}. Put them behind it.")
        return
    from swxlake.receiving import run  # noqa: PLC0415  its libraries take a second to load

    session = open_session(root, verbose)
    finish(run(session.lake, session.settings, source, _window(first, stop), dry_run), json)


def _window(first: str | None, stop: str | None) -> tuple[date | None, date | None]:
    """The first and the last day of --from and --to, of which the latter is not included."""
    start = parse_day(first) if first else None
    end = parse_day(stop) - timedelta(days=1) if stop else None
    if start and end and start > end:
        raise ConfigurationError(f"--from {first} is not before --to {stop}. The last day is not included.")
    return start, end


@receive.command(epilog="Example: swxlake receive status")
def status(root: Root = None, json: Json = False, verbose: Verbose = 0) -> None:
    """Say what each source gave, and what its manifests name that has not come."""
    from swxlake.receiving import status as look  # noqa: PLC0415

    session = open_lake(root, verbose)
    finish(look(session.lake, session.settings), json)


@app.command(epilog="Example: swxlake watch --decode -v")
def watch(
    once: Annotated[bool, typer.Option("--once", help="One round over all sources, as `receive` does.")] = False,
    decode: Annotated[bool, typer.Option("--decode", help="Decode after each round that landed something.")] = False,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Follow the sources of receive.toml, and take uploads, until SIGTERM or Ctrl-C."""
    session = open_session(root, verbose)
    if once:
        from swxlake.receiving import run  # noqa: PLC0415

        outcome = run(session.lake, session.settings)
        if decode:
            from swxlake.night import ingest  # noqa: PLC0415

            outcome.include(ingest(session.lake, session.settings, []))
        finish(outcome, json)
    from swxlake.watching import watch as follow  # noqa: PLC0415

    finish(follow(session.lake, session.settings, decode), json)
