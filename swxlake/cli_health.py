# SPDX-License-Identifier: Apache-2.0
"""The command about the health of services: for whoever restarts them, and for Prometheus.

It runs every half minute beside each service, so it opens no lake and imports next to nothing; `python -m
swxlake.cli_health` is the same command without the second that the other commands take to be imported.
"""

from __future__ import annotations

import dataclasses
import json as json_text
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from lake import heartbeats
from lake.errors import ConfigurationError
from lake.heartbeats import Pulse

app = typer.Typer(add_completion=False)
MAX_AGE = 120.0  # seconds; services beat every 30 s at least, and one slow round is no fault

MaxAge = Annotated[float, typer.Option("--max-age", min=1, metavar="SECONDS", help="Silence that is a fault.")]


@app.command(epilog="Example: swxlake health watch --max-age 120")
def health(
    service: Annotated[
        list[str] | None, typer.Argument(metavar="[SERVICE]...", help="Such as watch; default all that ever ran.")
    ] = None,
    max_age: MaxAge = MAX_AGE,
    folder: Annotated[Path | None, typer.Option("--folder", help="Of the heartbeats; default $SWXLAKE_HEALTH.")] = None,
    metrics: Annotated[bool, typer.Option("--metrics", help="Print the metrics of all services, and judge none.")] = (
        False
    ),
    serve: Annotated[
        int | None,
        typer.Option("--serve", min=0, max=65535, metavar="PORT", help="Serve /metrics and /health on 127.0.0.1."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say whether services are at work: exit code 0 if all are well, else 1."""
    place = _folder(folder)
    if metrics:
        sys.stdout.buffer.write(heartbeats.metrics(place))
        return
    if serve is not None:
        from swxlake.health_server import serve as run  # noqa: PLC0415  the check must start fast

        run(place, serve, max_age)
        return
    now = datetime.now(UTC)
    found = [heartbeats.pulse(place, _name(one), max_age, now) for one in service or []]
    _show(found or heartbeats.pulses(place, max_age, now), place, json, named=bool(service))


def _folder(given: Path | None) -> Path:
    """Where the heartbeats lie. Raises ConfigurationError if nobody says so, or there is no such folder."""
    named = given or os.environ.get("SWXLAKE_HEALTH")
    if not named:
        raise ConfigurationError("no folder of heartbeats. Set SWXLAKE_HEALTH for this command and for the services.")
    if not (place := Path(named)).is_dir():
        raise ConfigurationError(f"{place}: is no folder. Correct SWXLAKE_HEALTH, or start a service; it makes it.")
    return place


def _name(service: str) -> str:
    """A service's name; one that leads elsewhere is none."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", service):
        raise ConfigurationError(f"{service!r}: is no name of a service. Write one such as watch.")
    return service.replace("-", "_")  # as metrics are named, whatever the unit that runs the service is called


def _show(found: list[Pulse], place: Path, as_json: bool, named: bool) -> None:
    """Print what was found, leave with the exit code; a service that was stopped is missed only if it is asked for."""
    well = bool(found) and all(pulse.state == "well" or (pulse.state == "stopped" and not named) for pulse in found)
    if as_json:
        services = [dataclasses.asdict(pulse) for pulse in found]
        print(json_text.dumps({"healthy": well, "services": services}, indent=2))
    elif not found:
        print(f"{place}: no service has ever said anything here. Start one with SWXLAKE_HEALTH set to this folder.")
    for pulse in [] if as_json else found:
        print(_line(pulse))
    raise typer.Exit(0 if well else 1)


def _line(pulse: Pulse) -> str:
    """One service in one line; what others wrote is printed escaped."""
    said = f"{ascii(pulse.said)[1:-1]:.80}, {pulse.age_seconds:.0f} s ago" if pulse.state == "well" else pulse.detail
    return f"{pulse.service}: {pulse.state}; {said}"


def main() -> None:
    """Run this command alone and leave with its exit code."""
    try:
        app(prog_name="swxlake health")
    except ConfigurationError as error:
        print(f"swxlake: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        print(f"swxlake: {error.filename}: {error.strerror}. Give the right to read there.", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
