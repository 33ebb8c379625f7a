# SPDX-License-Identifier: Apache-2.0
"""What an upload says of itself before its bytes are read, judged: who sends, which name, how much, which digest."""

from __future__ import annotations

import base64
import binascii
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote_to_bytes

from ingest.landing import recognise
from ingest.sources.upload_settings import UploadSettings
from lake.errors import ConfigurationError, FileNameError
from lake.serving import is_token
from lake.store import Lake
from lake.ways.names import is_path

log = logging.getLogger(__name__)

PATH_CHARACTERS, NAME_BYTES = 1024, 255  # what file systems take
BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")  # RFC 3986, section 2.1
SHA256_MEMBER = re.compile(r"\s*sha-256\s*=\s*:([A-Za-z0-9+/]{43}=):\s*(?:;.*)?")


class Refusal(Exception):  # noqa: N818  it is an answer
    """An upload that is not taken: the status of HTTP, a code for programs, a reason for people."""

    def __init__(self, status: int, code: str, reason: str, retry_seconds: int | None = None) -> None:
        super().__init__(reason)
        self.status, self.code, self.reason, self.retry_seconds = status, code, reason, retry_seconds


@dataclass(frozen=True)
class Announced:
    """An upload as it announces itself. only_new : it is to be refused if its name has other bytes."""

    path: str
    name: str
    bytes: int
    sha256: str
    only_new: bool


def sender_of(settings: UploadSettings, authorization: str) -> str:
    """The sender whose token it is, found in the same time whosever it is. Raises Refusal."""
    scheme, _, given = authorization.partition(" ")
    found = None
    for name, sender in settings.senders.items():
        try:
            tokens = sender.tokens(f"sender {name}")
        except ConfigurationError as error:
            log.error("upload: %s", error)
            tokens = []
        for token in tokens:
            if is_token(given.strip(), token):
                found = name
    if found is None or scheme.lower() != "bearer":
        raise Refusal(401, "BAD_TOKEN", "the token is missing or is none that holds. Ask the lake's keeper for one")
    return found


def path_of(raw: bytes, query: bytes) -> str:
    """The path that a request names, below no folder of ours: it is kept as text alone. Raises Refusal."""
    try:
        path = unquote_to_bytes(raw).decode().removeprefix("/")
    except UnicodeDecodeError:
        path = ""
    name = path.rpartition("/")[2]
    is_long = len(path) > PATH_CHARACTERS or len(name.encode()) > NAME_BYTES
    if BAD_ESCAPE.search(raw) or query or is_long or not is_path(path):
        what = "is no /name or /folder/name of printable characters, without a query and parts that begin with a dot"
        raise Refusal(400, "BAD_PATH", f"the path {what}. Correct it")
    return path


def announced(lake: Lake, path: str, headers: Mapping[str, str], most: int, now: datetime) -> Announced:
    """What a PUT of a path announces by its headers. Raises Refusal if it cannot be taken, whatever its bytes are."""
    name = path.rpartition("/")[2]
    try:
        recognise(lake, name, now)
    except FileNameError as error:
        raise Refusal(400, error.code, str(error).removeprefix(f"{error.code}: ")) from None
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Refusal(415, "ENCODED", "Content-Encoding is not taken: nothing is unpacked here. Send the file as it is")
    size = _length(headers, most)
    return Announced(path, name, size, _digest(headers), headers.get("if-none-match", "").strip() == "*")


def _length(headers: Mapping[str, str], most: int) -> int:
    text = headers.get("content-length", "")
    if not text.isdecimal() or "transfer-encoding" in headers:
        raise Refusal(411, "NO_LENGTH", "Content-Length is missing. Send the file with its length, not in chunks")
    if int(text) == 0:
        raise Refusal(400, "EMPTY", "it has no bytes, as after an export that failed. Send the file when it has some")
    if int(text) > most:
        raise Refusal(413, "TOO_LARGE", f"more than {most} bytes are not taken. Ask the lake's keeper")
    return int(text)


def _digest(headers: Mapping[str, str]) -> str:
    """The sha256 of Content-Digest (RFC 9530), in hex."""
    members = (SHA256_MEMBER.fullmatch(member) for member in headers.get("content-digest", "").split(","))
    found = next((member[1] for member in members if member), None)
    try:
        raw = base64.b64decode(found, validate=True) if found else b""
    except binascii.Error:
        raw = b""
    if len(raw) != 32:  # bytes of a sha256
        raise Refusal(400, "NO_DIGEST", "Content-Digest: sha-256=:<base64>: is missing, or is none. Send it")
    return raw.hex()
