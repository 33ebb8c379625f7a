# SPDX-License-Identifier: Apache-2.0
"""Which number the next receipt has: above all that an operations center has, also after the lake was restored.

A copy of a lake knows nothing of receipts that were sent after it was made, and a number is never given twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta

from exports.contacts.settings import WHO, Answers
from lake.ways.settings import HttpsWay, open_way
from lake.ways.transport import Transport

NUMBERED = re.compile(r"(\d{8,18})-.*\.json")  # of more digits no receipt of ours is
MOST_FOLDERS = 100  # of days that are asked for one by one; beyond it the whole tree is listed


def highest_number(answers: Answers, first: date | None, last: date) -> int:
    """The highest number among the receipts at the place, of these days or of all; 0 if there is none.

    0 also of a server behind HTTPS, which cannot be listed. Raises WayError if the place cannot be reached.
    """
    if isinstance(answers.way, HttpsWay):
        return 0
    with open_way(WHO, answers.way) as transport:
        found = (NUMBERED.fullmatch(name) for name in _names(transport, answers.receipts, first, last))
        return max((int(one[1]) for one in found if one), default=0)


def _names(transport: Transport, folder: str, first: date | None, last: date) -> Iterator[str]:
    """Names of files in the folders of days."""
    if first is None or last - first > timedelta(days=MOST_FOLDERS):
        yield from (found.path.rpartition("/")[2] for found in transport.entries(folder))
        return
    for days in range((last - first).days + 1):
        yield from transport.names(f"{folder}/{first + timedelta(days=days)}")
