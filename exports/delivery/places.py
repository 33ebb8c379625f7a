# SPDX-License-Identifier: Apache-2.0
"""Where recipients are: no two of them in one place or within another's, and none where the lake is.

Two in one place would mix their ledgers, and a team's folder within a public one would show what is embargoed.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from exports.delivery.settings import Recipient
from lake.errors import ConfigurationError
from lake.ways.settings import AnyWay, FolderWay, S3Way, SftpWay

PORTS = {"http": 80, "https": 443}


class Place(NamedTuple):
    """A folder of a service. Places of different services have nothing in common, as far as addresses tell."""

    service: str
    folder: tuple[str, ...]

    @property
    def text(self) -> str:
        """Service and folder, as the ledger notes them."""
        return f"{self.service.strip()} {posixpath.join('', *self.folder)}"

    def meets(self, other: Place) -> bool:
        """Whether they are one place, or one is within the other."""
        both = min(len(self.folder), len(other.folder))
        return self.service == other.service and self.folder[:both] == other.folder[:both]


def lake_place(root: Path | str) -> Place:
    """Where a lake is: a folder, or `s3://bucket/prefix`."""
    return _bucket(root, None) if isinstance(root, str) and root.startswith("s3://") else _folder(Path(root))


def place_of(way: AnyWay) -> Place:
    """Where a way leads, however it is spelled."""
    if isinstance(way, FolderWay):
        return _folder(way.path)
    if isinstance(way, S3Way):
        return _bucket(way.address, way.endpoint)
    if isinstance(way, SftpWay):
        # Each user has a home of its own, and may be shown a root of its own.
        return Place(f"sftp://{way.user}@{_name(way.host)}:{way.port}", _parts(way.path))
    url = urlsplit(way.url)
    return Place(f"https://{_name(url.hostname or '')}:{url.port or PORTS[url.scheme]}", _parts(f"/{url.path}"))


def place_texts(recipients: Mapping[str, Recipient]) -> dict[str, str]:
    """Where each recipient is, however its settings spell it; the ledger counts what was sent to that place alone."""
    return {name: place_of(recipient.way).text for name, recipient in recipients.items()}


def check_places(root: Path | str, recipients: Mapping[str, Recipient]) -> None:
    """Raises ConfigurationError if files would be sent into the lake, or two recipients get in each other's way."""
    places = dict[str, Place]()
    for name, recipient in recipients.items():
        place, words = place_of(recipient.way), recipient.way.place
        if place.meets(lake_place(root)):
            raise ConfigurationError(f"recipient {name}: {words} is within the lake, or around it. Give another place.")
        other = next((one for one, taken in places.items() if place.meets(taken)), None)
        if other is not None:
            raise ConfigurationError(
                f"recipients {other} and {name}: {recipients[other].way.place} and {words} are one place, "
                "or one is within the other. Give each its own place."
            )
        places[name] = place


def _folder(path: Path) -> Place:
    return Place("folder", path.expanduser().resolve().parts)


def _bucket(address: str, endpoint: str | None) -> Place:
    usual = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    return Place(f"s3 {(endpoint or usual).rstrip('/')}", tuple(address.removeprefix("s3://").rstrip("/").split("/")))


def _parts(path: str) -> tuple[str, ...]:
    """Parts of a path of a server; a path that begins with / has that as its first."""
    normal = posixpath.normpath(path)
    parts = tuple(part for part in normal.split("/") if part not in ("", "."))
    return ("/", *parts) if normal.startswith("/") else parts


def _name(host: str) -> str:
    return host.lower().rstrip(".")
