# SPDX-License-Identifier: Apache-2.0
"""The commands about giving packets on: pushing what is new, serving subscribers, how clients stand, listening."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lake.errors import ConfigurationError
from swxlake.cli_options import Json, Root, Verbose, finish, log_to_stderr, open_lake

app = typer.Typer()
forward = typer.Typer(no_args_is_help=True, help="Give packets on as they arrive, or again.")
app.add_typer(forward, name="forward")

FromTime = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME", help="Again from this UTC time on, such as 2024-09-16T12:00:00Z."),
]
ToTime = Annotated[str | None, typer.Option("--to", metavar="TIME", help="UTC time at which to end; not included.")]
Speed = Annotated[
    str | None, typer.Option("--speed", metavar="X", help="1 as fast as measured, 10 ten times that, or full.")
]
Ca = Annotated[Path | None, typer.Option("--ca-file", metavar="FILE", help="Certificates to trust, PEM.")]
Certificate = Annotated[Path | None, typer.Option("--certificate", metavar="FILE", help="Our own certificate, PEM.")]
Key = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="The key of our certificate, PEM.")]
TokenEnv = Annotated[
    str | None, typer.Option("--token-env", metavar="NAME", help="Environment variable with the token.")
]
TokenFile = Annotated[Path | None, typer.Option("--token-file", metavar="FILE", help="File with the token.")]


@forward.command(epilog="Example: swxlake forward push --from 2024-09-16 --to 2024-09-17 --speed 10")
def push(  # noqa: PLR0913, PLR0917  each parameter is an option
    client: Annotated[list[str] | None, typer.Argument(metavar="CLIENT", help="Only these; default all.")] = None,
    first: FromTime = None,
    last: ToTime = None,
    speed: Speed = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what arrives, until SIGTERM or SIGINT.")] = False,
    dead: Annotated[bool, typer.Option("--dead", help="Once more what one client did not take.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and do nothing.")] = False,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Give webhooks, folders, buckets and SFTP hosts what they have not got yet, or a range of time again."""
    from swxlake.forwarding import Range, planned, push_again, push_packets  # noqa: PLC0415  its libraries take a second to load

    session, asked = open_lake(root, verbose), Range(first, last, speed)
    if dead:
        if asked.given() or follow or dry_run:
            raise ConfigurationError("--dead excludes --from, --to, --speed, --follow and --dry-run. Drop one of them.")
        finish(push_again(session.lake, session.settings, client), json)
    if dry_run:
        finish(planned(session.lake, session.settings, client, asked), json)
    finish(push_packets(session.lake, session.settings, client, asked, follow), json)


@forward.command(epilog="Example: swxlake forward serve -v")
def serve(root: Root = None, json: Json = False, verbose: Verbose = 0) -> None:
    """Serve packets to subscribers over TCP, each from where it has come to, until SIGTERM or SIGINT."""
    from swxlake.forwarding import serve as run  # noqa: PLC0415

    session = open_lake(root, verbose)
    finish(run(session.lake, session.settings), json)


@forward.command(epilog="Example: swxlake forward status --json")
def status(root: Root = None, json: Json = False, verbose: Verbose = 0) -> None:
    """Say where each client has come to, and how far it is behind."""
    from swxlake.forward_status import status as look  # noqa: PLC0415

    session = open_lake(root, verbose)
    finish(look(session.lake, session.settings), json)


@forward.command(epilog="Example: swxlake forward listen 127.0.0.1:7411 --client viewer --token-env VIEWER_TOKEN")
def listen(  # noqa: PLR0913, PLR0917  each parameter is an option
    server: Annotated[str, typer.Argument(metavar="HOST:PORT", help="Where `swxlake forward serve` listens.")],
    client: Annotated[str, typer.Option("--client", metavar="NAME", help="The name that the server knows.")],
    token_env: TokenEnv = None,
    token_file: TokenFile = None,
    start: Annotated[
        str, typer.Option("--from", metavar="WHERE", help="cursor, now, beginning, 7.120, or a UTC time.")
    ] = "cursor",
    last: ToTime = None,
    speed: Speed = None,
    mission: Annotated[list[str] | None, typer.Option("--mission", help="Only this mission.")] = None,
    instrument: Annotated[list[str] | None, typer.Option("--instrument", help="Only this instrument.")] = None,
    apid: Annotated[list[int] | None, typer.Option("--apid", help="Only this APID.")] = None,
    to_file: Annotated[
        Path | None,
        typer.Option("--to-file", metavar="FILE", help="Append the packets to a file; default: print them."),
    ] = None,
    most: Annotated[int | None, typer.Option("--most", min=1, help="End after so many packets.")] = None,
    ca_file: Ca = None,
    certificate: Certificate = None,
    key: Key = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Take packets from a server of ours: a reference client, which needs no lake."""
    from swxlake.listening import Listening  # noqa: PLC0415
    from swxlake.listening import listen as take  # noqa: PLC0415

    log_to_stderr(verbose)
    lists: dict[str, Any] = {"missions": mission, "instruments": instrument, "apids": apid}
    texts: dict[str, Any] = {"to": last, "speed": speed}
    hello = {"client": client, "from": start} | {name: value for name, value in (lists | texts).items() if value}
    known = (token_env, token_file, ca_file, certificate, key)
    outcome = take(Listening(server, hello, *known, to_file=to_file, most=most))
    if to_file is None and not json and not outcome.problems:
        raise typer.Exit(0)  # packets are what was asked for, and nothing else
    finish(outcome, json)


@forward.command(epilog="Example: swxlake forward receive --secret-env PHOTONS_SECRET --out received")
def receive(
    secret_env: Annotated[
        list[str], typer.Option("--secret-env", metavar="NAME", help="Environment variable with a secret that is good.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder that messages are kept in.")],
    where: Annotated[str, typer.Option("--listen", metavar="HOST:PORT", help="Where to listen.")] = "127.0.0.1:8080",
    certificate: Certificate = None,
    key: Key = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Receive messages of webhooks, verified, until SIGTERM or SIGINT: a reference receiver, which needs no lake."""
    from swxlake.listening import receive_messages  # noqa: PLC0415

    log_to_stderr(verbose)
    finish(receive_messages(where, secret_env, out, certificate, key), json)
