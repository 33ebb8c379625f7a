# SPDX-License-Identifier: Apache-2.0
"""The commands about copies of the lake: making, verifying, listing, restoring them; packing a release."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lake.errors import ConfigurationError
from swxlake.cli_options import Json, Root, Verbose, finish, open_lake, open_session

app = typer.Typer()
backup = typer.Typer(no_args_is_help=True, help="Copies of the lake at other places: make, verify and list them.")
app.add_typer(backup, name="backup")

To = Annotated[str | None, typer.Option("--to", metavar="NAME", help="Only this place of backup.toml.")]


@backup.command(epilog="Example: swxlake backup run --to vault --dry-run")
def run(
    to: To = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how much would be sent, and send nothing.")] = False,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Copy what the places of backup.toml lack, and verify the copies that are due."""
    from swxlake.backing_up import run_needed  # noqa: PLC0415  its libraries take a second to load

    session = open_lake(root, verbose)
    finish(run_needed(session.lake, session.settings, to, dry_run), json)


@backup.command(epilog="Example: swxlake backup verify --share 1 --repair")
def verify(  # noqa: PLR0913, PLR0917  each parameter is an option
    to: To = None,
    share: Annotated[
        float | None,
        typer.Option("--share", help="How much is read back, 0 to 1; each time another part. Default: the setting."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Count what all snapshots name, at once.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Also decrypt it; needs the private key.")] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Send again what is damaged and the lake has.")] = False,
    identity_file: Annotated[
        Path | None, typer.Option("--identity-file", help="The private key of age for --deep, if not in backup.toml.")
    ] = None,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Count the objects of a copy, read back a share of them, and name those that are damaged."""
    if share is not None and not 0 < share <= 1:
        raise ConfigurationError(f"--share {share:g}: is no share. Give more than 0 and at most 1.")
    from swxlake.backing_up import Wanted, verify_copies  # noqa: PLC0415

    session = open_session(root, verbose)
    finish(verify_copies(session.lake, session.settings, to, Wanted(share, every, deep, repair, identity_file)), json)


@backup.command("list", epilog="Example: swxlake backup list --to vault")
def list_all(
    to: To = None,
    newest: Annotated[int, typer.Option("--newest", min=1, help="How many of each place are shown.")] = 20,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """List the snapshots at each place; needs no lake."""
    from swxlake.backing_up import list_snapshots  # noqa: PLC0415

    finish(list_snapshots(open_session(root, verbose, even_half=True).settings, to, newest), json)


@app.command(epilog="Example: swxlake restore vault --as-of 2026-08-01 --root /srv/new-lake")
def restore(  # noqa: PLR0913, PLR0917  each parameter is an option
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A place of backup.toml; needed if there are several.")
    ] = None,
    place_folder: Annotated[
        Path | None, typer.Option("--place-folder", help="The folder with the copy, in place of backup.toml.")
    ] = None,
    identity_file: Annotated[
        Path | None, typer.Option("--identity-file", help="The private key of age, if the copy is encrypted.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="TIME|SNAPSHOT", help="The newest one by then; default the newest.")
    ] = None,
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="KEY", help="Only what is below it, as in raw/padre/meddea/2024-09-16."),
    ] = None,
    config_to: Annotated[
        Path | None, typer.Option("--config-to", help="Where definitions and settings go; default ROOT-config.")
    ] = None,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Restore a lake from a copy into the empty place that --root names; repeat it if it was interrupted."""
    from swxlake.restoring import Order, restore_lake  # noqa: PLC0415

    order = Order(name, place_folder, identity_file, as_of, only, config_to)
    finish(restore_lake(open_session(root, verbose, even_half=True).settings, order), json)


@app.command(epilog="Example: swxlake bag v1 --to /srv/bags/v1")
def bag(
    name: Annotated[str, typer.Argument(help="Name of the release.")],
    to: Annotated[Path, typer.Option("--to", help="A folder that is made; it becomes the bag.")],
    doi: Annotated[str, typer.Option("--doi", help="The DOI of the release, if it has one.")] = "",
    tables: Annotated[bool, typer.Option(help="Also the rows of all tables, as Parquet files.")] = True,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Pack a release as a BagIt bag, for an archive."""
    from swxlake.bags import make_bag  # noqa: PLC0415

    finish(make_bag(open_lake(root, verbose).lake, name, to, doi, tables), json)
