# SPDX-License-Identifier: Apache-2.0
"""The command that begins an instrument."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lake.config import read_settings
from swxlake.cli_options import Json, finish

app = typer.Typer()


@app.command(epilog="Example: swxlake new demo/thermo --packets hk.csv --apid 100 --calibration hk_polynomial.csv")
def new(  # noqa: PLR0913, PLR0917  each parameter is an option
    target: Annotated[str, typer.Argument(metavar="MISSION/INSTRUMENT", help="Lower-case letters and digits.")],
    packets: Annotated[
        list[Path] | None, typer.Option("--packets", help="Field table of a packet, as ccsdspy reads it; repeatable.")
    ] = None,
    apid: Annotated[
        list[int] | None, typer.Option("--apid", help="The APID of each --packets, in their order.")
    ] = None,
    xtce: Annotated[Path | None, typer.Option("--xtce", help="XTCE file with packets, calibrators and alarms.")] = None,
    calibration: Annotated[
        list[Path] | None, typer.Option("--calibration", help="<word>_<kind>.csv for some channels; repeatable.")
    ] = None,
    coarse: Annotated[str | None, typer.Option("--coarse", help="Field with the clock's seconds.")] = None,
    fine: Annotated[str | None, typer.Option("--fine", help="Field with the clock's ticks below a second.")] = None,
    epoch: Annotated[str | None, typer.Option("--epoch", help="UTC from which it counts: 2000-01-01T00:00:00.")] = None,
    policy: Annotated[str, typer.Option("--policy", help="leap, posix or none: how it counts leap seconds.")] = "leap",
    checksum: Annotated[str | None, typer.Option("--checksum", help="Kind of the checksum in the last field.")] = None,
    cadence: Annotated[float | None, typer.Option("--cadence", min=0.001, help="Seconds between packets.")] = None,
    missions: Annotated[
        Path | None, typer.Option("--missions", help="Folder of definitions; default $SWXLAKE_MISSIONS or missions.")
    ] = None,
    json: Json = False,
) -> None:
    """Begin an instrument: copy the template, or build the folder around field tables or an XTCE file."""
    from swxlake.new.instrument import Wanted, check_wanted  # noqa: PLC0415
    from swxlake.new.making import Request, make_instrument, parse_target  # noqa: PLC0415

    mission, instrument = parse_target(target)
    wanted = check_wanted(Wanted(coarse, fine, epoch, policy, checksum, cadence))
    request = Request(
        mission, instrument, tuple(packets or ()), xtce, tuple(calibration or ()), tuple(apid or ()), wanted
    )
    finish(make_instrument(missions or read_settings().missions, request), json)
