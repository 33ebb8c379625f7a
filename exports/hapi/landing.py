# SPDX-License-Identifier: Apache-2.0
"""The page for people who come to the server with a browser."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

import jinja2

from exports.hapi.describing import sample
from exports.hapi.holdings import Dataset
from exports.hapi.status import VERSION

FOLDER = Path(__file__).parent


def landing(datasets: Sequence[Dataset], contact: str) -> str:
    """The page: every dataset, and a way to try it."""
    shown = dict.fromkeys(dataset.table.mission.upper() for dataset in datasets)
    rows = [_row(dataset) for dataset in datasets]
    return _template().render(
        rows=rows, missions=" and ".join(shown) or "no mission yet", version=VERSION, contact=contact
    )


def _row(dataset: Dataset) -> dict[str, str]:
    start, stop = sample(dataset)
    instrument = dataset.lake.definitions.instrument(dataset.table)
    source = f"{dataset.table.mission} {instrument.short_name}".upper()
    return {
        "id": dataset.id,
        "title": f"{source}: {dataset.product.title}",
        "first": str(dataset.days[0].day),
        "last": str(dataset.days[-1].day),
        "start": start,
        "stop": stop,
        "sample": urlencode({"dataset": dataset.id, "start": start, "stop": stop, "include": "header"}),
    }


@cache
def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(FOLDER)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.get_template("landing.html")
