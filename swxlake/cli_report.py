# SPDX-License-Identifier: Apache-2.0
"""The command that writes what checks found as pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swxlake.cli_options import Day, From, Json, Root, To, Verbose, days_of, finish, open_lake

app = typer.Typer()


@app.command(epilog="Example: swxlake report --day 2024-09-16 --out report")
def report(  # noqa: PLR0913, PLR0917  each parameter is an option
    out: Annotated[Path, typer.Option("--out", help="Folder to write report.html and data_docs/ to.")],
    day: Day = None,
    first: From = None,
    stop: To = None,
    data_docs: Annotated[
        bool, typer.Option("--data-docs/--no-data-docs", help="Whether Great Expectations makes its pages, too.")
    ] = True,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Write what checks, limits, anomalies, alerts and packets tell of some days, or the last month, as one page."""
    from lake.clock import utc_now  # noqa: PLC0415
    from swxlake.report import write_report  # noqa: PLC0415  its libraries take a second to load

    lake = open_lake(root, verbose).lake
    finish(write_report(lake, out, days_of(day, first, stop), utc_now(), data_docs), json)
