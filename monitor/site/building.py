# SPDX-License-Identifier: Apache-2.0
"""Building the site: all pages and assets, of which only those that changed are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime

from lake.store import Lake
from monitor import metrics
from monitor.quicklooks import pages as quicklook_pages
from monitor.site import (
    alerts,
    assets,
    books,
    dictionary,
    files,
    instruments,
    matrix,
    overview,
    products,
    status,
    tables,
)
from monitor.site.facts import Facts
from monitor.site.page import Asset, Page
from monitor.site.writing import Built, Writer
from monitor.viewer import pages as channel_pages

# Each module gives its part of the site.
PARTS: tuple[Callable[[Facts], Iterable[Page | Asset]], ...] = (
    assets.parts,
    overview.parts,
    matrix.parts,
    books.parts,
    tables.parts,
    instruments.parts,
    dictionary.parts,
    alerts.parts,
    files.parts,
    products.parts,
    channel_pages.parts,
    quicklook_pages.parts,
)
# What says that the site is new: it is published once all the rest is, or it would lie about old pages.
LAST: tuple[Callable[[Facts], Iterable[Asset]], ...] = (status.parts, metrics.parts, assets.built)


def build_site(
    lake: Lake, now: datetime, planned: Mapping[tuple[str, date], str] | None = None, force: bool = False
) -> Built:
    """Bring the site below the lake's root up to date. Raises StorageError."""
    facts = Facts(lake, now, planned or {})
    with lake.storage.alone("site"):
        writer = Writer(lake, force)
        for parts in PARTS:
            writer.add(parts(facts))
        return writer.finish(asset for parts in LAST for asset in parts(facts))
