# SPDX-License-Identifier: Apache-2.0
"""Containers of an XTCE file: what they inherit and include, spread out in the order of the bits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from lake.packet_definitions import LONGEST_PACKET
from lake.xtce.elements import DEEPEST, Element
from lake.xtce.parameter_types import FieldType, dimensioned, read_size, read_type, repeated
from lake.xtce.spaces import Space, description, plain_name

LONGEST_BITS = 8 * LONGEST_PACKET
MOST_ENTRIES = 20_000


@dataclass(frozen=True)
class Parameter:
    """A parameter, the system that defines it, and its name as a column."""

    element: Element
    space: Space
    name: str

    @property
    def description(self) -> str:
        """Its description, or else that of its type."""
        _, kind = self.space.find("types", self.element, "parameterTypeRef")
        return description(self.element, kind)


@dataclass(frozen=True)
class Entry:
    """A field of a container: the entry in the file, what it refers to, and in which system; or `gap` bits of fill."""

    element: Element
    space: Space
    parameter: Parameter | None = None
    type: FieldType | None = None
    gap: int = 0

    @property
    def bits(self) -> int | None:
        """Bits in the packet; None if they differ from packet to packet."""
        return self.type.total_bits if self.type else self.gap


@dataclass(frozen=True)
class Container:
    """A container, the system that defines it, and the container that it inherits from."""

    element: Element
    space: Space
    base: Container | None

    @property
    def lineage(self) -> tuple[Container, ...]:
        """The container and all that it inherits from, the outermost first."""
        return (*(self.base.lineage if self.base else ()), self)

    @property
    def abstract(self) -> bool:
        """True if there are no packets of this container itself."""
        return self.element.flag("abstract", False)


@dataclass
class ContainerReader:
    """Reads the containers of a file, each type and each container once."""

    _types: dict[Element, FieldType | None] = field(default_factory=dict)
    _entries: dict[Element, list[Entry]] = field(default_factory=dict)

    def check_types(self, space: Space) -> None:
        """Raises DefinitionError if a type cannot be decoded as it says, even if no packet has it."""
        for system in space.all:
            for element in system.types.values():
                self._type(system, element)

    def containers(self, space: Space) -> list[Container]:
        """All containers in the order of the file. Raises DefinitionError if one inherits from itself."""
        found: dict[Element, Container] = {}
        for system in space.all:
            for element in system.containers.values():
                self._container(system, element, found, ())
        return list(found.values())

    def _container(
        self, space: Space, element: Element, found: dict[Element, Container], below: tuple[Element, ...]
    ) -> Container:
        if element in below or len(below) > DEEPEST:
            raise element.error("inherits from itself, or from too many. Correct a containerRef.")
        if element not in found:
            inherits = element.first("BaseContainer")
            base = None
            if inherits is not None:
                home, parent = space.find("containers", inherits, "containerRef")
                base = self._container(home, parent, found, (*below, element))
            found[element] = Container(element, space, base)
        return found[element]

    def entries(self, container: Container, around: tuple[Element, ...] = ()) -> list[Entry]:
        """All entries, inherited ones first, with fill for gaps. Raises DefinitionError."""
        element = container.element
        if element in around or len(around) > DEEPEST:
            raise element.error("includes itself, or is included too deep. Correct a containerRef.")
        if element not in self._entries:
            found = list(self.entries(container.base, around)) if container.base else []
            bits = sum(entry.bits or 0 for entry in found)
            for entry in element.needed("EntryList").children:
                added = self._entry(container, entry, found, (*around, element))
                found += added
                bits += sum(e.bits or 0 for e in added)
                if len(found) > MOST_ENTRIES or bits > LONGEST_BITS:
                    raise entry.error(f"there the container has {bits} bits, more than a packet. Correct the sizes.")
            self._entries[element] = found
        return self._entries[element]

    def _entry(
        self, container: Container, element: Element, before: list[Entry], around: tuple[Element, ...]
    ) -> list[Entry]:
        gap = _gap(element, before)
        fill = [Entry(element, container.space, gap=gap)] if gap else []
        if element.name != "ContainerRefEntry":
            return [*fill, *self._fields(container.space, element)]
        home, included = container.space.find("containers", element, "containerRef")
        if included.first("BaseContainer") is not None:
            raise element.error("includes a container that inherits. Include one without BaseContainer.")
        return [*fill, *self.entries(Container(included, home, None), around)]

    def _fields(self, space: Space, element: Element) -> list[Entry]:
        home, parameter = space.find("parameters", element, "parameterRef")
        if parameter in home.members and element.first("RepeatEntry") is not None:
            raise element.error("an aggregate cannot be repeated. Describe its items one by one.")
        return [self._field(space, element, home, found) for found in _leaves(home, parameter)]

    def _field(self, space: Space, element: Element, home: Space, parameter: Element) -> Entry:
        type_home, type_element = home.find("types", parameter, "parameterTypeRef")
        found = self._type(type_home, type_element)
        if found is None:
            raise type_element.error("is sent but has no encoding. Add one, such as IntegerDataEncoding.")
        found = _shaped(space, found, element)
        return Entry(element, space, Parameter(parameter, home, plain_name(parameter)), found)

    def _type(self, space: Space, element: Element) -> FieldType | None:
        if element not in self._types:
            self._types[element] = read_type(space, element)
        return self._types[element]


def _leaves(space: Space, parameter: Element) -> list[Element]:
    """The parameter, or the members of an aggregate and theirs, in order."""
    if parameter not in space.members:
        return [parameter]
    return [leaf for member in space.members[parameter] for leaf in _leaves(space, member)]


def _shaped(space: Space, found: FieldType, element: Element) -> FieldType:
    """The type of a parameter as one entry holds it: with the entry's dimensions or repeats."""
    if found.element.name == "ArrayParameterType":
        found = _array(space, found, element)
    elif element.name == "ArrayParameterRefEntry":
        raise element.error("the parameter is no array. Use a ParameterRefEntry, or an ArrayParameterType.")
    repeat = element.first("RepeatEntry")
    if repeat is None:
        return found
    if found.shape or found.size:
        raise repeat.error("only single values of fixed size can be repeated. Use an ArrayParameterType.")
    count = repeat.needed("Count").needed("FixedValue", "DynamicValue")
    if count.name == "DynamicValue":
        return repeated(found, read_size(space, count))
    items = count.as_whole(count.text, "the count")
    if items < 1:
        raise count.error(f"{items} repeats are none. Correct the count or remove the entry.")
    return repeated(found, items)


