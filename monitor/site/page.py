# SPDX-License-Identifier: Apache-2.0
"""What the site is made of: pages, which a template makes of facts, and assets, which are bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from lake.ledger import fingerprint

KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".prom": "text/plain; version=0.0.4; charset=utf-8",  # the text format of Prometheus
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".xml": "application/xml",
}


def kind_of(path: str) -> str:
    """The media type of a file of the site, by its suffix."""
    return KINDS.get(PurePosixPath(path).suffix, "application/octet-stream")


class Later(Mapping[str, Any]):
    """What a template is told, put into words when it is asked for: most pages did not change, and it never is.

    `mark` is the fingerprint of what it is made from (what JSON can say, dates and times) and of the code that does it.
    """

    def __init__(self, made_from: object, make: Callable[[], Mapping[str, Any]]) -> None:
        self.mark, self._make = fingerprint(made_from, wording()), make

    @cached_property
    def _words(self) -> Mapping[str, Any]:
        return self._make()

    def __getitem__(self, name: str) -> Any:
        return self._words[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)


@dataclass(frozen=True)
class Page:
    """A page of HTML: where it is below the site's root, its template, and what that is told.

    `about` holds what JSON can say, dates and times; equal facts give an equal page, which is not written again.
    """

    path: str
    template: str
    about: Mapping[str, Any]

    @property
    def root(self) -> str:
        """The way from the page to the site's root: "../" for each folder that it lies in."""
        return "../" * self.path.count("/")

    @cached_property
    def mark(self) -> str:
        """Its template, and the fingerprint of its facts."""
        return f"{self.template} {self.about.mark if isinstance(self.about, Later) else fingerprint(self.about)}"


@dataclass(frozen=True)
class Asset:
    """A file of the site that no template makes: `make` gives its bytes, `mark` changes when they would."""

    path: str
    mark: str
    make: Callable[[], bytes]


@cache
def wording() -> str:
    """Fingerprint of the code that puts facts into words: when it changes, pages are written again that waited."""
    sources = sorted(Path(__file__).resolve().parent.parent.rglob("*.py"))
    return fingerprint([hashlib.sha256(path.read_bytes()).hexdigest() for path in sources])
