# SPDX-License-Identifier: Apache-2.0
"""The pictures of the site in docs/screenshots, made with Chromium; prints what each page weighs and how soon it shows.

    python -m bench.screenshots
    python -m bench.screenshots --root /data/lake --out /tmp/pictures

Without a lake two are simulated with the demo's seed, which takes minutes: the last days of both missions, the last
one with damage, and half an hour of HERMES on the demo's day, for which its attitude is known. The site of a lake that
is given is brought up to date first. First paint is the median of several visits, each with an empty cache, over HTTP
from this machine.
"""

from __future__ import annotations

import argparse
import io
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal, get_args

from PIL import Image
from playwright.sync_api import Browser, Page

from lake.answers import Answers, Limits
from lake.clock import utc_now
from lake.config import CHECKOUT, read_settings
from lake.definition_files import read_definitions
from lake.errors import ConfigurationError
from lake.health import Health
from lake.serving import Listen
from lake.store import Lake
from lake.web import serving
from monitor.site import places
from monitor.viewer.serving import application
from swxlake.drawing import draw, whole_site
from tests.browser.chromium import DESKTOP, PHONE, chromium, executable, opened
from tests.browser.measures import first_paint

OUT = CHECKOUT / "docs" / "screenshots"
DAYS, SEED, HOURS = 3, "7", "0.5"  # HERMES sends much: half an hour of the last day is enough to see
DEMO_DAY = "2026-08-01"
FAULTS = """\
kind,stream,start,stop,count
gap,housekeeping,61:00:00,61:50:00,
bit_flip,photon,66:40:00,66:41:00,3
"""
VISITS = 5
MOST_BYTES = 300_000
COLORS = (256, 128, 64, 32)  # of a picture; fewer until it is small enough
SETTLE_MS = 700  # for plots, which are drawn in steps
Scheme = Literal["light", "dark"]
HEAD = f"{'page':<58} {'paint ms':>8} {'HTML kB':>8} {'all kB':>8}"


@dataclass(frozen=True)
class Shot:
    """A picture: its name, the page, how the page is opened, and what is waited for."""

    name: str
    path: str
    viewport: tuple[int, int] = (DESKTOP["width"], DESKTOP["height"])
    plots: bool = False
    schemes: tuple[Scheme, ...] = get_args(Scheme)
    science: bool = False


@dataclass(frozen=True)
class Weight:
    """What a page costs: median first paint, bytes of its HTML, and of all that it loads but the plot library."""

    path: str
    paint_ms: float
    html: int
    everything: int


def shots(lake: Lake) -> Iterator[Shot]:
    """The pages to show, of the newest day; those that the lake has."""
    folder = Path(lake.root) / places.SITE
    phone = (PHONE["width"], PHONE["height"])
    product, table = "hermes.eea_l2_moments", "padre.meddea_l1_housekeeping"
    wanted = [
        Shot("overview", places.INDEX),
        Shot("overview-phone", places.INDEX, phone, schemes=("light",)),
        Shot("matrix", places.MATRIX),
        Shot("table", places.table(table)),
        Shot("channels", places.channels(table), plots=True),
        Shot("calendar", places.CALENDAR, schemes=("light",)),
        Shot("day-padre", places.mission_day("padre", _newest(folder, "padre")), schemes=("light",)),
        Shot("day-hermes", places.mission_day("hermes", _newest(folder, "hermes")), schemes=("light",), science=True),
        Shot("quicklook", places.quicklook(product, _newest(folder, product)), plots=True, science=True),
        Shot("product", places.product(product, _newest(folder, product)), schemes=("light",), science=True),
        *(Shot("alert", path, schemes=("light",)) for path in _alerts(folder)),
    ]
    return (shot for shot in wanted if (folder / shot.path.partition("#")[0]).is_file())


def _newest(folder: Path, name: str) -> date:
    """The newest day that has a page below quicklooks/<name>."""
    days = sorted(path.stem for path in (folder / "quicklooks" / name).rglob("[0-9]*.html"))
    return date.fromisoformat(days[-1]) if days else date.min


def _alerts(folder: Path) -> list[str]:
    """The page of one alert, if there is one."""
    pages = sorted(path for path in (folder / "alerts").glob("*.html") if path.name != "index.html")
    return [path.relative_to(folder).as_posix() for path in pages[:1]]


def take(browser: Browser, address: str, shot: Shot, out: Path) -> None:
    """Write the shot's pictures, one for each scheme. Fails if the page complains."""
    width, height = shot.viewport
    for scheme in shot.schemes:
        name = f"{shot.name}{'-dark' if scheme == 'dark' else ''}.png"
        look = {"color_scheme": scheme, "viewport": {"width": width, "height": height}}
        with opened(browser, address + shot.path, **look) as visit:
            _settle(visit.page, shot.plots)
            (out / name).write_bytes(small(visit.page.screenshot()))
        print(f"{out / name}: {(out / name).stat().st_size / 1000:.0f} kB")


def _settle(page: Page, plots: bool) -> None:
    if plots:
        page.wait_for_selector("svg.main-svg .trace", state="attached")
        page.wait_for_function("!document.body.innerText.includes('Loading')")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(SETTLE_MS)


