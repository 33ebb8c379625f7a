# SPDX-License-Identifier: Apache-2.0
"""The commands about alerts: which there are, what they are about, acknowledging and sending them."""

from __future__ import annotations

from typing import Annotated

import typer

from lake.errors import ConfigurationError
from swxlake.cli_options import Json, Root, Verbose, finish, in_catalog, open_lake

app = typer.Typer()
alerts = typer.Typer(epilog="Example: swxlake alerts --all --json")
app.add_typer(alerts, name="alerts")

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of an alert, or the beginning of it.")]


@alerts.callback(invoke_without_command=True)
def list_them(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """List the alerts that are open or acknowledged; each has commands of its own."""
    if context.invoked_subcommand is not None:
        if everything or root is not None or json or verbose:
            raise ConfigurationError(f"options stand before {context.invoked_subcommand!r}. Put them behind it.")
        return
    from swxlake.alerting import list_alerts  # noqa: PLC0415  the libraries take a second to load

    finish(list_alerts(open_lake(root, verbose).lake, everything), json)


@alerts.command(epilog="Example: swxlake alerts show 1a2b3c")
def show(alert: Id, root: Root = None, json: Json = False, verbose: Verbose = 0) -> None:
    """Explain an alert: rule, value, what is usual, span, events, the query for its data, what to do."""
    from swxlake.alerting import show_alert  # noqa: PLC0415

    finish(show_alert(open_lake(root, verbose).lake, alert), json)


@alerts.command(epilog='Example: swxlake alerts ack 1a2b3c --by "A. Operator" --note "heater test"')
def ack(
    alert: Id,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who knows of it.")],
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What it is; the journal keeps it.")] = "",
    new_normal: Annotated[
        bool, typer.Option("--new-normal", help="Also take the level of its channels since then for usual.")
    ] = False,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Say that an alert is known: it is not repeated, but still told when it gets worse or is over."""
    from swxlake.alerting import acknowledge_alert  # noqa: PLC0415

    lake = open_lake(root, verbose).lake
    finish(in_catalog(lake, acknowledge_alert(lake, alert, by, note, new_normal)), json)


@alerts.command(epilog="Example: swxlake alerts update")
def update(root: Root = None, json: Json = False, verbose: Verbose = 0) -> None:
    """Look what is wrong now, as the night does at its end, and tell it; for once an hour."""
    from swxlake.alerting import update as run  # noqa: PLC0415

    session = open_lake(root, verbose)
    finish(in_catalog(session.lake, run(session.lake, session.settings)), json)


@alerts.command(epilog="Example: swxlake alerts send")
def send(root: Root = None, json: Json = False, verbose: Verbose = 0) -> None:
    """Send what waits because a channel was down."""
    from swxlake.alerting import send_waiting  # noqa: PLC0415

    session = open_lake(root, verbose)
    finish(send_waiting(session.lake, session.settings), json)


@alerts.command("test", epilog="Example: swxlake alerts test operators")
def try_out(
    channel: Annotated[str, typer.Argument(help="Name of a channel in the settings of alerts.")],
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Send a test on a channel."""
    from swxlake.alerting import try_out as run  # noqa: PLC0415

    session = open_lake(root, verbose)
    finish(run(session.lake, session.settings, channel), json)
