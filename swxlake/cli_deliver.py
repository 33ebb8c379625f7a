# SPDX-License-Identifier: Apache-2.0
"""The commands about delivery: sending what recipients lack, how they stand, and what people decide."""

from __future__ import annotations

from typing import Annotated

import typer

from lake.errors import ConfigurationError
from swxlake.cli_options import Json, Root, Verbose, finish, open_lake

app = typer.Typer()
deliver = typer.Typer(epilog="Example: swxlake deliver --to spdf --verify")
app.add_typer(deliver, name="deliver")

By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who decides.")]
Why = Annotated[str, typer.Option("--why", metavar="REASON", help="Why; the journal keeps it.")]


@deliver.callback(invoke_without_command=True)
def send(
    context: typer.Context,
    to: Annotated[list[str] | None, typer.Option("--to", metavar="NAME", help="Only this recipient.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read back all that they have; send again what is missing or changed.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent, and do nothing.")] = False,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Send each recipient the products that it should have and lacks; also has commands of its own."""
    if context.invoked_subcommand is not None:
        if to or verify or dry_run or root is not None or json or verbose:
            raise ConfigurationError(f"options stand before {context.invoked_subcommand!r}. Put them behind it.")
        return
    if verify and dry_run:
        raise ConfigurationError("--verify and --dry-run exclude each other: a dry run asks no recipient. Drop one.")
    from swxlake.delivering import plan, run  # noqa: PLC0415  its libraries take a second to load

    session = open_lake(root, verbose)
    if dry_run:
        finish(plan(session.lake, session.settings, to, everything=json), json)
    finish(run(session.lake, session.settings, to, verify), json)


@deliver.command(epilog="Example: swxlake deliver status")
def status(root: Root = None, json: Json = False, verbose: Verbose = 0) -> None:
    """Say what each recipient has, what waits, and what it does not get and why."""
    from swxlake.delivering import status as look  # noqa: PLC0415

    session = open_lake(root, verbose)
    finish(look(session.lake, session.settings), json)


@deliver.command(epilog='Example: swxlake deliver approve padre.meddea_l1_photon --by "A. Scientist" --why "validated"')
def approve(
    product: Annotated[str, typer.Argument(metavar="PRODUCT[@DAY]", help="A product, or one day of it.")],
    by: By,
    why: Why,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Approve a product for public recipients, where the settings ask for that."""
    from swxlake.delivering import approve_product  # noqa: PLC0415

    session = open_lake(root, verbose)
    finish(approve_product(session.lake, session.settings, product, by, why), json)


@deliver.command(
    epilog='Example: swxlake deliver withdraw padre_meddea_l1-photon_20240916_v1.0.0.cdf --by "A. S." --why "bad gain"'
)
def withdraw(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Name of a file with its version.")],
    by: By,
    why: Why,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Withdraw a version for good: nobody gets it any more, and whoever has it is told."""
    from swxlake.delivering import withdraw_file  # noqa: PLC0415

    finish(withdraw_file(open_lake(root, verbose).lake, file, by, why), json)
