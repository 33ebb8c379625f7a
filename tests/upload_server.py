# SPDX-License-Identifier: Apache-2.0
"""A real server for uploads, for tests: the standard library's, over TLS or not, in a process of its own.

It stores a file by a rename when its hash fits, keeps what has a name unless told to replace it, and wants a token.
Faults: `slow` (seconds per block), `drop_after` (bytes), `status` (of each answer), `elsewhere` (a URL it sends to),
`more` (bytes that it says it gives beyond those that it does), `spoil` (turns a byte of what it stores), `trickle`
("headers" or "body": gives one byte at a time and does not come to an end).
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.servers import Book, Running, running

TOKEN = "t0ken-that-no-log-may-show"  # noqa: S105  for loopback
BLOCK = 65536


@dataclass
class UploadServer:
    """A server that runs, and how to reach it."""

    running: Running
    folder: Path
    certificate: Path | None

    def way(self, **more: Any) -> dict[str, Any]:
        """Settings of a way to it, with the token in $SWX_HTTPS_TOKEN."""
        scheme = "http" if self.certificate is None else "https"
        trust = {} if self.certificate is None else {"ca_file": str(self.certificate)}
        url = f"{scheme}://127.0.0.1:{self.running.port}/in"
        return {"url": url, "token_env": "SWX_HTTPS_TOKEN", "seconds": 10.0, **trust, **more}


@contextmanager
def upload_server(folder: Path, state: Path, tls: bool = True, port: int = 0) -> Iterator[UploadServer]:
    """A server over a folder; `state` keeps its certificate and log from one to the next."""
    folder.mkdir(parents=True, exist_ok=True)
    state.mkdir(parents=True, exist_ok=True)
    certificate = make_certificate(state / "server.pem") if tls else None
    settings = {"folder": str(folder), "certificate": str(certificate or ""), "port": port}
    with running("upload_server", state / "calls.jsonl", **settings) as process:
        yield UploadServer(process, folder, certificate)


def make_certificate(path: Path) -> Path:
    """Write a certificate of 127.0.0.1 that is its own authority, and its key, unless it is there."""
    from cryptography import x509  # noqa: PLC0415  what only TLS needs
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    if path.exists():
        return path
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a server of tests")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).add_extension(here, critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    signed = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    path.write_bytes(signed + key.private_bytes(*form))
    return path


class Upload(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    book: Book
    folder: Path

    def do_PUT(self) -> None:
        where = self._start("put")
        if where is None:
            return
        part = where.with_name(f".{where.name}.part")
        digest = self._taken(part)
        if digest is None:
            self.close_connection = True
        elif self.headers["Content-Digest"] != f"sha-256=:{digest}:":
            part.unlink()
            self._answer(422)
        elif self.headers["If-None-Match"] == "*" and where.exists():
            part.unlink()
            self._answer(409)
        else:
            part.replace(where)
            self.book.note("stored", self._name())
            self._answer(201)

    def _taken(self, part: Path) -> str | None:
        """Write the body to a file; its hash, None if the connection drops."""
        part.parent.mkdir(parents=True, exist_ok=True)
        left, digest = int(self.headers["Content-Length"]), hashlib.sha256()
        with part.open("wb") as file:
            while left:
                block = self.rfile.read(min(left, BLOCK))
                if not block or self.book.took(len(block)):
                    return None
                digest.update(block)
                left -= len(block)
                file.write(bytes([block[0] ^ 1]) + block[1:] if self.book.faults.get("spoil") else block)
        return base64.b64encode(digest.digest()).decode()

    def do_GET(self) -> None:
        where = self._start("get")
        if where is None:
            return
        if not where.is_file():
            self._answer(404)
            return
        content = where.read_bytes()
        if trickle := self.book.faults.get("trickle"):
            self._trickle(trickle)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) + self.book.faults.get("more", 0)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)
        self.close_connection = "more" in self.book.faults

    def _trickle(self, part: str) -> None:
        """Give an answer without end, a byte at a time, until the other side has hung up."""
        end = b"Content-Length: 1000000\r\n\r\n" if part == "body" else b"X-Long: "
        self.wfile.write(b"HTTP/1.1 200 OK\r\n" + end)
        self.close_connection = True
        with suppress(OSError):
            while self.command == "GET" or part == "headers":
                self.wfile.write(b"a")
                time.sleep(0.05)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        where = self._start("removed")
        if where is not None:
            where.unlink(missing_ok=True)
            self._answer(204)

    def _name(self) -> str:
        return unquote(self.path).removeprefix("/in")

    def _start(self, call: str) -> Path | None:
        """The place that a request is about; None if it was answered already."""
        self.book.note(call, self._name())
        faults = self.book.faults
        if "elsewhere" in faults:
            self._answer(307, Location=faults["elsewhere"])
        elif "status" in faults:
            self._answer(faults["status"])
        elif self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._answer(401)
        elif ".." in self._name() or not self.path.startswith("/in/"):
            self._answer(403)
        else:
            return self.folder / self._name()[1:]
        return None

    def _answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.send_header("Connection", "close")  # the body may not have been read
        self.end_headers()
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the standard library's name
        """Nothing: stderr is for whoever started the server."""


def serve(settings: dict[str, Any]) -> None:
    Upload.book, Upload.folder = Book(settings["log"]), Path(settings["folder"])
    server = ThreadingHTTPServer(("127.0.0.1", settings["port"]), Upload)
    if settings["certificate"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(settings["certificate"])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    Upload.book.listen(server.server_port)
    server.serve_forever()


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
