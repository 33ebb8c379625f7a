# SPDX-License-Identifier: Apache-2.0
"""The elements of an XML file with the lines they begin at.

A document type is refused before anything in it is read, so that no entity is ever expanded and no other file opened.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from lake.errors import DefinitionError

DEEPEST = 100  # elements within each other; more is no definition but an attack on the stack
WHOLE_NUMBER = re.compile(r"[+-]?(\d{1,30}|0[xX][0-9a-fA-F]{1,30}|0[oO][0-7]{1,30}|0[bB][01]{1,64})")
SHOWN = 40  # characters of a text in a message


@dataclass(eq=False)
class Element:
    """An element by its name without namespace; one of another namespace than the root's keeps that before its name."""

    name: str
    path: Path
    line: int
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def error(self, problem: str) -> DefinitionError:
        """A complaint about the element, with file and line; `problem` says what is wrong and what to do."""
        name = self.attributes.get("name")
        return DefinitionError(
            f"{self.path} line {self.line} ({self.name}{f' {name}' if name else ''}): {' '.join(problem.split())}"
        )

    def all(self, name: str) -> Iterator[Element]:
        """The children of that name."""
        return (child for child in self.children if child.name == name)

    def first(self, *names: str) -> Element | None:
        """The only child with one of these names, or None. Raises DefinitionError if there are several."""
        found = [child for child in self.children if child.name in names]
        if len(found) > 1:
            raise found[1].error(f"{self.name} has a {found[0].name} already. Leave one.")
        return found[0] if found else None

    def needed(self, *names: str) -> Element:
        """The only child with one of these names. Raises DefinitionError if there is none."""
        found = self.first(*names)
        if found is None:
            raise self.error(f"has no {' or '.join(names)}. Add it.")
        return found

    def needed_text(self, attribute: str) -> str:
        """An attribute that must be there. Raises DefinitionError."""
        if not self.attributes.get(attribute):
            raise self.error(f"has no attribute {attribute}. Add it.")
        return self.attributes[attribute]

    def one_of(self, attribute: str, default: str, *others: str) -> str:
        """An attribute with one of these values. Raises DefinitionError."""
        value = self.attributes.get(attribute, default)
        if value not in (default, *others):
            raise self.error(f"{attribute} {value} is not supported. Use {' or '.join((default, *others))}.")
        return value

    def flag(self, attribute: str, default: bool) -> bool:
        """A truth value. Raises DefinitionError."""
        text = self.attributes.get(attribute, str(default)).strip().lower()
        if text not in ("true", "false", "1", "0"):
            raise self.error(f"{attribute} {text!r} is neither true nor false. Correct it.")
        return text in ("true", "1")

    def whole(self, attribute: str, default: int | None = None) -> int:
        """A whole number; decimal, or with 0x, 0o or 0b before it. Raises DefinitionError."""
        if default is not None and attribute not in self.attributes:
            return default
        return self.as_whole(self.needed_text(attribute), attribute)

    def as_whole(self, text: str, what: str) -> int:
        """A text as a whole number. Raises DefinitionError."""
        text = text.strip()
        if not WHOLE_NUMBER.fullmatch(text):
            raise self.error(f"{what} {text[:SHOWN]!r} is no whole number. Correct it.")
        return int(text, 10 if text.lstrip("+-").isdigit() else 0)

    def number(self, attribute: str, default: float | None = None) -> float:
        """A finite number. Raises DefinitionError."""
        if default is not None and attribute not in self.attributes:
            return default
        text = self.needed_text(attribute)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(f"{attribute} {text[:SHOWN]!r} is no number. Correct it.")
        return value


def read_elements(path: Path) -> Element:
    """The root element of an XML file. Raises DefinitionError if it is no XML or has a document type."""
    builder = _Builder(path)
    try:
        builder.parser.Parse(path.read_bytes(), True)
    except OSError as error:
        raise DefinitionError(f"{path}: {error.strerror}. Create the file or give the right to read it.") from None
    except expat.ExpatError as error:
        problem = expat.errors.messages[error.code]
        raise DefinitionError(f"{path} line {error.lineno}: {problem}. Correct the XML there.") from None
    except (LookupError, ValueError) as error:
        raise DefinitionError(f"{path} line 1: {error}. Save the file as UTF-8.") from None
    assert builder.root is not None  # noqa: S101  XML without an element is an error of expat
    return builder.root


class _Builder:
    """Builds the elements of one file while it is parsed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root: Element | None = None
        self.open: list[Element] = []
        self.namespace = ""
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text

    def _doctype(self, *_: object) -> None:
        where = f"{self.path} line {self.parser.CurrentLineNumber}"
        raise DefinitionError(f"{where} (DOCTYPE): a document type is not read. Remove it, and the entities with it.")

    def _start(self, qualified: str, attributes: dict[str, str]) -> None:
        namespace, _, name = qualified.rpartition(" ")
        if self.root is None:
            self.namespace = namespace
        plain = {key: value for key, value in attributes.items() if " " not in key}  # not xsi:schemaLocation and such
        shown = name if namespace == self.namespace else f"{namespace}:{name}"
        element = Element(shown, self.path, self.parser.CurrentLineNumber, plain)
        if len(self.open) == DEEPEST:
            raise element.error(f"stands in {DEEPEST} other elements. Put it higher.")
        if self.open:
            self.open[-1].children.append(element)
        self.root = self.root or element
        self.open.append(element)

    def _end(self, _: str) -> None:
        self.open.pop()

    def _text(self, text: str) -> None:
        self.open[-1].text += text
