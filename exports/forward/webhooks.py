# SPDX-License-Identifier: Apache-2.0
"""Packets to a webhook, by Standard Webhooks: one signed message for each batch, in JSON.

The id of a message is the same at each try. An answer of 2xx in time says that it was taken; redirections are not
followed, and no proxy is used. See https://github.com/standard-webhooks/standard-webhooks, version 1.0.0.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import socket
import ssl
from contextlib import closing, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

from standardwebhooks import Webhook as Signer

from exports.forward.addresses import connected
from exports.forward.nouns import Answer, Batch
from exports.forward.settings import Webhook
from exports.utc import iso_utc
from lake.clock import utc_now
from lake.errors import WayError
from lake.packet_log import LoggedPacket
from lake.ways.names import hung_up_after
from lake.ways.settings import secret

PREFIX = "whsec_"
SECRET_BYTES = range(24, 65)  # Standard Webhooks, "Signature scheme": 192 to 512 bits
GONE, PAUSE = 410, (429, 503)
MOST_PAUSE_SECONDS = 86400.0  # a client that asks for more is asked again after a day
TYPE = "packets"
PATH_CHARACTERS = "/%:@!$&'()*+,;=~"  # that stand in a path as they are, RFC 3986, section 3.3


class WebhookSink:
    """The webhook of one client."""

    def __init__(self, client: str, way: Webhook) -> None:
        self.who, self.way = f"client {client}", way

    def send(self, batch: Batch) -> Answer:
        """Send a batch as one message."""
        return self.post(batch.id, message(batch))

    def post(self, name: str, body: bytes) -> Answer:
        """Send a message under an id, signed now with the secrets as they are now."""
        try:
            return self._answered(name, body)
        except WayError as error:
            return Answer(taken=False, reason=str(error))
        except ssl.SSLCertVerificationError:
            return self._not_taken("the server's certificate is not one that we trust. Ask its keeper, or name ca_file")
        except TimeoutError:
            return self._not_taken(f"no answer in {self.way.seconds:g} s. Look at the server")
        except (OSError, UnicodeError, http.client.HTTPException):
            return self._not_taken("the server cannot be reached, or hung up. Correct `url`, or look at the server")

    def close(self) -> None:
        """Each message has a connection of its own."""

    def reach(self) -> None:
        """Raises WayError if a secret is not there, or the server cannot be connected to. Nothing is sent."""
        secrets(self.who, self.way)
        try:
            with closing(self._line()) as line:
                self._encrypted(line).close()
        except OSError as error:
            reason = error.strerror or "no answer in time"
            raise WayError(f"{self.who}: {self.way.place} cannot be reached ({reason}). Look at the server.") from None

    def _answered(self, name: str, body: bytes) -> Answer:
        headers = signed(secrets(self.who, self.way), name, utc_now(), body)
        line = self._line()
        held: list[socket.socket] = [line]

        def hang_up() -> None:
            with suppress(OSError):
                socket.socket.shutdown(held[-1], socket.SHUT_RDWR)  # TLS's own would wait for the other side

        with closing(line), hung_up_after(self.way.seconds, hang_up):
            held.append(self._wrapped(line))
            with closing(held[-1]):
                return self._posted(held[-1], headers, body)

    def _posted(self, line: socket.socket, headers: dict[str, str], body: bytes) -> Answer:
        if isinstance(line, ssl.SSLSocket):
            line.do_handshake()
        url = urlsplit(self.way.url)
        web = http.client.HTTPConnection(url.netloc, timeout=self.way.seconds)
        web.sock = line
        web.request(
            "POST",
            quote(url.path or "/", safe=PATH_CHARACTERS),
            body,
            headers | {"Content-Type": "application/json", "User-Agent": "swxlake"},
        )
        answer = web.getresponse()
        return self._judged(answer.status, answer.headers.get("Retry-After", ""))

    def _judged(self, status: int, retry_after: str) -> Answer:
        if 200 <= status < 300:
            return Answer(taken=True)
        if status == GONE:
            return self._not_taken("wants nothing any more (HTTP 410). Remove the client, or push to it by name", True)
        if 300 <= status < 400:
            return self._not_taken(f"sends elsewhere (HTTP {status}), where nothing is sent. Correct `url`")
        pause = pause_seconds(retry_after, utc_now()) if status in PAUSE else 0.0
        return self._not_taken(f"did not take a message (HTTP {status}). Look at the server", pause=pause)

    def _line(self) -> socket.socket:
        url, way = urlsplit(self.way.url), self.way
        port = url.port or (443 if url.scheme == "https" else 80)
        return connected(self.who, url.hostname or "", port, way.allow_private, way.seconds)

    def _wrapped(self, line: socket.socket) -> socket.socket:
        """The connection with TLS on it, not yet negotiated, unless this machine is spoken to in the clear."""
        url = urlsplit(self.way.url)
        if url.scheme != "https":
            return line
        try:
            context = ssl.create_default_context(cafile=self.way.ca_file)
        except OSError:
            raise WayError(f"{self.who}: {self.way.ca_file} holds no certificates. Correct ca_file.") from None
        return context.wrap_socket(line, server_hostname=url.hostname, do_handshake_on_connect=False)

    def _encrypted(self, line: socket.socket) -> socket.socket:
        wrapped = self._wrapped(line)
        if isinstance(wrapped, ssl.SSLSocket):
            wrapped.do_handshake()
        return wrapped

    def _not_taken(self, what: str, gone: bool = False, pause: float = 0.0) -> Answer:
        return Answer(False, f"{self.who}: {self.way.place}: {what}.", pause, gone)


def secrets(who: str, way: Webhook) -> list[str]:
    """The secrets that messages are signed with, the new one first. Raises WayError that names the reference alone."""
    references = ((way.secret_env, way.secret_file), (way.old_secret_env, way.old_secret_file))
    return [
        checked_secret(f"{who}: {variable or path}", text)
        for variable, path in references
        if (text := secret(who, variable, path)) is not None
    ]


def checked_secret(where: str, text: str) -> str:
    """The secret, if it is one. Raises WayError, which does not repeat it."""
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not text.startswith(PREFIX) or len(key) not in SECRET_BYTES:
        raise WayError(
            f"{where} holds no secret of a webhook. Put one there: {PREFIX} and 24 to 64 random bytes in base64."
        )
    return text


def signed(keys: list[str], name: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of a message; it has a signature by each secret."""
    signatures = [Signer(key).sign(name, at, body.decode()) for key in keys]
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def message(batch: Batch) -> bytes:
    """A batch in JSON, the same bytes at each try. `timestamp` is when its last packet came to the lake."""
    content = {
        "type": TYPE,
        "timestamp": batch.packets[-1].received_at,
        "data": {
            "client": batch.client,
            "after": str(batch.before),
            "cursor": str(batch.last),
            "packets": [packet_in_json(packet) for packet in batch.packets],
        },
    }
    return json.dumps(content, separators=(",", ":")).encode()


def packet_in_json(packet: LoggedPacket) -> dict[str, Any]:
    """A packet and what is known of it; `time` is UTC, null if its clock tells none."""
    return facts(packet) | {"data": base64.b64encode(packet.data).decode()}


def facts(packet: LoggedPacket) -> dict[str, Any]:
    """What is known of a packet, without its bytes."""
    epoch = packet.epoch_tt2000
    return {
        "id": packet.id,
        "cursor": str(packet.cursor),
        "mission": packet.mission,
        "instrument": packet.instrument,
        "apid": packet.apid,
        "sequence_count": packet.sequence_count,
        "time": None if epoch is None else f"{iso_utc(epoch)}Z",
        "epoch_tt2000": epoch,
        "received_at": packet.received_at,
    }


def pause_seconds(text: str, now: datetime) -> float:
    """How long `Retry-After` asks to wait: seconds or a date (RFC 9110, section 10.2.3). 0 if it cannot be read."""
    if text.strip().isdecimal() and len(text.strip()) < 10:
        return min(float(text), MOST_PAUSE_SECONDS)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the year of a date may have any number of digits
        return 0.0
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max(0.0, (until - now).total_seconds()), MOST_PAUSE_SECONDS)
