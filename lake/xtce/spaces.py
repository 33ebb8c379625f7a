# SPDX-License-Identifier: Apache-2.0
"""Space systems of an XTCE file: what each defines by name, and how a reference finds it in another one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from lake.xtce.elements import Element

Kind = Literal["types", "parameters", "containers"]
SETS: dict[Kind, str] = {"types": "ParameterTypeSet", "parameters": "ParameterSet", "containers": "ContainerSet"}
NOUNS: dict[Kind, str] = {"types": "parameter type", "parameters": "parameter", "containers": "container"}


@dataclass(eq=False)
class Space:
    """A SpaceSystem: its types, parameters and containers by name, the systems in it, and the one that it is in.

    `members` are those of parameters of an aggregate type, as parameters of their own.
    """

    name: str
    parent: Space | None
    types: dict[str, Element] = field(default_factory=dict)
    parameters: dict[str, Element] = field(default_factory=dict)
    containers: dict[str, Element] = field(default_factory=dict)
    spaces: dict[str, Space] = field(default_factory=dict)
    members: dict[Element, list[Element]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Its path from the outermost system: `/A/B`."""
        return f"{self.parent.address if self.parent else ''}/{self.name}"

    @property
    def root(self) -> Space:
        """The outermost system."""
        return self.parent.root if self.parent else self

    @property
    def all(self) -> list[Space]:
        """The system and all within it, in the order of the file."""
        return [self, *(space for below in self.spaces.values() for space in below.all)]

    def find(self, kind: Kind, element: Element, attribute: str) -> tuple[Space, Element]:
        """What an attribute of an element refers to, and the system where it stands.

        A plain name or relative path is looked up here and then in each system around; `/A/B/name` from the outermost.
        Raises DefinitionError if there is nothing of that name.
        """
        reference = element.needed_text(attribute).strip()
        parts = reference.split("/")
        for start in self._starts(parts):
            for split in range(len(parts) - 1, -1, -1):  # behind the path of a system, the last name may be `p/m`
                space, name = start._below([part for part in parts[:split] if part]), "/".join(parts[split:])
                if space is not None and name in getattr(space, kind):
                    return space, getattr(space, kind)[name]
        raise element.error(f"there is no {NOUNS[kind]} {reference}. Define it or correct {attribute}.")

    def _starts(self, path: list[str]) -> list[Space]:
        if path[:1] == [""]:
            outermost = Space("", None)
            outermost.spaces[self.root.name] = self.root
            return [outermost]
        return [self, *(self.parent._starts(path) if self.parent and path[:1] not in (["."], [".."]) else [])]

    def _below(self, path: list[str]) -> Space | None:
        space: Space | None = self
        for part in path:
            if space is None:
                break
            if part != ".":
                space = space.parent if part == ".." else space.spaces.get(part)
        return space


def read_space(element: Element, parent: Space | None = None) -> Space:
    """The SpaceSystem of an element. Raises DefinitionError if a name is there twice."""
    space = Space(element.needed_text("name"), parent)
    telemetry = element.first("TelemetryMetaData")
    for kind, name in SETS.items():
        defined = telemetry.first(name) if telemetry else None
        for child in defined.children if defined else ():
            _add(getattr(space, kind), child, child)
    for child in element.all("SpaceSystem"):
        _add(space.spaces, child, read_space(child, space))
    return space


def _add(known: dict[str, Element] | dict[str, Space], element: Element, value: Element | Space) -> None:
    name = element.needed_text("name")
    if name in known:
        raise element.error("the name is there twice. Rename or remove one.")
    known[name] = value  # type: ignore[assignment]


def plain_name(element: Element) -> str:
    """The name of a field or packet: that of the element in lower case, with _ for what is no letter or digit."""
    name = re.sub(r"[^a-z0-9_]", "_", element.needed_text("name").lower()).lstrip("_")
    if not name or name[0].isdigit():
        name = f"x{name}"
    return name


def description(*elements: Element) -> str:
    """The first description of some elements, the short one before the long one; on one line."""
    for element in elements:
        told = [child.text for name in ("ShortDescription", "LongDescription") for child in element.all(name)]
        for text in (element.attributes.get("shortDescription", ""), *told):
            if text.strip():
                return " ".join(text.split())
    return ""
