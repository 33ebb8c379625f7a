# SPDX-License-Identifier: Apache-2.0
"""Which files of a listing are whole, by the rule of their source. What is not is looked at again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ingest.sources.settings import SourceSettings
from lake.ways.transport import Found

YOUNG = "may still be written: it has not stood still for long enough"
UNMARKED = "waits for its marker"
OLD_MARKER = "waits for its marker, which is older than the file"


@dataclass
class Completeness:
    """The rule of one source, and when each file that is not known to be whole was seen as it is, in seconds."""

    settings: SourceSettings
    looks: dict[str, tuple[str, int, float]] = field(default_factory=dict)

    def waiting(self, found: Found, listed: Mapping[str, Found], now: float) -> str:
        """Why a file may not be whole; "" if it is. `now` in Unix seconds."""
        if self.settings.rule == "marker":
            return self._marked(found, listed)
        if self.settings.rule == "stable":
            return self._settled(found, now)
        return ""

    def _marked(self, found: Found, listed: Mapping[str, Found]) -> str:
        marker = listed.get(found.path + self.settings.marker)
        if marker is None:
            return UNMARKED
        return OLD_MARKER if marker.modified < found.modified else ""

    def _settled(self, found: Found, now: float) -> str:
        """Two looks at least `settle_seconds` apart, and as old as that; a time ahead of our clock says nothing."""
        settle = self.settings.settle_seconds
        mark, size, since = self.looks.get(found.path, ("", -1, now))
        if (mark, size) != (found.mark, found.bytes) or since > now:
            self.looks[found.path] = (found.mark, found.bytes, now)
            since = now
        is_young = now - settle < found.modified <= now + settle
        return YOUNG if is_young or now - since < settle else ""

    def is_marker(self, path: str) -> bool:
        """True for what only says that another file is whole."""
        return self.settings.rule == "marker" and path.endswith(self.settings.marker)

    def forget(self, paths: Iterable[str]) -> None:
        """These are no longer waited for."""
        for path in paths:
            self.looks.pop(path, None)
