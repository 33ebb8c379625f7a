# SPDX-License-Identifier: Apache-2.0
"""Whether clients can be reached and are known, asked before packets arrive for them."""

from __future__ import annotations

from collections.abc import Iterator

from exports.forward.settings import Client, ForwardSettings, Webhook
from exports.forward.webhooks import WebhookSink
from lake.errors import WayError
from lake.ways.settings import FolderWay, S3Way, SftpWay, open_way, secret

REACH_SECONDS = 5.0  # a client that takes longer to answer is worth a word
NOTHING = "swxlake-is-anybody-there"  # a name that no file of ours has


def reach(settings: ForwardSettings, seconds: float = REACH_SECONDS) -> Iterator[str]:
    """A line for each client that cannot be reached or whose secret is not there. Nothing is sent."""
    for name, client in settings.clients.items():
        try:
            _reach(f"client {name}", name, client, seconds)
        except WayError as error:
            yield str(error)


def _reach(who: str, name: str, client: Client, seconds: float) -> None:
    """Raises WayError."""
    way = client.way
    if way is None:
        secret(who, client.token_env, client.token_file)
    elif isinstance(way, Webhook):
        WebhookSink(name, way.model_copy(update={"seconds": min(seconds, way.seconds)})).reach()
    else:
        with open_way(who, _hurried(way, seconds)) as transport:
            transport.size(NOTHING)


def _hurried(way: FolderWay | S3Way | SftpWay, seconds: float) -> FolderWay | S3Way | SftpWay:
    if isinstance(way, S3Way | SftpWay):
        return way.model_copy(update={"seconds": min(seconds, way.seconds)})
    return way
