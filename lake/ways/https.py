# SPDX-License-Identifier: Apache-2.0
"""A server that takes PUT requests. The server sees to it that a file appears whole or not at all.

What it must do: PUT stores a file if its bytes fit Content-Digest (RFC 9530), with `If-None-Match: *` (RFC 9110,
section 13.1.2) only if the name is free, and answers 200, 201 or 204; GET and HEAD give it back; DELETE removes it.
A server that gives no bytes says so to HEAD, with `Allow`, and tells their hash, with `Repr-Digest`.
409 and 412 say that the name is taken, 422 that the bytes do not fit. Idempotency-Key is the same when the same file is
sent again.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlsplit

import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError, IncompleteRead
from urllib3.exceptions import TimeoutError as Late

from lake.errors import PathError, WayError
from lake.files import COPY_BYTES, new_file, sha256_of, writing
from lake.ways.deadlines import Punctual
from lake.ways.names import SMALL_BYTES, Patience, check_size, checked
from lake.ways.settings import HttpsWay, is_loopback, secret
from lake.ways.transport import Found

CONNECT_SECONDS = 10.0
# What a server that failed, or does not know us, would answer of any other path as well.
OF_ALL = (401, 403, 404, 405, 407, 408, 410, 429)
STORED, GIVEN, ABSENT, TAKEN = (200, 201, 204), (200,), (404, 410), (409, 412)
REMEDIES = {
    401: "the token is not accepted. Correct it, or ask the server's keeper",
    403: "is refused. Ask the server's keeper for the right to write there",
    413: "is too large for the server. Ask its keeper",
    422: "other bytes arrived than were sent. Repeat",
    429: "the server asks for a pause. Repeat later",
    507: "the server is full. Ask its keeper",
}


@contextmanager
def session(who: str, way: HttpsWay) -> Iterator[HttpsTransport]:
    """The server; connections are kept within the block. Raises WayError."""
    logging.getLogger("urllib3").setLevel(logging.INFO)  # its debug messages hold whole addresses
    if way.ca_file is not None and not way.ca_file.is_file():
        raise WayError(f"{who}: {way.ca_file} is no file. Correct ca_file.")
    token = secret(who, way.token_env, way.token_file)
    with requests.Session() as web:
        web.auth = Bearer(token)
        for scheme in ("https://", "http://"):
            web.mount(scheme, Punctual())
        web.trust_env = not is_loopback(urlsplit(way.url).hostname or "")  # a proxy cannot reach this machine
        web.headers["Accept-Encoding"] = "identity"
        yield HttpsTransport(who, way, web)


class Bearer(AuthBase):
    """The token of each request (RFC 6750). Without one nothing is sent either, whatever ~/.netrc says."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """The request with its token."""
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class HttpsTransport:
    """A server of others."""

    def __init__(self, who: str, way: HttpsWay, web: requests.Session) -> None:
        self.who, self.way, self.web = who, way, web

    def size(self, path: str) -> int | None:
        """Bytes of a file, as the server says."""
        with self._asked("HEAD", path) as answer:
            if not self._is_given(path, answer):
                return None
            return self._length(path, answer)

    def sha256(self, path: str) -> str | None:
        """sha256 of a file's bytes, fetched; a server that gives more than it says it holds is not listened to.

        Of a server that takes files and gives none, which its answer to HEAD says by `Allow`, it is what `Repr-Digest`
        says (RFC 9530): there is nothing else to be had.
        """
        with self._asked("HEAD", path) as answer:
            if not self._is_given(path, answer):
                return None
            size, told = self._length(path, answer), _told_digest(answer)
        if told is not None:
            return told
        digest = hashlib.sha256()
        with self._asked("GET", path) as answer:
            if not self._is_given(path, answer):
                return None
            for block in self._blocks(path, answer, size):
                digest.update(block)
        return digest.hexdigest()

    def put(self, path: str, source: Path, replace: bool = False) -> bool:
        """PUT the file with its hash; the server stores it if that fits, and by default if the name is free."""
        sha256, size = sha256_of(source), source.stat().st_size
        headers = {
            "Content-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:",
            "Content-Length": str(size),
            "Content-Type": "application/octet-stream",
            "Idempotency-Key": f'"{hashlib.sha256(f"{path} {sha256}".encode()).hexdigest()}"',
        }
        if not replace:
            headers["If-None-Match"] = "*"
        with source.open("rb") as stream:
            body = Body(stream, size, Patience(self.who, path, self.way.seconds).after)
            with self._asked("PUT", path, body, headers) as answer:
                if answer.status_code in TAKEN:
                    raise self._refused(path, "is there already. Compare it, or remove it")
                self._expect(path, answer, STORED)
        return False

    def read(self, path: str) -> bytes | None:
        """All bytes of a small file."""
        with self._asked("GET", path) as answer:
            if not self._is_given(path, answer):
                return None
            return b"".join(self._blocks(path, answer, SMALL_BYTES))

    def fetch(self, path: str, target: Path, most: int | None = None) -> str:
        """GET a file; nothing is left of one that is not whole."""
        size, digest, done = self.size(path), hashlib.sha256(), 0
        check_size(self.who, f"{self.way.place}/{path}", size or 0, most)
        with self._asked("GET", path) as answer:
            if size is None or not self._is_given(path, answer):
                raise self._refused(path, "is not there")
            with new_file(target) as file:
                for block in self._blocks(path, answer, size):
                    digest.update(block)
                    done += len(block)
                    with writing(target):
                        file.write(block)
                if done != size:
                    raise self._refused(path, f"gives {done} bytes, and says that it holds {size}. Look there")
        return digest.hexdigest()

    def entries(self, folder: str = "") -> Iterator[Found]:
        """Raises WayError: HTTP has no listing."""
        raise self._refused(folder, "a server behind HTTPS cannot be listed. Use sftp, s3 or folder", WayError)

    def names(self, folder: str) -> list[str]:
        """Empty: HTTP has no listing."""
        del folder
        return []

    def remove(self, path: str) -> None:
        """DELETE the file."""
        with self._asked("DELETE", path) as answer:
            if answer.status_code not in ABSENT:
                self._expect(path, answer, (*STORED, 202))

    # ---- parts of these --------------------------------------------------------------------------------------------
    @contextmanager
    def _asked(
        self, method: str, path: str, body: Body | None = None, headers: dict[str, str] | None = None
    ) -> Iterator[requests.Response]:
        """The answer to a request, its body not yet read. Raises WayError if there is none in time."""
        url = f"{self.way.url}/{quote(checked(self.who, path))}"
        verify: bool | str = True if self.way.ca_file is None else str(self.way.ca_file)
        limits = (min(CONNECT_SECONDS, self.way.seconds), self.way.seconds)
        try:
            answer = self.web.request(
                method,
                url,
                data=body,
                headers=headers,
                timeout=limits,
                verify=verify,
                allow_redirects=False,
                stream=True,
            )
            with closing(answer):
                yield answer
        except (requests.RequestException, HTTPError) as error:
            raise self._refused(path, _words(error), WayError) from None

    def _is_given(self, path: str, answer: requests.Response) -> bool:
        """False if there is no such file. Raises WayError if the server answers anything but a file."""
        if answer.status_code in ABSENT:
            return False
        self._expect(path, answer, GIVEN)
        return True

    def _expect(self, path: str, answer: requests.Response, good: tuple[int, ...]) -> None:
        code = answer.status_code
        if code in good:
            return
        if 300 <= code < 400:
            what = f"the server sends elsewhere ({code}), where nothing is sent. Correct `url`"
            raise self._refused(path, what, WayError)
        what = REMEDIES.get(code, "the server failed. Repeat later" if code >= 500 else "is refused. Ask its keeper")
        raise self._refused(path, f"{what} (HTTP {code})", WayError if code in OF_ALL or code >= 500 else PathError)

    def _length(self, path: str, answer: requests.Response) -> int:
        text = answer.headers.get("Content-Length", "")
        if not text.isdecimal():
            raise self._refused(path, "the server does not say how many bytes it holds. Ask its keeper")
        return int(text)

    def _blocks(self, path: str, answer: requests.Response, most: int) -> Iterator[bytes]:
        """The bytes of an answer. Raises WayError if there are too many, or they come too slowly."""
        patience, done = Patience(self.who, path, self.way.seconds), 0
        while block := answer.raw.read1(COPY_BYTES):  # what has come; a larger piece could be waited for without end
            done += len(block)
            if done > most:
                raise self._refused(path, "is too large to be read. Remove it there")
            patience.after(done)
            yield block

    def _refused(self, path: str, what: str, kind: type[WayError] = PathError) -> WayError:
        return kind(f"{self.who}: {self.way.place}/{path}: {what}.")


class Body:
    """The bytes of a file on their way: read as they are sent, with a look at the clock."""

    def __init__(self, stream: IO[bytes], size: int, after: Callable[[int], None]) -> None:
        self.stream, self.len, self.after, self.done = stream, size, after, 0

    def __len__(self) -> int:
        return self.len

    def read(self, amount: int = COPY_BYTES) -> bytes:
        """The next bytes. Raises WayError if those before went too slowly."""
        self.after(self.done)
        block = self.stream.read(amount)
        self.done += len(block)
        return block

    def __iter__(self) -> Iterator[bytes]:
        while block := self.read():
            yield block


def _told_digest(answer: requests.Response) -> str | None:
    """The sha256 that a server tells of a file that it does not give; None if it gives it, or tells none."""
    allowed = [method.strip().upper() for method in answer.headers.get("Allow", "GET").split(",")]
    found = re.fullmatch(r"sha-256=:([A-Za-z0-9+/]{43}=):", answer.headers.get("Repr-Digest", "").strip())
    return base64.b64decode(found[1]).hex() if found and "GET" not in allowed else None


def _words(error: requests.RequestException | HTTPError) -> str:
    """What went wrong and what to do; the library's own words hold addresses of memory and of proxies."""
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE" in str(
        error
    ):  # else the line broke within TLS
        return "the server's certificate is not one that we trust. Ask its keeper, or name ca_file"
    if isinstance(error, requests.exceptions.Timeout | Late):
        return "no answer in time. Repeat when the server is up, or give it more `seconds`"
    if isinstance(error, IncompleteRead):
        return "gives other bytes than it says. Look at the server"
    return "the server cannot be reached, or hung up. Correct `url`, or repeat when it is up"
