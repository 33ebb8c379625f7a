# SPDX-License-Identifier: Apache-2.0
"""The commands that draw: quick looks, the status site, and the server of the viewer."""

from __future__ import annotations

import typer

from swxlake.cli_options import (
    Certificate,
    Day,
    Force,
    From,
    Host,
    Json,
    Key,
    Port,
    Root,
    Tables,
    To,
    Verbose,
    days_of,
    finish,
    open_lake,
    tables_named,
)

app = typer.Typer()
monitor = typer.Typer(no_args_is_help=True, epilog="Example: swxlake monitor serve")
app.add_typer(monitor, name="monitor", help="Look at the lake in a browser, down to raw rows.")


@app.command(epilog="Example: swxlake site")
def site(force: Force = False, root: Root = None, json: Json = False, verbose: Verbose = 0) -> None:
    """Write the status site to site/ below the lake, where it changed; open its index.html in a browser."""
    from swxlake.drawing import whole_site as write  # noqa: PLC0415  its libraries take a second to load

    session = open_lake(root, verbose)
    finish(write(session.lake, session.settings, force), json)


@app.command(epilog="Example: swxlake quicklook hermes.eea_l2_flux --day 2026-08-01")
def quicklook(  # noqa: PLR0913, PLR0917  each parameter is an option
    tables: Tables = None,
    day: Day = None,
    first: From = None,
    stop: To = None,
    force: Force = False,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Draw the quick looks of the days that changed."""
    from swxlake.drawing import look  # noqa: PLC0415

    session = open_lake(root, verbose)
    finish(look(session.lake, tables_named(session.lake, tables), days_of(day, first, stop), force), json)


@monitor.command(epilog="Example: swxlake monitor serve --port 8080")
def serve(
    host: Host = "127.0.0.1",
    port: Port = 8080,
    certificate: Certificate = None,
    key: Key = None,
    root: Root = None,
    verbose: Verbose = 0,
) -> None:
    """Serve the site, and what the viewer zooms to, until SIGTERM or Ctrl-C. Nothing is ever written."""
    from lake.answers import Limits  # noqa: PLC0415
    from swxlake.showing import listen_at, serve_monitor  # noqa: PLC0415

    session = open_lake(root, verbose)
    serve_monitor(session.lake, session.settings, listen_at(host, port, certificate, key), Limits())
