# SPDX-License-Identifier: Apache-2.0
"""Where services have come to: state/<kind>/<name>.json, small documents that are written anew each time.

They save work and hold nothing that cannot be found out again: a service whose state is gone begins anew, and gives
twice rather than not at all.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from lake.store import Lake

STATE = "state/"
log = logging.getLogger(__name__)


class State:
    """The documents of one kind, such as `receive` or `forward`."""

    def __init__(self, lake: Lake, kind: str) -> None:
        self.storage, self.prefix = lake.storage, f"{STATE}{kind}/"

    def read(self, name: str) -> dict[str, Any]:
        """A document; empty if there is none, or if it cannot be understood."""
        key = f"{self.prefix}{name}.json"
        if self.storage.size(key) is None:
            return {}
        try:
            content = json.loads(self.storage.read(key))
        except ValueError:
            content = None
        if not isinstance(content, dict):
            log.warning("%s: is no readable state. What it is about begins anew.", self.storage.uri(key))
            return {}
        return content

    def write(self, name: str, content: dict[str, Any]) -> None:
        """Write a document in place of the one that is there, whole or not at all."""
        text = json.dumps(content, separators=(",", ":"), sort_keys=True)
        self.storage.put(f"{self.prefix}{name}.json", text.encode() + b"\n")

    def names(self) -> list[str]:
        """Names of the documents, in order."""
        keys = (entry.key.removeprefix(self.prefix) for entry in self.storage.entries(self.prefix))
        return [key.removesuffix(".json") for key in keys if key.endswith(".json")]

    def remove(self, name: str) -> None:
        """Forget a document."""
        self.storage.remove(f"{self.prefix}{name}.json")
