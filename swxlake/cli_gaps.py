# SPDX-License-Identifier: Apache-2.0
"""The command that accounts for packets: what was received, what is missing, what to ask for again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swxlake.cli_options import Day, From, Json, Root, To, Verbose, days_of, finish, open_lake

app = typer.Typer()


@app.command(epilog="Example: swxlake gaps padre/meddea --day 2024-09-16 --request meddea.json")
def gaps(  # noqa: PLR0913, PLR0917  each parameter is an option
    instrument: Annotated[
        str | None, typer.Argument(metavar="MISSION/INSTRUMENT", help="Such as padre/meddea; default all.")
    ] = None,
    apid: Annotated[int | None, typer.Option("--apid", min=0, max=2047, help="Packets of this APID only.")] = None,
    day: Day = None,
    first: From = None,
    stop: To = None,
    request: Annotated[
        Path | None,
        typer.Option("--request", metavar="FILE", help="Write what to send again to a .json or .csv file."),
    ] = None,
    root: Root = None,
    json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """How many packets came of each APID and day, which are missing, and what to ask for again."""
    from swxlake.gaps import Wanted, account_of_packets  # noqa: PLC0415

    lake = open_lake(root, verbose).lake
    wanted = Wanted.of(lake, instrument, apid, days_of(day, first, stop))
    finish(account_of_packets(lake, wanted, request, whole=json), json)
