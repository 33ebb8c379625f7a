# SPDX-License-Identifier: Apache-2.0
"""The commands that keep a lake trustworthy: releases, reproduction, comparison, upkeep, the doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swxlake.cli_options import Json, Root, Verbose, finish, open_lake, open_session

app = typer.Typer()


@app.command(epilog='Example: swxlake release v1 --why "first delivery"')
def release(
    name: Annotated[str, typer.Argument(help="Name of the release.")],
    why: Annotated[str, typer.Option("--why", help="The reason; the journal keeps it.")],
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Give the present state of all tables and products a name; it stays readable."""
    from swxlake.releases import make_release  # noqa: PLC0415

    finish(make_release(open_lake(root, verbose).lake, name, why), json)


@app.command(epilog="Example: swxlake reproduce padre_meddea_l1-photon_20240916_v1.0.0.cdf --to check")
def reproduce(
    product: Annotated[str, typer.Argument(help="File name of a product; without version the newest.")],
    to: Annotated[
        Path | None, typer.Option("--to", help="An empty folder that becomes a lake; default a temporary one.")
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Even if definitions, calibrations or code are not as recorded.")
    ] = False,
    restore: Annotated[
        bool, typer.Option("--restore", help="Put equal bytes back where the product is missing or was changed.")
    ] = False,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Make a product again from its recorded raw files in an empty folder, and compare the bytes."""
    from swxlake.reproduce import reproduce as run  # noqa: PLC0415

    finish(run(open_lake(root, verbose).lake, product, to, anyway, restore), json)


@app.command(epilog="Example: swxlake fsck --quick")
def fsck(
    quick: Annotated[bool, typer.Option("--quick", help="Compare sizes instead of hashes.")] = False,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Compare raw files, journal, tables, ledger and products with each other, both ways and by hash."""
    from swxlake.fsck import fsck as run  # noqa: PLC0415

    finish(run(open_lake(root, verbose).lake, quick), json)


@app.command(epilog="Example: swxlake maintain --retention-days 30 --dry-run")
def maintain(
    retention_days: Annotated[
        float, typer.Option("--retention-days", help="Remove only what nothing has needed for so long.")
    ] = 7,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Compact the books, write checkpoints, remove files that no table or release needs any more; at any time."""
    from swxlake.maintain import run_maintenance  # noqa: PLC0415

    finish(run_maintenance(open_lake(root, verbose).lake, retention_days, dry_run), json)


@app.command(epilog="Example: swxlake doctor")
def doctor(root: Root = None, json: Json = False, verbose: Verbose = 0) -> None:
    """Check configuration, definitions, code and storage before a run."""
    from swxlake.doctor import examine  # noqa: PLC0415

    finish(examine(open_session(root, verbose, even_half=True).lake), json)