def small(picture: bytes) -> bytes:
    """The picture as it is if it is small enough, else with fewer colors. Raises ConfigurationError if none is."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    for colors in (None, *COLORS):
        into = io.BytesIO()
        # All colors that are far apart are kept: a legend must show those of its plot.
        shown = image if colors is None else image.quantize(colors, Image.Quantize.MAXCOVERAGE, kmeans=1)
        shown.save(into, "png", optimize=True)
        if into.tell() <= MOST_BYTES:
            return into.getvalue()
    raise ConfigurationError(f"a picture of {image.size} has more than {MOST_BYTES} bytes. Show less of the page.")


def weigh(browser: Browser, address: str, path: str) -> Weight:
    """What a page costs a visitor who was never there."""
    paints, sizes = list[float](), dict[str, int]()
    for _ in range(VISITS):
        with opened(browser, "about:blank") as visit:
            visit.home = address.rstrip("/")
            visit.page.on("response", lambda response: sizes.update({response.url: len(response.body())}))
            visit.page.goto(address + path, wait_until="networkidle")
            paints.append(first_paint(visit.page) or float("nan"))
    rest = sum(size for url, size in sizes.items() if not url.endswith(("plotly.min.js", ".png")))
    return Weight(path, statistics.median(paints), sizes[(address + path).partition("#")[0]], rest)


def simulated(folder: Path) -> Path:
    """The root of a lake with the last days of both missions: old ones would all be late."""
    drop, faults, last = folder / "drop", folder / "faults.csv", utc_now().date() - timedelta(days=1)
    faults.write_text(FAULTS)
    first = last - timedelta(days=DAYS - 1)
    about = ("--out", str(drop), "--seed", SEED)
    # In one run, so that packets are counted on from day to day.
    _swxlake("simulate", "padre", "--day", str(first), "--hours", str(24 * DAYS), "--faults", str(faults), *about)
    _swxlake("simulate", "hermes", "--day", str(last), "--hours", HOURS, *about)
    return _night(drop, folder / "lake")


def simulated_science(folder: Path) -> Path:
    """The root of a lake with half an hour of HERMES on the demo's day."""
    drop = folder / "science_drop"
    _swxlake("simulate", "hermes", "--day", DEMO_DAY, "--hours", HOURS, "--out", str(drop), "--seed", SEED)
    return _night(drop, folder / "science")


def _night(drop: Path, root: Path) -> Path:
    _swxlake("night", "--inbox", str(drop), "--root", str(root))
    return root


def _swxlake(*words: str) -> None:
    """Run a command. A night ends with 1 if anything was refused, which is no reason not to look at it."""
    done = subprocess.run(
        [sys.executable, "-m", "swxlake.cli", *words], cwd=CHECKOUT, stdout=subprocess.DEVNULL, check=False
    )
    if done.returncode > 1:
        raise ConfigurationError(f"swxlake {words[0]} ended with exit code {done.returncode}. See what it wrote above.")


@contextmanager
def _lakes(root: str | None) -> Iterator[list[tuple[Lake, tuple[bool, ...]]]]:
    """Lakes, drawn, each with whether it gives pictures of science, of status, or both."""
    with tempfile.TemporaryDirectory() as folder:
        if root is not None:
            yield [(_drawn(root), (False, True))]
        else:
            made = [(simulated(Path(folder)), (False,)), (simulated_science(Path(folder)), (True,))]
            yield [(_drawn(str(place)), kinds) for place, kinds in made]


def _drawn(root: str) -> Lake:
    settings = read_settings(root)
    if not isinstance(settings.root, Path):
        raise ConfigurationError(f"{root}: is no folder. Copy the lake, or take pictures of one that is a folder.")
    lake = Lake(settings.root, read_definitions(settings.missions))
    for outcome in (draw(lake), whole_site(lake, settings)):
        for problem in outcome.problems:
            print(problem, file=sys.stderr)
    return lake


def show(browser: Browser, lake: Lake, kinds: tuple[bool, ...], out: Path) -> list[Weight]:
    """Take the pictures of a lake; what their pages cost."""
    app = application(lake, Answers(lake, Limits()), Health("monitor"))
    found = [shot for shot in shots(lake) if shot.science in kinds]
    with serving(app, Listen(host="127.0.0.1", port=0)) as address:
        for shot in found:
            take(browser, f"{address}/", shot, out)
        return [weigh(browser, f"{address}/", path) for path in dict.fromkeys(shot.path for shot in found)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the pictures, and print what the pages cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", help="a lake in a folder; default: two are simulated")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    with _lakes(options.root) as lakes, chromium(executable()) as browser:
        costs = [cost for lake, kinds in lakes for cost in show(browser, lake, kinds, options.out)]
    print(f"\n{HEAD}")
    for cost in costs:
        print(f"{cost.path:<58} {cost.paint_ms:>8.0f} {cost.html / 1000:>8.0f} {cost.everything / 1000:>8.0f}")


if __name__ == "__main__":
    main()
