# SPDX-License-Identifier: Apache-2.0
"""Styles and scripts of the site: our own, and the plot library, which an installed package ships."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from lake.ledger import fingerprint, release
from monitor.site.facts import Facts
from monitor.site.page import Asset

ASSETS = Path(__file__).resolve().parent.parent / "assets"
PLOTLY = "assets/plotly.min.js"


def parts(facts: Facts) -> Iterator[Asset]:
    """The assets, all but the one that tells the time."""
    for path in sorted(ASSETS.iterdir()):
        body = path.read_bytes()
        yield Asset(f"assets/{path.name}", hashlib.sha256(body).hexdigest(), path.read_bytes)
    yield _library()


def built(facts: Facts) -> Iterator[Asset]:
    """The script that tells all pages when the site was made, so that they need not be written again for it."""
    told = {"at": f"{facts.now:%Y-%m-%dT%H:%M:%SZ}", "version": release()[0], "night": facts.last_night}
    script = f"window.swxlakeBuilt = {json.dumps(told)};\n".encode()
    yield Asset("assets/built.js", fingerprint(told), lambda: script)


def _library() -> Asset:
    library = files("plotly") / "package_data" / "plotly.min.js"
    return Asset(PLOTLY, f"plotly {version('plotly')}", library.read_bytes)
