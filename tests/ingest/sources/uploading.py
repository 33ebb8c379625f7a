# SPDX-License-Identifier: Apache-2.0
"""Our upload server on loopback, and bare requests to it, for tests."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from ingest.sources.lander import Lander
from ingest.sources.upload import serving
from ingest.sources.upload_settings import UploadSettings
from lake.health import Health
from lake.store import Lake, RawArchive

TOKEN = "a-token-of-the-test-0001"  # noqa: S105  for loopback
NAME = "toyMDA0_240916034739.dat"
PATIENCE = 10.0  # seconds after which a test gives up


@dataclass
class Answer:
    """What the server answered."""

    status: int
    headers: dict[str, str]
    content: dict[str, Any]


@dataclass
class Client:
    """Requests to a server on a port of this machine, each on a connection of its own."""

    port: int
    lake: Lake

    def put(self, path: str = f"/{NAME}", body: bytes = b"packets", **headers: str) -> Answer:
        """PUT with all that belongs to it; a header that is given replaces ours, an empty one is left out."""
        ours = {"Authorization": f"Bearer {TOKEN}", "Content-Digest": digest(body), "Content-Length": str(len(body))}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("PUT", path, body, {name: value for name, value in (ours | given).items() if value})

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """Any request, by default with our token."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            ours = {"Authorization": f"Bearer {TOKEN}"} if headers is None else headers
            for name, value in ours.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            text = answer.read()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, _content(text))
        finally:
            connection.close()

    def raw(self, *pieces: bytes) -> socket.socket:
        """A connection on which these bytes were sent."""
        line = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        for piece in pieces:
            line.sendall(piece)
        return line

    def coming(self) -> list[Path]:
        """Bodies that are being received."""
        return scratch_files(self.lake, "body")

    def archived(self) -> list[str]:
        """Names of what is archived."""
        archive = RawArchive(self.lake)
        return sorted(archive.receipt(key).name for key in archive.keys().values())


def scratch_files(lake: Lake, name: str) -> list[Path]:
    """Files of this name in folders of scratch, which may go while they are looked at."""
    scratch = Path(lake.root).glob(".scratch-*")
    return [Path(folder, name) for top in scratch for folder, _, files in os.walk(top) if name in files]


def _content(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def digest(body: bytes) -> str:
    """The Content-Digest of a body."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def header(length: int, name: str = NAME, body: bytes = b"") -> bytes:
    """The header of a PUT that announces a length, and the digest of `body`."""
    lines = [f"PUT /{name} HTTP/1.1", "Host: lake", f"Authorization: Bearer {TOKEN}", f"Content-Length: {length}"]
    return "\r\n".join([*lines, f"Content-Digest: {digest(body)}", "", ""]).encode()


def read_all(line: socket.socket) -> bytes:
    """What comes until the server hangs up."""
    found = b""
    with line:
        try:
            while block := line.recv(65536):
                found += block
        except ConnectionResetError:
            pass
    return found


def settings(folder: Path, **more: Any) -> UploadSettings:
    """Settings with one sender, `moc`, and patience for tests."""
    tokens = folder / "tokens"
    if not tokens.exists():
        tokens.write_text(f"{TOKEN}\n")
    given = {"port": 0, "senders": {"moc": {"token_file": tokens}}, "keep_free_bytes": 0, **more}
    return UploadSettings.model_validate(given)


@contextmanager
def upload_server(lake: Lake, folder: Path, **more: Any) -> Iterator[Client]:
    """A server of a lake, for the block."""
    with serving(settings(folder, **more), Lander(lake), Health("watch")) as port:
        yield Client(port, lake)
