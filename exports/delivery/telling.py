# SPDX-License-Identifier: Apache-2.0
"""Telling a recipient what changed: manifests, changes and, for a tree to pull from, its catalogue.

All of it follows from the ledger, so that a run that was cut short is made up for by the next one with the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import polars as pl

from exports.delivery.catalogue import lists, masters, readmes
from exports.delivery.ledger import Ledger, changing_batches, standing
from exports.delivery.manifest import FEED, MANIFESTS, PIECES, changes, changes_of, lines, manifest
from exports.delivery.settings import Recipient
from lake.ways.settings import HttpsWay
from lake.ways.transport import Transport


@dataclass(frozen=True)
class Post:
    """Small files for a recipient, written in a folder of the lake before they are sent."""

    transport: Transport
    folder: Path

    def put(self, path: str, pieces: Iterable[bytes]) -> None:
        """Put a file in place of what has its name."""
        source = self.folder / hashlib.sha256(path.encode()).hexdigest()
        with source.open("wb") as file:
            file.writelines(pieces)
        self.transport.put(path, source, replace=True)
        source.unlink()

    def put_changed(self, path: str, content: bytes) -> None:
        """Put a file unless it is there with these bytes: whoever mirrors a tree need not fetch it again."""
        if self.transport.sha256(path) != hashlib.sha256(content).hexdigest():
            self.put(path, [content])


def tell(
    ledger: Ledger, name: str, recipient: Recipient, files: pl.DataFrame, transport: Transport, verify: bool = False
) -> None:
    """Tell a recipient of all batches that it was not told of, and close them. Raises WayError.

    verify : also put again what it was told before and is not there any more.
    """
    history = ledger.history(name)
    news = ledger.open_batches(history)
    lost = [batch for batch in changing_batches(history) if _is_lost(transport, batch)] if verify else []
    if not news and not (verify and changing_batches(history)):
        return
    with ledger.lake.storage.scratch() as folder:
        post = Post(transport, folder)
        for batch in sorted({*news, *lost}):
            found = changes_of(history, batch)
            # What is there already is not put again: it may be that only the answer was lost, and a server that lets
            # no file be replaced would refuse it for ever.
            post.put_changed(_manifest(batch), manifest(name, batch, found, ledger.entries(batch)))
            post.put_changed(_piece(batch), b"".join(lines(found)))
        # Servers that take uploads often do not let them be replaced.
        if not isinstance(recipient.way, HttpsWay) and (news or transport.size(FEED) is None):
            post.put(FEED, lines(changes(history)))
        if recipient.pull:
            _catalogue(ledger, recipient, files, history, post)
    for batch in news:
        ledger.close(name, batch)


def _manifest(batch: str) -> str:
    return f"{MANIFESTS}/{batch}.json"


def _piece(batch: str) -> str:
    return f"{PIECES}/{batch}.jsonl"


def _is_lost(transport: Transport, batch: str) -> bool:
    """Whether a recipient has not, or not any more, been told of a batch."""
    return any(transport.size(path) is None for path in (_manifest(batch), _piece(batch)))


def _catalogue(ledger: Ledger, recipient: Recipient, files: pl.DataFrame, history: pl.DataFrame, post: Post) -> None:
    stands, definitions = standing(history), ledger.lake.definitions
    there = sorted(set(stands.filter("held")["product"]) & set(files["product"]))
    of_datasets = (readmes(recipient, definitions, there), masters(definitions, there, post.folder))
    for path, content in chain(*of_datasets, lists(stands, files)):
        post.put_changed(path, content)
