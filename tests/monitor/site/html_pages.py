# SPDX-License-Identifier: Apache-2.0
"""Reading pages as a browser does: their elements, links, texts and ids."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path


@dataclass
class Seen:
    """What a page has."""

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All that is read, in its order."""
        return " ".join("".join(self.texts).split())

    @property
    def ids(self) -> set[str]:
        return {facts["id"] for _, facts in self.elements if "id" in facts}

    @property
    def links(self) -> list[str]:
        """Where it leads, and what it loads."""
        return [facts[name] for _, facts in self.elements for name in ("href", "src") if name in facts]

    def named(self, name: str) -> list[dict[str, str]]:
        """The attributes of each element of a name."""
        return [facts for element, facts in self.elements if element == name]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen = Seen()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.seen.texts.append(data)


def seen(text: str) -> Seen:
    """What a page of this text has."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return reader.seen


def page(path: Path) -> Seen:
    """What the page in a file has."""
    return seen(path.read_text(encoding="utf-8"))
