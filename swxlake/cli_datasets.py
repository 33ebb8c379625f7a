# SPDX-License-Identifier: Apache-2.0
"""The command that shows datasets and writes what an archive wants to know of them before the first file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lake.config import read_settings
from lake.definition_files import read_definitions
from swxlake.cli_options import Json, finish

app = typer.Typer()


@app.command(epilog="Example: swxlake datasets padre_meddea_l1-photon --out for-spdf")
def datasets(
    name: Annotated[str | None, typer.Argument(help="A dataset, such as padre_meddea_l1-photon; default all.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the master CDF, skeleton and SPASE record of each.")
    ] = None,
    json: Json = False,
) -> None:
    """List the datasets whose files are products; with --out, write master CDF, skeleton and SPASE record of each."""
    from swxlake.dataset_files import list_datasets  # noqa: PLC0415  the CDF library takes half a second to load

    finish(list_datasets(read_definitions(read_settings().missions), name, out), json)
