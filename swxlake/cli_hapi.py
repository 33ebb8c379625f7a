# SPDX-License-Identifier: Apache-2.0
"""The command that serves products by HAPI, the Heliophysics API."""

from __future__ import annotations

from typing import Annotated

import typer

from swxlake.cli_options import Certificate, Host, Key, Port, Root, Verbose, open_lake

app = typer.Typer()
hapi = typer.Typer(no_args_is_help=True, epilog="Example: swxlake hapi serve --port 8090")
app.add_typer(hapi, name="hapi", help="Give products to programs by HAPI, the Heliophysics API.")


Records = Annotated[int, typer.Option("--records", min=1, help="Most records that one request may ask for.")]
Seconds = Annotated[float, typer.Option("--seconds", min=1, help="A client that takes nothing for so long is cut off.")]
Streams = Annotated[int, typer.Option("--streams", min=1, help="Most answers with data at a time; others get 503.")]
Contact = Annotated[
    str | None, typer.Option("--contact", help="Whom /hapi/about names for questions, such as an address.")
]
Public = Annotated[
    bool,
    typer.Option(
        "--public", help="The products are public: pages of any site may ask (CORS), by any name of the host."
    ),
]


@hapi.command(epilog="Example: swxlake hapi serve --port 8090 --contact data@example.org")
def serve(  # noqa: PLR0913, PLR0917  each parameter is an option
    host: Host = "127.0.0.1",
    port: Port = 8090,
    certificate: Certificate = None,
    key: Key = None,
    records: Records = 100_000_000,
    seconds: Seconds = 60.0,
    streams: Streams = 8,
    contact: Contact = None,
    public: Public = False,
    root: Root = None,
    verbose: Verbose = 0,
) -> None:
    """Serve the products by HAPI 3 until SIGTERM or Ctrl-C. Nothing is ever written."""
    from exports.hapi.serving import Manner  # noqa: PLC0415  its libraries take a second to load
    from swxlake.showing import listen_at, serve_hapi  # noqa: PLC0415

    session = open_lake(root, verbose)
    manner = Manner(records, seconds, streams, contact or Manner.contact, public)
    serve_hapi(session.lake, session.settings, listen_at(host, port, certificate, key), manner)
