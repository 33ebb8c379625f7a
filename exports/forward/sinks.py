# SPDX-License-Identifier: Apache-2.0
"""Packets as files in a folder, a bucket or behind SFTP: one for each batch, with a manifest after it.

`<mission>_<instrument>_<first>_<last>_<hash>.pkts` holds whole CCSDS packets one behind the other, as they were sent;
`<same name>.json` names each. The same packets have the same names and bytes at each try, so that what was sent before
a crash is found there, and nothing is there twice.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from exports.delivery.places import lake_place, place_of
from exports.forward.nouns import Answer, Batch, Sink
from exports.forward.settings import Client, Webhook
from exports.forward.webhooks import WebhookSink, facts
from lake.errors import ConfigurationError, PathError, WayError
from lake.files import writing
from lake.packet_log import Cursor
from lake.ways.settings import FolderWay, S3Way, SftpWay, open_way
from lake.ways.transport import Transport

SUFFIX, MANIFEST = ".pkts", ".json"
HASH_CHARACTERS = 12  # of the sha256 of the packets, in a name: the same positions may be asked for by another filter


def open_sink(name: str, client: Client) -> Sink:
    """Where the packets of a client go. Nothing is asked of it yet."""
    way = client.way
    if isinstance(way, Webhook):
        return WebhookSink(name, way)
    if way is None:
        raise ConfigurationError(f"client {name}: is a subscriber, who connects to `swxlake forward serve`. Leave it.")
    return FileSink(name, way)


def check_place(name: str, client: Client, root: Path | str) -> None:
    """Raises ConfigurationError if files would be put into the lake."""
    way = client.way
    if isinstance(way, FolderWay | S3Way | SftpWay) and place_of(way).meets(lake_place(root)):
        raise ConfigurationError(f"client {name}: {way.place} is within the lake, or around it. Give another place.")


class FileSink:
    """A place for files. Its connection is opened by the first batch, and anew after a failure."""

    def __init__(self, client: str, way: FolderWay | S3Way | SftpWay) -> None:
        self.who, self.way = f"client {client}", way
        self._transport: Transport | None = None
        self._open = ExitStack()

    def send(self, batch: Batch) -> Answer:
        """Put the file there, then its manifest."""
        try:
            for path, content in files_of(batch):
                self._put(self._opened(), path, content)
        except WayError as error:
            self.close()
            return Answer(taken=False, reason=str(error))
        return Answer(taken=True)

    def close(self) -> None:
        """Close the connection."""
        self._transport = None
        self._open.close()

    def _opened(self) -> Transport:
        if self._transport is None:
            self._transport = self._open.enter_context(open_way(self.who, self.way))
        return self._transport

    def _put(self, transport: Transport, path: str, content: bytes) -> None:
        """Put a file there unless it is there. Raises PathError if other bytes have its name."""
        sha256 = hashlib.sha256(content).hexdigest()
        if transport.size(path) is not None:
            if transport.sha256(path) != sha256:
                raise PathError(f"{self.who}: {self.way.place}: {path} has other bytes. Remove it there.")
            return
        with writing(Path(tempfile.gettempdir())), tempfile.NamedTemporaryFile(prefix="swxlake-") as file:
            file.write(content)
            file.flush()
            verified = transport.put(path, Path(file.name))
        if not verified and transport.sha256(path) != sha256:
            transport.remove(path)
            raise PathError(f"{self.who}: {self.way.place}: {path} came as other bytes. Look at the link.")


def files_of(batch: Batch) -> tuple[tuple[str, bytes], tuple[str, bytes]]:
    """Names and bytes of the file and of the manifest of a batch."""
    content = b"".join(packet.data for packet in batch.packets)
    sha256, first = hashlib.sha256(content).hexdigest(), batch.packets[0]
    span = f"{_digits(first.cursor)}_{_digits(batch.last)}"
    stem = f"{first.mission}_{first.instrument}_{span}_{sha256[:HASH_CHARACTERS]}"
    return (stem + SUFFIX, content), (stem + MANIFEST, _manifest(batch, stem + SUFFIX, content, sha256))


def _digits(cursor: Cursor) -> str:
    """A position so that names sort by it."""
    return f"{cursor.arrival:08d}-{cursor.number:08d}"


def _manifest(batch: Batch, name: str, content: bytes, sha256: str) -> bytes:
    offset, packets = 0, list[dict[str, Any]]()
    for packet in batch.packets:
        packets.append(facts(packet) | {"offset": offset, "bytes": len(packet.data)})
        offset += len(packet.data)
    text = {
        "file": name,
        "bytes": len(content),
        "sha256": sha256,
        "after": str(batch.before),
        "cursor": str(batch.last),
        "packets": packets,
    }
    return json.dumps(text, separators=(",", ":")).encode() + b"\n"
