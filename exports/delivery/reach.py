# SPDX-License-Identifier: Apache-2.0
"""Whether recipients can be reached, asked before a night needs them."""

from __future__ import annotations

from collections.abc import Iterator

from exports.delivery.settings import DeliverySettings
from lake.errors import WayError
from lake.ways.settings import AnyWay, HttpsWay, S3Way, SftpWay, open_way

REACH_SECONDS = 5.0  # a recipient that takes longer to answer is worth a word
NOTHING = "swxlake-is-anybody-there"  # a name that no product has


def reach(settings: DeliverySettings, seconds: float = REACH_SECONDS) -> Iterator[str]:
    """A line for each recipient that cannot be reached or does not let us in. Nothing is sent."""
    for name, recipient in settings.recipients.items():
        try:
            with open_way(f"recipient {name}", _hurried(recipient.way, seconds)) as transport:
                transport.size(NOTHING)
        except WayError as error:
            yield str(error)


def _hurried(way: AnyWay, seconds: float) -> AnyWay:
    if isinstance(way, S3Way | SftpWay | HttpsWay):
        return way.model_copy(update={"seconds": min(seconds, way.seconds)})
    return way
