# SPDX-License-Identifier: Apache-2.0
"""The commands about a mirror: a team's folder that is kept equal to a bucket. No lake is needed for them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lake.errors import ConfigurationError
from swxlake.cli_options import Json, Verbose, finish, log_to_stderr

app = typer.Typer()
mirror = typer.Typer(epilog="Example: swxlake mirror --settings mirror.toml --once")
app.add_typer(mirror, name="mirror")

DEFAULT = Path("mirror.toml")
File = Annotated[
    Path | None, typer.Option("--settings", metavar="FILE", help="What is mirrored to where; default ./mirror.toml.")
]


@mirror.callback(invoke_without_command=True)
def keep(
    context: typer.Context,
    settings: File = None,
    once: Annotated[bool, typer.Option("--once", help="Make one round and end.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what a round would bring, and do nothing.")] = False,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Keep a folder of a team equal to a bucket, an SFTP server or a folder; also has a command of its own."""
    if context.invoked_subcommand is not None:
        if settings is not None or once or dry_run or json or verbose:
            raise ConfigurationError(f"options stand before {context.invoked_subcommand!r}. Put them behind it.")
        return
    from exports.mirror.settings import read_mirror_settings  # noqa: PLC0415  a help page needs none of it
    from lake.config import read_settings  # noqa: PLC0415
    from swxlake.mirroring import once as make_one  # noqa: PLC0415
    from swxlake.mirroring import plan, run  # noqa: PLC0415

    log_to_stderr(verbose)
    found = read_mirror_settings(settings or DEFAULT)
    if dry_run:
        finish(plan(found, everything=json), json)
    if once:
        finish(make_one(found, everything=json), json)
    finish(run(found, read_settings().health), json)


@mirror.command(epilog="Example: swxlake mirror status --settings mirror.toml")
def status(settings: File = None, json: Json = False, verbose: Verbose = 0) -> None:
    """Say what the mirror has, when it looked last, and which files fail and why."""
    from exports.mirror.settings import read_mirror_settings  # noqa: PLC0415
    from swxlake.mirroring import status as look  # noqa: PLC0415

    log_to_stderr(verbose)
    finish(look(read_mirror_settings(settings or DEFAULT)), json)
