# SPDX-License-Identifier: Apache-2.0
"""What the upload server answers: one JSON receipt per delivery, and what the archive knows of a name."""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress
from datetime import datetime

from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from ingest.landing import recognise
from ingest.sources.nouns import Taken
from ingest.sources.upload_requests import Announced, Refusal
from lake.store import RAW, Lake, RawArchive, Receipt, name_hash, receipt_key

STATUS = {"landed": 201, "known": 200, "ignored": 422, "refused": 422, "mismatched": 422}  # of what came of a file
RETRY_SECONDS = 30  # for what failed here: a storage that does not answer, another process that lands
LINGER_SECONDS, LINGER_BYTES = 1.0, 1 << 20
ALLOWED = "HEAD, PUT"


class Early(JSONResponse):
    """An answer that comes before the body has; then the connection ends.

    What is still being sent is dropped for a moment: a connection that is closed with bytes unread takes the answer
    away from whoever has not read it yet.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, then wait for the sender to stop."""
        headers = [*self.raw_headers, (b"connection", b"close")]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await _dropped(receive)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _dropped(receive: Receive) -> None:
    left = LINGER_BYTES
    while left > 0:
        message: Message = await receive()
        left -= len(message.get("body", b""))
        if not message.get("more_body"):
            return


def landed_as(lake: Lake, name: str, now: datetime) -> list[Receipt]:
    """Receipts of the archive for a name that the grammar takes, the oldest first. Asked of the storage each time.

    So whatever landed it meanwhile, this process or another one, is seen. Raises FileNameError, StorageError.
    """
    mission, parsed = recognise(lake, name, now)
    if parsed.time is None or parsed.instrument is None:
        return []
    prefix, end = (
        f"{RAW}{mission.name}/{parsed.instrument}/{parsed.time.date().isoformat()}/",
        f"-{name_hash(name)}.json",
    )
    archive, keys = RawArchive(lake), [entry.key for entry in lake.storage.entries(prefix)]
    found = [archive.receipt(key) for key in keys if key.endswith(end)]
    there = {key for key in keys if not key.endswith(".json")}
    whole = [receipt for receipt in found if receipt.name == name and archive.bytes_key(receipt) in there]
    return sorted(whole, key=lambda receipt: receipt.revision)


def described(receipt: Receipt) -> Response:
    """What is archived under a name, for HEAD: its size and digest. Its bytes are not given, as Allow says."""
    digest = base64.b64encode(bytes.fromhex(receipt.file_sha256)).decode()
    headers = {"content-length": str(receipt.bytes), "repr-digest": f"sha-256=:{digest}:", "allow": ALLOWED}
    return Response(status_code=200, headers=headers, media_type="application/octet-stream")


def not_given(receipt: Receipt) -> Response:
    """The same for GET, in JSON; the status says that the bytes cannot be had by it."""
    content = _content(receipt.name, receipt.file_sha256, receipt.bytes, receipt.received_at, "landed", "")
    return JSONResponse(content, 405, {"allow": ALLOWED})


def accepted(taken: Taken, announced: Announced, received_at: str) -> Response:
    """The answer to an upload that landing has judged. Raises Refusal for one that is to be sent again."""
    if taken.state not in STATUS:
        raise Refusal(503, "FAILED", f"{taken.detail or taken.state}. Repeat later", RETRY_SECONDS)
    size = announced.bytes
    content = _content(announced.name, announced.sha256, size, received_at, taken.state, taken.detail)
    return JSONResponse(content, STATUS[taken.state])


def refused(refusal: Refusal, announced: Announced | None, *, early: bool) -> Response:
    """The answer to an upload that is not taken; `early` if its body may not have been read."""
    name, sha256, size = (announced.name, announced.sha256, announced.bytes) if announced else (None, None, None)
    content = _content(name, sha256, size, None, "refused", refusal.reason) | {"code": refusal.code}
    headers = {} if refusal.retry_seconds is None else {"retry-after": str(refusal.retry_seconds)}
    if refusal.status == 405:
        headers["allow"] = ALLOWED
    if refusal.status == 401:
        headers["www-authenticate"] = "Bearer"
    return (Early if early else JSONResponse)(content, refusal.status, headers)


def _content(
    name: str | None, sha256: str | None, size: int | None, at: str | None, status: str, reason: str
) -> dict[str, str | int | None]:
    """A receipt; the same bytes under the same name always have the same delivery_id."""
    delivery = receipt_key(sha256, name) if sha256 and name else None
    what = {"delivery_id": delivery, "name": name, "sha256": sha256, "size": size}
    return {**what, "received_at": at, "status": status, "reason": reason}
