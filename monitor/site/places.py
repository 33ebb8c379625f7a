# SPDX-License-Identifier: Apache-2.0
"""Where pages are, below the site's root. Names from outside become hashes; what definitions name keeps its name."""

from __future__ import annotations

import hashlib
import re
from datetime import date
from urllib.parse import quote

SITE = "site/"  # below the lake's root

INDEX = "index.html"
STATUS = "status.json"
METRICS = "metrics.prom"
MATRIX = "matrix.html"
LATENCY = "latency.html"
COMPLETENESS = "completeness.html"
QUARANTINE = "quarantine.html"
CHECKS = "checks.html"
NIGHTS = "nights.html"
LATE = "late.html"
ALERTS = "alerts/index.html"
FILES = "files/index.html"
PRODUCTS = "products/index.html"
TABLES = "tables/index.html"
INSTRUMENTS = "instruments/index.html"
DICTIONARY = "dictionary/index.html"
CHANNELS = "channels/index.html"
CALENDAR = "quicklooks/index.html"


def table(address: str) -> str:
    """The page of a table: description, columns, lineage, last runs, checks."""
    return f"tables/{address}.html"


def instrument(mission: str, name: str) -> str:
    """The page of an instrument."""
    return f"instruments/{mission}-{name}.html"


def words(mission: str, name: str) -> str:
    """The page of an instrument's part of the data dictionary; columns have anchors `<table>.<column>`."""
    return f"dictionary/{mission}-{name}.html"


def alert(alert_id: str) -> str:
    """The page of an alert."""
    return f"alerts/{_safe(alert_id)}.html"


def matrix(month: str) -> str:
    """The page with the tables by day of a month such as 2026-08."""
    return f"matrix/{_safe(month)}.html"


def files(month: str) -> str:
    """The page that lists the raw files of a month such as 2026-08, by the day in their names."""
    return f"files/{_safe(month)}.html"


def file(file_sha256: str, name: str) -> str:
    """The page of a raw file: of its bytes under this name."""
    return f"files/{_safe(file_sha256)[:16]}-{_hash(name)}.html"


def products(address: str) -> str:
    """The page that lists the days of a product."""
    return f"products/{address}/index.html"


def product(address: str, day: date) -> str:
    """The page of a product-day: all versions, where they were delivered, what they descend from."""
    return f"products/{address}/{day:%Y}/{day:%Y%m%d}.html"


def channels(address: str, column: str = "") -> str:
    """The viewer's page of a table, at a channel."""
    return f"channels/{address}.html" + (f"#{quote(column)}" if column else "")


def channel_data(address: str, column: str, part: str) -> str:
    """The script with a part of a channel's envelope, such as `days` or `2026-08`."""
    return f"channels/data/{address}/{_safe(column)}/{_safe(part)}.js"


def mission_day(mission: str, day: date) -> str:
    """The page of a mission's day: its quick looks on one time axis, and those of each product."""
    return f"quicklooks/{mission}/{day:%Y}/{day:%Y%m%d}.html"


def quicklook_year(mission: str, year: int) -> str:
    """The calendar of a mission's quick looks in a year."""
    return f"quicklooks/{mission}/{year}/index.html"


def quicklook(address: str, day: date, suffix: str = "html") -> str:
    """The page (html), picture (png) or data (js) of a product-day's quick look."""
    return f"quicklooks/{address}/{day:%Y}/{day:%Y%m%d}.{suffix}"


def summary(mission: str, day: date, suffix: str = "png") -> str:
    """The picture of a mission's day on one time axis."""
    return f"quicklooks/{mission}/{day:%Y}/{day:%Y%m%d}-summary.{suffix}"


def _safe(name: str) -> str:
    """The name if it is a plain one, or else its hash: names from outside may hold anything."""
    return name if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name) else _hash(name)


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:12]
