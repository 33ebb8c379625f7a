# SPDX-License-Identifier: Apache-2.0
"""What the commands share: options, the session they open, how arguments become tables and days."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lake.backup.marker import check_whole
from lake.config import Settings, read_settings
from lake.definition_files import read_definitions
from lake.definitions import Table
from lake.errors import ConfigurationError
from lake.parallel import executor
from lake.store import Lake
from swxlake.outcome import Outcome

if TYPE_CHECKING:
    from swxlake.night import Crew

OURS = ("swxlake", "lake", "ingest", "transforms", "quality", "exports", "monitor", "simulate")

Root = Annotated[
    str | None,
    typer.Option("--root", help="The lake: a folder or s3://bucket/prefix; default $SWXLAKE_ROOT or ./lakehouse."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Verbose = Annotated[int, typer.Option("-v", "--verbose", count=True, help="Log each unit of work; twice: everything.")]
Tables = Annotated[list[str] | None, typer.Argument(help="Tables, such as padre.meddea_l1_photon; default all.")]
Day = Annotated[str | None, typer.Option("--day", help="One UTC day, such as 2024-09-16.")]
From = Annotated[str | None, typer.Option("--from", help="First UTC day of a range.")]
To = Annotated[str | None, typer.Option("--to", help="UTC day after the last one of a range.")]
Force = Annotated[bool, typer.Option("--force", help="Also what is up to date.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Processes that do the work; default $SWXLAKE_WORKERS or 1.")
]
Dask = Annotated[
    str | None,
    typer.Option("--dask", metavar="ADDRESS", help="Dask scheduler whose workers do it; default $SWXLAKE_DASK."),
]

Host = Annotated[str, typer.Option("--host", help="Address to listen on; another than this machine's own needs TLS.")]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 is one that is free.")]
Certificate = Annotated[Path | None, typer.Option("--certificate", help="Certificate for TLS, in PEM format.")]
Key = Annotated[Path | None, typer.Option("--key", help="Key of the certificate, in PEM format.")]


@dataclass(frozen=True)
class Session:
    """What every command needs: the lake and the settings."""

    lake: Lake
    settings: Settings


def open_lake(root: str | None, verbose: int) -> Session:
    """As `open_session`, for commands that make no lake. Raises ConfigurationError if there is none."""
    session = open_session(root, verbose)
    check_lake(session.lake)
    return session


def check_lake(lake: Lake) -> None:
    """Raises ConfigurationError if there is no lake."""
    if not lake.storage.is_there():
        raise ConfigurationError(f"{lake.root}: is no lake. Run `swxlake night --inbox DIR`, or correct --root.")


def open_session(root: str | None, verbose: int, even_half: bool = False) -> Session:
    """Read settings and definitions, and set up logging.

    Raises ConfigurationError if the lake is half restored; `even_half`: for commands that do not work on the lake.
    """
    log_to_stderr(verbose)
    settings = read_settings(root)
    lake = Lake(settings.root, read_definitions(settings.missions))
    if not even_half:
        check_whole(lake.storage)
    return Session(lake, settings)


def log_to_stderr(verbose: int) -> None:
    """Set up logging, as loud as asked for."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(level)  # also for libraries that set the level of their own loggers
    handler.addFilter(lambda record: verbose > 1 or record.levelno >= logging.WARNING or _is_ours(record))
    logging.basicConfig(level=level, format="%(levelname)s %(message)s", handlers=[handler])


def _is_ours(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in OURS


@contextmanager
def hire(settings: Settings, workers: int | None, dask: str | None, quiet: bool) -> Iterator[Crew]:
    """Whoever does the work of the block; an option goes before a setting. `quiet` keeps progress to itself.

    Raises ConfigurationError if both options are given, or there is no scheduler.
    """
    from swxlake.night import Crew  # noqa: PLC0415  the stages' libraries take a second to load

    if workers is not None and dask is not None:
        raise ConfigurationError("--workers and --dask exclude each other. Give one of them.")
    address = None if workers is not None else dask or settings.dask or None
    with executor(workers or settings.workers, address) as pool:
        yield Crew(pool, shown=not quiet)


def in_catalog(lake: Lake, outcome: Outcome) -> Outcome:
    """The outcome, once whoever opens the catalog finds in it what was done."""
    from lake.catalog import refresh  # noqa: PLC0415  only commands that write need it

    refresh(lake)
    return outcome


def finish(outcome: Outcome, as_json: bool) -> None:
    """Show an outcome and leave with its exit code."""
    outcome.show(as_json)
    raise typer.Exit(outcome.exit_code)


def tables_named(lake: Lake, names: list[str] | None) -> list[Table] | None:
    """The tables of these addresses in build order; None for all. Raises ConfigurationError with similar names."""
    if not names:
        return None
    known = lake.definitions.tables
    for name in names:
        if name not in known:
            raise ConfigurationError(f"there is no table {name!r}.{similar(name, list(known))}")
    return [table for address, table in known.items() if address in names]


def similar(word: str, known: list[str]) -> str:
    """A hint at the nearest known words."""
    from difflib import get_close_matches  # noqa: PLC0415

    near = get_close_matches(word, known, n=3, cutoff=0.5)
    return f" Did you mean {', '.join(near)}?" if near else f" Known are {', '.join(known)}."


def days_of(day: str | None, first: str | None, stop: str | None) -> set[date] | None:
    """The days of --day or of the half-open range --from, --to; None for all."""
    if day is None and first is None and stop is None:
        return None
    if day is not None and (first is not None or stop is not None):
        raise ConfigurationError("--day and --from/--to exclude each other. Give one of them.")
    if day is not None:
        return {parse_day(day)}
    start = parse_day("2000-01-01" if first is None else first)
    end = parse_day("2100-01-01" if stop is None else stop)
    if start >= end:
        raise ConfigurationError(f"--from {start} is not before --to {end}. The last day is not included.")
    return {start + timedelta(days=i) for i in range((end - start).days)}


def parse_day(text: str) -> date:
    """A UTC day such as 2024-09-16."""
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        day = date.max
    if day.year >= date.max.year:  # the last year has a day without a next one
        raise ConfigurationError(f"{text!r} is no day. Write it as 2024-09-16.")
    return day
