# SPDX-License-Identifier: Apache-2.0
"""CPU time of building the status site: at first, with nothing new, and with one more day.

python -m bench.site --days 365

The lake has all tables of missions/ with the books of a year of nights; tables with channels have a row every ten
minutes, so that there is something to plot, and every product-day has a picture of one pixel.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from bench.planning import LAST_DAY, add_day, make_lake
from bench.site_books import write_books
from lake.catalog import refresh
from lake.config import CHECKOUT, read_settings
from lake.definition_files import read_definitions
from lake.store import Lake
from monitor.envelopes.making import make_envelopes
from monitor.site.building import build_site
from monitor.site.places import INDEX, SITE
from transforms.plan import plan_all

NOW = datetime(2026, 8, 2, 6, tzinfo=UTC)
TABLE = """| | site, CPU s | envelopes, CPU s | plan, CPU s | pages and scripts | written |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Built:
    """Figures of one build: CPU seconds of its parts, what the site has, what was written of it, in bytes too."""

    site: float
    envelopes: float
    plan: float
    pages: int
    written: int
    bytes: int
    front: int


def build(root: Path, now: datetime) -> Built:
    """Bring the site of a lake up to date, in this process."""
    lake = Lake(root, read_definitions(read_settings().missions))
    start = time.process_time()
    make_envelopes(lake)
    enveloped = time.process_time()
    planned = {(step.table.address, step.day): step.reason for step in plan_all(lake)}
    ready = time.process_time()
    built = build_site(lake, now, planned)
    spent = time.process_time() - ready
    sizes = [path.stat().st_size for path in (root / SITE).rglob("*") if path.is_file()]
    front = (root / SITE / INDEX).stat().st_size
    return Built(spent, enveloped - start, ready - enveloped, built.pages, built.written, sum(sizes), front)


def _built(root: Path, now: datetime) -> Built:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "bench.site", "--build", str(root), "--now", now.isoformat()]
    printed = subprocess.run(command, check=True, capture_output=True, cwd=CHECKOUT).stdout
    return Built(**json.loads(printed))


def make(root: Path, number: int) -> Lake:
    """A lake of so many days, with books, pictures and a catalog."""
    lake = make_lake(root, number)
    write_books(lake, [LAST_DAY - timedelta(days=number - 1 - i) for i in range(number)])
    refresh(lake)
    return lake


def more(lake: Lake, day: date) -> None:
    """One more day in the lake."""
    add_day(lake, day)
    write_books(lake, [day])
    refresh(lake)


def run(number: int) -> dict[str, Built]:
    """Figures of a lake of so many days."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "lake"
        lake = make(root, number)
        found = {"first build": _built(root, NOW), "nothing new": _built(root, NOW + timedelta(hours=1))}
        more(lake, LAST_DAY + timedelta(days=1))
        return found | {"one more day": _built(root, NOW + timedelta(days=1))}


def table(found: dict[str, Built]) -> str:
    """The figures as a table in Markdown, and the sizes in a sentence."""
    lines = [
        f"| {what} | {b.site:.1f} | {b.envelopes:.1f} | {b.plan:.1f} | {b.pages:,} | {b.written:,} |"
        for what, b in found.items()
    ]
    last: Sequence[Built] = list(found.values())
    sizes = f"The site has {last[-1].bytes / 1e6:.0f} MB, its front page {last[-1].front / 1e3:.0f} kB."
    return TABLE + "\n".join(lines) + f"\n\n{sizes}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--make", type=Path, metavar="ROOT", help="only make a lake there")
    parser.add_argument("--build", type=Path, metavar="ROOT", help="only build the site of the lake there")
    parser.add_argument("--now", type=datetime.fromisoformat, default=NOW, help="the time that the pages are made at")
    options = parser.parse_args()
    if options.build:
        print(json.dumps(asdict(build(options.build, options.now))))
    elif options.make:
        make(options.make, options.days)
    else:
        print(table(run(options.days)))


if __name__ == "__main__":
    main()