def _array(space: Space, found: FieldType, element: Element) -> FieldType:
    """An array with its own dimensions or those of its entry; if both have them, they must be the same."""
    dimensions, known = element.first("DimensionList"), bool(found.shape or found.size)
    if dimensions is None:
        if not known:
            raise element.error("neither the entry nor its type says how many items there are. Add a DimensionList.")
        return found
    given = dimensioned(space, replace(found, shape=(), size=None), dimensions)
    if known and (found.size or given.size or given.shape != found.shape):
        raise dimensions.error("a part of an array is not supported. Give the dimensions of the whole array.")
    return given


def _gap(element: Element, before: list[Entry]) -> int:
    """Bits between the entry and what stands before it. Raises DefinitionError."""
    location = element.first("LocationInContainerInBits")
    if location is None:
        return 0
    value = location.needed("FixedValue")
    bits = value.as_whole(value.text, "the location")
    if location.one_of("referenceLocation", "previousEntry", "containerStart") == "containerStart":
        sizes = [entry.bits for entry in before]
        if None in sizes:
            raise location.error("a field before it varies in length, so its place is not fixed. Use previousEntry.")
        bits -= sum(size or 0 for size in sizes)
    if not 0 <= bits <= LONGEST_BITS:
        raise location.error("the entry begins before the one before it ends, or too far behind. Correct the location.")
    return bits
