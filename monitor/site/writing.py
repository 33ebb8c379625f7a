# SPDX-License-Identifier: Apache-2.0
"""Writing the site: what changed is rendered and published, what is not part of it any more is removed.

`pages.json` remembers the mark and the size of each page and asset. Before the first of them is replaced, it is written
without any mark, and at the end with those of what is there then: of a build that was not finished, all is done again.
What a power loss cut or emptied is told by its size.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import jinja2

from lake.ledger import fingerprint
from lake.store import Lake
from monitor.site.filters import FILTERS
from monitor.site.page import Asset, Page, kind_of
from monitor.site.places import SITE

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
BOOK = f"{SITE}pages.json"
THREADS = 8  # objects on their way at a time, as many as a connection pool of boto3 has room for
UNKNOWN = "unknown"  # no mark: it is a fingerprint, a sha256 or a name with a version
PENDING = 64  # pages held in memory until they are on their way


Known = tuple[str, int]  # mark and size


@dataclass
class Built:
    """What came of it: pages and assets of the site, those written, those removed."""

    pages: int = 0
    written: int = 0
    removed: int = 0


class Writer:
    """Writes one site. To be used under the lease `site`."""

    def __init__(self, lake: Lake, force: bool = False) -> None:
        self.root, self.storage, self.force = lake.root, lake.storage, force
        self.pool = ThreadPoolExecutor(THREADS)  # without a thread until the first file is given to it
        self.waiting = deque[Future[None]]()
        self.templates = environment()
        self.look = _look()
        self.there = {entry.key: entry.bytes for entry in self.storage.entries(SITE)}
        self.before = self._book()
        self.after = dict[str, Known]()
        self.changing = False
        self.built = Built()

    def add(self, parts: Iterable[Page | Asset]) -> None:
        """Publish those parts that changed. Raises StorageError."""
        for part in parts:
            mark = _digest(f"{part.mark} {self.look}".encode()) if isinstance(part, Page) else part.mark
            self.built.pages += 1
            found, size = self.before.get(part.path, (UNKNOWN, 0))
            if self.force or found != mark or self.there.get(SITE + part.path) != size:
                size = self._write(part)
            self.after[part.path] = (mark, size)

    def finish(self, last: Iterable[Asset] = ()) -> Built:
        """Publish what comes last, remove what the site had and has no more, write the book. Raises StorageError."""
        self._wait(0)
        self.add(last)
        self._wait(0)
        gone = sorted(self.before.keys() - self.after.keys())
        if gone:
            self._begin()
        for path in gone:
            self.storage.remove(SITE + path)
            self.built.removed += 1
        if self.after != self.before:
            self._note(self.after)
        return self.built

    def _write(self, part: Page | Asset) -> int:
        """Publish a part; its size."""
        self._begin()
        body = self._body(part)
        self._publish(SITE + part.path, body, kind_of(part.path))
        self.built.written += 1
        return len(body)

    def _begin(self) -> None:
        """Note that what is there may be another thing from now on."""
        if self.before and not self.changing:
            self._note(dict.fromkeys(self.before, (UNKNOWN, 0)))
        self.changing = True

    def _note(self, book: dict[str, Known]) -> None:
        """Write the book so that it would survive a power loss: nothing else tells which files are the site's."""
        self.storage.put(BOOK, json.dumps(book, sort_keys=True).encode())

    def _publish(self, key: str, body: bytes, kind: str) -> None:
        """Publish one file: a folder takes it at once, object storage takes several at a time, for each has to wait."""
        if isinstance(self.root, Path):
            self.storage.publish(key, body, kind)
            return
        self.waiting.append(self.pool.submit(self.storage.publish, key, body, kind))
        self._wait(PENDING)

    def _wait(self, longest: int) -> None:
        """Until no more than so many files wait to be published. Raises what their publication did."""
        while len(self.waiting) > longest:
            self.waiting.popleft().result()

    def _body(self, part: Page | Asset) -> bytes:
        if isinstance(part, Asset):
            return part.make()
        template = self.templates.get_template(part.template)
        return template.render(part.about, root=part.root, path=part.path).encode()

    def _book(self) -> dict[str, Known]:
        if BOOK not in self.there:
            return {}
        try:
            found = json.loads(self.storage.read(BOOK))
            return {path: (mark, size) for path, (mark, size) in found.items()}
        except (AttributeError, TypeError, ValueError):  # damaged, or of an older release: all is written again
            return {}


def environment() -> jinja2.Environment:
    """Templates that escape everything that is not said to be HTML, and refuse what they are not told."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= FILTERS
    return found


def _look() -> str:
    """Fingerprint of templates and filters: when they change, all pages do."""
    sources = [*sorted(TEMPLATES.rglob("*.html")), Path(__file__).with_name("filters.py")]
    return fingerprint([(path.name, _digest(path.read_bytes())) for path in sources])


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
