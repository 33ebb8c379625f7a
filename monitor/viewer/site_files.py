# SPDX-License-Identifier: Apache-2.0
"""The site's files over HTTP, from wherever the lake lies. What is no path of the site is not there."""

from __future__ import annotations

import hashlib
import re
from http import HTTPStatus

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from lake.storage import Storage
from monitor.site import places
from monitor.site.page import KINDS, kind_of

NAME = r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,199}"
PATH = re.compile(rf"(?:{NAME}/){{0,8}}(?:{NAME})?")
SUFFIX = re.compile(r"\.[a-z]+$")


def path_of(request: Request) -> str:
    """The path below the site's root that a request names; of a folder that of its index. Raises HTTPException 404.

    An encoded character is in no path of the site: there is nothing to be decoded, and nothing to be hidden by it.
    """
    raw: bytes = request.scope.get("raw_path", request.url.path.encode())
    path = raw.partition(b"?")[0].decode("latin-1").removeprefix("/")
    if not PATH.fullmatch(path):
        raise _missing()
    path += "index.html" if not path or path.endswith("/") else ""
    found = SUFFIX.search(path)
    if found is None or found[0] not in KINDS:
        raise _missing()
    return path


async def site_file(storage: Storage, request: Request) -> Response:
    """A file of the site; 304 if the client has it. Raises HTTPException 404, StorageError."""
    path = path_of(request)
    body = await run_in_threadpool(_read, storage, places.SITE + path)
    tag = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}  # the next night makes another one of the same name
    if tag in {given.strip().removeprefix("W/") for given in request.headers.get("if-none-match", "").split(",")}:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body, media_type=kind_of(path), headers=headers)


def _read(storage: Storage, key: str) -> bytes:
    if storage.size(key) is None:
        raise _missing()
    return storage.read(key)


def _missing() -> HTTPException:
    return HTTPException(HTTPStatus.NOT_FOUND, "There is no such page. Begin at /index.html.")
